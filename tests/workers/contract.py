"""
What every :class:`launcelot.workers.interface.Workers` does, as a mixin of tests.

A test case that uses it gives :meth:`WorkersContract.make_workers` and, if jobs wait to be driven, :meth:`WorkersContract.drive`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from launcelot.core.errors import NotFound, TryLater
from launcelot.workers.interface import Workers

T = TypeVar("T")


class WorkersContract(TestCase):
    """The tests; a subclass gives the workers."""

    def make_workers(self) -> Workers:
        """New workers, with room for at least ten jobs."""
        raise NotImplementedError

    def drive(self, workers: Workers) -> None:
        """Let jobs that wait run, where they do not by themselves."""

    async def ask(self, workers: Workers, job: Callable[[], T]) -> T:
        """What comes of a job."""
        asked = workers.run(job)
        self.drive(workers)
        return await asked

    async def test_result_is_handed_back(self) -> None:
        """What the job returns."""
        self.assertEqual(await self.ask(self.make_workers(), lambda: 6 * 7), 42)

    async def test_exception_is_handed_back(self) -> None:
        """Refusals and bugs alike, and the workers go on."""
        workers = self.make_workers()
        for error in (NotFound(), ZeroDivisionError(), SystemExit(), NotFound()):

            def job(error: BaseException = error) -> None:
                raise error

            try:
                await self.ask(workers, job)
            except type(error) as caught:
                self.assertIs(caught, error)
            else:
                self.fail("nothing was raised")
        self.assertEqual(await self.ask(workers, lambda: "alive"), "alive")

    async def test_every_job_is_done_once(self) -> None:
        """None lost, none doubled, each answer at its own Deferred."""
        workers = self.make_workers()
        done: list[int] = []

        def make(number: int) -> Callable[[], int]:
            def job() -> int:
                done.append(number)
                return number

            return job

        asked = [workers.run(make(number)) for number in range(10)]
        self.drive(workers)
        self.assertEqual(await gatherResults(asked), list(range(10)))
        self.assertEqual(sorted(done), list(range(10)))

    async def test_callback_may_run_the_next_job(self) -> None:
        """Chains of jobs work, as sessions make them."""
        workers = self.make_workers()

        def next_job(number: int) -> Deferred[int]:
            asked = workers.run(lambda: number + 1)
            self.drive(workers)
            return asked

        asked = workers.run(lambda: 0).addCallback(next_job).addCallback(next_job)
        self.drive(workers)
        self.assertEqual(await asked, 2)

    async def test_closed_workers_refuse(self) -> None:
        """Further jobs get TryLater; closing twice is closing."""
        workers = self.make_workers()
        await workers.close()
        self.failureResultOf(workers.run(lambda: 1), TryLater)
        await workers.close()

    async def test_close_finishes_what_waits(self) -> None:
        """Every job that was taken is done and has been answered when close is."""
        workers = self.make_workers()
        got: list[int] = []
        for _ in range(10):
            workers.run(lambda: 1).addCallback(got.append)
        await workers.close()
        self.assertEqual(got, [1] * 10)
