"""
Twins of the threads for tests: jobs run in the calling thread, at once or when the test says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed

from launcelot.core.errors import TryLater
from launcelot.workers.threads import outcome_of

T = TypeVar("T")


class InlineWorkers:
    """Runs every job where it is asked for; its Deferreds have always fired."""

    def __init__(self) -> None:
        self._closed = False

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Run now."""
        if self._closed:
            return fail(TryLater())
        deferred: Deferred[T] = Deferred()
        deferred.callback(outcome_of(job))
        return deferred

    def close(self) -> Deferred[None]:
        """Refuse further jobs."""
        self._closed = True
        return succeed(None)


class SteppedWorkers:
    """
    Keeps jobs until the test lets one run with :meth:`perform`.

    :param bound: how many jobs may wait.
    """

    def __init__(self, bound: int = 10_000) -> None:
        self.waiting: deque[tuple[Deferred[Any], Callable[[], Any]]] = deque()
        self._bound = bound
        self._closed = False

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Keep the job, or refuse it past the bound and after :meth:`close`."""
        if self._closed or len(self.waiting) >= self._bound:
            return fail(TryLater())
        deferred: Deferred[T] = Deferred(self._give_up)
        self.waiting.append((deferred, job))
        return deferred

    def _give_up(self, deferred: Deferred[Any]) -> None:
        self.waiting = deque(one for one in self.waiting if one[0] is not deferred)

    def perform(self) -> bool:
        """Run the oldest job that waits; False if there is none."""
        if not self.waiting:
            return False
        deferred, job = self.waiting.popleft()
        deferred.callback(outcome_of(job))
        return True

    def close(self) -> Deferred[None]:
        """Refuse further jobs and run what waits."""
        self._closed = True
        while self.perform():
            pass
        return succeed(None)
