"""
Bodies on their way from a peer to a store: in memory while small, in an unlinked file past a bound.

Staged octets are not durable; a store that has committed them closes the :class:`Staged`.  Memory for one body is bounded by
:data:`IN_MEMORY` whatever its size.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from launcelot.core.errors import TryLater
from launcelot.workers.interface import Workers

IN_MEMORY = 262_144
"""Octets of one body kept in memory; more go to a file."""

Buffer = bytes | mmap.mmap
"""A whole body, readable by slices and ``find``; an mmap stays valid until its Staged is closed."""


class Staged:
    """One body: written in pieces, then viewed as a whole."""

    def __init__(self, folder: Path | None, workers: Workers) -> None:
        self.size = 0
        self._folder = folder
        self._workers = workers
        self._pieces: list[bytes] = []
        self._file: int | None = None
        self._map: mmap.mmap | None = None

    async def write(self, data: bytes) -> None:
        """
        Add octets.

        :raises TryLater: the disk is full or fails.
        """
        self.size += len(data)
        self._pieces.append(data)
        if self._file is None and (self._folder is None or self.size <= IN_MEMORY):
            return
        pieces, self._pieces = self._pieces, []
        await self._workers.run(lambda: self._spill(pieces))

    def _spill(self, pieces: list[bytes]) -> None:
        try:
            if self._file is None:
                self._file = os.open(
                    self._folder or tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600
                )
            data = memoryview(b"".join(pieces))
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            raise TryLater("no room to receive the message") from error

    def view(self) -> Buffer:
        """All octets, after the last write."""
        if self._file is None:
            if len(self._pieces) != 1:
                self._pieces = [b"".join(self._pieces)]
            return self._pieces[0]
        if self._map is None:
            self._map = mmap.mmap(self._file, self.size, prot=mmap.PROT_READ)
        return self._map

    def chunks(self, length: int) -> Iterator[bytes]:
        """All octets in pieces of up to ``length``; reading a spilled body may block, so use it in a worker."""
        whole = self.view()
        for start in range(0, self.size, length):
            yield whole[start : start + length]

    def close(self) -> None:
        """Let go of memory and file; may be called twice."""
        self._pieces = []
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Staging:
    """
    Where bodies are staged.

    :param folder: for files of large bodies; None keeps everything in memory, for tests.
    """

    def __init__(self, folder: Path | None, workers: Workers) -> None:
        self._folder = folder
        self._workers = workers

    def begin(self) -> Staged:
        """A new, empty body."""
        return Staged(self._folder, self._workers)
