"""CONDSTORE and QRESYNC.  RFC 7162."""

from __future__ import annotations

import re
from typing import Any

from launcelot.mailstore.interface import Mailbox, Stored, StoreMode
from launcelot.testing.link import Link, every_split
from tests.protocols.imap4.world import ImapCase


class CondstoreCase(ImapCase):
    """An inbox with four messages, each with a MODSEQ of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(4)

    @property
    def highest(self) -> int:
        """The mailbox's HIGHESTMODSEQ."""
        return self.world.result(self.mailbox().status()).highest_modseq

    @property
    def validity(self) -> int:
        """Its UIDVALIDITY."""
        return self.world.result(self.mailbox().status()).uid_validity

    def modseqs(self) -> list[int]:
        """Each message's MODSEQ."""
        return [state.modseq for state in self.world.result(self.mailbox().states())]

    def flag(self, *uids: int, flag: str = "\\Flagged", mode: StoreMode = StoreMode.ADD) -> None:
        """Somebody else flags messages."""
        self.world.result(self.mailbox().store(uids, mode, [flag]))


class CondstoreTests(CondstoreCase):
    """MODSEQ, CHANGEDSINCE, UNCHANGEDSINCE."""

    changes = {"max_bad_commands": 100}

    def test_highest_is_told_everywhere(self) -> None:
        """SELECT, EXAMINE and STATUS; NOMODSEQ is never told."""
        link = self.log_in()
        told = b"HIGHESTMODSEQ %d" % self.highest
        for command in (b"SELECT INBOX", b"EXAMINE INBOX", b"SELECT INBOX (CONDSTORE)"):
            lines = self.ask(link, command)
            self.assertIn(b"* OK [%b] Highest" % told, lines)
            self.assertNotIn(b"NOMODSEQ", b"".join(lines))
        self.assertIn(b"* STATUS \"INBOX\" (MESSAGES 4 %b)" % told, self.ask(link, b"STATUS INBOX (MESSAGES HIGHESTMODSEQ)"))

    def test_closed_parts_two_mailboxes(self) -> None:
        """It comes first when a mailbox was selected, also when the next cannot be; not otherwise."""
        link = self.log_in()
        self.assertNotIn(b"CLOSED", b"".join(self.ask(link, b"SELECT INBOX")))
        self.assertTrue(self.ask(link, b"EXAMINE INBOX")[0].startswith(b"* OK [CLOSED] "))
        self.assertTrue(self.ask(link, b"SELECT nope", b"NO")[0].startswith(b"* OK [CLOSED] "))
        self.assertNotIn(b"CLOSED", b"".join(self.ask(link, b"SELECT INBOX")))

    def test_fetch_modseq(self) -> None:
        """Each message's own, alone, with flags, and with other items."""
        link = self.log_in("INBOX")
        one, two, *_ = self.modseqs()
        self.assertIn(b"* 1 FETCH (MODSEQ (%d))" % one, self.ask(link, b"FETCH 1 MODSEQ"))
        self.assertEqual(self.ask(link, b"FETCH 2 (FLAGS MODSEQ)")[0], b"* 2 FETCH (FLAGS (\\Recent) MODSEQ (%d))" % two)
        row = self.ask(link, b"UID FETCH 2 (MODSEQ RFC822.SIZE)")[0]
        self.assertEqual(row, b"* 2 FETCH (UID 2 MODSEQ (%d) RFC822.SIZE 271)" % two)

    def test_changed_since(self) -> None:
        """Only messages whose MODSEQ is above; MODSEQ comes unasked."""
        link = self.log_in("INBOX")
        since = self.highest
        self.assertEqual(self.ask(link, b"FETCH 1:* FLAGS (CHANGEDSINCE %d)" % since)[1:], [b"OK FETCH completed"])
        self.flag(2, 4)
        self.ask(link, b"NOOP")
        self.assertEqual(
            self.ask(link, b"FETCH 1:3 (FLAGS) (CHANGEDSINCE %d)" % since)[:-1],
            [b"* 2 FETCH (FLAGS (\\Flagged \\Recent) MODSEQ (%d))" % self.highest],
        )
        lines = self.ask(link, b"UID FETCH 1:* (ENVELOPE) (CHANGEDSINCE %d)" % since)
        self.assertEqual([line.split()[1] for line in lines[:-1]], [b"2", b"4"])
        self.assertIn(b"MODSEQ (%d))" % self.highest, lines[0])

    def test_bad_modifiers(self) -> None:
        """Zero, too large, unknown, twice, and VANISHED without UID, without CHANGEDSINCE or without QRESYNC."""
        link = self.log_in("INBOX")
        self.ask(link, b"UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)", b"BAD")
        self.ask(link, b"ENABLE QRESYNC")
        for bad in (
            b"FETCH 1 FLAGS (CHANGEDSINCE 0)", b"FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)", b"FETCH 1 FLAGS ()",
            b"FETCH 1 FLAGS (FOO 1)", b"FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)", b"FETCH 1 FLAGS (CHANGEDSINCE)",
            b"FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", b"UID FETCH 1 FLAGS (VANISHED)", b"FETCH 1 FLAGS CHANGEDSINCE 1",
            b"STORE 1 (UNCHANGEDSINCE) FLAGS ()", b"STORE 1 (FOO 1) FLAGS ()", b"STORE 1 () FLAGS ()",
            b"STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()", b"SELECT INBOX (FOO)", b"SELECT INBOX ()",
            b"SELECT INBOX (CONDSTORE CONDSTORE)", b"SELECT INBOX CONDSTORE", b"SEARCH MODSEQ", b"SEARCH MODSEQ x",
            b'SEARCH MODSEQ "/flags/\\\\draft" 5', b'SEARCH MODSEQ "/else/x" all 5', b'SEARCH MODSEQ "/flags/x" none 5',
        ):  # fmt: skip
            self.ask(link, bad, b"BAD")
        self.ask(link, b"CHECK")

    def test_store_tells_modseq_once_the_client_cares(self) -> None:
        """Before any enabling command not at all; after it always and with UIDs, silent or not, for changes of others, too."""
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"STORE 1 +FLAGS (\\Draft)")[0], b"* 1 FETCH (FLAGS (\\Draft \\Recent))")
        self.assertEqual(self.ask(link, b"STORE 1 +FLAGS.SILENT (\\Seen)"), [b"OK STORE completed"])
        lines = self.ask(link, b"ENABLE CONDSTORE")
        self.assertEqual(lines[:2], [b"* OK [HIGHESTMODSEQ %d] Highest" % self.highest, b"* ENABLED CONDSTORE"])
        lines = self.ask(link, b"STORE 1 +FLAGS (\\Answered)")
        self.assertEqual(lines[0], b"* 1 FETCH (UID 1 FLAGS (\\Answered \\Seen \\Draft \\Recent) MODSEQ (%d))" % self.highest)
        lines = self.ask(link, b"UID STORE 2 +FLAGS.SILENT (\\Seen)")
        self.assertEqual(lines[0], b"* 2 FETCH (UID 2 MODSEQ (%d))" % self.highest)
        lines = self.ask(link, b"FETCH 3 BODY[TEXT]<0.1>")
        self.assertEqual(lines[0], b"* 3 FETCH (UID 3 FLAGS (\\Seen \\Recent) MODSEQ (%d) BODY[TEXT]<0> {1}" % self.highest)
        self.flag(4)
        self.assertEqual(self.ask(link, b"NOOP")[0], b"* 4 FETCH (UID 4 FLAGS (\\Flagged \\Recent) MODSEQ (%d))" % self.highest)
        self.assertEqual(self.ask(link, b"NOOP"), [b"OK NOOP completed"])

    def test_what_others_changed_just_before_a_store_is_told(self) -> None:
        """The session passes over its own change alone, not over one it had not heard of, whose MODSEQ is the one before."""
        kind = type(self.mailbox())
        plain = kind.store
        others: list[tuple[list[int], str]] = []

        async def store(box: Mailbox, *values: Any) -> Stored:
            while others:
                uids, flag = others.pop()
                await plain(box, uids, StoreMode.ADD, [flag])
            return await plain(box, *values)

        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"STORE 1:2 +FLAGS.SILENT (\\Seen)"), [b"OK STORE completed"])
        self.assertEqual(self.ask(link, b"NOOP"), [b"OK NOOP completed"])
        self.patch(kind, "store", store)
        others.append(([3], "\\Flagged"))
        lines = self.ask(link, b"STORE 1 +FLAGS.SILENT (\\Draft)")
        self.assertEqual(lines, [b"* 3 FETCH (FLAGS (\\Flagged \\Recent))", b"OK STORE completed"])
        # One that changes nothing, because another has just done the same to more messages.
        others.append(([1, 4], "\\Answered"))
        lines = self.ask(link, b"STORE 1 +FLAGS.SILENT (\\Answered)")
        self.assertEqual(lines, [b"* 4 FETCH (FLAGS (\\Answered \\Recent))", b"OK STORE completed"])
        self.assertEqual(self.ask(link, b"NOOP"), [b"OK NOOP completed"])

    def test_every_enabling_command(self) -> None:
        """After each, changes come with MODSEQ; the first with a mailbox selected tells where that stands."""
        for command in (
            b"ENABLE CONDSTORE", b"STATUS INBOX (HIGHESTMODSEQ)", b"FETCH 1 MODSEQ", b"FETCH 1 FLAGS (CHANGEDSINCE 1)",
            b"STORE 1 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Draft)", b"SEARCH MODSEQ 1", b"UID SEARCH RETURN () MODSEQ 1",
        ):  # fmt: skip
            link = self.log_in("INBOX")
            told = b"* OK [HIGHESTMODSEQ %d] Highest" % self.highest
            self.assertIn(told, self.ask(link, command))
            self.assertNotIn(told, self.ask(link, command))
            self.flag(3, flag=f"kw{len(command)}")
            self.assertIn(b" MODSEQ (%d))" % self.highest, b"".join(self.ask(link, b"NOOP")))
        link = self.log_in()
        self.ask(link, b"SELECT INBOX (CONDSTORE)")
        self.flag(3, flag="last")
        self.assertIn(b" MODSEQ (%d))" % self.highest, b"".join(self.ask(link, b"NOOP")))

    def test_unchanged_since(self) -> None:
        """Messages changed since are named, told and left alone; the others are changed and told."""
        link = self.log_in("INBOX")
        self.ask(link, b"ENABLE CONDSTORE")
        since = self.highest
        self.flag(2, mode=StoreMode.REPLACE)
        theirs = self.highest
        lines = self.ask(link, b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Deleted)" % since)
        self.assertEqual(
            lines,
            [
                b"* 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent) MODSEQ (%d))" % theirs,
                b"* 1 FETCH (UID 1 MODSEQ (%d))" % self.highest,
                b"* 3 FETCH (UID 3 MODSEQ (%d))" % self.highest,
                b"OK [MODIFIED 2] Conditional STORE failed",
            ],
        )
        self.ask(link, b"EXPUNGE")
        lines = self.ask(link, b"UID STORE 2:9 (UNCHANGEDSINCE 0) +FLAGS (kw)")
        self.assertEqual(lines, [b"OK [MODIFIED 2,4] Conditional STORE failed"])
        lines = self.ask(link, b"STORE 1 (UNCHANGEDSINCE %d) +FLAGS (\\Seen)" % self.highest)
        self.assertIn(b"* 1 FETCH (UID 2 FLAGS (\\Flagged \\Seen \\Recent) MODSEQ (%d))" % self.highest, lines)
        self.assertEqual(lines[-1], b"OK STORE completed")

    def test_unchanged_since_with_messages_that_are_gone(self) -> None:
        """NO, and what was modified is named; without any, EXPUNGEISSUED."""
        link = self.log_in("INBOX")
        since = self.highest
        self.flag(2, flag="\\Seen")
        self.world.result(self.mailbox().remove([3]))
        self.assertEqual(
            self.ask(link, b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS (\\Seen)" % since, b"NO")[-1],
            b"NO [MODIFIED 2] Some of the messages no longer exist",
        )
        self.ask(link, b"STORE 3:4 (UNCHANGEDSINCE %d) +FLAGS (\\Seen)" % since, b"NO [EXPUNGEISSUED]")

    def test_two_clients_that_want_the_same(self) -> None:
        """Of two conditional changes of one message only the first is made."""
        one, two = self.log_in("INBOX"), self.log_in("INBOX")
        since = self.highest
        self.assertEqual(self.ask(one, b"STORE 1 (UNCHANGEDSINCE %d) +FLAGS ($A)" % since)[-1], b"OK STORE completed")
        self.assertIn(b"OK [MODIFIED 1]", self.ask(two, b"STORE 1 (UNCHANGEDSINCE %d) +FLAGS ($a $B)" % since)[-1])
        self.assertEqual(self.flags()[0], {"$A"})

    def test_other_flags_do_not_matter(self) -> None:
        """The last part of example 10 in RFC 7162: the other flag is told, and the one that is asked for is set; not in FLAGS."""
        link = self.log_in("INBOX")
        since = self.highest
        self.flag(2, flag="\\Answered")
        theirs = self.highest
        self.assertEqual(
            self.ask(link, b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Deleted)" % since)[-5:],
            [
                b"* 2 FETCH (UID 2 FLAGS (\\Answered \\Recent) MODSEQ (%d))" % theirs,
                b"* 1 FETCH (UID 1 MODSEQ (%d))" % (theirs + 1),
                b"* 2 FETCH (UID 2 MODSEQ (%d))" % (theirs + 2),
                b"* 3 FETCH (UID 3 MODSEQ (%d))" % (theirs + 1),
                b"OK STORE completed",
            ],
        )
        for command in (b"-FLAGS (\\Deleted)", b"FLAGS (\\Draft)", b"FLAGS.SILENT ()"):
            told = self.ask(link, b"UID STORE 2 (UNCHANGEDSINCE %d) " % since + command)
            self.assertEqual(told, [b"OK [MODIFIED 2] Conditional STORE failed"])
        self.assertEqual(self.ask(link, b"NOOP"), [b"OK NOOP completed"])
        self.assertEqual(self.flags()[1], {"\\Answered", "\\Deleted"})

    def test_search_modseq(self) -> None:
        """At or above; the highest of what is told comes with it, in SEARCH and in ESEARCH, of nothing nothing."""
        link = self.log_in("INBOX")
        self.flag(3)
        third = self.highest
        self.flag(1)
        first = self.highest
        self.ask(link, b"ENABLE CONDSTORE")
        for command, told in (
            (b"SEARCH MODSEQ %d" % third, b"SEARCH 1 3 (MODSEQ %d)" % first),
            (b'SEARCH MODSEQ "/flags/\\\\draft" all %d UID 2:*' % third, b"SEARCH 3 (MODSEQ %d)" % third),
            (b"SEARCH MODSEQ %d" % (first + 1), b"SEARCH"),
            (b"SEARCH MODSEQ 0 2", b"SEARCH 2 (MODSEQ %d)" % self.modseqs()[1]),
            (b"UID SEARCH RETURN (ALL) MODSEQ %d" % third, b'ESEARCH (TAG "t") UID ALL 1,3 MODSEQ %d' % first),
            (b"SEARCH RETURN (MAX) MODSEQ %d" % third, b'ESEARCH (TAG "t") MAX 3 MODSEQ %d' % third),
            (b"SEARCH RETURN (MIN MAX) MODSEQ 1", b'ESEARCH (TAG "t") MIN 1 MAX 4 MODSEQ %d' % first),
            (b"SEARCH RETURN (COUNT) MODSEQ %d" % (first + 1), b'ESEARCH (TAG "t") COUNT 0'),
            (b"SEARCH OR NOT MODSEQ 1 FLAGGED", b"SEARCH 1 3 (MODSEQ %d)" % first),
        ):
            self.assertIn(b"* " + told, self.ask(link, command), command)


class QresyncTests(CondstoreCase):
    """Coming back to a mailbox, and VANISHED."""

    def ask(self, link: Link, command: bytes, condition: bytes = b"OK") -> list[bytes]:
        """As ever, without RECENT, which is not what is looked at here."""
        return [line for line in super().ask(link, command, condition) if not line.endswith(b" RECENT")]

    def enabled(self, mailbox: bytes = b"") -> Link:
        """A peer that has switched QRESYNC on."""
        link = self.log_in()
        self.assertEqual(self.ask(link, b"ENABLE QRESYNC")[0], b"* ENABLED QRESYNC")
        if mailbox:
            self.ask(link, b"SELECT " + mailbox)
        return link

    def test_vanished_in_the_place_of_expunge(self) -> None:
        """EXPUNGE, UID EXPUNGE, MOVE and others' removals; tagged HIGHESTMODSEQ only where something went."""
        self.fill(4)
        link = self.enabled(b"INBOX")
        self.ask(link, b"STORE 2:3,5 +FLAGS.SILENT (\\Deleted)")
        lines = self.ask(link, b"UID EXPUNGE 5")
        self.assertEqual(lines, [b"* VANISHED 5", b"OK [HIGHESTMODSEQ %d] EXPUNGE completed" % self.highest])
        lines = self.ask(link, b"EXPUNGE")
        self.assertEqual(lines, [b"* VANISHED 2:3", b"OK [HIGHESTMODSEQ %d] EXPUNGE completed" % self.highest])
        self.assertEqual(self.ask(link, b"EXPUNGE"), [b"OK EXPUNGE completed"])
        self.ask(link, b"CREATE a")
        lines = self.ask(link, b"MOVE 2 a")
        self.assertRegex(lines[0], rb"\A\* OK \[COPYUID \d+ 4 1\] ")
        self.assertEqual(lines[1:], [b"* VANISHED 4", b"OK [HIGHESTMODSEQ %d] MOVE completed" % self.highest])
        self.world.result(self.mailbox().remove([1]))
        self.assertEqual(self.ask(link, b"NOOP"), [b"* VANISHED 1", b"OK NOOP completed"])
        self.flag(8)
        self.assertEqual(self.ask(link, b"NOOP")[0], b"* 3 FETCH (UID 8 FLAGS (\\Flagged \\Recent) MODSEQ (%d))" % self.highest)
        self.ask(link, b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        self.assertEqual(self.ask(link, b"CLOSE"), [b"OK CLOSE completed"])

    def test_vanished_waits(self) -> None:
        """FETCH, STORE, SEARCH and UID SEARCH keep the numbers; what has not been told is not counted as told."""
        link = self.enabled(b"INBOX")
        settled = self.highest
        self.world.result(self.mailbox().remove([2]))
        self.flag(1)
        for command in (b"FETCH 1 FLAGS", b"STORE 1 +FLAGS.SILENT (\\Draft)", b"SEARCH 1:4", b"UID SEARCH 1:4"):
            self.assertNotIn(b"VANISHED", b"".join(self.ask(link, command)))
        other = self.log_in("INBOX")
        self.world.result(self.mailbox().remove([4]))
        lines = self.ask(other, b"FETCH 1 MODSEQ")
        self.assertNotIn(b"* OK [HIGHESTMODSEQ %d] Highest" % self.highest, lines)
        self.assertGreater(self.highest, settled)
        self.assertEqual(self.ask(link, b"UID FETCH 1 FLAGS")[-2], b"* VANISHED 2,4")

    def test_coming_back(self) -> None:
        """What went, what changed and what is new since, and nothing else; then numbers are right."""
        link = self.enabled(b"INBOX")
        since, validity = self.highest, self.validity
        self.ask(link, b"UNSELECT")
        self.flag(3)
        self.world.result(self.mailbox().remove([1]))
        self.fill(1)
        lines = self.ask(link, b"SELECT INBOX (QRESYNC (%d %d))" % (validity, since))
        three, five = self.modseqs()[1], self.modseqs()[3]
        self.assertIn(b"* 4 EXISTS", lines)
        self.assertEqual(
            lines[-4:-1],
            [
                b"* VANISHED (EARLIER) 1",
                b"* 2 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (%d))" % three,
                b"* 4 FETCH (UID 5 FLAGS (\\Recent) MODSEQ (%d))" % five,
            ],
        )
        lines = self.ask(link, b"EXAMINE INBOX (QRESYNC (%d %d) CONDSTORE)" % (validity, self.highest))
        self.assertFalse([line for line in lines if b"FETCH" in line or b"VANISHED" in line])

    def test_known_uids_and_pairs(self) -> None:
        """Only what the client knows is told; pairs of numbers and UIDs are understood."""
        link = self.enabled()
        since, validity = self.highest, self.validity
        self.flag(2, 3)
        self.world.result(self.mailbox().remove([1, 4]))
        for arguments, vanished, rows in (
            (b"1:3", b"1", [b"2", b"3"]),
            (b"3:4", b"4", [b"3"]),
            (b"1:4 (1:2 1:2)", b"1,4", [b"2", b"3"]),
            (b"(1,3 2,4)", b"1,4", [b"2", b"3"]),
            (b"99", b"", []),
        ):
            lines = self.ask(link, b"SELECT INBOX (QRESYNC (%d %d %b))" % (validity, since, arguments))
            told = [b"* VANISHED (EARLIER) " + vanished] if vanished else []
            self.assertEqual([line for line in lines if b"VANISHED" in line], told)
            self.assertEqual([line.split()[4] for line in lines if b"FETCH" in line], rows)

    def test_another_uid_validity(self) -> None:
        """Then nothing is said of changes."""
        link = self.enabled()
        since, validity = self.highest, self.validity
        self.flag(2)
        lines = self.ask(link, b"SELECT INBOX (QRESYNC (%d %d))" % (validity + 1, since))
        self.assertFalse([line for line in lines if b"FETCH" in line])

    def test_what_is_bad(self) -> None:
        """QRESYNC without ENABLE changes nothing; malformed arguments open nothing."""
        link = self.log_in("INBOX")
        self.ask(link, b"SELECT INBOX (QRESYNC (1 1))", b"BAD")
        self.ask(link, b"CHECK")
        link = self.enabled()
        for bad in (
            b"QRESYNC", b"QRESYNC ()", b"QRESYNC (1)", b"QRESYNC (0 1)", b"QRESYNC (1 0)", b"QRESYNC (1 1 *)",
            b"QRESYNC (1 1 1:*)", b"QRESYNC (1 1 1 (1))", b"QRESYNC (1 1 1 (1 1:2))", b"QRESYNC (1 1 (1:* 1))",
            b"QRESYNC (1 1 1 (1 1) 1)", b"QRESYNC (1 1) QRESYNC (1 1)", b"QRESYNC (1 1", b"QRESYNC 1 1",
            b"QRESYNC (4294967296 1)", b"QRESYNC (1 9223372036854775808)",
        ):  # fmt: skip
            self.ask(link, b"SELECT INBOX (%b)" % bad, b"BAD")
        self.ask(link, b"CHECK", b"BAD")

    def test_uid_fetch_with_vanished(self) -> None:
        """Removed UIDs of the set asked for come first; those whose number is still there are told as VANISHED."""
        self.world.result(self.mailbox().remove([1]))
        link = self.enabled(b"INBOX")
        self.flag(3)
        self.world.result(self.mailbox().remove([4]))
        lines = self.ask(link, b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")
        self.assertEqual(lines[0], b"* VANISHED (EARLIER) 1")
        self.assertEqual([line.split()[1] for line in lines[1:3]], [b"1", b"2"])
        self.assertIn(b"* VANISHED 4", lines)
        lines = self.ask(link, b"UID FETCH 1:3 FLAGS (CHANGEDSINCE %d VANISHED)" % self.highest)
        self.assertEqual(lines, [b"OK FETCH completed"])
        lines = self.ask(link, b"UID FETCH 4:9 FLAGS (VANISHED CHANGEDSINCE 1)")
        self.assertEqual(lines, [b"* VANISHED (EARLIER) 4", b"OK FETCH completed"])

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        self.world.result(self.mailbox().remove([1]))
        said = (
            b"a LOGIN ann pw\r\nb ENABLE QRESYNC\r\nc SELECT INBOX (QRESYNC (%d 2 1:4 (1 2)))\r\n"
            b"d UID FETCH 1:2 (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\ne STORE 1 (UNCHANGEDSINCE 0) FLAGS ()\r\n"
        ) % self.validity
        wanted = re.compile(
            rb"\* VANISHED \(EARLIER\) 1\r\n.*c OK .*\* VANISHED \(EARLIER\) 1\r\n.*\r\nd OK .*\r\ne OK \[MODIFIED 1\] ",
            re.DOTALL,
        )
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)
