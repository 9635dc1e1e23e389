"""What the memory network has besides connections: names, datagrams, Unix sockets, latency, pieces."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, connectProtocol, serverFromString
from twisted.internet.error import CannotListenError, DNSLookupError, MessageLengthError
from twisted.internet.interfaces import IReactorPluggableNameResolver, IReactorUDP, IReactorUNIX, IResolutionReceiver
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import Clock
from twisted.names import client as names_client
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from launcelot.testing.names import Doom
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from tests.testing import cases
from tests.testing.conformance import Recorder


class Parrot(DatagramProtocol):
    """Answers every datagram, and keeps it."""

    transport: Any = None

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Any]] = []
        self.refusals = 0
        self.waiting: Deferred[None] | None = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.heard.append((datagram, addr))
        if datagram.startswith(b"ask"):
            self.transport.write(b"answer", addr)
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    def connectionRefused(self) -> None:
        self.refusals += 1
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    def next(self) -> Deferred[None]:
        """Fires with the next event."""
        self.waiting = Deferred()
        return self.waiting


class DatagramConformance:
    """What UDP sockets do, on any reactor; ``world`` gives one, and ``rest`` waits for an event."""

    reactor: Any

    async def scenario(self) -> None:
        """Ask, be answered, be connected, be too long, be closed."""
        server, client = Parrot(), Parrot()
        there = self.reactor.listenUDP(0, server, "127.0.0.1")
        here = self.reactor.listenUDP(0, client, "127.0.0.1")
        heard = client.next()
        client.transport.write(b"ask", ("127.0.0.1", there.getHost().port))
        await heard
        self.check(server.heard == [(b"ask", ("127.0.0.1", here.getHost().port))])
        self.check(client.heard == [(b"answer", ("127.0.0.1", there.getHost().port))])
        try:
            client.transport.write(bytes(70_000), ("127.0.0.1", there.getHost().port))
        except MessageLengthError:
            pass
        else:
            self.check(False)
        client.transport.connect("127.0.0.1", there.getHost().port)
        heard = client.next()
        client.transport.write(b"ask again")
        await heard
        self.check(len(client.heard) == 2)
        await there.stopListening()
        await here.stopListening()
        self.check(not client.transport)

    def check(self, claim: bool) -> None:
        """A claim."""
        if not claim:
            raise AssertionError("the socket did not do what a UDP socket does")


class MemoryDatagramTests(DatagramConformance, cases.MemoryScenario):
    """In memory."""

    def test_nobody_there(self) -> None:
        """A connected socket is told.  (On real ones that is the kernel's, and not every kernel wakes the reactor for it.)"""
        network = MemoryNetwork(Clock())
        client = Parrot()
        MemoryReactor(network.clock, network).listenUDP(0, client)
        client.transport.write(b"anybody?", ("127.0.0.1", 9))
        client.transport.connect("127.0.0.1", 9)
        network.pump()
        client.transport.write(b"anybody?")
        network.pump()
        self.assertEqual(client.refusals, 2)


class SocketDatagramTests(DatagramConformance, cases.SocketScenario):
    """On sockets, the authority."""


class MemoryCase(SynchronousTestCase):
    """A reactor in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.reactor = MemoryReactor(self.clock, self.network)

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.network.pump()


class NameTests(MemoryCase):
    """Looking hosts up."""

    def test_interfaces(self) -> None:
        """It is what it says it is."""
        for interface in (IReactorPluggableNameResolver, IReactorUDP, IReactorUNIX):
            verifyObject(interface, self.reactor)

    def test_hostname_endpoint(self) -> None:
        """Finds a host by its name, and tries the next address where nobody listens."""
        self.network.names["mx.test"] = ["::1", "127.0.0.1"]
        server, client = Recorder(), Recorder()
        self.reactor.listenTCP(25, _one(server))
        waiting = connectProtocol(HostnameEndpoint(self.reactor, "mx.test", 25), client)
        self.network.pump()
        self.pass_time(2)
        self.assertIs(self.successResultOf(waiting), client)
        self.assertEqual(client.end.getPeer(), IPv4Address("TCP", "127.0.0.1", 25))

    def test_no_such_host(self) -> None:
        """For endpoints and for connectTCP alike."""
        for endpoint in (
            HostnameEndpoint(self.reactor, "nowhere.test", 25),
            clientFromString(self.reactor, "tcp:nowhere.test:25"),
        ):
            waiting = connectProtocol(endpoint, Recorder())
            self.network.pump()
            self.failureResultOf(waiting, DNSLookupError)

    def test_kinds_of_address(self) -> None:
        """Only those that are wanted are told."""
        self.network.names["both.test"] = ["::1", "127.0.0.1"]
        receiver = Receiver()
        self.reactor.nameResolver.resolveHostName(receiver, "both.test", 1, [IPv6Address])
        self.network.pump()
        self.assertEqual((receiver.found, receiver.complete), ([IPv6Address("TCP", "::1", 1)], True))

    def test_doom(self) -> None:
        """Late, doubled, wrong, or not at all."""
        self.network.names["mx.test"] = "127.0.0.1"
        for doom, after, found in (
            (Doom(late=2.0), 2, ["127.0.0.1"]),
            (Doom(copies=2), 0, ["127.0.0.1", "127.0.0.1"]),
            (Doom(addresses=["127.0.0.9"]), 0, ["127.0.0.9"]),
            (Doom(addresses=[]), 0, []),
            (Doom(late=None), 60, None),
        ):
            self.network.names.doom = lambda host, doom=doom: doom  # type: ignore[misc]
            receiver = Receiver()
            self.reactor.nameResolver.resolveHostName(receiver, "mx.test")
            self.network.pump()
            self.assertEqual(receiver.complete, not after, doom)
            self.pass_time(after)
            self.assertEqual([one.host for one in receiver.found] if receiver.complete else None, found, doom)

    def test_cancelled(self) -> None:
        """Nothing is told any more."""
        receiver = Receiver()
        self.reactor.nameResolver.resolveHostName(receiver, "localhost").cancel()
        self.network.pump()
        self.assertEqual((receiver.found, receiver.complete), ([], False))


class WireTests(MemoryCase):
    """Unix sockets, latency, pieces, lost datagrams."""

    def test_unix_sockets(self) -> None:
        """By endpoint strings; a path is somebody's."""
        server, client = Recorder(), Recorder()
        listening = serverFromString(self.reactor, "unix:/run/it").listen(_one(server))
        self.successResultOf(listening)
        self.assertRaises(CannotListenError, self.reactor.listenUNIX, "/run/it", Factory())
        waiting = connectProtocol(clientFromString(self.reactor, "unix:/run/it"), client)
        self.network.pump()
        self.successResultOf(waiting)
        client.end.write(b"hello")
        self.network.pump()
        self.assertEqual((bytes(server.heard), server.end.getHost().name), (b"hello", b"/run/it"))

    def test_latency(self) -> None:
        """A connection takes one way and back, octets one way, and so do a close and a reset."""
        self.network.latency = 0.5
        for ending in ("loseConnection", "abortConnection"):
            server, client = Recorder(), Recorder()
            port = self.reactor.listenTCP(0, _one(server))
            connectProtocol(clientFromString(self.reactor, f"tcp:127.0.0.1:{port.getHost().port}"), client)
            self.network.pump()
            self.pass_time(0.5)
            self.assertFalse(client.made)
            self.pass_time(0.5)
            self.assertTrue(client.made)
            client.end.write(b"hello")
            self.network.pump()
            self.assertEqual(bytes(server.heard), b"")
            self.pass_time(0.5)
            self.assertEqual(bytes(server.heard), b"hello")
            getattr(client.end, ending)()
            self.network.pump()
            self.assertIsNone(server.lost)
            self.pass_time(0.5)
            self.assertIsNotNone(server.lost)
        self.assertEqual(self.network.open_ends, [])

    def test_megabyte_over_a_slow_line(self) -> None:
        """No more than the pipe holds is under way; all arrives in order."""
        self.network.latency = 0.5
        server, client = Recorder(), Recorder()
        self.network.join(client, self.network.listen(0, _one(server)))
        data = bytes(range(256)) * 1024
        client.end.write(data)
        self.network.pump()
        self.pass_time(0.5)
        self.assertEqual(len(server.heard), 65_536)
        self.pass_time(4)
        self.assertEqual(bytes(server.heard), data)

    def test_pieces(self) -> None:
        """No larger than the network allows."""
        self.network.mtu = 3
        server, client = Pieces(), Recorder()
        self.network.join(client, self.network.listen(0, _one(server)))
        client.end.write(b"abcdefgh")
        self.network.pump()
        self.assertEqual(server.pieces, [b"abc", b"def", b"gh"])

    def test_fate_of_datagrams(self) -> None:
        """Lost, doubled, and overtaken."""
        fates = {b"lost": [], b"doubled": [0.0, 1.0], b"late": [0.5]}
        self.network.fate = lambda datagram: fates.get(datagram, [0.0])
        server, client = Parrot(), Parrot()
        port = self.reactor.listenUDP(7, server)
        self.reactor.listenUDP(0, client)
        for one in (b"late", b"lost", b"doubled", b"plain"):
            client.transport.write(one, ("127.0.0.1", port.getHost().port))
        self.network.pump()
        self.pass_time(1)
        self.assertEqual([datagram for datagram, _ in server.heard], [b"doubled", b"plain", b"late", b"doubled"])

    def test_nothing_travels_on(self) -> None:
        """When a world ends."""
        self.network.latency = 0.5
        server, client = Recorder(), Recorder()
        self.network.join(client, self.network.listen(0, _one(server)))
        client.end.write(b"hello")
        self.network.pump()
        self.network.drop_travelling()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_names_over_datagrams(self) -> None:
        """Twisted's own resolver asks through it; nobody answers, and its time is the clock's."""
        resolver: Any = names_client.Resolver(servers=[("127.0.0.1", 53)], timeout=(1, 2), reactor=self.reactor)
        heard = Parrot()
        self.reactor.listenUDP(53, heard)
        asked = resolver.lookupMailExchange("launcelot.test")
        self.network.pump()
        self.assertIn(b"launcelot", heard.heard[0][0])
        self.pass_time(4)
        self.failureResultOf(asked)


class Pieces(Recorder):
    """Keeps them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)


@implementer(IResolutionReceiver)
class Receiver:
    """Of a resolution."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.complete = False

    def resolutionBegan(self, resolution: Any) -> None:
        """Fine."""

    def addressResolved(self, address: Any) -> None:
        """Keep it."""
        self.found.append(address)

    def resolutionComplete(self) -> None:
        """Remember it."""
        self.complete = True


def _one(protocol: Any) -> Factory:
    """A factory that hands out one protocol."""
    factory = Factory()
    factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
    return factory
