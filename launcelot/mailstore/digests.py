"""
What never changes of messages, column by column: an index of an account's mail file for those who ask about thousands.

A row of ``messages`` and one of ``contents`` cost more to be handed out one by one than what is in them.  A digest is one
column of a whole block of a mailbox (the UIDs of one row of ``states``) in one row: numbers of equal width, or texts with a
NUL between them.  There is one of a block only once no further message can come into it, and mailboxes of less than
:data:`LARGE` messages have none.  They are made in quiet moments; what has none is read from its rows.

So answers are the same with and without them, as long as a digest says what the rows say.  Triggers in the file see to it,
whoever changes it: whatever is done to a message that has been digested removes the digest of its block, in the same
transaction.  The table comes and goes like the text index, outside of the schema's steps, and is asked only while its triggers
are there.
"""

from __future__ import annotations

import sqlite3
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress
from typing import Any

from launcelot.mailstore.fieldcolumns import assembled, divided
from launcelot.mailstore.schema import CHUNK_BITS
from launcelot.mailstore.sheets import COMMON_FIELDS, WHOLE, Asked, Column, Fields
from launcelot.mailstore.stateblocks import SPAN, first_of, number_of

LARGE = 1_000
"""Messages of a mailbox from which on it has digests."""
SLICE_BLOCKS = 4
"""Blocks digested in one transaction; they take some ten milliseconds."""
LONGEST = 1 << 20
"""Octets of the longest digest; a longer one is not made."""
FEW = 16
"""Messages of a block that are read from their rows, when they are all of it that is asked for."""

LAST_BLOCK = number_of(0xFFFF_FFFF)
UIDS = "uids"
"""The digest that each block has that has any."""
UNFIT = "unfit"
"""In its place, where a block cannot be digested."""
NUMBERS: Mapping[str, tuple[str, str]] = {
    UIDS: ("m.uid", "I"),
    "size": ("m.size", "q"),
    "arrived": ("m.internal", "q"),
    "zone": ("m.internal_zone", "h"),
    "saved": ("m.saved", "q"),
    "header_size": ("c.header_size", "q"),
    "date": ("coalesce(c.sent, m.internal)", "q"),
}
"""What is numbers: how SQL says it, and its form in :mod:`struct`."""
OCTETS: Mapping[str, str] = {
    "email_id": "CAST(c.email_id AS BLOB)",
    "envelope": "c.envelope",
    "body": "c.body",
    "body_structure": "c.body_structure",
    "subject": "CAST(c.subject AS BLOB)",
    "from_key": "CAST(c.from_key AS BLOB)",
    "to_key": "CAST(c.to_key AS BLOB)",
    "cc_key": "CAST(c.cc_key AS BLOB)",
    "bcc_key": "CAST(c.bcc_key AS BLOB)",
    "base_subject": "CAST(c.base_subject AS BLOB)",
    "sort_from": "CAST(c.sort_from AS BLOB)",
    "sort_to": "CAST(c.sort_to AS BLOB)",
    "sort_cc": "CAST(c.sort_cc AS BLOB)",
    "message_id": "CAST(coalesce(c.message_id, '') AS BLOB)",
    "references_to": "CAST(c.references_to AS BLOB)",
}
"""What is octets or text in UTF-8."""
OF_COLUMN: Mapping[Column, str] = {
    Column.SIZE: "size",
    Column.ARRIVED: "arrived",
    Column.ZONE: "zone",
    Column.SAVED: "saved",
    Column.HEADER_SIZE: "header_size",
    Column.EMAIL_ID: "email_id",
    Column.ENVELOPE: "envelope",
    Column.BODY: "body",
    Column.BODY_STRUCTURE: "body_structure",
    Column.DATE: "date",
    Column.SUBJECT: "subject",
    Column.BASE_SUBJECT: "base_subject",
    Column.SORT_FROM: "sort_from",
    Column.SORT_TO: "sort_to",
    Column.SORT_CC: "sort_cc",
    Column.MESSAGE_ID: "message_id",
    Column.REFERENCES: "references_to",
}
FIELDS = "fields"
"""The digest of :data:`COMMON_FIELDS`; see :mod:`~launcelot.mailstore.fieldcolumns`."""
TEXTS = frozenset(("email_id", "subject", "base_subject", "sort_from", "sort_to", "sort_cc", "message_id", "references_to"))
"""Those of :data:`OF_COLUMN` that are text."""

Values = Sequence[Any]


# -- asking --------------------------------------------------------------------------------------------------------


def exists(connection: sqlite3.Connection) -> bool:
    """Whether there are any that can be believed: table and triggers are just as they would be made today."""
    found: int = connection.execute(_MADE, _CREATE).fetchone()[0]
    return found == len(_OBJECTS)


def can_have(column: Asked) -> bool:
    """Whether there are digests of a column."""
    return column.names <= COMMON_FIELDS if isinstance(column, Fields) else column in OF_COLUMN


def uids_between(connection: sqlite3.Connection, mailbox: int, low: int, high: int) -> dict[int, Sequence[int]]:
    """UIDs of digested blocks that have some from ``low`` to ``high``, by block, ascending."""
    rows = _octets(connection, mailbox, number_of(low), number_of(high), UIDS)
    return {block: _numbers("I", octets) for block, octets in rows}


def columns_of(
    connection: sqlite3.Connection, mailbox: int, uids: Sequence[int], columns: Sequence[Asked]
) -> Iterator[tuple[Sequence[int], Sequence[Values] | None, int]]:
    """
    Some columns of messages.

    :param uids: ascending.
    :param columns: that :func:`can_have` digests.
    :returns: pieces of ``uids`` in their order, each with the columns of those messages of it that are there, their UIDs first,
        and how many octets have been read for that; None and 0 where there is no digest.
    """
    known = uids_between(connection, mailbox, uids[0], uids[-1])
    open_from = at = 0
    for block, there in known.items():
        start = bisect_left(uids, first_of(block), at)
        at = bisect_left(uids, first_of(block + 1), start)
        wanted = uids[start:at]
        found = _of_block(connection, mailbox, block, there, wanted, columns) if len(wanted) > min(FEW, len(there) // 2) else None
        if found is None:
            continue
        if open_from < start:
            yield uids[open_from:start], None, 0
        yield wanted, *found
        open_from = at
    if open_from < len(uids):
        yield uids[open_from:], None, 0


def _of_block(
    connection: sqlite3.Connection,
    mailbox: int,
    block: int,
    there: Sequence[int],
    wanted: Sequence[int],
    columns: Sequence[Asked],
) -> tuple[Sequence[Values], int] | None:
    names = [FIELDS if isinstance(column, Fields) else OF_COLUMN[column] for column in columns]
    rows = connection.execute(_NAMED.format(", ".join("?" * len(names))), (mailbox, block, *names))
    kept = dict(rows)
    octets = sum(map(len, kept.values()))
    found: list[Values] = [there]
    for name, column in zip(names, columns, strict=True):
        values: Values = ()
        if name in kept:
            fields = column.names if isinstance(column, Fields) else None
            values = values_of(name, kept[name]) if fields is None else assembled(kept[name], fields, len(there))
        if len(values) != len(there):
            return None
        found.append(values)
    if len(wanted) == len(there) and tuple(wanted) == tuple(there):
        return found, octets
    asked = set(wanted)
    chosen = [uid in asked for uid in there]
    return [list(compress(values, chosen)) for values in found], octets


def containing(
    connection: sqlite3.Connection, mailbox: int, name: str, wanted: str
) -> tuple[list[int], list[int]]:
    """
    Messages of which a text contains another.

    :param name: of :data:`OCTETS`, of one that is text.
    :param wanted: without NUL.
    :returns: their UIDs, ascending, and the blocks that were looked through.
    """
    known = {block: _numbers("I", octets) for block, octets in _octets(connection, mailbox, 0, LAST_BLOCK, UIDS)}
    found: list[int] = []
    seen: list[int] = []
    for block, octets in _octets(connection, mailbox, 0, LAST_BLOCK, name):
        uids = known.get(block, ())
        if octets.count(b"\0") != len(uids) - 1:
            continue
        seen.append(block)
        texts = octets.decode("utf-8", "replace")
        if wanted in texts:
            found += compress(uids, [wanted in one for one in texts.split("\0")])
    return found, seen


def values_of(name: str, octets: bytes) -> Values:
    """What a digest says; some other number of values than there are messages if it is damaged."""
    number = NUMBERS.get(name)
    if number is not None:
        return _numbers(number[1], octets)
    return octets.decode("utf-8", "replace").split("\0") if name in TEXTS else octets.split(b"\0")


def _octets(connection: sqlite3.Connection, mailbox: int, low: int, high: int, name: str) -> Iterator[tuple[int, bytes]]:
    return connection.execute(_BETWEEN, (mailbox, low, high, name))


def _numbers(form: str, octets: bytes) -> Sequence[int]:
    count = len(octets) // struct.calcsize(f"<{form}")
    return struct.unpack_from(f"<{count}{form}", octets)


# -- making --------------------------------------------------------------------------------------------------------


def missing(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Some mailboxes and blocks that are to be digested."""
    statement = _MISSING if exists(connection) else _MISSING.replace(_NOT_MADE, "")
    rows: list[tuple[int, int]] = connection.execute(statement, (SPAN, LARGE, SLICE_BLOCKS)).fetchall()
    return rows


def make(connection: sqlite3.Connection, blocks: Iterable[tuple[int, int]]) -> None:
    """Digest blocks, in a write transaction."""
    if not exists(connection):
        reset(connection)
        for statement in _CREATE:
            connection.execute(statement)
    for mailbox, block in blocks:
        connection.execute("DELETE FROM digests WHERE mailbox = ? AND block = ?", (mailbox, block))
        rows = [(mailbox, block, name, octets) for name, octets in digested(connection, mailbox, block).items()]
        connection.executemany("INSERT INTO digests (mailbox, block, name, octets) VALUES (?, ?, ?, ?)", rows)


def digested(connection: sqlite3.Connection, mailbox: int, block: int) -> dict[str, bytes]:
    """The digests of a block, from its rows; texts that are long or have a NUL have none, damaged rows only a mark."""
    rows = connection.execute(_ROWS, (mailbox, first_of(block), first_of(block + 1) - 1)).fetchall()
    columns: dict[str, Values] = dict(zip(_NAMES, zip(*rows, strict=True), strict=False))
    try:
        found = {name: struct.pack(f"<{len(rows)}{form}", *columns[name]) for name, (_, form) in NUMBERS.items()}
        texts = {name: b"\0".join(columns[name]) for name in OCTETS}
        fields = _fields(connection, columns["content"], columns["header_size"])
    except (KeyError, TypeError, struct.error):
        return {UNFIT: b""}
    if fields is not None and len(fields) <= LONGEST:
        found[FIELDS] = fields
    return found | {
        name: octets for name, octets in texts.items() if len(octets) <= LONGEST and octets.count(b"\0") == len(rows) - 1
    }


def _fields(connection: sqlite3.Connection, contents: Sequence[int], sizes: Sequence[int]) -> bytes | None:
    """Fields of headers that many clients ask for; None if one of the headers is very long or missing, or cannot be divided."""
    found: list[bytes] = []
    for content, size in zip(contents, sizes, strict=True):
        try:
            with connection.blobopen("chunks", "octets", content << CHUNK_BITS, readonly=True) as blob:
                header = blob.read(size) if size <= WHOLE else b""
        except sqlite3.OperationalError:
            header = b""
        if len(header) < size:
            return None
        found.append(header)
    return divided(found)


def is_right(connection: sqlite3.Connection) -> bool:
    """Whether every digest says what the rows say, and none of what they need is missing."""
    if not exists(connection):
        # Those of another version are made anew; triggers without their table would refuse every message.
        return connection.execute(_NAMED_SO, [name for _, name, _ in _OBJECTS]).fetchone()[0] in (0, len(_OBJECTS))
    there = connection.execute("SELECT DISTINCT mailbox, block FROM digests ORDER BY 1, 2").fetchall()
    for mailbox, block in there:
        rows = connection.execute("SELECT name, octets FROM digests WHERE mailbox = ? AND block = ?", (mailbox, block))
        if dict(rows.fetchall()) != digested(connection, mailbox, block):
            return False
    return True


def reset(connection: sqlite3.Connection) -> None:
    """Remove them all, in a write transaction; they are made anew."""
    for kind, name, _ in chain(_OBJECTS[1:], _OBJECTS[:1]):
        connection.execute(f"DROP {kind} IF EXISTS {name}")


_FORGET = "DELETE FROM digests WHERE mailbox = {0}.mailbox AND block = ({0}.uid - 1) / " + str(SPAN) + ";"
_LASTING = (
    "email_id, header_size, envelope, body, body_structure, subject, from_key, to_key, cc_key, bcc_key, sent, base_subject,"
    " sort_from, sort_to, sort_cc, message_id, references_to, checksum"
)
_OBJECTS = (
    (
        "TABLE",
        "digests",
        # Those of an earlier form, in which fields had one column, are made anew because this says another one.
        "CREATE TABLE digests (number INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, block INTEGER NOT NULL,"
        " name TEXT NOT NULL, octets BLOB NOT NULL, UNIQUE (mailbox, block, name) /* form 2 */)",
    ),
    (
        "TRIGGER",
        "digests_message_gone",
        f"CREATE TRIGGER digests_message_gone AFTER DELETE ON messages BEGIN {_FORGET.format('OLD')} END",
    ),
    (
        "TRIGGER",
        "digests_message_new",
        f"CREATE TRIGGER digests_message_new AFTER INSERT ON messages BEGIN {_FORGET.format('NEW')} END",
    ),
    (
        "TRIGGER",
        "digests_message_changed",
        "CREATE TRIGGER digests_message_changed AFTER UPDATE ON messages BEGIN"
        f" {_FORGET.format('OLD')} {_FORGET.format('NEW')} END",
    ),
    (
        "TRIGGER",
        "digests_content_changed",
        f"CREATE TRIGGER digests_content_changed AFTER UPDATE OF {_LASTING} ON contents BEGIN DELETE FROM digests; END",
    ),
)
_CREATE = tuple(statement for _, _, statement in _OBJECTS)
_MADE = f"SELECT count(*) FROM sqlite_master WHERE sql IN ({', '.join('?' * len(_OBJECTS))})"
_NAMED_SO = f"SELECT count(*) FROM sqlite_master WHERE name IN ({', '.join('?' * len(_OBJECTS))})"
_BETWEEN = "SELECT block, octets FROM digests WHERE mailbox = ? AND block BETWEEN ? AND ? AND name = ? ORDER BY block"
_NAMED = "SELECT name, octets FROM digests WHERE mailbox = ? AND block = ? AND name IN ({})"
_NOT_MADE = "AND NOT EXISTS (SELECT 1 FROM digests AS d WHERE d.mailbox = s.mailbox AND d.block = s.block)"
_MISSING = f"""
    SELECT s.mailbox, s.block FROM mailboxes AS b JOIN states AS s ON s.mailbox = b.number
    WHERE b.uid_next > (s.block + 1) * ? AND b.messages >= ? {_NOT_MADE}
    ORDER BY s.mailbox, s.block LIMIT ?
"""
_NAMES = (*NUMBERS, *OCTETS, "content")
_ROWS = f"""
    SELECT {", ".join([*(said for said, _ in NUMBERS.values()), *OCTETS.values(), "m.content"])}
    FROM messages AS m JOIN contents AS c ON c.number = m.content
    WHERE m.mailbox = ? AND m.uid BETWEEN ? AND ? ORDER BY m.uid
"""
