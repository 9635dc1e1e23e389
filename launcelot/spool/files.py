"""
The spool's file while no daemon has it: looked at and changed by a program without a reactor.

Whoever changes something holds the data folder; a daemon that starts afterwards takes the file up as it is then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launcelot.core.errors import TryLater
from launcelot.spool.interface import SpoolId, Waiting
from launcelot.spool.mail import Change, Pending, describe
from launcelot.spool.rows import (
    LOAD_BATCH,
    MIGRATIONS,
    numbers_of,
    read_mails,
    read_waiting,
    row_of,
    settle,
    update_rows,
)
from launcelot.workers.database import connect, migrate


class SpoolFile:
    """
    One file; what it offers is a part of :class:`~launcelot.spool.interface.Spool`.

    :param path: of a file that is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = connect(self._path)
            try:
                connection.execute("PRAGMA synchronous=FULL")
                migrate(connection, MIGRATIONS)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise TryLater(f"{self._path}: {error}") from error

    async def waiting(self, limit: int = 0) -> Sequence[Waiting]:
        """
        What is not delivered, oldest first.

        :raises TryLater: the file cannot be read.
        """
        found: list[Waiting] = []
        after = -1
        with self._opened() as connection:
            while not limit or len(found) < limit:
                batch = read_waiting(connection, after, LOAD_BATCH)
                found += [describe(one, destination_of(one)) for mail in batch for one in mail.pending]
                if len(batch) < LOAD_BATCH:
                    break
                after = batch[-1].number
        return found[:limit] if limit else found

    async def hold(self, id: SpoolId, recipient: str = "") -> int:
        """Have a daemon not try these."""
        with self._opened() as connection:
            return sum(note(connection, one, True, one.next_attempt) for one in chosen(connection, id, recipient))

    async def release(self, id: SpoolId, recipient: str = "") -> int:
        """Have a daemon try these as soon as it starts."""
        with self._opened() as connection:
            return sum(note(connection, one, False, 0.0) for one in chosen(connection, id, recipient))

    async def drop(self, id: SpoolId, recipient: str = "") -> int:
        """Remove these."""
        with self._opened() as connection:
            found = chosen(connection, id, recipient)
            settle(connection, [Change(tuple(found))], [])
            return len(found)


def chosen(connection: sqlite3.Connection, id: SpoolId, recipient: str) -> list[Pending]:
    """Recipients of a mail, or one of them."""
    mails = read_mails(connection, numbers_of(connection, id))
    return [
        one for mail in mails for one in mail.pending if not recipient or str(one.recipient.address) == recipient
    ]


def note(connection: sqlite3.Connection, pending: Pending, held: bool, next_attempt: float) -> int:
    """Keep what was decided about one recipient; 1."""
    if pending.held and not held:
        pending.released()
    pending.held, pending.next_attempt = held, next_attempt
    update_rows(connection, [row_of(pending)])
    return 1


def destination_of(pending: Pending) -> str:
    """The domain; what routes there are is known to the daemon."""
    return pending.recipient.address.domain if pending.recipient.is_remote else ""
