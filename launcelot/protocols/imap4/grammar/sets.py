"""
Sequence sets: as ranges, never expanded to what was asked for.  RFC 3501 section 9 ``sequence-set``.

``*`` is kept as :data:`STAR` until somebody knows the largest number.  Reading and normalizing cost O(n log n) in the
number of ranges written, whatever numbers they hold.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcelot.protocols.imap4.grammar.reader import MAX_NUMBER, Malformed, Reader

STAR = MAX_NUMBER + 1
"""Stands for ``*``."""

Range = tuple[int, int]
"""From and to, both included, in the order written."""

_SET = re.compile(rb"[\d*:,]+")
_ONE = re.compile(rb"[1-9]\d{0,8}")
_ITEM = re.compile(rb"([1-9]\d{0,9}|\*)(?::([1-9]\d{0,9}|\*))?")


def read_set(reader: Reader) -> tuple[Range, ...]:
    """
    The next argument as ranges, as written.

    :raises Malformed: it is no sequence set.
    """
    text = reader.match(_SET, "expected a sequence set")[0]
    return parse_set(text)


def parse_set(text: bytes) -> tuple[Range, ...]:
    """
    Read a whole set.

    :raises Malformed: it is none.
    """
    if _ONE.fullmatch(text):
        number = int(text)
        return ((number, number),)
    ranges: list[Range] = []
    full = _ITEM.fullmatch
    for item in text.split(b","):
        found = full(item)
        if found is None:
            raise Malformed("malformed sequence set")
        low, high = found.groups()
        first = STAR if low == b"*" else int(low)
        last = first if high is None else STAR if high == b"*" else int(high)
        if (first > MAX_NUMBER and low != b"*") or (last > MAX_NUMBER and first != last and high != b"*"):
            raise Malformed("number is too large")
        ranges.append((first, last))
    return tuple(ranges)


def resolve(ranges: Iterable[Range], largest: int) -> list[Range]:
    """
    The same numbers as ascending ranges that neither overlap nor touch.

    :param largest: what ``*`` stands for; ranges that are only ``*`` vanish when it is 0.
    """
    put = []
    for first, last in ranges:
        low = largest if first == STAR else first
        high = largest if last == STAR else last
        put.append((low, high) if low <= high else (high, low))
    put.sort()
    merged: list[Range] = []
    start, end = 1, 0
    for low, high in put:
        if low <= end + 1 and start <= end:
            end = max(end, high)
            continue
        if start <= end:
            merged.append((start, end))
        start, end = max(low, 1), high
    if start <= end:
        merged.append((start, end))
    return merged


@dataclass(frozen=True, slots=True)
class Partial:
    """
    A piece of a list, by places from 1; from its end where they are negative.  RFC 9394 section 3.1.

    :ivar first: and ``last`` as written, of one sign, in any order.
    """

    first: int
    last: int

    def of(self, numbers: Sequence[int]) -> Sequence[int]:
        """The piece, in the order of the list."""
        low, high = sorted((abs(self.first), abs(self.last)))
        if self.first > 0:
            return numbers[low - 1 : high]
        return numbers[max(len(numbers) - high, 0) : max(len(numbers) - low + 1, 0)]

    def __len__(self) -> int:
        """How many places it has."""
        return abs(self.last - self.first) + 1

    def __bytes__(self) -> bytes:
        return b"%d:%d" % (self.first, self.last)


def read_partial(reader: Reader) -> Partial:
    """``partial-range``."""
    sign = -1 if reader.accept(b"-") else 1
    first = reader.nz_number()
    reader.expect(b":", "expected a range")
    if sign < 0:
        reader.expect(b"-", "both ends count from one side")
    return Partial(sign * first, sign * reader.nz_number())


def inside(ranges: Sequence[Range], number: int) -> bool:
    """Whether a number lies in ranges that :func:`resolve` gave."""
    place = bisect_right(ranges, number, key=lambda pair: pair[0])
    return place > 0 and number <= ranges[place - 1][1]


def ranges_of(numbers: Sequence[int]) -> list[Range]:
    """Ascending numbers as ranges, runs of neighbours as one."""
    found: list[Range] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def format_set(numbers: Sequence[int]) -> bytes:
    """Numbers in the order given as a set, runs of neighbours as ranges."""
    if not numbers:
        return b""
    parts: list[bytes] = []
    start = end = numbers[0]
    for number in numbers[1:]:
        if number == end + 1:
            end = number
            continue
        parts.append(b"%d" % start if start == end else b"%d:%d" % (start, end))
        start = end = number
    parts.append(b"%d" % start if start == end else b"%d:%d" % (start, end))
    return b",".join(parts)
