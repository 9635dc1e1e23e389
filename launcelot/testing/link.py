"""
Connections for tests: a raw peer that says octets and hears octets, or a pair of protocols joined.

>>> link = connect(factory, clock)          # doctest: +SKIP
>>> link.say(b"EHLO me\\r\\n")               # doctest: +SKIP
>>> link.take()                             # doctest: +SKIP
b'220 ...'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.testing.network import MemoryNetwork, MemoryPort
from launcelot.testing.transcript import Transcript

C = TypeVar("C", bound=Protocol)
S = TypeVar("S", bound=Protocol)


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class RawPeer(Protocol):
    """
    A peer without a protocol of its own.

    :ivar ended: the other side has closed its direction.
    :ivar lost: why the connection is gone; None while it is there.
    :ivar shaken: a TLS handshake has been completed.
    """

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ended = False
        self.lost: Failure | None = None
        self.shaken = False

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data

    def readConnectionLost(self) -> None:
        """Remember it."""
        self.ended = True

    def writeConnectionLost(self) -> None:
        """Nothing to do."""

    def handshakeCompleted(self) -> None:
        """Remember it."""
        self.shaken = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember why."""
        self.ended = True
        self.lost = reason


class Link:
    """
    A raw peer connected to a server.

    :ivar server: the server's protocol.
    """

    def __init__(self, network: MemoryNetwork, peer: RawPeer, server: Any) -> None:
        self.network = network
        self.peer = peer
        self.server = server

    def say(self, data: bytes, chunk: int | None = None, cuts: Iterable[int] | None = None) -> None:
        """
        Send octets and let everything happen that follows.

        :param chunk: deliver in pieces of that many octets.
        :param cuts: deliver in pieces that end at these offsets; see :func:`random_cuts`.
        """
        pieces: Iterable[bytes]
        if cuts is not None:
            pieces = pieces_of(data, cuts)
        elif chunk is not None:
            pieces = (data[start : start + chunk] for start in range(0, len(data), chunk))
        else:
            pieces = (data,)
        for piece in pieces:
            if self.peer.transport is not None:
                self.peer.transport.write(piece)
            self.flush()

    def flush(self) -> None:
        """Let everything happen that can."""
        self.network.pump()

    def take(self) -> bytes:
        """What was heard since the last take."""
        self.flush()
        heard = bytes(self.peer.heard)
        self.peer.heard.clear()
        return heard

    @property
    def closed(self) -> bool:
        """Whether the server has closed its direction, or the connection is lost."""
        self.flush()
        return self.peer.ended

    def close(self) -> None:
        """Close both directions (FIN, and a reset for what still comes)."""
        self._transport().loseConnection()
        self.flush()

    def half_close(self) -> None:
        """Close our direction and go on hearing."""
        self._transport().loseWriteConnection()
        self.flush()

    def abort(self) -> None:
        """Drop the connection with a reset."""
        self._transport().abortConnection()
        self.flush()

    def stop_reading(self) -> None:
        """Be a peer that does not read."""
        self._transport().pauseProducing()

    def go_on_reading(self) -> None:
        """Read again."""
        self._transport().resumeProducing()
        self.flush()

    def start_tls(self, context: Any) -> None:
        """Speak TLS as the client from here on."""
        below = self._transport()
        factory = TLSMemoryBIOFactory(context, True, Factory(), self.network.clock)
        layer: Any = TLSMemoryBIOProtocol(factory, self.peer, False)
        below.protocol = layer
        self.peer.transport = layer
        layer.makeConnection(below)
        self.flush()

    def _transport(self) -> Any:
        return self.peer.transport


class Pair(Generic[C, S]):
    """
    A client's and a server's protocol joined.

    :ivar transcript: what they said, where somebody listens.
    """

    transcript: Transcript | None = None

    def __init__(self, network: MemoryNetwork, client: C, server: S) -> None:
        self.network = network
        self.client = client
        self.server = server

    def flush(self) -> None:
        """Let everything happen that can before time passes."""
        self.network.settle()

    def deliver_in(self, chunk: int) -> None:
        """From now on deliver at most that many octets at once, both ways."""
        for protocol in (self.client, self.server):
            end: Any = protocol.transport
            while not hasattr(end, "chunk"):
                end = end.transport
            end.chunk = chunk


def connect(factory: Any, clock: Clock, source: str = "127.0.0.1", network: MemoryNetwork | None = None) -> Link:
    """
    Connect a raw peer to a server's factory.

    :param source: the address the peer seems to come from.
    :param network: where; a new one if none is given.
    """
    network = network or MemoryNetwork(clock)
    peer = RawPeer()
    port = MemoryPort(network, network.listen(0, Factory()).getHost(), factory)
    near = network.join(peer, port, source)
    server = near.other.protocol if near is not None and near.other is not None else None
    network.pump()
    return Link(network, peer, server)


def connect_pair(client_factory: Any, server_factory: Any, clock: Clock, network: MemoryNetwork | None = None) -> Pair[Any, Any]:
    """Connect a client's factory to a server's."""
    network = network or MemoryNetwork(clock)
    port = MemoryPort(network, network.listen(0, Factory()).getHost(), server_factory)
    client = client_factory.buildProtocol(port.getHost())
    near = network.join(client, port)
    server = near.other.protocol if near is not None and near.other is not None else None
    network.pump()
    return Pair(network, client, server)


def pieces_of(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The pieces between offsets."""
    start = 0
    for cut in sorted(set(cuts)):
        if start < cut < len(data):
            yield data[start:cut]
            start = cut
    yield data[start:]


def random_cuts(data: bytes, random: Random, count: int = 8) -> list[int]:
    """Some offsets inside ``data``."""
    return [random.randrange(len(data) + 1) for _ in range(count)]


def every_split(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """``data`` in two pieces, at every offset."""
    return ((data[:cut], data[cut:]) for cut in range(len(data) + 1))
