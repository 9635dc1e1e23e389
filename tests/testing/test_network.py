"""The memory network and our TCP port pass the same conformance suite as Twisted's own sockets."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.hosting.transport import EagerServer, listen_tcp
from launcelot.testing.network import MemoryNetwork, MemoryPort, MemoryReactor
from tests.testing.conformance import Conformance, Recorder


class _One(Factory):
    """Hands out one protocol."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Protocol:
        return self._protocol


class MemoryConformanceTests(Conformance, SynchronousTestCase):
    """In memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork(Clock())

    def run_scenario(self, scenario: Coroutine[Any, Any, None]) -> None:
        running = Deferred.fromCoroutine(scenario)
        self.network.pump()
        self.successResultOf(running)
        self.assertEqual(self.network.open_ends, [])

    async def joined(self, client: Recorder, server: Recorder) -> None:
        port = self.network.listen(0, _One(server))
        self.network.join(client, port)


class _SocketConformance(Conformance, TestCase):
    timeout = 20

    def run_scenario(self, scenario: Coroutine[Any, Any, None]) -> Any:
        return Deferred.fromCoroutine(scenario)

    def listen(self, factory: Factory) -> Any:
        raise NotImplementedError

    async def joined(self, client: Recorder, server: Recorder) -> None:
        port = self.listen(_One(server))
        self.addCleanup(port.stopListening)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), client)
        await server.when(lambda: server.made)


class SocketConformanceTests(_SocketConformance):
    """On Twisted's own sockets, the authority."""

    def listen(self, factory: Factory) -> Any:
        return reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[arg-type]


class EagerConformanceTests(_SocketConformance):
    """On our port, whose connections send at the end of the read event."""

    def listen(self, factory: Factory) -> Any:
        return listen_tcp(reactor, 0, factory, "127.0.0.1")

    async def joined(self, client: Recorder, server: Recorder) -> None:
        await super().joined(client, server)
        self.assertIsInstance(server.end, EagerServer)


del _SocketConformance


class ReactorTests(SynchronousTestCase):
    """The reactor-like face of the network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.reactor = MemoryReactor(self.clock, self.network)

    def test_endpoint_connects(self) -> None:
        """A Twisted client endpoint connects to a listening factory."""
        server, client = Recorder(), Recorder()
        port = self.reactor.listenTCP(0, _One(server))
        waiting = connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port), client)
        self.network.pump()
        self.successResultOf(waiting)
        client.end.write(b"hello")
        self.network.pump()
        self.assertEqual(bytes(server.heard), b"hello")

    def test_nobody_listens(self) -> None:
        """Connecting where nobody listens is refused."""
        waiting = connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", 9), Recorder())
        self.network.pump()
        self.failureResultOf(waiting, ConnectionRefusedError)

    def test_address_in_use(self) -> None:
        """A taken port is refused until it is let go of."""
        port = self.reactor.listenTCP(0, Factory())
        number = port.getHost().port
        self.assertRaises(CannotListenError, self.reactor.listenTCP, number, Factory())
        port.stopListening()
        self.assertIsInstance(self.reactor.listenTCP(number, Factory()), MemoryPort)

    def test_server_that_turns_away(self) -> None:
        """A factory that builds no protocol closes the connection at once."""

        class Never(Factory):
            def buildProtocol(self, addr: Any) -> None:
                return None

        client = Recorder()
        self.network.join(client, self.network.listen(0, Never()))
        self.network.pump()
        self.assertIsNotNone(client.lost)
