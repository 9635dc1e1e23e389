"""
A world for a Trial test: a memory network, a virtual clock, a Site in it, and an account of what the test makes there.

``world.reactor`` is what the code under test is handed: it listens and connects in the network and waits on the clock.  Host
names are those that :meth:`TrialWorld.serve` was given; connections that are made and ports that are opened through it belong to
the test, which is told of those that it leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from launcelot.hosting.gather import gather
from launcelot.hosting.listening import Listeners
from launcelot.testing.certificates import Certificates
from launcelot.testing.faulting import Armed, FaultyTaps, guard
from launcelot.testing.faults import Fault
from launcelot.testing.leaks import WatchedClock, maker
from launcelot.testing.link import Link, Pair, connect, connect_pair
from launcelot.testing.network import MemoryConnector, MemoryNetwork, MemoryPort, MemoryReactor
from launcelot.testing.services import HOST, build, entries, wants_tls
from launcelot.testing.site import STARTS_AT, World, furnish
from launcelot.testing.tapping import TappedFactory, TappingReactor
from launcelot.testing.transcript import Transcript


@implementer(IReactorTCP, IReactorTime)
class WatchedReactor(MemoryReactor):
    """What code under test is handed; it knows who connected and who listens."""

    def __init__(self, clock: WatchedClock, network: MemoryNetwork) -> None:
        super().__init__(clock, network)
        self.connectors: list[tuple[MemoryConnector, str]] = []
        self.ports: list[tuple[MemoryPort, str]] = []

    def connectTCP(self, *arguments: Any, **named: Any) -> MemoryConnector:
        """As Twisted's."""
        connector = super().connectTCP(*arguments, **named)
        self.connectors.append((connector, maker(sys._getframe(1))))
        return connector

    def listenTCP(self, *arguments: Any, **named: Any) -> MemoryPort:
        """As Twisted's."""
        port = super().listenTCP(*arguments, **named)
        self.ports.append((port, maker(sys._getframe(1))))
        return port

    def left(self) -> list[str]:
        """Connections and ports that are open, one line each."""
        lines = [
            f"a connection to {to.host}:{to.port} is open: made at {who}"
            for connector, who in self.connectors
            if connector.connected
            for to in [connector.getDestination()]
        ]
        lines += [
            f"a port is open: {at.host}:{at.port}, made at {who}"
            for port, who in self.ports
            if port.listening
            for at in [port.getHost()]
        ]
        return lines


@dataclass(frozen=True)
class Service:
    """
    One listener in a world.

    :ivar endpoint: what a client connects to, such as ``"tcp:127.0.0.1:40001"``.
    """

    name: str
    host: str
    port: int
    factory: Any
    world: TrialWorld

    @property
    def endpoint(self) -> str:
        """For ``clientFromString`` with the world's reactor."""
        return f"tcp:{self.host}:{self.port}"

    @property
    def transcripts(self) -> Sequence[Transcript]:
        """Its connections, oldest first."""
        return [one for one in self.world.taps.transcripts if one.service == self.name]

    def connect(self) -> Link:
        """A raw peer connected to it."""
        return self.world.connect(self.factory)


class TrialWorld(World):
    """
    See the module's text.

    :ivar reactor: for the code under test.
    """

    clock: WatchedClock

    def __init__(self, tls: bool = False, domain: str = "test", hostname: str = "here.test", seed: int = 1) -> None:
        clock = WatchedClock()
        network = MemoryNetwork(clock)
        certificates = Certificates(hostname, "localhost", HOST) if tls else None
        within = TappingReactor(MemoryReactor(clock, network))

        def wall_clock() -> float:
            return STARTS_AT + clock.seconds()

        site, post = furnish(within, clock, wall_clock, network.soon, certificates, domain, hostname, seed, catches=True)
        super().__init__(clock, network, site, certificates, post)
        self.reactor = WatchedReactor(clock, network)
        self.taps = within.taps = FaultyTaps(clock.seconds, post, clock.callLater)
        guard(site, self.taps)
        self._listeners: list[Listeners] = []
        self._links: list[Link] = []
        self._pairs: list[Pair[Any, Any]] = []

    def serve(self, name: str, host: str = HOST, port: int = 0, **settings: Any) -> Service:
        """
        Have one of the daemon's services listen in the network.

        :param host: a name under which it is found there.
        :param port: 0 lets the network choose.
        :param settings: of the service, such as ``max_message_size=100_000``.
        :raises LookupError: there is no such service or setting, or it needs a certificate and the world has none.
        """
        if wants_tls([name]) and self.tls is None:
            raise LookupError(f"{name} needs a certificate; self.world(tls=True)")
        ((service, names),) = entries([name]).items()
        built = build(self.site, service, names, settings, port)
        self._listeners.append(built)
        self.result(built.listen())
        (listening,) = built.listening
        if host != HOST:
            self.network.names[host] = listening.host
        port_there: Any = built.ports[0][1]
        return Service(name, host, listening.port, port_there.factory, self)

    def fault(self, fault: Fault) -> Armed:
        """Have something go wrong on connections made from now on; ``struck`` of what it returns says how often it did."""
        return self.taps.arm(fault)

    def connect(self, factory: Any, source: str = "127.0.0.1") -> Link:
        """A raw peer connected to a server's factory; closed at the end of the test."""
        link = connect(factory, self.clock, source, self.network)
        self._links.append(link)
        return link

    def pair(self, client_factory: Any, server_factory: Any, tls: bool = False) -> Pair[Any, Any]:
        """
        A client's and a server's protocol, connected; closed at the end of the test.

        :param tls: both speak TLS from the first octet.
        """
        tapped = TappedFactory(self.taps, server_factory, "pair")
        if not tls:
            pair = connect_pair(client_factory, tapped, self.clock, self.network)
        else:
            certificates = self.tls or Certificates(self.site.hostname, "localhost")
            client = TLSMemoryBIOFactory(certificates.client(self.site.hostname), True, client_factory, self.clock)
            server = TLSMemoryBIOFactory(certificates.server, False, tapped, self.clock)
            outside = connect_pair(client, server, self.clock, self.network)
            pair = Pair(self.network, outside.client.wrappedProtocol, outside.server.wrappedProtocol)
        pair.transcript = self.taps.transcripts[-1]
        self._pairs.append(pair)
        return pair

    def flush(self) -> None:
        """Let everything happen that can before time passes."""
        self.network.settle()

    # -- the end -------------------------------------------------------------------------------------------------

    def leave(self) -> list[str]:
        """Close everything; what the test has left behind, one line each."""
        left = self.reactor.left()
        for link in self._links:
            if link.peer.transport is not None and link.peer.lost is None:
                link.abort()
        for pair in self._pairs:
            for one in (pair.client, pair.server):
                if one is not None and one.transport is not None:
                    one.transport.loseConnection()
        self.flush()
        self._close()
        for end in self.network.open_ends:
            end.abortConnection()
        self.flush()
        return left + self.clock.left()

    def _close(self) -> None:
        for one in self._listeners:
            self.result(one.unlisten())
        factories = {id(one.factory): one.factory for built in self._listeners for one in built.listeners}
        drained = [factory.drain(0.0) for factory in factories.values()]
        self.clock.advance(0)
        self.network.pump()
        self.result(gather(drained))
        self.result(self.site.spool.close())
