"""
What the memory store keeps of a mailbox, and how it changes: each method of a :class:`Shelf` all or nothing.

A message's :class:`Body` is shared by its copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from heapq import heappop, heappush

from launcelot.mailstore.flaghistory import FlagHistory
from launcelot.mailstore.flags import DELETED, SEEN, Keywords, combine
from launcelot.mailstore.interface import Glance, MailboxStatus, Message, MessageState, StoreMode
from launcelot.mailstore.rights import Rights
from launcelot.mailstore.threadids import Threads, keys_of
from launcelot.message.analysis import Analysis, analyse
from launcelot.workers.staging import Buffer


@dataclass(frozen=True)
class Body:
    """What never changes of a message."""

    octets: bytes
    email_id: str
    number: int

    @cached_property
    def analysis(self) -> Analysis:
        """What is computed from the octets, once, when somebody asks: a test may never."""
        return analyse(self.octets)

    @property
    def size(self) -> int:
        """How many octets there are."""
        return len(self.octets)

    @property
    def keys(self) -> Sequence[int]:
        """What it has in common with others of its thread."""
        return keys_of(self.analysis.base_subject, self.analysis.message_id, self.analysis.references)


def body_from(buffer: Buffer, email_id: str, number: int) -> Body:
    """A copy of the octets; bodies are numbered in the order in which they came."""
    return Body(buffer[:], email_id, number)


@dataclass(slots=True)
class Entry:
    """One message in one mailbox."""

    uid: int
    modseq: int
    mask: int
    internal_date: datetime
    saved: datetime
    body: Body


class Shelf:
    """
    What is kept of a mailbox.

    :param number: names it among the account's watchers.
    """

    def __init__(self, number: int, id: str, name: str, uid_validity: int, special_use: str) -> None:
        self.number = number
        self.id = id
        self.name = name
        self.uid_validity = uid_validity
        self.special_use = special_use
        self.gone = False
        self.grants: dict[str, Rights] = {}
        self.entries: dict[int, Entry] = {}
        self.keywords = Keywords({})
        self.expunged: list[tuple[int, int]] = []
        self.uid_next = 1
        self.modseq = 1
        self.flag_history = FlagHistory()
        self.recent_from = 1
        self.size = 0
        self.unseen = 0
        self.deleted = 0
        self._unseen_uids: list[int] = []

    def present(self, uids: Iterable[int]) -> list[Entry]:
        """The messages among ``uids`` that are here, ascending, each once."""
        return [self.entries[uid] for uid in sorted(set(uids)) if uid in self.entries]

    def masks(self) -> int:
        """All flags anybody has."""
        mask = 0
        for entry in self.entries.values():
            mask |= entry.mask
        return mask

    def add(self, entries: Iterable[Entry]) -> list[int]:
        """Put messages at the end, with new UIDs and one new MODSEQ; their UIDs."""
        uids: list[int] = []
        for entry in entries:
            if not uids:
                self.modseq += 1
            new = replace(entry, uid=self.uid_next, modseq=self.modseq)
            self.entries[new.uid] = new
            self.uid_next += 1
            self.size += new.body.size
            self._count(_ABSENT, new.mask, new.uid)
            uids.append(new.uid)
        return uids

    def take(self, uids: Iterable[int]) -> list[int]:
        """Remove messages and remember that they were here; their UIDs, ascending."""
        entries = self.present(uids)
        if entries:
            self.modseq += 1
        for entry in entries:
            del self.entries[entry.uid]
            self.size -= entry.body.size
            self._count(entry.mask, _ABSENT, entry.uid)
            self.expunged.append((self.modseq, entry.uid))
        return [entry.uid for entry in entries]

    def flag(self, entries: Iterable[Entry], mode: StoreMode, given: int) -> bool:
        """Apply flags with one new MODSEQ where something changes; whether anything did."""
        modseq = self.modseq + 1
        for entry in entries:
            mask = combine(entry.mask, mode, given)
            if mask != entry.mask:
                self._count(entry.mask, mask, entry.uid)
                entry.mask = mask
                entry.modseq = self.modseq = modseq
        return self.modseq == modseq

    def _count(self, old: int, new: int, uid: int) -> None:
        self.unseen += (not new & SEEN) - (not old & SEEN)
        self.deleted += bool(new & DELETED) - bool(old & DELETED)
        if old & SEEN and not new & SEEN:
            heappush(self._unseen_uids, uid)
            if len(self._unseen_uids) > 2 * len(self.entries) + 64:
                self._unseen_uids = [entry.uid for entry in self.entries.values() if not entry.mask & SEEN]

    def first_unseen(self) -> int:
        """Lowest UID without ``\\Seen``; 0 if there is none."""
        waiting = self._unseen_uids
        while waiting:
            entry = self.entries.get(waiting[0])
            if entry is not None and not entry.mask & SEEN:
                return entry.uid
            heappop(waiting)
        return 0

    def status(self) -> MailboxStatus:
        """Its numbers."""
        return MailboxStatus(
            id=self.id,
            uid_validity=self.uid_validity,
            uid_next=self.uid_next,
            highest_modseq=self.modseq,
            messages=len(self.entries),
            unseen=self.unseen,
            deleted=self.deleted,
            recent_from=self.recent_from,
            first_unseen=self.first_unseen(),
            size=self.size,
            keywords=self.keywords.names,
        )

    def glance(self) -> Glance:
        """How it stands."""
        return Glance(
            number=self.number,
            id=self.id,
            name=self.name,
            uid_validity=self.uid_validity,
            uid_next=self.uid_next,
            highest_modseq=self.modseq,
            messages=len(self.entries),
            unseen=self.unseen,
        )

    def state(self, entry: Entry) -> MessageState:
        """What changes of a message."""
        return MessageState(entry.uid, entry.modseq, self.keywords.flags(entry.mask))

    def message(self, entry: Entry, threads: Threads) -> Message:
        """A message without its octets."""
        analysis = entry.body.analysis
        return Message(
            uid=entry.uid,
            modseq=entry.modseq,
            flags=self.keywords.flags(entry.mask),
            internal_date=entry.internal_date,
            saved=entry.saved,
            size=analysis.size,
            header_size=analysis.header_size,
            email_id=entry.body.email_id,
            envelope=analysis.envelope,
            body=analysis.body,
            body_structure=analysis.body_structure,
            parts=analysis.parts,
            thread_id=threads.known.get(entry.body.email_id),
        )


_ABSENT = SEEN
"""What counts for no unseen and no deleted message."""
