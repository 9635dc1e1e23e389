"""
The notes, in a SQLite file of their own.

A note that has been answered with ``OK`` is on disk.  Only the newest are kept, so the file does not grow for ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from launcelot.workers.database import Database, script

from launcelot_guestbook.grammar import Note

MIGRATIONS = (
    script(
        """
        CREATE TABLE notes (
            number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
            written TEXT NOT NULL,
            author TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT;
        """
    ),
)
"""From an empty file to the present schema; append steps, never change one."""


class Notes:
    """
    The book.

    :param keep: how many notes; older ones are dropped.
    """

    def __init__(self, database: Database, keep: int) -> None:
        self._database = database
        self._keep = keep

    async def write(self, author: str, text: str, now: datetime) -> int:
        """
        Keep a note; its number.

        :raises TryLater: it is not kept, because the disk failed.
        """

        def job(connection: sqlite3.Connection) -> int:
            row = (now.strftime("%Y-%m-%dT%H:%M:%SZ"), author, text)
            done = connection.execute("INSERT INTO notes (written, author, text) VALUES (?, ?, ?)", row)
            number = int(done.lastrowid or 0)
            connection.execute("DELETE FROM notes WHERE number <= ?", (number - self._keep,))
            return number

        return await self._database.write(job)

    async def latest(self, count: int) -> Sequence[Note]:
        """
        The newest notes, the oldest of them first.

        :raises TryLater: the file cannot be read.
        """
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT number, written, author, text FROM notes ORDER BY number DESC LIMIT ?", (count,)
            ).fetchall()
        )
        return [Note(*row) for row in reversed(rows)]
