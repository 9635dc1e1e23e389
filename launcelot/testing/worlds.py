"""
A world for a Trial test: a memory network, a virtual clock, a Site in it, and an account of what the test makes there.

``world.reactor`` is what the code under test is handed: it listens and connects in the network and waits on the clock.  Host
names are those that :meth:`TrialWorld.serve` was given; connections that are made and ports that are opened through it belong to
the test, which is told of those that it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.protocols.tls import TLSMemoryBIOFactory

from launcelot.testing.certificates import Certificates
from launcelot.testing.faulting import Armed, FaultyTaps
from launcelot.testing.faults import Fault
from launcelot.testing.leaks import WatchedClock
from launcelot.testing.link import Link, Pair, connect, connect_pair
from launcelot.testing.machine import Machine, Running
from launcelot.testing.nameserver import NameServer, doom_of
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from launcelot.testing.relaying import NAME_SERVER, Relayed
from launcelot.testing.services import DNS, HOST, entries, wants_tls
from launcelot.testing.site import STARTS_AT, Known, World, furnish
from launcelot.testing.storing import guard
from launcelot.testing.tapping import TappedFactory, TappingReactor
from launcelot.testing.transcript import Transcript
from launcelot.testing.watched import WatchedReactor
from launcelot.testing.ways import Caught, Ways
from launcelot.testing.zone import Zone


@dataclass(frozen=True)
class Service:
    """
    One listener in a world.

    :ivar endpoint: what a client connects to, such as ``"tcp:127.0.0.1:40001"``.
    """

    name: str
    host: str
    port: int
    world: TrialWorld
    running: Running | None = None

    @property
    def factory(self) -> Any:
        """
        What makes its sessions.

        :raises LookupError: it has none, as a name server.
        """
        for _, port in self.running.built.ports if self.running else ():
            return port.factory
        raise LookupError(f"{self.name} has no connections, or does not listen now")

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
    :ivar address: of its Site.
    :ivar zone: what ``world.serve("dns")`` answers, besides the hosts that services were given.
    """

    clock: WatchedClock

    def __init__(
        self,
        tls: bool | Certificates = False,
        domain: str = "test",
        hostname: str = "here.test",
        seed: int = 1,
        known: Known | None = None,
        relays: bool | Mapping[str, Any] = False,
        beside: TrialWorld | None = None,
    ) -> None:
        clock = WatchedClock() if beside is None else beside.clock
        network = MemoryNetwork(clock) if beside is None else beside.network
        self._neighbours: list[TrialWorld] = [] if beside is None else beside._neighbours
        self._neighbours.append(self)
        self.address = f"127.0.0.{len(self._neighbours)}"
        certificates = Certificates(hostname, "localhost", HOST) if tls is True else tls or None
        within = TappingReactor(MemoryReactor(clock, network))

        def wall_clock() -> float:
            return STARTS_AT + clock.seconds()

        self._ways: Ways = Caught()
        if relays is not False:
            settings = {} if relays is True else relays
            self._ways = Relayed(within, clock, wall_clock, domain, hostname, seed, settings)
        site, post = furnish(
            within,
            clock,
            wall_clock,
            network.soon,
            certificates,
            domain,
            hostname,
            seed,
            known=known,
            ways=self._ways,
        )
        super().__init__(clock, network, site, certificates, post)
        self.reactor = WatchedReactor(clock, network)
        self.taps = within.taps = FaultyTaps(clock.seconds, post, clock.of_the_world)
        self._machine = Machine(self.taps, clock.of_the_world)
        self.taps.restart = self._machine.restart
        if certificates is not None:
            self.taps.certificate = certificates.faulty
        guard(site, self.taps)
        if beside is None:
            network.names.doom = doom_of(self.taps)
        self.zone: Zone = Zone(network.names.known) if beside is None else beside.zone
        self._name_servers: list[NameServer] = []
        self._links: list[Link] = []
        self._pairs: list[Pair[Any, Any]] = []
        if relays is not False and beside is None:
            self.serve(DNS, port=NAME_SERVER[1])

    def beside(self, domain: str, hostname: str, tls: bool = False, relays: bool | Mapping[str, Any] = False) -> TrialWorld:
        """
        Another Site in the same network, at an address of its own, on the same clock, found by the same names.

        :param relays: whether it sends mail to other hosts, of which the name server of the first world tells; or with which
            settings of ``[relay]`` that differ from the daemon's, such as ``{"lifetime": 3_600.0}``.
        """
        return TrialWorld(tls, domain, hostname, seed=len(self._neighbours) + 1, relays=relays, beside=self)

    def serve(self, name: str, host: str = HOST, port: int = 0, **settings: Any) -> Service:
        """
        Have one of the daemon's services listen in the network.

        :param host: a name under which it is found there.
        :param port: 0 lets the network choose.
        :param settings: of the service, such as ``max_message_size=100_000``.
        :raises LookupError: there is no such service or setting, or it needs a certificate and the world has none.
        """
        if name == DNS:
            return self._serve_names(host, port)
        if wants_tls([name]) and self.tls is None:
            raise LookupError(f"{name} needs a certificate; self.world(tls=True)")
        ((service, names),) = entries([name]).items()
        running = Running(self.site, service, names, settings, port, self.address)
        self._machine.running.append(running)
        self.result(running.listen())
        (listening,) = running.built.listening
        if host != HOST:
            self.network.names[host] = listening.host
        return Service(name, listening.host if host == HOST else host, listening.port, self, running)

    def _serve_names(self, host: str, port: int) -> Service:
        server = NameServer(MemoryReactor(self.clock, self.network), self.zone, self.taps)
        self._name_servers.append(server)
        if host != HOST:
            self.network.names[host] = HOST
        return Service(DNS, host, server.listen(HOST, port), self)

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

    def restart(self, down: float = 0.0) -> None:
        """
        Have the server die and come back: connections to it are lost, what it has stored is there again.

        :param down: seconds of the clock in which nobody listens.
        """
        self._machine.restart(down)
        self.network.pump()

    # -- the end -------------------------------------------------------------------------------------------------

    def leave(self) -> list[str]:
        """Close everything; what the test has left behind, one line each."""
        left = list(self.reactor.left())
        self._neighbours.remove(self)
        relay_closed: Deferred[None] = succeed(None)
        if isinstance(self._ways, Relayed):
            relay_closed = Deferred.fromCoroutine(self._ways.relay.close())
        self.network.pump()
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
        self.result(closed(relay_closed))
        if self._neighbours:
            return left
        self.network.drop_travelling()
        return left + self.clock.left()

    def _close(self) -> None:
        closing = Deferred.fromCoroutine(self._machine.close())
        self.clock.advance(0)
        self.network.pump()
        self.result(closed(closing))
        for server in self._name_servers:
            self.result(server.close())
        self.result(self.site.spool.close())


async def closed(closing: Deferred[None]) -> None:
    """Something is closed."""
    await closing
