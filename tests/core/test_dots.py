"""Text ended by a dot is read and written the same wherever it is cut."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core import dots
from launcelot.core.dots import DotReader, DotWriter, LineEnds, LineWriter, has_bare_ends

PIECES = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"a", b"\r\n.", b"\0"]), max_size=24).map(b"".join)


def read(pieces: list[bytes]) -> tuple[bytes, bool, bytes]:
    """Text, whether it ended, and what came behind, of octets in pieces."""
    reader = DotReader()
    text = b""
    for number, piece in enumerate(pieces):
        text += reader.feed(piece)
        if reader.ended:
            return text, True, reader.rest + b"".join(pieces[number + 1 :])
    return text, False, b""


def write(pieces: list[bytes]) -> bytes:
    """What is sent for octets in pieces."""
    writer = DotWriter()
    return b"".join([writer.feed(piece) for piece in pieces] + [writer.finish()])


def octets(data: bytes) -> list[bytes]:
    """One piece for each octet."""
    return [data[at : at + 1] for at in range(len(data))]


class BareEndTests(SynchronousTestCase):
    """has_bare_ends."""

    def test_all_short_texts(self) -> None:
        """It is what counting says, whatever other octets there are; in pieces of any length, too."""
        few = (b"\r", b"\n", b"\0", b"\t", b"\xff")
        texts = [b"".join(some) for length in range(6) for some in itertools.product(few, repeat=length)]
        right = [not text.count(b"\r") == text.count(b"\n") == text.count(b"\r\n") for text in texts]
        self.assertEqual([has_bare_ends(text) for text in texts], right)
        for length in (1, 2, 3):
            self.patch(dots, "_PIECE", length)
            self.assertEqual([has_bare_ends(text) for text in texts], right)

    def test_long_texts(self) -> None:
        """One line end among many, anywhere."""
        text = b"a line\r\n" * 40_000
        for place in (0, 1, 65_536, len(text) // 2, len(text) - 2):
            for bare in (b"\r", b"\n"):
                self.assertTrue(has_bare_ends(text[:place] + b"x" + bare + b"x" + text[place:]))
        self.assertFalse(has_bare_ends(text * 4))


class ReaderTests(SynchronousTestCase):
    """DotReader."""

    def test_empty_text_is_a_dot_alone(self) -> None:
        """A first line of one dot ends a text without lines."""
        self.assertEqual(read([b".\r\nQUIT\r\n"]), (b"", True, b"QUIT\r\n"))

    def test_stuffed_dots_are_taken_off(self) -> None:
        """One dot of a line that begins with dots goes, others stay."""
        self.assertEqual(read([b"..a\r\n...\r\nb.\r\n.\r\n"]), (b".a\r\n..\r\nb.\r\n", True, b""))

    def test_every_split_gives_the_same(self) -> None:
        """Cut at any one point, and octet by octet, the result is that of the whole."""
        data = b"..first\r\n\r\n.\rx\r\n..\r\n.\n\r\nlast\r\n.\r\n.\r\nNOOP\r\n"
        whole = read([data])
        self.assertTrue(whole[1])
        for cut in range(len(data) + 1):
            self.assertEqual(read([data[:cut], data[cut:]]), whole, cut)
        self.assertEqual(read(octets(data)), whole)

    def test_only_one_of_the_ends_of_data_ends(self) -> None:
        """None of the variants of the end that other servers take is an end here."""
        ends = [b"\r", b"\n", b"\r\n"]
        for before, after in itertools.product(ends, ends):
            text, ended, rest = read(octets(b"body" + before + b"." + after + b"MAIL"))
            self.assertEqual(ended, before == after == b"\r\n", (before, after))
        for variant in (b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\n\n.\r\n", b"\r\n .\r\n"):
            self.assertFalse(read(octets(b"body" + variant + b"MAIL"))[1], variant)

    def test_held_back_octets_are_few(self) -> None:
        """A text that never ends is handed on as it comes."""
        reader = DotReader()
        given_on = sum(len(reader.feed(b"\r\n.\r" * 1000)) for _ in range(10))
        self.assertGreaterEqual(given_on, 3 * 10 * 1000 - 4)

    @given(PIECES, st.integers(0, 200))
    @settings(max_examples=300)
    def test_random_texts_split_anywhere(self, data: bytes, cut: int) -> None:
        """The cut is never seen in the result."""
        self.assertEqual(read([data[:cut], data[cut:]]), read([data]))
        self.assertEqual(read(octets(data)), read([data]))


class LineEndsTests(SynchronousTestCase):
    """LineEnds."""

    def test_bare_ends_are_seen_at_every_split(self) -> None:
        """Whatever the cut, a bare CR or LF is noticed and CRLF is not mistaken for one."""
        for data, bare in (
            (b"a\r\nb\r\n", False),
            (b"a\nb", True),
            (b"a\rb", True),
            (b"a\r\r\n", True),
            (b"\n\r", True),
        ):
            for cut in range(len(data) + 1):
                ends = LineEnds(normalise=False)
                through = ends.feed(data[:cut]) + ends.feed(data[cut:]) + ends.finish()
                self.assertEqual((through, ends.bare), (data, bare))

    def test_normalised_at_every_split(self) -> None:
        """Every kind of line end becomes CRLF, once."""
        data = b"a\rb\nc\r\nd\n\re\r\r\nf\r"
        for cut in range(len(data) + 1):
            ends = LineEnds(normalise=True)
            through = ends.feed(data[:cut]) + ends.feed(data[cut:]) + ends.finish()
            self.assertEqual(through, b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf\r\n")


class WriterTests(SynchronousTestCase):
    """DotWriter."""

    def test_dot_behind_a_chunk_boundary_is_stuffed(self) -> None:
        """The fault of Twisted's sender: a line end at the end of one chunk and a dot at the beginning of the next."""
        data = b"x" * 16382 + b"\r\n" + b".\r\nMAIL FROM:<evil@example.com>\r\n"
        for cut in (16382, 16383, 16384, 16385):
            self.assertEqual(write([data[:cut], data[cut:]]).count(b"\r\n.\r\n"), 1)
            self.assertEqual(write([data[:cut], data[cut:]]), write([data]))

    def test_every_split_gives_the_same(self) -> None:
        """Cut at any one point, and octet by octet, the same is sent."""
        data = b".a\r\n.b\n.c\r.d\r\n\r\n..\r\n.\r\nend"
        whole = write([data])
        self.assertEqual(whole, b"..a\r\n..b\r\n..c\r\n..d\r\n\r\n...\r\n..\r\nend\r\n.\r\n")
        for cut in range(len(data) + 1):
            self.assertEqual(write([data[:cut], data[cut:]]), whole)
        self.assertEqual(write(octets(data)), whole)

    def test_empty_text(self) -> None:
        """Nothing is sent as a dot alone."""
        self.assertEqual(write([]), b".\r\n")

    @given(PIECES, st.integers(0, 200))
    @settings(max_examples=300)
    def test_reader_gets_what_writer_was_given(self, data: bytes, cut: int) -> None:
        """Written and read again a text is the same but for its line ends, and nothing stands behind it."""
        ends = LineEnds(normalise=True)
        expected = ends.feed(data) + ends.finish()
        if not expected.endswith(b"\r\n") and expected:
            expected += b"\r\n"
        self.assertEqual(read([write([data[:cut], data[cut:]])]), (expected, True, b""))


class LineWriterTests(SynchronousTestCase):
    """Text that is in lines already, sent at half the cost."""

    def test_the_same_as_the_careful_writer(self) -> None:
        """Wherever it is cut, into two pieces and octet by octet."""
        for text in (b"", b".\r\n", b"..\r\n.\r\n", b"a\r\n.b\r\n\r\n.\r\n", b"x.\r\n. \r\n", b"\r\n" * 3 + b"." * 9 + b"\r\n"):
            careful = DotWriter()
            wanted = careful.feed(text) + careful.finish()
            for cut in range(len(text) + 1):
                writer = LineWriter()
                self.assertEqual(writer.feed(text[:cut]) + writer.feed(text[cut:]) + writer.finish(), wanted)
            writer = LineWriter()
            pieces = [writer.feed(text[place : place + 1]) for place in range(len(text))]
            self.assertEqual(b"".join(pieces) + writer.finish(), wanted)
            reader = DotReader()
            self.assertEqual((reader.feed(wanted), reader.ended, reader.rest), (text, True, b""))
