"""
Bodies on their way from a peer to a store: in memory while small, in an unlinked file past a bound.

Staged octets are not durable; a store that has committed them closes the :class:`Staged`.  Memory for one body is bounded by
:data:`IN_MEMORY` and a few :data:`WINDOW` whatever its size; bodies of some MiB stay in memory as well while all of them together
take no more than :data:`SPARE` of it.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from launcelot.core.errors import TryLater
from launcelot.workers.interface import Workers

T = TypeVar("T")

IN_MEMORY = 262_144
"""Octets of one body kept in memory; more go to a file."""

SPARE = 16 << 20
"""Octets in memory beyond :data:`IN_MEMORY` each, of all bodies together: to write one to a file and read it again takes longer
than to receive it."""

LARGEST_SPARED = 2 << 20
"""Octets of a body that has some of that."""

MAX_PIECES = 1_024
"""Pieces of one body kept apart in memory: a body that comes octet by octet must not cost forty times its size."""

Buffer = bytes | mmap.mmap
"""A whole body, readable by slices and ``find``; an mmap stays valid until its Staged is closed."""


WINDOW = 1 << 20
"""Octets of a file that are looked at in one go."""

LARGE = 32_768
"""Octets of a slice from which on its pages are let go."""


class Mapped(mmap.mmap):
    """
    A file in memory of which only a window stays there, however much of it is read.

    The kernel counts every page that was looked at as ours until it needs the room; a daemon that reads a message of 100 MiB
    would seem to grow by that.  Pages behind what was read last are handed back; whoever looks again gets them from the file.
    """

    _kept = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, slice) and len(found) >= LARGE:
            self._let_go(key.start or 0, len(found))
        return found

    def find(self, sub: Any, start: int = 0, end: int | None = None) -> int:
        """As that of :class:`bytes`, for a start and an end within the file."""
        last = len(self) if end is None else end
        while last - start > WINDOW:
            found = super().find(sub, start, start + WINDOW + len(sub) - 1)
            self._let_go(start, WINDOW)
            if found >= 0:
                return found
            start += WINDOW
        found = super().find(sub, start, last)
        reached = found if found >= 0 else last
        if not 0 <= reached - self._kept < WINDOW:
            self._let_go(min(self._kept, reached), abs(reached - self._kept))
            self._kept = reached
        return found

    def _let_go(self, start: int, length: int) -> None:
        first = start - start % mmap.PAGESIZE
        self.madvise(mmap.MADV_DONTNEED, first, start + length - first)


class Spare:
    """
    Memory that several bodies share.

    :ivar octets: that are left.
    """

    def __init__(self, octets: int) -> None:
        self.octets = octets


class Staged:
    """
    One body: written in pieces, then viewed as a whole.

    Whoever receives the body may give up at any time: :meth:`close` while a worker writes to the file leaves it to that
    worker to close the file, so that its descriptor is never another file's.
    """

    def __init__(self, folder: Path | None, workers: Workers, spare: Spare | None = None) -> None:
        self.size = 0
        self._folder = folder
        self._workers = workers
        self._spare = spare
        self._borrowed = 0
        self._pieces: list[bytes] = []
        self._file: int | None = None
        self._map: mmap.mmap | None = None
        self._lock = Lock()
        self._spilling = False
        self._closed = False

    async def write(self, data: bytes) -> None:
        """
        Add octets.

        :raises TryLater: the disk is full or fails.
        """
        self.size += len(data)
        self._pieces.append(data)
        if self._file is None and (self._folder is None or self.size <= IN_MEMORY or self._borrows()):
            if len(self._pieces) >= MAX_PIECES:
                self._pieces = [b"".join(self._pieces)]
            return
        pieces, self._pieces = self._pieces, []
        self._give_back()
        await self._workers.run(lambda: self._spill(pieces))

    def _borrows(self) -> bool:
        """Whether there is memory for it beyond its own, which is taken then."""
        more = self.size - IN_MEMORY - self._borrowed
        if self._spare is None or self.size > LARGEST_SPARED or more > self._spare.octets:
            return False
        self._spare.octets -= more
        self._borrowed += more
        return True

    def _give_back(self) -> None:
        if self._spare is not None:
            self._spare.octets += self._borrowed
            self._borrowed = 0

    def _spill(self, pieces: list[bytes]) -> None:
        with self._lock:
            if self._closed:
                return
            self._spilling = True
        try:
            self._file = write_all(self._file, self._folder, b"".join(pieces))
        except OSError as error:
            raise TryLater("no room to receive the message") from error
        finally:
            with self._lock:
                self._spilling = False
                closed = self._closed
            if closed:
                self._close_file()

    def view(self) -> Buffer:
        """All octets, after the last write."""
        if self._file is None:
            if len(self._pieces) != 1:
                self._pieces = [b"".join(self._pieces)]
            return self._pieces[0]
        if self._map is None:
            self._map = Mapped(self._file, self.size, prot=mmap.PROT_READ)
        return self._map

    def chunks(self, length: int) -> Iterator[bytes]:
        """All octets in pieces of up to ``length``; reading a spilled body may block, so use it in a worker."""
        whole = self.view()
        for start in range(0, self.size, length):
            yield whole[start : start + length]

    def close(self) -> None:
        """Let go of memory and file; may be called twice, and while a write has not ended."""
        self._pieces = []
        self._give_back()
        view, self._map = self._map, None
        if view is not None:
            try:
                view.close()
            except BufferError:
                # A worker of a cancelled append still looks at a part of it; it goes with the last reference.
                pass
        with self._lock:
            self._closed = True
            spilling = self._spilling
        if not spilling:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def write_all(file: int | None, folder: Path | None, data: bytes) -> int:
    """
    Write octets to the end of a file without a name, made when there is none, and return its descriptor.

    :raises OSError: they could not all be written; a file that was made for them is closed.
    """
    made = file is None
    descriptor = (
        os.open(folder or tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if file is None
        else file
    )
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        if made:
            os.close(descriptor)
        raise
    return descriptor


class Staging:
    """
    Where bodies are staged.

    :param folder: for files of large bodies; None keeps everything in memory, for tests.
    :param spare: octets of memory that larger bodies share.
    """

    def __init__(self, folder: Path | None, workers: Workers, spare: int = SPARE) -> None:
        self._folder = folder
        self._workers = workers
        self._spare = Spare(spare)

    def begin(self) -> Staged:
        """A new, empty body."""
        return Staged(self._folder, self._workers, self._spare)

    async def aside(self, job: Callable[[], T]) -> T:
        """Look at a staged body where that keeps nobody waiting; the job must be done with it before it is closed."""
        return await self._workers.run(job)
