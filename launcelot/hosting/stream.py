"""
One stream core under every line protocol: octets in and out, deadlines, flow control, TLS.

:class:`Stream` is a Twisted Protocol with the reading side turned round: a session is one coroutine that asks for the
next line or chunk, so a command is answered before the next is looked at and replies cannot overtake each other.
Invariants:

- Input that nobody has asked for is bounded by :data:`HIGH_WATER`; past it the transport is paused.
- Output leaves in one write when the session next waits for its peer.  While more than the transport's buffer is unsent
  the session is not given further lines, so a peer that does not read cannot grow our memory.
- A peer that has sent thousands of lines has a few milliseconds of them answered, then others have their turn.
- Whoever waits is told exactly once: with input, :class:`~launcelot.core.wire.PeerGone`,
  :class:`~launcelot.core.wire.DeadlinePassed` or :class:`~launcelot.core.wire.Stopping`.
- Octets that arrived in clear behind the command that starts TLS are never read: :meth:`Stream.start_tls` refuses.

The methods a session uses are those of :class:`launcelot.core.wire.Wire`.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.core.wire import BareNewline, DeadlinePassed, LineTooLong, PeerGone, Stopping, WireEnd
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.driving import Source, arrival
from launcelot.hosting.transport import acknowledge, unsent

HIGH_WATER = 65_536
"""Octets of unread input past which the transport is paused."""

LOW_WATER = 16_384
"""Octets of unread input below which it is resumed."""

OUTPUT_PIECE = 65_536
"""Octets of queued output that are handed to the transport without waiting for the session to pause."""

TURN_LINES = 32
"""Lines read without waiting after which the session looks whether others should have their turn."""

TURN_SECONDS = 0.005
"""Seconds a session works on what has arrived before others have their turn."""

STALL_LIMIT = 120.0
"""Seconds a peer may leave a full send buffer unread before the connection is aborted."""

CLOSE_LIMIT = 5.0
"""Seconds between asking for a close and aborting, for peers that have everything and never finish theirs."""

LINGER_OCTETS = 1 << 20
"""Octets thrown away while lingering, so that the last reply is not lost to a reset; past it the connection is aborted."""


class PlaintextBehindTLS(Exception):
    """The peer sent octets behind the command that starts TLS; they must be neither executed nor believed."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Stream(Source, Protocol):
    """
    One connection, from either side.

    :param clock: the reactor or a ``task.Clock``; also used by the TLS layer.
    :param deadlines: the shared timer.
    """

    # Up to thirty names of an instance CPython keeps in one compact array; past that each instance gets a dictionary of its own,
    # three times as large and slower to look into.  So what is set for some connections only begins here, with the class.
    secure = False
    received = 0
    sent = 0
    deadline = math.inf
    looked_at = math.inf

    _position = 0
    _queued = 0
    _writer: Deferred[None] | None = None
    _line_limit = 0
    _lines = 0
    _turn_began = 0.0
    _lost = False
    _held = False
    _lingering = 0
    _left = math.inf
    _read_ended = False
    _closing = False
    _total = math.inf
    _rate = 0
    _rate_seconds = math.inf
    _window_left = 0
    _window_end = math.inf
    _work = math.inf
    _waits_for = ""

    def __init__(self, clock: IReactorTime, deadlines: Deadlines) -> None:
        self.clock = clock
        self._deadlines = deadlines
        self._input = b""
        self._output: list[bytes] = []
        self._end: WireEnd | None = None
        self._choked = False
        self._stopping = False
        self._idle = math.inf

    # -- what Twisted calls --------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Set the socket options every one of our protocols needs and begin to watch the send buffer."""
        transport = self.wire_transport
        if not getattr(transport, "has_options", False) and hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Keep input and wake whoever waits for it."""
        self.received += len(data)
        if self._end is not None:
            self._discard(len(data))
            return
        enough = self._line_limit < 0 or b"\n" in data
        if self._position < len(self._input):
            data = self._input[self._position :] + data
        self._input = data
        self._position = 0
        reader = self._reader
        if reader is None:
            if len(data) > HIGH_WATER:
                self._hold()
        elif enough or len(data) > self._line_limit + 1:
            self._reader = None
            reader.callback(None)
        else:
            self.acknowledge()

    def readConnectionLost(self) -> None:
        """The peer has sent all it will; what it sent is still read and answered."""
        self._read_ended = True
        self._finish(PeerGone("the peer closed its side"))
        if self._lingering:
            self.wire_transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our side is closed for writing, as when lingering: nothing to do, what is unread is thrown away."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever waits; nothing is read or written from here on."""
        self._lost = True
        self._deadlines.forget(self)
        self._input = b""
        self._position = 0
        self._output.clear()
        if self._end is None:
            self._end = PeerGone("connection closed" if isinstance(reason.value, ConnectionDone) else "connection lost")
        self._wake_reader()
        self._wake_writer()

    def pauseProducing(self) -> None:
        """The send buffer is full, or a TLS handshake has to end before anything can be sent."""
        self._choked = True
        if not self._closing:
            self._watch("stall", min(self.clock.seconds() + STALL_LIMIT, self._total))

    def resumeProducing(self) -> None:
        """The send buffer has room."""
        self._choked = False
        if self._waits_for == "stall":
            self._watch("", math.inf)
            if self._reader is not None:
                self._await_input()
            elif self._work < math.inf:
                self._watch("work", self.clock.seconds() + self._work)
        self._wake_writer()

    def stopProducing(self) -> None:
        """The transport is gone; ``connectionLost`` follows."""

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def wire_transport(self) -> Any:
        """The transport with the methods that only some of Twisted's interfaces declare."""
        return self.transport

    @property
    def pending(self) -> int:
        """Octets received and not yet read."""
        return len(self._input) - self._position

    @property
    def ended(self) -> bool:
        """Whether no further input will come once what is pending has been read."""
        return self._end is not None

    async def line(self, limit: int) -> bytes:
        """The next line without its CRLF; see :meth:`launcelot.core.wire.Wire.line`."""
        self._lines += 1
        if self._choked or self._lines >= TURN_LINES:
            await self._give_way()
        while True:
            start = self._position
            end = self._input.find(b"\n", start, start + limit + 2)
            if end >= 0:
                self._position = end + 1
                if end > start and self._input[end - 1] == 13:
                    return self._input[start : end - 1]
                raise BareNewline(bytes(self._input[start:end]))
            if len(self._input) - start > limit + 1:
                self._input = b""
                self._position = 0
                raise LineTooLong
            await self._more(limit)

    async def chunk(self, limit: int = HIGH_WATER) -> bytes:
        """The next 1 to ``limit`` octets; see :meth:`launcelot.core.wire.Wire.chunk`."""
        while self._position >= len(self._input):
            await self._more(-1)
        start = self._position
        data = self._input[start : start + limit] if start or len(self._input) > limit else self._input
        self._position = start + len(data)
        if self._rate:
            self._window_left -= len(data)
            if self._window_left <= 0:
                self._open_window()
        return data

    def unread(self, data: bytes) -> None:
        """Give octets back; they are read before anything else."""
        self._input = data + self._input[self._position :]
        self._position = 0

    def take_unread(self) -> bytes:
        """All that has come and has not been read; a layer that is put in between has to have it."""
        unread, self._input = self._input[self._position :], b""
        self._position = 0
        return unread

    async def _more(self, line_limit: int) -> None:
        self._raise_end(line_limit)
        before = self.received
        if self._output:
            self.flush()
        elif before:
            self.acknowledge()
        if self._choked:
            await self.drain()
        if self._held and self.pending <= LOW_WATER:
            self._release()
        if self.received != before:
            # It came while the peer was slow, or was let in just now: a whole line of it wakes nobody later.
            return
        self._raise_end(line_limit)
        self._line_limit = line_limit
        self._await_input()
        try:
            await arrival(self)
            self._lines = 0
            self._turn_began = self.clock.seconds()
        finally:
            if self._waits_for == "input":
                self._waits_for = ""
                self.deadline = math.inf
        if self._work < math.inf:
            self._watch("work", self._turn_began + self._work)
        if self._position == len(self._input):
            self._raise_end(line_limit)

    def acknowledge(self) -> None:
        """
        Let the peer's system know at once that something has arrived which is not answered yet; an answer would have told it.

        Called whenever there is only a part of a line, or of a body.
        """
        acknowledge(self.wire_transport)

    async def _give_way(self) -> None:
        """Wait while the send buffer is full, and for a turn of the reactor after :data:`TURN_SECONDS` of work."""
        self._lines = 0
        if self._choked:
            await self.drain()
        if self.clock.seconds() - self._turn_began < TURN_SECONDS:
            return
        self.flush()
        turn: Deferred[None] = Deferred()
        call = self.clock.callLater(0, turn.callback, None)
        try:
            await turn
        finally:
            if call.active():
                call.cancel()
        self._turn_began = self.clock.seconds()
        if self._work < math.inf:
            self._watch("work", self._turn_began + self._work)

    def _raise_end(self, line_limit: int) -> None:
        if self._end is not None:
            raise self._end
        if self._stopping and line_limit >= 0:
            raise Stopping("stopping")

    def _hold(self) -> None:
        if not self._held:
            self._held = True
            self.wire_transport.pauseProducing()

    def _release(self) -> None:
        if self._held:
            self._held = False
            self.wire_transport.resumeProducing()

    def _finish(self, end: WireEnd) -> None:
        if self._end is None:
            self._end = end
        self._wake_reader()

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.callback(None)

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue octets; they leave when the session waits, or when a piece is full."""
        if self._lost or self._closing:
            return
        self._output.append(data)
        self._queued += len(data)
        if self._queued >= OUTPUT_PIECE:
            self.flush()

    def flush(self) -> None:
        """Hand what is queued to the transport in one write."""
        if self._output and not self._lost:
            data = self._output[0] if len(self._output) == 1 else b"".join(self._output)
            self._output.clear()
            self._queued = 0
            self.sent += len(data)
            self.wire_transport.write(data)

    async def drain(self) -> None:
        """
        Flush, then wait while the send buffer is full.

        :raises PeerGone: the connection was lost meanwhile.
        """
        self.flush()
        while self._choked and not self._lost:
            if self._writer is None:
                self._writer = Deferred(self._forget_writer)
            await self._writer
        if self._lost:
            raise self._end or PeerGone

    def _forget_writer(self, _cancelled: Deferred[None]) -> None:
        self._writer = None

    # -- deadlines -----------------------------------------------------------------------------------------------

    def limit_idle(self, seconds: float) -> None:
        """How long the peer may take for each line or chunk."""
        self._idle = seconds

    def limit_total(self, seconds: float | None) -> None:
        """An absolute limit from now on, or none."""
        self._total = math.inf if seconds is None else self.clock.seconds() + seconds

    def limit_rate(self, octets: int, seconds: float) -> None:
        """At least ``octets`` in every ``seconds`` while chunks are read; 0 lifts it."""
        self._rate = octets
        self._rate_seconds = seconds
        self._open_window()

    def _open_window(self) -> None:
        if self._rate:
            self._window_left = self._rate
            self._window_end = self.clock.seconds() + self._rate_seconds
        else:
            self._window_end = math.inf

    def _await_input(self) -> None:
        deadline = self.clock.seconds() + self._idle
        if deadline > self._total:
            deadline = self._total
        if deadline > self._window_end:
            deadline = self._window_end
        if deadline < math.inf or self._waits_for == "work":
            self._watch("input", deadline)

    def _watch(self, waits_for: str, deadline: float) -> None:
        self._waits_for = waits_for
        self._deadlines.set(self, deadline)

    def deadline_passed(self) -> None:
        """Called by :class:`~launcelot.hosting.deadlines.Deadlines`."""
        waits_for, self._waits_for = self._waits_for, ""
        if waits_for == "input" and self._reader is not None:
            now = self.clock.seconds()
            kind = "total" if now >= self._total else "slow" if now >= self._window_end else "idle"
            self._finish(DeadlinePassed(kind))
        elif waits_for != "close" or not self._still_taken():
            self.abort()

    def _still_taken(self) -> bool:
        """Whether the peer goes on taking what was written before the close; a reset would throw that away."""
        left = unsent(self.wire_transport)
        if not 0 < left < self._left:
            return False
        self._left = left
        self._watch("close", self.clock.seconds() + STALL_LIMIT)
        return True

    # -- TLS -----------------------------------------------------------------------------------------------------

    def start_tls(self, context: Any, client: bool = False) -> None:
        """
        Speak TLS from the next octet in both directions.

        :param context: what ``TLSMemoryBIOFactory`` takes: ``CertificateOptions`` for a server,
            ``optionsForClientTLS(...)`` for a client.
        :raises PlaintextBehindTLS: octets are already there that came in clear; the connection must be closed.
        """
        if self.pending:
            raise PlaintextBehindTLS
        self.flush()
        self._release()
        below = self.wire_transport
        below.unregisterProducer()
        factory = TLSMemoryBIOFactory(context, client, Factory(), self.clock)
        layer: Any = TLSMemoryBIOProtocol(factory, self, False)
        self._choked = False
        self.transport = layer
        below.protocol = layer
        layer.makeConnection(below)
        layer.registerProducer(self, True)
        self.secure = True

    # -- ends ----------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> IAddress:
        """The peer's address as the transport knows it."""
        return self._addressed().getPeer()

    @property
    def host(self) -> IAddress:
        """Our own address on this connection."""
        return self._addressed().getHost()

    def _addressed(self) -> ITransport:
        if self.transport is None:
            raise PeerGone("not connected")
        return self.transport

    def interrupt(self) -> None:
        """
        Ask the session to go: it gets Stopping when it next waits for a line.

        What has arrived is read first, and a body that is being received is received to its end.
        """
        self._stopping = True
        if self._line_limit >= 0:
            self._wake_reader()

    def close(self, linger: bool = False) -> None:
        """
        Send what is queued, then close; abort if the peer does not let us finish.

        That is when :data:`CLOSE_LIMIT` has passed and all is sent, or when it takes nothing for :data:`STALL_LIMIT`.

        :param linger: read and throw away what the peer still sends, so that the reply before this close is not lost.
        """
        if self._lost or self._closing:
            return
        self.flush()
        self._closing = True
        self._finish(PeerGone("closed by us"))
        self._input = b""
        self._position = 0
        transport = self.wire_transport
        transport.unregisterProducer()
        self._choked = False
        self._wake_writer()
        self._release()
        half_close = None if self.secure or self._read_ended else getattr(transport, "loseWriteConnection", None)
        if linger and half_close is not None:
            self._watch("close", self.clock.seconds() + CLOSE_LIMIT)
            self._lingering = 1
            half_close()
            return
        if not self._has_all(transport):
            self._watch("close", self.clock.seconds() + CLOSE_LIMIT)
        transport.loseConnection()

    def _has_all(self, transport: Any) -> bool:
        """Whether the kernel has all that was written, so that closing waits for nobody."""
        if self.secure or not hasattr(transport, "all_sent"):
            return False
        transport.send_now()
        return bool(transport.all_sent)

    def abort(self) -> None:
        """Drop the connection now, with a reset where the transport has one."""
        if not self._lost:
            self._closing = True
            self.wire_transport.abortConnection()

    def _discard(self, octets: int) -> None:
        if self._lingering:
            self._lingering += octets
            if self._lingering > LINGER_OCTETS:
                self.abort()
