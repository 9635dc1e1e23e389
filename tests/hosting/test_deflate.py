"""Compression between a stream and its transport."""

from __future__ import annotations

import zlib
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.deflate import FLUSHED, PIECE, TURN, Deflated, start_deflate
from launcelot.hosting.stream import HIGH_WATER
from launcelot.testing.link import Link, connect, every_split, random_cuts
from tests.hosting.bare import Talker, talker_factory
from tests.testing.certificates import contexts


class Squeezer(Talker):
    """A Talker that compresses after ``DEFLATE`` until ``INFLATE``, and notes how much it was handed at once."""

    layer: Deflated | None = None
    most = 0
    deepest = 0

    def dataReceived(self, data: bytes) -> None:
        self.most = max(self.most, len(data))
        super().dataReceived(data)
        self.deepest = max(self.deepest, self.pending)

    async def line(self, limit: int) -> bytes:
        while True:
            line = await super().line(limit)
            if line == b"DEFLATE":
                self.write(b"deflating\r\n")
                self.layer = start_deflate(self, self.clock)
            elif line == b"INFLATE" and self.layer is not None:
                self.write(b"plain\r\n")
                self.flush()
                self.layer.stop()
            else:
                return line


class Peer:
    """The other side's compression."""

    def __init__(self, level: int = 9) -> None:
        self._deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
        self._inflater = zlib.decompressobj(-15)

    def deflate(self, *texts: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
        """Each text flushed."""
        return b"".join(self._deflater.compress(text) + self._deflater.flush(flush) for text in texts)

    def inflate(self, data: bytes) -> bytes:
        """What was said."""
        return self._inflater.decompress(data)


class DeflateCase(SynchronousTestCase):
    """A Squeezer that compresses."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = talker_factory(self.clock)
        self.factory.protocol = Squeezer

    def begin(self, tls: bool = False) -> tuple[Link, Peer]:
        """A link whose two ends compress."""
        link = connect(self.factory, self.clock)
        self.assertEqual(link.take(), b"hello\r\n")
        if tls:
            link.say(b"STARTTLS\r\n")
            link.take()
            link.start_tls(contexts()[1])
        link.say(b"DEFLATE\r\n")
        self.assertEqual(link.take(), b"deflating\r\n")
        return link, Peer()

    def go_on(self, link: Link) -> bytes:
        """What was heard, after all turns."""
        heard = b""
        while True:
            calls = [call for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds()]
            self.clock.advance(0)
            heard += link.take()
            if not calls:
                return heard


class PlainTests(DeflateCase):
    """What passes through comes out as it went in."""

    SAID = b"one\r\n\r\ntwo three\r\nBODY 5\r\na\nb\r\nfour\r\n"
    HEARD = b"<one>\r\n<>\r\n<two three>\r\ngot 5\r\n<four>\r\n"

    def test_whole_octets_and_every_split(self) -> None:
        """However it was flushed, and however it was cut on its way."""
        lines = self.SAID.splitlines(keepends=True)
        for texts in ((self.SAID,), lines, [self.SAID[at : at + 1] for at in range(len(self.SAID))]):
            data = Peer().deflate(*texts)
            link, peer = self.begin()
            link.say(data)
            self.assertEqual(peer.inflate(link.take()), self.HEARD)
            link, peer = self.begin()
            link.say(data, chunk=1)
            self.assertEqual(peer.inflate(link.take()), self.HEARD)
            for first, second in every_split(data):
                link, peer = self.begin()
                link.say(first)
                link.say(second)
                self.assertEqual(peer.inflate(link.take()), self.HEARD)

    def test_inside_tls(self) -> None:
        """What is compressed is encrypted, not the other way round."""
        link, peer = self.begin(tls=True)
        link.say(peer.deflate(self.SAID))
        self.assertEqual(peer.inflate(link.take()), self.HEARD)
        self.assertTrue(link.server.secure)

    def test_other_ways_to_flush(self) -> None:
        """Partial, full, and block flushes; stored blocks; the end of the stream behind the last line."""
        for flush in (zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_SYNC_FLUSH):
            for level in (0, 1, 9):
                link, peer = self.begin()
                link.say(Peer(level).deflate(self.SAID, flush=flush))
                self.assertEqual(peer.inflate(link.take()), self.HEARD)
        link, peer = self.begin()
        link.say(peer.deflate(self.SAID) + peer.deflate(b"five\r\n", flush=zlib.Z_FINISH))
        self.assertEqual(peer.inflate(link.take()), self.HEARD + b"<five>\r\n")

    def test_large_output(self) -> None:
        """It is drained like any other, and smaller on its way."""
        link, peer = self.begin()
        link.say(peer.deflate(b"FLOOD 3000000\r\n"))
        heard = self.go_on(link)
        self.assertLess(len(heard), 100_000)
        self.assertGreaterEqual(len(peer.inflate(heard)), 3_000_000)

    def test_replies_are_flushed(self) -> None:
        """Each can be read when it has come."""
        link, peer = self.begin()
        for text in (b"one", b"two"):
            link.say(peer.deflate(text + b"\r\n"))
            heard = link.take()
            self.assertTrue(heard.endswith(FLUSHED))
            self.assertEqual(peer.inflate(heard), b"<%b>\r\n" % text)

    def test_goodbye_is_not_lost(self) -> None:
        """The peer closes its side behind a command; it is answered."""
        for data in (Peer().deflate(b"one\r\nQUIT\r\n"), Peer().deflate(b"one\r\n", b"two\r\n")):
            link, peer = self.begin()
            link.say(data)
            link.half_close()
            self.assertIn(b"<one>\r\n", peer.inflate(link.take()))
            self.assertTrue(link.closed)

    def test_vanished_peer(self) -> None:
        """In the middle of a line, and of a segment."""
        link, peer = self.begin()
        link.say(peer.deflate(b"one\r\ntw")[:-6])
        link.abort()
        self.assertEqual(self.factory.sessions, set())


class StopTests(DeflateCase):
    """Compression that ends while the connection goes on."""

    def test_plain_behind_the_last_command(self) -> None:
        """In one delivery, octet by octet, at every split; whether the peer ends its stream or only flushes it."""
        said = b"one\r\nINFLATE\r\n"
        ended = Peer()
        for stream in (
            Peer().deflate(said),
            Peer(0).deflate(said),
            ended.deflate(said) + ended.deflate(b"", flush=zlib.Z_FINISH),
            Peer().deflate(said, flush=zlib.Z_FINISH),
        ):
            data = stream + b"two\r\nthree\r\n"
            for pieces in ((data,), [data[at : at + 1] for at in range(len(data))], *every_split(data)):
                link, peer = self.begin()
                for piece in pieces:
                    link.say(piece)
                heard = link.take()
                squeezed, mark, plain = heard.partition(FLUSHED)
                more, mark_2, rest = plain.partition(FLUSHED)
                answered = peer.inflate(squeezed + mark + (more + mark_2 if mark_2 else b""))
                self.assertEqual(answered, b"<one>\r\nplain\r\n")
                self.assertEqual(rest if mark_2 else plain, b"<two>\r\n<three>\r\n")

    def test_again(self) -> None:
        """On, off, and on, with nothing kept from before."""
        link, peer = self.begin()
        link.say(peer.deflate(b"INFLATE\r\n"))
        self.assertEqual(peer.inflate(link.take()), b"plain\r\n")
        link.say(b"DEFLATE\r\n")
        self.assertEqual(link.take(), b"deflating\r\n")
        peer = Peer()
        link.say(peer.deflate(b"two\r\n"))
        self.assertEqual(peer.inflate(link.take()), b"<two>\r\n")

    def test_input_that_is_there_already(self) -> None:
        """It has come plain and cannot be meant."""
        link = connect(self.factory, self.clock)
        link.take()
        link.server.unread(b"x")
        self.assertRaises(ValueError, start_deflate, link.server, self.clock)


class BombTests(DeflateCase):
    """Little that becomes much."""

    def test_line_without_end(self) -> None:
        """A gigabyte of it meets the limit on lines at once, and nothing of it is kept."""
        link, peer = self.begin()
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = b"".join(deflater.compress(b"x" * 1_048_576) for _ in range(64))
        link.say(bomb)
        self.assertIn(b"!long", peer.inflate(self.go_on(link)))
        self.assertLessEqual(link.server.most, PIECE)
        self.assertLess(link.server.deepest, HIGH_WATER)
        self.assertTrue(link.closed)

    def test_body_is_read_in_pieces(self) -> None:
        """One that was asked for passes, with others having their turns."""
        link, peer = self.begin()
        size = 8 * TURN
        link.say(peer.deflate(b"BODY %d\r\n" % size + bytes(size) + b"next\r\n"))
        turns = sum(1 for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds())
        self.assertEqual(turns, 1)
        self.assertEqual(peer.inflate(self.go_on(link)), b"got %d\r\n<next>\r\n" % size)
        self.assertLessEqual(link.server.most, PIECE)
        self.assertLessEqual(link.server.deepest, PIECE)

    def test_session_that_does_not_read(self) -> None:
        """What it does not ask for is bounded as without compression."""
        link, peer = self.begin()
        link.stop_reading()
        link.say(peer.deflate(b"FLOOD 10000000\r\n" + b"line\r\n" * 1_000_000))
        self.clock.advance(0)
        self.assertLessEqual(link.server.deepest, HIGH_WATER + PIECE)
        self.assertLessEqual(link.server.pending, HIGH_WATER + PIECE)

    def test_many_commands(self) -> None:
        """A hundred thousand empty lines are answered, in turns."""
        link, peer = self.begin()
        link.say(peer.deflate(b"\r\n" * 100_000))
        heard = self.go_on(link)
        self.assertEqual(peer.inflate(heard), b"<>\r\n" * 100_000)
        self.assertLessEqual(link.server.deepest, HIGH_WATER + PIECE)


class BrokenTests(DeflateCase):
    """What is not DEFLATE."""

    def test_garbage_ends_the_connection(self) -> None:
        """At once, whatever it is; nothing of it is executed."""
        random = Random(7)
        whole = Peer().deflate(b"one\r\n")
        for data in (b"one\r\n", b"\xff" * 100, b"\x07", whole + b"\xff\xff\xff\xff", random.randbytes(400)):
            link, peer = self.begin()
            link.say(data)
            link.say(b"two\r\n" * 10)
            self.assertNotIn(b"two", peer.inflate(link.take()))
            self.assertTrue(link.closed)
        self.assertEqual(self.factory.sessions, set())

    def test_more_behind_the_end(self) -> None:
        """A stream that the peer has ended is not taken up again."""
        link, peer = self.begin()
        link.say(peer.deflate(b"one\r\n") + peer.deflate(b"two\r\n", flush=zlib.Z_FINISH))
        self.assertEqual(peer.inflate(link.take()), b"<one>\r\n<two>\r\n")
        link.say(b"three\r\n")
        self.assertTrue(link.closed)

    def test_turned_bits(self) -> None:
        """Any of them leads to an answer, a wait or an end."""
        random = Random(3)
        data = Peer().deflate(b"one\r\nthree\r\nhello", b"two\r\n" * 20)
        for place in range(len(data) * 8):
            turned = bytearray(data)
            turned[place // 8] ^= 1 << place % 8
            link, _ = self.begin()
            link.say(bytes(turned), cuts=random_cuts(bytes(turned), random, 3))
            link.close()
        self.assertEqual(self.factory.sessions, set())
        self.assertEqual(self.flushLoggedErrors(), [])
