"""
Groups of accounts, and who has been offered something by whom.

A group is a set of accounts with a name of its own, which no account has, and with mail of its own under its id.  An *offer*
says that an owner's mail may have a mailbox that somebody was given rights on; it only spares looking through everybody's
mail, the rights themselves are kept with the mailbox.  Offers go with either side.

:class:`LocalGroups` has the rules, on top of the tables of :mod:`launcelot.accounts.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from launcelot.accounts.interface import Account, Alias, Group, Offer, Standing
from launcelot.accounts.names import canonical
from launcelot.accounts.resolution import CATCH_ALL, holds_address, look
from launcelot.accounts.tables import GroupRow, Tables, View, base_of
from launcelot.core.errors import Exists, Invalid, LimitReached, NotFound
from launcelot.core.ids import AccountId
from launcelot.message.address import Address

T = TypeVar("T")

MAX_MEMBERS = 10_000
"""Members of one group."""
MAX_FORWARDS = 1_000
"""Addresses elsewhere of one group, or of one alias."""
RESERVED = frozenset({"anyone", "anonymous"})
"""Names that mean something in access lists.  RFC 4314 section 2."""


class LocalGroups:
    """The part of a directory that is about groups; the other part is :class:`launcelot.accounts.local.LocalDirectory`."""

    def _look(self, question: Callable[[View], T]) -> T:
        raise NotImplementedError

    async def _change(self, work: Callable[[Tables], T]) -> T:
        raise NotImplementedError

    def _fresh_id(self, tables: Tables) -> AccountId:
        raise NotImplementedError

    def _check_address(self, address: Address) -> None:
        raise NotImplementedError

    def _check_elsewhere(self, address: Address) -> None:
        raise NotImplementedError

    # -- who is who ----------------------------------------------------------------------------------------------

    async def standing(self, id: AccountId) -> Standing:
        """See :meth:`launcelot.accounts.interface.Directory.standing`."""

        def question(view: View) -> Standing:
            record = view.account_with(id)
            if record is None or not record.account.enabled:
                raise NotFound("no such account")
            return Standing(record.account, view.groups_of(id))

        return self._look(question)

    async def holder(self, id: AccountId) -> Account | Group:
        """See :meth:`launcelot.accounts.interface.Directory.holder`."""

        def question(view: View) -> Account | Group:
            record = view.account_with(id)
            if record is not None:
                return record.account
            row = view.group_with(id)
            if row is None:
                raise NotFound("no such account or group")
            return group_of(view, row)

        return self._look(question)

    async def group(self, name: str) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.group`."""
        return self._look(lambda view: group_of(view, required_group(view, name)))

    # -- changing groups -----------------------------------------------------------------------------------------

    async def add_group(self, name: str, quota: int = 0, messages: int = 0) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.add_group`."""
        form = canonical(name)
        if form != name:
            raise Invalid(f"the canonical form of this name is {form!r}")
        check_limits(quota, messages)

        def work(tables: Tables) -> Group:
            check_name(tables, name)
            row = GroupRow(self._fresh_id(tables), name, frozenset(), quota, messages)
            tables.put_group(row)
            return group_of(tables, row)

        return await self._change(work)

    async def change_group(self, name: str, *, quota: int | None = None, messages: int | None = None) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.change_group`."""
        check_limits(quota or 0, messages or 0)

        def work(tables: Tables) -> Group:
            row = required_group(tables, name)
            row = replace(
                row,
                quota=row.quota if quota is None else quota,
                messages=row.messages if messages is None else messages,
            )
            tables.put_group(row)
            return group_of(tables, row)

        return await self._change(work)

    async def address_group(self, name: str, address: Address | None) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.address_group`."""
        if address is not None:
            self._check_address(address)
            if address.local == CATCH_ALL:
                raise Invalid("a group cannot be a catch-all; make an alias")

        def work(tables: Tables) -> Group:
            row = required_group(tables, name)
            if address is not None and address.key != (row.address.key if row.address else "") and holds_address(tables, address):
                raise Exists("the address is taken")
            tables.put_group(replace(row, address=address))
            if row.address is not None and (address is None or address.key != row.address.key):
                prune(tables, row.address)
            return group_of(tables, required_group(tables, name))

        return await self._change(work)

    async def change_members(self, name: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.change_members`."""

        def work(tables: Tables) -> Group:
            row = required_group(tables, name)
            members = (row.members | ids_of(tables, add)) - ids_of(tables, remove)
            if len(members) > MAX_MEMBERS:
                raise LimitReached("too many members")
            row = replace(row, members=members)
            tables.put_group(row)
            return group_of(tables, row)

        return await self._change(work)

    async def change_forwards(self, name: str, add: Sequence[Address] = (), remove: Sequence[Address] = ()) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.change_forwards`."""
        for address in add:
            self._check_elsewhere(address)
        gone = {address.key for address in remove}

        def work(tables: Tables) -> Group:
            row = required_group(tables, name)
            left = {address.key: address for address in (*row.forwards, *add) if address.key not in gone}
            if len(left) > MAX_FORWARDS:
                raise LimitReached("too many addresses elsewhere")
            row = replace(row, forwards=tuple(left.values()))
            tables.put_group(row)
            return group_of(tables, row)

        return await self._change(work)

    async def remove_group(self, name: str) -> Group:
        """See :meth:`launcelot.accounts.interface.Directory.remove_group`."""

        def work(tables: Tables) -> Group:
            row = required_group(tables, name)
            group = group_of(tables, row)
            tables.drop_group(row.id)
            if row.address is not None:
                prune(tables, row.address)
            return group

        return await self._change(work)

    # -- offers --------------------------------------------------------------------------------------------------

    async def offer(self, owner: AccountId, identity: str) -> None:
        """See :meth:`launcelot.accounts.interface.Directory.offer`."""

        def work(tables: Tables) -> None:
            if tables.account_with(owner) is None and tables.group_with(owner) is None:
                raise NotFound("no such account or group")
            tables.put_offer(owner, identity)

        await self._change(work)

    async def offers(self, identities: Collection[str]) -> Sequence[Offer]:
        """See :meth:`launcelot.accounts.interface.Directory.offers`."""
        return self._look(lambda view: [one for identity in sorted(identities) for one in view.offers_to(identity)])

    async def withdraw(self, offer: Offer) -> None:
        """See :meth:`launcelot.accounts.interface.Directory.withdraw`."""
        await self._change(lambda tables: tables.drop_offer(offer))


def check_name(view: View, name: str) -> None:
    """
    Whether a new account or group may have a name.

    :raises Exists: it is taken.
    :raises Invalid: it means something else.
    """
    if name in RESERVED:
        raise Invalid("the name is reserved")
    if view.account_named(name) is not None or view.group_named(name) is not None:
        raise Exists("the name is taken")


def check_limits(quota: int, messages: int) -> None:
    """Raise Invalid for limits that are none."""
    if not (0 <= quota < 1 << 63 and 0 <= messages < 1 << 63):
        raise Invalid("a limit cannot be negative")


def required_group(view: View, name: str) -> GroupRow:
    """The group with a name, however spelled; raises NotFound."""
    try:
        row = view.group_named(canonical(name))
    except Invalid:
        row = None
    if row is None:
        raise NotFound("no such group")
    return row


def group_of(view: View, row: GroupRow) -> Group:
    """A group with its members' names."""
    records = [record for member in row.members if (record := view.account_with(member)) is not None]
    names = tuple(sorted(record.account.name for record in records))
    return Group(row.id, row.name, names, row.quota, row.messages, row.address, row.forwards)


def ids_of(view: View, names: Sequence[str]) -> frozenset[AccountId]:
    """The ids of accounts by log-in name; raises NotFound."""
    found: set[AccountId] = set()
    for name in names:
        try:
            record = view.account_named(canonical(name))
        except Invalid:
            record = None
        if record is None:
            raise NotFound(f"no such account: {name[:64]!r}")
        found.add(record.account.id)
    return frozenset(found)


def prune(tables: Tables, gone: Address) -> None:
    """Take a removed address out of all aliases, and aliases that are left without targets with it."""
    waiting = [gone]
    while waiting:
        key = waiting.pop().key
        for alias in tables.aliases_to(key):
            left = tuple(
                target for target in alias.targets
                if key not in (target.key, base_of(target).key) or look(tables, target) is not None
            )  # fmt: skip
            if not left:
                tables.drop_alias(alias.address.key)
                waiting.append(alias.address)
            elif left != alias.targets:
                tables.put_alias(Alias(alias.address, left))
