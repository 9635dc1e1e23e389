"""
SHA-256 of files, kept so that who asks for one need not have the file read.

A record stands for one state of a file: device, inode, size, time of last change and time of last change of the inode, which
no program can set.  Who changes a file by hand, in whatever way, moves that time, so the record is no longer found.  A
record is only made where nobody can have changed the file since it was in that state without moving it:

- of an upload, whose time of last change is set to before any that the kernel can have given it since;
- of a file that was read, if its times lay behind us when that began, what is mapped into memory had been written out, so that
  further changes count as such, and its times are the same in the end;
- of a file that was renamed or given other permission bits, if its time of last change is the same as before; and of one that
  was given another time, if nobody could open it for writing meanwhile.

What escapes this is a program that changes a file within the kernel's tick (4 ms) in which it was put in place, and puts its
time back to the nanosecond; and a power cut that leaves new octets on the disk under old times.

The records of an account are one file, a table with a place for each inode number; where two numbers meet the later
wins.  Nothing is synced: each record is checked against a checksum of itself and its file's state, so what a crash has left is
either right or not found.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.logger import Logger

from launcelot.filestore.beneath import Descriptor
from launcelot.filestore.filesystems import file_clock, keeps_time

PLACES = 1 << 20
"""Records of one account at most; the file has holes where there are none."""

DIGEST = 32
RECORD = 2 * DIGEST
"""Octets: a digest, and a checksum of it with the state of its file."""

COARSE = 1_000_000
"""Nanoseconds; times that are whole multiples may come from a file system that has no finer ones."""

SETTLED = 2_500_000_000
"""Nanoseconds that such a time must lie behind us."""

STEP = 8 << 20
"""Octets that are read in one job."""

PIECE = 256 << 10
"""Octets that are read in one call."""

_STATE = struct.Struct("=QQQqq")

log = Logger(namespace="launcelot.filestore")


class Digests:
    """
    The records of one account.

    :param opened: opens their file with flags; called in worker threads.
    """

    def __init__(self, opened: Callable[[int], Descriptor]) -> None:
        self._opened = opened

    def of(self, found: os.stat_result) -> bytes | None:
        """The SHA-256 of a file in this state; None if it is not known."""
        try:
            file = self._opened(os.O_RDONLY)
        except OSError:
            return None
        try:
            record = os.pread(file.number, RECORD, _place(found))
        except OSError:
            return None
        finally:
            file.close()
        digest = record[:DIGEST]
        return digest if len(record) == RECORD and record[DIGEST:] == _check(found, digest) else None

    def keep(self, descriptor: int, found: os.stat_result, digest: bytes) -> None:
        """
        Remember the SHA-256 of a file in this state; where that cannot be done it will be computed again.

        :param descriptor: the file, open in any way.
        """
        if not keeps_time(descriptor):
            return
        try:
            file = self._opened(os.O_WRONLY | os.O_CREAT)
            try:
                os.pwrite(file.number, digest + _check(found, digest), _place(found))
            finally:
                file.close()
        except OSError as error:
            log.info("a file's SHA-256 is not kept: {error}", error=str(error))

    def follow(self, descriptor: int, before: os.stat_result, after: os.stat_result, since: int) -> None:
        """
        A file is in another state, and its octets are the same if its time of last change is.

        :param since: the file clock, before ``before`` was looked at.
        """
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if same and is_settled(before.st_mtime_ns, since) and (digest := self.of(before)) is not None:
            self.keep(descriptor, after, digest)


def _place(found: os.stat_result) -> int:
    return found.st_ino % PLACES * RECORD


def _state(found: os.stat_result) -> tuple[int, int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check(found: os.stat_result, digest: bytes) -> bytes:
    return hashlib.blake2b(_STATE.pack(*_state(found)) + digest, digest_size=DIGEST).digest()


def is_settled(moment: int, since: int) -> bool:
    """
    Whether no change from ``since`` on can have been given this time.

    :param moment: a file's time, nanoseconds.
    :param since: the file clock.
    """
    return moment < since and (moment % COARSE != 0 or moment < since - SETTLED)


def before_all(moment: int) -> int:
    """A time of last change for a file that nobody has seen yet: ``moment``, or earlier than any change that follows."""
    return min(moment, file_clock() - 1)


class Summing:
    """
    Finds the SHA-256 of an open file: among what is kept, or by reading it in steps, and then keeps it.

    :param size: octets of the file that count.
    """

    def __init__(self, digests: Digests, opened: Descriptor, size: int) -> None:
        self._digests = digests
        self._opened = opened
        self._size = size
        self._sum = hashlib.sha256()
        self._offset = 0
        self._before: os.stat_result | None = None

    def begin(self) -> bytes | None:
        """What is kept; else None, and :meth:`step` is to be called."""
        number = self._opened.number
        found, since = os.fstat(number), file_clock()
        if found.st_size != self._size:
            return None
        known = self._digests.of(found)
        if known is None and is_settled(max(found.st_mtime_ns, found.st_ctime_ns), since) and keeps_time(number):
            os.fsync(number)
            self._before = found
        return known

    def step(self) -> bytes | None:
        """Read on; the digest in the end."""
        number = self._opened.number
        buffer = memoryview(bytearray(PIECE))
        end = min(self._size, self._offset + STEP)
        while self._offset < end:
            count = os.preadv(number, [buffer[: end - self._offset]], self._offset)
            if not count:
                self._before, self._size = None, self._offset
                break
            self._sum.update(buffer[:count])
            self._offset += count
        if self._offset < self._size:
            return None
        digest = self._sum.digest()
        if self._before is not None and _state(self._before) == _state(os.fstat(number)):
            self._digests.keep(number, self._before, digest)
        return digest


@contextmanager
def unwritten(opened: Descriptor) -> Iterator[bool]:
    """
    Keep a file from being opened for writing, for an instant; whether that is so, and nobody has it open so already.

    Who tries waits until the end.  fcntl(2), "Leases"; the signal that tells of them is one that is ignored.
    """
    try:
        file = Descriptor(os.open(f"/proc/self/fd/{opened.number}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        yield False
        return
    try:
        fcntl.fcntl(file.number, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file.number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        file.close()
