"""
A tap on each connection of a Site: it sees what both sides say, decoded, and may come between them.

Sessions put layers of TLS and compression between themselves and their connection whenever they like, so the tap sits at the
session itself: :meth:`Taps.tap` gives a protocol that was just made a class of its own, in which what arrives goes through a
:class:`Tap` first, and whatever transport the protocol is given is seen through a :class:`Facade`.  What the protocol writes to
the transport it has *now* is decoded and goes through the tap; what a layer writes to the transport below itself passes.
Production code knows nothing of this: :class:`TappingReactor` is the reactor a Site is handed, and taps what it lets in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from launcelot.hosting.prompt import PromptServer
from launcelot.hosting.server import source_host
from launcelot.hosting.stream import Stream
from launcelot.hosting.transport import listen_tcp, lowest
from launcelot.protocols.ftp.data import ActiveFactory
from launcelot.testing.post import Post
from launcelot.testing.transcript import CLIENT, EVENT, SERVER, Said, Transcript

DATA = "ftp data"
"""What data connections are called."""

MOST_TRANSCRIPTS = 1_000
"""Connections whose transcripts are kept; the oldest that are over go first."""


class Facade:
    """
    A transport as the tapped protocol above it sees it; all but writing and closing is the transport's own.

    It takes its class from the transport too, so that whoever asks what it is hears that.
    """

    __slots__ = ("_below", "_tap")

    def __init__(self, tap: Tap, below: Any) -> None:
        object.__setattr__(self, "_tap", tap)
        object.__setattr__(self, "_below", below)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._below, name)
        # Not every transport has these, so they are not among our own methods.
        if name == "loseWriteConnection" and self._tap.transport is self:
            return lambda: self._tap.closing(found)
        if name == "close_at_once" and self._tap.holds:
            return refuses
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._below, name, value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._below.__class__

    @property
    def transport(self) -> Any:
        """What is below, for those who look for the lowest."""
        return self._below

    def write(self, data: bytes) -> None:
        """What the protocol says goes through the tap; what a layer sends passes."""
        if self._tap.transport is self:
            self._tap.saying(data)
        else:
            self._tap.layer_says(data, self._below)

    def writeSequence(self, iovec: Any) -> None:
        """As one write."""
        self.write(b"".join(iovec))

    def loseConnection(self, *arguments: Any) -> None:
        """Behind what the tap still holds."""
        if self._tap.transport is self:
            self._tap.closing(lambda: self._below.loseConnection(*arguments))
        else:
            self._below.loseConnection(*arguments)


class Tap:
    """
    One connection.

    :param protocol: whose; its class is about to change.
    :ivar transport: the facade it has now.
    """

    def __init__(self, taps: Taps, protocol: Any, transcript: Transcript) -> None:
        self.taps = taps
        self.protocol = protocol
        self.transcript = transcript
        self.transport: Any = None
        self.over = False
        self._began = taps.seconds()
        self._owes: list[str] = []

    @property
    def age(self) -> float:
        """Seconds since the connection was made."""
        return self.taps.seconds() - self._began

    def note(self, who: str, octets: bytes) -> None:
        """Keep what was said, or what happened, for the transcript."""
        if self.taps.keeps:
            self.transcript.said.append(Said(self.age, who, octets))

    @property
    def holds(self) -> bool:
        """Whether something that the protocol has said has not been let out, or never will be."""
        return False

    # -- from the peer -------------------------------------------------------------------------------------------

    def heard(self, data: bytes) -> None:
        """Octets have come."""
        self.note(CLIENT, data)
        self.hand_on(data)

    def hand_on(self, data: bytes) -> None:
        """Give the protocol octets of its peer."""
        self.protocol.take_from_tap(data)

    def half_closed(self) -> None:
        """The peer will send no more."""
        self.protocol.half_close_from_tap()

    def made(self, begin: Callable[[], None]) -> None:
        """The connection is there; ``begin`` tells the protocol."""
        begin()

    def idle(self) -> None:
        """The protocol waits for its peer, having said what it had to say."""

    # -- from the protocol ---------------------------------------------------------------------------------------

    def saying(self, data: bytes) -> None:
        """The protocol says something."""
        self.send(data)

    def send(self, data: bytes) -> None:
        """Let octets out."""
        self.note(SERVER, data)
        self.transport._below.write(data)
        self.paid()

    def layer_says(self, data: bytes, below: Any) -> None:
        """A layer of TLS or compression says something."""
        below.write(data)

    def context(self, context: Any) -> Any:
        """The protocol begins TLS with this context."""
        return context

    def closing(self, close: Callable[[], None]) -> None:
        """The protocol closes."""
        close()

    def sever(self) -> None:
        """The connection is lost, as when the machine is."""
        below = self.transport
        if below is not None:
            transport = lowest(below)
            if hasattr(transport, "abortConnection"):
                transport.abortConnection()

    # -- mail ----------------------------------------------------------------------------------------------------

    def owes(self, id: str) -> None:
        """The peer waits for the reply to a mail that was accepted."""
        self._owes.append(id)
        self.taps.post.owed.add(id)

    def paid(self) -> None:
        """What was said last has left, or never will."""
        if self._owes:
            owed, self._owes = self._owes, []
            self.taps.post.settled(owed)

    # -- the end -------------------------------------------------------------------------------------------------

    def ended(self, reason: Failure) -> None:
        """The connection is gone."""
        self.over = True
        self.transcript.closed = True
        self.note(EVENT, b"closed" if reason.check(ConnectionDone) else b"lost")
        self.paid()
        self.taps.gone(self)


class Tapped(Protocol):
    """What is laid over a protocol's class."""

    _tap: Tap

    @property
    def transport(self) -> Any:
        """The facade of the transport it was given last."""
        return self._tap.transport

    @transport.setter
    def transport(self, transport: Any) -> None:
        self._tap.transport = transport if transport is None or type(transport) is Facade else Facade(self._tap, transport)

    def connectionMade(self) -> None:
        """By way of the tap."""
        self._tap.made(super().connectionMade)

    def dataReceived(self, data: bytes) -> None:
        """By way of the tap."""
        self._tap.heard(data)

    def take_from_tap(self, data: bytes) -> None:
        """What the tap hands on."""
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Told to the tap last, so that what the protocol makes of it is still seen."""
        super().connectionLost(reason)
        self._tap.ended(reason)


class TappedPrompt(Tapped):
    """For those that answer inside the read event."""

    def respond(self, data: bytes) -> bytes:
        """By way of the tap, which writes what there is to say."""
        self._tap.heard(data)
        return b""

    def take_from_tap(self, data: bytes) -> None:
        """Answer by a write."""
        reply = super(Tapped, self).respond(data)  # type: ignore[misc]
        if reply:
            self.transport.write(reply)


class TappedStream(Protocol):
    """For sessions that are coroutines: tells when they wait."""

    _tap: Tap
    _tap_reader: Any = None

    def start_tls(self, context: Any, client: bool = False) -> None:
        """With the context that the tap wants."""
        super().start_tls(self._tap.context(context), client)  # type: ignore[misc]

    @property
    def _reader(self) -> Any:
        """Who waits for input; see :class:`launcelot.hosting.driving.Source`."""
        return self._tap_reader

    @_reader.setter
    def _reader(self, reader: Any) -> None:
        self._tap_reader = reader
        if reader is not None:
            self._tap.idle()


class TappedHalf(Protocol):
    """For those that want to hear of a peer that sends no more."""

    _tap: Tap

    def readConnectionLost(self) -> None:
        """By way of the tap."""
        self._tap.half_closed()

    def half_close_from_tap(self) -> None:
        """What the tap hands on."""
        super().readConnectionLost()  # type: ignore[misc]


class TappedReceiver(Protocol):
    """For those that accept mail."""

    _tap: Tap

    def note_accepted(self, envelope: Any, *arguments: Any) -> None:
        """The peer is owed a reply from now on."""
        self._tap.owes(envelope.id)
        super().note_accepted(envelope, *arguments)  # type: ignore[misc]


def refuses() -> bool:
    """What a transport answers that is to close at once and cannot."""
    return False


@lru_cache(maxsize=256)
def tapped(plain: type[Any]) -> type[Any]:
    """A class with what is tapped laid over it; to declare one anew for each Site costs more than half a session."""
    over: list[type[Any]] = [TappedPrompt if issubclass(plain, PromptServer) else Tapped]
    if issubclass(plain, Stream):
        over.insert(0, TappedStream)
    if IHalfCloseableProtocol.implementedBy(plain):
        over.insert(0, TappedHalf)
    if hasattr(plain, "note_accepted"):
        over.insert(0, TappedReceiver)
    return type(f"Tapped{plain.__name__}", (*over, plain), {})


class Taps:
    """
    The taps of one Site.

    :param seconds: the Site's clock.
    :param post: told when the reply to a mail has left.
    :ivar keeps: what is said is kept.
    """

    keeps = True

    def __init__(self, seconds: Callable[[], float], post: Post) -> None:
        self.seconds = seconds
        self.post = post
        self.open: dict[Tap, None] = {}
        self.transcripts: deque[Transcript] = deque()
        self._number = 0

    def tap(self, protocol: Any, service: str, peer: str, source: Any = None) -> None:
        """
        Tap a protocol that has no transport yet.

        :param source: the factory that made it.
        """
        self._number += 1
        transcript = Transcript(service, self._number, peer)
        self._keep(transcript)
        made = self.make(protocol, transcript, source)
        self.open[made] = None
        protocol._tap = made
        protocol.__class__ = tapped(protocol.__class__)

    def make(self, protocol: Any, transcript: Transcript, source: Any) -> Tap:
        """
        The tap of one connection.

        :param source: the factory that made the protocol.
        """
        return Tap(self, protocol, transcript)

    def _keep(self, transcript: Transcript) -> None:
        self.transcripts.append(transcript)
        if len(self.transcripts) > MOST_TRANSCRIPTS and self.transcripts[0].closed:
            self.transcripts.popleft()

    def gone(self, tap: Tap) -> None:
        """A connection is over."""
        self.open.pop(tap, None)


class TappedFactory(Factory):
    """A factory all of whose protocols are tapped."""

    noisy = False

    def __init__(self, taps: Taps, factory: Any, service: str) -> None:
        self._taps = taps
        self._factory = factory
        self._service = service

    def doStart(self) -> None:
        """The factory starts."""
        self._factory.doStart()

    def doStop(self) -> None:
        """The factory stops."""
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """What the factory makes, tapped."""
        made: Protocol | None = self._factory.buildProtocol(addr)
        if made is not None:
            self._taps.tap(made, self._service, "" if addr is None else source_host(addr), self._factory)
        return made


class TappingReactor:
    """
    A reactor whose listening ports are tapped; all else is the reactor's own.

    :param reactor: Twisted's, or one in memory.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.taps: Taps | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(self, host: str, port: int, factory: Any, *arguments: Any, **named: Any) -> Any:
        """Connect; a data connection of FTP is tapped."""
        if self.taps is not None and isinstance(factory, ActiveFactory):
            self.taps.tap(factory._made, DATA, host, factory)
        return self._reactor.connectTCP(host, port, factory, *arguments, **named)

    def listen_stream(self, port: int, factory: Any, interface: str = "") -> Any:
        """Listen for connections, as a Site asks its reactor to."""
        tapped = factory if self.taps is None else TappedFactory(self.taps, factory, getattr(factory, "name", DATA))
        return self.listen_plain(port, tapped, interface)

    def listen_plain(self, port: int, factory: Any, interface: str = "") -> Any:
        """The same, and nobody is tapped."""
        own = getattr(self._reactor, "listen_stream", None)
        if own is not None:
            return own(port, factory, interface)
        return listen_tcp(self._reactor, port, factory, interface)
