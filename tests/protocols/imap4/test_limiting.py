"""MESSAGELIMIT and SAVELIMIT.  RFC 9738."""

from __future__ import annotations

import re

from launcelot.core.ranges import shared
from launcelot.mailstore.interface import MessageState
from tests.protocols.imap4.world import ImapCase

UIDS = re.compile(rb"\A\* (\d+) FETCH \(.*?UID (\d+)")


class LimitedCase(ImapCase):
    """Seven messages, UIDs 1 to 9 without 3 and 6, of which one command works on three."""

    changes = {"message_limit": 3}

    def setUp(self) -> None:
        super().setUp()
        self.fill(9)
        self.world.result(self.mailbox().remove([3, 6]))
        self.link = self.log_in("INBOX")

    def numbers(self, lines: list[bytes]) -> list[tuple[int, int]]:
        """Sequence numbers and UIDs of FETCH responses, in their order."""
        found = [UIDS.match(line) for line in lines]
        return [(int(one[1]), int(one[2])) for one in found if one]


class MessageLimitTests(LimitedCase):
    """All commands that the RFC names.  Section 3.1."""

    def test_capability(self) -> None:
        """Told before and after login; without the setting not at all."""
        self.assertIn(b" MESSAGELIMIT=3 ", self.ask(self.link, b"CAPABILITY")[0])
        self.assertNotIn(b"SAVELIMIT", self.ask(self.link, b"CAPABILITY")[0])
        self.assertIn(b" MESSAGELIMIT=3 ", self.ask(self.connect(), b"CAPABILITY")[0])
        plain = self.connect(self.make_factory())
        self.assertNotIn(b"LIMIT=3", self.ask(plain, b"CAPABILITY")[0])

    def test_fetch(self) -> None:
        """The last three from the highest down, by number and by UID; fewer as ever."""
        lines = self.ask(self.link, b"FETCH 1:* (UID FLAGS)")
        self.assertEqual(self.numbers(lines), [(7, 9), (6, 8), (5, 7)])
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 7] "))
        lines = self.ask(self.link, b"UID FETCH 1:6 FLAGS")
        self.assertEqual(self.numbers(lines), [(4, 5), (3, 4), (2, 2)])
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 2] "))
        lines = self.ask(self.link, b"UID FETCH 1:4 FLAGS")
        self.assertEqual(self.numbers(lines), [(1, 1), (2, 2), (3, 4)])
        self.assertTrue(lines[-1].startswith(b"OK FETCH"))

    def test_fetch_is_resumed_below_the_lowest_uid(self) -> None:
        """A client that asks again for what lies below gets everything, each once."""
        found: list[int] = []
        upper = b"*"
        while True:
            lines = self.ask(self.link, b"UID FETCH 1:%b (UID RFC822.SIZE)" % upper)
            found.extend(uid for _, uid in self.numbers(lines))
            lowest = re.match(rb"OK \[MESSAGELIMIT 3 (\d+)\]", lines[-1])
            if lowest is None:
                break
            upper = b"%d" % (int(lowest[1]) - 1)
        self.assertEqual(sorted(found, reverse=True), [9, 8, 7, 5, 4, 2, 1])

    def test_fetch_of_bodies_marks_only_what_is_sent(self) -> None:
        """Those below keep their flags."""
        lines = self.ask(self.link, b"UID FETCH 1:* BODY[TEXT]<0.5>")
        self.assertEqual(sum(b"BODY[TEXT]<0> {5}" in line for line in lines), 3)
        self.assertEqual(self.ask(self.link, b"UID SEARCH UID 7:* SEEN")[0], b"* SEARCH 7 8 9")
        self.assertEqual(self.ask(self.link, b"UID SEARCH UID 1:5 SEEN")[0], b"* SEARCH")

    def test_piece_of_a_fetch(self) -> None:
        """As wide as the limit it is sent; wider it is refused, and no UID is named."""
        lines = self.ask(self.link, b"UID FETCH 1:* FLAGS (PARTIAL -1:-3)")
        self.assertEqual([uid for _, uid in self.numbers(lines)], [7, 8, 9])
        lines = self.ask(self.link, b"UID FETCH 1:* FLAGS (PARTIAL 4:1)", b"NO [MESSAGELIMIT 3] ")
        self.assertEqual(len(lines), 1)

    def test_changed_since_counts_what_has_changed(self) -> None:
        """A client that resynchronizes is not cut short by messages it is not told of."""
        highest = self.world.result(self.mailbox().status()).highest_modseq
        self.ask(self.link, b"UID STORE 1,5 +FLAGS (kw)")
        lines = self.ask(self.link, b"UID FETCH 1:* FLAGS (CHANGEDSINCE %d)" % highest)
        self.assertEqual([uid for _, uid in self.numbers(lines)], [1, 5])
        self.assertTrue(lines[-1].startswith(b"OK FETCH"))
        lines = self.ask(self.link, b"UID FETCH 1:* FLAGS (CHANGEDSINCE 1)")
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 7] "))

    def test_store(self) -> None:
        """Flags of the last three change; the client goes on below."""
        lines = self.ask(self.link, b"UID STORE 1:8 +FLAGS (\\Flagged)")
        self.assertEqual(sorted(uid for _, uid in self.numbers(lines)), [5, 7, 8])
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 5] "))
        self.assertEqual([state.uid for state in self.states("\\Flagged")], [5, 7, 8])
        self.assertTrue(self.ask(self.link, b"STORE 1:3 +FLAGS.SILENT (\\Flagged)")[-1].startswith(b"OK STORE"))

    def states(self, flag: str) -> list[MessageState]:
        """The states of messages with a flag."""
        return [state for state in self.world.result(self.mailbox().states()) if flag in state.flags]

    def test_conditional_store(self) -> None:
        """MODIFIED stays in the tagged answer; the limit is told ahead of it."""
        highest = self.world.result(self.mailbox().status()).highest_modseq
        self.ask(self.link, b"UID STORE 8 FLAGS (kw)")
        lines = self.ask(self.link, b"UID STORE 1:* (UNCHANGEDSINCE %d) +FLAGS (\\Flagged)" % highest)
        self.assertTrue(lines[-1].startswith(b"OK [MODIFIED 8] "))
        self.assertTrue(lines[-2].startswith(b"* NO [MESSAGELIMIT 3 7] "))

    def test_copy_is_all_or_nothing(self) -> None:
        """Too many are refused with the UID from which on they could be copied; nothing is copied."""
        self.ask(self.link, b"CREATE a")
        self.ask(self.link, b"UID COPY 1:8 a", b"NO [MESSAGELIMIT 3 5] ")
        self.ask(self.link, b"COPY 1:4 a", b"NO [MESSAGELIMIT 3 2] ")
        self.assertEqual(self.flags("a"), [])
        self.ask(self.link, b"UID COPY 5:8 a", b"OK [COPYUID ")

    def test_move(self) -> None:
        """The last three go; the same command again moves the next, until no limit is told."""
        self.ask(self.link, b"CREATE a")
        lines = self.ask(self.link, b"UID MOVE 1:* a")
        self.assertRegex(lines[0], rb"\A\* OK \[COPYUID \d+ 7:9 1:3\] ")
        self.assertEqual(lines[1:4], [b"* 7 EXPUNGE", b"* 6 EXPUNGE", b"* 5 EXPUNGE"])
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 7] "))
        self.assertTrue(self.ask(self.link, b"UID MOVE 1:* a")[-1].startswith(b"OK [MESSAGELIMIT 3 2] "))
        self.assertTrue(self.ask(self.link, b"UID MOVE 1:* a")[-1].startswith(b"OK MOVE"))
        self.assertEqual(len(self.flags("a")), 7)

    def test_move_with_qresync(self) -> None:
        """HIGHESTMODSEQ stays in the tagged answer."""
        self.ask(self.link, b"CREATE a")
        self.ask(self.link, b"ENABLE QRESYNC")
        lines = self.ask(self.link, b"MOVE 2:* a")
        self.assertIn(b"* VANISHED 7:9", lines)
        self.assertTrue(lines[-2].startswith(b"* NO [MESSAGELIMIT 3 7] "))
        self.assertTrue(lines[-1].startswith(b"OK [HIGHESTMODSEQ "))

    def test_uid_expunge_counts_deleted_messages(self) -> None:
        """The last three that are Deleted go; others do not count."""
        for said in (b"1:2,4", b"8"):
            self.ask(self.link, b"UID STORE %b +FLAGS.SILENT (\\Deleted)" % said)
        lines = self.ask(self.link, b"UID EXPUNGE 1:*")
        self.assertEqual(lines[:3], [b"* 6 EXPUNGE", b"* 3 EXPUNGE", b"* 2 EXPUNGE"])
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 2] "))
        lines = self.ask(self.link, b"UID EXPUNGE 1:*")
        self.assertEqual(lines[0], b"* 1 EXPUNGE")
        self.assertTrue(lines[-1].startswith(b"OK EXPUNGE"))

    def test_expunge_close_and_status_are_not_bounded(self) -> None:
        """They take the whole mailbox."""
        for said in (b"1:3", b"4:6", b"7"):
            self.ask(self.link, b"STORE %b +FLAGS.SILENT (\\Deleted)" % said)
        self.assertIn(b"* STATUS \"INBOX\" (UNSEEN 7 DELETED 7)", self.ask(self.link, b"STATUS INBOX (UNSEEN DELETED)"))
        lines = self.ask(self.link, b"EXPUNGE")
        self.assertEqual(sum(line.endswith(b" EXPUNGE") for line in lines), 7)
        self.assertTrue(lines[-1].startswith(b"OK EXPUNGE"))
        self.fill(4, flags=("\\Deleted",))
        self.ask(self.link, b"CLOSE")
        self.assertEqual(self.flags(), [])

    def test_gone_messages_and_the_limit(self) -> None:
        """EXPUNGEISSUED stays in the tagged answer, the limit is told by an untagged NO."""
        self.world.result(self.mailbox().remove([8]))
        lines = self.ask(self.link, b"FETCH 1:* UID", b"NO [EXPUNGEISSUED] ")
        self.assertEqual(self.numbers(lines), [(7, 9), (5, 7)])
        self.assertTrue(lines[-2].startswith(b"* NO [MESSAGELIMIT 3 7] "), lines)

    def test_append(self) -> None:
        """Three messages are added, four are not: none of them, and their octets are not taken for commands."""
        self.ask(self.link, b"APPEND INBOX" + 3 * b" {3+}\r\nabc")
        self.ask(self.link, b"APPEND INBOX" + 4 * b" {3+}\r\nabc", b"NO [MESSAGELIMIT 3] ")
        self.ask(self.link, b"APPEND INBOX" + 5 * b" CATENATE (TEXT {3+}\r\nabc)", b"NO [MESSAGELIMIT 3] ")
        self.link.say(b"t APPEND INBOX" + 3 * b" {3+}\r\nabc" + b" {3}\r\n")
        self.assertTrue(self.link.take().startswith(b"t NO [MESSAGELIMIT 3] "))
        self.assertEqual(self.ask(self.link, b"STATUS INBOX (MESSAGES)")[-2], b'* STATUS "INBOX" (MESSAGES 10)')

    def test_uidonly(self) -> None:
        """Rows by UID, from the highest down."""
        self.ask(self.link, b"ENABLE UIDONLY")
        lines = self.ask(self.link, b"UID FETCH 1:* FLAGS")
        self.assertEqual([line.split()[1] for line in lines[:3]], [b"9", b"8", b"7"])
        self.assertTrue(lines[-1].startswith(b"OK [MESSAGELIMIT 3 7] "))


class SearchTests(LimitedCase):
    """What a search is bounded to.  Sections 3.1 to 3.4."""

    def search(self, keys: bytes) -> tuple[bytes, bytes]:
        """The SEARCH or ESEARCH response, and the response code of the tagged one."""
        lines = self.ask(self.link, b"UID SEARCH " + keys)
        code = re.match(rb"OK (?:\[(.*?)\] )?", lines[-1])
        self.assertIsNotNone(code)
        return lines[0], (code and code[1]) or b""

    def test_searched_messages_count(self) -> None:
        """Those that are looked at, not those that match."""
        self.assertEqual(self.search(b"ALL"), (b"* SEARCH 7 8 9", b"MESSAGELIMIT 3 7"))
        self.assertEqual(self.search(b"SEEN"), (b"* SEARCH", b"MESSAGELIMIT 3 7"))
        self.assertEqual(self.search(b"NOT UID 7"), (b"* SEARCH 8 9", b"MESSAGELIMIT 3 7"))
        self.assertEqual(self.search(b"OR UID 1 UID 9"), (b"* SEARCH 9", b"MESSAGELIMIT 3 7"))

    def test_sets_narrow_what_is_searched(self) -> None:
        """UIDs, numbers, what is beside a UID, alone and together, in parentheses too."""
        for keys, found in (
            (b"UID 1:4 UNSEEN", b"1 2 4"),
            (b"1:3", b"1 2 4"),
            (b"UNSEEN (UID 1:5 UID 4:9)", b"4 5"),
            (b"UIDAFTER 5", b"7 8 9"),
            (b"UIDBEFORE 4", b"1 2"),
            (b"UIDAFTER 2 UIDBEFORE 8", b"4 5 7"),
            (b"UID 20:30", b""),
        ):
            self.assertEqual(self.search(keys), ((b"* SEARCH " + found).rstrip(), b""))
        self.assertEqual(self.search(b"UID 1:7 ALL"), (b"* SEARCH 4 5 7", b"MESSAGELIMIT 3 4"))
        self.assertEqual(self.search(b"1:7 UIDBEFORE 6"), (b"* SEARCH 2 4 5", b"MESSAGELIMIT 3 2"))

    def test_beside(self) -> None:
        """UIDAFTER the last is nobody, where ``UID 10:*`` would be the last; UIDBEFORE 1 is nobody."""
        self.assertEqual(self.search(b"UIDAFTER 9")[0], b"* SEARCH")
        self.assertEqual(self.search(b"UIDAFTER 4294967295")[0], b"* SEARCH")
        self.assertEqual(self.search(b"UIDBEFORE 1")[0], b"* SEARCH")
        self.assertEqual(self.search(b"UIDAFTER 7 NOT UIDAFTER 8")[0], b"* SEARCH 8")
        for wrong in (b"UIDAFTER 0", b"UIDAFTER 1:2", b"UIDBEFORE *", b"UIDBEFORE", b"UIDAFTER 4294967296"):
            self.ask(self.link, b"UID SEARCH " + wrong, b"BAD ")

    def test_beside_what_was_saved(self) -> None:
        """Both searches can be sent at once.  Section 3.2."""
        self.ask(self.link, b"UID SEARCH RETURN (SAVE) UID 4:5")
        self.assertEqual(self.search(b"UIDBEFORE $")[0], b"* SEARCH 1 2")
        self.assertEqual(self.search(b"UIDAFTER $")[0], b"* SEARCH 7 8 9")
        self.ask(self.link, b"UID SEARCH RETURN (SAVE) UID 4 SEEN")
        self.assertEqual(self.search(b"UIDAFTER $")[0], b"* SEARCH")

    def test_return_options(self) -> None:
        """COUNT, MIN and ALL are of what was searched; SAVE keeps no more."""
        found, code = self.search(b"RETURN (MIN COUNT ALL) ALL")
        self.assertTrue(found.endswith(b" UID MIN 7 COUNT 3 ALL 7:9"))
        self.assertEqual(code, b"MESSAGELIMIT 3 7")
        lines = self.ask(self.link, b"UID SEARCH RETURN (SAVE) ALL")
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].startswith(b"OK [MESSAGELIMIT 3 7] "))
        lines = self.ask(self.link, b"UID FETCH $ UID")
        self.assertEqual([uid for _, uid in self.numbers(lines)], [7, 8, 9])
        found, _ = self.search(b"RETURN (PARTIAL 1:2) ALL")
        self.assertTrue(found.endswith(b" UID PARTIAL (1:2 7:8)"))

    def test_modseq(self) -> None:
        """CONDSTORE's key is a key like others."""
        self.ask(self.link, b"ENABLE CONDSTORE")
        found, code = self.search(b"MODSEQ 1")
        self.assertTrue(found.startswith(b"* SEARCH 7 8 9 (MODSEQ "))
        self.assertEqual(code, b"MESSAGELIMIT 3 7")

    def test_gone_messages(self) -> None:
        """EXPUNGEISSUED of a search by numbers stays in the tagged answer."""
        self.world.result(self.mailbox().remove([8]))
        self.ask(self.link, b"FETCH 1 UID")
        lines = self.ask(self.link, b"SEARCH ALL")
        self.assertEqual(lines[0], b"* SEARCH 5 7")
        self.assertTrue(lines[1].startswith(b"* NO [MESSAGELIMIT 3 7] "))
        self.assertTrue(lines[2].startswith(b"OK [EXPUNGEISSUED] "))

    def test_sort_and_thread(self) -> None:
        """SORT has its keys stored; THREAD of more is refused, of as many it is not."""
        self.assertEqual(self.ask(self.link, b"UID SORT (REVERSE ARRIVAL) UTF-8 ALL")[0].count(b" "), 8)
        self.ask(self.link, b"UID THREAD REFERENCES UTF-8 ALL", b"NO [MESSAGELIMIT 3] ")
        self.assertIn(b"* THREAD (", self.ask(self.link, b"UID THREAD REFERENCES UTF-8 UID 1:4")[0])

    def test_several_mailboxes(self) -> None:
        """ESEARCH is not bounded: the RFC does not name it, and one UID could not speak for several mailboxes."""
        lines = self.ask(self.link, b"ESEARCH IN (personal) RETURN (COUNT) ALL")
        self.assertTrue(lines[0].endswith(b"UID COUNT 7"))


class SaveLimitTests(LimitedCase):
    """Only COPY and APPEND are bounded.  Section 3."""

    changes = {"message_limit": 3, "message_limit_commands": "saving"}

    def test_only_saving(self) -> None:
        """SAVELIMIT is told in the place of MESSAGELIMIT; all else is done in full."""
        told = self.ask(self.link, b"CAPABILITY")[0]
        self.assertIn(b" SAVELIMIT=3 ", told)
        self.assertNotIn(b"MESSAGELIMIT", told)
        self.assertEqual(len(self.ask(self.link, b"FETCH 1:* FLAGS")), 8)
        self.assertEqual(len(self.ask(self.link, b"STORE 1:* +FLAGS (kw)")), 10)
        self.assertEqual(len(self.ask(self.link, b"UID FETCH 1:* FLAGS (PARTIAL 1:6)")), 7)
        self.assertEqual(self.ask(self.link, b"SEARCH ALL")[0], b"* SEARCH 1 2 3 4 5 6 7")
        self.ask(self.link, b"THREAD REFERENCES UTF-8 ALL")
        self.ask(self.link, b"CREATE a")
        self.ask(self.link, b"UID COPY 1:* a", b"NO [MESSAGELIMIT 3 7] ")
        self.ask(self.link, b"APPEND a" + 4 * b" {3+}\r\nabc", b"NO [MESSAGELIMIT 3] ")
        self.assertTrue(self.ask(self.link, b"UID MOVE 1:* a")[-1].startswith(b"OK MOVE"))


class InFilesTests(MessageLimitTests):
    """The same on SQLite files."""

    in_files = True


class SharedRangesTests(ImapCase):
    """What lies in two series of ranges."""

    def test_shared(self) -> None:
        """Against sets of numbers."""
        series = [
            [], [(1, 3)], [(2, 2), (4, 9)], [(1, 1), (3, 3), (5, 5)], [(1, 20)], [(4, 4), (9, 12)],
        ]  # fmt: skip
        for some in series:
            for others in series:
                expected = expand(some) & expand(others)
                self.assertEqual(expand(shared(some, others)), expected)
                self.assertEqual(shared(some, others), sorted(shared(some, others)))


def expand(ranges: list[tuple[int, int]]) -> set[int]:
    """The numbers in ranges."""
    return {number for low, high in ranges for number in range(low, high + 1)}
