"""
Flags and MODSEQs of the messages of a mailbox, kept for :data:`SPAN` UIDs at a time.

What changes of messages changes for many at once, and one row for each would be moved one by one.  In a block each message
is an octet of system flags, and the whole of it is changed by a table of 256 octets.  Keywords and MODSEQs cost nothing
where no message has any, or all have the same; otherwise they are numbers of equal width, the narrowest that holds them.

A block is never changed; what changes it gives a new one.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from sqlite3 import OperationalError
from typing import NamedTuple

from launcelot.mailstore.flags import DELETED, SEEN, SYSTEM_COUNT, SYSTEM_MASK, combine
from launcelot.mailstore.interface import StoreMode

SPAN = 256
"""UIDs of one block."""
THERE = 0x80
"""In an octet of flags: there is a message.  An octet without it is 0."""
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_WIDER = {"B": "H", "H": "I", "I": "Q"}


class Block(NamedTuple):
    """
    The messages of one block.

    A message's slot is its UID less :attr:`first`.

    :ivar number: see :func:`number_of`.
    :ivar modseq: the highest of all messages there are, or of one that has gone.
    :ivar base: added to each of ``modseqs``.
    :ivar flags: an octet for each slot, from the first to the last that was ever used.
    :ivar keywords: little-endian numbers for each slot, bit by bit as in :mod:`.flags`; empty if there are none.
    :ivar modseqs: likewise, less ``base``; empty if all messages have ``modseq``.
    """

    number: int
    modseq: int
    base: int
    flags: bytes
    keywords: bytes
    modseqs: bytes

    @property
    def first(self) -> int:
        """The UID of slot 0."""
        return first_of(self.number)

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return len(self.flags) - self.flags.count(0)

    @property
    def unseen(self) -> int:
        """How many of them are unseen."""
        return self.flags.translate(UNSEEN).count(1)

    @property
    def deleted(self) -> int:
        """How many of them are marked as deleted."""
        return self.flags.translate(MARKED).count(1)

    @property
    def is_gapless(self) -> bool:
        """Whether there is a message in each slot from the first to the last."""
        return 0 not in self.flags

    def slots(self) -> Sequence[int]:
        """The slots of all messages, ascending."""
        return list(compress(range(len(self.flags)), self.flags))

    def slots_of(self, uids: Sequence[int]) -> Sequence[int] | None:
        """
        The slots of those messages among ``uids`` that are there; None if they are all.

        :param uids: of this block, ascending, each once.
        """
        first, flags = self.first, self.flags
        if uids and uids[-1] - uids[0] == len(uids) - 1:
            start, end = uids[0] - first, uids[-1] - first + 1
            if not flags[:start].strip(b"\0") and not flags[end:].strip(b"\0"):
                return None
        length = len(flags)
        slots = [uid - first for uid in uids if uid - first < length and flags[uid - first]]
        return None if len(slots) == self.messages else slots

    def uids(self) -> Sequence[int]:
        """The UIDs of all messages, ascending."""
        first = self.first
        return list(compress(range(first, first + len(self.flags)), self.flags))

    def masks(self) -> Sequence[int]:
        """The mask of each slot; of one without a message it means nothing."""
        system = self.flags.translate(_PLAIN)
        if not self.keywords:
            return system
        return [flags | words << SYSTEM_COUNT for flags, words in zip(system, self._words(), strict=True)]

    def every_modseq(self) -> Sequence[int]:
        """The MODSEQ of each slot; of one without a message it means nothing."""
        if not self.modseqs:
            return array("Q", [self.modseq]) * len(self.flags)
        base = self.base
        return [base + offset for offset in numbers(self.modseqs, len(self.flags))]

    def _words(self) -> array[int]:
        return numbers(self.keywords, len(self.flags))

    # -- changing ------------------------------------------------------------------------------------------------

    def stored(self, mode: StoreMode, mask: int, modseq: int, chosen: Sequence[int] | None = None) -> Block:
        """
        Apply flags.

        :param modseq: for messages that change by it; above all others here.
        :param chosen: slots of messages; all of them if None.
        :returns: itself if nothing changes.
        """
        system = mask & SYSTEM_MASK
        words = self._stored_words(mode, mask >> SYSTEM_COUNT, chosen)
        flags = self.flags.translate(_APPLIED[mode][system])
        if chosen is not None:
            flags = _only(self.flags, flags, chosen)
        elif words is None and not self.flags.translate(_SAME[mode][system]).count(1):
            return self._replace(modseq=modseq, base=modseq, flags=flags, modseqs=b"")
        if flags == self.flags and words is None:
            return self
        among = range(len(flags)) if chosen is None else chosen
        changed = {slot for slot in among if flags[slot] != self.flags[slot]}
        keywords = self.keywords
        if words is not None:
            changed.update(slot for slot, old, new in zip(range(len(flags)), self._all_words(), words, strict=True) if old != new)
            keywords = packed(words) if any(words) else b""
        return self._replace(flags=flags, keywords=keywords)._at(modseq, changed)

    def _all_words(self) -> Sequence[int]:
        return self._words() if self.keywords else bytes(len(self.flags))

    def _stored_words(self, mode: StoreMode, words: int, chosen: Sequence[int] | None) -> list[int] | None:
        """What becomes of keywords; None if they stay as they are."""
        if not self.keywords and not (words and mode is not StoreMode.REMOVE):
            return None
        old = list(self._all_words())
        new = old[:]
        for slot in self.slots() if chosen is None else chosen:
            new[slot] = combine(old[slot], mode, words)
        return None if new == old else new

    def _at(self, modseq: int, changed: Iterable[int]) -> Block:
        """With a new highest MODSEQ for some slots."""
        changed = list(changed)
        if len(changed) == self.messages:
            return self._replace(modseq=modseq, base=modseq, modseqs=b"")
        offsets, base = numbers(self.modseqs, len(self.flags)), self.base
        if not self.modseqs:
            base = self.modseq
        return self._replace(modseq=modseq, base=base, modseqs=octets_of(with_value(offsets, changed, modseq - base)))

    def added(self, slots: Sequence[int], masks: Sequence[int], modseq: int) -> Block:
        """With messages in slots where there was none, ascending; ``modseq`` is above all others here."""
        if len(slots) == 1 and slots[0] == len(self.flags) and not self.keywords and masks[0] <= SYSTEM_MASK:
            return self._with_next(masks[0], modseq)
        length = max(len(self.flags), slots[-1] + 1)
        words = [mask >> SYSTEM_COUNT for mask in masks]
        keywords = b""
        if self.keywords or any(words):
            kept = [*self._all_words(), *repeat(0, length - len(self.flags))]
            for slot, word in zip(slots, words, strict=True):
                kept[slot] = word
            keywords = packed(kept)
        flags = bytearray(self.flags.ljust(length, b"\0"))
        for slot, mask in zip(slots, masks, strict=True):
            flags[slot] = THERE | mask & SYSTEM_MASK
        width = len(self.modseqs) // len(self.flags) if self.flags else 0
        modseqs = self.modseqs.ljust(length * width, b"\0")
        return self._replace(flags=bytes(flags), keywords=keywords, modseqs=modseqs)._at(modseq, slots)

    def _with_next(self, mask: int, modseq: int) -> Block:
        """With a message without keywords in the next slot, as nearly all come."""
        number, highest, base, flags, _, modseqs = self
        if not flags:
            base, modseqs = modseq, b""
        else:
            if not modseqs:
                base, modseqs = highest, bytes(len(flags))
            width = len(modseqs) // len(flags)
            if modseq - base >> 8 * width:
                offsets = numbers(modseqs, len(flags))
                offsets.append(0)
                modseqs = octets_of(with_value(offsets, (len(flags),), modseq - base))
            else:
                modseqs += (modseq - base).to_bytes(width, "little")
        return Block(number, modseq, base, flags + bytes((THERE | mask,)), b"", modseqs)

    def without(self, slots: Sequence[int] | None) -> Block:
        """Without messages in some slots, or without any if None; the highest MODSEQ stays as it was."""
        if slots is None:
            return empty(self.number)
        flags = bytearray(self.flags)
        for slot in slots:
            flags[slot] = 0
        return self._replace(flags=bytes(flags))


def number_of(uid: int) -> int:
    """The number of a UID's block."""
    return (uid - 1) // SPAN


def first_of(number: int) -> int:
    """The lowest UID of a block."""
    return number * SPAN + 1


def block_of(number: int, states: Iterable[tuple[int, int, int]]) -> Block:
    """
    A block made from the UIDs, MODSEQs and masks of its messages.

    :param states: at least one; UIDs in any order.
    """
    found = {uid - first_of(number): (modseq, mask) for uid, modseq, mask in states}
    length = max(found) + 1
    low = min(modseq for modseq, _ in found.values())
    high = max(modseq for modseq, _ in found.values())
    flags, offsets, words = bytearray(length), [0] * length, [0] * length
    for slot, (modseq, mask) in found.items():
        flags[slot] = THERE | mask & SYSTEM_MASK
        words[slot] = mask >> SYSTEM_COUNT
        offsets[slot] = modseq - low
    keywords = packed(words) if any(words) else b""
    return Block(number, high, low, bytes(flags), keywords, packed(offsets) if high > low else b"")


def empty(number: int) -> Block:
    """A block without messages."""
    return Block(number, 0, 0, b"", b"", b"")


# -- numbers of equal width ------------------------------------------------------------------------------------------


def numbers(octets: bytes, count: int) -> array[int]:
    """
    So many numbers; all 0 if there are no octets.

    :raises sqlite3.OperationalError: the octets cannot be so many.
    """
    if not octets:
        return array("B", bytes(count))
    code = _CODES.get(len(octets) // count) if count else None
    if code is None or len(octets) % count:
        raise OperationalError("states of messages are damaged; launcelot fsck mends them")
    values = array(code, octets)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def octets_of(values: array[int]) -> bytes:
    """Numbers in the width that they have."""
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def packed(values: Sequence[int]) -> bytes:
    """Numbers in the narrowest width that holds them all."""
    highest = max(values, default=0)
    width = next(width for width in _CODES if highest >> 8 * width == 0)
    return octets_of(array(_CODES[width], values))


def with_value(values: array[int], places: Iterable[int], value: int) -> array[int]:
    """With one value in some places, wider if it must be; ``values`` may be changed."""
    while value >> 8 * values.itemsize:
        values = array(_WIDER[values.typecode], values)
    for place in places:
        values[place] = value
    return values


def _only(old: bytes, new: bytes, places: Iterable[int]) -> bytes:
    """What is new in some places and old in the others."""
    made = bytearray(old)
    for place in places:
        made[place] = new[place]
    return bytes(made)


# -- tables of what becomes of an octet of flags -----------------------------------------------------------------------


def table(value_of: Sequence[int]) -> bytes:
    """A table for octets with :data:`THERE` from what becomes of each set of system flags; what is not there becomes 0."""
    return bytes(value_of[octet & SYSTEM_MASK] if octet & THERE else 0 for octet in range(256))


_SETS = range(SYSTEM_MASK + 1)
_PLAIN = table(_SETS)
UNSEEN = table([int(not flags & SEEN) for flags in _SETS])
"""1 for what is unseen, and 0."""
MARKED = table([int(bool(flags & DELETED)) for flags in _SETS])
"""1 for what is marked as deleted, and 0."""
PRESENT = table([1 for _ in _SETS])
"""1 for what is there, and 0."""
HAVING = {1 << bit: table([flags >> bit & 1 for flags in _SETS]) for bit in range(SYSTEM_COUNT)}
"""1 for what has a system flag, by its bit, and 0."""
_APPLIED = {
    mode: [table([THERE | combine(flags, mode, given) for flags in _SETS]) for given in _SETS] for mode in StoreMode
}
_SAME = {
    mode: [table([int(combine(flags, mode, given) == flags) for flags in _SETS]) for given in _SETS] for mode in StoreMode
}
