"""
The seam between the reactor and blocking work.

A :class:`Workers` runs jobs side by side up to a bound, or one after another where the bound is one.  The real ones own
threads, the twins in :mod:`launcelot.workers.memory` run jobs where they stand or when a test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Workers(Protocol):
    """A bounded place where blocking work runs."""

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """
        Run ``job`` off the reactor thread and hand back what it returns or raises.

        Cancelling the Deferred gives up waiting: a job that has not begun is dropped, one that has runs to its end.

        :raises TryLater: (through the Deferred) too many jobs are waiting, or the place is closed.
        """

    def close(self) -> Deferred[None]:
        """Finish the jobs that wait, then let go of the threads; further jobs are refused.  May be called again."""
