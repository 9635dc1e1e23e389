"""
How many octets an account has stored, as several processes count them together.

The number stands in a file beside the tree, and whoever changes the tree holds the file's lock, a flock(2) that the kernel
takes back from a process that is killed.  While somebody is at it the file says so; one who finds that left behind, or a
number from before the daemon was started, counts the tree anew.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

RUN = 16
"""Octets that name one run of the daemon."""

_RECORD = struct.Struct(f"{RUN}sQ")
_NOBODY = bytes(RUN)


class Ledger:
    """
    Counts of one run of the daemon.

    :param run: the same in all its processes and no other's; :data:`RUN` octets.
    """

    def __init__(self, run: bytes) -> None:
        self._run = run

    @contextmanager
    def held(self, descriptor: int, count: Callable[[], int]) -> Iterator[Balance]:
        """
        Hold the lock, with the number as it is; what it is then is kept.  May wait for another process.

        :param descriptor: of the file, open for reading and writing by this call alone; closing it is the caller's business.
        :param count: counts the tree.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        record = os.pread(descriptor, _RECORD.size, 0)
        run, stored = _RECORD.unpack(record) if len(record) == _RECORD.size else (_NOBODY, 0)
        balance = Balance(stored if run == self._run else count())
        os.pwrite(descriptor, _RECORD.pack(_NOBODY, 0), 0)
        try:
            yield balance
        finally:
            os.pwrite(descriptor, _RECORD.pack(self._run, max(0, balance.stored)), 0)


class Balance:
    """
    The number while the lock is held.

    :ivar stored: octets.
    """

    __slots__ = ("stored",)

    def __init__(self, stored: int) -> None:
        self.stored = stored
