"""
Access lists as people see them: identifiers in the place of identities, and who may change what.  RFC 4314 section 3.

An identifier is the log-in name (or the address) of an account, ``group:`` and the name of a group, or ``anyone``; a dash before
it makes a negative entry.  What has been removed since is not told, and never fits anybody again.

An account always has all rights on its own mailboxes, and members of a group have theirs until its entry is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcelot.accounts.interface import Account, Directory, Group
from launcelot.core.errors import Invalid, NotFound, NotPermitted
from launcelot.core.ids import AccountId
from launcelot.hosting.neighbours import Owner
from launcelot.hosting.sharedmailbox import SharedMailbox
from launcelot.hosting.sharing import SharedMail
from launcelot.mailstore.grants import Grants
from launcelot.mailstore.rights import (
    ALL,
    ANYONE,
    MEMBERS,
    NONE,
    Change,
    Rights,
    account_identity,
    group_identity,
)

GROUP = "group:"
"""What stands before the names of groups."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """One mailbox's list, to be read and changed by who may."""

    owner: Owner
    mailbox: str
    grants: Grants


class AccessLists:
    """
    The access lists of all mailboxes that an account administers.

    :param account: who administers.
    """

    def __init__(self, mail: SharedMail, account: Account, directory: Directory) -> None:
        self._mail = mail
        self._account = account
        self._directory = directory

    async def _of(self, name: str) -> AccessList:
        """
        The list of a mailbox.

        :raises NotFound: there is none, or this account cannot see it.
        :raises NotPermitted: it has no ``a`` on it.
        """
        mailbox = await self._mail.mailbox(name)
        if isinstance(mailbox, SharedMailbox):
            await mailbox.may("a")
            return AccessList(mailbox.house.owner, mailbox.info.id, mailbox.house.mail.grants)
        return AccessList(self._account, mailbox.info.id, self._mail.own.grants)

    async def entries(self, name: str) -> Sequence[tuple[str, Rights]]:
        """All entries by identifier: the owner's own first, then by identity."""
        found = await self._of(name)
        kept = dict(await found.grants.of(found.mailbox))
        if isinstance(found.owner, Account):
            told = [(found.owner.name, ALL)]
        else:
            own = group_identity(found.owner.id)
            told = [(GROUP + found.owner.name, kept.pop(own, MEMBERS))]
        for identity, rights in sorted(kept.items()):
            identifier = await self._identifier(identity)
            if identifier is not None:
                told.append((identifier, rights))
        return told

    async def change(self, name: str, identifier: str, change: Change, rights: Rights) -> None:
        """
        Change an entry, or remove it by taking all of its rights.

        An offer is made before the entry, and anew behind it, so that whatever happens in between who has been given
        something finds it; see :meth:`launcelot.hosting.neighbours.Neighbours.forget_stale`.

        :raises NotPermitted: it is the owner's.
        :raises Invalid: there is nobody of this name.
        """
        found = await self._of(name)
        identity = await self._identity(identifier)
        if is_owner(found.owner, identity):
            raise NotPermitted("the owner's rights cannot be changed")
        if isinstance(found.owner, Group) and identity == group_identity(found.owner.id):
            # Without an entry they have what members have by themselves; that is where a change begins.
            now = change.apply((await found.grants.of(found.mailbox)).get(identity, MEMBERS), rights)
            await found.grants.change(found.mailbox, identity, Change.REPLACE, now, keep=True)
            return
        await self._forget_the_dead(found)
        offered = change is not Change.REMOVE and bool(rights) and not identity.startswith("-")
        if offered:
            await self._directory.offer(found.owner.id, identity)
        await found.grants.change(found.mailbox, identity, change, rights)
        if offered:
            await self._directory.offer(found.owner.id, identity)

    async def remove(self, name: str, identifier: str) -> None:
        """Remove an entry; a group's members have on its own mail what they have by themselves then."""
        found = await self._of(name)
        identity = await self._identity(identifier)
        if is_owner(found.owner, identity):
            raise NotPermitted("the owner's rights cannot be changed")
        await found.grants.change(found.mailbox, identity, Change.REPLACE, NONE)

    async def grantable(self, name: str, identifier: str) -> tuple[Rights, Rights]:
        """The rights somebody always has on a mailbox, and those that can be granted, each by itself."""
        found = await self._of(name)
        return (ALL, NONE) if is_owner(found.owner, await self._identity(identifier)) else (NONE, ALL)

    async def _forget_the_dead(self, found: AccessList) -> None:
        """Remove entries for accounts and groups that are no more, which nobody sees and which would fill the list."""
        for identity in await found.grants.of(found.mailbox):
            if await self._identifier(identity) is None:
                await found.grants.change(found.mailbox, identity, Change.REPLACE, NONE)

    # -- names -----------------------------------------------------------------------------------------------------

    async def _identity(self, identifier: str) -> str:
        """
        Who an identifier is.

        :raises Invalid: nobody.
        """
        dash = "-" if identifier.startswith("-") else ""
        name = identifier[len(dash) :]
        if name == ANYONE:
            return dash + ANYONE
        try:
            if name.startswith(GROUP):
                return dash + group_identity((await self._directory.group(name[len(GROUP) :])).id)
            return dash + account_identity((await self._directory.account(name)).id)
        except NotFound:
            raise Invalid("there is no such account or group") from None

    async def _identifier(self, identity: str) -> str | None:
        """What somebody is called now; None for who is no more."""
        dash = "-" if identity.startswith("-") else ""
        if identity[len(dash) :] == ANYONE:
            return dash + ANYONE
        try:
            holder = await self._directory.holder(AccountId(identity.partition(":")[2]))
        except NotFound:
            return None
        return dash + (GROUP if isinstance(holder, Group) else "") + holder.name


def is_owner(owner: Owner, identity: str) -> bool:
    """Whether this is the account that owns the mail; a negative entry for it is none either."""
    return isinstance(owner, Account) and identity.removeprefix("-") == account_identity(owner.id)
