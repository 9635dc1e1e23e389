"""
What comes between a session and its peer: octets let out late, slowly, in part, or not at all, and connections broken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcelot.hosting.transport import lowest
from launcelot.testing.faults import Act, Fault, Stage
from launcelot.testing.tapping import Facade, Tap
from launcelot.testing.transcript import EVENT, Transcript

if TYPE_CHECKING:
    from launcelot.testing.faulting import FaultyTaps

TURNS = 100
"""Turns that what was said before a reset has to leave."""

TICK = 0.02
"""Seconds between two pieces of what drips faster than that octet by octet."""


class Outlet(Tap):
    """A tap that can let octets out late, slowly, in part, or not at all, and can break the connection."""

    taps: FaultyTaps

    def __init__(self, taps: FaultyTaps, protocol: Any, transcript: Transcript) -> None:
        super().__init__(taps, protocol, transcript)
        self.stuck = False
        self._queue: deque[tuple[float, bytes]] = deque()
        self._timer: Any = None
        self._close: Callable[[], None] | None = None
        self._said = 0

    @property
    def holds(self) -> bool:
        """Whether something waits here, or sticks."""
        return self.stuck or bool(self._queue)

    def out(self, data: bytes, pause: float = 0.0) -> None:
        """
        Let octets out behind those that wait.

        :param pause: seconds after them.
        """
        if self.stuck or not data:
            return
        self._queue.append((pause, data))
        if self._timer is None:
            self._advance()

    def drip(self, data: bytes, rate: float) -> None:
        """Let octets out at so many in a second."""
        size = max(1, round(rate * TICK))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.out(piece, len(piece) / rate)

    def _advance(self) -> None:
        self._timer = None
        while self._queue and not self.stuck:
            pause, data = self._queue.popleft()
            if pause:
                self._queue.appendleft((0.0, data))
                self._timer = self.taps.later(pause, self._advance)
                return
            self.send(data)
        close, self._close = self._close, None
        if close is not None:
            close()

    def crossed(self, stage: Stage, done: int, more: int) -> Fault | None:
        """
        The fault that happens among the next octets of a whole connection, if any.

        :param stage: ``HEARING`` or ``SAYING``.
        :param done: octets before them.
        """
        return None

    def send(self, data: bytes) -> None:
        """Let octets out; no more than a fault about all of them allows."""
        fault = self.crossed(Stage.SAYING, self._said, len(data))
        if fault is not None:
            data = data[: fault.point.octets - self._said]
        self._said += len(data)
        if data:
            super().send(data)
        if fault is not None:
            self.break_off(fault.act, fault.number)

    def closing(self, close: Callable[[], None]) -> None:
        """Behind what waits; never, where nothing moves any more."""
        if self.stuck:
            return
        if self._queue:
            self._close = close
        else:
            close()

    def break_off(self, act: Act, number: float = 0.0) -> None:
        """
        Stall, close, reset, or have the server restarted.

        :param number: seconds that it is away.
        """
        self.note(EVENT, f"fault: {act.value}".encode())
        self.stuck = True
        if act is Act.RESTARTS:
            self.paid()
            self.taps.restarting(number)
            return
        below = self.transport._below
        if act is Act.RESETS:
            self._reset(lowest(below), TURNS)
        elif act is not Act.STALLS:
            below.loseConnection()
            while type(below) is not Facade and hasattr(below, "transport"):
                # What is in TLS says goodbye and then closes whatever the peer answers.
                below = below.transport
                below.loseConnection()
        self.paid()

    def _reset(self, transport: Any, turns: int) -> None:
        """Reset a connection when what was said before has left; where that takes long, all the same."""
        left = getattr(transport, "arrived", None) or (turns < TURNS and getattr(transport, "all_sent", False))
        if left or not turns:
            transport.abortConnection()
        else:
            self.taps.post.soon(lambda: self._reset(transport, turns - 1))

    def ended(self, reason: Any) -> None:
        """The connection is gone, and what waited with it."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._queue.clear()
        super().ended(reason)


@dataclass
class Region:
    """
    A reply that a fault is about.

    :ivar said: octets of it so far.
    :ivar done: it has happened.
    """

    fault: Fault
    said: int = 0
    done: bool = False
    _seen: bytes = field(default=b"", repr=False)

    def passes(self, data: bytes) -> int:
        """How many of the next octets go out before it happens."""
        most = self.fault.point.octets
        if self.fault.point.counts_literal:
            self._seen += data
            found = self._seen.find(b"}\r\n")
            if found < 0:
                return len(data)
            most += found + 3
        passes = min(len(data), max(0, most - self.said))
        self.said += passes
        return passes
