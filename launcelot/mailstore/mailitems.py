"""Messages on their way in from, or out to, files that other programs read and write."""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from launcelot.mailstore.flags import MAX_KEYWORD
from launcelot.workers.staging import Buffer

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
    """Whether a mailbox takes a keyword of that name."""
    return 0 < len(keyword) <= MAX_KEYWORD and keyword[0] != "\\" and all("!" <= letter <= "~" for letter in keyword)


def with_crlf(octets: Buffer) -> Buffer:
    """The octets with CRLF at the ends of lines, where they have LF alone throughout."""
    if octets.find(b"\r\n") >= 0:
        return octets
    return octets[:].replace(b"\n", b"\r\n")
