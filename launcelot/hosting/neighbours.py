"""
Other people's mail as one account sees it: who may have something for it, and what it may do there.

Nothing is cached here: every question is put to the directory (which answers from memory) and to the mailbox's own access
list, so that a grant, a membership or an account that is taken away counts from the next question on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcelot.accounts.interface import Account, Directory, Group, Offer, Standing
from launcelot.core.errors import Gone, NotFound
from launcelot.core.ids import AccountId
from launcelot.mailstore.interface import AccountMail, MailStore
from launcelot.mailstore.rights import MEMBERS, STEWARDS, Entries, Rights, decide, group_identity, identities

Owner = Account | Group


@dataclass(frozen=True, slots=True)
class House:
    """Somebody's mail."""

    owner: Owner
    mail: AccountMail


class Neighbours:
    """
    The mail of others.

    :param person: who looks.
    """

    def __init__(self, person: AccountId, store: MailStore, directory: Directory) -> None:
        self.person = person
        self._store = store
        self.directory = directory

    async def standing(self) -> Standing:
        """
        Who looks, now.

        :raises Gone: the account has been removed or disabled.
        """
        try:
            return await self.directory.standing(self.person)
        except NotFound:
            raise Gone("the account has been removed") from None

    async def owners(self) -> Sequence[Owner]:
        """Everybody whose mail may have something for this account, by name."""
        standing = await self.standing()
        found: dict[AccountId, Owner] = {}
        if standing.account.administrator:
            found = {group.id: group for group in await self.directory.groups()}
        offers = await self.directory.offers(identities(self.person, standing.groups))
        for id in (*standing.groups, *(offer.owner for offer in offers)):
            if id != self.person and id not in found:
                try:
                    found[id] = await self.directory.holder(id)
                except NotFound:
                    continue
        return sorted(found.values(), key=lambda owner: owner.name)

    async def house(self, owner: Owner) -> House:
        """The mail of an owner, with the owner's limits."""
        return House(owner, await self._store.mail(owner.id, owner.quota, owner.messages))

    async def house_named(self, name: str) -> House:
        """
        The mail of somebody who may have something for this account.

        :raises NotFound: there is nobody of this name who may.
        """
        for owner in await self.owners():
            if owner.name == name:
                return await self.house(owner)
        raise NotFound("no such mailbox")

    async def rights(self, owner: Owner, entries: Entries) -> Rights:
        """
        What this account may do with a mailbox.

        :param entries: the mailbox's access list; empty for the root of a group's mail.
        :raises Gone: the account that looks, or the owner, has been removed.
        """
        standing = await self.standing()
        if isinstance(owner, Account):
            try:
                await self.directory.holder(owner.id)
            except NotFound:
                raise Gone("the owner has been removed") from None
        return rights_of(standing, owner, entries)

    async def forget_stale(self, owner: Owner, lists: Iterable[Entries]) -> None:
        """Withdraw offers with nothing behind them; ``lists`` are all access lists of the owner's mail."""
        granted = {identity for entries in lists for identity in entries}
        standing = await self.standing()
        offers: Sequence[Offer] = await self.directory.offers(identities(self.person, standing.groups) - granted)
        for offer in offers:
            if offer.owner == owner.id:
                await self.directory.withdraw(offer)


def rights_of(standing: Standing, owner: Owner, entries: Entries) -> Rights:
    """
    What somebody may do with a mailbox that is another's.

    Members of a group have :data:`MEMBERS` on its mail as long as the access list does not say otherwise of the group;
    administrators can always see it and set its access list.
    """
    who = identities(standing.account.id, standing.groups)
    if isinstance(owner, Account):
        return decide(entries, who)
    rights = decide({group_identity(owner.id): MEMBERS, **entries}, who)
    return rights | STEWARDS if standing.account.administrator else rights
