"""Reading :class:`~launcelot.mailstore.sheets.Sheet` from an account's mail file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import eq, itemgetter, lt
from sqlite3 import Connection
from typing import Any

from launcelot.mailstore.schema import CHUNK_BITS
from launcelot.mailstore.sheets import WHOLE, Column, Sheet
from launcelot.mailstore.sqlrows import fits, keywords_of, listed, mask_of, numbers_of

RUN = 50
"""Messages from which on flags are read as one text."""
SPARE = 100
"""Rows between the first and the last message asked for that are read though nobody wants them."""


def sheet_of(connection: Connection, mailbox: int, uids: Sequence[int], columns: Sequence[Column]) -> Sheet:
    """
    Some columns of those messages among ``uids`` that are there.

    :param uids: ascending, each once, and not empty.
    :raises Gone: the mailbox has been deleted.
    """
    numbers_of(connection, mailbox)
    keywords = keywords_of(connection, mailbox)

    def flags(key: int | str) -> frozenset[str]:
        return keywords.flags(mask_of_key(key))

    keys = flags_of_run(connection, mailbox, uids) if tuple(columns) == (Column.FLAGS,) else None
    if keys is not None:
        return Sheet(list(zip(uids, keys, strict=True)), flags)
    names = ", ".join(["m.uid", *(_EXPRESSIONS[column] for column in columns)])
    join = " JOIN contents AS c ON c.number = m.content" if " c." in names else ""
    rows, _ = neighbours(connection, f"SELECT {names} FROM messages AS m{join} WHERE m.mailbox = ?", mailbox, uids)
    return Sheet(rows, flags)


def mask_of_key(key: int | str) -> int:
    """The mask behind a value of ``FLAGS``."""
    system, _, words = str(key).partition(" ")
    return mask_of(int(system), int(words or 0))


def flags_of_run(connection: Connection, mailbox: int, uids: Sequence[int]) -> Sequence[str] | None:
    """
    Values of ``FLAGS`` for messages whose UIDs follow one another without a gap, as most do.

    They come as one text: what is in a short row costs less than that Python is handed it.

    :param uids: ascending, each once.
    :returns: None if there is a gap, if one of the messages is not there, or if they are few.
    """
    if len(uids) < RUN or uids[-1] - uids[0] != len(uids) - 1:
        return None
    found: str | None = connection.execute(_RUN, (mailbox, fits(uids[0]), fits(uids[-1]))).fetchone()[0]
    keys = found.split(",") if found else []
    return keys if len(keys) == len(uids) else None


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
    Column.MODSEQ: "m.modseq",
    # One value for both columns of flags; few messages have keywords.
    Column.FLAGS: "CASE m.keywords WHEN 0 THEN m.flags ELSE m.flags || ' ' || m.keywords END",
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

# The inner query's order is that of the primary key, in which its rows lie.
_RUN = f"""
    SELECT group_concat(key) FROM (
        SELECT {_EXPRESSIONS[Column.FLAGS]} AS key FROM messages AS m
        WHERE m.mailbox = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid)
"""
