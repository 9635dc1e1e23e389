"""Somebody's view of a mailbox of the memory store; :mod:`launcelot.mailstore.memoryshelf` is what is kept of one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Protocol

from launcelot.core.errors import Gone
from launcelot.mailstore import ordering, search, threads
from launcelot.mailstore.dates import seconds_of, whole, zone_of
from launcelot.mailstore.flaghistory import joined
from launcelot.mailstore.flags import DELETED, Flags, sort_out, translate, union
from launcelot.mailstore.interface import (
    Appended,
    Changes,
    Copied,
    Draft,
    Glance,
    MailboxInfo,
    MailboxStatus,
    Message,
    MessageState,
    Stored,
    StoreMode,
)
from launcelot.mailstore.memoryshelf import Entry, Shelf, body_from
from launcelot.mailstore.ordering import Criterion
from launcelot.mailstore.query import Field, Query
from launcelot.mailstore.rights import ALL, Rights
from launcelot.mailstore.sheets import WHOLE, Asked, Column, Fields, Sheet, subsets
from launcelot.mailstore.threadids import Threads
from launcelot.mailstore.threads import Algorithm, Bundle
from launcelot.mailstore.watchers import Watchers
from launcelot.message.casemap import fold
from launcelot.message.surrogate import LineSizes
from launcelot.workers.staging import Buffer

BATCH = 500
"""Messages handed out at a time."""


class Account(Protocol):
    """What a mailbox asks of the account it belongs to."""

    watchers: Watchers

    def now(self) -> datetime:
        """The wall clock."""

    def new_id(self) -> str:
        """A fresh identifier."""

    def next_number(self) -> int:
        """A number above all before."""

    @property
    def threads(self) -> Threads:
        """Which messages belong together."""

    def all_shelves(self) -> Mapping[str, Shelf]:
        """All mailboxes by MAILBOXID."""

    def shelf(self, name: str) -> Shelf:
        """
        A mailbox by name.

        :raises NotFound: there is none.
        """

    def make_room(self, octets: int, messages: int) -> None:
        """
        Refuse what the limits do not allow.

        :raises OverQuota: the account is full.
        """


class MemoryMailbox:
    """One mailbox; see :class:`launcelot.mailstore.interface.Mailbox`."""

    def __init__(self, account: Account, shelf: Shelf, info: MailboxInfo) -> None:
        self._account = account
        self._kept = shelf
        self._info = info
        self._opened = shelf.glance()

    @property
    def info(self) -> MailboxInfo:
        """Its id and its name when it was opened."""
        return self._info

    @property
    def opened(self) -> Glance:
        """How it stood then."""
        return self._opened

    @property
    def rights(self) -> Rights:
        """All: it is the account's own."""
        return ALL

    @property
    def _shelf(self) -> Shelf:
        if self._kept.gone:
            raise Gone("the mailbox has been deleted")
        return self._kept

    async def status(self) -> MailboxStatus:
        """Its numbers now."""
        return self._shelf.status()

    async def deleted_size(self) -> int:
        """Octets of the messages flagged ``\\Deleted``."""
        return sum(entry.body.size for entry in self._shelf.entries.values() if entry.mask & DELETED)

    async def uids(self) -> Sequence[int]:
        """Every message's UID, ascending."""
        return list(self._shelf.entries)

    async def states(self, uids: Sequence[int] | None = None) -> Sequence[MessageState]:
        """UID, MODSEQ and flags of every message, or of those among ``uids``; ascending by UID."""
        shelf = self._shelf
        return [shelf.state(entry) for entry in (shelf.entries.values() if uids is None else shelf.present(uids))]

    async def sizes(self) -> Sequence[tuple[int, int]]:
        """Every message's UID and octets, ascending by UID."""
        return [(entry.uid, entry.body.size) for entry in self._shelf.entries.values()]

    async def line_sizes(self) -> Mapping[int, LineSizes]:
        """The octets of messages that are not sent as they are stored, by UID."""
        found = {entry.uid: entry.body.analysis for entry in self._shelf.entries.values()}
        return {
            uid: LineSizes(one.line_size or one.size, one.ascii_size or one.line_size or one.size)
            for uid, one in found.items()
            if one.line_size is not None or one.ascii_size is not None
        }

    async def changes(self, since: int) -> Changes:
        """What happened after MODSEQ ``since``."""
        shelf = self._shelf
        changed: tuple[MessageState, ...] = ()
        vanished: tuple[int, ...] = ()
        if shelf.modseq > since:
            changed = tuple(shelf.state(entry) for entry in shelf.entries.values() if entry.modseq > since)
            first = bisect_right(shelf.expunged, since, key=lambda pair: pair[0])
            vanished = tuple(sorted(uid for _, uid in shelf.expunged[first:]))
        return Changes(shelf.modseq, shelf.uid_next, changed, vanished)

    async def claim_recent(self) -> int:
        """``recent_from`` as it was; nothing that exists now is recent to anybody else."""
        shelf = self._shelf
        recent_from, shelf.recent_from = shelf.recent_from, shelf.uid_next
        return recent_from

    async def messages(self, uids: Sequence[int]) -> AsyncIterator[Sequence[Message]]:
        """Messages in batches; those that are gone are left out."""
        for start in range(0, len(uids), BATCH):
            shelf = self._shelf
            batch = [shelf.message(entry, self._account.threads) for entry in shelf.present(uids[start : start + BATCH])]
            if batch:
                yield batch

    async def sheets(self, uids: Sequence[int], columns: Sequence[Asked]) -> AsyncIterator[Sheet]:
        """Some columns of messages in batches."""
        if Column.THREAD_ID in columns:
            await self.find_threads()
        for start in range(0, len(uids), BATCH):
            yield self._sheet(uids[start : start + BATCH], columns)

    async def sheet(self, uid: int, columns: tuple[Asked, ...]) -> Sheet | None:
        """The same of one message."""
        if Column.THREAD_ID in columns:
            await self.find_threads()
        found = self._sheet((uid,), columns)
        return found if len(found) else None

    def _sheet(self, uids: Sequence[int], columns: Sequence[Asked]) -> Sheet:
        shelf = self._shelf
        entries = shelf.present(uids)
        messages = [shelf.message(entry, self._account.threads) for entry in entries]
        found: list[Sequence[object]] = [[entry.uid for entry in entries]]
        for column in columns:
            if isinstance(column, Fields):
                found.append(subsets(list(map(_header, entries)), column.names))
                continue
            of_entry = _KEYS.get(column)
            found.append(list(map(_CELLS[column], messages)) if of_entry is None else list(map(of_entry, entries)))
        return Sheet(found, _itself)

    async def read(self, uid: int, offset: int, length: int) -> bytes:
        """Octets of a message."""
        entry = self._shelf.entries.get(uid)
        if entry is None:
            raise Gone("the message has been removed")
        return entry.body.octets[max(offset, 0) : max(offset, 0) + max(length, 0)]

    async def append(self, body: Buffer, flags: Collection[str], internal_date: datetime | None = None) -> Appended:
        """Add a message."""
        given = sort_out(flags)
        shelf = self._shelf
        appended = add_message(self._account, shelf, body, given, internal_date)
        self._account.watchers.notify([shelf.number])
        return appended

    async def append_all(self, drafts: Sequence[Draft]) -> Sequence[Appended]:
        """Add messages, all or none."""
        given = [sort_out(draft.flags) for draft in drafts]
        shelf = self._shelf
        self._account.make_room(sum(draft.size for draft in drafts), len(drafts))
        shelf.keywords.admit(union(given), shelf.masks)
        appended = [
            add_message(self._account, shelf, draft.body(), flags, draft.internal_date)
            for draft, flags in zip(drafts, given, strict=True)
        ]
        if drafts:
            self._account.watchers.notify([shelf.number])
        return appended

    async def replace(self, uid: int, body: Buffer, target: str, draft: Draft) -> Appended:
        """Add a message to a mailbox and remove one here."""
        given = sort_out(draft.flags)
        shelf = self._shelf
        to = self._account.shelf(target)
        old = shelf.entries.get(uid)
        if old is None:
            raise Gone("the message has been removed")
        self._account.make_room(len(body) - old.body.size, 0)
        to.keywords.admit(given, to.masks)
        shelf.take([uid])
        appended = add_message(self._account, to, body, given, draft.internal_date)
        self._account.watchers.notify(sorted({shelf.number, to.number}))
        return appended

    async def store(
        self, uids: Sequence[int], mode: StoreMode, flags: Collection[str], unchanged_since: int | None = None
    ) -> Stored:
        """Change flags."""
        given, shelf = sort_out(flags), self._shelf
        found = self._store(shelf, uids, mode, given, unchanged_since)
        if found.alone and unchanged_since is not None and mode is not StoreMode.REPLACE:
            others, upto = shelf.flag_history.untouched(shelf.number, found.alone, unchanged_since, given, found.modseq)
            if others:
                return joined(found, self._store(shelf, others, mode, given, upto), others)
        return found

    def _store(self, shelf: Shelf, uids: Sequence[int], mode: StoreMode, given: Flags, unchanged_since: int | None) -> Stored:
        entries = shelf.present(uids)
        left_alone = [entry for entry in entries if unchanged_since is not None and entry.modseq > unchanged_since]
        if left_alone:
            alone = {entry.uid for entry in left_alone}
            entries = [entry for entry in entries if entry.uid not in alone]
        modseq = 0
        if entries:
            mask = shelf.keywords.mask(given)
            if mode is not StoreMode.REMOVE:
                mask = shelf.keywords.admit(given, shelf.masks)
            if shelf.flag(entries, mode, mask):
                modseq = shelf.modseq
                shelf.flag_history.note(shelf.number, modseq, mode, given, uids)
                self._account.watchers.notify([shelf.number])
        return Stored([shelf.state(entry) for entry in entries], [entry.uid for entry in left_alone], modseq)

    async def expunge(self, uids: Sequence[int] | None = None) -> Sequence[int]:
        """Remove messages flagged ``\\Deleted``."""
        shelf = self._shelf
        entries = shelf.entries.values() if uids is None else shelf.present(uids)
        return self._take([entry.uid for entry in entries if entry.mask & DELETED])

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages whatever their flags."""
        return self._take(uids)

    def _take(self, uids: Iterable[int]) -> Sequence[int]:
        shelf = self._shelf
        taken = shelf.take(uids)
        if taken:
            self._account.watchers.notify([shelf.number])
        return taken

    async def copy(self, uids: Sequence[int], target: str) -> Copied:
        """Copy messages."""
        shelf = self._shelf
        entries = shelf.present(uids)
        to = self._account.shelf(target)
        self._account.make_room(sum(entry.body.size for entry in entries), len(entries))
        copied = copy_entries(shelf, entries, to, self._account.now())
        if entries:
            self._account.watchers.notify([to.number])
        return copied

    async def move(self, uids: Sequence[int], target: str) -> Copied:
        """Copy and remove in one."""
        shelf = self._shelf
        entries = shelf.present(uids)
        to = self._account.shelf(target)
        copied = copy_entries(shelf, entries, to, self._account.now())
        shelf.take(copied.source)
        if entries:
            self._account.watchers.notify(sorted({shelf.number, to.number}))
        return copied

    async def search(self, query: Query) -> Sequence[int]:
        """UIDs that match, ascending."""
        shelf = self._shelf
        search.check(query)
        if search.asks_for_threads(query):
            await self.find_threads()
        known = self._account.threads
        return [entry.uid for entry in shelf.entries.values() if search.matches(query, Found(shelf, entry, known))]

    async def find_threads(self) -> None:
        """Put messages that are in no thread into theirs, all of the account."""
        shelves = self._account.all_shelves().values()
        bodies = {entry.body.number: entry.body for shelf in shelves for entry in shelf.entries.values()}
        self._account.threads.extend((bodies[number].email_id, bodies[number].keys) for number in sorted(bodies))

    async def sort(self, uids: Sequence[int], criteria: Sequence[Criterion]) -> Sequence[int]:
        """Messages in the order of some criteria."""
        return ordering.sort(self._sheet(sorted(set(uids)), ordering.columns(criteria)), criteria)

    async def thread(self, uids: Sequence[int], algorithm: Algorithm) -> Sequence[Bundle]:
        """Messages as threads."""
        return threads.thread(self._sheet(sorted(set(uids)), threads.COLUMNS), algorithm)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change."""
        return self._account.watchers.watch(self._kept.number, changed)


def add_message(account: Account, shelf: Shelf, body: Buffer, flags: Flags, internal_date: datetime | None) -> Appended:
    """Put a new message on a shelf; its watchers are still to be told."""
    account.make_room(len(body), 1)
    mask = shelf.keywords.admit(flags, shelf.masks)
    now = whole(account.now())
    kept = body_from(body, "M" + account.new_id(), account.next_number())
    (uid,) = shelf.add([Entry(0, 0, mask, whole(internal_date) if internal_date else now, now, kept)])
    return Appended(shelf.uid_validity, uid, kept.email_id)


def date_of(entry: Entry) -> int:
    """RFC 5256 section 2.2: the time of arrival where the message states none."""
    sent = entry.body.analysis.sent
    return seconds_of(whole(sent) if sent else entry.internal_date)


def copy_entries(shelf: Shelf, entries: Sequence[Entry], to: Shelf, now: datetime) -> Copied:
    """Put copies on a shelf, which may be the same one."""
    masks = translate(shelf.keywords, to.keywords, {entry.mask for entry in entries}, to.masks)
    saved = whole(now)
    uids = to.add([replace(entry, mask=masks[entry.mask], saved=saved) for entry in entries])
    return Copied(to.uid_validity, tuple(entry.uid for entry in entries), tuple(uids))


class Found:
    """A message that is searched; see :class:`launcelot.mailstore.search.Subject`."""

    __slots__ = ("_entry", "_shelf", "_text", "_threads")

    def __init__(self, shelf: Shelf, entry: Entry, threads: Threads) -> None:
        self._shelf = shelf
        self._entry = entry
        self._threads = threads
        self._text: search.Text | None = None

    @property
    def uid(self) -> int:
        """Its UID."""
        return self._entry.uid

    @property
    def modseq(self) -> int:
        """Its MODSEQ."""
        return self._entry.modseq

    @property
    def size(self) -> int:
        """Its octets."""
        return self._entry.body.size

    @property
    def internal_day(self) -> date:
        """The day it arrived."""
        return self._entry.internal_date.date()

    @property
    def arrived(self) -> datetime:
        """The moment it arrived."""
        return self._entry.internal_date

    @property
    def saved_day(self) -> date:
        """The day it came into the mailbox."""
        return self._entry.saved.astimezone(UTC).date()

    @property
    def email_id(self) -> str:
        """Its EMAILID."""
        return self._entry.body.email_id

    @property
    def thread_id(self) -> str | None:
        """Its THREADID."""
        return self._threads.known.get(self._entry.body.email_id)

    @property
    def sent_day(self) -> date | None:
        """The day in its Date field."""
        sent = self._entry.body.analysis.sent
        return sent.date() if sent else None

    @property
    def text(self) -> search.Text:
        """Its octets, decoded."""
        if self._text is None:
            self._text = search.Text(lambda: self._entry.body.octets)
        return self._text

    def has(self, flag: str) -> bool:
        """Whether it has a flag."""
        return bool(self._entry.mask & self._shelf.keywords.bit(flag))

    def place(self, field: Field) -> str:
        """The folded text of a header field."""
        analysis = self._entry.body.analysis
        return search.place(
            field, analysis.subject, analysis.from_key, analysis.to_key, analysis.cc_key, analysis.bcc_key
        )


def _whole(entry: Entry) -> bytes | None:
    return entry.body.octets if len(entry.body.octets) <= WHOLE else None


def _header(entry: Entry) -> bytes | None:
    size = entry.body.analysis.header_size
    return entry.body.octets[:size] if size <= WHOLE else None


def _itself(flags: frozenset[str]) -> frozenset[str]:
    return flags


_CELLS: Mapping[Column, Callable[[Message], object]] = {
    Column.MODSEQ: lambda one: one.modseq,
    Column.FLAGS: lambda one: one.flags,
    Column.SIZE: lambda one: one.size,
    Column.ARRIVED: lambda one: seconds_of(one.internal_date),
    Column.ZONE: lambda one: zone_of(one.internal_date),
    Column.SAVED: lambda one: seconds_of(one.saved),
    Column.EMAIL_ID: lambda one: one.email_id,
    Column.THREAD_ID: lambda one: one.thread_id,
    Column.ENVELOPE: lambda one: one.envelope,
    Column.BODY: lambda one: one.body,
    Column.BODY_STRUCTURE: lambda one: one.body_structure,
    Column.HEADER_SIZE: lambda one: one.header_size,
}
_KEYS: Mapping[Column, Callable[[Entry], object]] = {
    Column.OCTETS: _whole,
    Column.HEADER: _header,
    Column.DATE: date_of,
    Column.SUBJECT: lambda one: fold(one.body.analysis.subject),
    Column.BASE_SUBJECT: lambda one: one.body.analysis.base_subject,
    Column.SORT_FROM: lambda one: one.body.analysis.sort_from,
    Column.SORT_TO: lambda one: one.body.analysis.sort_to,
    Column.SORT_CC: lambda one: one.body.analysis.sort_cc,
    Column.MESSAGE_ID: lambda one: one.body.analysis.message_id or "",
    Column.REFERENCES: lambda one: "\n".join(one.body.analysis.references),
}
