"""
A network in memory, on a virtual clock: TCP, UDP, Unix sockets, and names.

:class:`MemoryNetwork` joins protocols with pairs of :class:`~launcelot.testing.transport.MemoryTransport` that behave like two
ends of a loopback connection.  Producers are paused and resumed; half-close, full close, abort and reset are told apart; octets
take :attr:`MemoryNetwork.latency` seconds of the clock and arrive in pieces of :attr:`MemoryNetwork.mtu` at most; and nothing is
delivered inside the call that caused it: :meth:`MemoryNetwork.pump` moves everything that can move.
``tests/testing/conformance.py`` runs the same tests on this network and on real sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
)
from twisted.internet.task import Clock
from zope.interface import implementer

from launcelot.testing.connecting import MemoryConnector
from launcelot.testing.datagrams import LARGEST, MemoryDatagramPort
from launcelot.testing.names import NameResolver, Names, address_of
from launcelot.testing.transport import READ_SIZE, Address, Fuse, MemoryTransport


@implementer(IListeningPort)
class MemoryPort:
    """A listening port."""

    def __init__(self, network: MemoryNetwork, address: Address, factory: IProtocolFactory) -> None:
        self._network = network
        self._address = address
        self.factory = factory
        self.listening = False

    def startListening(self) -> None:
        """
        Take the address.

        :raises CannotListenError: somebody has it.
        """
        self._network.take(self._address, self)
        self.listening = True
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Let go of the address."""
        if self.listening:
            self.listening = False
            self._network.release(self._address)
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> Any:
        """Where it listens."""
        return self._address


Arrived = Callable[[MemoryTransport], None]
"""Is given a client's transport."""


class MemoryNetwork:
    """
    All ports and connections of one world.

    :param clock: the virtual clock.
    :ivar names: hosts by name.
    :ivar mtu: octets that are delivered at once, at most, on connections made from now on.
    :ivar fate: what becomes of each datagram; see :meth:`send`.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.names = Names(clock, self.soon)
        self._fuse: Fuse | None = None
        self._latency = 0.0
        self.mtu = READ_SIZE
        self.fate: Callable[[bytes], Sequence[float]] = arrives
        self._taken: dict[object, Any] = {}
        self._travelling: set[IDelayedCall] = set()
        self._ends: dict[MemoryTransport, None] = {}
        self._joined = 0
        self._awake: list[MemoryTransport] = []
        self._round: list[tuple[int, MemoryTransport]] = []
        self._at = 0
        self._last = 0
        self._queue: deque[Callable[[], None]] = deque()
        self._next_port = 40_000
        self._pumping = False

    # -- listening and connecting --------------------------------------------------------------------------------

    def listen(self, port: int, factory: IProtocolFactory, interface: str = "") -> MemoryPort:
        """
        Listen; port 0 chooses one.

        :raises CannotListenError: the address is taken.
        """
        return self.listen_at(address_of(interface or "127.0.0.1", port or self.free_port()), factory)

    def listen_at(self, address: Address, factory: IProtocolFactory) -> MemoryPort:
        """
        Listen at an address, which may be a Unix socket's path.

        :raises CannotListenError: it is taken.
        """
        listening = MemoryPort(self, address, factory)
        listening.startListening()
        return listening

    def free_port(self) -> int:
        """A number nobody has had."""
        self._next_port += 1
        return self._next_port

    def take(self, address: object, taker: Any) -> None:
        """
        Have what comes to an address.

        :raises CannotListenError: somebody has it.
        """
        if address in self._taken:
            where: Any = address
            raise CannotListenError(
                getattr(where, "host", ""), getattr(where, "port", None) or where.name, OSError(98, "Address already in use")
            )
        self._taken[address] = taker

    def release(self, address: object) -> None:
        """Let go of an address."""
        del self._taken[address]

    def port_at(self, address: Address) -> MemoryPort | None:
        """Who listens there."""
        found: MemoryPort | None = self._taken.get(address)
        if found is None and isinstance(address, (IPv4Address, IPv6Address)):
            found = self._taken.get(address_of("0.0.0.0", address.port)) or self._taken.get(address_of("::", address.port))
        return found

    def join(
        self, client: IProtocol, port: MemoryPort, source: str = "127.0.0.1", arrived: Arrived | None = None
    ) -> MemoryTransport | None:
        """
        Connect a client's protocol to a port; the client's transport.

        :param arrived: is given it before the protocol is.
        """
        server_address = port.getHost()
        unix = isinstance(server_address, UNIXAddress)
        client_address: Address = UNIXAddress(None) if unix else address_of(source, self.free_port())
        server = port.factory.buildProtocol(client_address)
        near = MemoryTransport(self, client_address, server_address)
        near.client = True
        near.protocol = client
        if server is not None:
            far = MemoryTransport(self, server_address, client_address)
            far.protocol = server
            near.join(far)
            self._add(near)
            self._add(far)
            server.makeConnection(far)
        else:
            self._add(near)
            near.cut_off()
        if arrived is not None:
            arrived(near)
        client.makeConnection(near)
        return near

    def _add(self, end: MemoryTransport) -> None:
        self._joined += 1
        end.order = self._joined
        self._ends[end] = None

    def forget(self, end: MemoryTransport) -> None:
        """Called by an end that has been lost."""
        del self._ends[end]

    @property
    def open_ends(self) -> list[MemoryTransport]:
        """Every end that is still connected."""
        return list(self._ends)

    # -- datagrams -------------------------------------------------------------------------------------------------

    def send(self, datagram: bytes, destination: IPv4Address | IPv6Address, sender: MemoryDatagramPort) -> None:
        """
        Have a datagram arrive: as often as :attr:`fate` gives seconds for it, each time so much later, and not at all for none.

        A connected sender is told when nobody is there.
        """
        for late in self.fate(datagram):
            self.travel(lambda: self._deliver(datagram, destination, sender), late)

    def _deliver(self, datagram: bytes, destination: IPv4Address | IPv6Address, sender: MemoryDatagramPort) -> None:
        there: MemoryDatagramPort | None = self._taken.get(destination)
        if there is None:
            there = self._taken.get(address_of("0.0.0.0", destination.port, "UDP"))
        if there is None:
            self.travel(sender.refused)
        else:
            there.receive(datagram, sender.getHost())

    # -- moving --------------------------------------------------------------------------------------------------

    @property
    def latency(self) -> float:
        """Seconds that everything is under way, on the clock."""
        return self._latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._latency = seconds
        self._wake_all()

    @property
    def fuse(self) -> Fuse | None:
        """What cuts a connection at an octet; see :mod:`launcelot.testing.cuts`."""
        return self._fuse

    @fuse.setter
    def fuse(self, fuse: Fuse | None) -> None:
        self._fuse = fuse
        self._wake_all()

    def _wake_all(self) -> None:
        for end in self._ends:
            if not end.awake:
                self.wake(end)

    def wake(self, end: MemoryTransport) -> None:
        """Called for an end that may have something to do, once until it has been looked at."""
        end.awake = True
        if self._at < end.order <= self._last:
            # Its turn in this round is still to come.
            heappush(self._round, (end.order, end))
        else:
            self._awake.append(end)

    def soon(self, call: Callable[[], None]) -> None:
        """Have something done when the network next moves."""
        self._queue.append(call)

    def travel(self, call: Callable[[], None], late: float = 0.0, trips: int = 1) -> None:
        """
        Have something done at the other end, after :attr:`latency`; at once where there is none.

        :param late: seconds more.
        :param trips: how often it crosses the network.
        """
        delay = self.latency * trips + late
        if not delay:
            call()
            return

        def landed() -> None:
            self._travelling.discard(travelling)
            call()
            self.pump()

        travelling = self.later(delay, landed)

    def later(self, delay: float, call: Callable[..., None], *arguments: Any) -> IDelayedCall:
        """Have something done later that is the network's own and ends with it."""
        made = Clock.callLater(self.clock, delay, call, *arguments)
        self._travelling.add(made)
        return made

    def drop_travelling(self) -> None:
        """Nothing that is under way arrives any more."""
        travelling, self._travelling = self._travelling, set()
        for one in travelling:
            if one.active():
                one.cancel()

    def pump(self, limit: int = 1_000_000) -> None:
        """
        Move everything until nothing moves any more; called inside itself it does nothing, the outer one goes on.

        :param limit: steps after which it is taken to run for ever.
        :raises RuntimeError: the limit was reached.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            for _ in range(limit):
                if not self._move():
                    return
        finally:
            self._pumping = False
        raise RuntimeError(f"the network has not come to rest after {limit} steps")

    def settle(self, limit: int = 1_000) -> None:
        """
        Pump, and make the calls that are due now, until nothing moves and no time has passed.

        :param limit: rounds after which it is taken to run for ever.
        :raises RuntimeError: the limit was reached.
        """
        for _ in range(limit):
            self.pump()
            now = self.clock.seconds()
            if not any(call.getTime() <= now for call in self.clock.getDelayedCalls()):
                return
            self.clock.advance(0)
        raise RuntimeError(f"the network has not come to rest after {limit} rounds")

    def _move(self) -> bool:
        moved = bool(self._queue)
        for _ in range(len(self._queue)):
            self._queue.popleft()()
        return self._move_ends() or moved

    def _move_ends(self) -> bool:
        """
        One round: each end that is awake takes one step, in the order in which they were joined, and so do those that are woken
        meanwhile and come later in that order.  The others would do nothing.
        """
        moved = False
        self._round = [(end.order, end) for end in self._awake]
        self._awake = []
        heapify(self._round)
        self._last = self._joined
        try:
            while self._round:
                self._at, end = heappop(self._round)
                end.awake = False
                try:
                    stepped = end._step()
                except BaseException:
                    end._wake()
                    raise
                if stepped:
                    moved = True
                    end._wake()
        finally:
            self._last = 0
            self._awake += [end for _, end in self._round]
            self._round = []
        return moved


@implementer(IReactorTCP, IReactorUDP, IReactorUNIX, IReactorTime, IReactorPluggableNameResolver)
class MemoryReactor:
    """
    What protocols are handed as a reactor: the clock's time, and the network's TCP, UDP, Unix sockets and names.

    Calls from threads run at once, in the thread that makes them: in a memory world nothing else runs.
    """

    def __init__(self, clock: Clock, network: MemoryNetwork) -> None:
        self.clock = clock
        self.network = network
        self.callLater = clock.callLater
        self.seconds = clock.seconds
        self.getDelayedCalls = clock.getDelayedCalls
        self.nameResolver: IHostnameResolver = NameResolver(network.names)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> MemoryPort:
        """Listen in the network."""
        return self.network.listen(port, factory, interface)

    def listen_stream(self, port: int, factory: Any, interface: str = "") -> MemoryPort:
        """Listen in the network, as :func:`launcelot.hosting.transport.listen_tcp` does on sockets."""
        return self.network.listen(port, factory, interface)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: tuple[str, int] | None = None
    ) -> MemoryConnector:
        """Connect in the network."""
        source = bindAddress[0] if bindAddress and bindAddress[0] else "127.0.0.1"
        connector = MemoryConnector(self.network, address_of(host, port), factory, timeout, source)
        connector.connect()
        return connector

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> MemoryDatagramPort:
        """Take datagrams in the network."""
        number = port or self.network.free_port()
        listening = MemoryDatagramPort(self.network, address_of(interface or "127.0.0.1", number, "UDP"), protocol, maxPacketSize)
        listening.startListening()
        return listening

    def listen_datagrams(self, port: int, protocol: Any, interface: str = "") -> MemoryDatagramPort:
        """Take datagrams, as :func:`launcelot.hosting.datagrams.listen_datagrams` does on sockets."""
        return self.listenUDP(port, protocol, interface, LARGEST)

    def listenUNIX(self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False) -> MemoryPort:
        """Listen at a path; no file is made."""
        return self.network.listen_at(UNIXAddress(address), factory)

    def connectUNIX(self, address: Any, factory: Any, timeout: float = 30, checkPID: bool = False) -> MemoryConnector:
        """Connect to a path."""
        connector = MemoryConnector(self.network, UNIXAddress(address), factory, timeout)
        connector.connect()
        return connector

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Have endpoints ask somebody else for addresses; who was asked until now."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Run now."""
        call(*args, **kw)


def arrives(datagram: bytes) -> Sequence[float]:
    """The usual fate: once, and not late."""
    return (0.0,)
