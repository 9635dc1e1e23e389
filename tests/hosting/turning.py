"""A reactor turned by hand, with our port on it and plain blocking sockets on the other side."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.reactor import EagerReactor
from launcelot.hosting.transport import listen_tcp


class Said(Protocol):
    """Does with what it hears what the test wants."""

    def __init__(self, hear: Callable[[Said, bytes], None]) -> None:
        self._hear = hear
        self.lost: Failure | None = None

    @property
    def end(self) -> Any:
        """The transport."""
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        self._hear(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class ReactorCase(SynchronousTestCase):
    """A reactor of our own that is not the process's; plain sockets on the other side, which block at most five seconds."""

    def setUp(self) -> None:
        self.reactor: Any = EagerReactor()
        self.addCleanup(self.reactor._poller.close)
        self.addCleanup(self.reactor.removeAll)
        self.servers: list[Said] = []

    def listen(self, hear: Callable[[Said, bytes], None], eager: bool = True) -> int:
        """A port whose peers are heard so."""

        class Hearing(Factory):
            noisy = False

            def buildProtocol(inner, addr: Any) -> Said:
                self.servers.append(Said(hear))
                return self.servers[-1]

        if eager:
            port: Any = listen_tcp(self.reactor, 0, Hearing(), "127.0.0.1")
        else:
            port = self.reactor.listenTCP(0, Hearing(), interface="127.0.0.1")
        self.addCleanup(self.close, port)
        return int(port.getHost().port)

    def connect(self, port: int) -> socket.socket:
        """A peer, which the server has accepted."""
        peer = socket.create_connection(("127.0.0.1", port), 5)
        self.addCleanup(peer.close)
        before = len(self.servers)
        self.reactor.iterate(5)
        self.assertEqual(len(self.servers), before + 1)
        self.addCleanup(self.drop, self.servers[-1])
        return peer

    def close(self, port: Any) -> None:
        """Close a port, unless the reactor did when it stopped."""
        if port.connected:
            port.connectionLost(Failure(ConnectionDone()))

    def drop(self, server: Said) -> None:
        """Close what a test left open."""
        if server.lost is None:
            server.end.connectionLost(Failure(ConnectionDone()))

    def run_until_stopped(self) -> None:
        """Run the main loop; ends at ``reactor.stop`` or ``crash``, and the test with it if that never comes."""
        self.reactor.callLater(10, self.reactor.crash)
        self.reactor.run(installSignalHandlers=False)
