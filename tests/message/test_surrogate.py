"""Surrogates of internationalized messages, and the sizes of messages in lines."""

import mmap
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.dots import DotReader, DotWriter
from launcelot.message.analysis import analyse
from launcelot.message.headers import MAX_HEADER, decode_words, fields, parse_address_list
from launcelot.message.lists import Group, Mailbox
from launcelot.message.sections import PartTable
from launcelot.message.structure import parse
from launcelot.message.surrogate import INVALID, LineSizes, line_sizes, sections_of, surrogate_section

MIXED = """\
Return-Path: <jörg@köln.example>\r
Received: from für.example by x; Mon, 1 Jan 2024 00:00:00 +0000\r
From: Jörg <jörg@köln.example>\r
To: "Ann Other" <ann@test>, Bob <böb@test>,\r
 ceo@test\r
Cc: Freunde ü: zoë@x.example, "a, b" <c@d>;\r
Subject: Grüße und\r
 =?utf-8?q?K=C3=BCsse?=\r
X-Plain: stays as  it is\r
X-Foreign: ü\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="=_b"; x-note="ü"\r
\r
Vorwort ü\r
--=_b\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r
\r
Körper\r
--=_b\r
Content-Type: application/octet-stream; name="Bücher.txt"; x-size=5\r
Content-Disposition: attachment; filename="Bücher.txt"; size=5\r
Content-Description: Bücher\r
\r
octets\r
--=_b--\r
""".encode()


def surrogate(message: bytes) -> bytes:
    """All of it."""
    pieces, position = [], 0
    for start, end in sections_of(parse(message)):
        known = min(end, start + MAX_HEADER)
        pieces += [message[position:start], surrogate_section(message[start:known], known < end)]
        position = end
    return b"".join([*pieces, message[position:]])


def lines_of(message: bytes, cuts: int = 1 << 30) -> bytes:
    """What a client has after it was sent a message in lines."""
    writer, reader = DotWriter(), DotReader()
    sent = b"".join([writer.feed(message[at : at + cuts]) for at in range(0, len(message), cuts)]) + writer.finish()
    return reader.feed(sent)


class SurrogateTests(SynchronousTestCase):
    """RFC 6858 section 2."""

    def setUp(self) -> None:
        self.made = surrogate(MIXED)
        part = parse(self.made)
        self.header = {
            one.name.decode(): self.made[one.value_start : one.value_end] for one in fields(self.made, 0, part.body_start)
        }

    def test_headers_are_ascii_and_bodies_as_they_were(self) -> None:
        """Every header section of the surrogate; every octet outside of them."""
        for start, end in sections_of(parse(self.made)):
            self.assertTrue(self.made[start:end].isascii(), self.made[start:end])
        for text in ("Vorwort ü\r\n", "Körper\r\n", "octets\r\n", "X-Plain: stays as  it is\r\n"):
            self.assertIn(text.encode(), self.made)

    def test_internationalized_addresses_are_invalid_ones_that_name_them(self) -> None:
        """Others keep theirs, whatever their names are.  Section 2.1."""
        (sender,) = parse_address_list(self.header["From"])
        assert isinstance(sender, Mailbox)
        self.assertEqual((sender.local, sender.domain), (b"invalid", b"internationalized-address.invalid"))
        self.assertEqual(sender.display, "Jörg <jörg@köln.example>")
        ann, bob, ceo = parse_address_list(self.header["To"])
        self.assertEqual([one.display for one in (ann, bob, ceo)], ["Ann Other", "Bob <böb@test>", ""])  # type: ignore[union-attr]
        self.assertEqual([str(one.address) for one in (ann, ceo)], ["ann@test", "ceo@test"])  # type: ignore[union-attr]
        self.assertEqual(self.header["Return-Path"].strip().decode(), INVALID)

    def test_groups_stay_groups(self) -> None:
        """With their names and members."""
        (group,) = parse_address_list(self.header["Cc"])
        assert isinstance(group, Group)
        self.assertEqual(decode_words(group.name), "Freunde ü")
        self.assertEqual([one.display for one in group.members], ["zoë@x.example", "a, b"])

    def test_subject_is_readable(self) -> None:
        """As encoded-words, those it had among them.  Section 2.3."""
        self.assertTrue(self.header["Subject"].isascii())
        self.assertEqual(decode_words(self.header["Subject"]), "Grüße und Küsse")

    def test_parameters_and_fields_that_cannot_be_shown_go(self) -> None:
        """One by one; their neighbours stay.  Sections 2.2 and 2.4."""
        self.assertEqual(self.header.keys() & {"X-Foreign", "Received"}, set())
        self.assertEqual(self.header["Content-Type"], b' multipart/mixed; boundary="=_b"')
        book = parse(self.made).children[1]
        self.assertEqual((book.subtype, book.parameters), (b"octet-stream", ((b"x-size", b"5"),)))
        self.assertEqual(book.disposition, (b"attachment", ((b"size", b"5"),)))
        self.assertIsNone(book.description)

    def test_ascii_sections_stay_octet_for_octet(self) -> None:
        """Odd as they may be."""
        for section in (b"", b"\r\n", b"A:b\nnot a field\r\n\r\n", b" begins folded\r\n\r\n"):
            self.assertEqual(surrogate_section(section), section)

    def test_latin_1_is_shown_too(self) -> None:
        """Raw octets that are no UTF-8 are read as most such mail means them."""
        made = surrogate_section(b"Subject: Gr\xfc\xdfe\r\n\r\n")
        self.assertEqual(decode_words(made.removeprefix(b"Subject:").rstrip()), "Grüße")

    def test_a_header_without_end_is_cut(self) -> None:
        """Behind the last whole field within the limit, with an empty line behind it."""
        section = b"Subject: \xc3\xbc\r\n" + b"X: y\r\n" * 60_000 + b"\r\n"
        made = surrogate_section(section[:MAX_HEADER], cut=True)
        self.assertTrue(made.isascii())
        self.assertTrue(made.endswith(b"\r\nX: y\r\n\r\n"))
        self.assertLess(made.count(b"X: y"), MAX_HEADER // 6)
        self.assertEqual(surrogate_section(b"x" * MAX_HEADER, cut=True), b"\r\n")

    def test_embedded_messages_too(self) -> None:
        """The header of a message in a message."""
        made = surrogate(b"Content-Type: message/rfc822\r\n\r\nSubject: \xc3\xbc\r\nFrom: a@b\r\n\r\n\xc3\xbc\r\n")
        self.assertIn(b"Subject: =?utf-8?b?w7w=?=\r\nFrom: a@b\r\n\r\n\xc3\xbc", made)

    def test_global_messages_stay_as_they_are(self) -> None:
        """Their type tells what stands in them; likewise read from a table of parts."""
        message = b"Subject: \xc3\xa4\r\nContent-Type: message/global\r\n\r\nSubject: \xc3\xbc\r\n\r\n\xc3\xbc\r\n"
        self.assertTrue(surrogate(message).endswith(b"\r\n\r\nSubject: \xc3\xbc\r\n\r\n\xc3\xbc\r\n"))
        table = PartTable.decode(PartTable.encode(parse(message)))
        self.assertEqual(sections_of(table.root), sections_of(parse(message)))
        self.assertEqual(table.locate((1,), "HEADER"), (45, 60))

    def test_any_octets(self) -> None:
        """Nothing raises, every section comes out ASCII, and the table of parts finds the same sections as the tree."""
        random = Random(6858)
        words = b"From: |To: |Subject:|Content-Type: multipart/mixed; boundary=x|--x|\r\n|\n|\r| |\xc3\xbc|\xff|=?|?=|\0|a"
        alphabet = [*words.split(b"|"), *[bytes([sign]) for sign in b'"<>@,;:(\\']]
        for _ in range(1_500):
            message = b"".join(random.choices(alphabet, k=random.randrange(60)))
            made = surrogate(message)
            table = PartTable.decode(analyse(message).parts)
            self.assertEqual(sections_of(table.root), sections_of(parse(message)))
            sizes = line_sizes(message, parse(message))
            self.assertEqual(sizes.utf8, len(lines_of(message)), message)
            if any(not message[start:end].isascii() for start, end in sections_of(parse(message))):
                self.assertEqual(sizes.ascii, len(lines_of(made)), message)
                for start, end in sections_of(parse(message)):
                    self.assertTrue(surrogate_section(message[start:end]).isascii(), message)
            else:
                self.assertEqual(sizes.ascii, sizes.utf8)


class LineSizesTests(SynchronousTestCase):
    """What a client counts."""

    def test_whole_lines_are_as_long_as_they_are(self) -> None:
        """Nothing is kept of them."""
        message = b"Subject: x\r\n\r\n.\r\n..\r\ntext\r\n"
        self.assertEqual(line_sizes(message, parse(message)), (len(message), len(message)))
        analysis = analyse(message)
        self.assertEqual((analysis.line_size, analysis.ascii_size), (None, None))

    def test_line_ends_are_counted_as_they_are_sent(self) -> None:
        """Bare LF, bare CR, one at a piece's end, and a last line without any."""
        for message, size in ((b"", 0), (b"a", 3), (b"a\r", 3), (b"a\n", 3), (b"a\r\n", 3), (b"\n\r", 4), (b"a\nb\r\nc\rd", 12)):
            self.assertEqual(line_sizes(message, parse(message)), (size, size), message)
            for cuts in (1, 2, 3):
                self.assertEqual(len(lines_of(message, cuts)), size)

    def test_mapped_files(self) -> None:
        """As octets in memory, pieces and all."""
        message = MIXED + b"x" * (1 << 20) + b"\r" + b"\n" * 3
        mapped = mmap.mmap(-1, len(message))
        self.addCleanup(mapped.close)
        mapped[:] = message
        expected = LineSizes(len(lines_of(message)), len(lines_of(surrogate(message))))
        self.assertEqual(line_sizes(mapped, parse(mapped)), expected)
        self.assertEqual(line_sizes(message, parse(message)), expected)
