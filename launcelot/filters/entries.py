"""
Entries of the list ``filters`` of the table ``[checks]``.

One is ``KIND PLACE``, and behind it what becomes of mail while the filter cannot be asked: ``defer``, the default, or ``accept``.
The place of a plugin is its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.filters.asking import Place

KINDS = ("milter", "rspamd", "lmtp", "plugin")


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    One entry.

    :ivar name: of a plugin; otherwise empty, and ``place`` is set.
    """

    kind: str
    place: Place | None
    name: str
    defers: bool


def parse_filter(text: str) -> Wanted:
    """
    Read one entry.

    :raises ValueError: it is none.
    """
    words = text.split()
    if not 2 <= len(words) <= 3 or words[0] not in KINDS:
        raise ValueError(f"{text!r} is not KIND PLACE; kinds are {', '.join(KINDS)}")
    kind, where, otherwise = words[0], words[1], words[2] if len(words) == 3 else "defer"
    if otherwise not in ("defer", "accept"):
        raise ValueError(f"{otherwise!r} is neither defer nor accept")
    if kind == "plugin":
        if len(words) == 3:
            raise ValueError("a plugin has a name and nothing behind it")
        return Wanted(kind, None, where, True)
    return Wanted(kind, Place.parse(where), "", otherwise == "defer")
