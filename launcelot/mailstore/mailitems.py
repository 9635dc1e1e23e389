"""Messages on their way in from, or out to, files that other programs read and write."""

from __future__ import annotations

import errno
import mmap
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from launcelot.mailstore.flags import MAX_KEYWORD
from launcelot.workers.staging import Buffer

_ATOM = re.compile(r"[!#$&'+,./0-9:;<=>?@A-Z^_`a-z|}~\[-]+")

IN_MEMORY = 1 << 23
"""Octets of a message kept in memory; more go to an unlinked file."""


@dataclass(frozen=True, slots=True)
class Item:
    """
    A message that is to be taken in.

    :ivar levels: of the mailbox it was in, below where one began to look; empty for that place itself.
    :ivar identity: where it was found, in words that are the same the next time.
    :ivar flags: system flags and keywords, possible ones.
    :ivar date: of its arrival, where that is known.
    :ivar octets: what it took where it was found.
    """

    levels: tuple[str, ...]
    identity: str
    body: Buffer
    flags: tuple[str, ...]
    date: datetime | None
    octets: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """
    Something that was passed over.

    :ivar reason: for people.
    """

    place: str
    reason: str
    octets: int = 0


class Gathered:
    """A message that comes in pieces, of any size."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Some more octets."""
        self.size += len(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._pieces.append(piece)
        if self.size > IN_MEMORY:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the message
            self._file.writelines(self._pieces)
            self._pieces = []

    def view(self, size: int) -> Buffer:
        """The first octets, asked for once; valid as long as they are held."""
        if self._file is None or size == 0:
            return b"".join(self._pieces)[:size]
        file, self._file = self._file, None
        with file:
            file.truncate(size)
            file.flush()
            return mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)


def possible(keyword: str) -> bool:
    """Whether a keyword may have that name: an atom, so that IMAP can say it.  RFC 9051 section 9 ``flag-keyword``."""
    return len(keyword) <= MAX_KEYWORD and _ATOM.fullmatch(keyword) is not None


def octets_in(path: Path) -> tuple[Buffer, os.stat_result]:
    """
    All of a plain file, mapped when it is large.

    :raises OSError: it cannot be read, or is a pipe or something else that might keep us waiting.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no plain file", str(path))
        if status.st_size > IN_MEMORY:
            return mmap.mmap(descriptor, status.st_size, prot=mmap.PROT_READ), status
        return os.pread(descriptor, status.st_size, 0), status
    finally:
        os.close(descriptor)


def with_crlf(octets: Buffer) -> Buffer:
    """The octets with CRLF at the ends of lines, where they have LF alone throughout."""
    if octets.find(b"\r\n") >= 0:
        return octets
    return octets[:].replace(b"\n", b"\r\n")
