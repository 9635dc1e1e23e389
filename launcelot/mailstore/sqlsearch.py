"""
Searching in an account's mail file.

What columns can answer is said in SQL, every value as a parameter; what needs decoded text is looked at message by message
(:mod:`launcelot.mailstore.search`) among those that columns and the text index let through.  Very large queries are not put
into SQL, which bounds the depth of its expressions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from sqlite3 import Connection, DatabaseError
from typing import Any

from twisted.logger import Logger

from launcelot.mailstore import digests, search
from launcelot.mailstore.dates import moment_of, seconds_of
from launcelot.mailstore.digests import LAST_BLOCK
from launcelot.mailstore.flags import Keywords
from launcelot.mailstore.query import (
    All,
    And,
    Arrived,
    Compare,
    Contains,
    EmailId,
    Field,
    Flagged,
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
from launcelot.mailstore.sqlrows import content_octets, fits, keywords_of, listed, numbers_of, text
from launcelot.mailstore.sqlstates import is_of_states, matching, states_of_uids
from launcelot.mailstore.stateblocks import first_of
from launcelot.mailstore.textindex import exists, has_everything, narrowed, proof_of
from launcelot.message.casemap import fold

log = Logger(namespace="launcelot.mailstore")

SLICE = 100
"""Messages whose text is looked at in one go of a reader thread."""
MAX_TERMS = 200
"""Terms of one SQL condition."""
MAX_LEVELS = 10
"""Terms inside each other in one SQL condition; SQLite's parser has room for about a hundred parentheses."""

FEW = 500
"""UIDs that are said in SQL; more are looked for in what SQL gives."""

Condition = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is known of a search before any message is looked at.

    :ivar rest: what is still to be asked of each candidate with :func:`among`; None if nothing is.
    :ivar known: UIDs that match, ascending.
    :ivar candidates: UIDs that may match, ascending.
    """

    rest: Query | None
    known: Sequence[int]
    candidates: Sequence[int]


def begin(connection: Connection, mailbox: int, query: Query) -> Plan:
    """
    Ask the columns and the text index, or the columns alone where the index cannot be read.

    :raises Gone: the mailbox has been deleted.
    """
    numbers_of(connection, mailbox)
    if exists(connection):
        try:
            return _begin(connection, mailbox, query, True)
        except DatabaseError as error:
            log.error("the text index cannot be read, launcelot fsck --reindex mends it: {error}", error=str(error))
    return _begin(connection, mailbox, query, False)


def _begin(connection: Connection, mailbox: int, query: Query, indexed: bool) -> Plan:
    marks = Marks(connection, mailbox, keywords_of(connection, mailbox))
    parts = query.queries if isinstance(query, And) else (query,)
    said: list[Condition] = []
    rest: list[Query] = []
    proofs: list[Condition | None] = []
    marked: list[Query] = []
    terms = 0
    sayer = (lambda inner: condition_of(inner, marks)) if indexed else None
    whole = indexed and has_everything(connection)
    for part in parts:
        terms += _terms(part)
        sayable = terms <= MAX_TERMS and _levels(part) <= MAX_LEVELS
        if sayable and is_of_states(part) and not isinstance(part, All):
            marked.append(part)
            continue
        condition = condition_of(part, marks) if sayable else None
        if condition is None:
            rest.append(part)
            condition = narrowed(part, sayer, whole) if sayable and sayer else None
            proofs.append(None if condition is None else proof_of(part, whole))
        if condition is not None:
            said.append(condition)
    chosen = marks.uids(And(tuple(marked))) if marked else None
    if chosen is not None and not said and not rest:
        return Plan(None, chosen, [])
    if chosen is not None and len(chosen) <= FEW:
        said.append((_IN, [listed(chosen)]))
    proof, proving = _proof(proofs)
    where = " AND ".join(["m.mailbox = ?", *(statement for statement, _ in said)])
    values = [mailbox, *(value for _, some in said for value in some)]
    join = " JOIN contents AS c ON c.number = m.content" if "c." in where else ""
    wanted = set(chosen) if chosen is not None and len(chosen) > FEW else None
    if proof == "1":
        # Nothing is asked of each message: all in one value, which costs less than a row for each.
        listing = f"SELECT json_group_array(m.uid) FROM messages AS m{join} WHERE {where}"
        uids: list[int] = sorted(json.loads(connection.execute(listing, values).fetchone()[0]))
        return Plan(None, uids if wanted is None else [uid for uid in uids if uid in wanted], [])
    statement = f"SELECT m.uid, {proof} FROM messages AS m{join} WHERE {where} ORDER BY m.uid"
    rows: Iterable[tuple[int, int]] = connection.execute(statement, [*proving, *values])
    if wanted is not None:
        rows = [row for row in rows if row[0] in wanted]
    known: list[int] = []
    open_: list[int] = []
    for uid, proved in rows:
        (known if proved else open_).append(uid)
    return Plan(And(tuple(rest)) if rest else None, known, open_)


@dataclass(frozen=True, slots=True)
class Marks:
    """Flags and MODSEQs of a mailbox, to be asked."""

    connection: Connection
    mailbox: int
    keywords: Keywords

    def uids(self, query: Query) -> Sequence[int]:
        """UIDs of the messages that fulfil a query that asks for nothing else, ascending."""
        return matching(self.connection, self.mailbox, query, self.keywords)


def _proof(proofs: Sequence[Condition | None]) -> Condition:
    """What proves that a message matches without looking at it: nothing is to be asked, or each part has its proof."""
    if len(proofs) > MAX_LEVELS or None in proofs:
        return "0", []
    said = [proof for proof in proofs if proof is not None]
    return " AND ".join(statement for statement, _ in said) or "1", [value for _, some in said for value in some]


def among(connection: Connection, mailbox: int, query: Query, uids: Sequence[int]) -> Sequence[int]:
    """Those of some messages that match; one that has gone does not."""
    keywords = keywords_of(connection, mailbox)
    rows = connection.execute(_SUBJECTS, (mailbox, listed(uids))).fetchall()
    states = states_of_uids(connection, mailbox, sorted(uids))
    known = dict(zip(states.uids, zip(states.modseqs, states.masks, strict=True), strict=True))
    return [
        row[0]
        for row in rows
        if row[0] in known and search.matches(query, SqliteSubject(connection, keywords, row, *known[row[0]]))
    ]


class SqliteSubject:
    """A message that is looked at; see :class:`launcelot.mailstore.search.Subject`."""

    def __init__(self, connection: Connection, keywords: Keywords, row: Sequence[Any], modseq: int, mask: int) -> None:
        self._connection = connection
        self._keywords = keywords
        self.uid, self.size, internal_day, sent_day, self._content, *others = row
        self._internal, self._saved, self.email_id, self.thread_id, *self._places = others
        self.modseq = modseq
        self._mask = mask
        self.internal_day = date.fromordinal(internal_day)
        self.sent_day = None if sent_day is None else date.fromordinal(sent_day)

    @property
    def arrived(self) -> datetime:
        """The moment it arrived."""
        return moment_of(self._internal)

    @property
    def saved_day(self) -> date:
        """The day it came into the mailbox."""
        return moment_of(self._saved).date()

    @cached_property
    def text(self) -> search.Text:
        """Its octets, decoded."""
        return search.Text(
            lambda: content_octets(self._connection, self._content, self.size, 0, min(self.size, search.MAX_OCTETS))
        )

    def has(self, flag: str) -> bool:
        """Whether it has a flag."""
        return bool(self._mask & self._keywords.bit(flag))

    def place(self, field: Field) -> str:
        """The folded text of a header field."""
        return search.place(field, *self._places)


def condition_of(query: Query, marks: Marks) -> Condition | None:
    """The query in SQL over ``messages AS m`` and ``contents AS c``; None if it needs text."""
    say = _SAYERS.get(type(query))
    return None if say is None else say(query, marks)


def _terms(query: Query) -> int:
    if isinstance(query, Uids):
        return 1 + len(query.ranges)
    return 1 + sum(_terms(inner) for inner in search.children(query))


def _levels(query: Query) -> int:
    return 1 + max((_levels(inner) for inner in search.children(query)), default=0)


def _marked(query: Flagged | ModSeq, marks: Marks) -> Condition:
    return _IN, [listed(marks.uids(query))]


def _uids(query: Uids, marks: Marks) -> Condition:
    ranges = " OR ".join(["m.uid BETWEEN ? AND ?"] * len(query.ranges)) or "0"
    return f"({ranges})", [fits(end) for pair in query.ranges for end in pair]


def _contains(query: Contains, marks: Marks) -> Condition | None:
    column = _COLUMNS.get(query.field)
    if column is None:
        return None
    return f"instr(c.{column}, ?) > 0", [text(fold(query.text))]


def plain(query: Query) -> tuple[str, str] | None:
    """The column of ``contents`` and the text it must contain, of a query that asks nothing else."""
    if not isinstance(query, Contains):
        return None
    column = _COLUMNS.get(query.field)
    return None if column is None else (column, text(fold(query.text)))


def containing(connection: Connection, mailbox: int, column: str, wanted: str) -> list[int] | None:
    """
    UIDs of messages of which a column contains a text, ascending: from digests, and where there are none from rows.

    :returns: None if there are no digests at all, or the text is such that they cannot tell.
    :raises Gone: the mailbox has been deleted.
    """
    numbers_of(connection, mailbox)
    if "\0" in wanted or not digests.exists(connection):
        return None
    found, seen = digests.containing(connection, mailbox, column, wanted)
    low = 1
    for block in [*seen, LAST_BLOCK + 1]:
        if low < first_of(block):
            rows = connection.execute(_CONTAINING.format(column), (mailbox, low, first_of(block) - 1, wanted))
            found += [uid for (uid,) in rows]
        low = first_of(block + 1)
    return sorted(found)


def _saved(query: SavedDate, marks: Marks) -> Condition:
    start = (query.day.toordinal() - _EPOCH_DAY) * 86_400
    if query.compare is Compare.EQUAL:
        return "m.saved BETWEEN ? AND ?", [start, start + 86_399]
    return f"m.saved {_SIGNS[query.compare]} ?", [start + 86_399 if query.compare is Compare.ABOVE else start]


def _not(query: Not, marks: Marks) -> Condition | None:
    condition = condition_of(query.query, marks)
    return None if condition is None else (f"NOT ({condition[0]})", condition[1])


def _joined(queries: Sequence[Query], marks: Marks, word: str, empty: str) -> Condition | None:
    statements: list[str] = []
    values: list[Any] = []
    for query in queries:
        condition = condition_of(query, marks)
        if condition is None:
            return None
        statements.append(f"({condition[0]})")
        values += condition[1]
    return "(" + (word.join(statements) or empty) + ")", values


_IN = "m.uid IN (SELECT value FROM json_each(?))"
_CONTAINING = """
    SELECT m.uid FROM messages AS m JOIN contents AS c ON c.number = m.content
    WHERE m.mailbox = ? AND m.uid BETWEEN ? AND ? AND instr(c.{}, ?) > 0
"""
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SIGNS = {Compare.BELOW: "<", Compare.EQUAL: "=", Compare.FROM: ">=", Compare.ABOVE: ">"}
_COLUMNS = {
    Field.SUBJECT: "subject",
    Field.FROM: "from_key",
    Field.TO: "to_key",
    Field.CC: "cc_key",
    Field.BCC: "bcc_key",
}
_SAYERS: dict[type, Callable[[Any, Marks], Condition | None]] = {
    All: lambda query, marks: ("1", []),
    Flagged: _marked,
    Uids: _uids,
    Size: lambda query, marks: (f"m.size {_SIGNS[query.compare]} ?", [fits(query.octets)]),
    InternalDate: lambda query, marks: (f"m.internal_day {_SIGNS[query.compare]} ?", [query.day.toordinal()]),
    Arrived: lambda query, marks: (f"m.internal {_SIGNS[query.compare]} ?", [seconds_of(query.moment)]),
    SavedDate: _saved,
    EmailId: lambda query, marks: ("c.email_id = ?", [query.id]),
    ThreadId: lambda query, marks: ("c.thread_id IS ?", [query.id]),
    SentDate: lambda query, marks: (
        f"(c.sent_day IS NOT NULL AND c.sent_day {_SIGNS[query.compare]} ?)",
        [query.day.toordinal()],
    ),
    Contains: _contains,
    ModSeq: _marked,
    Not: _not,
    And: lambda query, marks: _joined(query.queries, marks, " AND ", "1"),
    Or: lambda query, marks: _joined(query.queries, marks, " OR ", "0"),
}
_SUBJECTS = """
    SELECT m.uid, m.size, m.internal_day, c.sent_day, m.content, m.internal, m.saved, c.email_id, c.thread_id,
        c.subject, c.from_key, c.to_key, c.cc_key, c.bcc_key
    FROM messages AS m JOIN contents AS c ON c.number = m.content
    WHERE m.mailbox = ? AND m.uid IN (SELECT value FROM json_each(?))
    ORDER BY m.uid
"""
