"""
Sorting messages by columns of a store.  RFC 5256 section 3, RFC 5957.

Text compares by ``i;unicode-casemap`` (:mod:`launcelot.message.casemap`).  Nothing here waits; stores run it where long
work belongs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from launcelot.mailstore.sheets import Column, Sheet
from launcelot.message.casemap import collation, fold
from launcelot.message.words import decode_words


class SortKey(Enum):
    """What messages are sorted by."""

    ARRIVAL = "arrival"
    CC = "cc"
    DATE = "date"
    DISPLAYFROM = "displayfrom"
    DISPLAYTO = "displayto"
    FROM = "from"
    SIZE = "size"
    SUBJECT = "subject"
    TO = "to"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One key, and whether its order is turned round; what is equal stays in the order of UIDs all the same."""

    key: SortKey
    reverse: bool = False


def columns(criteria: Sequence[Criterion]) -> tuple[Column, ...]:
    """What is asked of a store for some criteria."""
    return tuple(dict.fromkeys(_KEYS[criterion.key][0] for criterion in criteria))


def sort(sheet: Sheet, criteria: Sequence[Criterion]) -> list[int]:
    """
    UIDs in the order of some criteria, the first weighing most.

    :param sheet: with the :func:`columns` of these criteria.
    """
    uids, *values = sheet.columns
    known = dict(zip(columns(criteria), values, strict=True))
    found = list(range(len(uids)))
    for criterion in reversed(criteria):
        column, turned = _KEYS[criterion.key]
        keys = known[column] if turned is None else list(map(turned, known[column]))
        found.sort(key=keys.__getitem__, reverse=criterion.reverse)
    return [uids[place] for place in found]


_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"|\{(\d+)\}\r\n|(NIL)|([()])| ')
_ESCAPE = re.compile(rb"\\(.)")
_FROM, _TO = 2, 5
"""Places in an envelope, counted from 0."""


def display(envelope: bytes, place: int) -> str:
    """
    The name of the first address at a place in an envelope, else the address, else nothing.  RFC 5957 section 3.

    :param envelope: as :mod:`launcelot.message.imapform` writes it.
    """
    depth = member = position = 0
    address: list[bytes | None] = []
    while position < len(envelope):
        token = _TOKEN.match(envelope, position)
        if token is None:
            break
        position = token.end()
        value: bytes | None = None
        if token[4] is not None:
            depth += 1 if token[4] == b"(" else -1
            if token[4] == b")" and depth == 1:
                member += 1
            if member == place and token[4] == b")" and depth == 2:
                break
            continue
        if token[0] == b" ":
            continue
        if token[2] is not None:
            value = envelope[position : position + int(token[2])]
            position += len(value)
        elif token[1] is not None:
            value = _ESCAPE.sub(rb"\1", token[1])
        if depth == 1:
            member += 1
        elif member == place and depth == 3:
            address.append(value)
        if member > place or len(address) == 4:
            break
    return _shown(address)


def _shown(address: Sequence[bytes | None]) -> str:
    if len(address) < 4:
        return ""
    name, _, mailbox, host = address[:4]
    text = decode_words(name) if name else ""
    if text or mailbox is None:
        return text
    return decode_words(mailbox) + ("" if host is None else "@" + decode_words(host))


_KEYS: dict[SortKey, tuple[Column, Callable[[Any], Any] | None]] = {
    SortKey.ARRIVAL: (Column.ARRIVED, None),
    SortKey.CC: (Column.SORT_CC, collation),
    SortKey.DATE: (Column.DATE, None),
    SortKey.DISPLAYFROM: (Column.ENVELOPE, lambda envelope: collation(fold(display(envelope, _FROM)))),
    SortKey.DISPLAYTO: (Column.ENVELOPE, lambda envelope: collation(fold(display(envelope, _TO)))),
    SortKey.FROM: (Column.SORT_FROM, collation),
    SortKey.SIZE: (Column.SIZE, None),
    SortKey.SUBJECT: (Column.BASE_SUBJECT, collation),
    SortKey.TO: (Column.SORT_TO, collation),
}
