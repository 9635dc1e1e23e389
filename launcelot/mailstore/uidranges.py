"""
Queries that ask for nothing but UIDs: what mail clients find out with which messages are new.

They are answered from the UIDs of a mailbox, which are in memory anyway, and no row is read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import reduce
from itertools import chain

from launcelot.core.ranges import Range, shared
from launcelot.mailstore.query import All, And, Not, Or, Query, Uids

LARGEST = 0xFFFF_FFFF
MOST = 1_000
"""Ranges in a query at most; they take about a millisecond."""

Ranges = Sequence[Range]
"""From and to, ascending and apart."""

EVERY: Ranges = ((1, LARGEST),)


def ranges_of(query: Query) -> Ranges | None:
    """What a query asks for; None if that is not UIDs alone, or very many ranges."""
    return _ranges(query) if _weight(query) <= MOST else None


def among(uids: Sequence[int], ranges: Ranges) -> Sequence[int]:
    """Those of some UIDs, which ascend, that are in ranges."""
    found = array("I")
    for low, high in ranges:
        found.extend(uids[bisect_left(uids, low) : bisect_right(uids, high)])
    return found


def _weight(query: Query) -> int:
    """Ranges that are looked at for it; more than :data:`MOST` if it asks for something else."""
    if isinstance(query, Uids):
        return 1 + len(query.ranges)
    if isinstance(query, All):
        return 1
    if isinstance(query, Not):
        return 1 + _weight(query.query)
    if isinstance(query, And | Or):
        # Each may be looked at once more for every other.
        return 1 + len(query.queries) * sum(map(_weight, query.queries))
    return MOST + 1


def _ranges(query: Query) -> Ranges:
    if isinstance(query, Uids):
        return query.ranges
    if isinstance(query, Not):
        return _others(_ranges(query.query))
    if isinstance(query, And):
        return reduce(shared, map(_ranges, query.queries), EVERY)
    if isinstance(query, Or):
        return Uids(tuple(chain.from_iterable(map(_ranges, query.queries)))).ranges
    return EVERY


def _others(ranges: Ranges) -> Ranges:
    found: list[Range] = []
    low = 1
    for start, end in ranges:
        if low < start:
            found.append((low, start - 1))
        low = max(low, end + 1)
    if low <= LARGEST:
        found.append((low, LARGEST))
    return found
