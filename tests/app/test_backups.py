"""``launcelot backup`` and ``launcelot restore``, beside a daemon that serves."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.app import care
from launcelot.app.admin import AdminFactory, AdminSocket
from launcelot.core.ids import AccountId
from launcelot.mailstore import backup, mending, restoring
from launcelot.mailstore.interface import AccountMail, StoreMode
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from tests.app.test_fsck import CareCase
from tests.mailstore.kit import ANN, Hands, message, result_now, uids_of


class BackupCase(CareCase):
    """Has mail and a place for a backup."""

    def setUp(self) -> None:
        """Fill the account."""
        super().setUp()
        self.fill()
        self.right = self.state()
        self.file = self.folder / "ann.backup"

    def ok(self, *arguments: str) -> dict[str, Any]:
        """The answer of a command that succeeds."""
        self.assertEqual(self.on_data(*arguments, "--json"), 0, self.errors)
        return self.answer()

    def numbers(self) -> dict[str, tuple[int, int, int]]:
        """UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ by name."""
        return {name: (a, b, c) for name, a, b, c in self.rows("SELECT name, uid_validity, uid_next, modseq FROM mailboxes")}


class AccountTests(BackupCase):
    """A whole account."""

    def test_a_backup_is_one_private_file_that_is_whole(self) -> None:
        """Nothing lies beside it, and SQLite finds it right."""
        answer = self.ok("backup", "ann", str(self.file))
        self.assertEqual((answer["messages"], answer["right"]), (3, True))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual([path.name for path in self.folder.iterdir() if "ann" in path.name], ["ann.backup"])
        self.assertEqual(answer["octets"], self.file.stat().st_size)
        self.assertEqual(self.on_data("backup", "ann", str(self.file)), 73)
        self.assertIn("is there already", self.errors)
        self.ok("backup", "ann", str(self.file), "--force")

    def test_an_account_is_what_it_was(self) -> None:
        """UIDs, UIDVALIDITYs, flags, dates, octets, subscriptions; and mail that came since is given up only when told."""
        before = self.numbers()
        self.ok("backup", "ann", str(self.file))

        async def more(mail: AccountMail) -> None:
            inbox = await mail.mailbox("INBOX")
            await inbox.append(message("later"), ["$other"])
            await inbox.store([1], StoreMode.ADD, ["\\Flagged"])
            await inbox.remove([2])
            await mail.delete("Other/Place")
            await mail.create("New")

        self.with_mail(more)
        changed = self.state()
        since = self.numbers()["INBOX"]
        self.assertEqual(self.on_data("restore", "ann", str(self.file)), 1)
        self.assertIn("ann has 3 messages, which would be given up; say --replace", self.errors)
        self.assertEqual(self.state(), changed)
        self.assertEqual(self.ok("restore", "ann", str(self.file), "--replace")["messages"], 5)
        self.assertEqual(self.state(), self.right)
        after = self.numbers()
        self.assertEqual({name: numbers[0] for name, numbers in after.items()}, {name: one[0] for name, one in before.items()})
        self.assertEqual(after["INBOX"][1], since[1])
        self.assertGreater(after["INBOX"][2], since[2])

        async def look(mail: AccountMail) -> Any:
            changes = await (await mail.mailbox("INBOX")).changes(since[2])
            return [one.uid for one in changes.changed], changes.vanished, await mail.subscriptions()

        changed_uids, vanished, subscribed = self.with_mail(look)
        self.assertEqual((changed_uids, vanished), ([1, 2, 3], (5,)))
        self.assertIn("Other/Place", subscribed)
        self.assertEqual(self.on_data("fsck"), 0, self.output)

    def test_a_delivery_since_the_backup_is_not_made_again(self) -> None:
        """Its key outlives going back; and what it had sent before is not sent again."""
        self.change(
            "INSERT INTO outgoing (delivery, position, sender, recipient, body) VALUES ('old', 1, '', 'bob@b.example', x'00')",
            "INSERT INTO remembered VALUES ('answered', 99)",
        )
        self.ok("backup", "ann", str(self.file))
        self.change("DELETE FROM outgoing", "INSERT INTO remembered VALUES ('answered since', 99)")
        self.with_mail(lambda mail: mail.deliver(message("x"), "key"))
        self.ok("restore", "ann", str(self.file), "--replace")
        self.assertEqual(self.rows("SELECT count(*) FROM outgoing"), [(0,)])
        self.assertEqual(self.rows("SELECT key FROM remembered ORDER BY key"), [("answered",), ("answered since",)])
        self.assertIsNone(self.with_mail(lambda mail: mail.deliver(message("x"), "key")))

    def test_into_another_account(self) -> None:
        """Its mailboxes are others, although their numbers were the same; a name it had has a higher UIDVALIDITY."""
        self.ok("backup", "ann", str(self.file))
        self.assertEqual(self.on_data("account", "add", "bob", said="secret\n"), 0)
        bob = self.account_named("bob")
        self.ok("restore", "bob", str(self.file))
        path, self.path = self.path, self.data / "mail" / bob.id / "mail.db"
        numbers = dict(self.rows("SELECT name, number FROM mailboxes"))
        self.assertGreater(numbers["INBOX"], 1)
        self.path = path
        self.assertEqual([one[3] for one in self.with_mail(self.bodies, bob)], [one[3] for one in self.right["INBOX"]])
        self.assertEqual(self.on_data("fsck"), 0, self.output)

    async def bodies(self, mail: AccountMail) -> list[Any]:
        """Of INBOX, like :meth:`state`."""
        inbox = await mail.mailbox("INBOX")
        return [(uid, None, None, await inbox.read(uid, 0, 1 << 20)) for uid in await uids_of(inbox)]

    def test_searches_are_right_afterwards(self) -> None:
        """The text index is of what is there now."""
        self.ok("backup", "ann", str(self.file))
        self.with_mail(lambda mail: mail.deliver(message("later", "needle\r\n"), "key"))
        self.assertEqual(self.on_data("fsck", "--reindex"), 0)
        self.ok("restore", "ann", str(self.file), "--replace")

        async def search(mail: AccountMail) -> Any:
            inbox = await mail.mailbox("INBOX")
            return [list(await inbox.search(Contains(Field.TEXT, what))) for what in ("needle", "number 1")]

        self.assertEqual(self.with_mail(search), [[], [2]])

    def test_threads_are_what_they_were(self) -> None:
        """Also those that somebody asked for only after the backup was made; and what belongs to them still does."""

        async def threads(mail: AccountMail) -> dict[str, str | None]:
            inbox = await mail.mailbox("INBOX")
            await inbox.find_threads()
            found = [one async for batch in inbox.messages(await inbox.uids()) for one in batch]
            return {one.email_id: one.thread_id for one in found}

        async def answer(mail: AccountMail) -> None:
            await (await mail.mailbox("INBOX")).append(message("1", References="<0@x>"), ())

        self.ok("backup", "ann", str(self.file))
        before = self.with_mail(threads)
        self.with_mail(answer)
        self.with_mail(threads)
        self.ok("restore", "ann", str(self.file), "--replace")
        self.assertEqual(self.rows("SELECT count(*) FROM contents WHERE thread_id IS NULL"), [(0,)])
        self.assertEqual(self.with_mail(threads), before)
        self.assertEqual(self.on_data("fsck"), 0, self.output)

    def test_a_backup_of_an_older_program(self) -> None:
        """It is brought up to date on its way."""
        connection = sqlite3.connect(self.file)
        MIGRATIONS[0](connection)
        connection.execute("UPDATE account SET uid_validity = 7")
        connection.execute("INSERT INTO mailboxes (id, name, special_use, uid_validity) VALUES ('F7', 'INBOX', '', 7)")
        connection.execute("INSERT INTO subscriptions VALUES ('Old')")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {backup.ACCOUNT}")
        connection.commit()
        connection.close()
        self.ok("restore", "ann", str(self.file), "--replace")
        self.assertEqual(self.state(), {"INBOX": []})
        self.assertEqual(self.with_mail(lambda mail: mail.subscriptions()), ["Old"])
        self.assertGreater(self.numbers()["INBOX"][0], 7)

    def test_what_is_no_backup_is_refused(self) -> None:
        """Other files, damaged ones, those of a newer program; nothing is changed."""
        self.ok("backup", "ann", str(self.file))
        good = self.file.read_bytes()
        for octets, reason in (
            (b"", "this is not a backup"),
            (b"x" * 9000, "this is not a backup"),
            (self.path.read_bytes(), "this is not a backup"),
            (good[: len(good) // 2], "damaged"),
            (good[:60] + bytes([0, 0, 0, 99]) + good[64:], "newer version"),
        ):
            self.file.write_bytes(octets)
            self.assertEqual(self.on_data("restore", "ann", str(self.file), "--replace"), 1)
            self.assertIn(reason, self.errors)
            self.assertEqual(self.state(), self.right)
        self.assertEqual(list((self.data / "staging").iterdir()), [])

    def test_mail_that_is_damaged_is_copied_and_told(self) -> None:
        """A backup of a damaged account is better than none; one that cannot be read is refused, and the last one stays."""
        self.ok("backup", "ann", str(self.file))
        self.change("UPDATE account SET octets = 5")
        self.assertEqual(self.on_data("backup", "ann", str(self.file), "--force"), 1)
        self.assertIn("octets of the account", self.errors)
        last = self.file.read_bytes()
        self.path.write_bytes(b"SQLite format 3\0" + bytes(5000))
        self.assertEqual(self.on_data("backup", "ann", str(self.file), "--force"), 1)
        self.assertEqual(self.file.read_bytes(), last)

    def test_a_restore_that_is_cut_short_changes_nothing(self) -> None:
        """At each statement of it that writes."""
        self.ok("backup", "ann", str(self.file))
        self.with_mail(lambda mail: mail.deliver(message("later"), "key"))
        changed = self.state()
        copied = backup.copy_octets
        for place in range(3):
            def fail(*given: Any, place: int = place) -> None:
                if place == 1:
                    copied(*given)
                raise sqlite3.OperationalError("no room")

            name = ("_take_over", "copy_octets", "_carry_on")[place]
            with patch.object(restoring, name, fail):
                self.assertIn(self.on_data("restore", "ann", str(self.file), "--replace"), (1, 75))
            self.assertEqual(self.state(), changed)


class MailboxTests(BackupCase):
    """One mailbox."""

    def test_a_mailbox_is_merged(self) -> None:
        """From a backup of the account or of the mailbox: new UIDs, flags and dates kept; nothing else is touched."""
        for number, arguments in enumerate(([], ["--mailbox", "INBOX"])):
            file = f"{self.file}{number}"
            self.ok("backup", "ann", file, *arguments)
            into = f"Back/{number}"
            answer = self.ok("restore", "ann", file, "--mailbox", "INBOX", "--into", into)
            self.assertEqual(answer["messages"], 3)
            after = self.state()
            self.assertEqual([one[0] for one in after[into]], [1, 2, 3])
            self.assertEqual([one[1:] for one in after[into]], [one[1:] for one in self.right["INBOX"]])
            self.assertEqual(after["INBOX"], self.right["INBOX"])
        self.assertEqual(self.rows("SELECT count(*) FROM contents"), [(3,)])
        self.assertEqual(self.on_data("fsck"), 0, self.output)

    def test_messages_that_are_gone_come_back(self) -> None:
        """Into the mailbox they were in, behind what is there; their keywords with them."""
        self.ok("backup", "ann", str(self.file), "--mailbox", "INBOX")

        async def lose(mail: AccountMail) -> None:
            inbox = await mail.mailbox("INBOX")
            await inbox.remove([1, 2, 3])
            await mail.delete("Other/Place")
            await inbox.append(message("new"), ["$first"])

        self.with_mail(lose)
        self.assertEqual(self.ok("restore", "ann", str(self.file), "--mailbox", "INBOX")["messages"], 3)
        after = self.state()["INBOX"]
        self.assertEqual([one[0] for one in after], [5, 6, 7, 8])
        self.assertEqual([one[1:] for one in after[1:]], [one[1:] for one in self.right["INBOX"]])
        self.assertEqual(after[0][1], ["$first"])
        self.assertEqual(self.on_data("fsck"), 0, self.output)

    def test_refusals(self) -> None:
        """No such mailbox, a file of one mailbox for a whole account, --into alone."""
        self.assertEqual(self.on_data("backup", "ann", str(self.file), "--mailbox", "Nowhere"), 1)
        self.assertIn("no such mailbox", self.errors)
        self.assertFalse(self.file.exists())
        self.ok("backup", "ann", str(self.file), "--mailbox", "INBOX")
        for arguments, status, reason in (
            (["--mailbox", "Nowhere"], 1, "the backup has no such mailbox"),
            (["--replace"], 1, "name it with --mailbox"),
            (["--into", "x"], 64, "--into needs --mailbox"),
        ):
            self.assertEqual(self.on_data("restore", "ann", str(self.file), *arguments), status)
            self.assertIn(reason, self.errors)
        self.assertEqual(self.on_data("restore", "ann", str(self.folder / "none")), 66)
        self.assertEqual(self.state(), self.right)


class ServingTests(SynchronousTestCase):
    """While others read and write."""

    def setUp(self) -> None:
        """A store with a mailbox."""
        self.folder = Path(self.mktemp()).absolute()
        workers, self.hands = InlineWorkers(), Hands()
        self.store = SqliteMailStore(self.folder, [workers], workers, self.hands.now, self.hands.new_id)
        self.mail = result_now(self, self.store.mail(ANN))
        self.inbox = result_now(self, self.mail.mailbox("INBOX"))
        self.path = self.folder / ANN / "mail.db"
        self.target = self.folder / "copy"
        self.addCleanup(lambda: result_now(self, self.store.close()))

    def add(self, count: int) -> None:
        """Some messages."""
        for number in range(count):
            result_now(self, self.inbox.append(message(str(number), "x" * 50_000 + "\r\n"), ()))

    def test_a_backup_is_of_one_commit_whoever_writes_meanwhile(self) -> None:
        """Every few pages a message comes; the copy has those that were there when it began."""
        self.add(60)
        seen: list[int] = []

        def progress(done: int, total: int) -> None:
            if len(seen) < 5:
                self.add(1)
            seen.append(done)

        with patch.object(backup, "PAGES", 64):
            report = backup.back_up_account(self.path, self.target, progress)
        self.assertEqual((report.messages, report.findings), (60, []))
        self.assertEqual(result_now(self, self.mail.usage()).messages, 65)
        self.assertGreater(len(seen), 10)

    def test_a_session_sees_a_restore_as_one_change(self) -> None:
        """Its mailbox is the same one; it can go on."""
        self.add(3)
        backup.back_up_account(self.path, self.target, lambda done, total: None)
        modseq = result_now(self, self.inbox.status()).highest_modseq
        self.add(1)
        result_now(self, self.inbox.remove([2]))
        copy = restoring.prepare(self.target, self.folder, self.hands.now, self.hands.new_id)
        with care.opened_file(self.path, write=True) as live:
            self.assertEqual(restoring.restore_account(live, copy, lambda done, total: None), {1})
        changes = result_now(self, self.inbox.changes(modseq))
        self.assertEqual([one.uid for one in changes.changed], [1, 2, 3])
        self.assertEqual(changes.vanished, (4,))
        self.assertEqual(result_now(self, self.inbox.append(b"", ())).uid, 5)

    def test_writers_in_other_processes_wait(self) -> None:
        """A transaction of another's makes a restore wait, not fail."""
        self.add(1)
        other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        timer.start()
        with care.opened_file(self.path, write=True) as live, mending.transaction(live):
            self.assertEqual(live.execute("SELECT messages FROM account").fetchone(), (1,))
        timer.join()
        other.close()


class TellingTests(TestCase):
    """The word to the daemon."""

    def test_the_daemon_is_told_in_requests_that_fit(self) -> None:
        """Every mailbox that was touched, however many."""
        told: list[int] = []

        async def changed(request: Any) -> Any:
            self.assertEqual(request["account"], "ann")
            told.extend(request["mailboxes"])
            return {}

        folder = Path(self.mktemp())
        folder.mkdir()
        socket = AdminSocket(reactor, folder / "admin", AdminFactory({"changed": changed}))
        socket.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(socket.close()))

        class Config:
            admin_socket = folder / "admin"

        class FakeBase:
            configuration = Config

        class FakeAccount:
            id = AccountId("ann")

        from twisted.internet.threads import deferToThread

        done = deferToThread(care.tell_daemon, FakeBase, FakeAccount, range(1, 1001))  # type: ignore[arg-type]
        return done.addCallback(lambda _: self.assertEqual(told, list(range(1, 1001))))  # type: ignore[return-value]


