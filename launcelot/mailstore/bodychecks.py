"""
Bodies whose files and rows have lost each other, for :mod:`launcelot.mailstore.checking`.

A file is known again by its length and its checksum: a mail file that was made anew may have lost the row that named it, and a
folder that somebody restored by hand may have it under another name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from launcelot.mailstore import bodies, sqlrows
from launcelot.mailstore.checksums import checksum_of
from launcelot.mailstore.findings import Finding
from launcelot.mailstore.schema import CHUNK_BITS


def found_again(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Contents without octets get those of a file that is theirs, and rows for what is not there go; in a write transaction."""
    connection.execute("DELETE FROM files WHERE content NOT IN (SELECT number FROM contents)")
    folder = bodies.folder_of(connection)
    if folder is None:
        return
    named = dict(connection.execute("SELECT content, name FROM files"))
    there = _files_in(folder)
    lost = [
        (content, size, checksum)
        for content, size, checksum in connection.execute(_LARGE, (bodies.LEAST,)).fetchall()
        if (there.get(named[content]) != size if content in named else _octets_in_chunks(connection, content) < size)
    ]
    if not lost:
        return
    spare = {name: size for name, size in there.items() if name not in set(named.values())}
    sums: dict[str, int] = {}
    for content, size, checksum in lost:
        for name in [name for name, length in spare.items() if length == size]:
            if name not in sums:
                sums[name] = checksum_of(bodies.pieces_in(folder, name))
            if sums[name] == checksum:
                del spare[name]
                connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (content, name))
                yield Finding("octets", f"content {content}: its octets are in {bodies.FOLDER}/{name}", True)
                break


def _files_in(folder: Path) -> dict[str, int]:
    """The lengths of files of bodies, by name."""
    if not folder.is_dir():
        return {}
    return {path.name: path.stat().st_size for path in folder.iterdir() if bodies.is_name(path.name)}


def _octets_in_chunks(connection: sqlite3.Connection, content: int) -> int:
    bounds = (content << CHUNK_BITS, (content + 1 << CHUNK_BITS) - 1)
    return sqlrows.fits(connection.execute(_LENGTH, bounds).fetchone()[0])


_LARGE = "SELECT number, size, checksum FROM contents WHERE size > ? AND checksum IS NOT NULL ORDER BY number"
_LENGTH = "SELECT coalesce(sum(length(octets)), 0) FROM chunks WHERE number BETWEEN ? AND ?"
