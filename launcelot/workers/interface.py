"""
The seam between the reactor and blocking work.

A :class:`Worker` runs jobs one after another; :class:`Workers` runs them side by side up to a bound.  The real ones own
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

        Cancelling the Deferred gives up waiting; a job that has begun runs to its end.

        :raises TryLater: (through the Deferred) too many jobs are waiting.
        """

    def close(self) -> Deferred[None]:
        """Finish the jobs that wait, then let go of the threads; nothing may be run afterwards."""
