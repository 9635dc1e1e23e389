"""
DEFLATE between a stream and its transport.  RFC 1951, without a header, as RFC 4978 uses it.

:class:`Deflated` is a transport to its :class:`~launcelot.hosting.stream.Stream` and a protocol to the transport below, be that
TCP or TLS.  Invariants:

- What is inflated is handed on in pieces of :data:`PIECE`, and no further piece while the stream has enough: a peer whose
  kilobyte inflates to a gigabyte meets the same limits on lines and literals as one who sends the gigabyte, and costs
  :data:`PIECE` octets of memory.  After :data:`TURN` octets others have their turn.
- What was written together leaves together, flushed, so that every reply can be read at once.
- Input that was compressed in one piece is handed on before the next one is looked at, and the next one not before the
  stream asks for it: so :meth:`Deflated.stop` finds everything behind the present command untouched.

Memory of one connection, measured: 46 KiB once both directions have been used, 80 KiB when the peer's window is full.  Our window
has 4 KiB; text comes to 34 % of its size where zlib's usual quarter of a MiB reaches 27 %, and responses to 9 % either way.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

WINDOW: Final = -12
"""Bits of our window; negative for raw DEFLATE."""

MEMORY: Final = 5
"""zlib's memLevel."""

LEVEL: Final = 6
"""zlib's level."""

PIECE: Final = 16_384
"""Octets that are inflated at once."""

TURN: Final = 262_144
"""Octets that are inflated before others have their turn."""

FLUSHED: Final = b"\0\0\xff\xff"
"""How what was flushed ends.  RFC 1951 section 3.2.4."""

END: Final = b"\x03\0"
"""An empty last block, as of a stream that was flushed and then ended."""

TAIL: Final = 8
"""Octets of a stream that can come behind the last one that matters: the rest of a block, and the end of a flush."""


@implementer(IHalfCloseableProtocol)
class Deflated:
    """
    The layer.

    :param stream: whose octets are compressed from now on, in both directions.
    :ivar transport: the one below.
    """

    def __init__(self, stream: Any, clock: IReactorTime) -> None:
        self.transport = stream.transport
        self._stream = stream
        self._clock = clock
        self._deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, MEMORY)
        self._inflater = zlib.decompressobj(-15)
        self._raw = b""
        self._segment = b""
        self._seen = b""
        self._filled = False
        self._paused = False
        self._below_paused = False
        self._inflating = False
        self._turn: Any = None
        self._ended = False
        self._active = True
        self._leaving = False

    def __getattr__(self, name: str) -> Any:
        # Addresses, handles, producers and ends are the transport's, whatever it has.
        return getattr(self.transport, name)

    # -- what the stream calls -----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Compress and send."""
        if self._leaving:
            self.transport.write(data)
        elif data:
            self.transport.write(self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH))

    def pauseProducing(self) -> None:
        """Hand nothing on."""
        self._paused = True
        self._pause_below()

    def resumeProducing(self) -> None:
        """Hand on what has come, then hear more."""
        self._paused = False
        if self._leaving:
            self._resume_below()
        else:
            self._go_on()

    def stop(self) -> None:
        """
        Leave: what is written and what comes is plain from here on.

        The peer may have ended its stream or only flushed it (RFC 8437 section 4.1 leaves that open); the last octets of
        either may still be on their way behind the command that they belong to.  Ours is flushed and has no end.
        """
        if not self._active:
            return
        self._active = False
        self._leaving = True
        self._end_turn()
        if self._segment:
            self._seen = b""
        self._raw = self._segment + self._raw
        self._segment = b""
        self._leave()

    def _leave(self) -> None:
        """Pass over what is left of the peer's stream, then be gone; wait where that cannot be told yet."""
        if not self._paused:
            self._resume_below()
        if not self._inflater.eof and (self._seen or not self._raw):
            passed = self._pass_over()
            if passed is None:
                return
            self._raw = passed
        if not self._ended and len(self._raw) < len(END) and END.startswith(self._raw):
            return
        raw = self._raw.removeprefix(END)
        attach(self.transport, self._stream)
        self._stream.transport = self.transport
        if raw:
            self._stream.dataReceived(raw)
        if self._ended:
            self._stream.readConnectionLost()

    def _pass_over(self) -> bytes | None:
        """What stands behind the peer's stream; None where more has to come before that can be told."""
        if not self._seen:
            return self._raw
        inflater = self._inflater.copy()
        for at in range(min(TAIL, len(self._raw))):
            try:
                if inflater.decompress(self._raw[at : at + 1]):
                    return self._raw
            except zlib.error:
                return self._raw
            if inflater.eof or (self._seen + self._raw[: at + 1]).endswith(FLUSHED):
                self._seen = b""
                return self._raw[at + 1 :]
        return None if len(self._raw) < TAIL and b"\n" not in self._raw and not self._ended else self._raw

    # -- what the transport calls --------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """The connection is there already."""

    def dataReceived(self, data: bytes) -> None:
        """Keep input and hand it on as the stream can take it."""
        if self._stream.ended:
            self._stream.dataReceived(data)
            return
        self._raw += data
        if self._leaving:
            self._leave()
        else:
            self._go_on()

    def readConnectionLost(self) -> None:
        """The peer's end comes behind what it has sent."""
        self._ended = True
        if self._leaving:
            self._leave()
        else:
            self._go_on()

    def writeConnectionLost(self) -> None:
        """Our side is closed for writing."""
        self._stream.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more is inflated."""
        self._active = False
        self._end_turn()
        self._stream.connectionLost(reason)

    # -- inflating -----------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._inflating or self._turn is not None:
            return
        self._inflating = True
        try:
            left = TURN
            while self._active and not self._paused and self._has_more() and left > 0:
                left -= self._inflate()
        except zlib.error:
            self._broken()
        finally:
            self._inflating = False
        if self._active and not self._paused:
            self._wait(self._has_more())

    def _has_more(self) -> bool:
        return bool(self._filled or self._segment or self._raw)

    def _wait(self, more: bool) -> None:
        """Behind the loop: have a turn later, or hear more, or pass the peer's end on."""
        if more:
            self._pause_below()
            self._turn = self._clock.callLater(0, self._have_turn)
        elif self._ended:
            self._active = False
            self._stream.readConnectionLost()
        else:
            self._resume_below()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()

    def _have_turn(self) -> None:
        self._turn = None
        self._go_on()

    def _inflate(self) -> int:
        """Inflate one piece and hand it on; how many octets it has, and one for the work."""
        if not (self._filled or self._segment):
            self._next_segment()
        if self._inflater.eof:
            # The peer has ended its stream and goes on: nobody has agreed to that.
            raise zlib.error("octets behind the end")
        piece = self._inflater.decompress(self._segment, PIECE)
        self._segment = self._inflater.unconsumed_tail
        self._filled = len(piece) == PIECE
        if self._inflater.eof:
            self._segment, self._filled = b"", False
            self._raw = self._inflater.unused_data + self._raw
        if piece:
            self._stream.dataReceived(piece)
            self._let_read()
        return len(piece) + 1

    def _next_segment(self) -> None:
        """What was flushed together, as far as it has come."""
        before = len(self._seen)
        text = self._seen + self._raw
        found = text.find(FLUSHED)
        end = len(self._raw) if found < 0 else found + len(FLUSHED) - before
        self._segment, self._raw = self._raw[:end], self._raw[end:]
        self._seen = b"" if found >= 0 else text[-3:]

    def _let_read(self) -> None:
        """Between two segments: the stream has to read this one first, and takes the next when it asks for more."""
        if self._active and not (self._segment or self._filled) and self._raw:
            stream = self._stream
            if stream.pending and stream._reader is None:
                stream._hold()

    def _broken(self) -> None:
        self._raw = self._segment = b""
        self._filled = False
        self._stream.abort()

    def _pause_below(self) -> None:
        if not self._below_paused:
            self._below_paused = True
            self.transport.pauseProducing()

    def _resume_below(self) -> None:
        if self._below_paused:
            self._below_paused = False
            self.transport.resumeProducing()


def attach(transport: Any, protocol: Any) -> None:
    """Have a transport hand its octets to a protocol."""
    if isinstance(transport, TLSMemoryBIOProtocol):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


def start_deflate(stream: Any, clock: IReactorTime, deflated: bool = False) -> Deflated:
    """
    Compress both directions of a stream from the next octet on.

    :param deflated: whether what has come and is unread is compressed already, as it is for a client that has just read the
        server's consent.
    :raises ValueError: octets are there that have come uncompressed.
    """
    if stream.pending and not deflated:
        raise ValueError("plain octets behind the command that starts compression")
    stream.flush()
    behind = stream.take_unread()
    layer = Deflated(stream, clock)
    attach(stream.transport, layer)
    stream.transport = layer
    if behind:
        layer.dataReceived(behind)
    return layer
