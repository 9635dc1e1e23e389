"""Writing mail out for other programs: what one commit holds, mailbox by mailbox, in the order of UIDs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from launcelot.core.errors import NotFound
from launcelot.mailstore import bodies, sqlrows, sqlstates
from launcelot.mailstore.checking import Progress
from launcelot.mailstore.dates import moment_of
from launcelot.mailstore.names import known


class Writer(Protocol):
    """Where one mailbox goes."""

    def write(self, uid_validity: int, uid: int, flags: Sequence[str], date: datetime, body: bytes) -> Sequence[str]:
        """
        Write a message unless an earlier run has.

        :returns: flags for which there is no room.
        """

    def close(self) -> None:
        """All are written."""

    def leave(self) -> None:
        """Something went wrong; a later run goes on."""


@dataclass
class Exported:
    """
    What came of it.

    :ivar left_out: flags for which there was no room, counted by message.
    """

    mailboxes: int = 0
    messages: int = 0
    octets: int = 0
    left_out: int = 0


def export(
    connection: sqlite3.Connection, name: str | None, writer_of: Callable[[str], Writer], progress: Progress
) -> Exported:
    """
    Write one mailbox, or all.

    :raises NotFound: there is no such mailbox.
    :raises OSError: (as the writers do) an earlier run's work stays and can be gone on with.
    """
    with bodies.held(connection):
        return _exported(connection, name, writer_of, progress)


def _exported(
    connection: sqlite3.Connection, name: str | None, writer_of: Callable[[str], Writer], progress: Progress
) -> Exported:
    done = Exported()
    connection.execute("BEGIN")
    try:
        chosen = connection.execute(
            "SELECT number, name, uid_validity, size FROM mailboxes WHERE ?1 IS NULL OR name = ?1 ORDER BY name <> 'INBOX', name",
            (None if name is None else known(name) or "",),
        ).fetchall()
        if name is not None and not chosen:
            raise NotFound("no such mailbox")
        total = sum(size for *_, size in chosen)
        for number, mailbox, uid_validity, _ in chosen:
            writer = writer_of(mailbox)
            try:
                _export(connection, number, uid_validity, writer, done, lambda octets: progress(octets, total))
            except BaseException:
                writer.leave()
                raise
            writer.close()
            done.mailboxes += 1
    finally:
        connection.rollback()
    return done


def _export(
    connection: sqlite3.Connection,
    mailbox: int,
    uid_validity: int,
    writer: Writer,
    done: Exported,
    progress: Callable[[int], None],
) -> None:
    flags = sqlrows.keywords_of(connection, mailbox).flags
    states = sqlstates.whole(sqlstates.blocks_between(connection, mailbox))
    masks = dict(zip(states.uids, states.masks, strict=True))
    for uid, content, size, internal, zone in connection.execute(_MESSAGES, (mailbox,)):
        body = sqlrows.content_octets(connection, content, size, 0, size)
        given = sorted(flags(masks.get(uid, 0)))
        done.left_out += bool(writer.write(uid_validity, uid, given, moment_of(internal, zone), body))
        done.messages += 1
        done.octets += size
        progress(done.octets)


_MESSAGES = """
    SELECT uid, content, size, internal, internal_zone FROM messages WHERE mailbox = ? ORDER BY uid
"""
