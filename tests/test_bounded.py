"""The guard against work that is not linear."""

from __future__ import annotations

import os
import re
import signal

from twisted.trial.unittest import SynchronousTestCase

from tests.bounded import OCTETS, PIECES, NotLinear, linear, many, processor_time, slowness


class LinearTests(SynchronousTestCase):
    """What it stops, and what it lets through."""

    def test_quadratic_work_is_stopped(self) -> None:
        """In Python and inside a regular expression, which looks for signals by itself; also where somebody catches it."""

        def plain() -> None:
            while True:
                pass

        def matching() -> None:
            re.compile(r"(?:.*,)*;").search("," * OCTETS)

        def catching() -> None:
            try:
                plain()
            except AssertionError:
                pass

        for work in (plain, matching, catching):
            with self.subTest(work=work.__name__):
                error = self.assertRaises(NotLinear, self.guarded, work)
                self.assertIn(work.__name__, str(error))

    def guarded(self, work: object) -> None:
        """With a guard that is reached soon."""
        assert callable(work)
        with linear(work, 0.05):
            work()

    def test_afterwards_nothing_is_left(self) -> None:
        """Neither timer nor signal handler; an error of the work's own passes."""
        before = signal.getsignal(signal.SIGPROF)

        def failing() -> None:
            with linear():
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, failing)
        with linear():
            pass
        self.assertEqual(signal.getsignal(signal.SIGPROF), before)
        self.assertEqual(signal.getitimer(signal.ITIMER_PROF), (0.0, 0.0))

    def test_repeated(self) -> None:
        """Often enough and long enough."""
        for piece in (b"x", b"abc", b"a piece that is longer than most"):
            data = many(piece)
            self.assertGreaterEqual(data.count(piece), PIECES)
            self.assertGreaterEqual(len(data), OCTETS)
            self.assertEqual(data.replace(piece, b""), b"")


class ProcessorTests(SynchronousTestCase):
    """Processor time as a measure."""

    def test_of_a_process(self) -> None:
        """It grows while there is work, and the first thread's is no more than all have."""
        own = os.getpid()
        before = processor_time(own), processor_time(own, reactor=True)
        while processor_time(own, reactor=True) < before[1] + 0.02:
            pass
        self.assertGreater(processor_time(own), before[0])
        self.assertLessEqual(processor_time(own, reactor=True), processor_time(own))

    def test_slowness(self) -> None:
        """Never less than none."""
        self.assertGreaterEqual(slowness(), 1.0)
