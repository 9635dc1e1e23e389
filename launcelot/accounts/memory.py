"""
A directory in memory: complete, and gone with the process.  It serves tests and the daemon without a data folder.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from launcelot.accounts.groups import group_of
from launcelot.accounts.interface import Account, Alias, Group, Offer
from launcelot.accounts.local import LocalDirectory
from launcelot.accounts.passwords import Hasher
from launcelot.accounts.tables import FolderRow, GroupRow, Record, Tables, View, base_of
from launcelot.core.filerights import Right
from launcelot.core.ids import AccountId, new_id

T = TypeVar("T")


def random_id() -> str:
    """A fresh id from the wall clock and the system's random numbers."""
    return new_id(time.time(), secrets.randbits)


class MemoryTables:
    """The tables as dictionaries."""

    def __init__(self) -> None:
        self.by_id: dict[AccountId, Record] = {}
        self.by_name: dict[str, Record] = {}
        self.by_key: dict[str, Record] = {}
        self.aliases: dict[str, Alias] = {}
        self.used: set[AccountId] = set()
        self.groups: dict[AccountId, GroupRow] = {}
        self.offers: dict[tuple[AccountId, str], int] = {}
        self.folder_rows: dict[AccountId, FolderRow] = {}
        self.grants: dict[AccountId, dict[str, Right]] = {}
        self._secret = secrets.token_bytes(32)

    def secret(self) -> bytes:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._secret

    def account_named(self, name: str) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self.by_name.get(name)

    def account_at(self, key: str) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self.by_key.get(key)

    def any_apop(self) -> bool:
        """See :class:`launcelot.accounts.tables.View`."""
        return any(record.apop for record in self.by_id.values())

    def alias_at(self, key: str) -> Alias | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self.aliases.get(key)

    def is_used(self, id: AccountId) -> bool:
        """See :class:`launcelot.accounts.tables.Tables`."""
        return id in self.used

    def put_account(self, record: Record) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        account = record.account
        self.used.add(account.id)
        self.by_id[account.id] = self.by_name[account.name] = self.by_key[account.address.key] = record

    def drop_account(self, id: AccountId) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        account = self.by_id.pop(id).account
        del self.by_name[account.name], self.by_key[account.address.key]
        for row in self.groups.values():
            self.groups[row.id] = replace(row, members=row.members - {id})
        self._forget(id, f"account:{id}")

    def account_with(self, id: AccountId) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self.by_id.get(id)

    def group_named(self, name: str) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return next((row for row in self.groups.values() if row.name == name), None)

    def group_at(self, key: str) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return next((row for row in self.groups.values() if row.address is not None and row.address.key == key), None)

    def group_with(self, id: AccountId) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self.groups.get(id)

    def groups_of(self, id: AccountId) -> frozenset[AccountId]:
        """See :class:`launcelot.accounts.tables.View`."""
        return frozenset(row.id for row in self.groups.values() if id in row.members)

    def put_group(self, row: GroupRow) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self.used.add(row.id)
        self.groups[row.id] = row

    def drop_group(self, id: AccountId) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        del self.groups[id]
        self._forget(id, f"group:{id}")

    def offers_to(self, identity: str) -> tuple[Offer, ...]:
        """See :class:`launcelot.accounts.tables.View`."""
        found = sorted((owner, version) for (owner, to), version in self.offers.items() if to == identity)
        return tuple(Offer(owner, identity, version) for owner, version in found)

    def put_offer(self, owner: AccountId, identity: str) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self.offers[(owner, identity)] = self.offers.get((owner, identity), 0) + 1

    def drop_offer(self, offer: Offer) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        if self.offers.get((offer.owner, offer.identity)) == offer.version:
            del self.offers[(offer.owner, offer.identity)]

    def _forget(self, id: AccountId, identity: str) -> None:
        for grants in self.grants.values():
            grants.pop(identity, None)
        self.offers = {key: version for key, version in self.offers.items() if key[0] != id and key[1] != identity}

    def folder_keyed(self, key: str) -> FolderRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return next((row for row in self.folder_rows.values() if row.key == key), None)

    def folder_with(self, id: AccountId) -> FolderRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self.folder_rows.get(id)

    def folders(self) -> Sequence[FolderRow]:
        """See :class:`launcelot.accounts.tables.View`."""
        return list(self.folder_rows.values())

    def grants_on(self, folder: AccountId) -> Mapping[str, Right]:
        """See :class:`launcelot.accounts.tables.View`."""
        return dict(self.grants[folder])

    def grants_to(self, identity: str) -> tuple[tuple[AccountId, Right], ...]:
        """See :class:`launcelot.accounts.tables.View`."""
        return tuple((folder, grants[identity]) for folder, grants in self.grants.items() if identity in grants)

    def put_folder(self, row: FolderRow) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self.used.add(row.id)
        self.folder_rows[row.id] = row
        self.grants.setdefault(row.id, {})

    def drop_folder(self, id: AccountId) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        del self.folder_rows[id], self.grants[id]

    def put_grant(self, folder: AccountId, identity: str, rights: Right) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        if rights:
            self.grants[folder][identity] = rights
        else:
            self.grants[folder].pop(identity, None)

    def put_alias(self, alias: Alias) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        self.aliases[alias.address.key] = alias

    def drop_alias(self, key: str) -> None:
        """See :class:`launcelot.accounts.tables.Tables`."""
        del self.aliases[key]

    def aliases_to(self, key: str) -> Sequence[Alias]:
        """See :class:`launcelot.accounts.tables.Tables`; a walk over all aliases."""
        return [
            alias
            for alias in self.aliases.values()
            if any(key in (target.key, base_of(target).key) for target in alias.targets)
        ]


class MemoryDirectory(LocalDirectory):
    """A :class:`launcelot.accounts.interface.Directory` in memory; parameters as :class:`LocalDirectory`'s."""

    def __init__(self, domains: Sequence[str], hasher: Hasher, ids: Callable[[], str] = random_id) -> None:
        super().__init__(domains, hasher, ids)
        self._tables = MemoryTables()

    def _look(self, question: Callable[[View], T]) -> T:
        return question(self._tables)

    def _look_anywhere(self, question: Callable[[View], T]) -> T:
        return question(self._tables)

    async def _change(self, work: Callable[[Tables], T]) -> T:
        return work(self._tables)

    async def _stewards(self) -> Sequence[Account]:
        enabled = [record.account for _, record in sorted(self._tables.by_id.items()) if record.account.enabled]
        return [one for one in enabled if one.administrator] or enabled[:1]

    async def accounts(self) -> Sequence[Account]:
        """See :meth:`launcelot.accounts.interface.Directory.accounts`."""
        return sorted((record.account for record in self._tables.by_id.values()), key=lambda one: one.name)

    async def groups(self) -> Sequence[Group]:
        """See :meth:`launcelot.accounts.interface.Directory.groups`."""
        return sorted((group_of(self._tables, row) for row in self._tables.groups.values()), key=lambda one: one.name)

    async def aliases(self) -> Sequence[Alias]:
        """See :meth:`launcelot.accounts.interface.Directory.aliases`."""
        return [alias for _, alias in sorted(self._tables.aliases.items())]

    async def close(self) -> None:
        """See :meth:`launcelot.accounts.interface.Directory.close`."""
        await self._hasher.close()
