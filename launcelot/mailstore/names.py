"""
Mailbox names: what is allowed, what lies above and below, and which match a LIST pattern.

A name is a ``str`` with ``/`` between its levels.  Its one spelling (:func:`canonical`) is in Unicode form NFC (RFC 9051
section 5.1) with the inbox as ``INBOX``, also as the first level of names below it.

Matching never backtracks: a name costs time linear in its length whatever the pattern is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from launcelot.core.errors import Invalid
from launcelot.mailstore.interface import INBOX, SEPARATOR

MAX_OCTETS = 1_000
"""Largest name in octets of UTF-8."""
MAX_LEVELS = 32


def canonical(name: str) -> str:
    """
    The one spelling of a name.

    :raises Invalid: it is empty, over 1,000 octets or 32 levels, or has an empty level, a control or a surrogate.
    """
    if len(name) > MAX_OCTETS:
        raise Invalid("mailbox name is too long")
    plain = name.isascii() and name.isprintable()
    if not plain:
        name = _composed(name)
    levels = name.split(SEPARATOR)
    if len(levels) > MAX_LEVELS:
        raise Invalid("mailbox name has too many levels")
    if not all(levels):
        raise Invalid("mailbox name has an empty level")
    if not plain and any(unicodedata.category(letter) in _FORBIDDEN for letter in name):
        raise Invalid("mailbox name has a control character")
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    return SEPARATOR.join(levels)


def _composed(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    try:
        octets = len(name.encode())
    except UnicodeEncodeError:
        raise Invalid("mailbox name is not Unicode text") from None
    if octets > MAX_OCTETS:
        raise Invalid("mailbox name is too long")
    return name


def known(name: str) -> str | None:
    """The one spelling of a name that is only looked for; None for an impossible one."""
    try:
        return canonical(name)
    except Invalid:
        return None


def parents(name: str) -> Iterator[str]:
    """The names above a name, the first level first."""
    position = name.find(SEPARATOR)
    while position >= 0:
        yield name[:position]
        position = name.find(SEPARATOR, position + 1)


def is_below(name: str, above: str) -> bool:
    """Whether a name lies somewhere below another."""
    return name.startswith(above + SEPARATOR)


def order(name: str) -> tuple[bool, str]:
    """Sorts INBOX first, then by name."""
    return (name != INBOX, name)


def matches(pattern: str, name: str) -> bool:
    """Whether a canonical name matches a LIST pattern; :class:`Pattern` is for many names."""
    return Pattern(pattern).matches(name)


class Pattern:
    """
    A LIST pattern: ``*`` stands for anything, ``%`` for anything within a level.  RFC 9051 section 6.3.9.

    The inbox matches in any case.  A pattern over :data:`MAX_PATTERN` characters is refused.

    :raises Invalid: the pattern is too long.
    """

    __slots__ = ("_any", "_end", "_head", "_level", "_masks", "_pieces", "_tail", "_wild")

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise Invalid("pattern is too long")
        pattern = _without_runs(unicodedata.normalize("NFC", pattern))
        self._pieces = None if "%" in pattern else pattern.split("*")
        self._head = pattern.replace("%", "*").split("*", 1)[0]
        self._tail = pattern.replace("%", "*").rsplit("*", 1)[-1]
        self._masks: dict[str, int] = {}
        self._any = self._level = 0
        for number, letter in enumerate(pattern):
            if letter == "*":
                self._any |= 1 << number
            elif letter == "%":
                self._level |= 1 << number
            else:
                self._masks[letter] = self._masks.get(letter, 0) | 1 << number
        self._wild = self._any | self._level
        self._end = 1 << len(pattern)

    def matches(self, name: str) -> bool:
        """Whether a canonical name matches."""
        if name == INBOX or name.startswith(INBOX + SEPARATOR):
            return self._simulate(name, len(INBOX))
        if not (name.startswith(self._head) and name.endswith(self._tail)):
            return False
        if self._pieces is not None:
            return self._find_pieces(name, self._pieces)
        return self._simulate(name, 0)

    def _find_pieces(self, name: str, pieces: list[str]) -> bool:
        """Only ``*``: each piece where it is first found is as good as anywhere."""
        if len(pieces) == 1:
            return name == pieces[0]
        position = len(pieces[0])
        end = len(name) - len(pieces[-1])
        for piece in pieces[1:-1]:
            position = name.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return position <= end

    def _simulate(self, name: str, folded: int) -> bool:
        """
        All places in the pattern at once, a bit for each; the first ``folded`` letters match in any case.

        Wildcards do not stand side by side (:func:`_without_runs`), so that one step over an empty one is enough.
        """
        masks, wild, get = self._masks, self._wild, self._masks.get
        places = 1
        places |= (places & wild) << 1
        for number, letter in enumerate(name):
            mask = get(letter, 0)
            if number < folded:
                mask |= masks.get(letter.lower(), 0)
            stay = self._any if letter == SEPARATOR else wild
            places = (places & mask) << 1 | places & stay
            places |= (places & wild) << 1
            if not places:
                return False
        return bool(places & self._end)


def _without_runs(pattern: str) -> str:
    """The pattern with each run of wildcards as one: a ``*`` in it swallows the others."""
    kept: list[str] = []
    for letter in pattern:
        if letter in "*%" and kept and kept[-1] in "*%":
            if letter == "*":
                kept[-1] = "*"
        else:
            kept.append(letter)
    return "".join(kept)


MAX_PATTERN = 4 * MAX_OCTETS
_FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
