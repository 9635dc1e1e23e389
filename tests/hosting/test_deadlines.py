"""One timer for many deadlines."""

from __future__ import annotations

import math
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.deadlines import Deadlines


class Waiter:
    """Notes when its deadline was told."""

    def __init__(self, clock: Clock) -> None:
        self.deadline = math.inf
        self.looked_at = math.inf
        self.told: list[float] = []
        self._clock = clock

    def deadline_passed(self) -> None:
        self.told.append(self._clock.seconds())


class DeadlinesTests(SynchronousTestCase):
    """Told once, late by at most a second, never early."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)

    def run_to(self, seconds: float) -> None:
        while self.clock.seconds() < seconds:
            self.clock.advance(0.25)

    def test_told_once_within_a_second(self) -> None:
        """A deadline is told in the second in which it falls, once."""
        waiter = Waiter(self.clock)
        self.deadlines.set(waiter, 5.5)
        self.run_to(20)
        self.assertEqual(waiter.told, [6.0])

    def test_moved_later(self) -> None:
        """A deadline moved on by every command is told only when the commands end."""
        waiter = Waiter(self.clock)
        for second in range(10):
            self.run_to(second)
            self.deadlines.set(waiter, second + 3)
        self.run_to(30)
        self.assertEqual(waiter.told, [12.0])

    def test_moved_earlier(self) -> None:
        """A deadline moved to an earlier time is told then."""
        waiter = Waiter(self.clock)
        self.deadlines.set(waiter, 100)
        self.deadlines.set(waiter, 7)
        self.run_to(120)
        self.assertEqual(waiter.told, [7.0])

    def test_withdrawn_by_assignment(self) -> None:
        """A deadline set to infinity without a word is not told."""
        waiter = Waiter(self.clock)
        self.deadlines.set(waiter, 3)
        waiter.deadline = math.inf
        self.run_to(10)
        self.assertEqual(waiter.told, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forgotten_leaves_no_timer(self) -> None:
        """When nobody is left no call is pending."""
        first, second = Waiter(self.clock), Waiter(self.clock)
        self.deadlines.set(first, 3)
        self.deadlines.set(second, 4)
        self.deadlines.forget(first)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.deadlines.forget(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.run_to(10)
        self.assertEqual(first.told + second.told, [])

    def test_set_again_inside(self) -> None:
        """A new deadline set while being told is told in its turn."""
        clock, deadlines = self.clock, self.deadlines

        class Again(Waiter):
            def deadline_passed(self) -> None:
                super().deadline_passed()
                if len(self.told) < 3:
                    deadlines.set(self, clock.seconds() + 2)

        waiter = Again(self.clock)
        self.deadlines.set(waiter, 1)
        self.run_to(20)
        self.assertEqual(waiter.told, [1.0, 3.0, 5.0])

    def test_one_told_forgets_another(self) -> None:
        """A connection that is forgotten because another's deadline passed is not told."""
        other = Waiter(self.clock)
        deadlines = self.deadlines

        class Killer(Waiter):
            def deadline_passed(self) -> None:
                super().deadline_passed()
                deadlines.forget(other)

        self.deadlines.set(Killer(self.clock), 2)
        self.deadlines.set(other, 3)
        self.run_to(10)
        self.assertEqual(other.told, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_random_schedules(self) -> None:
        """Under random setting, moving and forgetting, everybody is told exactly when due."""
        random = Random(2)
        waiters = [Waiter(self.clock) for _ in range(50)]
        due: dict[int, float] = {}
        for _ in range(2_000):
            number = random.randrange(len(waiters))
            now = self.clock.seconds()
            if random.random() < 0.2:
                self.deadlines.forget(waiters[number])
                due.pop(number, None)
            else:
                due[number] = now + random.uniform(0.1, 40)
                self.deadlines.set(waiters[number], due[number])
            self.clock.advance(0.125)
            for which, waiter in enumerate(waiters):
                if waiter.told:
                    self.assertEqual(len(waiter.told), 1)
                    self.assertLessEqual(due[which], waiter.told[0])
                    self.assertLess(waiter.told[0], due[which] + 1.2)
                    waiter.told.clear()
                    del due[which]
            self.assertTrue(all(moment > self.clock.seconds() - 1.2 for moment in due.values()))
