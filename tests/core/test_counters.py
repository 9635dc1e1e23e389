"""Sums and gauges."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.counters import Counters


class CounterTests(SynchronousTestCase):
    """What was counted is told."""

    def test_counter_adds_up(self) -> None:
        """From its first use, by one or by many."""
        counters = Counters()
        counters.add("a.b")
        counters.add("a.b")
        counters.add("octets", 500)
        self.assertEqual([counters.value(name) for name in ("a.b", "octets")], [2, 500])

    def test_unused_name_is_zero_and_not_listed(self) -> None:
        """Asking makes no counter."""
        counters = Counters()
        self.assertEqual(counters.value("never"), 0)
        self.assertEqual(counters.snapshot(), {})

    def test_gauge_is_asked_when_somebody_looks(self) -> None:
        """The present value, each time."""
        counters = Counters()
        lying: list[int] = []
        counters.gauge("lying", lambda: len(lying))
        self.assertEqual(counters.value("lying"), 0)
        lying.extend((1, 2))
        self.assertEqual(counters.value("lying"), 2)
        self.assertEqual(counters.snapshot(), {"lying": 2})

    def test_snapshot_is_sorted_and_stays(self) -> None:
        """All names in order, as they were."""
        counters = Counters()
        for name in ("c", "a", "b.x", "b"):
            counters.add(name)
        counters.gauge("aa", lambda: 7)
        seen = counters.snapshot()
        counters.add("a")
        self.assertEqual(list(seen.items()), [("a", 1), ("aa", 7), ("b", 1), ("b.x", 1), ("c", 1)])

    def test_two_daemons_count_apart(self) -> None:
        """Nothing is shared."""
        first, second = Counters(), Counters()
        first.add("x")
        self.assertEqual(second.value("x"), 0)
