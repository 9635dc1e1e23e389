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

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
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
            if not deferred.called:  # else it was cancelled while its job ran
                deferred.callback(result)


class ThreadWorkers:
    """
    Up to ``threads`` jobs at once, up to ``waiting`` more in line.

    :param name: for the threads' names, seen in ``top -H`` and dumps.
    """

    log = Logger(namespace="launcelot.workers")

    def __init__(self, reactor: IReactorFromThreads, name: str, threads: int, waiting: int = 10_000) -> None:
        self._deliveries = Deliveries(reactor)
        self._name = name
        self._limit = threads
        self._waiting = waiting
        self._jobs: deque[tuple[Deferred[Any], Callable[[], Any]]] = deque()
        self._changed = Condition()
        self._threads: list[Thread] = []
        self._idle = 0
        self._running = 0
        self._closing = False
        self._closed: list[Deferred[None]] = []

    def run(self, job: Callable[[], T]) -> Deferred[T]:
        """Run ``job`` in a thread; see :meth:`launcelot.workers.interface.Workers.run`."""
        deferred: Deferred[T] = Deferred(self._give_up)
        with self._changed:
            refused = self._closing or len(self._jobs) >= self._waiting
            if not refused:
                self._jobs.append((deferred, job))
                if self._idle < len(self._jobs) and self._running < self._limit:
                    refused = not self._start()
                else:
                    self._changed.notify()
        if refused:
            deferred.errback(TryLater())
        return deferred

    def _start(self) -> bool:
        """Start one more thread; False if there is none and so the job was taken back."""
        thread = Thread(target=self._work, name=f"{self._name}-{self._running + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self.log.error("no further thread for {name}: {running} run", name=self._name, running=self._running)
            if self._running:
                return True
            self._jobs.pop()
            return False
        self._running += 1
        self._threads.append(thread)
        return True

    def _give_up(self, deferred: Deferred[Any]) -> None:
        """Nobody waits for a job any more: it gives its place to others unless it has begun."""
        with self._changed:
            for place, (waiting, _) in enumerate(self._jobs):
                if waiting is deferred:
                    del self._jobs[place]
                    return

    def close(self) -> Deferred[None]:
        """Finish the jobs that wait, then fire when no thread is left; may be called again."""
        done: Deferred[None] = Deferred()
        with self._changed:
            self._closing = True
            nobody = self._running == 0
            if not nobody:
                self._closed.append(done)
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
                    if self._closing:
                        self._leave()
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                deferred, job = self._jobs.popleft()
            self._deliveries.put([(deferred, outcome_of(job))])

    def _leave(self) -> None:
        self._running -= 1
        if self._running == 0:
            self._deliveries.put([(done, None) for done in self._closed])
            self._closed.clear()


def outcome_of(job: Callable[[], Any]) -> Any:
    """What a job returns, or the Failure of what it raises; a job that raises SystemExit ends no thread."""
    try:
        return job()
    except (Exception, SystemExit):  # noqa: BLE001 - handed to whoever waits, with its traceback
        return Failure()
