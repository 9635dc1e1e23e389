"""Reading :class:`~launcelot.mailstore.sheets.Sheet` from an account's mail file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import eq, itemgetter, lt
from sqlite3 import Connection
from typing import Any

from launcelot.mailstore.schema import CHUNK_BITS
from launcelot.mailstore.sheets import WHOLE, Column, Sheet
from launcelot.mailstore.sqlrows import fits, keywords_of, listed, numbers_of
from launcelot.mailstore.sqlstates import Columns, states_of_uids

CHANGING = frozenset({Column.FLAGS, Column.MODSEQ})
"""Columns of what changes of a message."""
SPARE = 100
"""Rows between the first and the last message asked for that are read though nobody wants them."""


def sheet_of(connection: Connection, mailbox: int, uids: Sequence[int], columns: Sequence[Column]) -> Sheet:
    """
    Some columns of those messages among ``uids`` that are there.

    :param uids: ascending, each once, and not empty.
    :raises Gone: the mailbox has been deleted.
    """
    numbers_of(connection, mailbox)
    flags = keywords_of(connection, mailbox).flags
    changing = CHANGING.intersection(columns)
    if len(changing) == len(columns):
        return Sheet(_zipped(states_of_uids(connection, mailbox, uids), columns), flags)
    rows, _ = neighbours(connection, _selected(columns), mailbox, uids)
    if changing and rows:
        rows = _with_states(rows, states_of_uids(connection, mailbox, [row[0] for row in rows]), columns)
    return Sheet(rows, flags)


def sheet_of_one(connection: Connection, mailbox: int, uid: int, columns: tuple[Column, ...]) -> Sheet | None:
    """
    Some columns of one message, by one statement, which needs no transaction around it.

    :param columns: none of :data:`CHANGING`, which are in another table.
    :returns: None if the message is not there.
    """
    row = connection.execute(_one(columns), (mailbox, uid)).fetchone()
    return None if row is None else Sheet((row,), _no_flags)


def _no_flags(key: object) -> frozenset[str]:
    return frozenset()


@lru_cache(64)
def _one(columns: tuple[Column, ...]) -> str:
    return f"{_selected(columns)} AND m.uid = ?"


def _selected(columns: Sequence[Column]) -> str:
    names = ", ".join(["m.uid", *(_EXPRESSIONS[column] for column in columns)])
    join = " JOIN contents AS c ON c.number = m.content" if " c." in names else ""
    return f"SELECT {names} FROM messages AS m{join} WHERE m.mailbox = ?"


def _zipped(states: Columns, columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """Rows of nothing but what changes."""
    found = {Column.FLAGS: states.masks, Column.MODSEQ: states.modseqs}
    return list(zip(states.uids, *[found[column] for column in columns], strict=True))


def _with_states(rows: list[tuple[Any, ...]], states: Columns, columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """Rows with what changes in its place."""
    if len(states.uids) != len(rows):
        there = set(states.uids)
        rows = [row for row in rows if row[0] in there]
    found: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, column in enumerate(columns, 1):
        if column is Column.FLAGS:
            found[place] = states.masks
        elif column is Column.MODSEQ:
            found[place] = states.modseqs
    return list(zip(*found, strict=True))


def neighbours(
    connection: Connection, begin: str, mailbox: int, uids: Sequence[int]
) -> tuple[list[tuple[Any, ...]], bool]:
    """
    Rows of those messages among ``uids`` that are there.

    Nearly always these are neighbours, so they are read as one range; from a range full of others they are read one by one.

    :param begin: a SELECT from ``messages AS m`` whose first column is the UID and whose condition ends with the mailbox.
    :param uids: ascending.
    :returns: the rows, ascending, and whether they are all that lie between the first and the last.
    """
    if not uids:
        return [], True
    most = 2 * len(uids) + SPARE
    rows = connection.execute(
        f"{begin} AND m.uid BETWEEN ? AND ? ORDER BY m.uid LIMIT ?", (mailbox, fits(uids[0]), fits(uids[-1]), most)
    ).fetchall()
    if len(rows) == most:
        one_by_one = f"{begin} AND m.uid IN (SELECT value FROM json_each(?)) ORDER BY m.uid"
        return connection.execute(one_by_one, (mailbox, listed(uids))).fetchall(), False
    if len(rows) == len(uids) and all(map(eq, map(itemgetter(0), rows), uids)):
        return rows, True
    wanted = set(uids)
    found = [row for row in rows if row[0] in wanted]
    return found, len(found) == len(rows)


def ascending(uids: Iterable[int]) -> Sequence[int]:
    """Each UID once, in order; as they are if they come like that."""
    given = uids if isinstance(uids, Sequence | array) else list(uids)
    return given if all(map(lt, given, islice(given, 1, None))) else sorted(set(given))


_EXPRESSIONS: Mapping[Column, str] = {
    # Their places are filled from ``states``.
    Column.MODSEQ: "0",
    Column.FLAGS: "0",
    Column.SIZE: "m.size",
    Column.ARRIVED: "m.internal",
    Column.ZONE: "m.internal_zone",
    Column.SAVED: "m.saved",
    Column.EMAIL_ID: "c.email_id",
    Column.ENVELOPE: "c.envelope",
    Column.BODY: "c.body",
    Column.BODY_STRUCTURE: "c.body_structure",
    Column.HEADER_SIZE: "c.header_size",
    # The only chunk of a message that has no more; an empty one has none.
    Column.OCTETS: f"""CASE m.size WHEN 0 THEN x'' ELSE (
        SELECT octets FROM chunks WHERE number = m.content << {CHUNK_BITS} AND m.size <= {WHOLE}) END""",
}
