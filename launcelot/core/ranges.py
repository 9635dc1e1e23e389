"""Series of ranges of numbers, each from low to high with both included, ascending and apart."""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[int, int]
"""From and to, both included."""


def shared(some: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """The numbers that lie in both of two series, as a series."""
    found: list[Range] = []
    first = second = 0
    while first < len(some) and second < len(others):
        low, high = max(some[first][0], others[second][0]), min(some[first][1], others[second][1])
        if low <= high:
            found.append((low, high))
        if some[first][1] < others[second][1]:
            first += 1
        else:
            second += 1
    return found
