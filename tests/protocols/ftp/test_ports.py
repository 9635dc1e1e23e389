"""Listeners for data connections: one for each control connection, also where closing one takes a turn."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.protocols.ftp.kit import Peer


class SlowPort:
    """A listening port that is free again when the test says so, as Twisted's are a turn later."""

    def __init__(self, below: Any) -> None:
        self.below = below
        self.closing: Deferred[None] | None = None

    def getHost(self) -> Any:
        """Where it listens."""
        return self.below.getHost()

    def stopListening(self) -> Deferred[None]:
        """Begin to close."""
        self.closing = Deferred()
        return self.closing

    def let_go(self) -> None:
        """Be free."""
        self.below.stopListening()
        if self.closing is not None:
            self.closing.callback(None)


class PortTests(SynchronousTestCase):
    """F11."""

    def setUp(self) -> None:
        """A peer whose ports close late."""
        self.peer = Peer()
        self.ports: list[SlowPort] = []
        reactor = self.peer.world.site.reactor
        listen = reactor.listen_stream

        def listen_slowly(*arguments: Any) -> SlowPort:
            self.ports.append(SlowPort(listen(*arguments)))
            return self.ports[-1]

        self.patch(reactor, "listen_stream", listen_slowly)

    def test_pipelined_requests_hold_one_port_at_a_time(self) -> None:
        """A second port is opened when the first is free; 10,000 PASV in one segment once held 10,000 for twelve seconds."""
        self.peer.link.say(b"PASV\r\nEPSV\r\nNOOP\r\n")
        self.assertEqual(len(self.ports), 1)
        self.ports[0].let_go()
        self.assertEqual(len(self.ports), 2)
        self.assertRegex(self.peer.link.take(), rb"^227 [^\r\n]*\r\n229 [^\r\n]*\r\n200 OK.\r\n$")

    def test_a_peer_that_vanishes_while_its_port_closes_gets_no_other(self) -> None:
        """Nothing listens for a session that is over."""
        self.peer.link.say(b"PASV\r\nEPSV\r\n")
        self.peer.link.abort()
        self.ports[0].let_go()
        self.assertEqual(len(self.ports), 1)
        self.assertEqual(self.peer.factory.sessions, set())
        self.assertEqual(self.flushLoggedErrors(), [])
