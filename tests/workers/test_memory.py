"""The twins of the threads."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import TryLater
from launcelot.workers.interface import Workers
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from tests.workers import contract


class InlineContractTests(contract.WorkersContract):
    """The contract, inline."""

    def make_workers(self) -> Workers:
        """Workers that run where they are asked."""
        return InlineWorkers()


class SteppedContractTests(contract.WorkersContract):
    """The contract, step by step."""

    def make_workers(self) -> Workers:
        """Workers that run when they are told."""
        return SteppedWorkers()

    def drive(self, workers: Workers) -> None:
        """Tell them."""
        assert isinstance(workers, SteppedWorkers)
        while workers.perform():
            pass


class SteppedTests(SynchronousTestCase):
    """What stepping adds."""

    def test_nothing_runs_by_itself(self) -> None:
        """A job waits until the test says so, oldest first."""
        workers = SteppedWorkers()
        first, second = workers.run(lambda: 1), workers.run(lambda: 2)
        self.assertNoResult(first)
        self.assertTrue(workers.perform())
        self.assertEqual(self.successResultOf(first), 1)
        self.assertNoResult(second)
        self.assertTrue(workers.perform())
        self.assertEqual(self.successResultOf(second), 2)
        self.assertFalse(workers.perform())

    def test_past_the_bound_is_refused(self) -> None:
        """As in threads."""
        workers = SteppedWorkers(bound=1)
        first = workers.run(lambda: 1)
        self.failureResultOf(workers.run(lambda: 2), TryLater)
        workers.perform()
        self.assertEqual(self.successResultOf(first), 1)

    def test_cancelled_job_is_dropped(self) -> None:
        """As in threads, if it has not begun."""
        workers = SteppedWorkers()
        ran: list[int] = []
        first = workers.run(lambda: ran.append(1))
        workers.run(lambda: ran.append(2))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        while workers.perform():
            pass
        self.assertEqual(ran, [2])
