"""
A new mail file from one that SQLite cannot read all of.

Rows come from SQLite where it reads them, and from the file's pages (:mod:`launcelot.mailstore.pages`) where it does not; a
row that SQLite gave is believed before one that lay about.  What comes out has the tables of today and is still to be
checked (:mod:`launcelot.mailstore.checking`), which puts counters right, finds bodies that are not whole, and knows those in
files again whose names are lost.

The broken file stays beside the new one, with its log.  Nobody else may have the file open.
"""

from __future__ import annotations

import mmap
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from launcelot.mailstore.bodies import is_name
from launcelot.mailstore.mending import pattern
from launcelot.mailstore.pages import Found, Pages, Value
from launcelot.mailstore.schema import CHUNK, CHUNK_BITS, MIGRATIONS
from launcelot.mailstore.sqlstates import make_states
from launcelot.workers.database import connect, migrate, sync_directory

READY = ".salvaged"
"""Ends the name of a whole new file that is to take its place."""
EARLY = ("mailbox", "uid", "modseq", "flags", "keywords")
"""Columns of a message's row in which files before ``states`` have what changes of it."""
PROBES = 200_000
"""Rows of a table that are asked for one by one where reading in order fails."""
_LOGS = ("-wal", "-shm")


def finish(path: Path) -> None:
    """Put a new file, if there is a whole one, into its place; a crash may have come between making and placing it."""
    ready = path.with_name(path.name + READY)
    if not ready.exists():
        return
    for end in _LOGS:
        path.with_name(path.name + end).unlink(missing_ok=True)
    sync_directory(path.parent)
    os.replace(ready, path)
    sync_directory(path.parent)


def salvage(path: Path, stamp: str) -> tuple[Path, dict[str, int]]:
    """
    Make the file anew from what can be read of it.

    :param stamp: for the name under which the broken file is kept.
    :returns: where that is, and the rows of each table of the new one.
    :raises OSError: there is no room; the file is as it was.
    """
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for end in ("", "-wal"):
        source = path.with_name(path.name + end)
        if source.exists():
            shutil.copyfile(source, aside.with_name(aside.name + end))
            sync_file(aside.with_name(aside.name + end))
    sync_directory(path.parent)
    made = path.with_name(path.name + ".salvaging")
    made.unlink(missing_ok=True)
    os.close(os.open(made, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    counts = _fill(made, aside)
    sync_file(made)
    os.replace(made, path.with_name(path.name + READY))
    sync_directory(path.parent)
    finish(path)
    return aside, counts


def sync_file(path: Path) -> None:
    """Have a file's octets on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(made: Path, aside: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with closing(connect(made)) as target, closing(pattern()) as right, closing(_Source(aside)) as source:
        migrate(target, MIGRATIONS)
        target.execute("BEGIN")
        target.execute(f"CREATE TEMP TABLE early ({', '.join(EARLY)}, UNIQUE (mailbox, uid))")
        for table in tables_of():
            columns = [row[1] for row in right.execute(f"PRAGMA table_info({table})")]
            if table in ("account", "upkeep"):
                target.execute(f"DELETE FROM {table}")
            if table == "messages":
                columns += [name for name in EARLY if name not in columns]
            counts[table] = _copy(target, table, source.rows(table, columns))
        for table, row in lost(aside):
            if table != "chunks" or _belongs(target, row):
                counts[table] += _insert(target, table, row)
        make_states(target, "early")
        _singles(target, right)
        target.execute("COMMIT")
    return counts


def tables_of() -> list[str]:
    """Tables that hold something of their own."""
    with closing(pattern()) as right:
        rows = right.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
        return [name for (name,) in rows if name != "unindexed"]


def _copy(target: sqlite3.Connection, table: str, rows: Iterable[dict[str, Value]]) -> int:
    return sum(_insert(target, table, row) for row in rows)


def _insert(target: sqlite3.Connection, table: str, row: dict[str, Value]) -> int:
    if table == "messages" and "flags" in row:
        _insert(target, "early", {name: row[name] for name in EARLY})
        row = {name: value for name, value in row.items() if name not in EARLY or name in ("mailbox", "uid")}
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    try:
        return target.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", tuple(row.values())).rowcount
    except sqlite3.IntegrityError:
        return 0  # A column that must have a value has none.


def _singles(target: sqlite3.Connection, right: sqlite3.Connection) -> None:
    """The rows there must be one of, and an index that begins anew."""
    for table in ("account", "upkeep"):
        row = right.execute(f"SELECT * FROM {table}").fetchone()
        marks = ", ".join("?" * len(row))
        target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
    target.execute("UPDATE upkeep SET indexed_to = 0, indexed = 0, gone = 0")


class _Source:
    """A broken file, through SQLite and as pages."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self._connection.execute("PRAGMA cell_size_check=ON")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self, table: str, columns: list[str]) -> Iterator[dict[str, Value]]:
        """What SQLite gives of a table: from its beginning, from its end, and what is between one by one."""
        connection = self._connection
        if connection is None:
            return
        try:
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        except sqlite3.DatabaseError:
            return
        names = [name for name in columns if name in there]
        if not names:
            return
        select = f"SELECT {', '.join(names)} FROM {table} NOT INDEXED"
        whole = False
        for order in ("", f" ORDER BY {', '.join(f'{name} DESC' for name in _KEYS.get(table, names[:1]))}"):
            rows = self._until_broken(select + order)
            while not whole:
                row = next(rows, None)
                if row is None:
                    whole = True
                elif row:
                    yield dict(zip(names, row, strict=True))
                else:
                    break
        if not whole and len(_KEYS.get(table, ())) == 1:
            yield from self._one_by_one(select, table, names)

    def _until_broken(self, statement: str) -> Iterator[tuple[Value, ...]]:
        """Rows, and an empty one where the file breaks off."""
        if self._connection is None:
            return
        try:
            yield from self._connection.execute(statement)
        except sqlite3.DatabaseError:
            yield ()

    def _one_by_one(self, select: str, table: str, names: list[str]) -> Iterator[dict[str, Value]]:
        if self._connection is None or table == "chunks":
            return
        (key,) = _KEYS[table]
        for number in range(1, PROBES):
            for row in self._until_broken(f"{select} WHERE {key} = {number}"):
                if row:
                    yield dict(zip(names, row, strict=True))


def lost(path: Path) -> Iterator[tuple[str, dict[str, Value]]]:
    """Rows that lie in the pages, wherever; octets last, because what they belong to says how long they are."""
    with closing(pattern()) as right:
        columns = {table: [row[1] for row in right.execute(f"PRAGMA table_info({table})")] for table in _SIGNS}
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        pages = Pages(octets)
        for tables in (_SIGNS.keys() - {"chunks"}, {"chunks"}):
            for found in pages.rows():
                for table in tables:
                    if _SIGNS[table](found):
                        early = table == "messages" and len(found.values) == len(_EARLY_MESSAGES)
                        yield table, _named(found, list(_EARLY_MESSAGES) if early else columns[table])


def _belongs(target: sqlite3.Connection, row: dict[str, Value]) -> bool:
    """Whether octets have the length that their content's size gives; the text index has tables of the same form."""
    number, octets = row["number"], row["octets"]
    if not isinstance(number, int) or not isinstance(octets, bytes):
        return False
    content, place = divmod(number, 1 << CHUNK_BITS)
    size = target.execute("SELECT size FROM contents WHERE number = ?", (content,)).fetchone()
    return size is not None and len(octets) == min(CHUNK, size[0] - place * CHUNK)


def _named(found: Found, columns: list[str]) -> dict[str, Value]:
    row = dict(zip(columns, found.values, strict=False))
    if found.rowid is not None:
        row[columns[0]] = found.rowid
    return row


def _types(found: Found, *types: type | tuple[type, ...]) -> bool:
    return all(isinstance(value, wanted) for value, wanted in zip(found.values, types, strict=False))


def _is_chunk(found: Found) -> bool:
    number = found.rowid
    return number is not None and len(found.values) == 2 and number >> CHUNK_BITS > 0 and _types(found, type(None), bytes)


def _is_file(found: Found) -> bool:
    """Of a body; the text index has rows of the same form."""
    return found.rowid is not None and len(found.values) == 2 and isinstance(found.values[1], str) and is_name(found.values[1])


def _is_mailbox(found: Found) -> bool:
    texts = (type(None), str, str, str)
    return found.rowid is not None and 12 <= len(found.values) <= 16 and _types(found, *texts, *[int] * 8)


def _is_content(found: Found) -> bool:
    """Which has its octets of ENVELOPE and three more columns of octets at known places."""
    if found.rowid is None or not 24 <= len(found.values) <= 32:
        return False
    number, maybe = (int,), (int, type(None))
    return _types(
        found, type(None), int, str, (str, type(None)), *[number] * 2, *[maybe] * 3, *[bytes] * 4, *[str] * 9,
        (str, type(None)), str,
    )  # fmt: skip


def _is_message(found: Found) -> bool:
    """Which has lost its flags to ``states``, or still has them."""
    return found.rowid is None and len(found.values) in (8, len(_EARLY_MESSAGES)) and _types(found, *[int] * 11)


def _is_block(found: Found) -> bool:
    return found.rowid is None and len(found.values) == 9 and _types(found, *[int] * 6, *[bytes] * 3)


def _is_keyword(found: Found) -> bool:
    return found.rowid is None and len(found.values) == 3 and _types(found, int, int, str)


_EARLY_MESSAGES = (
    "mailbox", "uid", "modseq", "flags", "keywords", "content", "size", "internal", "internal_zone", "internal_day", "saved",
)  # fmt: skip
_KEYS = {
    "mailboxes": ("number",),
    "contents": ("number",),
    "chunks": ("number",),
    "files": ("content",),
    "messages": ("mailbox", "uid"),
    "keywords": ("mailbox", "number"),
    "states": ("mailbox", "block"),
    "expunged": ("mailbox", "modseq", "uid"),
}
_SIGNS: dict[str, Callable[[Found], bool]] = {
    "mailboxes": _is_mailbox,
    "contents": _is_content,
    "chunks": _is_chunk,
    "files": _is_file,
    "messages": _is_message,
    "keywords": _is_keyword,
    "states": _is_block,
}
