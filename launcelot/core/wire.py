"""
What a session sees of its connection, without Twisted: the :class:`Wire` and the ways a read can end.

A session reads with ``await wire.line()`` and ``await wire.chunk()`` and answers with ``wire.write()``.  What was
written leaves in one piece when the session next waits for its peer.  A read never returns half a line, and it ends
in exactly one of the exceptions below when no line is coming.
"""

from __future__ import annotations

from typing import Protocol


class WireEnd(Exception):
    """No more input will be handed to the session."""


class PeerGone(WireEnd):
    """The connection is lost, or the peer has sent everything it had to send."""


class DeadlinePassed(WireEnd):
    """
    The peer took too long; the session may still write a goodbye and must then return.

    :param kind: ``"idle"`` between commands, ``"total"`` for a limit set with ``limit_total`` (log-in time), ``"slow"``
        inside a body that trickles.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Stopping(WireEnd):
    """The daemon stops or the connection was told to go; the session may still write a goodbye and must then return."""


class Dismissed(Stopping):
    """
    Whom the session serves has another password, may not log in any more, or is gone; otherwise as :class:`Stopping`.

    It ends any read, of lines and of bodies, and what has arrived is not read.
    """


class LineError(Exception):
    """A line that cannot be a command; the input behind it is intact and reading may go on."""


class BareNewline(LineError):
    """
    A line that ended in LF without CR before it.

    :ivar line: what stood on it; the peer's octets, not for people's eyes.
    """

    def __init__(self, line: bytes = b"") -> None:
        super().__init__()
        self.line = line


class LineTooLong(LineError):
    """
    A line longer than its limit.

    What had come of it is dropped, but the rest may still be on its way: answer and close with ``linger=True``.
    """


class Wire(Protocol):
    """One peer's octets in order, both ways, with the deadlines and flow control of the stream core."""

    @property
    def secure(self) -> bool:
        """Whether TLS is in use."""

    @property
    def pending(self) -> int:
        """Octets received and not yet read, such as commands pipelined behind the present one."""

    async def line(self, limit: int) -> bytes:
        """
        The next line without its CRLF.

        :param limit: largest length in octets without the CRLF.
        :raises LineTooLong: more than ``limit`` octets and no line end.
        :raises BareNewline: the line ended in LF alone.
        :raises WireEnd: there is no further line.
        """

    async def chunk(self, limit: int) -> bytes:
        """The next 1 to ``limit`` octets, whatever they are; as many as have arrived."""

    def unread(self, data: bytes) -> None:
        """Give octets back that belong to what comes next, such as a command behind the end of a message."""

    def write(self, data: bytes) -> None:
        """Queue octets for the peer; a write after the connection is lost does nothing."""

    def flush(self) -> None:
        """Send what is queued now, for notices that do not wait until the session reads."""

    async def drain(self) -> None:
        """Send what is queued and wait while the peer is not reading; call it between large pieces."""

    def limit_idle(self, seconds: float) -> None:
        """How long the peer may take to send the next line or chunk."""

    def limit_total(self, seconds: float | None) -> None:
        """An absolute limit from now, such as for logging in; None lifts it."""

    def limit_rate(self, octets: int, seconds: float) -> None:
        """While chunks are read at least ``octets`` must arrive in every ``seconds``; 0 octets lifts it."""
