"""``launcelot mail import`` and ``launcelot mail export``: there and back octet for octet, and what other programs write."""

from __future__ import annotations

import mailbox
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import emlfolder, importing, maildir, mailitems, mbox
from launcelot.mailstore.foldernames import decode_level, encode_level
from launcelot.mailstore.interface import AccountMail
from launcelot.mailstore.mailitems import Item
from tests.app.test_fsck import CareCase
from tests.mailstore.kit import message

BODIES = (
    message("plain", "Hello.\r\n"),
    b"",
    b"\r\n",
    b"\n",
    b"no line end",
    b"Subject: x\r\n\r\nFrom here on\r\n>From there\r\n>>From everywhere\r\nfrom\r\n",
    b"From me: now\r\n\r\n",
    b"Status: RO\r\nX-Status: F\r\nX-Keywords: foreign\r\nContent-Length: 3\r\n\r\nbody\r\n\r\n\r\n",
    b"Subject: bare\n\nlines\nwith\r\nboth\n",
    b"a: b\r\n\r\n\r\nFrom x Sun Mar  1 12:00:00 2026\r\n\r\n",
    b"a: b\r\n\r\nends with\r",
    bytes(range(256)) * 3,
    b"a: b\r\n\r\n" + b"x" * 400_000 + b"\nFrom y Sun Mar  1 12:00:00 2026\n",
)
FLAGS: tuple[list[str], ...] = (
    [], ["\\Seen"], ["\\Answered", "\\Flagged"], ["\\Deleted", "\\Draft", "$Forwarded"], ["one", "$Two", "\\Seen"]
)  # fmt: skip
DATE = datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC)


class TransferCase(CareCase):
    """Has an account with mail that is hard to carry, and another without."""

    def setUp(self) -> None:
        """Fill it."""
        super().setUp()
        self.assertEqual(self.on_data("account", "add", "bob", said="secret\n"), 0)
        self.bob = self.account_named("bob")

        async def job(mail: AccountMail) -> None:
            await mail.create("Lists/\u00c4 & B.c")
            await mail.create("INBOX/below")
            await (await mail.mailbox("INBOX/below")).append(b"below", ())
            for name in ("INBOX", "Lists/\u00c4 & B.c"):
                box = await mail.mailbox(name)
                for number, body in enumerate(BODIES):
                    await box.append(body, FLAGS[number % len(FLAGS)], DATE + timedelta(days=number))

        self.with_mail(job)
        self.mine = {name: seen for name, seen in self.state().items() if seen}

    def of_bob(self) -> dict[str, Any]:
        """What bob has, mailboxes that are empty left out."""
        account, self.account = self.account, self.bob
        found = {name: seen for name, seen in self.state().items() if seen}
        self.account = account
        return found

    def ok(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """The answer of a command that succeeds."""
        self.assertEqual(self.on_data("mail", *arguments, "--json"), status, self.errors)
        return self.answer()


class RoundTripTests(TransferCase):
    """Out of one account and into another."""

    def carry(self, target: Path, *export: str, way: tuple[str, ...] = ()) -> None:
        """There and back: all is as it was, and doing it again changes nothing."""
        answer = self.ok("export", "ann", str(target), *export)
        self.assertEqual(answer["messages"], sum(map(len, self.mine.values())))
        answer = self.ok("import", "bob", str(target), *way)
        self.assertEqual((answer["added"], answer["known"]), (2 * len(BODIES) + 1, 0))
        self.assertEqual(self.of_bob(), self.mine)
        again = self.ok("import", "bob", str(target), *way)
        self.assertEqual((again["added"], again["known"]), (0, 2 * len(BODIES) + 1))
        self.assertEqual(self.of_bob(), self.mine)

    def test_maildir(self) -> None:
        """Flags, keywords, dates, order, names and octets; its own program reads it, too."""
        target = self.folder / "Maildir"
        self.carry(target, "--format", "maildir")
        box = mailbox.Maildir(str(target), create=False)
        self.assertEqual(len(box), len(BODIES))
        self.assertIn("Lists.&AMQ- &- B&AC4-c", box.list_folders())
        self.ok("export", "ann", str(target))
        self.assertEqual(len(list((target / "cur").iterdir())), len(BODIES))

    def test_mbox(self) -> None:
        """Likewise, whatever looks like a From line inside."""
        target = self.folder / "boxes"
        self.carry(target, "--format", "mbox")
        theirs = mailbox.mbox(str(target / "INBOX.mbox"), create=False)
        self.addCleanup(theirs.close)
        self.assertEqual(len(theirs), len(BODIES))
        self.assertEqual(self.on_data("mail", "export", "ann", str(target), "--format", "mbox"), 73)

    def test_eml(self) -> None:
        """Likewise."""
        self.carry(self.folder / "files", "--format", "eml")

    def test_one_mailbox(self) -> None:
        """As one mbox file, into a mailbox of choice."""
        target = self.folder / "one.mbox"
        self.ok("export", "ann", str(target), "--format", "mbox", "--mailbox", "inbox")
        self.ok("import", "bob", str(target), "--mailbox", "Old/Mail")
        self.assertEqual(self.of_bob(), {"Old/Mail": self.mine["INBOX"]})

    def test_an_mbox_with_lf(self) -> None:
        """Octets are the same where lines ended with CRLF."""
        target = self.folder / "unix"
        self.ok("export", "ann", str(target), "--format", "mbox", "--mailbox", "INBOX", "--unix")
        self.assertIn(b"Subject: plain\n\nHello.\n\nFrom MAILER-DAEMON ", target.read_bytes())
        self.ok("import", "bob", str(target))
        for body, (_, _, _, mine), (_, flags, date, his) in zip(BODIES, self.mine["INBOX"], self.of_bob()["INBOX"], strict=True):
            self.assertEqual(mine, body)
            if body.replace(b"\r\n", b"").find(b"\n") < 0 and not body.endswith(b"\r"):
                self.assertEqual(his, body)
            self.assertIn((flags, date), [(one[1], one[2]) for one in self.mine["INBOX"]])

    def test_keywords_that_a_maildir_has_no_room_for(self) -> None:
        """It is said, and all else is carried."""

        async def job(mail: AccountMail) -> None:
            box = await mail.mailbox("INBOX")
            await box.append(b"", [f"k{number}" for number in range(30)])

        self.with_mail(job)
        target = self.folder / "Maildir"
        self.assertEqual(self.ok("export", "ann", str(target), status=1)["without_keywords"], 1)
        self.ok("import", "bob", str(target))
        self.assertEqual(len(self.of_bob()["INBOX"]), len(BODIES) + 1)


class ResumeTests(TransferCase):
    """Cut short, and done again."""

    def test_an_import_that_ends_anywhere_is_gone_on_with(self) -> None:
        """Before or after any commit; in the end everything is there once."""
        target = self.folder / "Maildir"
        self.ok("export", "ann", str(target))
        put = importing.Import._put
        for place in range(1, 2 * len(BODIES), 4):
            calls = 0

            def fail(*given: Any, place: int = place) -> Any:
                nonlocal calls
                calls += 1
                if calls == place:
                    raise OSError(5, "cut short")
                return put(*given)

            with patch.object(importing.Import, "_put", fail), patch.object(importing, "BATCH", 3):
                self.assertIn(self.on_data("mail", "import", "bob", str(target)), (0, 73))
        self.ok("import", "bob", str(target))
        self.assertEqual(self.of_bob(), self.mine)

    def test_an_export_that_ends_anywhere_is_gone_on_with(self) -> None:
        """Each format; what was written is not written again, and the result is the same."""
        writers: dict[str, Any] = {"maildir": maildir.Writer, "mbox": mbox.Writer, "eml": emlfolder.Writer}
        for kind, writer in writers.items():
            target = self.folder / kind
            write = writer.write
            self.patch(mbox, "SYNC_OCTETS", 300)
            for place in range(1, 2 * len(BODIES), 5):
                calls = 0

                def fail(*given: Any, place: int = place, write: Any = write) -> Any:
                    nonlocal calls
                    calls += 1
                    if calls == place:
                        raise OSError(28, "no room")
                    return write(*given)

                with patch.object(writer, "write", fail):
                    self.assertEqual(self.on_data("mail", "export", "ann", str(target), "--format", kind), 73, self.errors)
            self.ok("export", "ann", str(target), "--format", kind)
            self.ok("import", "bob", str(target), "--mailbox", kind)
            self.assertEqual({name: one for name, one in self.of_bob().items() if name.startswith(kind)}, {
                kind: self.mine["INBOX"], f"{kind}/Lists/\u00c4 & B.c": self.mine["Lists/\u00c4 & B.c"],
                f"{kind}/INBOX/below": self.mine["INBOX/below"],
            })  # fmt: skip

    def test_an_account_that_is_full(self) -> None:
        """The import ends, says why, and can be gone on with."""
        target = self.folder / "Maildir"
        self.ok("export", "ann", str(target), "--mailbox", "INBOX")
        self.assertEqual(self.on_data("account", "add", "small", "--quota", "1000", said="x\n"), 0)
        with patch.object(importing, "BATCH", 1):
            self.assertEqual(self.on_data("mail", "import", "small", str(target)), 1)
        self.assertIn("quota", self.errors)
        account, self.account = self.account, self.account_named("small")
        self.assertEqual([one[3] for one in self.state()["INBOX"]], list(BODIES[:-2]))
        self.account = account

    def test_files_and_a_limit_of_messages_count(self) -> None:
        """The quota is one over mail and files; and an account that may have one message gets one."""
        target = self.folder / "Maildir"
        self.ok("export", "ann", str(target), "--mailbox", "INBOX")
        self.assertEqual(self.on_data("account", "add", "full", "--quota", "50000000", said="x\n"), 0)
        kept = self.data / "files" / self.account_named("full").id / "files" / "folder" / "kept"
        kept.parent.mkdir(parents=True)
        kept.touch()
        os.truncate(kept, 50_000_000)
        self.assertEqual(self.on_data("mail", "import", "full", str(target)), 1)
        self.assertIn("quota", self.errors)
        kept.unlink()
        self.ok("import", "full", str(target))
        self.assertEqual(self.on_data("account", "add", "few", said="x\n"), 0)
        self.assertEqual(self.on_data("account", "change", "few", "--messages", "1"), 0)
        with patch.object(importing, "BATCH", 1):
            self.assertEqual(self.on_data("mail", "import", "few", str(target)), 1)
        account, self.account = self.account, self.account_named("few")
        self.assertEqual(len(self.state()["INBOX"]), 1)
        self.account = account


class ForeignTests(TransferCase):
    """What other programs write."""

    def test_maildir_of_dovecot(self) -> None:
        """Keywords and order from its files, sizes in names, LF for CRLF, folders with dots, and tmp left alone."""
        root = self.folder / "Maildir"
        for folder in (root, root / ".Sent.2026"):
            for part in ("cur", "new", "tmp"):
                (folder / part).mkdir(parents=True)
        (root / "dovecot-keywords").write_text("0 $Forwarded\n1 work\n2 \\bad\n")
        (root / "dovecot-uidlist").write_text("3 V1 N9 Gx\n7 :200.b.host\n8 W5 :100.a.host\n")
        first, second = ("100.a.host,S=9,W=11:2,Sabc", "a: b\n\nx\n"), ("200.b.host:2,RF", "c: d\r\n\r\nx\n")
        for name, text in (first, second, ("50.c:2,", "e")):
            path = root / "cur" / name
            path.write_bytes(text.encode())
            os.utime(path, (1_000_000_000, 1_000_000_000.7))
        (root / "new" / "300.d").write_bytes(b"new")
        (root / "tmp" / "400.e").write_bytes(b"half")
        (root / ".Sent.2026" / "cur" / "1.x:2,T").write_bytes(b"sent")
        self.assertEqual(self.ok("import", "bob", str(root))["added"], 5)
        found = self.of_bob()
        date = datetime.fromtimestamp(1_000_000_000, UTC)
        self.assertEqual([(one[1], one[3]) for one in found["INBOX"]], [
            (["\\Answered", "\\Flagged"], b"c: d\r\n\r\nx\n"), (["$Forwarded", "\\Seen", "work"], b"a: b\r\n\r\nx\r\n"),
            ([], b"e"), ([], b"new"),
        ])  # fmt: skip
        self.assertEqual(found["INBOX"][0][2], date)
        self.assertEqual([one[1:2] + one[3:] for one in found["Sent/2026"]], [(["\\Deleted"], b"sent")])

    def test_a_message_that_is_renamed_is_not_taken_in_again(self) -> None:
        """Its flags change its name, and its place; it is the same."""
        root = self.folder / "Maildir"
        for part in ("cur", "new"):
            (root / part).mkdir(parents=True)
        (root / "new" / "1.x").write_bytes(b"a: b\n\n")
        self.assertEqual(self.ok("import", "bob", str(root))["added"], 1)
        os.rename(root / "new" / "1.x", root / "cur" / "1.x:2,S")
        self.assertEqual(self.ok("import", "bob", str(root))["known"], 1)

    def test_pipes_and_impossible_names_are_left_out(self) -> None:
        """What might keep the command waiting is not opened, and everything else is taken in; it is told."""
        root = self.folder / "Maildir"
        for folder in (root, root / ".bad\x01name"):
            (folder / "cur").mkdir(parents=True)
            (folder / "cur" / "1.x:2,S").write_bytes(b"one")
        os.mkfifo(root / "cur" / "2.x:2,")
        (root / "dovecot-keywords").write_text('0 in(valid\n1 al"so\n2 fine\n')
        (root / "cur" / "3.x:2,abc").write_bytes(b"three")
        answer = self.ok("import", "bob", str(root), status=1)
        self.assertEqual((answer["added"], len(answer["left_out"])), (2, 2))
        self.assertEqual(answer["left_out"][0], {"place": "cur/2.x:2,", "reason": "is no plain file"})
        self.assertIn("control character", answer["left_out"][1]["reason"])
        self.assertEqual([one[1] for one in self.of_bob()["INBOX"]], [["\\Seen"], ["fine"]])

    def test_mbox_of_others(self) -> None:
        """Status fields at their place, Mozilla's, several forms of dates, quotes, no empty line at the end, internal data."""
        box = self.folder / "mail"
        box.write_bytes(
            b"From MAILER-DAEMON Fri Jan  1 00:00:00 2010\nX-IMAP: 1 2\nSubject: DON'T DELETE -- FOLDER INTERNAL DATA\n\nx\n\n"
            b"From ann@a.example  Sun Mar  1 12:00:00 2026\nSubject: one\nStatus: RO\nX-Status: AF\nX-Keywords: work $Later\n\n"
            b">From quoted\n>>From twice\nFrom here: not a date\n\nFrom nobody either\n\n"
            b"From - Mon Mar  2 08:30 +0100 2026\nX-Mozilla-Status: 0005\nX-Mozilla-Keys: todo\n\ntwo\n\n\n"
            b"From x 2026-03-03 01:02:03\n\nthree"
        )
        self.assertEqual(self.ok("import", "bob", str(box))["added"], 3)
        found = self.of_bob()["INBOX"]
        self.assertEqual([one[1] for one in found], [
            ["$Later", "\\Answered", "\\Flagged", "\\Seen", "work"], ["\\Flagged", "\\Seen", "todo"], []
        ])  # fmt: skip
        self.assertEqual([one[2].isoformat() for one in found], [
            "2026-03-01T12:00:00+00:00", "2026-03-02T08:30:00+00:00", "2026-03-03T01:02:03+00:00"
        ])  # fmt: skip
        self.assertEqual(found[0][3].partition(b"\r\n\r\n")[2], (
            b"From quoted\r\n>From twice\r\nFrom here: not a date\r\n\r\nFrom nobody either\r\n"
        ))  # fmt: skip
        self.assertEqual([one[3][-9:] for one in found[1:]], [b"\r\ntwo\r\n\r\n", b"\r\nthree"])
        self.ok("import", "bob", str(box), "--format", "mboxo", "--mailbox", "old")
        self.assertIn(b"From quoted\r\n>>From twice\r\n", self.of_bob()["old"][0][3])

    def test_mbox_of_the_standard_library(self) -> None:
        """What its mailbox module writes is read as what was put into it."""
        path = self.folder / "lib"
        box = mailbox.mbox(str(path))
        rng = random.Random(3)
        bodies = [f"Subject: {number}\n\n{'From ' * (number % 3)}x{rng.random()}\n" for number in range(30)]
        for body in bodies:
            box.add(body)
        box.close()
        self.assertEqual(self.ok("import", "bob", str(path))["added"], 30)
        kept = [one[3].decode().replace("\r\n", "\n") for one in self.of_bob()["INBOX"]]
        self.assertEqual(kept, bodies)

    def test_eml_files(self) -> None:
        """A single one, and folders of them by name."""
        folder = self.folder / "x" / "Sub.eml"
        folder.mkdir(parents=True)
        for name in ("b.eml", "a.EML", "c.txt"):
            (folder / name).write_text(f"Subject: {name}\n\n")
        self.assertEqual(self.ok("import", "bob", str(self.folder / "x"))["added"], 2)
        self.assertEqual([one[3] for one in self.of_bob()["Sub.eml"]], [b"Subject: a.EML\r\n\r\n", b"Subject: b.eml\r\n\r\n"])
        self.ok("import", "bob", str(folder / "b.eml"), "--verbatim")
        self.assertEqual([one[3] for one in self.of_bob()["INBOX"]], [b"Subject: b.eml\n\n"])

    def test_refusals(self) -> None:
        """What is not there, what nobody knows, impossible names."""
        (self.folder / "text").write_text("hello")
        for arguments, status, reason in (
            (["import", "bob", str(self.folder / "none")], 66, "no such file"),
            (["import", "bob", str(self.folder / "text")], 64, "say what it is with --format"),
            (["import", "bob", str(self.folder / "text"), "--format", "eml", "--mailbox", "a//b"], 1, "empty level"),
            (["import", "carol", str(self.folder / "text")], 1, "no such account"),
            (["export", "ann", str(self.folder / "out"), "--mailbox", "Nowhere"], 1, "no such mailbox"),
            (["export", "ann", str(self.folder / "out"), "--unix"], 64, "--unix is for"),
            (["export", "ann", str(self.folder / "text")], 73, "is there already"),
        ):
            self.assertEqual(self.on_data("mail", *arguments), status, arguments)
            self.assertIn(reason, self.errors)
        self.assertEqual(self.on_data("mail", "import", "bob", str(self.folder / "text"), "--format", "mbox"), 1)
        self.assertIn("does not begin with a From line; left out", self.errors)


class StreamTests(SynchronousTestCase):
    """Without an account."""

    def items(self, octets: bytes) -> list[Item]:
        """What is read from an mbox."""
        path = Path(self.mktemp())
        path.write_bytes(octets)
        return [one for one in mbox.read(path, "mboxrd", False) if isinstance(one, Item)]

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.lists(
                st.sampled_from((b"From ", b">", b"\r\n", b"\n", b"\r", b"x", b"Status: R", b"From a Sun Mar  1 12:00:00 2026")),
                max_size=9,
            ).map(b"".join),
            max_size=4,
        )
    )
    def test_any_bodies_come_back_from_an_mbox(self, bodies: list[bytes]) -> None:
        """Octet for octet, whatever is in them."""
        path = Path(self.mktemp())
        writer = mbox.Writer(path, "x", False, False)
        for uid, body in enumerate(bodies, 1):
            writer.write(1, uid, ["\\Seen"] if uid % 2 else [], DATE, body)
        writer.close()
        found = self.items(path.read_bytes())
        self.assertEqual([bytes(one.body) for one in found], bodies)
        self.assertEqual([bool(one.flags) for one in found], [bool(uid % 2) for uid in range(1, len(bodies) + 1)])

    def test_memory_is_bounded_by_the_largest_message(self) -> None:
        """Messages come one after another, and large ones are not held in memory."""
        path = Path(self.mktemp())
        line = b"y" * 998 + b"\r\n"
        with open(path, "wb") as file:
            for _ in range(3):
                file.write(b"From x Sun Mar  1 12:00:00 2026\r\n\r\n" + line * 12_000 + b"\r\n")
        items: Iterator[Any] = mbox.read(path, "mboxrd", False)
        for one in items:
            self.assertEqual(len(one.body), 2 + 1000 * 12_000)
            self.assertNotIsInstance(one.body, bytes)
            one.body.close()

    def test_names_of_levels(self) -> None:
        """Any level is a file name that is not hidden and leaves no folder, and comes back."""
        for level in ("INBOX", "..", ".x", "a.b", "&", "&-", "\u00c4&\U0001f600", "a b", "x" * 50, "\u65e5\u672c/"):
            name = encode_level(level)
            self.assertFalse(name.startswith(".") or "/" in name or not name.isascii(), name)
            self.assertEqual(decode_level(name), level.replace("/", "_"))
        for strange in ("&", "&xx", "&AAA-", "&\u00e4-", "&2D0-"):
            self.assertIsInstance(decode_level(strange), str)
        self.assertEqual(mailitems.possible("\\x"), False)
