"""
What a local directory keeps, seen as tables: the seam below which memory and SQLite differ.

Everything here is synchronous.  Keys are those of :class:`launcelot.message.address.Address`.  One address key belongs to
one account, one alias or one group, never to two; whoever changes the tables sees to it, inside one change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from launcelot.accounts.interface import Account, Alias, Offer
from launcelot.core.filerights import Right
from launcelot.core.ids import AccountId
from launcelot.message.address import Address, split_detail


@dataclass(frozen=True, slots=True)
class Record:
    """
    An account with what nobody outside this package sees.

    :ivar hash: of the password, encoded.
    :ivar scram: what :func:`launcelot.core.scram.read_keys` reads; empty where there are no keys yet, or cannot be any.
    :ivar apop: the secret for APOP as it is; empty where there is none, as the account itself says.
    """

    account: Account
    hash: str = field(repr=False)
    scram: str = field(default="", repr=False)
    apop: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group with its members' ids; see :class:`launcelot.accounts.groups.Group`."""

    id: AccountId
    name: str
    members: frozenset[AccountId]
    quota: int = 0
    messages: int = 0
    address: Address | None = None
    forwards: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A team folder without its grants; ``key`` is what its name is compared by."""

    id: AccountId
    name: str
    key: str
    quota: int = 0


class View(Protocol):
    """One consistent state of the tables."""

    def secret(self) -> bytes:
        """32 octets that were drawn when the tables were made and that nobody outside knows."""

    def account_named(self, name: str) -> Record | None:
        """The account with this canonical name."""

    def account_at(self, key: str) -> Record | None:
        """The account whose primary address this is."""

    def any_apop(self) -> bool:
        """Whether any account has a secret for APOP."""

    def alias_at(self, key: str) -> Alias | None:
        """The alias for exactly this address."""

    def account_with(self, id: AccountId) -> Record | None:
        """The account with this id."""

    def group_named(self, name: str) -> GroupRow | None:
        """The group with this canonical name."""

    def group_at(self, key: str) -> GroupRow | None:
        """The group whose address this is."""

    def group_with(self, id: AccountId) -> GroupRow | None:
        """The group with this id."""

    def groups_of(self, id: AccountId) -> frozenset[AccountId]:
        """The groups an account is a member of."""

    def offers_to(self, identity: str) -> tuple[Offer, ...]:
        """What has been offered to somebody, by owner."""

    def folder_keyed(self, key: str) -> FolderRow | None:
        """The team folder whose name is compared by this."""

    def folder_with(self, id: AccountId) -> FolderRow | None:
        """The team folder with this id."""

    def folders(self) -> Sequence[FolderRow]:
        """All team folders."""

    def grants_on(self, folder: AccountId) -> Mapping[str, Right]:
        """What has been granted on a team folder, by identity."""

    def grants_to(self, identity: str) -> tuple[tuple[AccountId, Right], ...]:
        """What has been granted to somebody, by team folder."""


class Tables(View, Protocol):
    """The tables within one change, which happens as a whole or not at all."""

    def is_used(self, id: AccountId) -> bool:
        """Whether an account, a group or a team folder has this id or ever had it."""

    def put_account(self, record: Record) -> None:
        """Insert an account, or replace the one with its id."""

    def drop_account(self, id: AccountId) -> None:
        """Remove an account, its memberships, offers from and to it, and what was granted to it; its id stays used."""

    def put_group(self, row: GroupRow) -> None:
        """Insert a group, or replace the one with its id."""

    def drop_group(self, id: AccountId) -> None:
        """Remove a group, offers from and to it, and what was granted to it; its id stays used."""

    def put_offer(self, owner: AccountId, identity: str) -> None:
        """Make an offer, or one that is there anew."""

    def drop_offer(self, offer: Offer) -> None:
        """Remove an offer unless it has been made anew."""

    def put_folder(self, row: FolderRow) -> None:
        """Insert a team folder, or replace the one with its id."""

    def drop_folder(self, id: AccountId) -> None:
        """Remove a team folder with its grants; its id stays used."""

    def put_grant(self, folder: AccountId, identity: str, rights: Right) -> None:
        """Have somebody have exactly these rights in a team folder."""

    def put_alias(self, alias: Alias) -> None:
        """Insert an alias, or replace the one for its address."""

    def drop_alias(self, key: str) -> None:
        """Remove an alias."""

    def aliases_to(self, key: str) -> Sequence[Alias]:
        """The aliases with a target at this address, with or without detail."""


def base_of(address: Address) -> Address:
    """The address without its detail; itself if it has none."""
    base, _ = split_detail(address.local)
    return address if base == address.local else Address(base, address.domain)
