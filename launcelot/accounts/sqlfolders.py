"""Team folders and grants in SQLite; the part of :class:`launcelot.accounts.sqlite.SqliteTables` that is about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from launcelot.accounts.tables import FolderRow
from launcelot.core.filerights import Right, read_rights, words_of
from launcelot.core.ids import AccountId

TEAM_FOLDERS = """
CREATE TABLE folders (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    quota INTEGER NOT NULL CHECK (quota >= 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
    folder TEXT NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    identity TEXT NOT NULL,
    rights TEXT NOT NULL CHECK (rights <> ''),
    PRIMARY KEY (folder, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_identity ON grants (identity);
"""

FOLDER = "SELECT id, name, key, quota FROM folders"


class SqliteFolders:
    """See :class:`launcelot.accounts.tables.Tables`."""

    _connection: sqlite3.Connection
    _now: float

    def folder_keyed(self, key: str) -> FolderRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._folder(f"{FOLDER} WHERE key = ?", key)

    def folder_with(self, id: AccountId) -> FolderRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._folder(f"{FOLDER} WHERE id = ?", id)

    def _folder(self, statement: str, value: str) -> FolderRow | None:
        row = self._connection.execute(statement, (value,)).fetchone()
        return None if row is None else row_of(row)

    def folders(self) -> Sequence[FolderRow]:
        """See :class:`launcelot.accounts.tables.View`."""
        return [row_of(row) for row in self._connection.execute(FOLDER).fetchall()]

    def grants_on(self, folder: AccountId) -> Mapping[str, Right]:
        """See :class:`launcelot.accounts.tables.View`."""
        found = self._connection.execute("SELECT identity, rights FROM grants WHERE folder = ?", (folder,)).fetchall()
        return {identity: read_rights(words) for identity, words in found}

    def grants_to(self, identity: str) -> tuple[tuple[AccountId, Right], ...]:
        """See :class:`launcelot.accounts.tables.View`."""
        found = self._connection.execute("SELECT folder, rights FROM grants WHERE identity = ?", (identity,)).fetchall()
        return tuple((AccountId(folder), read_rights(words)) for folder, words in found)

    def put_folder(self, row: FolderRow) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute(
            "INSERT INTO folders (id, name, key, quota) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " name = excluded.name, key = excluded.key, quota = excluded.quota",
            (row.id, row.name, row.key, row.quota),
        )

    def drop_folder(self, id: AccountId) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute("DELETE FROM folders WHERE id = ?", (id,))
        self._connection.execute("INSERT INTO former_accounts (id, removed) VALUES (?, ?)", (id, self._now))

    def put_grant(self, folder: AccountId, identity: str, rights: Right) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        if not rights:
            self._connection.execute("DELETE FROM grants WHERE folder = ? AND identity = ?", (folder, identity))
            return
        self._connection.execute(
            "INSERT INTO grants (folder, identity, rights) VALUES (?, ?, ?)"
            " ON CONFLICT (folder, identity) DO UPDATE SET rights = excluded.rights",
            (folder, identity, " ".join(words_of(rights))),
        )


def row_of(row: tuple[str, str, str, int]) -> FolderRow:
    """A folder from its row of :data:`FOLDER`."""
    id, name, key, quota = row
    return FolderRow(AccountId(id), name, key, quota)
