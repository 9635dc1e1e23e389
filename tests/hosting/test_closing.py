"""Closing towards a peer that reads slowly: what was written is not thrown away by a reset."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.hosting import stream
from launcelot.hosting.stream import CLOSE_LIMIT, STALL_LIMIT
from launcelot.hosting.transport import acknowledge, listen_tcp, notice_dead_peer, unsent
from launcelot.testing.link import Link, connect
from tests.hosting.bare import talker_factory


class SlowReaderTests(SynchronousTestCase):
    """A peer that never closes, with some octets still on their way to it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.left = 0
        self.patch(stream, "unsent", lambda transport: self.left)

    def closing(self) -> Link:
        """A link whose server has just closed."""
        link = connect(talker_factory(self.clock), self.clock)
        link.say(b"ENOUGH\r\n")
        return link

    def advance(self, link: Link, seconds: float) -> None:
        """Let time pass, a little more than said."""
        self.clock.pump([1.0] * (int(seconds) + 2))
        link.flush()

    def test_one_that_goes_on_taking_is_waited_for(self) -> None:
        """As long as less is left each time somebody looks."""
        link = self.closing()
        self.left = 1_000_000
        self.advance(link, CLOSE_LIMIT)
        for left in (500_000, 400_000, 10):
            self.assertIsNone(link.peer.lost)
            self.left = left
            self.advance(link, STALL_LIMIT)
        self.assertIsNone(link.peer.lost)

    def test_one_that_takes_nothing_is_reset(self) -> None:
        """After the stall limit."""
        link = self.closing()
        self.left = 1_000_000
        self.advance(link, CLOSE_LIMIT)
        self.assertIsNone(link.peer.lost)
        self.advance(link, STALL_LIMIT)
        self.assertIsNotNone(link.peer.lost)

    def test_one_that_has_everything_is_reset_soon(self) -> None:
        """Nothing is lost by that."""
        link = self.closing()
        self.advance(link, CLOSE_LIMIT)
        self.assertIsNotNone(link.peer.lost)

    def test_memory_transports_have_no_kernel(self) -> None:
        """Nobody can tell what is left there."""
        self.assertEqual(unsent(connect(talker_factory(Clock()), Clock()).server.transport), 0)


class SocketTests(TestCase):
    """What the kernel is asked, on a real connection."""

    async def test_unsent_and_noticed(self) -> None:
        """Octets nobody reads are left over; a dead peer would be noticed in the time asked for; acknowledging can be hurried."""
        from twisted.internet import reactor

        made: Deferred[Protocol] = Deferred()

        class Server(Protocol):
            def connectionMade(self) -> None:
                made.callback(self)

        port = listen_tcp(reactor, 0, Factory.forProtocol(Server), "127.0.0.1")
        self.addCleanup(port.stopListening)
        peer = socket.create_connection(("127.0.0.1", port.getHost().port), 10)
        transport: Any = (await made).transport
        self.assertEqual(unsent(transport), 0)
        transport.write(bytes(32 << 20))
        self.assertGreater(unsent(transport), 1 << 20)
        notice_dead_peer(transport, 60)
        handle = transport.getHandle()
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        acknowledge(transport)
        self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK), 1)
        self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 60_000)
        made = Deferred()
        other = socket.create_connection(("127.0.0.1", port.getHost().port), 10)
        self.addCleanup(other.close)
        later: Any = (await made).transport
        for option, value in ((socket.TCP_USER_TIMEOUT, 60_000), (socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPCNT, 3)):
            self.assertEqual(later.getHandle().getsockopt(socket.IPPROTO_TCP, option), value)
        later.abortConnection()
        gone: Deferred[None] = Deferred()
        self.patch(transport.protocol, "connectionLost", lambda reason: gone.callback(None))
        transport.abortConnection()
        await gone
        peer.close()
        self.assertEqual(unsent(transport), 0)
        acknowledge(transport)
