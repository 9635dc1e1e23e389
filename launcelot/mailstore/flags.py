"""
Flags as bits: the five system flags, then a mailbox's keywords in the order it met them.

A mask is a non-negative ``int``; bit 0 to 4 are :data:`~launcelot.mailstore.interface.SYSTEM_FLAGS`, keyword ``n`` is bit
``5 + n``.  Names compare without case; a keyword keeps the spelling it came with first.  RFC 9051 section 2.3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from launcelot.core.errors import Invalid, LimitReached
from launcelot.mailstore.interface import MAX_KEYWORDS, SYSTEM_FLAGS, StoreMode

DELETED = 1 << SYSTEM_FLAGS.index("\\Deleted")
SEEN = 1 << SYSTEM_FLAGS.index("\\Seen")
SYSTEM_COUNT = len(SYSTEM_FLAGS)
SYSTEM_MASK = (1 << SYSTEM_COUNT) - 1
MAX_KEYWORD = 200
"""Characters of one keyword."""

_SYSTEM_BITS = {flag.casefold(): 1 << number for number, flag in enumerate(SYSTEM_FLAGS)}


@dataclass(frozen=True, slots=True)
class Flags:
    """
    Flags as somebody gave them, sorted out.

    :ivar system: mask of system flags.
    :ivar keywords: each once, as given.
    """

    system: int
    keywords: tuple[str, ...]


NO_FLAGS = Flags(0, ())


def sort_out(flags: Collection[str]) -> Flags:
    """
    Tell system flags from keywords; ``\\Recent`` is left out, as nobody can set it.

    :raises Invalid: a flag with a backslash does not exist, or a keyword is empty, over 200 characters or not printable ASCII.
    """
    system = 0
    keywords: dict[str, str] = {}
    for flag in flags:
        folded = flag.casefold()
        if flag.startswith("\\"):
            if folded != "\\recent":
                system |= _system_bit(folded)
        elif 0 < len(flag) <= MAX_KEYWORD and flag.isascii() and all("!" <= letter <= "~" for letter in flag):
            keywords.setdefault(folded, flag)
        else:
            raise Invalid("impossible keyword")
    return Flags(system, tuple(keywords.values()))


def union(given: Collection[Flags]) -> Flags:
    """All flags of several messages together."""
    system = 0
    keywords: dict[str, str] = {}
    for flags in given:
        system |= flags.system
        for keyword in flags.keywords:
            keywords.setdefault(keyword.casefold(), keyword)
    return Flags(system, tuple(keywords.values()))


def _system_bit(folded: str) -> int:
    bit = _SYSTEM_BITS.get(folded)
    if bit is None:
        raise Invalid("no such system flag")
    return bit


def combine(mask: int, mode: StoreMode, given: int) -> int:
    """The mask of a message after ``given`` is applied."""
    if mode is StoreMode.ADD:
        return mask | given
    if mode is StoreMode.REMOVE:
        return mask & ~given
    return given


class Keywords:
    """
    The keywords of a mailbox by number.

    :param names: what the mailbox has so far.
    """

    __slots__ = ("_bits", "_names", "_sets")

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = dict(names)
        self._bits = {name.casefold(): 1 << SYSTEM_COUNT + number for number, name in names.items()}
        self._sets: dict[int, frozenset[str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All keywords, by number."""
        return tuple(name for _, name in sorted(self._names.items()))

    def flags(self, mask: int) -> frozenset[str]:
        """The flags of a mask."""
        found = self._sets.get(mask)
        if found is None:
            system = [flag for number, flag in enumerate(SYSTEM_FLAGS) if mask >> number & 1]
            words = [name for number, name in self._names.items() if mask >> SYSTEM_COUNT + number & 1]
            found = self._sets[mask] = frozenset(system + words)
        return found

    def mask(self, flags: Flags) -> int:
        """The mask of those flags the mailbox knows."""
        mask = flags.system
        for keyword in flags.keywords:
            mask |= self._bits.get(keyword.casefold(), 0)
        return mask

    def bit(self, flag: str) -> int:
        """The bit of one flag; 0 if no message can have it."""
        folded = flag.casefold()
        return _SYSTEM_BITS.get(folded) or self._bits.get(folded, 0)

    def admit(self, flags: Flags, in_use: Callable[[], int]) -> int:
        """
        The mask of ``flags``; keywords that are new get the lowest free numbers.

        :param in_use: all masks of the mailbox together, asked only when no number is free; keywords nobody has any
            more give theirs up then.
        :raises LimitReached: no number is left; nothing is changed then.
        """
        new = [keyword for keyword in flags.keywords if keyword.casefold() not in self._bits]
        if len(self._names) + len(new) > MAX_KEYWORDS:
            self._drop_unused(in_use() | self.mask(flags), len(new))
        free = (number for number in range(MAX_KEYWORDS) if number not in self._names)
        for keyword, number in list(zip(new, free, strict=False)):
            self._names[number] = keyword
            self._bits[keyword.casefold()] = 1 << SYSTEM_COUNT + number
        return self.mask(flags)

    def _drop_unused(self, used: int, wanted: int) -> None:
        unused = [number for number in self._names if not used >> SYSTEM_COUNT + number & 1]
        if len(self._names) - len(unused) + wanted > MAX_KEYWORDS:
            raise LimitReached(f"a mailbox takes {MAX_KEYWORDS} keywords")
        for number in unused:
            del self._bits[self._names.pop(number).casefold()]
        self._sets.clear()

    def numbered(self) -> dict[int, str]:
        """Keywords by number, for keeping."""
        return dict(self._names)


def translate(source: Keywords, target: Keywords, masks: Collection[int], in_use: Callable[[], int]) -> dict[int, int]:
    """
    Masks of another mailbox by masks of this one, for copying; keywords the target lacks are added to it.

    :param in_use: as for :meth:`Keywords.admit`, of the target.
    :raises LimitReached: the target has no room for them; nothing is changed then.
    """
    flags = {mask: sort_out(source.flags(mask)) for mask in masks}
    wanted = {keyword: None for given in flags.values() for keyword in given.keywords}
    target.admit(Flags(0, tuple(sorted(wanted))), in_use)
    return {mask: target.mask(given) for mask, given in flags.items()}
