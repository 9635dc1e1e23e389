"""
Bringing the keys of a mail file that were folded by :meth:`str.casefold` to the folding of RFC 5051.

What is all ASCII is the same in both (:mod:`launcelot.message.casemap`); of the rest the headers are read again.  The text
index is emptied, to be made anew when the file is quiet.
"""

from __future__ import annotations

import sqlite3

from launcelot.message.analysis import Analysis, analyse
from launcelot.message.casemap import fold

KEYS = (
    "subject", "base_subject", "from_key", "to_key", "cc_key", "bcc_key", "sort_from", "sort_to", "sort_cc",
)  # fmt: skip


def refold(connection: sqlite3.Connection, chunk_bits: int) -> None:
    """
    Write the keys anew where they are not all ASCII; part of a migration, so all or nothing.

    :param chunk_bits: low bits of a chunk's number that count the chunks of one message.
    """
    foreign = " OR ".join([f"length({key}) <> length(CAST({key} AS BLOB))" for key in KEYS])
    found = connection.execute(f"SELECT number, header_size FROM contents WHERE {foreign}").fetchall()
    settings = ", ".join([f"{key} = ?" for key in KEYS])
    for number, header_size in found:
        header = _octets(connection, number << chunk_bits, header_size)
        keys = [key.encode("utf-8", "replace").decode() for key in keys_of(analyse(header))]
        connection.execute(f"UPDATE contents SET {settings} WHERE number = ?", (*keys, number))
    empty_index(connection)


def empty_index(connection: sqlite3.Connection) -> None:
    """Empty the text index in a migration, whether or not this SQLite has one."""
    connection.execute("DELETE FROM unindexed")
    connection.execute("UPDATE upkeep SET indexed_to = 0, indexed = 0, gone = 0")
    for table in ("texts", "words"):
        try:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        except sqlite3.OperationalError:
            # This SQLite has no FTS5 and cannot touch the table; it does not ask it either.
            pass


def keys_of(analysis: Analysis) -> tuple[str, ...]:
    """The values of :data:`KEYS`."""
    return (
        fold(analysis.subject),
        analysis.base_subject,
        analysis.from_key,
        analysis.to_key,
        analysis.cc_key,
        analysis.bcc_key,
        analysis.sort_from,
        analysis.sort_to,
        analysis.sort_cc,
    )


def _octets(connection: sqlite3.Connection, first: int, size: int) -> bytes:
    pieces: list[bytes] = []
    length = 0
    for (piece,) in connection.execute("SELECT octets FROM chunks WHERE number >= ? ORDER BY number", (first,)):
        pieces.append(piece)
        length += len(piece)
        if length >= size or not piece:
            break
    return b"".join(pieces)[:size]
