"""
Deadlines of many connections on one timer.

A connection that waits states until when; it is looked at when that second has come and either told or put back.
Moving a deadline later costs one assignment, which is what happens at every command.  While nobody waits no timer is
pending, so a test that closes its connections leaves a clean clock.  Resolution is one second, always late, never early.
"""

from __future__ import annotations

import math
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Watched(Protocol):
    """Something that has a deadline."""

    deadline: float
    """Seconds of the clock handed to :class:`Deadlines`; ``math.inf`` while there is none."""

    looked_at: float
    """When the timer will next look; owned by :class:`Deadlines`, ``math.inf`` at first."""

    def deadline_passed(self) -> None:
        """Called once when the deadline has come; a new one may be set inside."""


class Deadlines:
    """The one timer."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buckets: dict[int, set[Watched]] = {}
        self._call: IDelayedCall | None = None
        self._due = math.inf

    def set(self, watched: Watched, deadline: float) -> None:
        """Give ``watched`` a deadline, earlier or later than the one it has."""
        watched.deadline = deadline
        looked_at = watched.looked_at
        # Within the second at whose end it will be looked at anyway it stays where it is.
        if deadline < looked_at and deadline <= looked_at - 1:
            self._enter(watched, deadline)

    def forget(self, watched: Watched) -> None:
        """Drop ``watched``, for instance when its connection is lost."""
        watched.deadline = math.inf
        if watched.looked_at < math.inf:
            self._leave(watched)
        if not self._buckets and self._call is not None:
            self._call.cancel()
            self._call = None
            self._due = math.inf

    def _enter(self, watched: Watched, deadline: float) -> None:
        if watched.looked_at < math.inf:
            self._leave(watched)
        second = math.ceil(deadline)
        watched.looked_at = second
        self._buckets.setdefault(second, set()).add(watched)
        if second < self._due:
            self._schedule(second)

    def _leave(self, watched: Watched) -> None:
        second = int(watched.looked_at)
        watched.looked_at = math.inf
        bucket = self._buckets.get(second)
        if bucket is not None:
            bucket.discard(watched)
            if not bucket:
                del self._buckets[second]

    def _schedule(self, second: float) -> None:
        self._due = second
        delay = max(0.0, second - self._clock.seconds())
        if self._call is not None and self._call.active():
            self._call.reset(delay)
        else:
            self._call = self._clock.callLater(delay, self._look)

    def _look(self) -> None:
        self._call = None
        self._due = math.inf
        now = self._clock.seconds()
        for second in sorted(second for second in self._buckets if second <= now):
            for watched in self._buckets.pop(second):
                watched.looked_at = math.inf
                if watched.deadline <= now:
                    watched.deadline = math.inf
                    watched.deadline_passed()
                elif watched.deadline < math.inf:
                    self._enter(watched, watched.deadline)
        if self._buckets:
            self._schedule(min(self._buckets))
