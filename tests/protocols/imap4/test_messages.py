"""Commands on messages: FETCH, STORE, COPY, MOVE, EXPUNGE, SEARCH."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from launcelot.mailstore.interface import Mailbox, Stored, StoreMode
from tests.protocols.imap4.world import MESSAGE, ImapCase


class FetchTests(ImapCase):
    """FETCH."""

    MULTIPART = (
        b"Subject: two parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n"
        b"--x\r\nContent-Type: text/plain\r\nX-A: 1\r\n\r\nfirst\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: a@b\r\n\r\ninside\r\n--x--\r\n"
    )

    def test_global_messages(self) -> None:
        """They have the sections of a message, but are leaves in RFC 3501's BODYSTRUCTURE and messages in RFC 9051's."""
        inner = b"Subject: \xc3\xbc\r\n\r\nin it\r\n"
        self.fill(1, b"Content-Type: message/global\r\n\r\n" + inner)
        self.fill(1, b"Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n")
        link = self.log_in("INBOX")
        basic = b'("message" "global" NIL NIL NIL "7bit" 22'
        opaque = b' NIL NIL NIL "base64" 6 NIL NIL NIL NIL)'
        for also in (b"", b" BODY.PEEK[1.MIME]"):
            rows = b"\r\n".join(self.ask(link, b"FETCH 1:2 (BODY BODYSTRUCTURE%b)" % also))
            self.assertIn(b"1 FETCH (BODY %b) BODYSTRUCTURE %b NIL NIL NIL NIL)" % (basic, basic), rows)
            self.assertIn(b'BODYSTRUCTURE ("message" "global"' + opaque, rows)
        rows = b"\r\n".join(self.ask(link, b"FETCH 1 (BODY.PEEK[1.HEADER] BODY.PEEK[1.TEXT] BODY.PEEK[1.1])"))
        for said in (b"[1.HEADER] {15}\r\nSubject: \xc3\xbc\r\n\r\n", b"[1.TEXT] {7}\r\nin it", b"[1.1] {7}\r\nin it"):
            self.assertIn(said, rows)
        self.ask(link, b"ENABLE IMAP4rev2")
        told = b' (NIL {2}\r\n\xc3\xbc NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1'
        for also in (b"", b" BODY.PEEK[1.MIME]"):
            rows = b"\r\n".join(self.ask(link, b"FETCH 1:2 (BODY BODYSTRUCTURE%b)" % also))
            self.assertIn(b"BODY %b%b) 3) BODYSTRUCTURE %b%b NIL NIL NIL NIL) 3 NIL" % (basic, told, basic, told), rows)
            self.assertIn(b'BODYSTRUCTURE ("application" "octet-stream"' + opaque, rows)

    def test_ready_made_items(self) -> None:
        """ENVELOPE, BODY, BODYSTRUCTURE, dates and sizes come as the store has them."""
        self.fill(1)
        link = self.log_in("INBOX")
        (row, _) = self.ask(link, b"FETCH 1 (UID RFC822.SIZE INTERNALDATE ENVELOPE BODY BODYSTRUCTURE)")
        self.assertTrue(
            row.startswith(
                b'* 1 FETCH (UID 1 RFC822.SIZE 271 INTERNALDATE "14-Nov-2023 22:13:20 +0000" ENVELOPE ("Wed, 17 Jul'
            )
        )
        self.assertRegex(row, rb'(?i) BODY \("text" "plain" .* BODYSTRUCTURE \("text" "plain" ')

    def test_sections(self) -> None:
        """Every kind of section has exactly its octets."""
        self.fill(1, self.MULTIPART)
        link = self.log_in("INBOX")
        wanted = {
            b"": self.MULTIPART,
            b"HEADER": self.MULTIPART[: self.MULTIPART.index(b"preamble")],
            b"TEXT": self.MULTIPART[self.MULTIPART.index(b"preamble") :],
            b"1": b"first",
            b"1.MIME": b"Content-Type: text/plain\r\nX-A: 1\r\n\r\n",
            b"2": b"Subject: inner\r\nFrom: a@b\r\n\r\ninside",
            b"2.HEADER": b"Subject: inner\r\nFrom: a@b\r\n\r\n",
            b"2.TEXT": b"inside",
            b"2.1": b"inside",
            b"2.HEADER.FIELDS (FROM)": b"From: a@b\r\n\r\n",
            b"2.HEADER.FIELDS.NOT (FROM)": b"Subject: inner\r\n\r\n",
            b"HEADER.FIELDS (SUBJECT X-NONE)": b"Subject: two parts\r\n\r\n",
        }
        for section, octets in wanted.items():
            link.say(b"t FETCH 1 BODY.PEEK[%b]\r\n" % section)
            self.assertEqual(
                link.take(),
                b"* 1 FETCH (BODY[%b] {%d}\r\n%b)\r\nt OK FETCH completed\r\n" % (section, len(octets), octets),
            )
        for section in (b"3", b"1.1", b"1.HEADER", b"9.9.9", b"2.2"):
            self.assertEqual(
                self.ask(link, b"FETCH 1 BODY.PEEK[%b]" % section)[0], b"* 1 FETCH (BODY[%b] NIL)" % section
            )

    def test_partials(self) -> None:
        """Every offset and length gives just those octets, past the end none (twisted #5613)."""
        self.fill(1)
        link = self.log_in("INBOX")
        size = len(MESSAGE)
        for offset, length in (
            (0, 10),
            (5, 1),
            (size - 3, 10),
            (size, 5),
            (size + 9, 1),
            (0, 4294967295),
            (4294967295, 4294967295),
        ):
            octets = MESSAGE[offset : offset + length]
            link.say(b"t FETCH 1 BODY.PEEK[]<%d.%d>\r\n" % (offset, length))
            self.assertEqual(
                link.take(),
                b"* 1 FETCH (BODY[]<%d> {%d}\r\n%b)\r\nt OK FETCH completed\r\n" % (offset, len(octets), octets),
            )
        link.say(b"t FETCH 1 BODY.PEEK[HEADER.FIELDS (TO)]<4.5>\r\n")
        self.assertIn(b"BODY[HEADER.FIELDS (TO)]<4> {5}\r\nimap@)", link.take())

    def test_seen_is_set_and_told(self) -> None:
        """By BODY[...], RFC822 and RFC822.TEXT; not by PEEK nor RFC822.HEADER; told only where it changed."""
        self.fill(4)
        link = self.log_in("INBOX")
        self.ask(link, b"FETCH 1:4 (BODY.PEEK[] RFC822.HEADER ENVELOPE)")
        self.assertEqual(self.flags(), [frozenset()] * 4)
        for number, item in enumerate((b"BODY[1]", b"RFC822", b"RFC822.TEXT"), 1):
            lines = self.ask(link, b"FETCH %d %b" % (number, item))
            self.assertTrue(lines[0].startswith(b"* %d FETCH (FLAGS (\\Seen \\Recent) " % number), lines)
            self.assertNotIn(b"FLAGS", b"".join(self.ask(link, b"FETCH %d %b" % (number, item))))
        self.assertEqual([bool(flags) for flags in self.flags()], [True, True, True, False])

    def test_macros(self) -> None:
        """ALL, FAST and FULL."""
        self.fill(1)
        link = self.log_in("INBOX")
        self.assertNotIn(b"ENVELOPE", self.ask(link, b"FETCH 1 FAST")[0])
        self.assertNotIn(b"BODY", self.ask(link, b"FETCH 1 ALL")[0])
        self.assertIn(b" BODY (", self.ask(link, b"FETCH 1 FULL")[0])

    def test_sets_of_messages(self) -> None:
        """Stars, reversed and overlapping ranges; numbers without a message are BAD, UIDs without one are nothing."""
        self.fill(4)
        link = self.log_in("INBOX")

        def numbers(command: bytes) -> list[int]:
            return [int(line.split()[1]) for line in self.ask(link, command + b" (FLAGS)")[:-1]]

        self.assertEqual(numbers(b"FETCH *:3,2,2:2"), [2, 3, 4])
        self.assertEqual(numbers(b"FETCH *"), [4])
        self.assertEqual(numbers(b"UID FETCH 3:4294967295"), [3, 4])
        self.assertEqual(numbers(b"UID FETCH 99:*"), [4])
        self.assertEqual(numbers(b"UID FETCH 98:99"), [])
        for bad in (b"5", b"1:5", b"0", b"1:4294967295"):
            self.ask(link, b"FETCH %b FLAGS" % bad, b"BAD")
        self.ask(link, b"STORE 1:* FLAGS.SILENT \\Deleted")
        self.ask(link, b"EXPUNGE")
        self.ask(link, b"FETCH 1:* FLAGS", b"BAD")
        self.assertEqual(numbers(b"UID FETCH 1:*"), [])

    def test_large_bodies_are_streamed(self) -> None:
        """A peer that does not read makes us hold less than 300 KiB of a message of 8 MiB."""
        body = b"Subject: big\r\n\r\n" + b"0123456789abcde\n" * (1 << 19)
        self.fill(1, body)
        link = self.log_in("INBOX")
        link.stop_reading()
        link.say(b"t FETCH 1 (BODY.PEEK[] UID)\r\n")
        self.assertLess(link.server.sent, 300_000)
        link.go_on_reading()
        self.assertEqual(
            link.take(), b"* 1 FETCH (BODY[] {%d}\r\n%b UID 1)\r\nt OK FETCH completed\r\n" % (len(body), body)
        )

    def test_many_rows_while_nobody_reads(self) -> None:
        """The same holds for many small messages."""
        self.fill(1200)
        link = self.log_in("INBOX")
        link.stop_reading()
        link.say(b"t FETCH 1:* (BODY.PEEK[] ENVELOPE)\r\n")
        self.assertLess(link.server.sent, 500_000)
        link.go_on_reading()
        heard = link.take()
        self.assertEqual(heard.count(b" FETCH (BODY[] {271}\r\n"), 1200)
        self.assertTrue(heard.endswith(b"t OK FETCH completed\r\n"))

    def test_message_that_vanishes_while_it_is_sent(self) -> None:
        """A literal that cannot be finished ends the connection; no other octets are put in its place."""
        self.fill(1, b"x" * 1_000_000)
        link = self.log_in("INBOX")
        link.stop_reading()
        link.say(b"t FETCH 1 BODY.PEEK[]\r\n")
        self.world.result(self.mailbox().remove([1]))
        link.go_on_reading()
        heard = link.take()
        self.assertTrue(heard.endswith(b"x"))
        self.assertLess(len(heard), 1_000_000)
        self.assertTrue(link.closed)


class StoreTests(ImapCase):
    """STORE, EXPUNGE, COPY, MOVE."""

    def test_ways_to_store(self) -> None:
        """Replace, add, remove; silent or told; UIDs told when asked by UID; flags without parentheses."""
        self.fill(1)
        link = self.log_in("INBOX")
        self.assertEqual(
            self.ask(link, b"STORE 1 FLAGS (\\Seen \\Flagged)")[0], b"* 1 FETCH (FLAGS (\\Flagged \\Seen \\Recent))"
        )
        self.assertEqual(self.ask(link, b"STORE 1 -flags \\flagged \\draft")[0], b"* 1 FETCH (FLAGS (\\Seen \\Recent))")
        self.assertEqual(
            self.ask(link, b"UID STORE 1 +FLAGS (\\Draft)")[0], b"* 1 FETCH (UID 1 FLAGS (\\Seen \\Draft \\Recent))"
        )
        self.assertEqual(self.ask(link, b"STORE 1 FLAGS.SILENT ()"), [b"OK STORE completed"])
        self.assertEqual(self.ask(link, b"UID STORE 77 +FLAGS (\\Draft)"), [b"OK STORE completed"])
        for bad in (b"STORE 1 FLAGS (\\Recent)", b"STORE 1 FOO (a)", b"STORE 1 FLAGS", b"STORE 2 FLAGS ()"):
            self.ask(link, bad, b"BAD")

    def test_new_keywords_are_told_first(self) -> None:
        """FLAGS and PERMANENTFLAGS come before the message that has the keyword."""
        self.fill(1)
        link = self.log_in("INBOX")
        lines = self.ask(link, b"STORE 1 +FLAGS ($Label1)")
        self.assertEqual(lines[0], b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label1)")
        self.assertEqual(lines[2], b"* 1 FETCH (FLAGS (\\Recent $Label1))")

    def test_keywords_of_others_are_told_first(self) -> None:
        """A keyword that another session sets just before a STORE, which itself brings none, is told of too."""
        self.fill(1)
        link = self.log_in("INBOX")
        self.ask(link, b"STORE 1 +FLAGS (\\Draft)")
        kind = type(self.mailbox())
        store = kind.store

        async def late(
            mailbox: Mailbox, uids: Sequence[int], mode: StoreMode, flags: Collection[str], since: int | None = None
        ) -> Stored:
            await store(mailbox, uids, StoreMode.ADD, ("$Theirs",))
            return await store(mailbox, uids, mode, flags, since)

        self.patch(kind, "store", late)
        lines = self.ask(link, b"STORE 1 -FLAGS (\\Draft)")
        self.assertEqual(lines[0], b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Theirs)")
        self.assertEqual(lines[2], b"* 1 FETCH (FLAGS (\\Recent $Theirs))")

    def test_too_many_keywords(self) -> None:
        """The mailbox's limit is told with its code and nothing is changed."""
        self.fill(1)
        link = self.log_in("INBOX")
        many = b" ".join(b"k%d" % number for number in range(65))
        self.assertEqual(len(self.ask(link, b"STORE 1 +FLAGS (%b)" % many, b"NO [LIMIT]")), 1)
        self.assertEqual(self.flags(), [frozenset()])

    def test_full_of_keywords(self) -> None:
        """PERMANENTFLAGS says once that there can be no others, and that there can be again.  RFC 9051 section 7.1."""
        self.fill(1)
        link = self.log_in("INBOX")
        many = b" ".join(b"k%d" % number for number in range(64))
        self.assertIn(b" k9 \\*)] ", self.ask(link, b"STORE 1 FLAGS (%b)" % many)[1])
        lines = self.ask(link, b"STORE 1 +FLAGS (other)", b"NO [LIMIT]")
        self.assertEqual(len(lines), 3)
        self.assertIn(b" k9)] ", lines[1])
        self.assertEqual(len(self.ask(link, b"STORE 1 +FLAGS (other)", b"NO [LIMIT]")), 1)
        self.ask(link, b"STORE 1 -FLAGS (k9)")
        self.assertIn(b" other \\*)] ", self.ask(link, b"STORE 1 +FLAGS (other)")[1])

    def test_expunge_tells_numbers_as_they_shift(self) -> None:
        """Applied one after another they leave the right messages."""
        self.fill(5)
        link = self.log_in("INBOX")
        self.ask(link, b"STORE 1:2,4 +FLAGS.SILENT (\\Deleted)")
        view = [1, 2, 3, 4, 5]
        for line in self.ask(link, b"EXPUNGE")[:-1]:
            if line.endswith(b"EXPUNGE"):
                del view[int(line.split()[1]) - 1]
        self.assertEqual(view, [3, 5])
        self.assertEqual([line.split(b"UID ")[1] for line in self.ask(link, b"FETCH 1:* UID")[:-1]], [b"3)", b"5)"])

    def test_uid_expunge(self) -> None:
        """Only deleted messages among those named go.  RFC 4315."""
        self.fill(3, flags=("\\Deleted",))
        self.fill(1)
        link = self.log_in("INBOX")
        self.assertIn(b"* 2 EXPUNGE", self.ask(link, b"UID EXPUNGE 2,4"))
        self.assertEqual(len(self.flags()), 3)

    def test_copy(self) -> None:
        """Flags go along; COPYUID tells where to; a missing target is TRYCREATE and copies nothing."""
        self.fill(3, flags=("\\Flagged", "kw"))
        link = self.log_in("INBOX")
        self.ask(link, b"COPY 1 nope", b"NO [TRYCREATE]")
        self.ask(link, b"CREATE a")
        self.assertRegex(self.ask(link, b"COPY 1,3 a")[-1], rb"\AOK \[COPYUID \d+ 1,3 1:2\] ")
        self.assertEqual(self.flags("a"), [frozenset({"\\Flagged", "kw"})] * 2)
        self.assertEqual(self.ask(link, b"UID COPY 88 a"), [b"OK COPY completed"])
        self.ask(link, b"COPY 4 a", b"BAD")

    def test_move(self) -> None:
        """COPYUID comes first, then EXPUNGE, then OK without a code.  RFC 6851 section 4.3."""
        self.fill(3)
        link = self.log_in("INBOX")
        self.ask(link, b"CREATE a")
        lines = self.ask(link, b"MOVE 1:2 a")
        self.assertRegex(lines[0], rb"\A\* OK \[COPYUID \d+ 1:2 1:2\] ")
        self.assertEqual(lines[1:3], [b"* 2 EXPUNGE", b"* 1 EXPUNGE"])
        self.assertEqual(lines[-1], b"OK MOVE completed")
        self.ask(link, b"UID MOVE 3 nope", b"NO [TRYCREATE]")
        self.assertIn(b"* 1 EXPUNGE", self.ask(link, b"UID MOVE 3 a"))
        self.assertEqual((len(self.flags()), len(self.flags("a"))), (0, 3))

    def test_quota(self) -> None:
        """COPY and APPEND over the quota are refused with its code, APPEND before the message is sent."""
        self.world.add_user("tom", "pw", quota=2 * len(MESSAGE))
        link = self.connect()
        self.ask(link, b"LOGIN tom pw")
        for _ in range(2):
            link.say(b"t APPEND INBOX {%d+}\r\n%b\r\n" % (len(MESSAGE), MESSAGE))
            self.assertIn(b"t OK [APPENDUID", link.take())
        self.ask(link, b"APPEND INBOX {%d}" % len(MESSAGE), b"NO [OVERQUOTA]")
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"COPY 1 INBOX", b"NO [OVERQUOTA]")


class SearchTests(ImapCase):
    """SEARCH."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(2)
        self.fill(
            1, b"Subject: =?utf-8?q?Caf=C3=A9?=\r\nFrom: Smith <s@x>\r\n\r\nbonjour\r\n", flags=("\\Flagged", "kw")
        )

    def test_keys(self) -> None:
        """Numbers in ascending order; by UID, UIDs."""
        link = self.log_in("INBOX")
        for said, found in (
            (b"ALL", b" 1 2 3"),
            (b"FLAGGED SINCE 1-Feb-1994 FROM Smith", b" 3"),
            (b"NOT FLAGGED", b" 1 2"),
            (b"2:*", b" 2 3"),
            (b"5", b""),
            (b"KEYWORD KW", b" 3"),
            (b"RECENT", b" 1 2 3"),
            (b"OLD", b""),
            (b"OR (TEXT bonjour) UID 1", b" 1 3"),
            (b"TEXT {7+}\r\nBONJOUR", b" 3"),
            (b"CHARSET UTF-8 SUBJECT {5+}\r\ncaf\xc3\xa9", b" 3"),
            (b'HEADER Message-ID ""', b" 1 2"),
            (b"SMALLER 100", b" 3"),
        ):
            self.assertEqual(self.ask(link, b"SEARCH " + said)[0], b"* SEARCH" + found, said)
        self.ask(link, b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        self.ask(link, b"EXPUNGE")
        self.assertEqual(self.ask(link, b"UID SEARCH ALL")[0], b"* SEARCH 2 3")

    def test_unknown_charset(self) -> None:
        """NO with the charsets there are."""
        link = self.log_in("INBOX")
        self.assertEqual(
            self.ask(link, b"SEARCH CHARSET X-FOO TEXT {1+}\r\na", b"NO"),
            [b"NO [BADCHARSET (US-ASCII UTF-8)] charset is not supported"],
        )

    def test_esearch(self) -> None:
        """RFC 4731: what is asked for, with the tag; of nothing only the count."""
        link = self.log_in("INBOX")
        self.assertEqual(
            self.ask(link, b"SEARCH RETURN (MIN MAX COUNT ALL) ALL")[0],
            b'* ESEARCH (TAG "t") MIN 1 MAX 3 COUNT 3 ALL 1:3',
        )
        self.assertEqual(self.ask(link, b"UID SEARCH RETURN () 2:3")[0], b'* ESEARCH (TAG "t") UID ALL 2:3')
        self.assertEqual(self.ask(link, b"SEARCH RETURN (MIN COUNT) DRAFT")[0], b'* ESEARCH (TAG "t") COUNT 0')

    def test_quoted_sets(self) -> None:
        """Ruby's net/imap quotes a set of UIDs in which ``*`` is; what is no set is not taken for one."""
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b'UID SEARCH UID "2:*"')[0], b"* SEARCH 2 3")
        for words in (b'"1:*"', b'UID ""', b'UID "x"', b'UID "1', b'UID "1" "', b"UID"):
            self.ask(link, b"SEARCH " + words, b"BAD")

    def test_huge_ranges_on_a_small_mailbox(self) -> None:
        """They cost what the mailbox costs (I04)."""
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"SEARCH 1:4294967295")[0], b"* SEARCH 1 2 3")
        ranges = b",".join(b"%d:4294967295" % (number + 1) for number in range(3500))
        self.assertEqual(self.ask(link, b"UID SEARCH UID " + ranges)[0], b"* SEARCH 1 2 3")
