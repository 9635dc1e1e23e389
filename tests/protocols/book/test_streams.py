"""The book's stream machines and their clients, in memory: every split, every cut, limits and ends."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.hosting.calling import CallError, Closed, Confused, Reset, TimedOut, Truncated
from launcelot.hosting.conversation import Conversation, ConversationFactory
from launcelot.protocols.book.blocks import END, BlocksClient, BlocksServer, block
from launcelot.protocols.book.service import Settings
from launcelot.protocols.book.serving import BookFactory, BookServer
from launcelot.protocols.book.sixteen import FAREWELL, GREETING, SixteenClient, SixteenServer
from launcelot.protocols.book.streamer import StreamerClient, StreamerServer
from launcelot.protocols.book.upper import UpperClient, UpperClientFactory, UpperServer
from launcelot.testing.link import Link, Pair, RawPeer, connect_pair, every_split, random_cuts
from launcelot.testing.site import memory_site

SETTINGS = Settings(idle_timeout=10, max_stream=100_000, max_block=1_000)


class BookCase(SynchronousTestCase):
    """A world with one machine in it."""

    kind: type[BookServer] = SixteenServer

    def setUp(self) -> None:
        self.world = memory_site()
        self.clock = self.world.clock

    def factory(self) -> BookFactory:
        """The machine's factory."""
        return BookFactory(self.world.site, "machine", ConnectionCount(99_999, 99_999), SETTINGS, self.kind)

    def link(self) -> Link:
        """A raw peer of the machine."""
        return self.world.connect(self.factory())

    def pair(self, kind: type[Conversation], *arguments: Any) -> Pair[Any, Protocol]:
        """A client of ours and the machine."""
        return connect_pair(ConversationFactory(kind, self.clock, 10, *arguments), self.factory(), self.clock, self.world.network)

    def played(self, kind: type[Conversation], *arguments: Any) -> Pair[Any, RawPeer]:
        """A client of ours and a raw peer."""
        client = ConversationFactory(kind, self.clock, 10, *arguments)
        return connect_pair(client, Factory.forProtocol(RawPeer), self.clock, self.world.network)

    def end(self, link: Link, how: str = "half_close") -> str:
        """How the log says that the session ended."""
        with capturedLogs() as logs:
            getattr(link, how)()
            link.flush()
            link.close()
        (outcome,) = [event["outcome"] for event in logs if "outcome" in event]
        return str(outcome)


class SixteenTests(BookCase):
    """Sixteen octets each way."""

    def test_every_split(self) -> None:
        """The answer comes with the sixteenth octet, then the end."""
        for first, second in every_split(GREETING):
            link = self.link()
            link.say(first)
            if second:
                self.assertEqual(link.take(), b"")
            link.say(second)
            self.assertEqual(link.take(), FAREWELL)
            self.assertTrue(link.closed)

    def test_fewer_is_logged_and_not_answered(self) -> None:
        """However the peer leaves."""
        for length in range(16):
            for how in ("half_close", "close", "abort"):
                link = self.link()
                link.say(GREETING[:length])
                self.assertEqual(self.end(link, how), f"peer gone after {length} of 16 octets")
                self.assertEqual(link.take(), b"")

    def test_a_trickle_ends(self) -> None:
        """The limit is for all sixteen."""
        link = self.link()
        for _ in range(12):
            link.say(b"a")
            self.world.advance(1)
        self.assertTrue(link.closed)
        link.close()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_more_does_no_harm(self) -> None:
        """It is thrown away."""
        link = self.link()
        link.say(GREETING + b"a" * 100_000)
        self.assertEqual(link.take(), FAREWELL)

    def test_client_and_server(self) -> None:
        """In the smallest pieces, too."""
        pair = self.pair(SixteenClient)
        pair.deliver_in(1)
        pair.flush()
        self.assertEqual(self.successResultOf(pair.client.result), FAREWELL)

    def test_the_client_at_every_cut(self) -> None:
        """It has sixteen octets or an error, and leaves nothing on the clock."""
        for cut in range(17):
            for leave in ("loseConnection", "abortConnection"):
                pair = self.played(SixteenClient)
                transport: Any = pair.server.transport
                transport.write(FAREWELL[:cut])
                pair.flush()
                getattr(transport, leave)()
                pair.flush()
                if cut == 16:
                    self.assertEqual(self.successResultOf(pair.client.result), FAREWELL)
                elif leave == "abortConnection":
                    self.failureResultOf(pair.client.result, Reset)
                else:
                    self.failureResultOf(pair.client.result, Truncated if cut else Closed)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_says_more(self) -> None:
        """It is not believed."""
        pair = self.played(SixteenClient)
        transport: Any = pair.server.transport
        transport.write(FAREWELL + b"!")
        pair.flush()
        self.failureResultOf(pair.client.result, Confused)

    def test_a_silent_server(self) -> None:
        """It is given up, and the connection dropped."""
        pair = self.played(SixteenClient)
        self.world.advance(12)
        self.failureResultOf(pair.client.result, TimedOut)
        self.assertIsNotNone(pair.server.lost)

    def test_a_cancelled_client(self) -> None:
        """It drops the connection."""
        pair = self.played(SixteenClient)
        pair.client.result.cancel()
        pair.flush()
        self.failureResultOf(pair.client.result, CancelledError)
        self.assertIsNotNone(pair.server.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping(self) -> None:
        """Who has said nothing is left at once; who has begun may finish."""
        idle, begun = self.link(), self.link()
        begun.say(GREETING[:5])
        drained = [one.server.factory.drain() for one in (idle, begun)]
        self.assertTrue(idle.closed)
        begun.say(GREETING[5:])
        self.assertEqual(begun.take(), FAREWELL)
        for one in (idle, begun):
            one.close()
        for done in drained:
            self.successResultOf(done)


class UpperTests(BookCase):
    """A stream in capitals."""

    kind = UpperServer

    def upper(self, pieces: Iterable[bytes], server: Any = None) -> tuple[Pair[UpperClient, Any], bytearray]:
        """Our client and a server, and what the client takes."""
        heard = bytearray()
        factory = UpperClientFactory(self.clock, pieces, heard.extend, 10)
        return connect_pair(factory, server or self.factory(), self.clock, self.world.network), heard

    def test_random_cuts(self) -> None:
        """Every octet comes back, in order; only letters of ASCII are changed."""
        data = bytes(range(256)) * 20
        link = self.link()
        link.say(data, cuts=random_cuts(data, Random(3), 30))
        self.assertEqual(link.take(), data.upper())
        self.assertFalse(link.closed)

    def test_half_close(self) -> None:
        """What was said comes back, then the end."""
        link = self.link()
        link.stop_reading()
        link.say(b"abc" * 10_000)
        link.half_close()
        link.go_on_reading()
        self.assertEqual(link.take(), b"ABC" * 10_000)
        self.assertTrue(link.closed)

    def test_a_peer_that_writes_all_before_it_reads_is_bounded(self) -> None:
        """The book's deadlock: the server waits and holds little; when the peer reads, everything comes."""
        link = self.link()
        link.stop_reading()
        link.say(b"abcd" * 2_000_000)
        self.assertLess(link.server.sent, 400_000)
        self.assertLess(link.server.pending, 200_000)
        link.go_on_reading()
        self.assertEqual(link.take(), b"ABCD" * 2_000_000)

    def test_a_peer_that_never_reads_is_dropped_and_harms_nobody(self) -> None:
        """Another one is served meanwhile; the slot is given back."""
        factory = self.factory()
        stuck, other = self.world.connect(factory), self.world.connect(factory)
        stuck.stop_reading()
        stuck.say(b"a" * 1_000_000)
        other.say(b"abc")
        self.assertEqual(other.take(), b"ABC")
        other.close()
        self.world.advance(125)
        self.assertEqual(len(factory.sessions), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_silent_peer_is_left(self) -> None:
        """After the idle limit."""
        link = self.link()
        link.say(b"a")
        self.world.advance(12)
        self.assertTrue(link.closed)

    def test_client_and_server_never_wait_for_each_other(self) -> None:
        """32 MiB, in pieces made when they are wanted; neither side grows."""
        largest = 0
        pair: Any = None

        def pieces() -> Iterator[bytes]:
            nonlocal largest
            for _ in range(512):
                if pair is not None:
                    largest = max(largest, pair.server.pending, len(pair.client.transport._unsent))
                yield b"abcdefgh" * 8_192

        heard = [0]

        def take(data: bytes) -> None:
            heard[0] += data.count(b"ABCDEFGH"[0:1])

        pair = connect_pair(
            UpperClientFactory(self.clock, pieces(), take, 10), self.factory(), self.clock, self.world.network
        )
        pair.flush()
        self.assertEqual(self.successResultOf(pair.client.result), 512 * 65_536)
        self.assertEqual(heard[0], 512 * 8_192)
        self.assertLess(largest, 300_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_to_say(self) -> None:
        """An empty stream comes back empty."""
        pair, heard = self.upper(())
        pair.flush()
        self.assertEqual((self.successResultOf(pair.client.result), bytes(heard)), (0, b""))

    def test_the_client_at_every_cut(self) -> None:
        """All of it, or an error that says so."""
        for cut in range(7):
            for leave in ("loseConnection", "abortConnection"):
                pair, heard = self.upper([b"abc", b"def"], Factory.forProtocol(RawPeer))
                transport = pair.server.transport
                transport.write(b"ABCDEF"[:cut])
                pair.flush()
                getattr(transport, leave)()
                pair.flush()
                self.assertEqual(bytes(heard), b"ABCDEF"[:cut])
                if cut < 6:
                    self.failureResultOf(pair.client.result, CallError)
                elif leave == "loseConnection":
                    self.assertEqual(self.successResultOf(pair.client.result), 6)
                else:
                    self.failureResultOf(pair.client.result, Reset)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_says_more(self) -> None:
        """It is not believed, and the connection is dropped."""
        pair, _ = self.upper([b"abc"], Factory.forProtocol(RawPeer))
        pair.server.transport.write(b"ABCD")
        pair.flush()
        self.failureResultOf(pair.client.result, Confused)
        self.assertIsNotNone(pair.server.lost)

    def test_a_silent_server(self) -> None:
        """It is given up."""
        pair, _ = self.upper([b"abc"], Factory.forProtocol(RawPeer))
        self.world.advance(12)
        self.failureResultOf(pair.client.result, TimedOut)


class StreamerTests(BookCase):
    """A stream that ends where its sender closes."""

    kind = StreamerServer

    def test_the_length_is_logged_and_nothing_said(self) -> None:
        """In any pieces."""
        for first, second in every_split(b"three\nlines\nof text\n"):
            link = self.link()
            link.say(first)
            link.say(second)
            self.assertEqual(self.end(link), "20 octets")
            self.assertEqual(link.take(), b"")

    def test_a_stream_that_breaks_off(self) -> None:
        """It is told from one that ends."""
        link = self.link()
        link.say(b"abc")
        self.assertEqual(self.end(link, "abort"), "broke off after 3 octets")

    def test_the_limit(self) -> None:
        """Past it the connection is dropped."""
        link = self.link()
        link.say(b"a" * 100_000)
        self.assertFalse(link.closed)
        link.say(b"a" * 100_000)
        self.assertIsNotNone(link.peer.lost)
        self.assertEqual(link.server.outcome, "more than 100000 octets")

    def test_client_and_server(self) -> None:
        """The client knows that everything has been heard."""
        pair = self.pair(StreamerClient, [b"abc"] * 30_000)
        pair.flush()
        self.assertEqual(self.successResultOf(pair.client.result), b"")
        server: Any = pair.server
        self.assertEqual(server.outcome, "90000 octets")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_client_over_the_limit(self) -> None:
        """It is told of the reset, and its pieces are not all asked for."""
        asked = [0]

        def pieces() -> Iterator[bytes]:
            while True:
                asked[0] += 1
                yield b"a" * 10_000

        pair = self.pair(StreamerClient, pieces())
        pair.flush()
        self.failureResultOf(pair.client.result, CallError)
        self.assertLess(asked[0], 100)

    def test_pieces_that_fail(self) -> None:
        """The caller's own error comes back to the caller."""

        def pieces() -> Iterator[bytes]:
            yield b"abc"
            raise ZeroDivisionError

        pair = self.pair(StreamerClient, pieces())
        pair.flush()
        self.failureResultOf(pair.client.result, ZeroDivisionError)

    def test_a_receiver_that_speaks(self) -> None:
        """It is not what the client came for."""
        pair = self.played(StreamerClient, [b"abc"])
        transport: Any = pair.server.transport
        transport.write(b"hm")
        pair.flush()
        self.failureResultOf(pair.client.result, Confused)


class BlocksTests(BookCase):
    """Blocks behind their length."""

    kind = BlocksServer
    said = block(b"one") + block(b"\0" * 300) + block(b"x") + END

    def test_every_split(self) -> None:
        """The last block ends it; nothing is said."""
        for first, second in every_split(self.said):
            link = self.link()
            link.say(first)
            link.say(second)
            self.assertTrue(link.closed)
            self.assertEqual((link.take(), link.server.outcome), (b"", "3 blocks, 304 octets"))

    def test_octet_by_octet(self) -> None:
        """The same in the smallest pieces."""
        link = self.link()
        link.say(self.said, chunk=1)
        self.assertEqual(link.server.outcome, "3 blocks, 304 octets")

    def test_every_cut(self) -> None:
        """A stream without its end is logged as broken off, with what was whole."""
        whole = [len(block(b"one")), len(block(b"one") + block(b"\0" * 300)), len(self.said) - 4]
        for cut in range(0, len(self.said), 3):
            link = self.link()
            link.say(self.said[:cut])
            number = sum(cut >= one for one in whole)
            self.assertEqual(self.end(link), f"broke off after {number} blocks")

    def test_a_length_over_the_limit(self) -> None:
        """Refused before any of the block is read; 4 GiB, too."""
        for length in (1_001, (1 << 32) - 1):
            link = self.link()
            link.say(struct.pack("!I", length))
            self.assertIsNotNone(link.peer.lost)
            self.assertEqual(link.server.outcome, f"a block of {length} octets behind 0 is over the limit")

    def test_blocks_over_the_limit_together(self) -> None:
        """A hundred fit, one more does not."""
        link = self.link()
        link.say(block(b"a" * 1_000) * 100)
        self.assertFalse(link.closed)
        link.say(block(b"a"))
        self.assertIsNotNone(link.peer.lost)

    def test_what_is_no_block(self) -> None:
        """An empty one would end the stream."""
        self.assertRaises(ValueError, block, b"")

    def test_client_and_server(self) -> None:
        """The client knows that everything has been heard."""
        pair = self.pair(BlocksClient, [b"a" * 999] * 50)
        pair.deliver_in(7)
        pair.flush()
        self.assertEqual(self.successResultOf(pair.client.result), b"")
        server: Any = pair.server
        self.assertEqual(server.outcome, "50 blocks, 49950 octets")

    def test_the_client_over_the_limit(self) -> None:
        """An error, not success."""
        pair = self.pair(BlocksClient, [b"a" * 2_000])
        pair.flush()
        self.failureResultOf(pair.client.result, CallError)

    def test_an_empty_block(self) -> None:
        """It is the caller's error."""
        pair = self.pair(BlocksClient, [b""])
        pair.flush()
        self.failureResultOf(pair.client.result, ValueError)
