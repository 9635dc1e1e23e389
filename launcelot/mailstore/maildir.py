"""
Maildir, and the tree of Maildir++ below one: reading what others wrote, and writing what others read.

Flags are in file names and dates in modification times; keywords are the letters ``a`` to ``z``, named in Dovecot's file
``dovecot-keywords``, and ``dovecot-uidlist``, where there is one, tells the order of messages.

A message is stored with CRLF.  A file without any CRLF has its LFs turned into CRLF, unless its name says by ``W=`` that it is
as long with them: so says every file written here, and comes back octet for octet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from launcelot.mailstore.foldernames import decode_level, encode_level
from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.mailitems import Item, Unreadable, octets_in, possible, with_crlf

LETTERS = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
MAX_KEYWORDS = 26
_INFO = re.compile(r":2,([A-Za-z]*)$")
_SIZES = re.compile(r",S=(\d+).*,W=\1(?![0-9])")
_UID_LINE = re.compile(r"(\d+) [^:]*:(.+)")


# -- reading -------------------------------------------------------------------------------------------------------


def is_maildir(folder: Path) -> bool:
    """Whether a folder is one."""
    return (folder / "cur").is_dir() or (folder / "new").is_dir()


def folders(root: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Every Maildir at or below a folder and its levels; ``.a.b`` is ``a/b``, as in Maildir++, and so is ``a/b``."""
    for place, names, _ in os.walk(root):
        names[:] = sorted(name for name in names if name not in ("cur", "new", "tmp"))
        folder = Path(place)
        if is_maildir(folder):
            levels: list[str] = []
            for name in folder.relative_to(root).parts:
                levels += [decode_level(one) for one in name.removeprefix(".").split(".") if one]
            yield tuple([] if levels == [INBOX] else levels), folder


def total(root: Path) -> int:
    """Octets of all messages."""
    return sum(_size(path) for _, folder in folders(root) for path in _files(folder))


def read(root: Path, verbatim: bool) -> Iterator[Item | Unreadable]:
    """All messages of all folders, in the order of each."""
    for levels, folder in folders(root):
        names = _keywords(folder)
        for path in _files(folder):
            yield _read(root, levels, path, names, verbatim)


def _read(root: Path, levels: tuple[str, ...], path: Path, names: Sequence[str], verbatim: bool) -> Item | Unreadable:
    place = str(path.relative_to(root))
    try:
        body, status = octets_in(path)
    except OSError as error:
        return Unreadable(place, error.strerror or "cannot be read")
    if not verbatim and not _SIZES.search(path.name):
        body = with_crlf(body)
    found = _INFO.search(path.name)
    flags = _flags(found[1] if found and path.parent.name == "cur" else "", names)
    identity = f"maildir {'/'.join(levels)} {base_of(path.name)}"
    return Item(levels, identity, body, flags, datetime.fromtimestamp(int(status.st_mtime), UTC), status.st_size)


def base_of(name: str) -> str:
    """What names a message whatever its flags are."""
    return name.partition(":")[0]


def _unsized(name: str) -> str:
    """What names a message in the list of UIDs, which may lack the sizes."""
    return base_of(name).partition(",")[0]


def _flags(letters: str, names: Sequence[str]) -> tuple[str, ...]:
    found = [LETTERS[letter] for letter in letters if letter in LETTERS]
    places = [ord(letter) - ord("a") for letter in letters if "a" <= letter <= "z"]
    return (*found, *[names[place] for place in places if place < len(names) and possible(names[place])])


def _keywords(folder: Path) -> list[str]:
    names = [""] * MAX_KEYWORDS
    try:
        text = (folder / "dovecot-keywords").read_text("utf-8", "replace")
    except OSError:
        return names
    for line in text.splitlines():
        number, _, name = line.partition(" ")
        if number.isdecimal() and int(number) < MAX_KEYWORDS:
            names[int(number)] = name.strip()
    return names


def _files(folder: Path) -> list[Path]:
    order: dict[str, int] = {}
    try:
        lines = (folder / "dovecot-uidlist").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        found = _UID_LINE.match(line)
        if found:
            order[_unsized(found[2])] = int(found[1])
    found_here = [
        path for part in ("cur", "new") for path in _listed(folder / part) if not path.name.startswith(".")
    ]
    last = max(order.values(), default=0) + 1
    return sorted(found_here, key=lambda path: (order.get(_unsized(path.name), last), _moment(path.name), path.name))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _moment(name: str) -> int:
    digits = re.match(r"\d{1,18}", name)
    return int(digits[0]) if digits else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# -- writing -------------------------------------------------------------------------------------------------------


class Writer:
    """
    One Maildir of a tree that is written.

    Messages that an earlier run wrote, under whatever flags they have now, are not written again.

    :param root: the tree.
    :param name: of the mailbox; INBOX is the tree's own.
    """

    def __init__(self, root: Path, name: str) -> None:
        levels = [] if name == INBOX else name.split("/")
        self.folder = root / ("." + ".".join(map(encode_level, levels))) if levels else root
        for part in ("tmp", "new", "cur"):
            (self.folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        if levels:
            (self.folder / "maildirfolder").touch()
        self._there = {base_of(path.name) for path in _listed(self.folder / "cur")}
        self._keywords = [name for name in _keywords(self.folder) if name]

    def write(self, uid_validity: int, uid: int, flags: Sequence[str], date: datetime, body: bytes) -> Sequence[str]:
        """
        Write a message; it is there or it is not.

        :returns: flags that a Maildir has no room for.
        """
        base = f"{int(date.timestamp())}.M{uid:010}V{uid_validity}.launcelot,S={len(body)},W={len(body)}"
        letters, left = self._letters(flags)
        if base in self._there:
            return left
        temporary = self.folder / "tmp" / base
        temporary.write_bytes(body)
        os.utime(temporary, (date.timestamp(), date.timestamp()))
        os.rename(temporary, self.folder / "cur" / f"{base}:2,{letters}")
        return left

    def _letters(self, flags: Sequence[str]) -> tuple[str, list[str]]:
        known = {flag: letter for letter, flag in LETTERS.items()}
        letters, left = [], []
        for flag in flags:
            if flag in known:
                letters.append(known[flag])
            elif flag in self._keywords or len(self._keywords) < MAX_KEYWORDS:
                letters.append(chr(ord("a") + self._number(flag)))
            else:
                left.append(flag)
        return "".join(sorted(letters)), left

    def _number(self, keyword: str) -> int:
        if keyword not in self._keywords:
            self._keywords.append(keyword)
            lines = "".join(f"{number} {name}\n" for number, name in enumerate(self._keywords))
            temporary = self.folder / "tmp" / "dovecot-keywords"
            temporary.write_text(lines)
            os.replace(temporary, self.folder / "dovecot-keywords")
        return self._keywords.index(keyword)

    def leave(self) -> None:
        """Something went wrong; a later run goes on."""

    def close(self) -> None:
        """Nothing is left to be done: each message was put in its place."""


