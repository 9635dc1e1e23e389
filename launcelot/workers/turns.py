"""
Whose turn it is to write a file that several processes write.

SQLite lets one process write and has the others look again after pauses that grow to a tenth of a second, in which whoever has
just written writes again.  A lock of the kernel's on the file's folder wakes the next one at once, and ends with its process.
It only puts them in a row: that no two write at a time is SQLite's own lock's doing, as it is without this one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """
    Wait, off the reactor thread, until nobody else has a turn at what is in a folder, then have one.

    Where the kernel has no such lock nobody waits.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            # A file system without such locks.
            pass
        yield
    finally:
        os.close(lock)
