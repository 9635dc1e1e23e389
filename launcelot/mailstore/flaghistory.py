"""
Which flags have been changed lately, so that a conditional change fails only where it must.

A message has one MODSEQ for all its flags.  RFC 7162 section 3.1.3 asks a server that keeps it so not to name a message in
MODIFIED because another flag was changed than those that are to be added or removed (section 3.1.12).  What the last changes were
about is enough for that: who works with an old MODSEQ is mostly a moment late.  A message passes only if every change of its
mailbox since then is known here; after mail that came, and where another process wrote, all is as it would be without this.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from launcelot.mailstore.flags import Flags
from launcelot.mailstore.interface import Stored, StoreMode

KEPT = 1_000
"""Changes of an account's mailboxes that are known."""
FEW = 32
"""Messages of a change that are known one by one; a change of more may have been of any."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    A change of flags.

    :ivar uids: of messages; None where all may have been changed.
    :ivar keywords: in small letters; None where all flags may have been.
    """

    uids: frozenset[int] | None
    system: int
    keywords: frozenset[str] | None

    def concerns(self, uid: int) -> bool:
        """Whether it may have changed a message."""
        return self.uids is None or uid in self.uids

    def is_about(self, system: int, keywords: frozenset[str]) -> bool:
        """Whether it may have changed some flags."""
        return self.keywords is None or bool(self.system & system or not self.keywords.isdisjoint(keywords))


class FlagHistory:
    """The last changes of an account's flags, by mailbox and MODSEQ."""

    def __init__(self) -> None:
        self._changes: OrderedDict[tuple[int, int], Change] = OrderedDict()

    def clear(self) -> None:
        """Know nothing any more."""
        self._changes.clear()

    def note(self, mailbox: int, modseq: int, mode: StoreMode, given: Flags, uids: Sequence[int]) -> None:
        """
        A change has been made.

        :param modseq: that no other change of the mailbox has.
        :param uids: which of them have changed does not matter.
        """
        keywords = None if mode is StoreMode.REPLACE else _folded(given)
        self._changes[mailbox, modseq] = Change(frozenset(uids) if len(uids) <= FEW else None, given.system, keywords)
        if len(self._changes) > KEPT:
            self._changes.popitem(last=False)

    def untouched(self, mailbox: int, uids: Sequence[int], since: int, given: Flags, own: int = 0) -> tuple[list[int], int]:
        """
        Those messages of which none of some flags was changed after a MODSEQ.

        :param own: the MODSEQ of a change that left them all alone.
        :returns: and the MODSEQ up to which that is so.
        """
        changes: list[Change] = []
        upto = since
        while (change := self._changes.get((mailbox, upto + 1))) is not None:
            upto += 1
            if upto != own and change.is_about(given.system, _folded(given)):
                changes.append(change)
        if upto == since:
            return [], since
        return [uid for uid in uids if not any(change.concerns(uid) for change in changes)], upto


def joined(first: Stored, second: Stored, tried: Sequence[int]) -> Stored:
    """
    What came of two attempts.

    :param tried: which of those that the first left alone the second was about.
    """
    alone = {*first.alone}.difference(tried).union(second.alone)
    modseq = (first.modseq or second.modseq) if not (first.modseq and second.modseq) else 0
    return Stored(sorted([*first.states, *second.states]), sorted(alone), modseq)


def _folded(given: Flags) -> frozenset[str]:
    return frozenset([keyword.casefold() for keyword in given.keywords])
