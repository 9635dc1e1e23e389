"""
Folders of ``*.eml`` files, one message each: a folder is a mailbox, and folders in it are mailboxes below it.

Dates are modification times.  Flags are in a file ``flags.txt`` of ours, a line for each message: its file, a tab, its flags; a
folder that has one was written here, and its messages are taken as they are.  Elsewhere a file without any CRLF has its
LFs turned into CRLF.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from launcelot.mailstore.foldernames import decode_level, encode_level
from launcelot.mailstore.interface import INBOX, SYSTEM_FLAGS
from launcelot.mailstore.mailitems import Item, Unreadable, octets_in, possible, with_crlf

ENDING = ".eml"
FLAGS = "flags.txt"


# -- reading -------------------------------------------------------------------------------------------------------


def files(root: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """The file itself, or all ``*.eml`` at and below a folder by name, with the levels of their folders."""
    if not root.is_dir():
        yield (), root
        return
    for place, names, found in os.walk(root):
        names.sort()
        folder = Path(place)
        levels = tuple(map(decode_level, folder.relative_to(root).parts))
        for name in sorted(found):
            if name.lower().endswith(ENDING):
                yield (() if levels == (INBOX,) else levels), folder / name


def total(root: Path) -> int:
    """Octets of all files."""
    return sum(path.stat().st_size for _, path in files(root))


def read(root: Path, verbatim: bool) -> Iterator[Item | Unreadable]:
    """All messages, in the order of their names."""
    folder, flags = Path(), {}
    for levels, path in files(root):
        if path.parent != folder:
            folder = path.parent
            flags = _flags(folder)
        place = str(path.relative_to(root)) if path != root else path.name
        try:
            body, status = octets_in(path)
        except OSError as error:
            yield Unreadable(place, error.strerror or "cannot be read")
            continue
        body = body if verbatim or path.name in flags else with_crlf(body)
        date = datetime.fromtimestamp(int(status.st_mtime), UTC)
        yield Item(levels, f"eml {place}", body, flags.get(path.name, ()), date, status.st_size)


def _flags(folder: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    try:
        lines = (folder / FLAGS).read_text("utf-8", "replace").splitlines()
    except OSError:
        return found
    for line in lines:
        name, tab, flags = line.partition("\t")
        if tab:
            found[name] = tuple(flag for flag in flags.split() if flag in SYSTEM_FLAGS or possible(flag))
    return found


# -- writing -------------------------------------------------------------------------------------------------------


class Writer:
    """
    One folder that is written; messages that an earlier run wrote are not written again.

    :param root: the folder of the tree.
    :param name: of the mailbox.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._folder = root.joinpath(*map(encode_level, name.split("/")))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._flags = _flags(self._folder)

    def write(self, uid_validity: int, uid: int, flags: Sequence[str], date: datetime, body: bytes) -> Sequence[str]:
        """
        Write a message; it is there or it is not, and its flags are there before.

        :returns: flags for which there is no room: none.
        """
        path = self._folder / f"{uid_validity}-{uid:010}{ENDING}"
        if self._flags.get(path.name) != tuple(flags):
            self._flags[path.name] = tuple(flags)
            with open(self._folder / FLAGS, "a", encoding="utf-8") as file:
                file.write(f"{path.name}\t{' '.join(flags)}\n")
        if not path.exists():
            temporary = path.with_name(f".{path.name}")
            temporary.write_bytes(body)
            os.utime(temporary, (date.timestamp(), date.timestamp()))
            os.rename(temporary, path)
        return ()

    def leave(self) -> None:
        """Something went wrong; a later run goes on."""

    def close(self) -> None:
        """Nothing is left to be done: each message was put in its place."""
