"""
The directory in a SQLite file, which the daemon and the ``launcelot`` command may use at the same time.

Every change is one job of :class:`launcelot.workers.database.Database`: checked and made in one transaction, so that two
processes cannot give one name or address twice, and on disk when it is answered.  Questions are answered in the
reactor thread from a cache of rows.  A question first asks SQLite whether any other connection has committed
(``PRAGMA data_version``, seven microseconds with its transaction) and forgets the cache if so; a change by another process
therefore counts from the next question on, or after :data:`SURE` seconds where the directory is told that this will do.

Times are seconds since 1970.  Values only ever reach SQL as bound parameters.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from launcelot.accounts.cachedview import CachedView
from launcelot.accounts.groups import group_of
from launcelot.accounts.interface import Account, Alias, Expansion, Group, Offer
from launcelot.accounts.local import LocalDirectory
from launcelot.accounts.memory import random_id
from launcelot.accounts.passwords import Hasher
from launcelot.accounts.resolution import expand
from launcelot.accounts.sqlfolders import TEAM_FOLDERS, SqliteFolders
from launcelot.accounts.tables import GroupRow, Record, Tables, View, base_of
from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.workers.database import Database, Migration, script

T = TypeVar("T")

SURE = 0.001
"""Seconds for which the daemon does not ask again whether another process has changed anything; a log-in has four questions."""

SCHEMA = """
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    local TEXT NOT NULL,
    domain TEXT NOT NULL,
    quota INTEGER NOT NULL CHECK (quota >= 0),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    hash TEXT NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE former_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    removed REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE aliases (
    key TEXT NOT NULL PRIMARY KEY,
    local TEXT NOT NULL,
    domain TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alias_targets (
    alias TEXT NOT NULL REFERENCES aliases (key) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    base TEXT NOT NULL,
    local TEXT NOT NULL,
    domain TEXT NOT NULL,
    PRIMARY KEY (alias, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_targets_by_key ON alias_targets (key);
CREATE INDEX alias_targets_by_base ON alias_targets (base);
"""


def add_scram(connection: sqlite3.Connection) -> None:
    """Keys of SCRAM, for whoever logs in from now on, and the secret that salts are made of."""
    connection.execute("ALTER TABLE accounts ADD COLUMN scram TEXT NOT NULL DEFAULT ''")
    connection.execute("CREATE TABLE secret (value BLOB NOT NULL) STRICT")
    connection.execute("INSERT INTO secret (value) VALUES (?)", (secrets.token_bytes(32),))


LIMITS = """
ALTER TABLE accounts ADD COLUMN messages INTEGER NOT NULL DEFAULT 0 CHECK (messages >= 0);
ALTER TABLE accounts ADD COLUMN administrator INTEGER NOT NULL DEFAULT 0 CHECK (administrator IN (0, 1));
"""

GROUPS = """
CREATE TABLE groups (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    quota INTEGER NOT NULL CHECK (quota >= 0),
    messages INTEGER NOT NULL CHECK (messages >= 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE members (
    grouping TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    PRIMARY KEY (grouping, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_account ON members (account);
CREATE TABLE offers (
    identity TEXT NOT NULL,
    owner TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (identity, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX offers_by_owner ON offers (owner);
"""

GROUP_ADDRESSES = """
ALTER TABLE groups ADD COLUMN key TEXT;
ALTER TABLE groups ADD COLUMN local TEXT;
ALTER TABLE groups ADD COLUMN domain TEXT;
CREATE UNIQUE INDEX groups_by_key ON groups (key);
"""

APOP = """
ALTER TABLE accounts ADD COLUMN apop TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_with_apop ON accounts (apop) WHERE apop <> '';
"""

GROUP_FORWARDS = """
CREATE TABLE group_forwards (
    grouping TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    local TEXT NOT NULL,
    domain TEXT NOT NULL,
    PRIMARY KEY (grouping, position)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: Sequence[Migration] = (
    script(SCHEMA),
    add_scram,
    script(LIMITS),
    script(GROUPS),
    script(GROUP_ADDRESSES),
    script(APOP),
    script(GROUP_FORWARDS),
    script(TEAM_FOLDERS),
)
"""For the :class:`launcelot.workers.database.Database` that is handed in."""

GROUP = "SELECT id, name, quota, messages, local, domain FROM groups"
ACCOUNT = "SELECT id, name, local, domain, quota, enabled, hash, scram, messages, administrator, apop FROM accounts"


class SqliteTables(SqliteFolders):
    """
    The tables on one connection, inside one transaction.

    :param now: seconds since 1970.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def _one(self, statement: str, value: str) -> Record | None:
        row = self._connection.execute(statement, (value,)).fetchone()
        return None if row is None else record_of(row)

    def secret(self) -> bytes:
        """See :class:`launcelot.accounts.tables.View`."""
        value: bytes = self._connection.execute("SELECT value FROM secret").fetchone()[0]
        return value

    def account_named(self, name: str) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._one(f"{ACCOUNT} WHERE name = ?", name)

    def account_at(self, key: str) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._one(f"{ACCOUNT} WHERE key = ?", key)

    def any_apop(self) -> bool:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._connection.execute("SELECT 1 FROM accounts WHERE apop <> '' LIMIT 1").fetchone() is not None

    def alias_at(self, key: str) -> Alias | None:
        """See :class:`launcelot.accounts.tables.View`."""
        own = self._connection.execute("SELECT local, domain FROM aliases WHERE key = ?", (key,)).fetchone()
        if own is None:
            return None
        targets = self._connection.execute(
            "SELECT local, domain FROM alias_targets WHERE alias = ? ORDER BY position", (key,)
        ).fetchall()
        return Alias(Address(*own), tuple(Address(*target) for target in targets))

    def is_used(self, id: AccountId) -> bool:
        """See :class:`launcelot.accounts.tables.Tables`."""
        found = self._connection.execute(
            "SELECT 1 FROM accounts WHERE id = ?1 UNION ALL SELECT 1 FROM former_accounts WHERE id = ?1"
            " UNION ALL SELECT 1 FROM groups WHERE id = ?1 UNION ALL SELECT 1 FROM folders WHERE id = ?1",
            (id,),
        ).fetchone()
        return found is not None

    def put_account(self, record: Record) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        account = record.account
        self._connection.execute(
            "INSERT INTO accounts (id, name, key, local, domain, quota, enabled, hash, created, scram, messages, administrator,"
            " apop)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
            " key = excluded.key, local = excluded.local, domain = excluded.domain, quota = excluded.quota,"
            " enabled = excluded.enabled,"
            " hash = excluded.hash, scram = excluded.scram, messages = excluded.messages,"
            " administrator = excluded.administrator, apop = excluded.apop",
            (
                account.id,
                account.name,
                account.address.key,
                account.address.local,
                account.address.domain,
                account.quota,
                int(account.enabled),
                record.hash,
                self._now,
                record.scram,
                account.messages,
                int(account.administrator),
                record.apop,
            ),
        )

    def drop_account(self, id: AccountId) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute("DELETE FROM accounts WHERE id = ?", (id,))
        self._forget(id, f"account:{id}")

    def _forget(self, id: AccountId, identity: str) -> None:
        self._connection.execute("DELETE FROM offers WHERE owner = ? OR identity = ?", (id, identity))
        self._connection.execute("DELETE FROM grants WHERE identity = ?", (identity,))
        self._connection.execute("INSERT INTO former_accounts (id, removed) VALUES (?, ?)", (id, self._now))

    def account_with(self, id: AccountId) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._one(f"{ACCOUNT} WHERE id = ?", id)

    def group_named(self, name: str) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._group(f"{GROUP} WHERE name = ?", name)

    def group_at(self, key: str) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._group(f"{GROUP} WHERE key = ?", key)

    def group_with(self, id: AccountId) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._group(f"{GROUP} WHERE id = ?", id)

    def _group(self, statement: str, value: str) -> GroupRow | None:
        row = self._connection.execute(statement, (value,)).fetchone()
        if row is None:
            return None
        id, name, quota, messages, local, domain = row
        members = self._connection.execute("SELECT account FROM members WHERE grouping = ?", (id,)).fetchall()
        address = None if local is None else Address(local, domain)
        find = "SELECT local, domain FROM group_forwards WHERE grouping = ? ORDER BY position"
        forwards = tuple(Address(*one) for one in self._connection.execute(find, (id,)))
        joined = frozenset(AccountId(one) for (one,) in members)
        return GroupRow(AccountId(id), name, joined, quota, messages, address, forwards)

    def groups_of(self, id: AccountId) -> frozenset[AccountId]:
        """See :class:`launcelot.accounts.tables.View`."""
        found = self._connection.execute("SELECT grouping FROM members WHERE account = ?", (id,)).fetchall()
        return frozenset(AccountId(group) for (group,) in found)

    def put_group(self, row: GroupRow) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        address = row.address
        place = (None, None, None) if address is None else (address.key, address.local, address.domain)
        self._connection.execute(
            "INSERT INTO groups (id, name, quota, messages, key, local, domain) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, quota = excluded.quota, messages = excluded.messages,"
            " key = excluded.key, local = excluded.local, domain = excluded.domain",
            (row.id, row.name, row.quota, row.messages, *place),
        )
        self._connection.execute("DELETE FROM members WHERE grouping = ?", (row.id,))
        self._connection.executemany(
            "INSERT INTO members (grouping, account) VALUES (?, ?)", [(row.id, member) for member in row.members]
        )
        self._connection.execute("DELETE FROM group_forwards WHERE grouping = ?", (row.id,))
        self._connection.executemany(
            "INSERT INTO group_forwards (grouping, position, local, domain) VALUES (?, ?, ?, ?)",
            [(row.id, place, one.local, one.domain) for place, one in enumerate(row.forwards)],
        )

    def drop_group(self, id: AccountId) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute("DELETE FROM groups WHERE id = ?", (id,))
        self._forget(id, f"group:{id}")

    def offers_to(self, identity: str) -> tuple[Offer, ...]:
        """See :class:`launcelot.accounts.tables.View`."""
        found = self._connection.execute(
            "SELECT owner, version FROM offers WHERE identity = ? ORDER BY owner", (identity,)
        ).fetchall()
        return tuple(Offer(AccountId(owner), identity, version) for owner, version in found)

    def put_offer(self, owner: AccountId, identity: str) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute(
            "INSERT INTO offers (identity, owner, version) VALUES (?, ?, 1)"
            " ON CONFLICT (identity, owner) DO UPDATE SET version = version + 1",
            (identity, owner),
        )

    def drop_offer(self, offer: Offer) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute(
            "DELETE FROM offers WHERE identity = ? AND owner = ? AND version = ?", (offer.identity, offer.owner, offer.version)
        )

    def put_alias(self, alias: Alias) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        key = alias.address.key
        self._connection.execute("DELETE FROM aliases WHERE key = ?", (key,))
        self._connection.execute(
            "INSERT INTO aliases (key, local, domain) VALUES (?, ?, ?)", (key, alias.address.local, alias.address.domain)
        )
        self._connection.executemany(
            "INSERT INTO alias_targets (alias, position, key, base, local, domain) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (key, position, target.key, base_of(target).key, target.local, target.domain)
                for position, target in enumerate(alias.targets)
            ],
        )

    def drop_alias(self, key: str) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self._connection.execute("DELETE FROM aliases WHERE key = ?", (key,))

    def aliases_to(self, key: str) -> Sequence[Alias]:
        """See :class:`launcelot.accounts.tables.Tables`."""
        found = self._connection.execute(
            "SELECT alias FROM alias_targets WHERE key = ?1 UNION SELECT alias FROM alias_targets WHERE base = ?1", (key,)
        ).fetchall()
        return [alias for (own,) in found if (alias := self.alias_at(own)) is not None]


class SqliteDirectory(LocalDirectory):
    """
    A :class:`launcelot.accounts.interface.Directory` in a SQLite file.

    :param database: made with :data:`MIGRATIONS`; owned by the directory, closed with it.
    :param domains: see :class:`LocalDirectory`, as are the hasher and the ids.
    :param now: seconds since 1970.
    :param sure: seconds for which answers may be behind what other processes change.
    """

    def __init__(
        self,
        database: Database,
        domains: Sequence[str],
        hasher: Hasher,
        ids: Callable[[], str] = random_id,
        now: Callable[[], float] = time.time,
        sure: float = 0.0,
    ) -> None:
        super().__init__(domains, hasher, ids)
        self._sure = sure
        self._database = database
        self._now = now
        self._view: CachedView | None = None

    async def open(self) -> None:
        """
        Make or open the file; to be awaited before anything else is asked.

        :raises NewerSchema: the file is from a newer program.
        :raises TryLater: the file cannot be opened or is damaged; its ``__cause__`` tells why.
        """
        await self._database.open()

    def _look(self, question: Callable[[View], T]) -> T:
        return self._database.read(lambda connection: self._view_on(connection).ask(question))

    def _look_anywhere(self, question: Callable[[View], T]) -> T:
        def within(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return question(SqliteTables(connection, 0.0))
            finally:
                connection.execute("ROLLBACK")

        return self._database.read_anywhere(within)

    def _expanded(self, address: Address) -> Expansion:
        return self._database.read(
            lambda connection: self._view_on(connection).expansion(address, lambda view: expand(view, address, self.is_local))
        )

    def _view_on(self, connection: sqlite3.Connection) -> CachedView:
        if self._view is None or self._view.connection is not connection:
            self._view = CachedView(connection, SqliteTables(connection, 0.0), self._sure)
        return self._view

    async def _change(self, work: Callable[[Tables], T]) -> T:
        now = self._now()
        try:
            return await self._database.write(lambda connection: work(SqliteTables(connection, now)))
        finally:
            if self._view is not None:
                self._view.unsure()

    async def _stewards(self) -> Sequence[Account]:
        def read(connection: sqlite3.Connection) -> Sequence[Account]:
            rows = connection.execute(f"{ACCOUNT} WHERE enabled AND administrator ORDER BY id").fetchall()
            rows = rows or connection.execute(f"{ACCOUNT} WHERE enabled ORDER BY id LIMIT 1").fetchall()
            return [record_of(row).account for row in rows]

        return await self._database.read_aside(read)

    async def accounts(self) -> Sequence[Account]:
        """See :meth:`launcelot.accounts.interface.Directory.accounts`; read in a reader thread."""
        return await self._database.read_aside(
            lambda connection: [
                record_of(row).account for row in connection.execute(f"{ACCOUNT} ORDER BY name").fetchall()
            ]
        )

    async def groups(self) -> Sequence[Group]:
        """See :meth:`launcelot.accounts.interface.Directory.groups`; read in a reader thread."""
        return await self._database.read_aside(all_groups)

    async def aliases(self) -> Sequence[Alias]:
        """See :meth:`launcelot.accounts.interface.Directory.aliases`; read in a reader thread."""
        return await self._database.read_aside(all_aliases)

    async def close(self) -> None:
        """See :meth:`launcelot.accounts.interface.Directory.close`."""
        await self._database.close()
        await self._hasher.close()
        self._view = None


def all_groups(connection: sqlite3.Connection) -> Sequence[Group]:
    """Every group, by name, in one consistent state."""
    tables = SqliteTables(connection, 0.0)
    names = connection.execute("SELECT name FROM groups ORDER BY name").fetchall()
    return [group_of(tables, row) for (name,) in names if (row := tables.group_named(name)) is not None]


def all_aliases(connection: sqlite3.Connection) -> Sequence[Alias]:
    """Every alias, by address, in one consistent state."""
    targets: dict[tuple[str, str], list[Address]] = {}
    for local, domain, *target in connection.execute(
        "SELECT aliases.local, aliases.domain, alias_targets.local, alias_targets.domain"
        " FROM aliases JOIN alias_targets ON alias_targets.alias = aliases.key ORDER BY aliases.key, position"
    ).fetchall():
        targets.setdefault((local, domain), []).append(Address(*target))
    return [Alias(Address(*own), tuple(found)) for own, found in targets.items()]


def record_of(row: tuple[str, str, str, str, int, int, str, str, int, int, str]) -> Record:
    """An account from its row of :data:`ACCOUNT`."""
    id, name, local, domain, quota, enabled, encoded, scram, messages, administrator, apop = row
    address = Address(local, domain)
    account = Account(AccountId(id), name, address, quota, bool(enabled), messages, bool(administrator), bool(apop))
    return Record(account, encoded, scram, apop)
