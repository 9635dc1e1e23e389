"""
Whether a message matches a :data:`~launcelot.mailstore.query.Query`, for the memory store and for what SQL cannot say.

Strings are folded with :func:`launcelot.message.casemap.fold` on both sides.  Text is asked of the message only when a query
gets that far, so that cheap conditions spare it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Protocol

from launcelot.core.errors import Invalid
from launcelot.mailstore.query import (
    All,
    And,
    Arrived,
    Compare,
    Contains,
    EmailId,
    Field,
    Flagged,
    Header,
    InternalDate,
    ModSeq,
    Not,
    Or,
    Query,
    SavedDate,
    SentDate,
    Size,
    ThreadId,
    Uids,
)
from launcelot.message.analysis import body_text, header_text
from launcelot.message.casemap import fold
from launcelot.message.headers import Buffer, find_header_end
from launcelot.message.structure import Part, parse

MAX_DEPTH = 100
"""Levels of a query inside each other."""
MAX_OCTETS = 16_777_216
"""Octets of one message that are searched; text parts that begin behind them are not found."""


class Subject(Protocol):
    """A message that is looked at; its attributes may be computed when they are asked for."""

    @property
    def uid(self) -> int: ...
    @property
    def modseq(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def internal_day(self) -> date: ...
    @property
    def arrived(self) -> datetime: ...
    @property
    def saved_day(self) -> date: ...
    @property
    def email_id(self) -> str: ...
    @property
    def thread_id(self) -> str | None: ...
    @property
    def sent_day(self) -> date | None: ...
    @property
    def text(self) -> Text:
        """Its octets, decoded."""

    def has(self, flag: str) -> bool:
        """Whether it has a flag, without regard to case."""

    def place(self, field: Field) -> str:
        """The folded text of a well-known header field, empty without it."""


class Text:
    """
    The decoded text of a message, each piece when it is asked for first.

    :param octets: gives the whole message.
    :param limit: characters of the bodies.
    """

    def __init__(self, octets: Callable[[], Buffer], limit: int = MAX_OCTETS) -> None:
        self._octets = octets
        self._limit = limit
        self._buffer: Buffer = b""
        self._part: Part | None = None
        self._header: str | None = None
        self._body: str | None = None
        self._below: str | None = None

    def _read(self) -> None:
        if not self._buffer:
            self._buffer = self._octets()[:MAX_OCTETS]

    def _parsed(self) -> Part:
        if self._part is None:
            self._read()
            self._part = parse(self._buffer)
        return self._part

    @property
    def header(self) -> str:
        """The header, folded, a field on each line."""
        if self._header is None:
            # Found without looking at the parts, which takes most of the time.
            self._read()
            top = Part(0, find_header_end(self._buffer), {})
            self._header = fold(header_text(self._buffer, top))
        return self._header

    @property
    def body(self) -> str:
        """The text of all parts without anybody's header, folded; parts are kept apart.  RFC 9051 section 6.4.4 BODY."""
        if self._body is None:
            self._body = self._joined(False)
        return self._body

    @property
    def below(self) -> str:
        """All text below the header, the headers of parts and embedded messages with it, folded."""
        if self._below is None:
            self._below = self._joined(True)
        return self._below

    def _joined(self, headers: bool) -> str:
        part = self._parsed()
        return fold("\n".join(body_text(self._buffer, part, self._limit, headers)))

    def has_field(self, name: str, text: str) -> bool:
        """Whether there is a field of that name whose value contains ``text``; both are folded."""
        for line in self.header.split("\n"):
            key, colon, value = line.partition(":")
            if colon and key.rstrip() == name and text in value:
                return True
        return False


def check(query: Query) -> None:
    """
    Refuse what is too deep to be looked at.

    :raises Invalid: it has more than :data:`MAX_DEPTH` levels.
    """
    level: list[Query] = [query]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in children(outer)]
        if not level:
            return
    raise Invalid("the search is nested too deeply")


def asks_for_threads(query: Query) -> bool:
    """Whether the threads of messages have to be known for it."""
    level: list[Query] = [query]
    while level:
        if any(isinstance(one, ThreadId) for one in level):
            return True
        level = [inner for outer in level for inner in children(outer)]
    return False


def children(query: Query) -> tuple[Query, ...]:
    """The queries directly inside a query."""
    if isinstance(query, Not):
        return (query.query,)
    if isinstance(query, And | Or):
        return query.queries
    return ()


def compare(value: Any, how: Compare, limit: Any) -> bool:
    """Whether two numbers or two days are as asked for."""
    if how is Compare.BELOW:
        return bool(value < limit)
    if how is Compare.EQUAL:
        return bool(value == limit)
    if how is Compare.FROM:
        return bool(value >= limit)
    return bool(value > limit)


def matches(query: Query, message: Subject) -> bool:
    """Whether a message matches; the query has passed :func:`check`."""
    return _MATCHERS[type(query)](query, message)


def place(field: Field, subject: str, sender: str, to: str, cc: str, bcc: str) -> str:
    """The folded text of a header field among those every store keeps; only the subject is not folded yet."""
    if field is Field.SUBJECT:
        return fold(subject)
    return {Field.FROM: sender, Field.TO: to, Field.CC: cc, Field.BCC: bcc}[field]


def _uids(query: Uids, message: Subject) -> bool:
    place = bisect_right(query.ranges, message.uid, key=lambda pair: pair[0])
    return place > 0 and message.uid <= query.ranges[place - 1][1]


def _sent(query: SentDate, message: Subject) -> bool:
    day = message.sent_day
    return day is not None and compare(day, query.compare, query.day)


def _contains(query: Contains, message: Subject) -> bool:
    text = fold(query.text)
    if query.field is Field.BODY:
        return text in message.text.body
    if query.field is Field.TEXT:
        return text in message.text.header or text in message.text.below
    return text in message.place(query.field)


_MATCHERS: dict[type, Callable[[Any, Subject], bool]] = {
    All: lambda query, message: True,
    Flagged: lambda query, message: message.has(query.flag),
    Uids: _uids,
    Size: lambda query, message: compare(message.size, query.compare, query.octets),
    InternalDate: lambda query, message: compare(message.internal_day, query.compare, query.day),
    Arrived: lambda query, message: compare(message.arrived, query.compare, query.moment),
    SavedDate: lambda query, message: compare(message.saved_day, query.compare, query.day),
    EmailId: lambda query, message: message.email_id == query.id,
    ThreadId: lambda query, message: message.thread_id == query.id,
    SentDate: _sent,
    Contains: _contains,
    Header: lambda query, message: message.text.has_field(fold(query.name), fold(query.text)),
    ModSeq: lambda query, message: message.modseq >= query.lowest,
    Not: lambda query, message: not matches(query.query, message),
    And: lambda query, message: all(matches(inner, message) for inner in query.queries),
    Or: lambda query, message: any(matches(inner, message) for inner in query.queries),
}
