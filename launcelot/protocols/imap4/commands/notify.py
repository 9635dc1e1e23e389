"""
NOTIFY: telling a client what happens anywhere in its mail, whenever it happens.  RFC 5465.

A session hears of every commit with the numbers of the mailboxes it touched, and when it has nothing else to do it looks at
those mailboxes with one query and tells what is different from the last time.  So what happens while a client is slow comes
together into one response for each mailbox, and a session costs a few numbers for each mailbox of the account, which are
bounded (:data:`MAX_WATCHED`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from launcelot.core.errors import Gone, Refusal
from launcelot.hosting.sharing import is_shared
from launcelot.mailstore.interface import SEPARATOR, Glance
from launcelot.mailstore.names import is_below, known
from launcelot.mailstore.watchers import EVERYTHING, TREE
from launcelot.protocols.imap4.commands.fetch import Rows
from launcelot.protocols.imap4.commands.following import FIRST, Followed
from launcelot.protocols.imap4.commands.listing import Listing
from launcelot.protocols.imap4.commands.places import described_by
from launcelot.protocols.imap4.grammar.fetch import Attribute
from launcelot.protocols.imap4.grammar.filters import Scope
from launcelot.protocols.imap4.grammar.listing import ListExtended, Return
from launcelot.protocols.imap4.grammar.notify import ABOUT_MESSAGES, SELECTED, Event, Notify
from launcelot.protocols.imap4.news import News
from launcelot.protocols.imap4.session import Reply, Session, no, ok

MAX_WATCHED = 2_000
"""Mailboxes of an account that one session follows."""

BAD_EVENT: Reply = no(
    "Some of these events are never told here", b"BADEVENT (%b)" % b" ".join([event.value for event in Event])
)
OVERFLOW: Reply = no("There are too many mailboxes to be followed", b"NOTIFICATIONOVERFLOW")
ABOUT_ENTRIES = frozenset({Event.MAILBOX_METADATA_CHANGE, Event.SERVER_METADATA_CHANGE})
_FULL = ListExtended("", (), frozenset(), frozenset(Return), ())
"""All attributes of a name."""


async def notify(session: Session, request: Notify) -> Reply:
    """Tell from now on what is asked for, and nothing else.  RFC 5465 section 3.1."""
    if any(group.unknown for group in request.groups):
        return BAD_EVENT
    notices = Notices(session, request)
    try:
        if not await notices.begin():
            return OVERFLOW
        before, session.notices = session.notices, None
        if before is not None:
            before.close()
        if request.groups:
            # What has come together so far is told once, whatever is wanted from here on.
            await session.update(expunge=True, ask=True)
    except BaseException:
        notices.close()
        raise
    session.notices = notices
    session.attend(False)
    if session.news is None and any(one.events & ABOUT_ENTRIES for one in request.groups):
        session.news = await News.begin(session.mail, session.account.id)
        session.attend(False)
    if request.status:
        await notices.tell_status()
    return ok("NOTIFY completed")


class Notices:
    """
    What a session is to be told.

    :ivar selected: events of the selected mailbox.
    :ivar delayed: whether removals there wait for a command that allows them.
    """

    def __init__(self, session: Session, request: Notify) -> None:
        self._session = session
        chosen = [group for group in request.groups if group.filter.scope in SELECTED]
        self.selected = chosen[0].events if chosen else frozenset()
        self.delayed = bool(chosen) and chosen[0].filter.scope is Scope.SELECTED_DELAYED
        self._items = chosen[0].items if chosen else ()
        self._groups = [
            (described_by(group.filter), group.events)
            for group in request.groups
            if group.filter.scope not in SELECTED and group.events
        ]
        self._known: dict[int, Glance] = {}
        self._subscribed: frozenset[str] = frozenset()
        self._dirty: set[int] = set()
        self._own_uids: set[int] = set()
        self._own_names: set[str] = set()
        self._stop: Callable[[], None] | None = None
        self._followed = Followed(session, self._mark)

    # -- what the session asks -------------------------------------------------------------------------------------

    @property
    def follows_selected(self) -> bool:
        """Whether anything of the selected mailbox is told."""
        return bool(self.selected)

    @property
    def tells_flags(self) -> bool:
        """Whether changes of flags in the selected mailbox are told."""
        return Event.FLAG_CHANGE in self.selected

    def tells_entries(self, mailbox: str) -> bool:
        """Whether changes of a mailbox's annotations are told; empty is the server's name."""
        if not mailbox:
            return any(Event.SERVER_METADATA_CHANGE in events for _, events in self._groups)
        return Event.MAILBOX_METADATA_CHANGE in self._events_of(mailbox, self._subscribed)

    def made(self, uids: Iterable[int]) -> None:
        """Messages that the session has put into the selected mailbox itself."""
        self._own_uids.update(uids)

    def named(self, names: Iterable[str]) -> None:
        """Names that the session itself is about to change."""
        self._own_names.update(name for name in map(known, names) if name is not None)

    async def tell_new(self, uids: Sequence[int]) -> None:
        """
        What is asked about new messages in the selected mailbox; not about the session's own.

        It comes unasked, so who knows UIDs and MODSEQ of all that does is told them here, too.
        """
        others = [uid for uid in uids if uid not in self._own_uids]
        self._own_uids.clear()
        session, items = self._session, self._items
        if not items or not others:
            return
        if session.tells_uid and not session.uid_only and Attribute.UID not in items:
            items = (Attribute.UID, *items)
        if session.tells_modseq and Attribute.MODSEQ not in items:
            items = (*items, Attribute.MODSEQ)
        await Rows(session, items).send(others)

    # -- listening -------------------------------------------------------------------------------------------------

    async def begin(self) -> bool:
        """
        Listen from now on.

        :returns: False if there is too much to listen to.
        """
        if not self._groups:
            return True
        self._stop = self._session.mail.watch(self._mark)
        found = await self._session.mail.glances()
        self._known = {one.number: one for one in found}
        self._subscribed = frozenset(await self._session.mail.subscriptions())
        await self._follow()
        if len(found) > MAX_WATCHED or self._followed.full:
            self.close()
            return False
        return True

    async def _follow(self) -> None:
        """Shared mailboxes, where a description may mean some."""
        if any(one.scope is Scope.SUBSCRIBED or any(map(is_shared, one.names)) for one, _ in self._groups):
            found = await self._followed.follow(
                lambda name: not ABOUT_MESSAGES.isdisjoint(self._events_of(name, self._subscribed))
            )
            self._known.update((one.number, one) for one in found)

    def close(self) -> None:
        """Listen no longer."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
        self._followed.close()
        self._groups = []
        self._known = {}
        self._dirty = set()

    def _mark(self, numbers: Collection[int]) -> None:
        self._dirty.update(numbers)
        self._session.wire.notice()

    async def tell(self) -> None:
        """What has happened since the last time, the selected mailbox's messages left out."""
        if not self._dirty:
            self._own_names.clear()
            return
        dirty, self._dirty = self._dirty, set()
        mail = self._session.mail
        try:
            shared = {number for number in dirty if number <= FIRST}
            if dirty & {TREE, EVERYTHING}:
                await self._tell_names(await mail.glances(), frozenset(await mail.subscriptions()))
                await self._follow()
            elif dirty != shared:
                await self._tell_messages(await mail.glances(dirty - shared))
            await self._tell_messages(await self._followed.glances(sorted(shared, reverse=True)))
        except Gone:
            # The account has been removed; the next command is told so.
            return
        except Refusal:
            self._dirty |= dirty
            raise
        self._own_names.clear()

    # -- messages --------------------------------------------------------------------------------------------------

    def _events_of(self, name: str, subscribed: Collection[str]) -> frozenset[Event]:
        """All that is wanted of a mailbox that is not selected."""
        return frozenset().union(*[events for described, events in self._groups if described.covers(name, subscribed)])

    def _is_selected(self, glance: Glance) -> bool:
        session = self._session
        return session.selected and session.view.mailbox.info.id == glance.id

    async def tell_status(self) -> None:
        """How the mailboxes stand whose messages are followed.  RFC 5465 section 3.1."""
        for one in sorted(self._known.values(), key=lambda glance: glance.name):
            wanted = self._events_of(one.name, self._subscribed) & ABOUT_MESSAGES
            if wanted and not self._is_selected(one):
                self._status(one, b"HIGHESTMODSEQ" if Event.FLAG_CHANGE in wanted else b"")
            await self._session.breathe()

    async def _tell_messages(self, glances: Iterable[Glance]) -> None:
        for one in glances:
            before = self._known.get(one.number)
            self._known[one.number] = one
            if before is None or before == one or self._is_selected(one):
                continue
            wanted = self._events_of(one.name, self._subscribed)
            if (before.uid_next, before.messages, before.uid_validity) != (one.uid_next, one.messages, one.uid_validity):
                if Event.MESSAGE_NEW in wanted:
                    self._status(one, b"UNSEEN" if Event.FLAG_CHANGE in wanted and before.unseen != one.unseen else b"")
            elif before.highest_modseq != one.highest_modseq and Event.FLAG_CHANGE in wanted:
                self._flags_status(one, before)
            await self._session.wire.drain()

    def _flags_status(self, one: Glance, before: Glance) -> None:
        """Flags have changed: told with HIGHESTMODSEQ to who knows it, else if it can be seen in UNSEEN."""
        told = [b"UIDVALIDITY %d" % one.uid_validity]
        if self._session.tells_modseq:
            told.append(b"HIGHESTMODSEQ %d" % one.highest_modseq)
        if before.unseen != one.unseen:
            told.append(b"UNSEEN %d" % one.unseen)
        if len(told) > 1:
            self._session.untagged(b"STATUS %b (%b)" % (self._session.name_of(one.name), b" ".join(told)))

    def _status(self, one: Glance, extra: bytes) -> None:
        numbers = (one.uid_validity, one.uid_next, one.messages)
        told = [b"UIDVALIDITY %d UIDNEXT %d MESSAGES %d" % numbers]
        if self._session.tells_modseq or extra == b"HIGHESTMODSEQ":
            told.append(b"HIGHESTMODSEQ %d" % one.highest_modseq)
        if extra == b"UNSEEN":
            told.append(b"UNSEEN %d" % one.unseen)
        self._session.untagged(b"STATUS %b (%b)" % (self._session.name_of(one.name), b" ".join(told)))

    # -- names -----------------------------------------------------------------------------------------------------

    async def _tell_names(self, glances: Sequence[Glance], subscribed: frozenset[str]) -> None:
        session = self._session
        if len(glances) > MAX_WATCHED:
            session.inform("Nothing more is told", OVERFLOW.code)
            self.selected = frozenset()
            self.close()
            return
        before, was_subscribed = self._known, self._subscribed
        now = {one.number: one for one in glances}
        told = self._names(before, now, was_subscribed, subscribed)
        self._subscribed = subscribed
        self._known = {number: one for number, one in before.items() if number in now or number <= FIRST}
        if told:
            infos = {info.name: info for info in await session.mail.mailboxes()}
            listing = Listing(infos, subscribed)
            for name, old in told.items():
                words = b" ".join(listing.attributes(name, _FULL))
                more = b' ("OLDNAME" (%b))' % session.name_of(old) if old else b""
                session.untagged(b'LIST (%b) "/" %b%b' % (words, session.name_of(name), more))
                await session.wire.drain()
        await self._tell_messages(glances)

    def _names(
        self, before: dict[int, Glance], now: dict[int, Glance], was: frozenset[str], subscribed: frozenset[str]
    ) -> dict[str, str]:
        """The names to be told, in order, with the old name of those that have been renamed."""
        either = was | subscribed
        found: dict[str, str] = {}
        for name, old in changed_names(before, now):
            own = {name, old} & self._own_names
            for affected in (name, old) if old else (name, name.rpartition(SEPARATOR)[0]):
                if affected and not own and Event.MAILBOX_NAME in self._events_of(affected, either):
                    found[affected if not old else name] = old
        for name in sorted(was ^ subscribed):
            if name not in self._own_names and Event.SUBSCRIPTION_CHANGE in self._events_of(name, either):
                found.setdefault(name, "")
        return found


def changed_names(before: dict[int, Glance], now: dict[int, Glance]) -> list[tuple[str, str]]:
    """
    Names that have come, gone or changed, by name, with the old name of one that was renamed, else an empty one.

    What has been renamed only because the name above it was is left out.  RFC 5465 section 5.4.
    """
    renamed = {
        before[number].name: one.name for number, one in now.items() if number in before and before[number].name != one.name
    }
    found = [(new, old) for old, new in renamed.items() if not _follows(old, new, renamed)]
    found += [(one.name, "") for number, one in now.items() if number not in before]
    names = {one.name for one in now.values()}
    gone = [one.name for number, one in before.items() if number not in now and number > FIRST]
    found += [(name, "") for name in gone if name not in names]
    return sorted(found)


def _follows(old: str, new: str, renamed: dict[str, str]) -> bool:
    above = old.rpartition(SEPARATOR)[0]
    while above:
        moved = renamed.get(above)
        if moved is not None and is_below(new, moved) and new[len(moved) :] == old[len(above) :]:
            return True
        above = above.rpartition(SEPARATOR)[0]
    return False
