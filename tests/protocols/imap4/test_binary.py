"""BINARY.  RFC 3516."""

from __future__ import annotations

import base64
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.wire import Wire
from launcelot.protocols.imap4.grammar.fetch import Attribute, Binary, read_items
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase

OCTETS = bytes(range(1, 256)) * 2
PARTS = (
    b"Subject: binary\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: BASE64\r\n\r\n%b\r\n"
    b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 =\r\ngo=  \r\n=\r\n"
    b"--b\r\nContent-Transfer-Encoding: x-own\r\n\r\nxyz\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"
) % base64.encodebytes(OCTETS).replace(b"\n", b"\r\n").rstrip()


class GrammarTests(SynchronousTestCase):
    """What FETCH can ask for."""

    def test_items(self) -> None:
        """Parts, partials and sizes; each with the label that stands in the answer."""
        for said, item in (
            (b"BINARY[]", Binary(b"BINARY[]", ())),
            (b"binary.peek[1.2]", Binary(b"BINARY[1.2]", (1, 2), peek=True)),
            (b"BINARY[3]<5.10>", Binary(b"BINARY[3]<5>", (3,), 5, 10)),
            (b"BINARY.SIZE[1]", Binary(b"BINARY.SIZE[1]", (1,), size=True, peek=True)),
        ):
            self.assertEqual(read_items(Reader(said)), (item,))
            self.assertEqual(read_items(Reader(b"(UID %b)" % said)), (Attribute.UID, item))

    def test_malformed(self) -> None:
        """Sections with words, sizes with partials, half of everything."""
        for said in (
            b"BINARY", b"BINARY[HEADER]", b"BINARY[1.MIME]", b"BINARY[1.]", b"BINARY[0]", b"BINARY[1", b"BINARY[1]<5>",
            b"BINARY[1]<5.0>", b"BINARY.SIZE", b"BINARY.FOO[1]", b"BINARY[1,2]", b"BINARY[" + b"1." * 101 + b"1]",
        ):  # fmt: skip
            self.assertRaises(Malformed, self.whole, said)
        self.assertRaises(Malformed, self.whole, b"BINARY.SIZE[1]<0.5>")

    def whole(self, said: bytes) -> None:
        """Read items and nothing behind them."""
        reader = Reader(said)
        read_items(reader)
        reader.end()


class BinaryTests(ImapCase):
    """FETCH BINARY."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(1, PARTS)
        self.link = self.log_in("INBOX")

    def heard(self, items: bytes) -> bytes:
        """What FETCH answers."""
        self.link.say(b"t FETCH 1 " + items + b"\r\n")
        return self.link.take()

    def test_decoded_octets(self) -> None:
        """Base64 and quoted-printable are undone to the octet, what has no encoding stands as it is."""
        for items, data in (
            (b"BINARY.PEEK[1]", b"BINARY[1] {5}\r\nplain"),
            (b"BINARY.PEEK[2]", b"BINARY[2] {%d}\r\n%b" % (len(OCTETS), OCTETS)),
            (b"BINARY.PEEK[3]", b"BINARY[3] {8}\r\ncaf\xc3\xa9 go"),
            (b"BINARY.PEEK[]", b"BINARY[] {%d}\r\n%b" % (len(PARTS), PARTS)),
            (b"BINARY.PEEK[5]", b"BINARY[5] {41}\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC"),
            (b"BINARY.PEEK[6]", b"BINARY[6] NIL"),
            (b"BINARY.PEEK[2]<3.4>", b"BINARY[2]<3> {4}\r\n\x04\x05\x06\x07"),
            (b"BINARY.PEEK[2]<508.100>", b"BINARY[2]<508> {2}\r\n\xfe\xff"),
            (b"BINARY.PEEK[2]<4294967295.4294967295>", b"BINARY[2]<4294967295> {0}\r\n"),
        ):
            self.assertEqual(self.heard(items), b"* 1 FETCH (%b)\r\nt OK FETCH completed\r\n" % data, items)

    def test_nul_makes_a_literal8(self) -> None:
        """And nothing else does.  RFC 3516 section 4.3."""
        self.assertIn(b"BINARY[5.1] ~{3}\r\n\0\1\2)", self.heard(b"BINARY.PEEK[5.1]"))
        self.assertIn(b"BINARY[5.1]<1> {2}\r\n\1\2)", self.heard(b"BINARY.PEEK[5.1]<1.2>"))
        self.assertIn(b"BINARY.SIZE[5.1] 3)", self.heard(b"BINARY.SIZE[5.1]"))

    def test_sizes(self) -> None:
        """They are those of what BINARY would send; no part has none."""
        said = b"(BINARY.SIZE[1] BINARY.SIZE[2] BINARY.SIZE[3] BINARY.SIZE[] BINARY.SIZE[9])"
        told = b"BINARY.SIZE[1] 5 BINARY.SIZE[2] %d BINARY.SIZE[3] 8 BINARY.SIZE[] %d BINARY.SIZE[9] 0" % (
            len(OCTETS),
            len(PARTS),
        )
        self.assertEqual(self.heard(said), b"* 1 FETCH (%b)\r\nt OK FETCH completed\r\n" % told)

    def test_unknown_encoding(self) -> None:
        """NO with UNKNOWN-CTE; the message is neither sent nor seen, others are."""
        self.fill(1, b"a: b\r\n\r\nx")
        self.ask(self.link, b"NOOP")
        self.assertEqual(self.ask(self.link, b"FETCH 1 BINARY[4]", b"NO [UNKNOWN-CTE]")[:-1], [])
        self.assertEqual(self.ask(self.link, b"FETCH 1 BINARY.SIZE[4]", b"NO [UNKNOWN-CTE]")[:-1], [])
        heard = self.ask(self.link, b"UID FETCH 1:* (BINARY[1] BINARY.SIZE[4])", b"NO [UNKNOWN-CTE]")
        self.assertIn(b"BINARY[1] {1}", heard[0])
        self.assertEqual(self.flags(), [frozenset(), {"\\Seen"}])

    def test_seen(self) -> None:
        """BINARY sets the flag and tells; PEEK, SIZE and EXAMINE do not."""
        self.heard(b"(BINARY.PEEK[1] BINARY.SIZE[1])")
        self.assertEqual(self.flags(), [frozenset()])
        link = self.log_in("INBOX", read_only=True)
        self.ask(link, b"FETCH 1 BINARY[1]")
        self.assertEqual(self.flags(), [frozenset()])
        self.assertIn(b"* 1 FETCH (FLAGS (\\Seen \\Recent) BINARY[1] {5}\r\nplain)", self.heard(b"BINARY[1]"))
        self.assertEqual(self.flags(), [{"\\Seen"}])

    def test_large_part(self) -> None:
        """One that is decoded in pieces, with a NUL at its very end; partials across the pieces."""
        octets = Random(3).randbytes(400_000).replace(b"\0", b"1") + b"\0"
        encoded = base64.encodebytes(octets)
        self.fill(1, b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded)
        self.ask(self.link, b"NOOP")
        for items, start, end in (
            (b"BINARY.PEEK[1]", 0, len(octets)),
            (b"BINARY.PEEK[1]<100000.200000>", 100_000, 300_000),
            (b"BINARY.PEEK[1]<49000.300>", 49_000, 49_300),
        ):
            self.link.say(b"t FETCH 2 %b\r\n" % items)
            wanted = octets[start:end]
            tilde = b"~" if b"\0" in wanted else b""
            self.assertIn(b" %b{%d}\r\n%b)\r\nt OK" % (tilde, len(wanted), wanted), self.link.take())
        self.assertIn(b"BINARY.SIZE[1] 400001)", self.ask(self.link, b"FETCH 2 BINARY.SIZE[1]")[0])

    def test_memory_stays_bounded(self) -> None:
        """However large a part is, no write is larger than two pieces."""
        self.fill(1, b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(bytes(2_000_000)))
        self.ask(self.link, b"NOOP")
        sizes: list[int] = []
        server: Wire = self.link.server
        write = server.write

        def measured(data: bytes) -> None:
            sizes.append(len(data))
            write(data)

        server.write = measured  # type: ignore[method-assign]
        self.link.say(b"t FETCH 2 BINARY.PEEK[1]\r\n")
        self.assertEqual(len(self.link.take()), sum(sizes))
        self.assertGreater(sum(sizes), 2_000_000)
        self.assertLess(max(sizes), 131_072)

    def test_message_that_goes_away(self) -> None:
        """Before anything of it was sent it is passed over."""
        self.world.result(self.mailbox().remove([1]))
        self.ask(self.link, b"FETCH 1 BINARY[1]", b"NO [EXPUNGEISSUED]")


class AppendTests(ImapCase):
    """literal8 in APPEND."""

    def test_literal8(self) -> None:
        """With and without waiting; without a NUL the message stays as it came."""
        link = self.log_in("INBOX")
        link.say(b"t APPEND INBOX ~{9}\r\n")
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(b"A: b\r\n\r\nc\r\n")
        self.assertRegex(link.take(), rb"t OK \[APPENDUID \d+ 1\]")
        self.ask(link, b"APPEND INBOX (kw) ~{9+}\r\nA: b\r\n\r\nd")
        self.assertEqual(self.world.result(self.mailbox().read(2, 0, 99)), b"A: b\r\n\r\nd")

    def test_nuls(self) -> None:
        """A part with NULs is kept in base64; BINARY gives back every octet, BODY and BODYSTRUCTURE agree with each other."""
        octets = b"\0\1\2" * 30_000
        message = b"Subject: x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + octets
        link = self.log_in("INBOX")
        link.say(b"t APPEND INBOX ~{%d+}\r\n%b\r\n" % (len(message), message))
        self.assertIn(b"t OK [APPENDUID", link.take())
        link.say(b"t FETCH 1 BINARY.PEEK[1]\r\n")
        self.assertIn(b"* 1 FETCH (BINARY[1] ~{90000}\r\n%b)" % octets, link.take())
        self.assertIn(b'"base64"', self.ask(link, b"FETCH 1 BODYSTRUCTURE")[0])
        link.say(b"t FETCH 1 (BODY.PEEK[] BODY.PEEK[1])\r\n")
        heard = link.take()
        self.assertNotIn(b"\0", heard)
        self.assertIn(b"BODY[1] {123158}\r\nAAEC", heard)

    def test_several(self) -> None:
        """MULTIAPPEND mixes literals and literal8s; REPLACE takes one."""
        link = self.log_in("INBOX")
        self.ask(link, b"APPEND INBOX {9+}\r\nA: b\r\n\r\nc ~{9+}\r\nA: b\r\n\r\n\0 {9+}\r\nA: b\r\n\r\nd")
        ends = [self.world.result(self.mailbox().read(uid, 0, 99)).rpartition(b"\r\n\r\n")[2] for uid in (1, 2, 3)]
        self.assertEqual(ends, [b"c", b"AA==\r\n", b"d"])
        self.assertIn(b"BINARY[1] ~{1}\r\n\0)", self.say(link, b"FETCH 2 BINARY.PEEK[1]"))
        self.ask(link, b"REPLACE 1 INBOX ~{9+}\r\nA: b\r\n\r\n\0")
        self.assertIn(b"BINARY[1] ~{1}\r\n\0)", self.say(link, b"FETCH 3 BINARY.PEEK[1]"))

    def say(self, link: object, command: bytes) -> bytes:
        """What a command is answered with."""
        link.say(b"t %b\r\n" % command)  # type: ignore[attr-defined]
        return link.take()  # type: ignore[attr-defined, no-any-return]

    def test_nul_that_nothing_helps(self) -> None:
        """In a header: NO with UNKNOWN-CTE, and nothing is added; in a plain literal it stays BAD."""
        link = self.log_in("INBOX")
        self.ask(link, b"APPEND INBOX ~{9+}\r\nA: \0\r\n\r\nc", b"NO [UNKNOWN-CTE]")
        self.ask(link, b"APPEND INBOX {9+}\r\nA: b\r\n\r\nc ~{9+}\r\nA: \0\r\n\r\nc", b"NO [UNKNOWN-CTE]")
        self.ask(link, b"APPEND INBOX {9+}\r\nA: b\r\n\r\n\0", b"BAD message has a NUL")
        self.ask(link, b"APPEND INBOX ~{0}", b"NO [CANNOT]")
        self.ask(link, b"LIST ~{0+}\r\n *", b"BAD")
        self.assertEqual(self.flags(), [])

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = b"a LOGIN ann pw\r\nb APPEND INBOX ~{11+}\r\nA: b\r\n\r\n\0\r\n ~{3+}\r\na\rb\r\nc NOOP\r\n"
        wanted = rb"(?s)a OK .*b OK \[APPENDUID .*c OK"
        splits = list(every_split(said))
        for first, second in splits:
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)
        self.assertEqual(len(self.flags()), 2 * len(splits) + 2)


class SqliteTests(BinaryTests):
    """The same on files."""

    in_files = True


class BareNewlineTests(ImapCase):
    """Literals behind lines without CRLF."""

    def test_literal_behind_a_bare_newline(self) -> None:
        """One that comes anyway is not taken for commands: the session ends; one that waits never comes."""
        for said in (
            b"t LOGIN {5+}\nx LOGOUT\r\n",
            b"t LOGIN {3+}\r\nann {14+}\nx CAPABILITY\r\n",
            b"t NOOP {3000+}\r\n" + b"x" * 3_000 + b" {20+}\nx CAPABILITY\r\n",
        ):
            link = self.connect()
            link.say(said)
            heard = link.take()
            self.assertRegex(heard, rb"\A[^\n]*(BAD [^\n]*\r\n)?\* BYE|\At BAD")
            self.assertIn(b"* BYE a literal follows a line that does not end in CRLF\r\n", heard)
            self.assertNotIn(b"CAPABILITY", heard)
            self.assertTrue(link.closed)
        link = self.connect()
        link.say(b"t LOGIN {5}\nt NOOP\r\n")
        self.assertEqual(link.take(), b"* BAD line does not end in CRLF\r\nt OK NOOP completed\r\n")

    def test_bare_newline_in_append(self) -> None:
        """Behind a message: BAD, and nothing is added."""
        link = self.log_in()
        link.say(b"t APPEND INBOX {3+}\r\nabc\nz NOOP\r\n")
        self.assertEqual(link.take(), b"t BAD line does not end in CRLF\r\nz OK NOOP completed\r\n")
        link.say(b"t APPEND INBOX {3+}\r\nabc {8+}\nx NOOP\r\n")
        self.assertRegex(link.take(), rb"\A\* BYE a literal follows")
        self.assertEqual(self.flags(), [])
