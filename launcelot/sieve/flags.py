"""Flags as scripts write them: words in strings, in no order and without case.  RFC 5232 section 2."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_FLAGS = 64
"""Flags of one message."""
_FLAG = re.compile(r"\\?[^\x00-\x20\x7f(){%*\"\\\]]+")
_SYSTEM = {one.lower(): one for one in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")}


def flags_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The flags in strings, each once; what no mailbox could keep is left out, as RFC 5232 section 5 demands."""
    found: dict[str, str] = {}
    for word in " ".join(texts).split():
        key = word.lower()
        possible = key in _SYSTEM or (not word.startswith("\\") and word.isascii() and _FLAG.fullmatch(word))
        if possible and len(word) <= 200 and len(found) < MAX_FLAGS:
            found.setdefault(key, _SYSTEM.get(key, word))
    return tuple(found.values())


def without(flags: Iterable[str], gone: Iterable[str]) -> tuple[str, ...]:
    """Flags without others."""
    keys = {one.lower() for one in gone}
    return tuple(one for one in flags if one.lower() not in keys)
