"""Reading :class:`~launcelot.mailstore.sheets.Sheet` from an account's mail file."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, compress, islice
from math import inf
from operator import eq, itemgetter, lt
from sqlite3 import Connection
from typing import Any

from launcelot.mailstore import digests
from launcelot.mailstore.digests import Values
from launcelot.mailstore.flags import SYSTEM_MASK, Keywords
from launcelot.mailstore.schema import CHUNK_BITS
from launcelot.mailstore.sheets import WHOLE, Asked, Column, Fields, Sheet, subsets
from launcelot.mailstore.sqlrows import fetched, fits, keywords_of, listed, numbers_of
from launcelot.mailstore.sqlstates import Columns, states_of_uids
from launcelot.mailstore.stateblocks import SPAN, first_of, number_of

CHANGING = frozenset({Column.FLAGS, Column.MODSEQ})
"""Columns of what changes of a message."""
MANY = 200
"""Messages from which on digests are asked."""
SPARE = 100
"""Rows between the first and the last message asked for that are read though nobody wants them."""


def sheet_of(
    connection: Connection, mailbox: int, uids: Sequence[int], columns: Sequence[Asked], much: float = inf
) -> tuple[Sheet, int | None]:
    """
    Some columns of those messages among ``uids`` that are there, or of the first of them if that is much.

    :param uids: ascending, each once, and not empty.
    :param much: octets past which nothing more is read.
    :returns: and the UID up to which it is all there is, None if that is the last.
    :raises Gone: the mailbox has been deleted.
    """
    numbers_of(connection, mailbox)
    flags = keywords_of(connection, mailbox).flags
    lasting = [column for column in columns if column not in CHANGING]
    if not lasting:
        return Sheet(_with_states([], states_of_uids(connection, mailbox, uids), columns), flags), None
    found, upto = _lasting(connection, mailbox, uids, lasting, much)
    if len(lasting) == len(columns) or not found[0]:
        return Sheet(found if found[0] else [()] * (1 + len(columns)), flags), upto
    return Sheet(_with_states(found, states_of_uids(connection, mailbox, found[0]), columns), flags), upto


def _lasting(
    connection: Connection, mailbox: int, uids: Sequence[int], columns: Sequence[Asked], much: float
) -> tuple[Sequence[Values], int | None]:
    """Columns of what never changes, their UIDs first: from digests, and where there are none from rows."""
    def from_rows(piece: Sequence[int]) -> tuple[Sequence[Values], int | None]:
        rows, upto = neighbours(connection, _selected(columns), mailbox, piece, much)
        return _as_asked(list(zip(*rows, strict=True)), columns) if rows else [()] * (1 + len(columns)), upto

    if len(uids) < MANY or not all(map(digests.can_have, columns)) or not digests.exists(connection):
        return from_rows(uids)
    pieces: list[Sequence[Values]] = []
    upto: int | None = None
    octets = 0
    for piece, found, size in digests.columns_of(connection, mailbox, uids, columns):
        if found is None:
            found, upto = from_rows(piece)
        pieces.append(found)
        octets += size
        if upto is None and octets > much and piece[-1] != uids[-1]:
            upto = piece[-1]
        if upto is not None:
            break
    whole = pieces[0] if len(pieces) == 1 else [list(chain.from_iterable(several)) for several in zip(*pieces, strict=True)]
    return whole, upto


def sheet_of_one(connection: Connection, mailbox: int, uid: int, columns: tuple[Asked, ...]) -> Sheet | None:
    """
    Some columns of one message, by one statement, which needs no transaction around it.

    :returns: None if the message is not there, or if one statement does not tell all of it: its block has keywords, whose names
        are in another table, or MODSEQs of their own.
    """
    statement, flags, modseq = _one(columns)
    row = connection.execute(statement, (mailbox, uid)).fetchone()
    if row is None or (modseq and row[modseq] is None):
        return None
    found: list[Values] = [(value,) for value in row]
    if flags:
        octet = row[flags]
        if not octet:
            return None
        found[flags] = (octet[0] & SYSTEM_MASK,)
    return Sheet(_as_asked(found, columns), _system_flags)


@lru_cache(64)
def _one(columns: tuple[Asked, ...]) -> tuple[str, int, int]:
    """The statement, and the places of flags and of MODSEQ in its row, 0 where they are not asked for."""
    join = "" if CHANGING.isdisjoint(columns) else _STATES_OF_ONE
    flags, modseq = (1 + columns.index(one) if one in columns else 0 for one in (Column.FLAGS, Column.MODSEQ))
    return f"{_selected(columns, _OF_ONE, join)} AND m.uid = ?", flags, modseq


@lru_cache(64)
def _system_flags(mask: int) -> frozenset[str]:
    return Keywords({}).flags(mask)


def _selected(columns: Sequence[Asked], more: Mapping[Asked, str] = {}, join: str = "") -> str:
    names = ", ".join(["m.uid", *(more.get(column) or _expression(column) for column in columns)])
    join += " JOIN contents AS c ON c.number = m.content" if "c." in names else ""
    return f"SELECT {names} FROM messages AS m{join} WHERE m.mailbox = ?"


def _expression(column: Asked) -> str:
    return _HEADER if isinstance(column, Fields) else _EXPRESSIONS[column]


def _as_asked(values: Sequence[Values], columns: Sequence[Asked]) -> Sequence[Values]:
    """Columns as they were selected, UIDs first, with fields taken out of the headers that stand for them."""
    if not any(isinstance(column, Fields) for column in columns):
        return values
    found = [subsets(some, one.names) if isinstance(one, Fields) else some for some, one in zip(values[1:], columns, strict=True)]
    return [values[0], *found]


def _with_states(lasting: Sequence[Values], states: Columns, columns: Sequence[Asked]) -> Sequence[Values]:
    """All columns in their order, of messages that have a state: those that last come after their UIDs."""
    if lasting and len(states.uids) != len(lasting[0]):
        there = set(states.uids)
        chosen = [uid in there for uid in lasting[0]]
        lasting = [list(compress(values, chosen)) for values in lasting]
    changing = {Column.FLAGS: states.masks, Column.MODSEQ: states.modseqs}
    rest = iter(lasting[1:])
    return [states.uids, *(changing[column] if column in CHANGING else next(rest) for column in columns)]


def neighbours(
    connection: Connection, begin: str, mailbox: int, uids: Sequence[int], much: float = inf
) -> tuple[list[tuple[Any, ...]], int | None]:
    """
    Rows of those messages among ``uids`` that are there, or the first of them if they are large.

    Nearly always these are neighbours, so they are read as one range; from a range full of others they are read one by one.

    :param begin: a SELECT from ``messages AS m`` whose first column is the UID and whose condition ends with the mailbox.
    :param uids: ascending, and not empty.
    :param much: octets past which no further row is read.
    :returns: the rows, ascending, and the UID up to which they are all there are, None if that is the last.
    """
    most = 2 * len(uids) + SPARE
    between = f"{begin} AND m.uid BETWEEN ? AND ? ORDER BY m.uid LIMIT ?"
    rows, upto = fetched(connection.execute(between, (mailbox, fits(uids[0]), fits(uids[-1]), most)), much)
    if len(rows) == most:
        one_by_one = f"{begin} AND m.uid IN (SELECT value FROM json_each(?)) ORDER BY m.uid"
        return fetched(connection.execute(one_by_one, (mailbox, listed(uids))), much)
    if len(rows) == len(uids) and all(map(eq, map(itemgetter(0), rows), uids)):
        return rows, None
    wanted = set(uids)
    return [row for row in rows if row[0] in wanted], upto


def end_of_piece(uids: Sequence[int], start: int, size: int) -> int:
    """
    Where a piece of about so many UIDs ends; where they are long, with a block.

    :param uids: ascending.
    """
    end = min(start + size, len(uids))
    if size > SPAN and end < len(uids):
        return bisect_left(uids, first_of(number_of(uids[end])), start, end)
    return end


def ascending(uids: Iterable[int]) -> Sequence[int]:
    """Each UID once, in order; as they are if they come like that, and a range if none between them is left out."""
    if isinstance(uids, range) and uids.step == 1:
        return uids
    given = uids.tolist() if isinstance(uids, array) else uids if isinstance(uids, Sequence) else list(uids)
    if given and given[-1] - given[0] == len(given) - 1:
        whole = range(given[0], given[-1] + 1)
        if given == list(whole):
            return whole
    return given if all(map(lt, given, islice(given, 1, None))) else sorted(set(given))


_HEADER = f"""CASE c.header_size WHEN 0 THEN x'' ELSE (
    SELECT substr(octets, 1, c.header_size) FROM chunks
    WHERE number = m.content << {CHUNK_BITS} AND c.header_size <= {WHOLE}) END"""
_EXPRESSIONS: Mapping[Column, str] = {
    Column.SIZE: "m.size",
    Column.ARRIVED: "m.internal",
    Column.ZONE: "m.internal_zone",
    Column.SAVED: "m.saved",
    Column.EMAIL_ID: "c.email_id",
    Column.THREAD_ID: "c.thread_id",
    Column.ENVELOPE: "c.envelope",
    Column.BODY: "c.body",
    Column.BODY_STRUCTURE: "c.body_structure",
    Column.HEADER_SIZE: "c.header_size",
    # The only chunk of a message that has no more; an empty one has none.
    Column.OCTETS: f"""CASE m.size WHEN 0 THEN x'' ELSE (
        SELECT octets FROM chunks WHERE number = m.content << {CHUNK_BITS} AND m.size <= {WHOLE}) END""",
    Column.HEADER: _HEADER,
    Column.DATE: "coalesce(c.sent, m.internal)",
    Column.SUBJECT: "c.subject",
    Column.BASE_SUBJECT: "c.base_subject",
    Column.SORT_FROM: "c.sort_from",
    Column.SORT_TO: "c.sort_to",
    Column.SORT_CC: "c.sort_cc",
    Column.MESSAGE_ID: "coalesce(c.message_id, '')",
    Column.REFERENCES: "c.references_to",
}
_STATES_OF_ONE = f" JOIN states AS s ON s.mailbox = m.mailbox AND s.block = (m.uid - 1) / {SPAN}"
_OF_ONE: Mapping[Asked, str] = {
    Column.FLAGS: f"CASE s.keywords WHEN x'' THEN substr(s.flags, (m.uid - 1) % {SPAN} + 1, 1) END",
    Column.MODSEQ: "CASE s.modseqs WHEN x'' THEN s.modseq END",
}
