"""
What kind of file system something lies on.

Whoever remembers what a file held and goes by its times has to know that every change by anybody moves them at once, and
finely enough.  That is so on the file systems that are named here.  Of others nothing is believed: those on a network learn of
changes late, tmpfs does not learn of what is written through mapped pages, and overlayfs may lie on either.
"""

from __future__ import annotations

import ctypes
import sys
import time
from functools import cache

KNOWN = {
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xF2F52010: "f2fs",
}
"""By the first field of ``struct statfs``, statfs(2)."""

CLOCK_REALTIME_COARSE = 5
"""The clock from which the kernel takes a file's times, clock_gettime(2); Python has no name for it."""


def keeps_time(descriptor: int) -> bool:
    """Whether what is open lies on a file system whose times can be believed."""
    call = _fstatfs()
    if call is None:
        return False
    told = (ctypes.c_long * 64)()
    return call(descriptor, told) == 0 and told[0] in KNOWN


@cache
def _fstatfs() -> ctypes._NamedFuncPointer | None:
    found: ctypes._NamedFuncPointer | None = getattr(ctypes.CDLL(None), "fstatfs", None) if sys.platform == "linux" else None
    return found


def file_clock() -> int:
    """Nanoseconds since 1970; what is changed from now on has no earlier time."""
    return time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
