"""Listeners: endpoint strings, ports in use, draining."""

from __future__ import annotations

import os
import tempfile

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.hosting.listening import CannotListen, Listener, Listeners
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from tests.hosting.bare import talker_factory
from tests.testing.conformance import Recorder


class MemoryListenersTests(SynchronousTestCase):
    """On the memory network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.reactor = MemoryReactor(self.clock, self.network)
        self.factory = talker_factory(self.clock)

    def listeners(self, *endpoints: str) -> Listeners:
        return Listeners(self.reactor, [Listener("talk", endpoint, self.factory) for endpoint in endpoints])

    def test_listening_is_told(self) -> None:
        """What listens where is known once it listens."""
        listeners = self.listeners("tcp:7001:interface=127.0.0.1", "tcp:0:interface=127.0.0.1")
        self.successResultOf(Deferred.fromCoroutine(listeners.listen()))
        first, second = listeners.listening
        self.assertEqual((first.name, first.host, first.port, first.tls), ("talk", "127.0.0.1", 7001, "starttls"))
        self.assertNotEqual(second.port, 0)

    def test_all_or_none(self) -> None:
        """When one endpoint is taken, none listens, and the text names it."""
        listeners = self.listeners("tcp:7001:interface=127.0.0.1", "tcp:7001:interface=127.0.0.1")
        failure = self.failureResultOf(Deferred.fromCoroutine(listeners.listen()), CannotListen)
        self.assertEqual(
            str(failure.value),
            "talk: cannot listen on 127.0.0.1:7001: Address already in use; stop what listens there, or choose another port",
        )
        again = self.listeners("tcp:7001:interface=127.0.0.1")
        self.successResultOf(Deferred.fromCoroutine(again.listen()))

    def test_nonsense_endpoint(self) -> None:
        """A text that is no endpoint is named in one line."""
        for nonsense in ("tcp:seventy", "nonsense:1", "tcp"):
            failure = self.failureResultOf(Deferred.fromCoroutine(self.listeners(nonsense).listen()), CannotListen)
            self.assertIn(nonsense, str(failure.value))
            self.assertNotIn("\n", str(failure.value))

    def test_stop_closes_and_drains(self) -> None:
        """Stopping says goodbye to those connected, frees the port and waits until they have gone."""
        listeners = self.listeners("tcp:7001:interface=127.0.0.1")
        self.successResultOf(Deferred.fromCoroutine(listeners.listen()))
        port = self.network.port_at(listeners._ports[0][1].getHost())
        peer = Recorder()
        assert port is not None
        self.network.join(peer, port)
        self.network.pump()
        stopped = listeners.stopService()
        self.network.pump()
        self.assertEqual(bytes(peer.heard), b"hello\r\nstopping\r\n")
        peer.end.loseConnection()
        self.network.pump()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SocketListenersTests(TestCase):
    """On real sockets."""

    timeout = 120

    async def _greeted(self, listeners: Listeners, endpoint: object) -> None:
        peer = Recorder()
        await connectProtocol(endpoint, peer)
        await peer.when(lambda: bytes(peer.heard) == b"hello\r\n")
        stopped = listeners.stopService()
        await peer.when(lambda: peer.heard.endswith(b"stopping\r\n"))
        peer.end.loseConnection()
        await stopped
        self.assertEqual(listeners.listening, [])

    async def test_tcp(self) -> None:
        """A TCP endpoint listens on a free port and drains."""
        listeners = Listeners(reactor, [Listener("talk", "tcp:0:interface=127.0.0.1", talker_factory(reactor))])  # type: ignore[arg-type]
        await listeners.listen()
        await self._greeted(listeners, TCP4ClientEndpoint(reactor, "127.0.0.1", listeners.listening[0].port))

    async def test_ipv6(self) -> None:
        """An IPv6 interface is written with escaped colons."""
        listeners = Listeners(reactor, [Listener("talk", r"tcp6:0:interface=\:\:1", talker_factory(reactor))])  # type: ignore[arg-type]
        await listeners.listen()
        self.assertEqual(listeners.listening[0].host, "::1")
        await listeners.stopService()

    async def test_unix_socket(self) -> None:
        """A Unix socket is served by the same factory."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "talk.sock")
            listeners = Listeners(reactor, [Listener("talk", f"unix:{path}", talker_factory(reactor))])  # type: ignore[arg-type]
            await listeners.listen()
            await self._greeted(listeners, UNIXClientEndpoint(reactor, path))
