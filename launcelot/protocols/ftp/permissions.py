"""
What may be done with an entry, as listings tell it: the fact ``perm`` of RFC 3659 section 7.5.5, and modes as ``ls`` shows them.
"""

from __future__ import annotations

import stat
from functools import lru_cache

from launcelot.core.filerights import ALL, Right
from launcelot.filestore.interface import Entry

_OF_FILES = {
    "a": Right.APPEND | Right.WRITE,
    "d": Right.DELETE,
    "f": Right.RENAME,
    "r": Right.READ,
    "w": Right.WRITE,
}
"""Letters, and the rights one of which lets the commands succeed."""

_OF_FOLDERS = {
    "c": Right.CREATE,
    "d": Right.DELETE,
    "e": ALL,
    "f": Right.RENAME,
    "l": Right.LIST,
    "m": Right.CREATE,
    "p": Right.DELETE,
}

_OF_ITSELF = frozenset("df")
"""Letters about the entry and not about what is in it."""

EVERY_FILE = "".join(_OF_FILES)
EVERY_FOLDER = "".join(_OF_FOLDERS)
"""What an owner may do."""


def perm_fact(entry: Entry) -> str:
    """The letters of an entry."""
    if entry.rights is ALL and not entry.fixed:
        return EVERY_FOLDER if entry.is_folder else EVERY_FILE
    return letters(entry.is_folder, entry.rights, entry.fixed)


@lru_cache(maxsize=512)
def letters(is_folder: bool, rights: Right, fixed: bool = False) -> str:
    """Those that rights bear out."""
    known = _OF_FOLDERS if is_folder else _OF_FILES
    return "".join(letter for letter, any_of in known.items() if rights & any_of and not (fixed and letter in _OF_ITSELF))


def mode_shown(entry: Entry) -> int:
    """The mode bits without those that this account's rights do not bear out."""
    return entry.mode if entry.rights is ALL else entry.mode & mode_mask(entry.is_folder, entry.rights)


@lru_cache(maxsize=512)
def mode_mask(is_folder: bool, rights: Right) -> int:
    """The mode bits that rights bear out."""
    mask = 0o111
    if rights & (Right.LIST if is_folder else Right.READ):
        mask |= 0o444
    if rights & (Right.CREATE | Right.DELETE | Right.RENAME if is_folder else Right.WRITE | Right.APPEND):
        mask |= 0o222
    return mask


@lru_cache(maxsize=1_024)
def mode_words(is_folder: bool, mode: int) -> str:
    """A kind and a mode as ``ls -l`` writes them, such as ``-rw-r--r--``."""
    return stat.filemode((stat.S_IFDIR if is_folder else stat.S_IFREG) | mode)
