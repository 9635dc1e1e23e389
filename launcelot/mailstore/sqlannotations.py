"""Annotations in an account's mail file; see :mod:`launcelot.mailstore.annotations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection

from launcelot.core.ids import AccountId
from launcelot.mailstore import sqlrows
from launcelot.mailstore.annotations import (
    ANNOTATIONS,
    KEPT_REMOVALS,
    NOBODY,
    WHOLE_ACCOUNT,
    AnnotationChanges,
    by_owner,
    check_room,
    check_values,
    owner_of,
)
from launcelot.mailstore.sqlfile import AccountFile
from launcelot.mailstore.sqlwriting import Writing


class SqliteAnnotations:
    """One account's; see :class:`launcelot.mailstore.annotations.Annotations`."""

    def __init__(self, file: AccountFile) -> None:
        self._file = file

    async def read(self, mailbox: str, person: AccountId) -> Mapping[str, bytes]:
        """Shared entries of a mailbox and a person's private ones."""
        return await self._file.read(lambda connection: entries_of(connection, number_of(connection, mailbox), person))

    async def write(self, mailbox: str, person: AccountId, values: Mapping[str, bytes | None]) -> int:
        """Set entries, or remove them with None."""
        check_values(values)
        return await self._file.write(lambda writing: put(writing, mailbox, person, values))

    async def changes(self, person: AccountId, since: int) -> AnnotationChanges:
        """What happened after a number, of what a person sees."""
        return await self._file.read(lambda connection: changes_of(connection, person, since))

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change."""
        return self._file.watch(ANNOTATIONS, changed)


def number_of(connection: Connection, mailbox: str) -> int:
    """The number under which annotations of a mailbox, or of the account, are kept; raises NotFound."""
    return 0 if mailbox == WHOLE_ACCOUNT else sqlrows.number_named(connection, mailbox)


def entries_of(connection: Connection, mailbox: int, person: AccountId) -> dict[str, bytes]:
    """Shared entries of a mailbox and a person's private ones."""
    return dict(connection.execute(_ENTRIES, (mailbox, NOBODY, person)))


def changes_of(connection: Connection, person: AccountId, since: int) -> AnnotationChanges:
    """What happened after a number, of what a person sees."""
    number: int = connection.execute("SELECT annotation_change FROM account").fetchone()[0]
    rows = connection.execute(_CHANGES, (since, NOBODY, person)).fetchall() if number > since >= 0 else ()
    return AnnotationChanges(number, tuple(rows))


def put(writing: Writing, mailbox: str, person: AccountId, values: Mapping[str, bytes | None]) -> int:
    """Set and remove entries inside a transaction; the number of the change."""
    connection = writing.connection
    number = number_of(connection, mailbox)
    connection.execute("UPDATE account SET annotation_change = annotation_change + 1")
    change: int = connection.execute("SELECT annotation_change FROM account").fetchone()[0]
    for entry, value in values.items():
        place = (number, owner_of(entry, person), entry)
        if value is None:
            connection.execute(_REMOVE, (change, *place))
        else:
            connection.execute(_PUT, (*place, change, value))
    for owner in by_owner(values, person):
        entries: int = connection.execute(_COUNT, (number, owner)).fetchone()[0]
        octets: int = connection.execute(_WEIGHT, (owner,)).fetchone()[0]
        check_room(entries, octets)
    connection.execute(_FORGET, (KEPT_REMOVALS,))
    connection.execute("UPDATE mailboxes SET modseq = modseq + 1 WHERE number = ?", (number,))
    writing.touched.update((ANNOTATIONS, number) if number else (ANNOTATIONS,))
    return change


_ENTRIES = "SELECT entry, value FROM annotations WHERE mailbox = ? AND person IN (?, ?) AND value IS NOT NULL"
_CHANGES = """
    SELECT coalesce(mailboxes.name, ''), entry, change FROM annotations
    LEFT JOIN mailboxes ON mailboxes.number = annotations.mailbox
    WHERE change > ? AND person IN (?, ?) ORDER BY change, 1, entry
"""
_REMOVE = "UPDATE annotations SET change = ?, value = NULL WHERE mailbox = ? AND person = ? AND entry = ?"
_PUT = """
    INSERT INTO annotations (mailbox, person, entry, change, value) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (mailbox, person, entry) DO UPDATE SET change = excluded.change, value = excluded.value
"""
_COUNT = "SELECT count(*) FROM annotations WHERE mailbox = ? AND person = ? AND value IS NOT NULL"
_WEIGHT = "SELECT coalesce(sum(length(entry) + length(value)), 0) FROM annotations WHERE person = ?"
_FORGET = """
    DELETE FROM annotations WHERE value IS NULL AND change NOT IN
        (SELECT change FROM annotations WHERE value IS NULL ORDER BY change DESC LIMIT ?)
"""
