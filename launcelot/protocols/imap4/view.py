"""
What one session believes its mailbox to be: sequence numbers, and what it has been told.  RFC 3501 section 2.3.1.2.

Sequence numbers are places in an array of UIDs, four octets a message; flags stay in the store.  The store's changes are
taken in with :meth:`View.refresh`: new messages are appended at once, messages removed by others keep their
number until the session may be told (RFC 3501 section 7.4.1), so numbers never shift behind a client's back.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from launcelot.mailstore.interface import Mailbox, MailboxStatus, MessageState
from launcelot.message.globalform import for_rev1, for_rev2
from launcelot.protocols.imap4.grammar.sets import STAR, Range, ranges_of, resolve

RECENT = "\\Recent"
FEW = 32
"""UIDs that are a smaller part of the mailbox than one in so many are looked up one by one."""


class View:
    """
    A selected mailbox.

    :ivar uids: ascending; the message with sequence number ``n`` is ``uids[n - 1]``.
    :ivar unshared: whether ``uids`` may be an array of our own.  None is changed in place: the store's is everybody's.
    :ivar gone: UIDs that are in ``uids`` though the store has them no longer.
    :ivar modseq: up to which the store's changes have been taken in.
    :ivar settled: up to which everything has been told, removals too.
    :ivar keywords: keywords the client has been told of.
    :ivar full: whether the client has been told that there can be no others.
    :ivar saved: UIDs of the last SEARCH with SAVE, ascending; who uses them passes over those no longer in view.
    :ivar dirty: whether the store has told of a change since the last refresh.
    :ivar rev2: whether it is told in IMAP4rev2, in which nothing is recent and ``message/global`` is a message.
    :ivar told_rights: what the client has been told it may do.
    :ivar notify: called at every change, while the session idles.
    """

    __slots__ = (
        "_recent",
        "_stop",
        "dirty",
        "full",
        "gone",
        "keywords",
        "mailbox",
        "modseq",
        "notify",
        "read_only",
        "rev2",
        "saved",
        "settled",
        "told_recent",
        "told_rights",
        "uids",
        "unshared",
    )

    def __init__(self, mailbox: Mailbox, read_only: bool, rev2: bool = False) -> None:
        self.mailbox = mailbox
        self.read_only = read_only
        self.rev2 = rev2
        self.uids = array("I")
        self.unshared = False
        self.gone: set[int] = set()
        self.keywords: frozenset[str] = frozenset()
        self.full = False
        self.modseq = 0
        self.settled = 0
        self.told_recent = 0
        self.told_rights = mailbox.rights
        self.saved = array("I")
        self.dirty = False
        self.notify: Callable[[], None] | None = None
        self._recent: list[Range] = []
        self._stop = mailbox.watch(self.mark)

    def mark(self) -> None:
        """The store has changed."""
        self.dirty = True
        if self.notify is not None:
            self.notify()

    def close(self) -> None:
        """Stop watching."""
        self._stop()

    async def open(self) -> MailboxStatus:
        """
        Take in the mailbox as it is; a view that may write claims what is recent.

        :raises Gone: it has just been deleted.
        """
        recent_from = await self.mailbox.claim_recent() if self._claims else None
        status = await self.mailbox.status()
        self.modseq = self.settled = status.highest_modseq
        self.keywords = frozenset(status.keywords)
        uids = await self.mailbox.uids()
        self.uids = uids if isinstance(uids, array) else array("I", uids)
        self._add_recent(status.recent_from if recent_from is None else recent_from, self.largest_uid)
        self.told_recent = self.recent_count()
        return status

    # -- numbers ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def largest_uid(self) -> int:
        """What ``*`` is among UIDs; 0 when the mailbox is empty."""
        return self.uids[-1] if self.uids else 0

    def number(self, uid: int) -> int:
        """The sequence number of a UID; 0 if it is not in view."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else 0

    def numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """The sequence numbers of UIDs in any order; 0 for those that are not in view."""
        return range(1, len(uids) + 1) if uids is self.uids else self.numbering(len(uids))(uids)

    def numbering(self, count: int) -> Callable[[Sequence[int]], Sequence[int]]:
        """
        What does the same as :meth:`numbers` for pieces of what is told, while the view stays as it is.

        :param count: UIDs in all pieces.
        """
        places: dict[int, int] = {}
        first, last = (self.uids[0], self.uids[-1]) if self.uids else (0, 0)
        few, gapless = count < len(self.uids) // FEW, self._gapless

        def of(uids: Sequence[int]) -> Sequence[int]:
            if not uids:
                return ()
            if gapless and first <= min(uids) and max(uids) <= last:
                before = first - 1
                return [uid - before for uid in uids]
            if few:
                return [self.number(uid) for uid in uids]
            if not places:
                places.update(zip(self.uids, range(1, len(self.uids) + 1), strict=True))
            return [places.get(uid, 0) for uid in uids]

        return of

    def present(self, uids: Sequence[int]) -> Sequence[int]:
        """Those UIDs that are in view; ascending, as they are given."""
        if uids is self.uids:
            return uids
        if len(uids) < len(self.uids) // FEW:
            return [uid for uid in uids if self.number(uid)]
        if uids and self._gapless and self.uids[0] <= uids[0] and uids[-1] <= self.uids[-1]:
            return uids
        known = set(self.uids)
        return [uid for uid in uids if uid in known]

    @property
    def _gapless(self) -> bool:
        """Whether no message between the first and the last has ever been removed."""
        return bool(self.uids) and self.uids[-1] - self.uids[0] == len(self.uids) - 1

    def by_number(self, ranges: Sequence[Range]) -> Sequence[int] | None:
        """The UIDs behind sequence numbers, ascending; None if there is a number without a message."""
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1] <= len(self.uids):
            return self.uids[ranges[0][0] - 1 : ranges[0][0]]
        merged = resolve(ranges, len(self.uids))
        if not merged or merged[-1][1] > len(self.uids):
            return None
        return self._slices((low - 1, high) for low, high in merged)

    def by_uid(self, ranges: Sequence[Range]) -> Sequence[int]:
        """The UIDs in ranges of UIDs, ascending; what does not exist is passed over."""
        uids = self.uids
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1] != STAR:
            place = bisect_left(uids, ranges[0][0])
            return uids[place : place + 1] if place < len(uids) and uids[place] == ranges[0][0] else array("I")
        merged = resolve(ranges, self.largest_uid)
        return self._slices(
            (bisect_left(uids, low), bisect_right(uids, min(high, self.largest_uid))) for low, high in merged
        )

    def _slices(self, places: Iterable[tuple[int, int]]) -> Sequence[int]:
        pieces = [self.uids[start:end] for start, end in places if start < end]
        if len(pieces) == 1:
            return pieces[0]
        found = array("I")
        for piece in pieces:
            found.extend(piece)
        return found

    def uid_ranges_of_numbers(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """For SEARCH: from first to last UID of each run of numbers; numbers without a message match nothing."""
        uids = self.uids
        merged = resolve(ranges, len(uids))
        return tuple((uids[low - 1], uids[min(high, len(uids)) - 1]) for low, high in merged if low <= len(uids))

    def uid_ranges(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """For SEARCH: UID ranges, merged, with ``*`` replaced."""
        return tuple(resolve(ranges, self.largest_uid))

    def saved_uids(self) -> Sequence[int]:
        """What ``$`` stands for now.  RFC 5182 section 2.1."""
        return [uid for uid in self.saved if self.number(uid)]

    def saved_ranges(self) -> tuple[Range, ...]:
        """For SEARCH: the same as ranges."""
        return tuple(ranges_of(self.saved))

    # -- recent ----------------------------------------------------------------------------------------------------

    def _add_recent(self, low: int, high: int) -> None:
        if low <= high and not self.rev2:
            self._recent = resolve([*self._recent, (low, high)], 0)

    @property
    def _claims(self) -> bool:
        """Whether messages are recent for this session and no other."""
        return not self.read_only and not self.rev2

    def become_rev2(self) -> None:
        """IMAP4rev2 is spoken from here on: nothing is recent any more."""
        self.rev2 = True
        self._recent = []

    def is_recent(self, uid: int) -> bool:
        """Whether this session was the first to be told of a message.  RFC 3501 section 2.3.2."""
        return any(low <= uid <= high for low, high in self._recent)

    def recent_ranges(self) -> tuple[Range, ...]:
        """The UIDs that are recent, as ranges."""
        return tuple(self._recent)

    def recent_count(self) -> int:
        """How many messages in view are recent."""
        uids = self.uids
        return sum(bisect_right(uids, high) - bisect_left(uids, low) for low, high in self._recent)

    def form(self, stored: bytes) -> bytes:
        """BODY or BODYSTRUCTURE as the client reads it."""
        return for_rev2(stored) if self.rev2 else for_rev1(stored)

    def flags_of(self, state_flags: frozenset[str], uid: int) -> frozenset[str]:
        """The flags a client sees."""
        return state_flags | {RECENT} if self.is_recent(uid) else state_flags

    # -- changes ---------------------------------------------------------------------------------------------------

    async def refresh(self, own: Mapping[int, int]) -> tuple[list[MessageState], int]:
        """
        Take in what has happened since the last time.

        :param own: MODSEQ by UID of changes this session has made and has answered itself.
        :returns: messages already in view whose flags others changed, and how many messages are new.
        :raises Gone: the mailbox has been deleted.
        """
        self.dirty = False
        changes = await self.mailbox.changes(self.modseq)
        last = self.largest_uid
        claimed = 0
        if any(state.uid > last for state in changes.changed):
            if not self._claims:
                claimed = (await self.mailbox.status()).recent_from
            else:
                claimed = await self.mailbox.claim_recent()
                changes = await self.mailbox.changes(self.modseq)
        self.modseq = changes.highest_modseq
        new = sorted(state.uid for state in changes.changed if state.uid > last)
        if new:
            self.uids = self.uids + array("I", new)
            self.unshared = True
            self._add_recent(max(claimed, new[0]), new[-1])
        self.gone.update(uid for uid in changes.vanished if self.number(uid))
        known = [
            state
            for state in changes.changed
            if state.uid <= last and own.get(state.uid) != state.modseq and self.number(state.uid)
        ]
        return known, len(new)

    def advance(self, modseq: int) -> bool:
        """
        Take in a change the session has made and answers itself, so that the store need not be asked what it was.

        :param modseq: that it got; 0 if there was none.
        :returns: False if others may have changed something before it, which only :meth:`refresh` tells apart.
        """
        if modseq != self.modseq + 1:
            return False
        self.modseq = modseq
        return True

    def lose(self, uids: Iterable[int]) -> None:
        """Messages that the session has removed itself, whether or not the store's changes are taken in."""
        self.gone.update(uid for uid in uids if self.number(uid))

    async def share(self) -> None:
        """Use the store's own array of UIDs once it says the same: sessions of one mailbox need one array."""
        if self.unshared and not self.gone:
            uids = await self.mailbox.uids()
            if isinstance(uids, array) and uids == self.uids:
                self.uids = uids
            self.unshared = False

    def tell_gone(self, uids: Collection[int] | None = None) -> list[int]:
        """
        Take messages that are gone out of the view.

        :param uids: which; all that are gone if none are named.
        :returns: their sequence numbers, descending, so that each is right when EXPUNGE is sent for it.
        """
        leaving = self.gone if uids is None else self.gone & set(uids)
        if not leaving:
            return []
        numbers = sorted((self.number(uid) for uid in leaving), reverse=True)
        if len(numbers) > 8:
            self.uids = array("I", [uid for uid in self.uids if uid not in leaving])
        else:
            self.uids = self.uids[:]
            for number in numbers:
                del self.uids[number - 1]
        self.unshared = True
        self.gone = set() if uids is None else self.gone - leaving
        return numbers
