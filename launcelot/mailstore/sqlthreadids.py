"""
Threads of messages in an account's mail file: see :mod:`launcelot.mailstore.threadids`.

A thread's name stands in ``contents.thread_id``; what threads have in common with messages to come is in ``thread_keys``.
Contents are put into threads only once somebody asks, in the order of their numbers, up to ``thread_mark``; so deliveries do
nothing for it, and a file whose owner never asks has no such tables.  They come and go like those of the text index, outside of
the schema's steps, and can be made anew from ``contents`` at any time: a content that is in a thread stays there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from launcelot.mailstore.threadids import keys_of, named_after

SLICE = 500
"""Contents put into threads in one transaction; they take some ten milliseconds."""


def behind(connection: sqlite3.Connection) -> bool:
    """Whether there are contents that have not been looked at."""
    if not _exists(connection):
        return connection.execute("SELECT 1 FROM contents LIMIT 1").fetchone() is not None
    return connection.execute(_BEHIND).fetchone() is not None


def _exists(connection: sqlite3.Connection) -> bool:
    found: int = connection.execute(_THERE).fetchone()[0]
    return found == len(_OBJECTS)


def extend(connection: sqlite3.Connection) -> bool:
    """
    Put the next contents into threads, in a write transaction.

    :returns: whether there are more.
    """
    if not _exists(connection):
        reset(connection)
        for _, _, statement in _OBJECTS:
            connection.execute(statement)
        connection.execute("INSERT INTO thread_mark VALUES (1, 0)")
    rows = connection.execute(_NEXT, (SLICE,)).fetchall()
    for number, email_id, thread, base_subject, message_id, references in rows:
        keys = keys_of(base_subject, message_id, references.split("\n") if references else ())
        if thread is None:
            thread = _nearest(connection, keys) or named_after(email_id)
            connection.execute("UPDATE contents SET thread_id = ? WHERE number = ?", (thread, number))
        connection.executemany("INSERT OR IGNORE INTO thread_keys VALUES (?, ?)", [(key, thread) for key in keys])
    if rows:
        connection.execute("UPDATE thread_mark SET number = ?", (rows[-1][0],))
    return len(rows) == SLICE


def reset(connection: sqlite3.Connection) -> None:
    """Forget what threads have in common, in a write transaction; it is gathered anew, and nobody's thread is another then."""
    for kind, name, _ in reversed(_OBJECTS):
        connection.execute(f"DROP {kind} IF EXISTS main.{name}")


def _nearest(connection: sqlite3.Connection, keys: Sequence[int]) -> str:
    marks = ", ".join("?" * len(keys))
    found = dict(connection.execute(f"SELECT key, thread FROM thread_keys WHERE key IN ({marks})", tuple(keys)).fetchall())
    return next((found[key] for key in keys if key in found), "")


_OBJECTS = (
    ("TABLE", "thread_keys", "CREATE TABLE thread_keys (key INTEGER PRIMARY KEY, thread TEXT NOT NULL)"),
    ("INDEX", "thread_keys_by_thread", "CREATE INDEX thread_keys_by_thread ON thread_keys (thread)"),
    ("TABLE", "thread_mark", "CREATE TABLE thread_mark (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL)"),
    (
        "INDEX",
        "contents_by_thread",
        "CREATE INDEX contents_by_thread ON contents (thread_id) WHERE thread_id IS NOT NULL",
    ),
    (
        "TRIGGER",
        "thread_gone",
        """
        CREATE TRIGGER thread_gone AFTER DELETE ON contents
        WHEN OLD.thread_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM contents WHERE thread_id = OLD.thread_id)
        BEGIN DELETE FROM thread_keys WHERE thread = OLD.thread_id; END
        """,
    ),
)
_THERE = f"SELECT count(*) FROM sqlite_master WHERE name IN ({', '.join(repr(name) for _, name, _ in _OBJECTS)})"
_BEHIND = "SELECT 1 FROM contents WHERE number > (SELECT number FROM thread_mark) LIMIT 1"
_NEXT = """
    SELECT number, email_id, thread_id, base_subject, message_id, references_to FROM contents
    WHERE number > (SELECT number FROM thread_mark) ORDER BY number LIMIT ?
"""
