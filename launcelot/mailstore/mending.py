"""
Putting right single things in an account's mail file, for :mod:`launcelot.mailstore.checking`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from launcelot.core.errors import NotFound
from launcelot.mailstore import bodies, sqlrows
from launcelot.mailstore.findings import Finding
from launcelot.mailstore.flags import Flags, Keywords, sort_out
from launcelot.mailstore.schema import CHUNK_BITS, MIGRATIONS
from launcelot.mailstore.sqlwriting import CONTENT_COLUMNS, Writing, content_values
from launcelot.message.analysis import Analysis

RECOVERED = "Recovered"
"""The mailbox of messages that were found without one."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.rollback()


# -- the schema ----------------------------------------------------------------------------------------------------


def pattern() -> sqlite3.Connection:
    """An empty file of today, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in MIGRATIONS:
        migration(connection)
    return connection


def schema(connection: sqlite3.Connection, mend: bool) -> list[Finding]:
    """Tables, columns and indexes that are missing, made anew where that is asked for."""
    findings = []
    right = pattern()
    for kind, name, statement in right.execute(_OBJECTS).fetchall():
        if connection.execute("SELECT 1 FROM sqlite_master WHERE type = ? AND name = ?", (kind, name)).fetchone() is None:
            if mend:
                connection.execute(statement)
            findings.append(Finding("schema", f"{kind} {name} was missing", mend))
        elif kind == "table":
            findings += _columns(connection, right, name, mend)
    for table in ("account", "upkeep"):
        if _has_table(connection, table) and connection.execute(f"SELECT 1 FROM {table}").fetchone() is None:
            if mend:
                connection.execute(f"INSERT INTO {table} VALUES ({_literals(right, table)})")
            findings.append(Finding("schema", f"the row of {table} was missing", mend))
    right.close()
    return findings


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone() is not None


def _literals(right: sqlite3.Connection, table: str) -> str:
    row = right.execute(f"SELECT * FROM {table}").fetchone()
    return ", ".join(str(int(value)) for value in row)


def _columns(connection: sqlite3.Connection, right: sqlite3.Connection, table: str, mend: bool) -> Iterator[Finding]:
    there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    for _, name, kind, needed, default, _ in right.execute(f"PRAGMA table_info({table})").fetchall():
        if name in there:
            continue
        if mend:
            empty = default if default is not None else {"INTEGER": "0", "TEXT": "''"}.get(kind, "x''")
            rest = f" NOT NULL DEFAULT {empty}" if needed else ""
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}{rest}")
        yield Finding("schema", f"column {name} of {table} was missing", mend)


# -- contents ------------------------------------------------------------------------------------------------------


def wrong_columns(connection: sqlite3.Connection, content: int, analysis: Analysis) -> list[str]:
    """Columns that do not say what the octets say."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(contents)")}
    known = [name for name in CONTENT_COLUMNS if name in there]
    row = connection.execute(f"SELECT {', '.join(known)} FROM contents WHERE number = ?", (content,)).fetchone()
    kept = dict(zip(known, row or (), strict=False))
    right = dict(zip(CONTENT_COLUMNS, content_values(analysis), strict=True))
    return [name for name in CONTENT_COLUMNS if name not in kept or kept[name] != right[name]] if row else []


def put_columns(connection: sqlite3.Connection, content: int, analysis: Analysis) -> None:
    """Have the columns say what the octets say."""
    said = ", ".join(f"{name} = ?" for name in CONTENT_COLUMNS)
    connection.execute(f"UPDATE contents SET {said} WHERE number = ?", (*content_values(analysis), content))


def octets_of(connection: sqlite3.Connection, content: int) -> bytes:
    """What there is of a content, without gaps for what is not."""
    name, folder = bodies.name_of(connection, content), bodies.folder_of(connection)
    whole = b"" if name is None or folder is None else b"".join(bodies.pieces_in(folder, name))
    rows = connection.execute(
        "SELECT CAST(octets AS BLOB) FROM chunks WHERE number BETWEEN ? AND ? ORDER BY number",
        (content << CHUNK_BITS, (content + 1 << CHUNK_BITS) - 1),
    )
    # Of a body in a file that is lost there is still the header.
    return whole or b"".join(piece for (piece,) in rows)


def drop_octets(connection: sqlite3.Connection, content: int) -> None:
    """Remove the octets of a content."""
    bodies.drop(connection, [content])


def put_octets(connection: sqlite3.Connection, content: int, octets: bytes, header_size: int) -> None:
    """Have a content these octets and their checksum."""
    drop_octets(connection, content)
    head = bodies.head_of(octets, header_size)
    checksum = bodies.put(connection, content, len(octets), bodies.pieces_of(octets), head)
    connection.execute("UPDATE contents SET checksum = ? WHERE number = ?", (checksum, content))


def has_head(connection: sqlite3.Connection, content: int, octets: bytes, header_size: int) -> bool:
    """Whether the header that stands beside a file is that of the octets in the file."""
    if bodies.name_of(connection, content) is None:
        return True
    first = content << CHUNK_BITS
    rows = connection.execute(
        "SELECT octets FROM chunks WHERE number BETWEEN ? AND ?", (first, (content + 1 << CHUNK_BITS) - 1)
    ).fetchall()
    head = bodies.head_of(octets, header_size)
    return rows == ([(head,)] if head else [])


# -- messages ------------------------------------------------------------------------------------------------------


def flags_in(connection: sqlite3.Connection, mailbox: int, mask: int) -> Flags:
    """The flags of a mask."""
    return sort_out(sqlrows.keywords_of(connection, mailbox).flags(mask))


def flags_of(names: Mapping[int, str], mask: int) -> Flags:
    """The flags of a mask where keywords have these names."""
    return sort_out(Keywords(names).flags(mask))


def recovered(writing: Writing) -> int:
    """The number of the mailbox for what was found without one, made where it is not there."""
    try:
        return sqlrows.number_named(writing.connection, RECOVERED)
    except NotFound:
        return writing.add_mailbox(RECOVERED, "")


_OBJECTS = """
    SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC, rowid
"""
