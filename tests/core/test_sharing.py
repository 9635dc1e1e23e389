"""Limits that hold over several processes: rows of one memory, looked at from each of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import Bucket, ConnectionCount
from launcelot.core.rates import TokenBuckets
from launcelot.core.sharing import NUMBERS, SharedBucket, SharedBuckets, SharedCount, SharedNumbers, size_of

KEY = b"sixteen octets.."


def rows(count: int) -> list[SharedNumbers]:
    """The same memory as each of some processes sees it."""
    memory = memoryview(bytearray(size_of(count)))
    return [SharedNumbers(memory, count, row, KEY) for row in range(count)]


class SharedCountTests(SynchronousTestCase):
    """Connections over all processes."""

    def counts(self, total: int, per_source: int, processes: int = 2) -> list[SharedCount]:
        """One service in each process."""
        self.table = rows(processes)
        return [SharedCount(total, per_source, one, "smtp", 3) for one in self.table]

    def test_a_source_has_its_limit_over_all_processes(self) -> None:
        """What one process let in counts in the other."""
        first, second = self.counts(100, 3)
        self.assertEqual([True, True], [first.admit("a"), first.admit("a")])
        self.assertEqual([True, False], [second.admit("a"), second.admit("a")])
        self.assertFalse(first.admit("a"))
        self.assertTrue(second.admit("b"))

    def test_the_total_holds_over_all_processes(self) -> None:
        """Whoever they come from."""
        first, second = self.counts(3, 3)
        self.assertEqual([True, True, True], [first.admit("a"), second.admit("b"), first.admit("c")])
        self.assertEqual([False, False], [first.admit("d"), second.admit("d")])

    def test_who_leaves_makes_room_elsewhere(self) -> None:
        """A release in one process is seen by the other."""
        first, second = self.counts(100, 1)
        self.assertTrue(first.admit("a"))
        self.assertFalse(second.admit("a"))
        first.release("a")
        self.assertTrue(second.admit("a"))

    def test_a_refusal_counts_nothing(self) -> None:
        """However often somebody was refused, one place is enough for the next."""
        first, second = self.counts(100, 1)
        first.admit("a")
        for _ in range(10):
            second.admit("a")
        first.release("a")
        self.assertTrue(second.admit("a"))
        self.assertFalse(first.admit("a"))

    def test_a_process_that_ended_is_counted_no_longer(self) -> None:
        """Its row is cleared, and only its row."""
        first, second, third = self.counts(100, 2, processes=3)
        self.assertTrue(first.admit("a") and second.admit("a"))
        self.assertFalse(third.admit("a"))
        self.table[2].clear(0)
        self.assertEqual([True, False], [third.admit("a"), third.admit("a")])

    def test_services_do_not_count_each_other(self) -> None:
        """The same source has its limit at each service."""
        one, _ = rows(2)
        smtp, imap = SharedCount(1, 1, one, "smtp", 0), SharedCount(1, 1, one, "imap", 1)
        self.assertEqual([True, True], [smtp.admit("a"), imap.admit("a")])

    @given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.booleans()), max_size=60))
    def test_any_sequence_is_as_one_count_for_all(self, steps: list[tuple[int, str, bool]]) -> None:
        """Three processes together admit what one that did all the work would."""
        counts = self.counts(5, 2, processes=3)
        oracle = ConnectionCount(5, 2)
        there: list[tuple[int, str]] = []
        for process, source, comes in steps:
            if comes:
                admitted = counts[process].admit(source)
                self.assertEqual(oracle.admit(source), admitted)
                there += [(process, source)] * admitted
            elif there:
                process, source = there.pop(0)
                counts[process].release(source)
                oracle.release(source)

    def test_who_has_more_than_the_others_is_ahead(self) -> None:
        """Of three with 3, 3 and 5 connections the last; with 3, 3 and 4 nobody; alone, nobody ever."""
        counts = self.counts(100, 100, processes=3)
        for number, count in zip((3, 3, 4), counts, strict=True):
            for _ in range(number):
                count.admit("a")
        self.assertEqual([False] * 3, [count.ahead() for count in counts])
        counts[2].admit("a")
        self.assertEqual([False, False, True], [count.ahead() for count in counts])
        [alone] = self.counts(100, 100, processes=1)
        for _ in range(10):
            alone.admit("a")
        self.assertFalse(alone.ahead())

    def test_a_row_that_is_not_there_is_refused(self) -> None:
        """Neither a row too many nor a memory too small."""
        memory = memoryview(bytearray(size_of(2)))
        self.assertRaises(ValueError, SharedNumbers, memory, 2, 2, KEY)
        self.assertRaises(ValueError, SharedNumbers, memory[:-1], 2, 0, KEY)

    def test_places_are_spread_and_keyed(self) -> None:
        """Sources seldom meet, and where they do depends on the key."""
        one, _ = rows(2)
        sources = [f"10.0.{number >> 8}.{number & 255}" for number in range(2_000)]
        places = [one.place("smtp", source) for source in sources]
        self.assertGreater(len(set(places)), 1_900)
        self.assertLess(max(places), NUMBERS)
        other = SharedNumbers(memoryview(bytearray(size_of(1))), 1, 0, b"another key.....")
        self.assertNotEqual(places, [other.place("smtp", source) for source in sources])


class SharedBucketsTests(SynchronousTestCase):
    """Rates over all processes."""

    def test_a_burst_is_shared(self) -> None:
        """Five at once are five over both processes."""
        buckets = [SharedBuckets(1.0, 5.0, one, "questions-udp") for one in rows(2)]
        taken = [buckets[number % 2].take("a", 100.0) for number in range(8)]
        self.assertEqual([True] * 5 + [False] * 3, taken)
        self.assertEqual([True, False], [buckets[0].take("a", 101.0), buckets[1].take("a", 101.0)])

    def test_sources_are_apart(self) -> None:
        """One that has used up its burst is in nobody's way."""
        bucket = SharedBuckets(1.0, 1.0, rows(1)[0], "questions-udp")
        self.assertEqual([True, False, True], [bucket.take("a", 1.0), bucket.take("a", 1.0), bucket.take("b", 1.0)])

    @given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), max_size=80))
    def test_it_is_a_token_bucket(self, steps: list[tuple[int, int]]) -> None:
        """Moments and tokens say the same, whatever the times (in sixteenths, which are exact)."""
        buckets = [SharedBuckets(2.0, 4.0, one, "x") for one in rows(2)]
        oracle = TokenBuckets(2.0, 4.0)
        now = 1_000.0
        for process, pause in steps:
            now += pause / 16
            self.assertEqual(oracle.take("a", now), buckets[process].take("a", now))


class SharedBucketTests(SynchronousTestCase):
    """Octets in a second over all processes."""

    def test_processes_wait_for_each_other(self) -> None:
        """What one has taken the other pays for; a bucket that is idle saves a second, and another key has its own."""
        first, second = (SharedBucket(1_000, one, "ftp", "ann") for one in rows(2))
        self.assertEqual([first.take(1_000, 50.0), second.take(500, 50.0), first.take(500, 50.0)], [0.0, 0.5, 1.0])
        self.assertEqual(SharedBucket(1_000, rows(1)[0], "ftp", "bob").take(1_000, 50.0), 0.0)
        self.assertEqual(second.take(1_000, 90.0), 0.0)
        self.assertAlmostEqual(first.take(1, 90.0), 0.001)

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 5_000), st.floats(0.0, 3.0)), max_size=30))
    def test_it_is_one_bucket(self, taken: list[tuple[bool, int, float]]) -> None:
        """Two that share are as one that is not shared."""
        shared = [SharedBucket(1_000, one, "ftp", "ann") for one in rows(2)]
        plain, now = Bucket(1_000), 50.0
        for which, octets, later in taken:
            now += later
            self.assertAlmostEqual(shared[which].take(octets, now), plain.take(octets, now), places=6)
