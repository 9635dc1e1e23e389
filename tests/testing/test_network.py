"""The memory network and our TCP port pass the same conformance suite as Twisted's own sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, clientFromString, connectProtocol, serverFromString
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol, ReconnectingClientFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.hosting.transport import EagerServer, listen_tcp
from launcelot.testing.names import Doom
from launcelot.testing.network import MemoryNetwork, MemoryPort, MemoryReactor
from tests.testing import cases
from tests.testing.conformance import Conformance, Recorder


class Caller(ReconnectingClientFactory):
    """Connects once more when it is cut off, and keeps what it is told."""

    noisy = False

    def __init__(self, again: int = 0) -> None:
        self.told: list[str] = []
        self.again = again
        self.next: Deferred[None] = Deferred()

    def happened(self, what: str, wakes: bool = True) -> None:
        """Something has."""
        self.told.append(what)
        if wakes:
            waiting, self.next = self.next, Deferred()
            waiting.callback(None)

    def startFactory(self) -> None:
        self.happened("start", False)

    def stopFactory(self) -> None:
        self.happened("stop", False)

    def startedConnecting(self, connector: Any) -> None:
        self.happened("connecting", False)

    def buildProtocol(self, addr: Any) -> Protocol:
        self.told.append("built")
        return Called(self)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.told.append("lost")
        if self.again:
            self.again -= 1
            connector.connect()
        self.happened("")

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.happened(type(reason.value).__name__)


class Called(Protocol):
    """Tells when it is connected."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def connectionMade(self) -> None:
        self.caller.happened("made")


class ConnectorConformance:
    """What a connector tells its factory, on any reactor."""

    reactor: Any

    async def scenario(self) -> None:
        """Connected, cut off, connected again; refused; given up."""
        server = Factory.forProtocol(Recorder)
        server.noisy = False
        port = self.reactor.listenTCP(0, server, interface="127.0.0.1")
        number = port.getHost().port
        caller = Caller(again=1)
        built = caller.next
        connector = self.reactor.connectTCP("127.0.0.1", number, caller)
        await built
        again = caller.next
        connector.disconnect()
        await again
        await caller.next
        over = caller.next
        connector.disconnect()
        await over
        wanted = ["start", "connecting", "built", "made", "lost", "connecting", "", "built", "made", "lost", ""]
        self.check(caller.told[: len(wanted)] == wanted, caller.told)
        await port.stopListening()
        refused = Caller()
        told = refused.next
        self.reactor.connectTCP("127.0.0.1", number, refused)
        await told
        self.check(refused.told[:3] == ["start", "connecting", "ConnectionRefusedError"], refused.told)
        given_up = Caller()
        self.reactor.connectTCP("127.0.0.1", number, given_up).stopConnecting()
        self.check(given_up.told == ["start", "connecting", "UserError", "stop"], given_up.told)

    def check(self, claim: bool, told: object) -> None:
        """A claim."""
        if not claim:
            raise AssertionError(f"a connector told {told!r}")


class MemoryConnectorTests(ConnectorConformance, cases.MemoryScenario):
    """In memory."""

    def test_time_is_up(self) -> None:
        """A name that is never found is given up after its time."""
        network = MemoryNetwork(Clock())
        network.names.doom = lambda host: Doom(late=None)
        caller = Caller()
        MemoryReactor(network.clock, network).connectTCP("mx.test", 25, caller, timeout=5)
        network.pump()
        network.clock.advance(4)
        self.assertEqual(caller.told, ["start", "connecting"])
        network.clock.advance(1)
        self.assertEqual(caller.told, ["start", "connecting", "TimeoutError", "stop"])


class SocketConnectorTests(ConnectorConformance, cases.SocketScenario):
    """On sockets, the authority."""


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


class MemoryPiecesConformanceTests(MemoryConformanceTests):
    """In pieces of a thousand octets."""

    def setUp(self) -> None:
        super().setUp()
        self.network.mtu = 1_000


class MemoryLatencyConformanceTests(MemoryConformanceTests):
    """Over a line that takes a hundredth of a second."""

    def setUp(self) -> None:
        super().setUp()
        self.network.latency = 0.01

    def run_scenario(self, scenario: Coroutine[Any, Any, None]) -> None:
        running = Deferred.fromCoroutine(scenario)
        for _ in range(10_000):
            self.network.pump()
            if running.called and not self.network.open_ends:
                break
            self.network.clock.advance(0.01)
        self.successResultOf(running)


class _EndpointConformance(Conformance):
    """By the strings that people write, on any reactor."""

    reactor: Any
    where: str
    ports: list[Any]

    def strings(self, port: Any) -> str:
        """How a client names what listens."""
        address = port.getHost()
        return f"unix:{address.name.decode()}" if self.where.startswith("unix:") else f"tcp:localhost:{address.port}"

    async def joined(self, client: Recorder, server: Recorder) -> None:
        port = await serverFromString(self.reactor, self.where).listen(_One(server))
        self.ports.append(port)
        await connectProtocol(clientFromString(self.reactor, self.strings(port)), client)
        await server.when(lambda: server.made)


class MemoryEndpointTests(_EndpointConformance, SynchronousTestCase):
    """In memory."""

    where = "tcp:0:interface=127.0.0.1"

    def setUp(self) -> None:
        self.ports = []
        self.network = MemoryNetwork(Clock())
        self.reactor = MemoryReactor(self.network.clock, self.network)

    def run_scenario(self, scenario: Coroutine[Any, Any, None]) -> None:
        running = Deferred.fromCoroutine(scenario)
        self.network.pump()
        self.successResultOf(running)
        self.assertEqual(self.network.open_ends, [])


class MemoryUnixTests(MemoryEndpointTests):
    """Over a path, of which no file is made."""

    where = "unix:/run/it"
    peers_hear_of_abort = False


class SocketUnixTests(_EndpointConformance, TestCase):
    """Over a path, on sockets."""

    reactor = reactor
    timeout = 120
    peers_hear_of_abort = False

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(folder.cleanup)
        self.ports = []
        self.where = f"unix:{folder.name}/it"

    def run_scenario(self, scenario: Coroutine[Any, Any, None]) -> Any:
        async def whole() -> None:
            await scenario
            for port in self.ports:
                await port.stopListening()

        return Deferred.fromCoroutine(whole())


class SocketEndpointTests(SocketUnixTests):
    """Over TCP, to a name, on sockets."""

    peers_hear_of_abort = True

    def setUp(self) -> None:
        super().setUp()
        self.where = "tcp:0:interface=127.0.0.1"


del _EndpointConformance


class _SocketConformance(Conformance, TestCase):
    timeout = 120

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
