"""UTF8=ACCEPT.  RFC 9755, and RFC 6855 which it replaces."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.imap4.grammar.mailboxnames import decode, decode_utf8, read_mailbox
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.responses import mailbox
from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase

EIGHT_BIT = "Subject: Grüße\r\n\r\ntext".encode()


class NameTests(SynchronousTestCase):
    """Names on the wire."""

    def test_reading(self) -> None:
        """What has octets above 127 is UTF-8; once enabled everything is, ampersands too."""
        self.assertEqual(decode("Grüße & Co".encode()), "Grüße & Co")
        reader = Reader(b' "Entw&APw-rfe"')
        reader.utf8 = True
        reader.space()
        self.assertEqual(read_mailbox(reader), "Entw&APw-rfe")
        for raw in (
            b"\xff",
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xc0\x80",
            "a\u0085b".encode(),
            "a\u2028b".encode(),
            b"a\x01b",
            b"\xe9" * 9_000,
        ):
            self.assertRaises(Malformed, decode_utf8, raw)
            if raw != b"a\x01b":
                self.assertRaises(Malformed, decode, raw)

    def test_writing(self) -> None:
        """Quoted, whatever is in it; modified UTF-7 without the client's word."""
        self.assertEqual(mailbox('Grü"ße\\'), b'"Gr&APw-\\"&AN8-e\\\\"')
        self.assertEqual(mailbox('Grü"ße\\', utf8=True), 'Grü\\"ße\\\\'.encode().join((b'"', b'"')))
        self.assertEqual(mailbox("é" * 600, utf8=True), b"{1200}\r\n" + "é".encode() * 600)

    def test_quoted_strings(self) -> None:
        """Octets above 127 must be UTF-8."""
        self.assertEqual(Reader('"Grüße"'.encode()).string().decode(), "Grüße")
        for raw in (b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"'):
            self.assertRaises(Malformed, Reader(raw).string)


class Utf8Tests(ImapCase):
    """A session before and after ENABLE."""

    def test_names_both_ways(self) -> None:
        """LIST, LSUB, STATUS and METADATA tell UTF-8 after ENABLE; every command takes it."""
        link = self.log_in()
        self.ask(link, 'CREATE "Entwürfe & mehr/日本"'.encode())
        self.assertIn(b'"/" "Entw&APw-rfe &- mehr"', self.ask(link, b'LIST "" E*')[0])
        self.assertEqual(self.ask(link, b"ENABLE UTF8=ACCEPT")[0], b"* ENABLED UTF8=ACCEPT")
        name = "Entwürfe & mehr".encode()
        self.assertIn(b'"/" "%b"' % name, self.ask(link, b'LIST "" E*')[0])
        self.assertIn(b'"/" "%b/' % name, self.ask(link, b'LIST "" ("%b/%%") RETURN (CHILDREN)' % name)[0])
        self.assertIn(b'* STATUS "%b" (' % name, self.ask(link, b'STATUS "%b" (MESSAGES)' % name)[0])
        self.ask(link, b"SUBSCRIBE {%d+}\r\n%b" % (len(name), name))
        self.assertIn(b'* LSUB () "/" "%b"' % name, self.ask(link, b'LSUB "" *')[0])
        self.ask(link, b'RENAME "%b" "%b"' % (name, "ß".encode()))
        self.ask(link, 'SELECT "ß/日本"'.encode())
        self.ask(link, b"SELECT &AN8-/&ZeVnLA-", b"NO [NONEXISTENT]")
        self.ask(link, b"CREATE &AN8-")
        self.assertIn(b'"/" "&AN8-"', self.ask(link, b'LIST "" &*')[0])
        self.assertIn(b'"/" "&-AN8-"', self.ask(self.log_in(), b'LIST "" &-*')[0])
        self.ask(link, 'COPY 1 "ß"'.encode(), b"BAD")

    def test_what_is_no_utf8(self) -> None:
        """BAD, before and after; UTF-8 with controls is none of a name."""
        link = self.log_in()
        for _ in range(2):
            for said in (
                b'SELECT "\xff"', b"CREATE {1+}\r\n\xe9", b'LIST "" "\xed\xa0\x80"', b'SEARCH SUBJECT "\xff"',
            ):  # fmt: skip
                self.ask(link, said, b"BAD")
            for said in (b'CREATE "a\xc2\x85"', b'CREATE "a\xe2\x80\xa8"'):
                self.ask(link, said, b"NO [CANNOT]")
            self.ask(link, b"ENABLE UTF8=ACCEPT")
            self.ask(link, b"SELECT INBOX")

    def test_charset_in_search(self) -> None:
        """BAD once UTF-8 is enabled; keys are UTF-8 then.  SORT and THREAD, which cannot do without one, must name that."""
        self.fill(1, EIGHT_BIT)
        link = self.log_in("INBOX")
        self.ask(link, b"SEARCH CHARSET UTF-8 ALL")
        self.ask(link, b"ENABLE UTF8=ACCEPT")
        for said in (
            b"SEARCH CHARSET UTF-8 ALL",
            b"SEARCH charset us-ascii ALL",
            b"UID SEARCH RETURN (MIN) CHARSET x ALL",
        ):
            self.ask(link, said, b"BAD")
        self.assertEqual(self.ask(link, 'SEARCH SUBJECT "GRÜSSE"'.encode())[0][:8], b"* SEARCH")
        self.assertEqual(self.ask(link, 'SEARCH SUBJECT "grüße"'.encode())[0], b"* SEARCH 1")
        self.assertEqual(self.ask(link, 'SORT (DATE) UTF-8 SUBJECT "grüße"'.encode())[0], b"* SORT 1")
        for said in (b"SORT (DATE) US-ASCII ALL", b"UID THREAD REFERENCES us-ascii ALL", b"SORT (DATE) KOI8-R ALL"):
            self.ask(link, said, b"BAD")
        self.ask(self.log_in("INBOX"), b"SORT (DATE) US-ASCII ALL")

    def test_append_for_everybody(self) -> None:
        """Where the operator says so, anybody may bring such headers; the octets stay as they are."""
        self.factory = self.make_factory(append_8bit_headers="always")
        link = self.log_in("INBOX")
        self.ask(link, b"APPEND INBOX {%d+}\r\n%b" % (len(EIGHT_BIT), EIGHT_BIT))
        self.assertEqual(self.world.result(self.mailbox().read(1, 0, 99)), EIGHT_BIT)

    def test_append(self) -> None:
        """Headers with octets above 127 need ENABLE; then both forms are taken, alone, several, in CATENATE and REPLACE."""
        link = self.log_in("INBOX")
        size = len(EIGHT_BIT)
        plain = b"{%d+}\r\n%b" % (size, EIGHT_BIT)
        form = b"UTF8 (~%b)" % plain
        for said in (
            plain,
            form,
            b"{8+}\r\na: b\r\n\r\n " + plain,
            b"CATENATE (TEXT %b)" % plain,
            b"CATENATE (%b)" % form,
        ):
            self.ask(link, b"APPEND INBOX " + said, b"NO [CANNOT]")
        self.ask(link, b"APPEND INBOX {9+}\r\na: b\r\n\r\n\xff")
        self.ask(link, b"REPLACE 1 INBOX " + plain, b"NO [CANNOT]")
        self.ask(link, b"ENABLE UTF8=ACCEPT")
        for count, said in enumerate(
            (plain, form, b"(kw) UTF8 (~{%d+}\r\n%b)" % (size, EIGHT_BIT), b"CATENATE (%b TEXT {1+}\r\nx)" % form), 2
        ):
            self.ask(link, b"APPEND INBOX " + said)
            self.assertEqual(len(self.flags()), count)
        self.assertIn(b" 6:7]", self.ask(link, b"APPEND INBOX %b %b" % (form, plain))[-1])
        self.ask(link, b"REPLACE 1 INBOX " + form)
        octets = [self.world.result(self.mailbox().read(uid, 0, 99)) for uid in range(2, 9)]
        self.assertEqual(octets, [EIGHT_BIT] * 3 + [EIGHT_BIT + b"x"] + [EIGHT_BIT] * 3)
        link.say(b"t FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
        self.assertIn("{7}\r\nGrüße".encode(), link.take())

    def test_malformed_append(self) -> None:
        """UTF8 without a literal8, without its parentheses."""
        link = self.log_in("INBOX")
        self.ask(link, b"ENABLE UTF8=ACCEPT")
        for said in (
            b"UTF8 ({3+}\r\nabc)",
            b"UTF8 ~{3+}\r\nabc",
            b"UTF8 (~{3+}\r\nabc",
            b"UTF8 (~{3+}\r\nabc) x",
            b'UTF8 ("a")',
            b"UTF8 ()",
        ):
            link.say(b"t APPEND INBOX %b\r\nz NOOP\r\n" % said)
            self.assertRegex(link.take(), rb"\At BAD [^\r\n]*\r\nz OK NOOP completed\r\n\Z", said)
        self.assertEqual(self.flags(), [])

    def test_long_header(self) -> None:
        """One octet far behind is found."""
        link = self.log_in("INBOX")
        message = b"a: " + b"b" * 200_000 + b"\xff\r\n\r\nbody"
        self.ask(link, b"APPEND INBOX {%d+}\r\n%b" % (len(message), message), b"NO [CANNOT]")

    def test_messages_for_ordinary_clients(self) -> None:
        """What has been delivered is sent as it is, in literals, never in quoted strings."""
        self.fill(1, EIGHT_BIT)
        link = self.log_in("INBOX")
        link.say(b"t FETCH 1 (ENVELOPE BODY.PEEK[])\r\n")
        heard = link.take()
        self.assertIn(b"BODY[] {%d}\r\n%b)" % (len(EIGHT_BIT), EIGHT_BIT), heard)
        self.assertIn("ENVELOPE (NIL {7}\r\nGrüße NIL".encode(), heard)

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b'a LOGIN ann pw\r\nb ENABLE UTF8=ACCEPT\r\nc APPEND "INBOX" UTF8 (~{%d+}\r\n%b)\r\nd STATUS "x\xc3\xa9" (SIZE)\r\n'
            % (
                len(EIGHT_BIT),
                EIGHT_BIT,
            )
        )
        wanted = rb"(?s)b OK .*c OK \[APPENDUID .*d NO \[NONEXISTENT\]"
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)


class SqliteTests(Utf8Tests):
    """The same on files."""

    in_files = True
