"""Token buckets: a rate for ever, a burst at once, bounded memory."""

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.rates import TokenBuckets


class TokenBucketsTests(SynchronousTestCase):
    """What :class:`TokenBuckets` grants."""

    def test_a_burst_and_then_the_rate(self) -> None:
        """Five at once, then two a second."""
        buckets = TokenBuckets(2, 5)
        self.assertEqual([buckets.take("a", 0.0) for _ in range(7)], [True] * 5 + [False] * 2)
        self.assertEqual([buckets.take("a", 1.0) for _ in range(3)], [True, True, False])

    def test_asking_in_vain_costs_nothing(self) -> None:
        """Who goes on asking is granted the rate all the same."""
        buckets = TokenBuckets(1, 1)
        granted = sum(buckets.take("a", tenth / 10) for tenth in range(100))
        self.assertIn(granted, (10, 11))

    def test_rest_does_not_pile_up(self) -> None:
        """After an hour there is one burst, not more."""
        buckets = TokenBuckets(10, 3)
        buckets.take("a", 0.0)
        self.assertEqual(sum(buckets.take("a", 3600.0) for _ in range(10)), 3)

    def test_keys_do_not_share(self) -> None:
        """One who is refused harms nobody else."""
        buckets = TokenBuckets(1, 1)
        self.assertEqual([buckets.take(key, 0.0) for key in "aab"], [True, False, True])

    def test_memory_is_bounded(self) -> None:
        """The key longest untouched goes first."""
        buckets = TokenBuckets(1, 1, keys=3)
        for key in "abcad":
            buckets.take(key, 0.0)
        self.assertEqual(len(buckets), 3)
        self.assertFalse(buckets.take("a", 0.0))
        self.assertTrue(buckets.take("b", 0.0))
