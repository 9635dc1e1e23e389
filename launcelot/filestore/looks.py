"""
Looking at many entries of one folder: what ``ls`` needs to know of each, and nothing else.

``os.stat`` makes an object with two dozen numbers of each answer, which takes half as long as the system call.  Here the
kernel writes its answers one behind the other into one buffer, statx(2), and what counts is taken out of all of them in one
go.  Where there is no ``statx``, and for each entry of which it tells nothing, ``os.stat`` is asked.

Links are not followed, and nothing is opened.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from itertools import repeat

from launcelot.filestore.beneath import Descriptor
from launcelot.filestore.interface import Form, Look

ANSWER = struct.Struct("=28xH2xQQ64xqI12xII112x")
"""Of ``struct statx``, which is the same on all machines: mode, inode, size; seconds and nanoseconds of mtime; device."""

ASKED = 0x0001 | 0x0002 | 0x0040 | 0x0100 | 0x0200
"""STATX_TYPE, STATX_MODE, STATX_MTIME, STATX_INO and STATX_SIZE."""

FLAGS = 0x0100 | 0x0800
"""AT_SYMLINK_NOFOLLOW and AT_NO_AUTOMOUNT, as ``os.stat`` has them."""


def look_of(found: os.stat_result) -> Look:
    """The same of what ``os.stat`` tells."""
    second, nanosecond = divmod(found.st_mtime_ns, 1_000_000_000)
    device = found.st_dev
    return found.st_mode, found.st_ino, found.st_size, second, nanosecond, os.major(device), os.minor(device)


class Looks:
    """
    Looks at some entries at a time; for one thread at a time.

    :param most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._statx = _statx() if sys.platform == "linux" else None
        self._buffer = bytearray(most * ANSWER.size)
        start = ctypes.addressof((ctypes.c_char * len(self._buffer)).from_buffer(self._buffer))
        self._places = [ctypes.c_void_p(start + number * ANSWER.size) for number in range(most)]

    def at(self, folder: int, names: Sequence[str]) -> list[Look | None]:
        """
        What entries of an open folder are, in order; None for each that has gone.

        :param names: as the system encodes them; none is empty or holds ``/`` or NUL.
        :raises OSError: the disk fails, or the folder may not be looked into.
        """
        found: list[Look | None] = []
        for start in range(0, len(names), self._most):
            found += self._at(folder, names[start : start + self._most])
        return found

    def _at(self, folder: int, names: Sequence[str]) -> list[Look | None]:
        if self._statx is None:
            return [_looked(folder, name) for name in names]
        called = "\0".join(names).encode(sys.getfilesystemencoding(), "surrogateescape").split(b"\0")
        # Without declared types, and with pointers made once: that is a third of what each call costs beside the kernel's work.
        failed = list(map(self._statx, repeat(folder), called, repeat(FLAGS), repeat(ASKED), self._places))
        found: list[Look | None] = list(ANSWER.iter_unpack(memoryview(self._buffer)[: len(names) * ANSWER.size]))
        if any(failed):
            for number, code in enumerate(failed):
                if code:
                    found[number] = _looked(folder, names[number])
        return found


class Listing:
    """
    A folder that is being listed in a form, some entries at a time, by one thread at a time.

    :param opened: the folder; let go of with the listing.
    :param count: how many.
    :ivar more: whether there may be more.
    """

    def __init__(self, opened: Descriptor, form: Form, count: int) -> None:
        self.opened = opened
        self.form = form
        self.count = count
        self.entries = os.scandir(opened.number)
        self.looks = Looks(0 if form.bare else count)
        self.more = True


def _looked(folder: int, name: str) -> Look | None:
    try:
        return look_of(os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _statx() -> ctypes._NamedFuncPointer | None:
    # Taken by item and not by attribute: each is one of its own, and nobody else can declare its types.
    try:
        return ctypes.CDLL(None)["statx"]
    except AttributeError:
        return None
