"""
Rows that have been read on one connection since anything changed: what :mod:`launcelot.accounts.sqlite` answers from.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from launcelot.accounts.interface import Alias, Expansion, Offer
from launcelot.accounts.tables import FolderRow, GroupRow, Record, Tables, View
from launcelot.core.filerights import Right
from launcelot.core.ids import AccountId
from launcelot.message.address import Address

T = TypeVar("T")

MAX_CACHED: Final = 4_096
"""Rows, and absences of rows, of each kind that are kept between questions."""


class Unknown(Exception):
    """It has to be read."""


class CachedView:
    """
    Rows that have been read on one connection since anything changed.

    :param connection: the cache is good for no other, because ``data_version`` only means something within one.
    :param tables: reads rows on it.
    :param sure: seconds for which what is known is not asked about again.
    """

    def __init__(self, connection: sqlite3.Connection, tables: Tables, sure: float = 0.0) -> None:
        self.connection = connection
        self._sure = sure
        self._sure_until = -math.inf
        self._only_known = False
        self._version = -1
        self._tables = tables
        self._named: dict[str, Record | None] = {}
        self._accounts: dict[str, Record | None] = {}
        self._aliases: dict[str, Alias | None] = {}
        self._with: dict[str, Record | None] = {}
        self._groups_named: dict[str, GroupRow | None] = {}
        self._groups_at: dict[str, GroupRow | None] = {}
        self._groups_with: dict[str, GroupRow | None] = {}
        self._memberships: dict[str, frozenset[AccountId]] = {}
        self._offers: dict[str, tuple[Offer, ...]] = {}
        self._folders_with: dict[str, FolderRow | None] = {}
        self._grants_to: dict[str, tuple[tuple[AccountId, Right], ...]] = {}
        self._expansions: dict[Address, Expansion] = {}
        self._secret = b""
        self._apop: bool | None = None

    def expansion(self, address: Address, expand: Callable[[View], Expansion]) -> Expansion:
        """
        Who receives mail for an address, as every message asks twice: remembered until somebody commits something.

        :param expand: finds it out.
        """
        found = self._expansions.get(address)
        if found is not None and self._is_current():
            return found
        found = self.ask(expand)
        if len(self._expansions) >= MAX_CACHED:
            self._expansions.clear()
        self._expansions[address] = found
        return found

    def _is_current(self) -> bool:
        """Whether nobody has committed anything since what is known was read, or at least until a moment ago."""
        now = self._now()
        if now < self._sure_until:
            return True
        if self._data_version() != self._version:
            return False
        self._sure_until = now + self._sure
        return True

    def _now(self) -> float:
        return time.monotonic() if self._sure else 0.0

    def _data_version(self) -> int:
        version: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def ask(self, question: Callable[[View], T]) -> T:
        """Answer from one consistent state, which is the last committed one, or was a moment ago."""
        if self._is_current():
            self._only_known = True
            try:
                return question(self)
            except Unknown:
                pass
            finally:
                self._only_known = False
        self.connection.execute("BEGIN")
        try:
            version = self._data_version()
            if version != self._version:
                for cache in (self._named, self._accounts, self._aliases, self._with):
                    cache.clear()
                for others in (self._groups_named, self._groups_at, self._groups_with, self._memberships, self._offers):
                    others.clear()
                for folders in (self._folders_with, self._grants_to):
                    folders.clear()
                self._expansions.clear()
                self._apop = None
                self._version = version
            self._sure_until = self._now() + self._sure
            return question(self)
        finally:
            self.connection.execute("ROLLBACK")

    def unsure(self) -> None:
        """Something has been changed here."""
        self._sure_until = -math.inf

    @property
    def _read(self) -> Tables:
        if self._only_known:
            raise Unknown
        return self._tables

    def _cached(self, cache: dict[str, T], key: str, read: Callable[[str], T]) -> T:
        """What the cache has for a key, read if it must be; a full cache begins anew."""
        try:
            return cache[key]
        except KeyError:
            if self._only_known:
                raise Unknown from None
        if len(cache) >= MAX_CACHED:
            cache.clear()
        value = cache[key] = read(key)
        return value

    def secret(self) -> bytes:
        """See :class:`launcelot.accounts.tables.View`."""
        if not self._secret:
            self._secret = self._read.secret()
        return self._secret

    def account_named(self, name: str) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._named, name, self._tables.account_named)

    def account_at(self, key: str) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._accounts, key, self._tables.account_at)

    def any_apop(self) -> bool:
        """See :class:`launcelot.accounts.tables.View`."""
        if self._apop is None:
            self._apop = self._read.any_apop()
        return self._apop

    def alias_at(self, key: str) -> Alias | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._aliases, key, self._tables.alias_at)

    def account_with(self, id: AccountId) -> Record | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._with, id, lambda key: self._tables.account_with(AccountId(key)))

    def group_named(self, name: str) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._groups_named, name, self._tables.group_named)

    def group_at(self, key: str) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._groups_at, key, self._tables.group_at)

    def group_with(self, id: AccountId) -> GroupRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._groups_with, id, lambda key: self._tables.group_with(AccountId(key)))

    def groups_of(self, id: AccountId) -> frozenset[AccountId]:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._memberships, id, lambda key: self._tables.groups_of(AccountId(key)))

    def offers_to(self, identity: str) -> tuple[Offer, ...]:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._offers, identity, self._tables.offers_to)

    def folder_keyed(self, key: str) -> FolderRow | None:
        """See :class:`launcelot.accounts.tables.View`; what only administration asks is read each time, as the next two."""
        return self._read.folder_keyed(key)

    def folders(self) -> Sequence[FolderRow]:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._read.folders()

    def grants_on(self, folder: AccountId) -> Mapping[str, Right]:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._read.grants_on(folder)

    def folder_with(self, id: AccountId) -> FolderRow | None:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._folders_with, id, lambda key: self._tables.folder_with(AccountId(key)))

    def grants_to(self, identity: str) -> tuple[tuple[AccountId, Right], ...]:
        """See :class:`launcelot.accounts.tables.View`."""
        return self._cached(self._grants_to, identity, self._tables.grants_to)
