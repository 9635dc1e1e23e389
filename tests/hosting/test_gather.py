"""Waiting for several things loses neither results nor failures."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.gather import gather, outcomes


class GatherTests(SynchronousTestCase):
    """All results, or the first failure after all have ended."""

    def test_results_in_order(self) -> None:
        """Results come in the order of what was waited for, whoever ends first."""
        first: Deferred[int] = Deferred()
        waiting = Deferred.fromCoroutine(gather([first, succeed(2)]))
        self.assertNoResult(waiting)
        first.callback(1)
        self.assertEqual(self.successResultOf(waiting), [1, 2])

    def test_first_failure_after_all_have_ended(self) -> None:
        """A failure is raised only when the others are done; further ones are logged."""
        last: Deferred[int] = Deferred()
        waiting = Deferred.fromCoroutine(gather([fail(KeyError("a")), fail(ValueError("b")), last]))
        self.assertNoResult(waiting)
        last.callback(3)
        self.failureResultOf(waiting, KeyError)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_outcome_of_each(self) -> None:
        """Every one's outcome is a value."""
        found = self.successResultOf(Deferred.fromCoroutine(outcomes([succeed(1), fail(KeyError("a"))])))
        self.assertEqual(found[0].result, 1)
        self.assertIsNone(found[0].failure)
        self.assertTrue(found[1].failure is not None and found[1].failure.check(KeyError))

    def test_nothing_to_wait_for(self) -> None:
        """Nothing gives nothing."""
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(gather([]))), [])
