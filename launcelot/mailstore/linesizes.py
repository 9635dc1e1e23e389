"""
The sizes that messages have for POP3, where those are not the sizes they are stored with: columns for the few there are.

``contents.line_size`` is with every line end made CRLF, ``contents.ascii_size`` that of the surrogate
(:mod:`launcelot.message.surrogate`); NULL where there is nothing to tell.  An index holds just those, so that a log-in to a
mailbox without any costs one look.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from launcelot.message.structure import parse
from launcelot.message.surrogate import LineSizes, line_sizes

COLUMNS = ("line_size", "ascii_size")
WHERE = "line_size IS NOT NULL OR ascii_size IS NOT NULL"


def note_line_sizes(connection: sqlite3.Connection, chunk_bits: int) -> None:
    """
    Add the columns and fill them; part of a migration, so all or nothing.  Every octet is read once.

    :param chunk_bits: low bits of a chunk's number that count the chunks of one message.
    """
    there = {row[1] for row in connection.execute("PRAGMA table_info(contents)")}
    for column in COLUMNS:
        if column not in there:
            connection.execute(f"ALTER TABLE contents ADD COLUMN {column} INTEGER")
    connection.execute(f"CREATE INDEX IF NOT EXISTS contents_in_lines ON contents (number) WHERE {WHERE}")
    for number, octets in _messages(connection, chunk_bits):
        sizes = line_sizes(octets, parse(octets))
        if sizes != (len(octets), len(octets)):
            connection.execute(
                "UPDATE contents SET line_size = ?, ascii_size = ? WHERE number = ?",
                (*columns_of(len(octets), sizes), number),
            )


def columns_of(size: int, sizes: LineSizes) -> tuple[int | None, int | None]:
    """What the columns hold for a message."""
    return None if sizes.utf8 == size else sizes.utf8, None if sizes.ascii == sizes.utf8 else sizes.ascii


def line_sizes_of(connection: sqlite3.Connection, mailbox: int) -> Mapping[int, LineSizes]:
    """Those messages of a mailbox that are not sent as they are stored, by UID."""
    odd = connection.execute(f"SELECT number, size, line_size, ascii_size FROM contents WHERE {WHERE}").fetchall()
    found = {number: LineSizes(line or size, ascii or line or size) for number, size, line, ascii in odd}
    if not found:
        return {}
    rows = connection.execute("SELECT uid, content FROM messages WHERE mailbox = ?", (mailbox,))
    return {uid: found[content] for uid, content in rows if content in found}


def _messages(connection: sqlite3.Connection, chunk_bits: int) -> Iterator[tuple[int, bytes]]:
    for (number,) in connection.execute("SELECT number FROM contents").fetchall():
        pieces = connection.execute(
            "SELECT octets FROM chunks WHERE number BETWEEN ? AND ? ORDER BY number",
            (number << chunk_bits, (number + 1 << chunk_bits) - 1),
        )
        yield number, b"".join([piece for (piece,) in pieces])
