"""
One account's mail together with what others share with it: the seam between a session and everybody's mail.

:class:`SharedMail` is an ``AccountMail`` in which other people's mailboxes stand under ``Shared/<account or group>/``, as far as
their access lists let this account see them; INBOX among them is ``Shared/<name>/INBOX``.  What an account calls so itself from
earlier days stays what it was; nothing new is made there.

Rights are asked for by :mod:`launcelot.hosting.sharedmailbox` and here, and decided in :mod:`launcelot.mailstore.rights`;
commands know nothing of them.  One's own mailboxes are handed on as they are, at no cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from launcelot.accounts.interface import Account, Directory
from launcelot.core.errors import Gone, NotFound, NotPermitted, Unsupported
from launcelot.hosting.carrying import carry
from launcelot.hosting.neighbours import House, Neighbours, Owner, rights_of
from launcelot.hosting.sharedmailbox import SharedMailbox
from launcelot.mailstore import tree
from launcelot.mailstore.annotations import Annotations
from launcelot.mailstore.grants import Grants
from launcelot.mailstore.interface import (
    INBOX,
    SEPARATOR,
    AccountMail,
    Appended,
    Copied,
    Draft,
    Glance,
    Mailbox,
    MailboxInfo,
    MailStore,
    Usage,
)
from launcelot.mailstore.names import canonical, is_below, known, parents
from launcelot.mailstore.rights import FLAGS, Rights, permitted
from launcelot.mailstore.scripts import Scripts
from launcelot.workers.staging import Buffer, Staging

SHARED = "Shared"
"""The first level of names of other people's mailboxes.  RFC 2342."""
OTHERS = "names under Shared/ are other people's"
TO_SEE: Rights = frozenset("lrikxa")
"""Without any of these a mailbox does not exist.  RFC 4314 section 4 ``Any``."""


ANNOTATING: Rights = frozenset("rswip")
"""One of these is needed for annotations, beside ``l``."""


class SharedMail:
    """
    See :class:`launcelot.mailstore.interface.AccountMail`.

    :param mail: the account's own.
    :param breathe: awaited between pieces of long work.
    :ivar neighbours: everybody else.
    """

    def __init__(
        self,
        mail: AccountMail,
        account: Account,
        store: MailStore,
        directory: Directory,
        staging: Staging,
        breathe: Callable[[], Awaitable[None]],
    ) -> None:
        self.own = mail
        self.neighbours = Neighbours(account.id, store, directory)
        self._staging = staging
        self._breathe = breathe

    # -- names ---------------------------------------------------------------------------------------------------

    async def mailboxes(self) -> Sequence[MailboxInfo]:
        """All names this account sees, INBOX first, then by name."""
        own = await self.own.mailboxes()
        owners = await self.neighbours.owners()
        if not owners:
            return own
        made = {info.name: tree.Kept(info.id, info.name, info.special_use) for info in own if info.selectable}
        for owner in owners:
            for info, rights in await self._houses_names(owner):
                name = outer(owner, info.name)
                if "l" in rights and name not in made and known(name) is not None:
                    made[name] = tree.Kept(info.id, name)
        return tree.listing(made.values(), await self.own.subscriptions())

    async def _houses_names(self, owner: Owner) -> Sequence[tuple[MailboxInfo, Rights]]:
        """An owner's mailboxes and what may be done with each."""
        try:
            house = await self.neighbours.house(owner)
            lists = await house.mail.grants.all()
            infos = await house.mail.mailboxes()
        except Gone:
            return ()
        await self.neighbours.forget_stale(owner, lists.values())
        standing = await self.neighbours.standing()
        return [(info, rights_of(standing, owner, lists.get(info.id, {}))) for info in infos if info.selectable]

    async def mailbox(self, name: str) -> Mailbox:
        """
        Open a mailbox.

        :raises NotFound: there is none, or not for this account.
        """
        try:
            return await self.own.mailbox(name)
        except NotFound:
            if not is_shared(name):
                raise
        return await self._shared(name)

    async def _shared(self, name: str) -> SharedMailbox:
        house, inner = await self._place(name)
        mailbox = await house.mail.mailbox(inner)
        entries = await house.mail.grants.of(mailbox.info.id)
        rights = await self.neighbours.rights(house.owner, entries)
        if not rights & TO_SEE:
            raise NotFound("no such mailbox")
        return SharedMailbox(mailbox, outer(house.owner, mailbox.info.name), house, self.neighbours, rights, self)

    async def _place(self, name: str) -> tuple[House, str]:
        """Whose mailbox a name is, and what the owner calls it; raises NotFound."""
        levels = (known(name) or "").split(SEPARATOR, 2)
        if len(levels) < 3:
            raise NotFound("no such mailbox")
        return await self.neighbours.house_named(levels[1]), levels[2]

    async def rights(self, name: str) -> Rights:
        """
        What this account may do with a mailbox.

        :raises NotFound: it does not exist, or not for this account.
        """
        return (await self.mailbox(name)).rights

    async def annotated(self, name: str, writing: bool = False) -> tuple[Annotations, str]:
        """
        Where a mailbox's annotations are, and under which name.  RFC 5464 section 3.3.

        :param writing: whether shared ones are to be changed, which needs ``w`` of another's mailbox.
        :raises NotFound: there is no such mailbox, or not for this account.
        :raises NotPermitted: its annotations are not for this account.
        """
        if not is_shared(name) or await self._is_own(name):
            return self.own.annotations, name
        mailbox = await self._shared(name)
        rights = await mailbox.may("l", "w") if writing else await mailbox.may("l")
        if not rights & ANNOTATING:
            raise NotPermitted("the access list of the mailbox does not allow that")
        return mailbox.house.mail.annotations, mailbox.inner_name

    async def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """
        Make a mailbox; among others' it needs ``k`` on the nearest one above.

        :raises NotPermitted: that is missing.
        :raises Unsupported: others' mailboxes have no special use.
        """
        if not is_shared(canonical(name)):
            return await self.own.create(name, special_use)
        if special_use:
            raise Unsupported("other people's mailboxes have no special use")
        house, inner = await self._to_make(name)
        return replace(await house.mail.create(inner), name=outer(house.owner, canonical(inner)))

    async def _to_make(self, name: str) -> tuple[House, str]:
        """Where a mailbox is to be made, when it may be."""
        try:
            house, inner = await self._place(name)
        except NotFound:
            raise NotPermitted(OTHERS) from None
        if "k" not in await self._rights_above(house, inner):
            raise NotPermitted("the access list of the mailbox above does not allow that")
        return house, inner

    async def _rights_above(self, house: House, inner: str) -> Rights:
        """What may be done with the nearest mailbox above a name, or with the root of a group's mail."""
        for above in reversed(list(parents(canonical(inner)))):
            try:
                mailbox = await house.mail.mailbox(above)
            except NotFound:
                continue
            return await self.neighbours.rights(house.owner, await house.mail.grants.of(mailbox.info.id))
        return await self.neighbours.rights(house.owner, {})

    async def delete(self, name: str) -> None:
        """Delete a mailbox; another's needs ``x``."""
        if not is_shared(name) or await self._is_own(name):
            await self.own.delete(name)
            return
        mailbox = await self._shared(name)
        await mailbox.may("x")
        await mailbox.house.mail.delete(mailbox.inner_name)

    async def rename(self, name: str, to: str) -> None:
        """
        Rename a mailbox and all below it; another's needs ``x``, and ``k`` on the nearest above the new name.

        :raises NotPermitted: that is missing, or it would go to another account, or it is another's INBOX.
        """
        target = canonical(to)
        if not is_shared(name) or await self._is_own(name):
            if is_shared(target):
                raise NotPermitted(OTHERS)
            await self.own.rename(name, to)
            return
        mailbox = await self._shared(name)
        await mailbox.may("x")
        if mailbox.inner_name == INBOX:
            raise NotPermitted("another's INBOX cannot be renamed")
        if not is_below(target, outer(mailbox.house.owner, "")[:-1]):
            raise NotPermitted("mailboxes cannot move from one account to another")
        house, inner = await self._to_make(to)
        await house.mail.rename(mailbox.inner_name, inner)

    async def designate(self, name: str, special_use: str) -> None:
        """
        Say what a mailbox is for.

        :raises Unsupported: others' mailboxes have no special use.
        """
        if not is_shared(name) or await self._is_own(name):
            await self.own.designate(name, special_use)
        elif special_use:
            raise Unsupported("other people's mailboxes have no special use")

    async def _is_own(self, name: str) -> bool:
        found = known(name)
        return any(info.name == found for info in await self.own.mailboxes())

    # -- subscriptions -------------------------------------------------------------------------------------------

    async def subscriptions(self) -> Sequence[str]:
        """Subscribed names; others' mailboxes only while they can be seen."""
        names = await self.own.subscriptions()
        if not any(map(is_shared, names)):
            return names
        seen = {info.name for info in await self.mailboxes()}
        return [name for name in names if not is_shared(name) or name in seen]

    async def subscribe(self, name: str, subscribed: bool = True) -> None:
        """Set or clear a subscription; to another's mailbox it needs ``l``."""
        if subscribed and is_shared(canonical(name)) and not await self._is_own(name):
            mailbox = await self._shared(name)
            await mailbox.may("l")
            name = mailbox.info.name
        await self.own.subscribe(name, subscribed)

    # -- messages between mailboxes ------------------------------------------------------------------------------

    async def copy(self, source: Mailbox, uids: Sequence[int], target: str) -> Copied:
        """
        Copy messages from an open mailbox to a name; all or none.

        :raises NotFound: no such target.
        :raises NotPermitted: nothing may be added there.
        """
        if not isinstance(source, SharedMailbox):
            try:
                return await source.copy(uids, target)
            except NotFound:
                if not is_shared(target):
                    raise
        to = await self._target(target)
        inner = within_one_file(source, to)
        if inner is not None:
            return await inner[0].copy(uids, inner[1])
        return await self._carry(source, uids, to)

    async def move(self, source: Mailbox, uids: Sequence[int], target: str) -> Copied:
        """
        Copy messages likewise, and remove them; within one account in one transaction, else one after the other.

        :raises NotPermitted: nothing may be added there, or taken from here.
        """
        if not isinstance(source, SharedMailbox):
            try:
                return await source.move(uids, target)
            except NotFound:
                if not is_shared(target):
                    raise
        else:
            await source.may("t", "e")
        to = await self._target(target)
        inner = within_one_file(source, to)
        if inner is not None:
            return await inner[0].move(uids, inner[1])
        moved = await self._carry(source, uids, to)
        await source.remove(moved.source)
        return moved

    async def replace(self, source: Mailbox, uid: int, body: Buffer, target: str, draft: Draft) -> Appended:
        """Add a message and remove one; within one account in one transaction, else one after the other."""
        if not isinstance(source, SharedMailbox):
            try:
                return await source.replace(uid, body, target, draft)
            except NotFound:
                if not is_shared(target):
                    raise
        else:
            await source.may("t", "e")
        to = await self._target(target)
        draft = replace(draft, flags=permitted(draft.flags, to.rights))
        if owner_of(source) == owner_of(to):
            return await innermost(source).replace(uid, body, innermost(to).info.name, draft)
        if not await source.states([uid]):
            raise Gone("the message has been removed")
        appended = await to.append(body, draft.flags, draft.internal_date)
        await source.remove([uid])
        return appended

    async def _target(self, name: str) -> Mailbox:
        """A mailbox that messages may be added to."""
        mailbox = await self.mailbox(name)
        if isinstance(mailbox, SharedMailbox):
            await mailbox.may("i")
        return mailbox

    async def _carry(self, source: Mailbox, uids: Sequence[int], to: Mailbox) -> Copied:
        if isinstance(source, SharedMailbox):
            await source.may("r")
        return await carry(source, uids, to, self._staging, self._breathe)

    # -- what it takes -------------------------------------------------------------------------------------------

    async def owner(self, name: str) -> Owner | None:
        """
        Whose quota a mailbox counts for; it need not exist.  None for this account's own.

        :raises NotFound: the name is another's who has nothing for this account.
        """
        if not is_shared(name) or await self._is_own(name):
            return None
        return (await self._place(name))[0].owner

    # -- the account's own ---------------------------------------------------------------------------------------

    @property
    def annotations(self) -> Annotations:
        """Annotations of the account's own mail."""
        return self.own.annotations

    @property
    def grants(self) -> Grants:
        """Access lists of the account's own mail."""
        return self.own.grants

    @property
    def scripts(self) -> Scripts:
        """Sieve scripts of the account's own mail."""
        return self.own.scripts

    async def glances(self, numbers: Collection[int] | None = None) -> Sequence[Glance]:
        """How the account's own mailboxes stand."""
        return await self.own.glances(numbers)

    def watch(self, changed: Callable[[Collection[int]], None]) -> Callable[[], None]:
        """Have ``changed`` called after every commit to the account's own mail."""
        return self.own.watch(changed)

    async def deliver(
        self,
        body: Buffer,
        delivery: str,
        mailbox: str = INBOX,
        flags: Collection[str] = (),
        unless_scripted: bool = False,
    ) -> Appended | None:
        """Deliver once, into the account's own mail."""
        return await self.own.deliver(body, delivery, mailbox, flags, unless_scripted)

    async def forget_deliveries(self, deliveries: Sequence[str]) -> None:
        """Drop keys that will not come again."""
        await self.own.forget_deliveries(deliveries)

    def limit(self, quota: int, messages: int = 0) -> None:
        """Change the limits of the account's own mail."""
        self.own.limit(quota, messages)

    async def usage(self) -> Usage:
        """What the account's own mail takes."""
        return await self.own.usage()

    def lock(self) -> Callable[[], None]:
        """Take the account's own maildrop for one POP3 session."""
        return self.own.lock()


def outer(owner: Owner, name: str) -> str:
    """What others call an owner's mailbox."""
    return SEPARATOR.join((SHARED, owner.name, name))


def is_shared(name: str) -> bool:
    """Whether a name is where other people's mailboxes are."""
    return name == SHARED or name.startswith(SHARED + SEPARATOR)


def innermost(mailbox: Mailbox) -> Mailbox:
    """The store's own mailbox behind one that is shared."""
    return mailbox.inner if isinstance(mailbox, SharedMailbox) else mailbox


def owner_of(mailbox: Mailbox) -> str:
    """Tells mailboxes of one file from those of another; empty for this account's own."""
    return mailbox.house.owner.id if isinstance(mailbox, SharedMailbox) else ""


def within_one_file(source: Mailbox, target: Mailbox) -> tuple[Mailbox, str] | None:
    """
    The store's own source and the name of the target, if one transaction can do it.

    It cannot between files, nor where flags must be left out on the way.
    """
    if owner_of(source) != owner_of(target) or not target.rights >= FLAGS:
        return None
    return innermost(source), innermost(target).info.name
