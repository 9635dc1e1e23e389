"""Jobs in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.errors import TryLater
from launcelot.workers import threads
from launcelot.workers.interface import Workers
from launcelot.workers.threads import Deliveries, ThreadWorkers
from tests.workers import contract

PATIENCE = 30.0
"""Seconds after which a thread that should have been let go gives up, so that a broken test ends."""


class ThreadContractTests(contract.WorkersContract):
    """The contract, in threads."""

    def make_workers(self) -> Workers:
        """Two threads."""
        workers = ThreadWorkers(cast(IReactorFromThreads, reactor), "test", threads=2)
        self.addCleanup(workers.close)
        return workers


class OneThreadContractTests(contract.WorkersContract):
    """The contract, in one thread."""

    def make_workers(self) -> Workers:
        """One thread."""
        workers = ThreadWorkers(cast(IReactorFromThreads, reactor), "test", threads=1)
        self.addCleanup(workers.close)
        return workers


class ThreadTests(TestCase):
    """Bounds, cancelling and closing."""

    def make(self, threads: int = 1, waiting: int = 10_000) -> ThreadWorkers:
        """Workers that are closed at the end."""
        workers = ThreadWorkers(cast(IReactorFromThreads, reactor), "test", threads, waiting)
        self.addCleanup(workers.close)
        return workers

    def hold(self, workers: ThreadWorkers) -> tuple[threading.Event, Deferred[bool]]:
        """Keep one thread busy until the event is set; when this returns it has begun."""
        begun, go = threading.Event(), threading.Event()

        def job() -> bool:
            begun.set()
            return go.wait(PATIENCE)

        asked = workers.run(job)
        self.assertTrue(begun.wait(PATIENCE))
        return go, asked

    async def test_jobs_leave_the_reactor_thread(self) -> None:
        """Under the name that was given, and answers come back into it."""
        here = threading.current_thread()
        thread = await self.make().run(threading.current_thread)
        self.assertIsNot(thread, here)
        self.assertEqual(thread.name, "test-1")
        self.assertIs(threading.current_thread(), here)

    async def test_no_more_than_the_bound_at_once(self) -> None:
        """Two threads take two jobs; the third waits, and is done as soon as one of them is free."""
        workers = self.make(threads=2)
        first, one = self.hold(workers)
        second, two = self.hold(workers)
        third = workers.run(lambda: (first.is_set(), second.is_set()))
        self.assertEqual(len(workers._jobs), 1)
        first.set()
        self.assertEqual(await third, (True, False))
        second.set()
        self.assertTrue(await one)
        self.assertTrue(await two)

    async def test_past_the_line_is_refused(self) -> None:
        """At once, and those in line are done (case A09)."""
        workers = self.make(threads=1, waiting=2)
        go, held = self.hold(workers)
        waiting = [workers.run(lambda: 1), workers.run(lambda: 2)]
        self.failureResultOf(workers.run(lambda: 3), TryLater)
        go.set()
        self.assertEqual(await gatherResults(waiting), [1, 2])
        self.assertTrue(await held)

    async def test_cancelled_job_gives_up_its_place(self) -> None:
        """It is never run, and another may wait instead of it."""
        workers = self.make(threads=1, waiting=1)
        go, held = self.hold(workers)
        ran: list[int] = []
        given_up = workers.run(lambda: ran.append(1))
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        last = workers.run(lambda: ran.append(2))
        go.set()
        await last
        self.assertEqual(ran, [2])
        self.assertTrue(await held)

    async def test_begun_job_that_is_cancelled_ends_and_harms_nobody(self) -> None:
        """Its result is dropped; the thread goes on."""
        workers = self.make(threads=1)
        go, held = self.hold(workers)
        held.cancel()
        self.failureResultOf(held, CancelledError)
        go.set()
        self.assertEqual(await workers.run(lambda: "next"), "next")

    async def test_threads_end_with_close(self) -> None:
        """Both answers to two closings come when no thread is left."""
        workers = self.make(threads=2)
        go, held = self.hold(workers)
        ended = [workers.close(), workers.close()]
        for one in ended:
            self.assertNoResult(one)
        used = list(workers._threads)
        self.assertEqual(len(used), 1)
        go.set()
        await gatherResults(ended)
        self.assertEqual([one.is_alive() for one in used], [False])
        self.assertTrue(self.successResultOf(held))

    def test_workers_that_never_worked_close_at_once(self) -> None:
        """There is no thread to wait for."""
        self.assertIsNone(self.successResultOf(self.make().close()))

    async def test_no_thread_to_be_had_is_a_temporary_failure(self) -> None:
        """The job is refused, not lost; when threads are to be had again work goes on."""
        workers = self.make()
        patch = self.patch(threads, "Thread", NoThread)
        self.failureResultOf(workers.run(lambda: 1), TryLater)
        patch.restore()
        self.assertEqual(await workers.run(lambda: 2), 2)

    async def test_no_second_thread_to_be_had_leaves_the_job_to_the_first(self) -> None:
        """It waits instead of being refused."""
        workers = self.make(threads=2)
        go, held = self.hold(workers)
        self.patch(threads, "Thread", NoThread)
        second = workers.run(lambda: 2)
        go.set()
        self.assertEqual(await second, 2)
        self.assertTrue(await held)


class NoThread(threading.Thread):
    """What a machine without room for threads has."""

    def start(self) -> None:
        """As CPython refuses."""
        raise RuntimeError("can't start new thread")


class WakeUps:
    """A reactor of which only the wake-ups are seen."""

    def __init__(self) -> None:
        self.calls: list[Callable[..., Any]] = []

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Keep the call."""
        self.calls.append(call)


class DeliveriesTests(SynchronousTestCase):
    """One wake-up hands over everything that is ready."""

    def setUp(self) -> None:
        """Deliveries to a reactor that is stepped by hand."""
        self.reactor = WakeUps()
        self.deliveries = Deliveries(cast(IReactorFromThreads, self.reactor))

    def test_many_results_share_a_wake_up(self) -> None:
        """Those that come before the reactor is awake."""
        deferreds: list[Deferred[int]] = [Deferred() for _ in range(3)]
        for number, one in enumerate(deferreds):
            self.deliveries.put([(one, number)])
        self.assertEqual(len(self.reactor.calls), 1)
        self.reactor.calls.pop()()
        self.assertEqual([self.successResultOf(one) for one in deferreds], [0, 1, 2])

    def test_result_that_comes_while_others_are_handed_over_is_not_lost(self) -> None:
        """It is handed over in the same turn or wakes the reactor again."""
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        first.addCallback(lambda _: self.deliveries.put([(second, 2)]))
        self.deliveries.put([(first, 1)])
        while self.reactor.calls:
            self.reactor.calls.pop(0)()
        self.assertEqual(self.successResultOf(second), 2)
