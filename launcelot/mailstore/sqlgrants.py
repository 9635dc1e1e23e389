"""Access lists in an account's mail file; see :mod:`launcelot.mailstore.grants`."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Connection

from launcelot.core.errors import Gone
from launcelot.mailstore.grants import check_room
from launcelot.mailstore.rights import Change, Entries, Rights, kept
from launcelot.mailstore.sqlfile import AccountFile
from launcelot.mailstore.sqlwriting import Writing


class SqliteGrants:
    """One account's; see :class:`launcelot.mailstore.grants.Grants`."""

    def __init__(self, file: AccountFile) -> None:
        self._file = file

    async def of(self, id: str) -> Entries:
        """The access list of a mailbox."""
        return await self._file.read(lambda connection: entries_of(connection, number_of(connection, id)))

    async def all(self) -> Mapping[str, Entries]:
        """The lists of all mailboxes that have entries."""
        return await self._file.read(all_entries)

    async def change(self, id: str, identity: str, change: Change, rights: Rights, keep: bool = False) -> Rights:
        """Change one entry."""
        return await self._file.write(lambda writing: put(writing, id, identity, change, rights, keep))


def number_of(connection: Connection, id: str) -> int:
    """The number of a mailbox by MAILBOXID; raises Gone."""
    row = connection.execute("SELECT number FROM mailboxes WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise Gone("the mailbox has been deleted")
    number: int = row[0]
    return number


def entries_of(connection: Connection, mailbox: int) -> Entries:
    """The access list of a mailbox."""
    rows = connection.execute("SELECT identifier, rights FROM grants WHERE mailbox = ?", (mailbox,))
    return {identity: frozenset(rights) for identity, rights in rows}


def all_entries(connection: Connection) -> Mapping[str, Entries]:
    """The lists of all mailboxes that have entries."""
    found: dict[str, dict[str, Rights]] = {}
    for id, identity, rights in connection.execute(_ALL):
        found.setdefault(id, {})[identity] = frozenset(rights)
    return found


def put(writing: Writing, id: str, identity: str, change: Change, rights: Rights, keep: bool) -> Rights:
    """Change one entry inside a transaction."""
    connection = writing.connection
    mailbox = number_of(connection, id)
    entries = entries_of(connection, mailbox)
    now = change.apply(entries.get(identity, frozenset()), rights)
    if now or keep:
        check_room(len(entries.keys() | {identity}))
        connection.execute("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", (mailbox, identity, kept(now)))
    else:
        connection.execute("DELETE FROM grants WHERE mailbox = ? AND identifier = ?", (mailbox, identity))
    writing.touched.add(mailbox)
    return now


_ALL = """
    SELECT mailboxes.id, identifier, rights FROM grants JOIN mailboxes ON mailboxes.number = grants.mailbox
"""
