"""
What can be searched for: RFC 3501 section 6.4.4 as values, free of IMAP's syntax.

Strings match as substrings without regard to case, in the decoded text (RFC 2047 words, charsets of parts).
Dates compare without time and zone, as the message states them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum


class Field(Enum):
    """Where a string is looked for."""

    FROM = "from"
    TO = "to"
    CC = "cc"
    BCC = "bcc"
    SUBJECT = "subject"
    BODY = "body"
    TEXT = "text"


class Compare(Enum):
    """How numbers and dates compare: below, equal, at or above, above."""

    BELOW = "<"
    EQUAL = "="
    FROM = ">="
    ABOVE = ">"


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """Messages with a flag or keyword."""

    flag: str


@dataclass(frozen=True, slots=True)
class Uids:
    """
    Messages with a UID in one of the ranges, each from low to high, both included.

    :ivar ranges: kept ascending and apart, whatever order they are given in, so that a UID is found by halving.
    """

    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        merged: list[tuple[int, int]] = []
        for low, high in sorted(self.ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            elif low <= high:
                merged.append((low, high))
        object.__setattr__(self, "ranges", tuple(merged))


@dataclass(frozen=True, slots=True)
class Size:
    """Messages by their size in octets."""

    compare: Compare
    octets: int


@dataclass(frozen=True, slots=True)
class InternalDate:
    """Messages by the day they arrived."""

    compare: Compare
    day: date


@dataclass(frozen=True, slots=True)
class Arrived:
    """Messages by the moment they arrived, in whole seconds."""

    compare: Compare
    moment: datetime


@dataclass(frozen=True, slots=True)
class SavedDate:
    """Messages by the day, in UTC, on which they came into the mailbox.  RFC 8514 section 4.3."""

    compare: Compare
    day: date


@dataclass(frozen=True, slots=True)
class EmailId:
    """Messages with that EMAILID."""

    id: str


@dataclass(frozen=True, slots=True)
class ThreadId:
    """Messages with that THREADID."""

    id: str


@dataclass(frozen=True, slots=True)
class SentDate:
    """Messages by the day in their Date field; without one they match no comparison."""

    compare: Compare
    day: date


@dataclass(frozen=True, slots=True)
class Contains:
    """Messages with a string in a well-known place."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """Messages with a header field that contains a string; an empty string asks only for the field."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ModSeq:
    """Messages changed at or after a MODSEQ."""

    lowest: int


@dataclass(frozen=True, slots=True)
class Not:
    """Messages that do not match."""

    query: Query


@dataclass(frozen=True, slots=True)
class And:
    """Messages that match all."""

    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Messages that match at least one."""

    queries: tuple[Query, ...]


Query = (
    All
    | Flagged
    | Uids
    | Size
    | InternalDate
    | Arrived
    | SavedDate
    | EmailId
    | ThreadId
    | SentDate
    | Contains
    | Header
    | ModSeq
    | Not
    | And
    | Or
)
