"""
Rows of a SQLite file read from its pages alone, for a file that SQLite does not read any more.

Every leaf of a table's tree is understood by itself (https://www.sqlite.org/fileformat2.html section 1.6), whatever has become of
the pages that lead to it; what does not fit is passed over.  Nothing here raises on any octets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from launcelot.workers.staging import Buffer

Value = int | float | bytes | str | None

TABLE_LEAF = 0x0D
INDEX_LEAF = 0x0A
LARGEST_COLUMNS = 64
"""Columns of a row that is believed."""
_HEADER = Struct(">BHHHB")
_PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))


@dataclass(frozen=True, slots=True)
class Found:
    """
    One row.

    :ivar rowid: of a table with one; None for rows of WITHOUT ROWID tables and indexes.
    """

    rowid: int | None
    values: tuple[Value, ...]


class Pages:
    """
    A file as pages.

    :param octets: all of it, in memory or mapped.
    """

    def __init__(self, octets: Buffer) -> None:
        size = int.from_bytes(octets[16:18], "big")
        size = 65_536 if size == 1 else size
        self._size = size if size in _PAGE_SIZES else 4_096
        self._octets = octets
        self._usable = self._size - (octets[20] if len(octets) > 20 and octets[20] < 64 else 0)

    def rows(self) -> Iterator[Found]:
        """All rows of all leaves, in the order of pages."""
        for number in range(-(-len(self._octets) // self._size)):
            page = self._octets[number * self._size : (number + 1) * self._size]
            yield from self._leaf(page, 100 if number == 0 else 0)

    def _leaf(self, page: bytes, start: int) -> Iterator[Found]:
        if len(page) < start + 8 or page[start] not in (TABLE_LEAF, INDEX_LEAF):
            return
        kind, _, cells, _, _ = _HEADER.unpack_from(page, start)
        for index in range(min(cells, (len(page) - start - 8) // 2)):
            at = start + 8 + 2 * index
            place = int.from_bytes(page[at : at + 2], "big")
            if place >= start + 8:
                found = self._cell(page, place, kind)
                if found is not None:
                    yield found

    def _cell(self, page: bytes, place: int, kind: int) -> Found | None:
        length, place = varint(page, place)
        rowid: int | None = None
        if kind == TABLE_LEAF:
            rowid, place = varint(page, place)
        if not 0 < length <= len(self._octets):
            return None
        payload = self._payload(page, place, length, kind)
        values = None if payload is None else record(payload)
        return None if values is None else Found(rowid, values)

    def _payload(self, page: bytes, place: int, length: int, kind: int) -> bytes | None:
        usable = self._usable
        largest = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if length <= largest:
            return page[place : place + length]
        smallest = (usable - 12) * 32 // 255 - 23
        local = smallest + (length - smallest) % (usable - 4)
        local = local if local <= largest else smallest
        pieces = [page[place : place + local]]
        following = int.from_bytes(page[place + local : place + local + 4], "big")
        left = length - local
        while left > 0 and following:
            start = (following - 1) * self._size
            overflow = self._octets[start : start + usable]
            if len(overflow) < 4:
                break
            pieces.append(overflow[4 : 4 + left])
            left -= len(pieces[-1])
            following = int.from_bytes(overflow[:4], "big")
            if len(pieces) * (usable - 4) > length + 2 * usable:
                return None
        return b"".join(pieces)


def record(payload: bytes) -> tuple[Value, ...] | None:
    """
    The values of a record; one that is cut off ends in a shorter last value.  Section 2.1 there.

    None if it is no record.
    """
    head, place = varint(payload, 0)
    if not place <= head <= len(payload):
        return None
    kinds = []
    while place < head:
        kind, place = varint(payload, place)
        kinds.append(kind)
        if kind in (10, 11) or kind < 0 or len(kinds) > LARGEST_COLUMNS:
            return None
    if place != head or not kinds:
        return None
    values: list[Value] = []
    for kind in kinds:
        size = _SIZES[kind] if kind < 12 else (kind - 12) // 2
        values.append(_value(kind, payload[place : place + size]))
        place += size
    return tuple(values)


def _value(kind: int, octets: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return float(_DOUBLE.unpack(octets)[0]) if len(octets) == 8 else 0.0
    if kind < 7:
        return int.from_bytes(octets, "big", signed=True)
    return octets.decode("utf-8", "replace") if kind & 1 else octets


def varint(octets: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine octets and the place behind it; (-1, place) where there is none."""
    value = 0
    for count in range(9):
        if place >= len(octets):
            return -1, place
        octet = octets[place]
        place += 1
        if count == 8:
            value = value << 8 | octet
            return value - (1 << 64) if value >= 1 << 63 else value, place
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            break
    return value, place


_DOUBLE = Struct(">d")
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
