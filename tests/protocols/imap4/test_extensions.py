"""Small extensions: ENABLE, WITHIN, SEARCHRES, APPENDLIMIT, SAVEDATE, OBJECTID, MULTIAPPEND."""

from __future__ import annotations

from datetime import timedelta

from launcelot.mailstore.interface import StoreMode
from launcelot.protocols.imap4.commands.assembling import MAX_MESSAGES
from launcelot.testing.link import every_split
from tests.protocols.imap4.world import MESSAGE, ImapCase


class SearchExtensionTests(ImapCase):
    """WITHIN, SEARCHRES, SAVEDATE, OBJECTID in SEARCH."""

    def setUp(self) -> None:
        super().setUp()
        now = self.world.site.now()
        box = self.mailbox()
        for age in (3 * 86_400, 3_600, 60):
            self.world.result(box.append(MESSAGE, (), now - timedelta(seconds=age)))
        self.fill(1, flags=("\\Flagged",))
        self.link = self.log_in("INBOX")

    def found(self, keys: bytes) -> bytes:
        """The SEARCH response to keys."""
        (line, _) = self.ask(self.link, b"SEARCH " + keys)
        return line

    def test_younger_and_older(self) -> None:
        """Seconds before now, the edge belonging to both; combined, negated, and longer than there have been dates."""
        for said, found in (
            (b"YOUNGER 3599", b" 3 4"),
            (b"YOUNGER 3600", b" 2 3 4"),
            (b"OLDER 3600", b" 1 2"),
            (b"older 3601", b" 1"),
            (b"NOT OLDER 60", b" 4"),
            (b"OLDER 60 YOUNGER 86400", b" 2 3"),
            (b"YOUNGER 4294967295", b" 1 2 3 4"),
            (b"OLDER 4294967295", b""),
            (b"OR OLDER 90000 FLAGGED", b" 1 4"),
            (b"YOUNGER 3600 TEXT meet", b" 2 3 4"),
        ):
            self.assertEqual(self.found(said), b"* SEARCH" + found, said)
        for bad in (b"YOUNGER 0", b"OLDER -1", b"YOUNGER", b"OLDER x", b"YOUNGER 4294967296"):
            self.ask(self.link, b"SEARCH " + bad, b"BAD")

    def test_saved_result(self) -> None:
        """``$`` works in every command with a set, by number and by UID, also within SEARCH."""
        link = self.link
        self.ask(link, b"CREATE a")
        self.assertEqual(self.ask(link, b"SEARCH RETURN (SAVE) YOUNGER 3600"), [b"OK SEARCH completed"])
        self.assertEqual([line.split()[1] for line in self.ask(link, b"FETCH $ UID")[:-1]], [b"2", b"3", b"4"])
        self.assertEqual(self.ask(link, b"UID FETCH $ UID")[0], b"* 2 FETCH (UID 2)")
        self.assertEqual(self.found(b"$ UNFLAGGED"), b"* SEARCH 2 3")
        self.assertEqual(self.found(b"OR NOT $ UID 3"), b"* SEARCH 1 3")
        self.assertEqual(self.ask(link, b"UID SEARCH UID $ SMALLER 4096")[0], b"* SEARCH 2 3 4")
        self.assertIn(b" 2:4 1:3]", self.ask(link, b"COPY $ a")[-1])
        self.ask(link, b"STORE $ +FLAGS.SILENT (\\Deleted)")
        self.assertEqual(sum("\\Deleted" in flags for flags in self.flags()), 3)
        self.ask(link, b"UID SEARCH RETURN (SAVE) UID 3")
        self.assertIn(b"* 3 EXPUNGE", self.ask(link, b"UID EXPUNGE $"))
        self.assertEqual(self.ask(link, b"FETCH $ UID"), [b"OK FETCH completed"])
        self.ask(link, b"SEARCH RETURN (SAVE) ALL")
        self.assertIn(b" 1:2,4 4:6]", self.ask(link, b"UID MOVE $ a")[0])
        self.assertEqual(self.found(b"$"), b"* SEARCH")

    def test_saved_result_and_other_options(self) -> None:
        """MIN and MAX alone save what they tell, ALL and COUNT all.  RFC 5182 section 2.4."""
        for options, told, saved in (
            (b"SAVE", None, b" 1 2 3 4"),
            (b"SAVE MIN", b" MIN 1", b" 1"),
            (b"MAX SAVE", b" MAX 4", b" 4"),
            (b"SAVE MIN MAX", b" MIN 1 MAX 4", b" 1 4"),
            (b"SAVE MIN COUNT", b" MIN 1 COUNT 4", b" 1 2 3 4"),
            (b"ALL MIN SAVE", b" ALL 1:4 MIN 1", b" 1 2 3 4"),
        ):
            lines = self.ask(self.link, b"SEARCH RETURN (%b) ALL" % options)
            self.assertEqual(lines[:-1], [b'* ESEARCH (TAG "t")' + told] if told else [])
            self.assertEqual(self.found(b"$"), b"* SEARCH" + saved)
        self.ask(self.link, b"SEARCH RETURN (SAVE MIN MAX) 2")
        self.assertEqual(self.found(b"$"), b"* SEARCH 2")
        self.ask(self.link, b"SEARCH RETURN (SAVE MIN) DRAFT")
        self.assertEqual(self.found(b"$"), b"* SEARCH")

    def test_when_the_saved_result_is_kept_and_dropped(self) -> None:
        """Kept by BAD, by a SEARCH without SAVE and by NO to that; emptied by SELECT and by NO to one with SAVE."""
        link = self.link
        self.ask(link, b"SEARCH RETURN (SAVE) 2:3")
        for command, condition in (
            (b"SEARCH RETURN (SAVE) NONSENSE", b"BAD"),
            (b"SEARCH 1", b"OK"),
            (b"SEARCH CHARSET X-FOO ALL", b"NO"),
        ):
            self.ask(link, command, condition)
            self.assertEqual(self.found(b"$"), b"* SEARCH 2 3")
        self.ask(link, b"SEARCH RETURN (SAVE) CHARSET X-FOO ALL", b"NO [BADCHARSET")
        self.assertEqual(self.found(b"$"), b"* SEARCH")
        self.ask(link, b"SEARCH RETURN (SAVE) 2:3")
        self.ask(link, b"EXAMINE INBOX")
        self.assertEqual(self.found(b"$"), b"* SEARCH")
        for bad in (b"FETCH $,1 UID", b"FETCH 1,$ UID", b"FETCH $$ UID", b"SEARCH $1", b"FETCH 1:$ UID", b"COPY $"):
            self.ask(link, bad, b"BAD")

    def test_numbers_of_saved_messages_shift(self) -> None:
        """What is saved are messages, not numbers; one that goes leaves the set."""
        link = self.link
        self.ask(link, b"SEARCH RETURN (SAVE) 2:4")
        self.world.result(self.mailbox().remove([1, 3]))
        self.ask(link, b"NOOP")
        self.assertEqual(self.found(b"$"), b"* SEARCH 1 2")
        self.assertEqual([line.split()[1] for line in self.ask(link, b"FETCH $ UID")[:-1]], [b"1", b"2"])

    def test_a_saved_set_of_many_pieces(self) -> None:
        """A thousand messages, each apart from the next."""
        uids = self.fill(2_000)
        self.world.result(self.mailbox().store(uids[::2], StoreMode.ADD, ["kw"]))
        self.ask(self.link, b"NOOP")
        self.assertEqual(
            self.ask(self.link, b"UID SEARCH RETURN (SAVE COUNT) KEYWORD kw")[0], b'* ESEARCH (TAG "t") UID COUNT 1000'
        )
        self.assertEqual(self.ask(self.link, b"SEARCH RETURN (COUNT) $")[0], b'* ESEARCH (TAG "t") COUNT 1000')
        self.assertEqual(
            self.ask(self.link, b"UID SEARCH RETURN (MIN MAX COUNT) NOT $ UNKEYWORD kw")[0],
            b'* ESEARCH (TAG "t") UID MIN 1 MAX 2004 COUNT 1004',
        )

    def test_partial_results(self) -> None:
        """Pieces from both ends, beyond them, with other options and SAVE; of UID FETCH, too.  RFC 9394."""
        link = self.link
        for said, told in (
            (b"SEARCH RETURN (PARTIAL 1:2) ALL", b"PARTIAL (1:2 1:2)"),
            (b"UID SEARCH RETURN (PARTIAL -1:-3) ALL", b"UID PARTIAL (-1:-3 2:4)"),
            (b"SEARCH RETURN (COUNT PARTIAL 4:9) ALL", b"COUNT 4 PARTIAL (4:9 4)"),
            (b"SEARCH RETURN (PARTIAL -9:-3 MIN) ALL", b"PARTIAL (-9:-3 1:2) MIN 1"),
            (b"SEARCH RETURN (PARTIAL 5:4294967295) ALL", b"PARTIAL (5:4294967295 NIL)"),
            (b"SEARCH RETURN (PARTIAL 1:1) DRAFT", b"PARTIAL (1:1 NIL)"),
        ):
            self.assertEqual(self.ask(link, said)[0], b'* ESEARCH (TAG "t") ' + told)
        for options, saved in (
            (b"PARTIAL 2:3", b" 2 3"),
            (b"PARTIAL 2:3 MIN", b" 1 2 3"),
            (b"MAX PARTIAL 2:2 MIN", b" 1 2 4"),
            (b"PARTIAL 2:3 COUNT MIN", b" 1 2 3 4"),
        ):
            self.ask(link, b"SEARCH RETURN (SAVE %b) ALL" % options)
            self.assertEqual(self.found(b"$"), b"* SEARCH" + saved)
        for said, uids in (
            (b"(PARTIAL -1:-2)", [b"3", b"4"]),
            (b"(PARTIAL 2:1)", [b"1", b"2"]),
            (b"(PARTIAL 9:10)", []),
            (b"(PARTIAL 1:3 CHANGEDSINCE 3)", [b"3"]),
            (b"(CHANGEDSINCE 3 PARTIAL 1:2)", []),
        ):
            lines = self.ask(link, b"UID FETCH 1:* UID " + said)
            self.assertEqual([line.split()[4].rstrip(b")") for line in lines if b"FETCH (" in line], uids)
        for bad in (
            b"SEARCH RETURN (PARTIAL) ALL", b"SEARCH RETURN (PARTIAL 0:1) ALL", b"SEARCH RETURN (PARTIAL -1:2) ALL",
            b"SEARCH RETURN (PARTIAL 1:-2) ALL", b"SEARCH RETURN (PARTIAL 1:2 ALL) ALL", b"SEARCH RETURN (PARTIAL 5) ALL",
            b"SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", b"FETCH 1 UID (PARTIAL 1:2)",
            b"UID FETCH 1 UID (PARTIAL 1:2 PARTIAL 1:2)",
            b"UID FETCH 1 UID (PARTIAL)", b"SORT RETURN (PARTIAL 1:2) (DATE) UTF-8 ALL", b"SEARCH RETURN (PARTIAL 1:*) ALL",
        ):  # fmt: skip
            self.ask(link, bad, b"BAD")

    def test_save_dates(self) -> None:
        """SAVEDATE tells when a message came into this mailbox; the keys compare its day.  RFC 8514."""
        self.assertEqual(
            self.ask(self.link, b"FETCH 1 (SAVEDATE INTERNALDATE)")[0],
            b'* 1 FETCH (SAVEDATE "14-Nov-2023 22:13:20 +0000" INTERNALDATE "11-Nov-2023 22:13:20 +0000")',
        )
        for said, found in (
            (b"SAVEDON 14-Nov-2023", b" 1 2 3 4"),
            (b"SAVEDBEFORE 14-Nov-2023", b""),
            (b"SAVEDSINCE 14-Nov-2023", b" 1 2 3 4"),
            (b'SAVEDBEFORE "15-Nov-2023"', b" 1 2 3 4"),
            (b"SAVEDSINCE 15-Nov-2023", b""),
            (b"SAVEDATESUPPORTED NOT SAVEDON 1-Jan-2024 FLAGGED", b" 4"),
        ):
            self.assertEqual(self.found(said), b"* SEARCH" + found, said)
        self.ask(self.link, b"SEARCH SAVEDON 31-Feb-2024", b"BAD")

    def test_object_ids(self) -> None:
        """MAILBOXID outlives a rename, EMAILID a move and a copy; THREADID is one for a message and its answers.  RFC 8474."""
        link = self.link
        made = self.ask(link, b"CREATE a")[-1]
        self.assertRegex(made, rb"\AOK \[MAILBOXID \([A-Za-z0-9_-]{1,255}\)\] ")
        id = made.split(b"(")[1].split(b")")[0]
        self.assertEqual(self.ask(link, b"STATUS a (MAILBOXID)")[0], b'* STATUS "a" (MAILBOXID (%b))' % id)
        self.ask(link, b"RENAME a b")
        self.assertIn(b"* OK [MAILBOXID (%b)] Kept through renaming" % id, self.ask(self.log_in(), b"EXAMINE b"))
        row = self.ask(link, b"FETCH 4 (EMAILID THREADID)")[0]
        self.assertRegex(row, rb"\A\* 4 FETCH \(EMAILID \([A-Za-z0-9_-]{1,255}\) THREADID \(T[A-Za-z0-9_-]{1,254}\)\)\Z")
        email = row.split(b"EMAILID (")[1].split(b")")[0]
        self.assertEqual(self.found(b"EMAILID " + email), b"* SEARCH 4")
        self.assertEqual(self.found(b"NOT EMAILID " + email), b"* SEARCH 1 2 3")
        self.assertEqual(self.found(b"THREADID T1"), b"* SEARCH")
        thread = row.split(b"THREADID (")[1].split(b")")[0]
        self.fill(1, b"References: <a@x>\r\n\r\nx", "b")
        self.ask(link, b"APPEND INBOX {22+}\r\nMessage-ID: <a@x>\r\n\r\nx")
        other = self.ask(link, b"FETCH 5 (THREADID BODY.PEEK[1])")[0].split(b"THREADID (")[1].split(b")")[0]
        self.assertNotEqual(other, thread)
        again = self.log_in("b")
        self.assertEqual(self.ask(again, b"UID FETCH 1 THREADID")[0], b"* 1 FETCH (UID 1 THREADID (%b))" % other)
        self.assertEqual(self.ask(again, b"SEARCH THREADID " + other)[0], b"* SEARCH 1")
        self.ask(link, b"STORE 5 +FLAGS.SILENT (\\Deleted)")
        self.ask(link, b"EXPUNGE")
        self.ask(link, b"COPY 4 INBOX")
        self.assertEqual(self.found(b"EMAILID " + email), b"* SEARCH 4 5")
        self.ask(link, b"MOVE 4 b")
        self.ask(link, b"SELECT b")
        self.assertEqual(self.found(b"EMAILID " + email), b"* SEARCH 2")
        for bad in (b"SEARCH EMAILID", b"SEARCH EMAILID (x)", b"SEARCH EMAILID " + b"x" * 256, b'SEARCH EMAILID "x"'):
            self.ask(link, bad, b"BAD")

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb SELECT INBOX\r\nc SEARCH RETURN (SAVE MIN) OR YOUNGER 3600 EMAILID x\r\n"
            b"d FETCH $ (SAVEDATE THREADID)\r\ne ENABLE X-NONE\r\n"
        )
        wanted = rb'(?s)c OK .*\* 2 FETCH \(SAVEDATE "[^"]*" THREADID \(T\S+\)\)\r\nd OK .*\* ENABLED\r\ne OK '
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)


class EnableTests(ImapCase):
    """ENABLE."""

    def test_enable(self) -> None:
        """What nobody knows is passed over; names are atoms; one is needed; not before login."""
        link = self.log_in()
        self.assertEqual(self.ask(link, b"ENABLE X-GOOD-IDEA IDLE"), [b"* ENABLED", b"OK ENABLE completed"])
        for bad in (b"ENABLE", b"ENABLE ", b'ENABLE "CONDSTORE"', b"ENABLE (X)", b"ENABLE X  Y"):
            self.ask(link, bad, b"BAD")
        self.ask(link, b"ENABLE" + b" X" * 101, b"BAD")
        self.ask(self.connect(), b"ENABLE X", b"BAD")


class MultiAppendTests(ImapCase):
    """MULTIAPPEND and APPENDLIMIT."""

    changes = {"max_append_size": 100_000}

    def test_append_limit(self) -> None:
        """The limit stands in CAPABILITY and STATUS, holds, and is not the limit of all messages together."""
        link = self.connect()
        self.assertIn(b" APPENDLIMIT=100000 ", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"LOGIN ann pw")
        self.assertEqual(self.ask(link, b"STATUS INBOX (APPENDLIMIT)")[0], b'* STATUS "INBOX" (APPENDLIMIT 100000)')
        self.ask(link, b"APPEND INBOX {100001}", b"NO [TOOBIG]")
        self.ask(link, b"APPEND INBOX {10+}\r\n0123456789 {100001}", b"NO [TOOBIG]")
        body = b"x" * 100_000
        link.say(b"t APPEND INBOX {100000+}\r\n%b {100000+}\r\n%b\r\n" % (body, body))
        self.assertRegex(link.take(), rb"\At OK \[APPENDUID \d+ 1:2\] ")

    def test_several_messages(self) -> None:
        """Each with its flags and date, synchronizing or not; one APPENDUID; all are there at once."""
        link = self.log_in("INBOX")
        link.say(b't APPEND INBOX (\\Seen) {5}\r\n')
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(b'first "17-Jul-1996 02:44:25 -0700" {6+}\r\nsecond {5}\r\n')
        self.assertEqual(link.take(), b"+ OK\r\n")
        self.assertEqual(self.flags(), [])
        link.say(b'third (kw) "18-Jul-1996 02:44:25 -0700" {6+}\r\nfourth\r\n')
        heard = link.take()
        self.assertRegex(heard, rb"(?s)\A\* 4 EXISTS\r\n\* 4 RECENT\r\n.*t OK \[APPENDUID \d+ 1:4\] ")
        self.assertEqual(self.flags(), [{"\\Seen"}, frozenset(), frozenset(), {"kw"}])
        for number, octets in enumerate((b"first", b"second", b"third", b"fourth"), 1):
            self.assertEqual(self.world.result(self.mailbox().read(number, 0, 100)), octets)
        self.assertIn(b"17-Jul-1996", self.ask(link, b"FETCH 2 INTERNALDATE")[0])

    def test_large_messages(self) -> None:
        """Staged in a file, each comes out as it went in."""
        link = self.log_in()
        bodies = [bytes([65 + number]) * (100_000 - number) for number in range(6)]
        link.say(b"t APPEND INBOX" + b"".join(b" {%d+}\r\n%b" % (len(body), body) for body in bodies) + b"\r\n")
        self.assertIn(b"t OK [APPENDUID", link.take())
        for number, body in enumerate(bodies, 1):
            self.assertEqual(self.world.result(self.mailbox().read(number, 0, 200_000)), body)

    def test_all_or_none(self) -> None:
        """Whatever is wrong with a later message, no message is added and the session goes on."""
        link = self.log_in()
        for rest, reply in (
            (b" {0+}\r\n", b"NO [CANNOT]"),
            (b" {3+}\r\na\0b", b"BAD"),
            (b" {100001+}\r\n" + b"x" * 100_001, b"NO"),
            (b" nonsense {3+}\r\nabc", b"BAD"),
            (b" (\\Recent) {3+}\r\nabc", b"BAD"),
            (b' "99-Jul-1996 02:44:25 -0700" {3+}\r\nabc', b"BAD"),
            (b" (a", b"BAD"),
            (b" ", b"BAD"),
            (b" {3+}\r\nabc {3+}\r\nabcd", b"BAD"),
            (b" {10+}\r\nx LOGOUT\r\n {0+}\r\n", b"NO [CANNOT]"),
        ):
            link.say(b"t APPEND INBOX {3+}\r\nabc" + rest + b"\r\nz NOOP\r\n")
            heard = link.take()
            if link.closed:
                self.assertIn(b"* BYE literal is too large", heard)
                link = self.log_in()
            else:
                self.assertTrue(heard.startswith(b"t " + reply), (rest, heard))
                self.assertTrue(heard.endswith(b"\r\nz OK NOOP completed\r\n"), (rest, heard))
            self.assertEqual(self.flags(), [])

    def test_too_many_messages(self) -> None:
        """Their number is bounded."""
        link = self.log_in()
        link.say(b"t APPEND INBOX" + b" {1+}\r\nx" * (MAX_MESSAGES + 1) + b"\r\n")
        self.assertIn(b"t NO [LIMIT]", link.take())
        self.assertEqual(self.flags(), [])

    def test_quota_of_all_together(self) -> None:
        """A message that fits alone but not with those before it is refused before it is sent."""
        self.world.add_user("tom", "pw", quota=250)
        link = self.connect()
        self.ask(link, b"LOGIN tom pw")
        self.ask(link, b"APPEND INBOX {200+}\r\n" + b"x" * 200 + b" {100}", b"NO [OVERQUOTA]")
        link.say(b"t APPEND INBOX {100+}\r\n" + b"x" * 100 + b" {150+}\r\n" + b"y" * 150 + b"\r\n")
        self.assertIn(b"t OK [APPENDUID", link.take())

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = b'a LOGIN ann pw\r\nb APPEND {5+}\r\nINBOX (kw) {3+}\r\nabc "17-Jul-1996 02:44:25 -0700" {5+}\r\nde\r\nf\r\n'
        splits = list(every_split(said))
        for first, second in splits:
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), rb"(?s)a OK .*b OK \[APPENDUID ")
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), rb"(?s)a OK .*b OK \[APPENDUID ")
        self.assertEqual(len(self.flags()), 2 * len(splits) + 2)

    def test_client_that_vanishes_between_messages(self) -> None:
        """Nothing is added and nothing logged."""
        for cut in (b"{3+}\r\nabc", b"{3+}\r\nabc ", b"{3+}\r\nabc {3+}\r\n", b"{3+}\r\nabc {3+}\r\nabc"):
            link = self.log_in()
            link.say(b"t APPEND INBOX " + cut)
            link.abort()
        self.assertEqual((self.flags(), self.flushLoggedErrors()), ([], []))


class ReplaceTests(ImapCase):
    """REPLACE."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(3)
        self.world.result(self.mail.create("Sent"))
        self.link = self.log_in("INBOX")

    def test_replace(self) -> None:
        """APPENDUID first, then EXPUNGE and EXISTS; by number, by UID, with a star, and into another mailbox."""
        link = self.link
        link.say(b't REPLACE 2 INBOX (\\Seen kw) "17-Jul-1996 02:44:25 -0700" {5}\r\n')
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(b"first\r\n")
        heard = link.take()
        self.assertRegex(
            heard, rb"(?s)\A\* OK \[APPENDUID \d+ 4\] [^\n]*\n\* 2 EXPUNGE\r\n\* 3 EXISTS\r\n.*\r\nt OK REPLACE completed\r\n\Z"
        )
        self.assertEqual(self.flags(), [frozenset(), frozenset(), {"\\Seen", "kw"}])
        self.assertEqual(self.world.result(self.mailbox().read(4, 0, 10)), b"first")
        lines = self.ask(link, b"UID REPLACE 4 Sent {6+}\r\nsecond")
        self.assertIn(b"* 3 EXPUNGE", lines)
        self.assertEqual(self.world.result(self.mailbox("Sent").read(1, 0, 10)), b"second")
        self.assertIn(b"* 2 EXPUNGE", self.ask(link, b"REPLACE * {4+}\r\nSent {5+}\r\nthird"))
        self.ask(link, b"ENABLE QRESYNC")
        lines = self.ask(link, b"REPLACE 1 INBOX {3+}\r\nnew")
        highest = self.world.result(self.mailbox().status()).highest_modseq
        self.assertIn(b"* VANISHED 1", lines)
        self.assertEqual(lines[-1], b"OK [HIGHESTMODSEQ %d] REPLACE completed" % highest)

    def test_what_is_refused_changes_nothing(self) -> None:
        """And the message that comes anyway is thrown away."""
        link = self.link
        self.world.result(self.mailbox().remove([3]))
        for command, reply in (
            (b"REPLACE 3 INBOX", b"NO [EXPUNGEISSUED]"), (b"REPLACE 9 INBOX", b"BAD"),
            (b"UID REPLACE 9 INBOX", b"NO [EXPUNGEISSUED]"),
            (b"REPLACE 1 nope", b"NO [TRYCREATE]"),
            (b"REPLACE 1:2 INBOX", b"BAD"), (b"REPLACE 1,2 INBOX", b"BAD"),
            (b"REPLACE $ INBOX", b"BAD"), (b"REPLACE 0 INBOX", b"BAD"), (b"REPLACE INBOX", b"BAD"),
            (b"REPLACE 1", b"NO [CANNOT]"), (b"REPLACE 1 INBOX {3+}\r\nabc", b"BAD"), (b"REPLACE 1 INBOX (\\None)", b"BAD"),
        ):  # fmt: skip
            link.say(b"t %b {10+}\r\nx LOGOUT\r\n\r\nz NOOP\r\n" % command)
            heard = link.take()
            self.assertIn(b"\r\nt " + reply, b"\r\n" + heard, command)
            self.assertTrue(heard.endswith(b"\r\nz OK NOOP completed\r\n"), heard)
        link.say(b"t REPLACE 1 INBOX {3+}\r\na\0b\r\n")
        self.assertIn(b"t BAD message has a NUL", link.take())
        self.ask(link, b"EXAMINE INBOX")
        self.ask(link, b"REPLACE 1 INBOX {3}", b"NO [CANNOT]")
        self.assertEqual((len(self.flags()), len(self.flags("Sent"))), (2, 0))

    def test_only_growth_counts_for_the_quota(self) -> None:
        """A full account takes a message of the same size, and none that is larger."""
        self.world.add_user("tom", "pw", quota=100)
        link = self.connect()
        self.ask(link, b"LOGIN tom pw")
        self.ask(link, b"APPEND INBOX {100+}\r\n" + b"x" * 100)
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"REPLACE 1 INBOX {101}", b"NO [OVERQUOTA]")
        self.ask(link, b"REPLACE 1 INBOX {100+}\r\n" + b"y" * 100)

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb SELECT INBOX\r\nc REPLACE 1 {5+}\r\nINBOX (kw) {3+}\r\na\rb\r\n"
            b"d UID REPLACE 1 INBOX {1+}\r\nx\r\n"
        )
        wanted = rb"(?s)b OK .*\* OK \[APPENDUID \d+ \d+\] .*\* 1 EXPUNGE\r\n.*c OK .*d NO "
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)
        self.assertEqual(len(self.flags()), 3)
