"""
Sorting messages, and the facts that sorting and threading ask of a store.  RFC 5256 section 3, RFC 5957.

Text compares by ``i;unicode-casemap`` (:mod:`launcelot.message.casemap`).  Nothing here waits; stores run it where long
work belongs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

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


class Facts(NamedTuple):
    """
    What is known of a message that is sorted; a tuple, so that rows become facts without a call each.

    :ivar arrived: seconds since 1970; likewise ``sent``, which is None without a usable Date.
    :ivar subject: decoded and folded.
    :ivar base_subject: RFC 5256 section 2.1, folded.
    :ivar sort_from: folded addr-mailbox of the first address; likewise ``sort_to`` and ``sort_cc``.
    :ivar references_to: message ids, each on a line of its own.
    :ivar envelope: ready to send; only where names are sorted by.
    """

    uid: int
    arrived: int
    sent: int | None
    size: int
    subject: str
    base_subject: str
    sort_from: str
    sort_to: str
    sort_cc: str
    message_id: str | None
    references_to: str
    envelope: bytes = b""

    @property
    def sent_date(self) -> int:
        """RFC 5256 section 2.2: the time of arrival where the message states none."""
        return self.arrived if self.sent is None else self.sent

    @property
    def references(self) -> Sequence[str]:
        """The message ids it names, the eldest first."""
        return self.references_to.split("\n") if self.references_to else ()


def sort(facts: Sequence[Facts], criteria: Sequence[Criterion]) -> list[int]:
    """
    UIDs in the order of some criteria, the first weighing most.

    :param facts: ascending by UID.
    """
    found = list(facts)
    for criterion in reversed(criteria):
        found.sort(key=_KEYS[criterion.key], reverse=criterion.reverse)
    return [one.uid for one in found]


def needs_envelope(criteria: Sequence[Criterion]) -> bool:
    """Whether one of the criteria looks at names."""
    return any(criterion.key in (SortKey.DISPLAYFROM, SortKey.DISPLAYTO) for criterion in criteria)


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


_KEYS: dict[SortKey, Callable[[Facts], Any]] = {
    SortKey.ARRIVAL: lambda one: one.arrived,
    SortKey.CC: lambda one: collation(one.sort_cc),
    SortKey.DATE: lambda one: one.sent_date,
    SortKey.DISPLAYFROM: lambda one: collation(fold(display(one.envelope, _FROM))),
    SortKey.DISPLAYTO: lambda one: collation(fold(display(one.envelope, _TO))),
    SortKey.FROM: lambda one: collation(one.sort_from),
    SortKey.SIZE: lambda one: one.size,
    SortKey.SUBJECT: lambda one: collation(one.base_subject),
    SortKey.TO: lambda one: collation(one.sort_to),
}
