"""
Blocking work in a bounded number of threads.

Results come back in batches: one wake-up of the reactor hands over everything that has finished, because a wake-up
costs more than most jobs.  Threads start when there is work and end when :meth:`ThreadWorkers.close` is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from launcelot.core.errors import TryLater

T = TypeVar("T")

Outcome = tuple["Deferred[Any]", Any]


class Deliveries:
    """Hands results from any thread to Deferreds in the reactor thread, many in one wake-up."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._ready: deque[Outcome] = deque()
        self._awake = False

    def put(self, outcomes: list[Outcome]) -> None:
        """Called from a worker thread with (Deferred, result or Failure) pairs."""
        self._ready.extend(outcomes)
        if not self._awake:
            self._awake = True
            self._reactor.callFromThread(self._deliver)

    def _deliver(self) -> None:
        self._awake = False
        ready = self._ready
        while ready:
            deferred, result = ready.popleft()
            deferred.callback(result)


class ThreadWorkers:
    """
    Up to ``threads`` jobs at once, up to ``waiting`` more in line.

    :param name: for the threads' names, seen in ``top -H`` and dumps.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str, threads: int, waiting: int = 10_000) -> None:
        self._deliveries = Deliveries(reactor)
        self._name = name
        self._limit = threads
        self._waiting = waiting
        self._jobs: deque[tuple[Deferred[Any], Callable[[], Any]]] = deque()
        self._changed = Condition()
        self._threads: list[Thread] = []
        self._idle = 0
        self._closing: Deferred[None] | None = None
        self._running = 0

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Run ``job`` in a thread; see :meth:`launcelot.workers.interface.Workers.run`."""
        deferred: Deferred[T] = Deferred()
        with self._changed:
            if self._closing is not None or len(self._jobs) >= self._waiting:
                deferred.errback(TryLater())
                return deferred
            self._jobs.append((deferred, job))
            if self._idle < len(self._jobs) and self._running < self._limit:
                self._running += 1
                thread = Thread(target=self._work, name=f"{self._name}-{self._running}", daemon=True)
                self._threads.append(thread)
                thread.start()
            else:
                self._changed.notify()
        return deferred

    def close(self) -> Deferred[None]:
        """Finish, then fire when no thread is left."""
        if self._closing is not None:
            return succeed(None)
        done: Deferred[None] = Deferred()
        with self._changed:
            self._closing = done
            nobody = self._running == 0
            self._changed.notify_all()
        if nobody:
            done.callback(None)
        return done.addCallback(self._join)

    def _join(self, result: None) -> None:
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs:
                    if self._closing is not None:
                        self._leave(self._closing)
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                deferred, job = self._jobs.popleft()
            self._deliveries.put([(deferred, outcome_of(job))])

    def _leave(self, closing: Deferred[None]) -> None:
        self._running -= 1
        if self._running == 0:
            self._deliveries.put([(closing, None)])


def outcome_of(job: Callable[[], Any]) -> Any:
    """What a job returns, or the Failure of what it raises."""
    try:
        return job()
    except Exception:  # noqa: BLE001 - handed to whoever waits, with its traceback
        return Failure()
