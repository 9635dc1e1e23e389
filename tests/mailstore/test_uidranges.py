"""Queries that ask for nothing but UIDs."""

from __future__ import annotations

from array import array
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.query import All, And, Flagged, Not, Or, Query, Uids
from launcelot.mailstore.uidranges import LARGEST, MOST, among, ranges_of


class RangesTests(SynchronousTestCase):
    """:func:`ranges_of` and :func:`among`."""

    def test_what_is_found(self) -> None:
        """For any query, by asking it of each UID."""
        random, answered = Random(4), 0
        for _ in range(2_000):
            query = any_query(random, 4)
            uids = array("I", sorted(random.sample(range(1, 40), random.randrange(20))))
            ranges = ranges_of(query)
            if ranges is None:
                continue
            answered += 1
            self.assertTrue(all(low <= high for low, high in ranges), query)
            self.assertTrue(all(before[1] < behind[0] for before, behind in zip(ranges, ranges[1:], strict=False)), query)
            self.assertEqual(list(among(uids, ranges)), [uid for uid in uids if holds(query, uid)], query)
        self.assertGreater(answered, 1_000)

    def test_the_largest(self) -> None:
        """UIDs end where 32 bits do."""
        uids = array("I", [1, LARGEST - 1, LARGEST])
        for query, expected in (
            (Not(Uids(((LARGEST, LARGEST),))), [1, LARGEST - 1]),
            (Not(Uids(((1, LARGEST),))), []),
            (Uids(((2, LARGEST),)), [LARGEST - 1, LARGEST]),
            (Not(Uids(())), list(uids)),
        ):
            ranges = ranges_of(query)
            self.assertEqual(None if ranges is None else list(among(uids, ranges)), expected)

    def test_other_questions(self) -> None:
        """Are not answered here, wherever they stand."""
        flagged = Flagged("\\Seen")
        for query in (flagged, Not(flagged), And((Uids(((1, 2),)), flagged)), Or((All(), Not(Not(flagged))))):
            self.assertIsNone(ranges_of(query))

    def test_very_many_ranges(self) -> None:
        """Are for another thread."""
        many = tuple((2 * number, 2 * number) for number in range(1, MOST))
        self.assertIsNotNone(ranges_of(Uids(many)))
        self.assertIsNone(ranges_of(Uids((*many, (1, 1), (2 * MOST + 1, 2 * MOST + 1)))))
        self.assertIsNone(ranges_of(And(tuple(Uids(many[:40]) for _ in range(20)))))


def any_query(random: Random, depth: int) -> Query:
    """One that asks for UIDs."""
    kind = random.randrange(5) if depth else 0
    if kind == 1:
        return Not(any_query(random, depth - 1))
    if kind in (2, 3):
        inner = tuple(any_query(random, depth - 1) for _ in range(random.randrange(4)))
        return And(inner) if kind == 2 else Or(inner)
    if kind == 4:
        return All()
    starts = [random.randrange(1, 40) for _ in range(random.randrange(4))]
    return Uids(tuple((start, start + random.choice((0, 0, 5))) for start in starts))


def holds(query: Query, uid: int) -> bool:
    """Whether a UID is asked for."""
    if isinstance(query, Uids):
        return any(low <= uid <= high for low, high in query.ranges)
    if isinstance(query, Not):
        return not holds(query.query, uid)
    if isinstance(query, And):
        return all(holds(inner, uid) for inner in query.queries)
    if isinstance(query, Or):
        return any(holds(inner, uid) for inner in query.queries)
    return True
