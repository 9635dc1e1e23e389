"""
Comparing: comparators, match types, and what wildcards matched.  RFC 5228 section 2.7, RFC 5229 section 3.2, RFC 5231.

``i;ascii-casemap`` is the default; ``i;octet``, ``i;unicode-casemap`` (RFC 5051) and ``i;ascii-numeric`` (RFC 4790 section 9.1)
are there, too.  Wildcards cost at most the product of the two lengths, counted by :class:`Work`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcelot.sieve.work import Work

COMPARATORS = ("i;ascii-casemap", "i;octet", "i;unicode-casemap", "i;ascii-numeric")
RELATIONS: dict[str, Callable[[int], bool]] = {
    "gt": lambda order: order > 0,
    "ge": lambda order: order >= 0,
    "lt": lambda order: order < 0,
    "le": lambda order: order <= 0,
    "eq": lambda order: order == 0,
    "ne": lambda order: order != 0,
}
"""``RELATIONAL-MATCH`` of RFC 5231 section 4.1, by how left and right compare."""
MAX_CAPTURES = 10
"""``${0}`` to ``${9}``.  RFC 5229 section 3.2."""
_UPPER = {ord(low): ord(low) - 32 for low in "abcdefghijklmnopqrstuvwxyz"}
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Matching:
    """
    How a test compares.

    :ivar kind: ``"is"``, ``"contains"``, ``"matches"``, ``"regex"``, ``"value"`` or ``"count"``.
    :ivar relation: of ``:value`` and ``:count``.
    """

    kind: str = "is"
    comparator: str = "i;ascii-casemap"
    relation: str = ""


def fold(text: str, comparator: str) -> str:
    """A text as its comparator sees it."""
    if comparator == "i;octet":
        return text
    if comparator == "i;unicode-casemap" and not text.isascii():
        # RFC 5051 section 2: every character by itself, and only to one character.
        titles = (sign.title() for sign in text)
        single = "".join(title if len(title) == 1 else sign for title, sign in zip(titles, text, strict=True))
        return unicodedata.normalize("NFKD", single)
    return text.translate(_UPPER)


def order(left: str, right: str, comparator: str) -> int:
    """Negative, zero or positive, as left sorts before, with or behind right."""
    if comparator == "i;ascii-numeric":
        return _sign(_numeric(left), _numeric(right))
    one, other = fold(left, comparator).encode("utf-8", "surrogatepass"), fold(right, comparator).encode("utf-8", "surrogatepass")
    return (one > other) - (one < other)


def _numeric(text: str) -> float:
    digits = _DIGITS.match(text)
    if digits is None:
        # What does not begin with a digit is positive infinity.  RFC 4790 section 9.1.1.
        return float("inf")
    return int(digits[0][:4_000])


def _sign(left: float, right: float) -> int:
    return (left > right) - (left < right)


def find(matching: Matching, values: Sequence[str], keys: Sequence[str], work: Work) -> tuple[str, ...] | None:
    """
    What the first match captured; None if nothing matches.

    :returns: for ``:matches`` and ``:regex`` the whole and the wildcards, else nothing.
    """
    if matching.kind == "count":
        relation = RELATIONS[matching.relation]
        number = str(len(values))
        return () if any(relation(order(number, key, matching.comparator)) for key in keys) else None
    for value in values:
        for key in keys:
            work.spend(1 + (len(value) >> 6))
            found = _match(matching, value, key, work)
            if found is not None:
                return found
    return None


def _match(matching: Matching, value: str, key: str, work: Work) -> tuple[str, ...] | None:
    comparator = matching.comparator
    if matching.kind == "matches":
        return wildcards(value, key, comparator, work)
    if matching.kind == "regex":
        return work.expression(key, comparator != "i;octet").search(value, work)
    if matching.kind == "value":
        return () if RELATIONS[matching.relation](order(value, key, comparator)) else None
    if comparator == "i;ascii-numeric":
        return () if _numeric(value) == _numeric(key) else None
    left, right = fold(value, comparator), fold(key, comparator)
    return () if (right in left if matching.kind == "contains" else left == right) else None


def wildcards(value: str, pattern: str, comparator: str, work: Work) -> tuple[str, ...] | None:
    """
    The whole value and what each wildcard stands for, each as short as possible from the left; None without a match.

    RFC 5228 section 2.7.1: ``*`` is any number of characters, ``?`` is one, a backslash takes a sign's meaning away.
    """
    parts = _pieces(fold(pattern, comparator))
    folded = fold(value, comparator)
    # Folding may change lengths for Unicode; then captures come from what was folded.
    source = value if len(folded) == len(value) else folded
    spans: list[tuple[int, int]] = []
    first, *rest = parts
    start = _at(folded, first, 0, spans)
    if start is None:
        return None
    if not rest:
        return _captured(source, spans) if start == len(folded) else None
    for piece in rest[:-1]:
        here: list[tuple[int, int]] = []
        place = _search(folded, piece, start, here, work)
        if place is None:
            return None
        spans += [(start, place), *here]
        start = place + len(piece)
    last = rest[-1]
    place = len(folded) - len(last)
    here = []
    if place < start or _at(folded, last, place, here) is None:
        return None
    return _captured(source, [*spans, (start, place), *here])


Piece = tuple[str | None, ...]
"""Characters between two asterisks; None stands for any one."""


def _pieces(pattern: str) -> tuple[Piece, ...]:
    pieces: list[list[str | None]] = [[]]
    signs = iter(pattern)
    for sign in signs:
        if sign == "*":
            pieces.append([])
        elif sign == "?":
            pieces[-1].append(None)
        else:
            pieces[-1].append(next(signs, "\\") if sign == "\\" else sign)
    return tuple(tuple(piece) for piece in pieces)


def _at(text: str, piece: Piece, start: int, spans: list[tuple[int, int]]) -> int | None:
    """Where a piece ends that stands at ``start``; its wildcards are added to ``spans``."""
    if start + len(piece) > len(text):
        return None
    found = []
    for offset, sign in enumerate(piece, start):
        if sign is None:
            found.append((offset, offset + 1))
        elif text[offset] != sign:
            return None
    spans += found
    return start + len(piece)


def _search(text: str, piece: Piece, start: int, spans: list[tuple[int, int]], work: Work) -> int | None:
    """Where a piece stands first at or behind ``start``."""
    if None not in piece:
        place = text.find("".join(sign or "" for sign in piece), start)
        return None if place < 0 else place
    for place in range(start, len(text) - len(piece) + 1):
        work.spend(1 + (len(piece) >> 4))
        if _at(text, piece, place, spans) is not None:
            return place
    return None


def _captured(source: str, spans: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    return (source, *(source[start:end] for start, end in spans))[:MAX_CAPTURES]
