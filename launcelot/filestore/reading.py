"""
Reading files on disk, and where they lie in memory handing them to the kernel to be sent.
"""

from __future__ import annotations

import hashlib
import os
from functools import partial

from launcelot.filestore.beneath import Descriptor
from launcelot.filestore.calls import refusing
from launcelot.filestore.interface import Entry
from launcelot.filestore.limits import PIECE
from launcelot.filestore.place import Place
from launcelot.workers.interface import Workers

PROBE = 131_072
"""Octets of which one is looked at; the kernel reads ahead by as many."""


def in_memory(descriptor: int, offset: int, length: int) -> bool | None:
    """
    Whether octets of a file can be read without waiting for a disk, judged by one in every :data:`PROBE`.

    None where the file system cannot tell.  preadv2(2), RWF_NOWAIT.
    """
    octet = [bytearray(1)]
    try:
        for start in range(offset, offset + length, PROBE):
            os.preadv(descriptor, octet, start, os.RWF_NOWAIT)
        os.preadv(descriptor, octet, max(offset, offset + length - 1), os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


class DiskReader:
    """
    Reads one state of a file.

    :param head: its first octets; all of them where it is not open any more.
    """

    def __init__(self, workers: Workers, place: Place, entry: Entry, opened: Descriptor, head: bytes) -> None:
        self.entry = entry
        self._workers = workers
        self._place = place
        self._opened = opened
        self._head = head
        self._buffer = bytearray()

    async def read(self, offset: int, length: int) -> bytes:
        """See :meth:`launcelot.filestore.interface.Reader.read`."""
        head = self._head
        if offset + length <= len(head) or self._opened.number < 0:
            return head[offset : offset + length]
        self._head = b""
        there = self._read_at_once(offset, min(length, self.entry.size - offset))
        return there if there is not None else await self._workers.run(lambda: self._read(offset, length))

    def _read_at_once(self, offset: int, length: int) -> bytes | None:
        """Octets that all lie in memory: to have them read elsewhere takes longer than to read them."""
        if not 0 < length <= PIECE:
            return None
        if len(self._buffer) < length:
            self._buffer = bytearray(length)
        view = memoryview(self._buffer)[:length]
        try:
            if os.preadv(self._opened.number, [view], offset, os.RWF_NOWAIT) != length:
                return None
        except OSError:
            return None
        return bytes(view)

    def _read(self, offset: int, length: int) -> bytes:
        with refusing():
            data = os.pread(self._opened.number, length, offset)
            while data and len(data) < length and offset + len(data) < self.entry.size:
                more = os.pread(self._opened.number, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
            return data

    async def sendable(self, offset: int, length: int) -> int | None:
        """See :meth:`launcelot.filestore.interface.Reader.sendable`."""
        there = in_memory(self._opened.number, offset, length) if self._opened.number >= 0 else None
        if there is None:
            return None
        self._head = b""
        if not there:
            await self._workers.run(partial(self._warm, offset, length))
        return self._opened.number if self._opened.number >= 0 else None

    def _warm(self, offset: int, length: int) -> None:
        with refusing():
            # While these are sent the kernel may read what comes next.
            os.posix_fadvise(self._opened.number, offset, 2 * length, os.POSIX_FADV_WILLNEED)
            for start in range(offset, offset + length, PIECE):
                os.pread(self._opened.number, min(PIECE, offset + length - start), start)

    async def sha256(self) -> bytes:
        """See :meth:`launcelot.filestore.interface.Reader.sha256`."""
        opened, size = self._opened, self.entry.size
        if opened.number < 0:
            head = self._head
            return await self._workers.run(lambda: hashlib.sha256(head).digest())
        work = await self._workers.run(lambda: self._place.summing(opened, size))
        if isinstance(work, bytes):
            return work
        while (digest := await self._workers.run(partial(self._place.sum_on, work))) is None:
            pass
        return digest

    async def close(self) -> None:
        """Let go of it."""
        self._head = b""
        self._opened.close()
