"""
Mail in memory: complete, with change log, expunge log and watchers; for tests, demos and throw-away accounts.

What it holds is gone with the process; all else is as :mod:`launcelot.mailstore.interface` says.  Nothing here ever waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from launcelot.core.errors import Exists, Gone, InUse, Invalid, LimitReached, NotFound
from launcelot.core.ids import AccountId
from launcelot.mailstore import tree
from launcelot.mailstore.annotations import Annotations
from launcelot.mailstore.flags import Flags, sort_out
from launcelot.mailstore.grants import Grants
from launcelot.mailstore.interface import (
    INBOX,
    SEPARATOR,
    AccountMail,
    Appended,
    Filing,
    Furnishing,
    Glance,
    Mailbox,
    MailboxInfo,
    Outgoing,
    Scripted,
    Usage,
    nothing_beside,
)
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.memoryannotations import MemoryAnnotations, Notes
from launcelot.mailstore.memorygrants import MemoryGrants
from launcelot.mailstore.memorymailbox import MemoryMailbox, add_message, copy_entries
from launcelot.mailstore.memoryscripts import Drawer, MemoryScripts
from launcelot.mailstore.memoryshelf import Shelf
from launcelot.mailstore.names import canonical, known, order
from launcelot.mailstore.scripts import Scripts
from launcelot.mailstore.threadids import Threads
from launcelot.mailstore.watchers import TREE, Watchers
from launcelot.workers.staging import Buffer


class Holdings:
    """Everything one account has."""

    def __init__(self) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.subscriptions: set[str] = set()
        self.deliveries: set[str] = set()
        self.watchers = Watchers()
        self.notes = Notes()
        self.drawer = Drawer()
        self.locked = False
        self.removed = False
        self.made = 0
        self.uid_validity = 0
        self.bodies = 0
        self.threads = Threads()


class MemoryMailStore:
    """
    The mail of all accounts, in memory.

    :param now: the wall clock, aware.
    :param ids: gives a fresh identifier each time.
    :param furnishing: what a new account has besides INBOX; its names are possible ones.
    """

    def __init__(self, now: Callable[[], datetime], ids: Callable[[], str], furnishing: Furnishing = ()) -> None:
        self._now = now
        self._ids = ids
        self._furnishing = tuple(furnishing)
        self._accounts: dict[AccountId, Holdings] = {}
        self.beside: Callable[[AccountId], int] = nothing_beside

    async def mail(self, account: AccountId, quota: int = 0, messages: int = 0) -> AccountMail:
        """An account's mail, made with an INBOX at first use."""
        holdings = self._accounts.get(account)
        limits = Limits(quota, messages, partial(self.beside, account))
        if holdings is None:
            holdings = self._accounts[account] = Holdings()
            mail = MemoryAccountMail(holdings, limits, self._now, self._ids)
            mail.add_shelf(INBOX, "")
            for name, special_use in self._furnishing:
                await mail.create(name, special_use)
                await mail.subscribe(name)
            return mail
        return MemoryAccountMail(holdings, limits, self._now, self._ids)

    async def remove(self, account: AccountId) -> None:
        """Remove an account's mail."""
        holdings = self._accounts.pop(account, None)
        if holdings is not None:
            holdings.removed = True
            for shelf in holdings.shelves.values():
                shelf.gone = True
            holdings.watchers.notify_all()

    async def close(self) -> None:
        """There is nothing to let go of."""


class MemoryAccountMail:
    """
    One account's mail.

    :param limits: on what it may hold.
    """

    def __init__(self, holdings: Holdings, limits: Limits, now: Callable[[], datetime], ids: Callable[[], str]) -> None:
        self._kept = holdings
        self._limits = limits
        self.now = now
        self.new_id = ids
        self.watchers = holdings.watchers

    @property
    def _holdings(self) -> Holdings:
        if self._kept.removed:
            raise Gone("the account's mail has been removed")
        return self._kept

    # -- for its mailboxes ---------------------------------------------------------------------------------------

    def shelf(self, name: str) -> Shelf:
        """A mailbox by name; see :class:`launcelot.mailstore.memorymailbox.Account`."""
        shelf = self._holdings.shelves.get(known(name) or "")
        if shelf is None:
            raise NotFound("no such mailbox")
        return shelf

    @property
    def notes(self) -> Notes:
        """The account's annotations."""
        return self._holdings.notes

    def shelf_names(self) -> Mapping[int, str]:
        """All mailboxes' names by number."""
        return {shelf.number: shelf.name for shelf in self._holdings.shelves.values()}

    def next_number(self) -> int:
        """A number above all before."""
        self._kept.bodies += 1
        return self._kept.bodies

    @property
    def threads(self) -> Threads:
        """Which messages belong together."""
        return self._holdings.threads

    def all_shelves(self) -> Mapping[str, Shelf]:
        """All mailboxes by MAILBOXID."""
        return {shelf.id: shelf for shelf in self._holdings.shelves.values()}

    def make_room(self, octets: int, messages: int) -> None:
        """Refuse what the limits do not allow."""
        self._limits.check(self._octets() + octets, self._messages() + messages)

    def add_shelf(self, name: str, special_use: str) -> Shelf:
        """Make an empty mailbox with a UIDVALIDITY no other has had, and the access list of the one above it."""
        holdings = self._kept
        holdings.uid_validity = max(holdings.uid_validity + 1, int(self.now().timestamp()))
        holdings.made += 1
        shelf = Shelf(holdings.made, "F" + self.new_id(), name, holdings.uid_validity, special_use)
        above = holdings.shelves.get(name.rpartition(SEPARATOR)[0])
        if above is not None:
            shelf.grants.update(above.grants)
        holdings.shelves[name] = shelf
        return shelf

    def _octets(self) -> int:
        return sum(shelf.size for shelf in self._kept.shelves.values())

    def _messages(self) -> int:
        return sum(len(shelf.entries) for shelf in self._kept.shelves.values())

    # -- mailboxes -----------------------------------------------------------------------------------------------

    async def mailboxes(self) -> Sequence[MailboxInfo]:
        """All names, INBOX first, then by name."""
        return self._listing()

    def _listing(self) -> Sequence[MailboxInfo]:
        holdings = self._holdings
        kept = [tree.Kept(shelf.id, shelf.name, shelf.special_use) for shelf in holdings.shelves.values()]
        return tree.listing(kept, holdings.subscriptions)

    def _info(self, name: str) -> MailboxInfo:
        return next(info for info in self._listing() if info.name == name)

    async def mailbox(self, name: str) -> Mailbox:
        """Open a mailbox."""
        shelf = self.shelf(name)
        return MemoryMailbox(self, shelf, self._info(shelf.name))

    async def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """Make a mailbox and those missing above it."""
        *above, last = tree.to_create(self._holdings.shelves, name)
        for parent in above:
            self.add_shelf(parent, "")
        self.add_shelf(last, special_use)
        self.watchers.notify([TREE])
        return self._info(last)

    async def designate(self, name: str, special_use: str) -> None:
        """Say what a mailbox is for."""
        self.shelf(name).special_use = special_use
        self.watchers.notify([TREE])

    async def delete(self, name: str) -> None:
        """Delete a mailbox and its messages."""
        holdings = self._holdings
        shelf = holdings.shelves.pop(tree.to_delete(holdings.shelves, name))
        shelf.gone = True
        holdings.notes.drop(shelf.number)
        self.watchers.notify([shelf.number, TREE])

    async def rename(self, name: str, to: str) -> None:
        """Rename a mailbox and all below it; of INBOX the messages move."""
        shelves = self._holdings.shelves
        renames = tree.to_rename(shelves, name, to)
        *above, target = tree.to_create([other for other in shelves if other not in renames], to)
        for parent in above:
            self.add_shelf(parent, "")
        if INBOX in renames:
            self._empty_inbox(self.add_shelf(target, ""))
            return
        for shelf in [shelves.pop(old) for old in renames]:
            shelf.name = renames[shelf.name]
            shelves[shelf.name] = shelf
        self.watchers.notify([TREE])

    def _empty_inbox(self, to: Shelf) -> None:
        inbox = self._kept.shelves[INBOX]
        self._kept.notes.copy(inbox.number, to.number)
        moved = copy_entries(inbox, inbox.present(inbox.entries), to, self.now())
        inbox.take(moved.source)
        self.watchers.notify([inbox.number, to.number, TREE])

    # -- subscriptions -------------------------------------------------------------------------------------------

    async def subscriptions(self) -> Sequence[str]:
        """Subscribed names."""
        return sorted(self._holdings.subscriptions, key=order)

    async def subscribe(self, name: str, subscribed: bool = True) -> None:
        """Set or clear a subscription."""
        subscriptions = self._holdings.subscriptions
        name = canonical(name)
        if subscribed:
            tree.may_subscribe(len(subscriptions - {name}))
            subscriptions.add(name)
        else:
            subscriptions.discard(name)
        self.watchers.notify([TREE])

    # -- watching ------------------------------------------------------------------------------------------------

    async def glances(self, numbers: Collection[int] | None = None) -> Sequence[Glance]:
        """How mailboxes stand."""
        shelves = sorted(self._holdings.shelves.values(), key=lambda shelf: shelf.number)
        return [shelf.glance() for shelf in shelves if numbers is None or shelf.number in numbers]

    def watch(self, changed: Callable[[Collection[int]], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change."""
        return self.watchers.watch_all(changed)

    # -- annotations ---------------------------------------------------------------------------------------------

    @property
    def annotations(self) -> Annotations:
        """Annotations of the account and its mailboxes."""
        return MemoryAnnotations(self)

    @property
    def grants(self) -> Grants:
        """Access lists of the account's mailboxes."""
        return MemoryGrants(self)

    # -- delivery ------------------------------------------------------------------------------------------------

    async def deliver(
        self,
        body: Buffer,
        delivery: str,
        mailbox: str = INBOX,
        flags: Collection[str] = (),
        unless_scripted: bool = False,
    ) -> Appended | None:
        """Deliver once."""
        given = sort_out(flags)
        if unless_scripted and self.drawer.active:
            raise Scripted
        holdings = self._holdings
        if delivery in holdings.deliveries:
            return None
        shelf = self.shelf(mailbox)
        appended = add_message(self, shelf, body, given, None)
        holdings.deliveries.add(delivery)
        self.watchers.notify([shelf.number])
        return appended

    @property
    def drawer(self) -> Drawer:
        """What is kept of scripts and filtered deliveries."""
        return self._holdings.drawer

    @property
    def scripts(self) -> Scripts:
        """Sieve scripts, and what deliveries through them keep."""
        return MemoryScripts(self)

    async def file(
        self,
        delivery: str,
        filings: Sequence[Filing],
        remember: Sequence[tuple[str, int]] = (),
        outgoing: Sequence[Outgoing] = (),
    ) -> bool:
        """Deliver once, through a script."""
        holdings = self._holdings
        given = [sort_out(filing.draft.flags) for filing in filings]
        if delivery in holdings.deliveries:
            return False
        self.make_room(sum(filing.draft.size for filing in filings), len(filings))
        touched = [
            await self._put(filing, flags) for filing, flags in zip(filings, given, strict=True)
        ]
        holdings.deliveries.add(delivery)
        holdings.drawer.remember(remember)
        if outgoing:
            holdings.drawer.outgoing[delivery] = tuple(outgoing)
        self.watchers.notify(touched)
        return True

    async def _put(self, filing: Filing, flags: Flags) -> int:
        shelf = await self._target(filing)
        body, date = filing.draft.body(), filing.draft.internal_date
        try:
            add_message(self, shelf, body, flags, date)
        except LimitReached:
            # Keywords that have no room are no reason to lose mail.  RFC 5232 section 5.
            add_message(self, shelf, body, Flags(flags.system, ()), date)
        return shelf.number

    async def _target(self, filing: Filing) -> Shelf:
        shelves = sorted(self._holdings.shelves.values(), key=lambda shelf: shelf.number)
        use = filing.special_use.casefold()
        for shelf in shelves:
            if use and shelf.special_use.casefold() == use:
                return shelf
        name = known(filing.mailbox)
        if name is not None and name not in self._holdings.shelves and filing.create:
            try:
                await self.create(name, filing.special_use)
                await self.subscribe(name)
            except (Exists, Invalid, LimitReached):
                name = None
        return self._holdings.shelves.get(name or "") or self._holdings.shelves[INBOX]

    async def outgoing(self, delivery: str) -> Sequence[Outgoing]:
        """What a delivery has still to send."""
        return self._holdings.drawer.outgoing.get(delivery, ())

    async def sent(self, delivery: str) -> None:
        """Forget what a delivery had to send."""
        self._holdings.drawer.outgoing.pop(delivery, None)

    async def forget_deliveries(self, deliveries: Sequence[str]) -> None:
        """Drop keys that will not come again."""
        self._holdings.deliveries.difference_update(deliveries)

    def limit(self, quota: int, messages: int = 0) -> None:
        """Change the limits for whatever has been opened from this object."""
        self._limits.octets, self._limits.messages = quota, messages

    async def usage(self) -> Usage:
        """What the account's mail takes."""
        self._holdings  # noqa: B018 - raises Gone
        return Usage(self._octets(), self._messages(), self._limits.beside() if self._limits.octets else 0)

    def lock(self) -> Callable[[], None]:
        """Take the maildrop for one POP3 session."""
        holdings = self._holdings
        if holdings.locked:
            raise InUse("another session has the mailbox open")
        holdings.locked = True
        taken = [holdings]

        def release() -> None:
            while taken:
                taken.pop().locked = False

        return release
