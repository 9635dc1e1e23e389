"""
A TCP network in memory, on a virtual clock.

:class:`MemoryNetwork` joins protocols with :class:`MemoryTransport` pairs that behave like two ends of a loopback
connection: what is written waits in a send buffer, travels through a pipe of limited size, and is delivered while the
receiver reads.  Producers are paused and resumed; half-close, full close, abort and reset are told apart; and nothing is
delivered inside the call that caused it: :meth:`MemoryNetwork.pump` moves everything that can move.
``tests/testing/conformance.py`` runs the same tests on this network and on real sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IConnector,
    IConsumer,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

SEND_BUFFER = 65_536
"""Octets in a transport's own buffer past which its producer is paused, as in Twisted."""

PIPE = 65_536
"""Octets under way between two ends, as the kernel's buffers hold."""

READ_SIZE = 65_536
"""Octets in one ``dataReceived`` at most, as Twisted's transports read."""

Address = IPv4Address | IPv6Address


class Fuse(Protocol):
    """Decides how much may pass."""

    def room(self, end: MemoryTransport, room: int) -> int:
        """Octets that may go from this end to the other now, at most ``room``; called when some wait there."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryTransport:
    """One end of a connection."""

    TLS = False
    disconnecting = False

    def __init__(self, network: MemoryNetwork, host: Address, peer: Address) -> None:
        self.network = network
        self.protocol: Any = None
        self.other: MemoryTransport | None = None
        self.connected = True
        self.chunk = READ_SIZE
        self._host = host
        self._peer = peer
        self._unsent = bytearray()
        self._inbox = bytearray()
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False
        self._reading = True
        self._closing_write = False
        self._fin_sent = False
        self._fin_received = False
        self._fin_told = False
        self._lost: Failure | None = None

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Buffer octets; after the connection is lost or half-closed they are dropped."""
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if not self.connected or self._closing_write:
            return
        self._unsent += data
        if self._producer is not None and self._streaming and not self._producer_paused and len(self._unsent) > SEND_BUFFER:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, iovec: Any) -> None:
        """Buffer several pieces."""
        self.write(b"".join(iovec))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have a producer paused and resumed, or pulled."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producer_paused = False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._producer = None

    def loseConnection(self) -> None:
        """Close both directions once everything is sent."""
        if self.connected:
            self.disconnecting = True

    def loseWriteConnection(self) -> None:
        """Close our direction once everything is sent."""
        self._closing_write = True

    def abortConnection(self) -> None:
        """Close at once with a reset."""
        if self.connected and self._lost is None:
            self._lost = Failure(ConnectionAborted())

    # -- reading -------------------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Stop delivering."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Go on delivering."""
        if self.connected and not self.disconnecting:
            self._reading = True

    def stopProducing(self) -> None:
        """As a producer that is told to stop: close."""
        self.loseConnection()

    # -- what is asked of a TCP transport ------------------------------------------------------------------------

    def getHost(self) -> Address:
        """Our address."""
        return self._host

    def getPeer(self) -> Address:
        """The peer's address."""
        return self._peer

    def getTcpNoDelay(self) -> bool:
        """Whether small writes leave at once; see ``no_delay``."""
        return self.no_delay

    no_delay = False
    keep_alive = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Remembered, for tests that ask."""
        self.no_delay = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        """Whether keep-alive was asked for."""
        return self.keep_alive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Remembered, for tests that ask."""
        self.keep_alive = bool(enabled)

    client = False

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """Speak TLS from here on, for protocols that ask the transport for it."""
        is_client = self.client if normal else not self.client
        factory = TLSMemoryBIOFactory(contextFactory, is_client, Factory(), self.network.clock)
        layer: Any = TLSMemoryBIOProtocol(factory, self.protocol, False)
        producer, streaming = self._producer, self._streaming
        self._producer = None
        plain = _Below(self)
        self.protocol = layer
        layer.makeConnection(plain)
        self.write = layer.write  # type: ignore[method-assign]
        self.writeSequence = layer.writeSequence  # type: ignore[method-assign]
        self.loseConnection = layer.loseConnection  # type: ignore[method-assign]
        self.registerProducer = layer.registerProducer  # type: ignore[method-assign]
        self.unregisterProducer = layer.unregisterProducer  # type: ignore[method-assign]
        self.TLS = True
        if producer is not None:
            layer.registerProducer(producer, streaming)

    # -- moving --------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Octets written and not yet under way."""
        return len(self._unsent)

    @property
    def arrived(self) -> bool:
        """Whether everything that was written has been delivered."""
        return not self._unsent and (self.other is None or not self.other._inbox)

    def cut_off(self) -> None:
        """From now on there is nobody at the other end: what has come is delivered, then the end; what is sent is lost."""
        gone = MemoryTransport(self.network, self._peer, self._host)
        gone.connected = False
        self.other = gone
        self._fin_received = True

    def reset(self) -> None:
        """The connection is gone, as by a reset from the network."""
        if self.connected and self._lost is None:
            self._lost = Failure(ConnectionLost())

    def _step(self) -> bool:
        """Move what can move at this end; whether anything did."""
        if not self.connected:
            return False
        if self._lost is not None:
            self._end(self._lost, reset=True)
            return True
        return self._send() or self._deliver()

    def _send(self) -> bool:
        other = self.other
        if other is None:
            return False
        if self._unsent:
            if not other.connected:
                self._end(Failure(ConnectionLost()), reset=False)
                return True
            room = PIPE - len(other._inbox)
            if self.network.fuse is not None:
                room = self.network.fuse.room(self, room)
            if room <= 0:
                return False
            other._inbox += self._unsent[:room]
            del self._unsent[:room]
            if not self._unsent:
                self._ask_producer()
            return True
        if self._producer is not None and not self._streaming and not self._fin_sent:
            self._producer.resumeProducing()
            return bool(self._unsent) or self._producer is None
        if self.disconnecting and (self._producer is None or self._streaming):
            self._end(Failure(ConnectionDone()), reset=bool(self._inbox))
            return True
        if self._closing_write and not self._fin_sent:
            self._fin_sent = True
            other._fin_received = True
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                half.writeConnectionLost()
            return True
        return False

    def _ask_producer(self) -> None:
        if self._producer is not None and (self._producer_paused or not self._streaming):
            self._producer_paused = False
            self._producer.resumeProducing()

    def _deliver(self) -> bool:
        if not self._reading or self.disconnecting:
            return False
        if self._inbox:
            data = bytes(self._inbox[: self.chunk])
            del self._inbox[: self.chunk]
            self.protocol.dataReceived(data)
            return True
        if self._fin_received and not self._fin_told:
            self._fin_told = True
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                half.readConnectionLost()
            else:
                self._end(Failure(ConnectionDone()), reset=False)
            return True
        return False

    def _end(self, reason: Failure, reset: bool) -> None:
        self.connected = False
        self._unsent.clear()
        self._inbox.clear()
        producer, self._producer = self._producer, None
        other = self.other
        if other is not None:
            if reset and other.connected and other._lost is None:
                other._lost = Failure(ConnectionLost())
            other._fin_received = True
        self.network.forget(self)
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(reason)


@implementer(ITCPTransport, IConsumer, IPushProducer)
class _Below:
    """A transport as the TLS layer above it sees it: with its plain methods."""

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        plain = getattr(MemoryTransport, name, None)
        if callable(plain):
            return plain.__get__(self._transport)
        return getattr(self._transport, name)


@implementer(IListeningPort)
class MemoryPort:
    """A listening port."""

    def __init__(self, network: MemoryNetwork, address: Address, factory: IProtocolFactory) -> None:
        self._network = network
        self._address = address
        self.factory = factory
        self.listening = False

    def startListening(self) -> None:
        """Take the address."""
        self._network.take(self)
        self.listening = True
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Let go of the address."""
        if self.listening:
            self.listening = False
            self._network.release(self)
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> Address:
        """Where it listens."""
        return self._address


@implementer(IConnector)
class MemoryConnector:
    """One attempt to connect."""

    def __init__(self, network: MemoryNetwork, destination: Address, factory: Any, source: str) -> None:
        self._network = network
        self._destination = destination
        self._factory = factory
        self._source = source
        self._transport: MemoryTransport | None = None
        self._stopped = False

    def connect(self) -> None:
        """Try when the network next moves."""
        self._factory.doStart()
        self._factory.startedConnecting(self)
        self._network.soon(self._try)

    def stopConnecting(self) -> None:
        """Give the attempt up."""
        self._stopped = True

    def disconnect(self) -> None:
        """Close the connection, or give the attempt up."""
        if self._transport is not None:
            self._transport.loseConnection()
        else:
            self._stopped = True

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._transport is not None and self._transport.connected

    def getDestination(self) -> Address:
        """Where to."""
        return self._destination

    def _try(self) -> None:
        port = self._network.port_at(self._destination)
        if port is None or self._stopped:
            self._factory.clientConnectionFailed(self, Failure(ConnectionRefusedError()))
            return
        protocol = self._factory.buildProtocol(self._destination)
        if protocol is None:
            self._factory.clientConnectionFailed(self, Failure(ConnectionRefusedError()))
            return
        self._transport = self._network.join(protocol, port, self._source)


class MemoryNetwork:
    """
    All ports and connections of one world.

    :param clock: the virtual clock.
    :ivar names: hosts by name; others are their own addresses.
    :ivar fuse: cuts a connection at an octet; see :mod:`launcelot.testing.cuts`.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.names: dict[str, str] = {}
        self.fuse: Fuse | None = None
        self._ports: dict[tuple[str, int], MemoryPort] = {}
        self._ends: list[MemoryTransport] = []
        self._queue: deque[Callable[[], None]] = deque()
        self._next_port = 40_000
        self._pumping = False

    # -- listening and connecting --------------------------------------------------------------------------------

    def listen(self, port: int, factory: IProtocolFactory, interface: str = "") -> MemoryPort:
        """
        Listen; port 0 chooses one.

        :raises CannotListenError: the address is taken.
        """
        listening = MemoryPort(self, _address(interface or "127.0.0.1", port or self.free_port()), factory)
        listening.startListening()
        return listening

    def free_port(self) -> int:
        """A number nobody has had."""
        self._next_port += 1
        return self._next_port

    def take(self, port: MemoryPort) -> None:
        """Register a port."""
        address = port.getHost()
        key = (address.host, address.port)
        if key in self._ports:
            raise CannotListenError(address.host, address.port, OSError(98, "Address already in use"))
        self._ports[key] = port

    def release(self, port: MemoryPort) -> None:
        """Forget a port."""
        address = port.getHost()
        del self._ports[address.host, address.port]

    def port_at(self, address: Address) -> MemoryPort | None:
        """Who listens there."""
        return self._ports.get((address.host, address.port)) or self._ports.get(("0.0.0.0", address.port))

    def join(self, client: IProtocol, port: MemoryPort, source: str = "127.0.0.1") -> MemoryTransport | None:
        """Connect a client's protocol to a port; the client's transport, or None if the server turned it away."""
        server_address = port.getHost()
        client_address = _address(source, self.free_port())
        server = port.factory.buildProtocol(client_address)
        near = MemoryTransport(self, client_address, server_address)
        near.client = True
        near.protocol = client
        if server is not None:
            far = MemoryTransport(self, server_address, client_address)
            far.protocol = server
            near.other, far.other = far, near
            self._ends += [near, far]
            server.makeConnection(far)
        else:
            near.cut_off()
            self._ends.append(near)
        client.makeConnection(near)
        return near

    def forget(self, end: MemoryTransport) -> None:
        """Called by an end that has been lost."""
        self._ends.remove(end)

    @property
    def open_ends(self) -> list[MemoryTransport]:
        """Every end that is still connected."""
        return list(self._ends)

    # -- moving --------------------------------------------------------------------------------------------------

    def soon(self, call: Callable[[], None]) -> None:
        """Have something done when the network next moves."""
        self._queue.append(call)

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
        for end in list(self._ends):
            moved = end._step() or moved
        return moved


@implementer(IReactorTCP, IReactorTime)
class MemoryReactor:
    """
    What protocols are handed as a reactor: the clock's time and the network's TCP.

    Calls from threads run at once, in the thread that makes them: in a memory world nothing else runs.
    """

    def __init__(self, clock: Clock, network: MemoryNetwork) -> None:
        self.clock = clock
        self.network = network
        self.callLater = clock.callLater
        self.seconds = clock.seconds
        self.getDelayedCalls = clock.getDelayedCalls

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
        connector = MemoryConnector(self.network, _address(self.network.names.get(host, host), port), factory, source)
        connector.connect()
        return connector

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Run now."""
        call(*args, **kw)


def _address(host: str, port: int) -> Address:
    if ":" in host:
        return IPv6Address("TCP", host, port)
    return IPv4Address("TCP", host, port)
