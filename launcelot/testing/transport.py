"""
One end of a connection in memory: a TCP transport as protocols know it.

What is written waits in a send buffer, travels through a pipe of limited size, and is delivered while the receiver reads; nothing
is delivered inside the call that caused it.  :class:`launcelot.testing.network.MemoryNetwork` moves the octets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from launcelot.testing.network import MemoryNetwork

SEND_BUFFER = 65_536
"""Octets in a transport's own buffer past which its producer is paused, as in Twisted."""

PIPE = 65_536
"""Octets under way between two ends, as the kernel's buffers hold."""

READ_SIZE = 65_536
"""Octets in one ``dataReceived`` at most, as Twisted's transports read."""

Address = IPv4Address | IPv6Address | UNIXAddress


class Fuse(Protocol):
    """Decides how much may pass."""

    def room(self, end: MemoryTransport, room: int) -> int:
        """Octets that may go from this end to the other now, at most ``room``; called when some wait there."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a connection.

    The network moves only those ends that may have something to do: whatever changes what :meth:`_step` looks at, here or at the
    other end, wakes the end that looks.

    :ivar ended: told when it is gone, after the protocol.
    :ivar order: its place among all ends of the network.
    :ivar awake: it may have something to do; the network's own.
    """

    TLS = False
    disconnecting = False

    def __init__(self, network: MemoryNetwork, host: Address, peer: Address) -> None:
        self.network = network
        self.protocol: Any = None
        self.other: MemoryTransport | None = None
        self.order = 0
        self.awake = False
        self._partner: MemoryTransport | None = None
        self.connected = True
        self.chunk = network.mtu
        self._host = host
        self._peer = peer
        self._unsent = bytearray()
        self._inbox = bytearray()
        self._under_way = 0
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False
        self._reading = True
        self._closing_write = False
        self._fin_sent = False
        self._fin_received = False
        self._fin_told = False
        self._lost: Failure | None = None
        self.ended: Callable[[Failure], None] | None = None

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Buffer octets; after the connection is lost or half-closed they are dropped."""
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if not self.connected or self._closing_write:
            return
        self._unsent += data
        self._wake()
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
        self._wake()
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._producer = None

    def loseConnection(self) -> None:
        """Close both directions once everything is sent."""
        if self.connected:
            self.disconnecting = True
            self._wake()

    def loseWriteConnection(self) -> None:
        """Close our direction once everything is sent."""
        self._closing_write = True
        self._wake()

    def abortConnection(self) -> None:
        """Close at once with a reset."""
        if self.connected and self._lost is None:
            self._lost = Failure(ConnectionAborted())
            self._wake()

    # -- reading -------------------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Stop delivering."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Go on delivering."""
        if self.connected and not self.disconnecting:
            self._reading = True
            self._wake()

    def stopProducing(self) -> None:
        """As a producer that is told to stop: close."""
        self.loseConnection()

    # -- what is asked of a TCP transport ------------------------------------------------------------------------

    def getHost(self) -> Any:
        """Our address."""
        return self._host

    def getPeer(self) -> Any:
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

    def next_octets(self, most: int) -> bytes:
        """Those that go under way next."""
        return bytes(self._unsent[:most])

    @property
    def arrived(self) -> bool:
        """Whether everything that was written has been delivered."""
        other = self.other
        return not self._unsent and (other is None or not (other._inbox or other._under_way))

    def join(self, other: MemoryTransport) -> None:
        """Be one of two ends."""
        self.other = self._partner = other
        other.other = other._partner = self

    def _wake(self) -> None:
        """There may be something to do here."""
        if self.connected and not self.awake:
            self.network.wake(self)

    def _wake_partner(self) -> None:
        """What the other end does with what it has depends on us, and we have changed."""
        partner = self._partner
        if partner is not None:
            partner._wake()

    def cut_off(self) -> None:
        """From now on there is nobody at the other end: what has come is delivered, then the end; what is sent is lost."""
        gone = MemoryTransport(self.network, self._peer, self._host)
        gone.connected = False
        gone._partner = self
        self.other = gone
        self._fin_received = True
        self._wake()

    def reset(self) -> None:
        """The connection is gone, as by a reset from the network."""
        if self.connected and self._lost is None:
            self._lost = Failure(ConnectionLost())
            self._wake()

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
            if not other.connected and not self.network.latency:
                self._end(Failure(ConnectionLost()), reset=False)
                return True
            room = PIPE - len(other._inbox) - other._under_way
            if self.network.fuse is not None:
                room = self.network.fuse.room(self, room)
                if room <= 0:
                    # Nobody tells when it would say something else.
                    self._wake()
            if room <= 0:
                return False
            piece = bytes(self._unsent[:room])
            del self._unsent[: len(piece)]
            other._under_way += len(piece)
            self.network.travel(lambda: other._arrive(piece))
            if not self._unsent:
                self._ask_producer()
            return True
        if self._producer is not None and not self._streaming and not self._fin_sent:
            self._producer.resumeProducing()
            self._wake()
            return bool(self._unsent) or self._producer is None
        if self.disconnecting and (self._producer is None or self._streaming):
            self._end(Failure(ConnectionDone()), reset=bool(self._inbox))
            return True
        if self._closing_write and not self._fin_sent:
            self._fin_sent = True
            self.network.travel(other._hear_end)
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                half.writeConnectionLost()
            return True
        return False

    def _arrive(self, piece: bytes) -> None:
        """Octets of the other end are here; nobody is, and so they are answered by a reset."""
        self._under_way -= len(piece)
        if self.connected:
            self._inbox += piece
            self._wake()
            return
        self._wake_partner()
        if self.other is not None:
            self.network.travel(self.other.reset)

    def _hear_end(self) -> None:
        """The other end will send no more."""
        self._fin_received = True
        self._wake()

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
            self._wake_partner()
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
        if isinstance(self._host, UNIXAddress):
            # A Unix socket that is closed with nothing left to read just ends, however it was closed.
            reset = reset and bool(self._inbox)
        self._unsent.clear()
        self._inbox.clear()
        self._wake_partner()
        producer, self._producer = self._producer, None
        other = self.other
        if other is not None:
            self.network.travel(other.reset if reset else other._hear_end)
        self.network.forget(self)
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(reason)
        if self.ended is not None:
            self.ended(reason)


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
