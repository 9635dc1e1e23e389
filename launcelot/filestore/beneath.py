"""
Opening below a folder's descriptor, so that no name, symbolic link or race leads out of it.

Where the kernel has ``openat2`` (Linux 5.6) one call resolves a whole path with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS.
Elsewhere every component is opened relative to the one before it, without following links.  Both refuse a symbolic link
anywhere in the path, the last name included.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from typing import Protocol

OPENAT2 = 437
"""The system call's number, the same on x86_64 and aarch64."""

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_CACHED = 0x20
"""Only what the kernel remembers of names; Linux 5.12, earlier ones refuse the flag."""

PATH_LIMIT = 4_000
"""Octets the kernel takes in one path; longer ones are walked."""

TRIES = 16
"""How often a resolution is tried again that a rename elsewhere in the tree disturbed."""

MACHINES = ("x86_64", "aarch64")


class Opener(Protocol):
    """Opens what is below a folder."""

    def open(self, root: int, names: Sequence[bytes], flags: int, mode: int = 0) -> int:
        """
        A descriptor for a path below ``root``; for ``root`` itself when there are no names.

        :param names: none is empty, ``.``, ``..`` or holds ``/``.
        :param flags: as for ``open``; O_CLOEXEC and O_NOFOLLOW are added.
        :raises OSError: ELOOP or ENOTDIR where a symbolic link stands in the way.
        """

    def open_at_once(self, root: int, names: Sequence[bytes], flags: int) -> int:
        """
        The same without waiting for a disk, so that any thread may call it; nothing is made.

        :raises OSError: it cannot be done so, for whatever reason.
        """


class Walk:
    """One ``openat`` for each component."""

    def open(self, root: int, names: Sequence[bytes], flags: int, mode: int = 0) -> int:
        """See :class:`Opener`."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        if not names:
            return os.open(b".", flags, mode, dir_fd=root)
        below = root
        try:
            for name in names[:-1]:
                step = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=below)
                if below != root:
                    os.close(below)
                below = step
            return os.open(names[-1], flags, mode, dir_fd=below)
        finally:
            if below != root:
                os.close(below)


    def open_at_once(self, root: int, names: Sequence[bytes], flags: int) -> int:
        """Nobody can tell whether it would wait."""
        raise BlockingIOError(errno.EAGAIN, "it might wait")


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class OpenAt2:
    """
    One ``openat2`` for a whole path.

    :raises OSError: the kernel does not have it, or this is not Linux on a machine whose number for it we know.
    """

    def __init__(self) -> None:
        if os.uname().sysname != "Linux" or os.uname().machine not in MACHINES:
            raise OSError(errno.ENOSYS, "openat2 is not known here")
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
        self._walk = Walk()
        probe = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(self.open(probe, (), os.O_PATH | os.O_DIRECTORY))
        finally:
            os.close(probe)

    def open(self, root: int, names: Sequence[bytes], flags: int, mode: int = 0) -> int:
        """See :class:`Opener`."""
        path = b"/".join(names) or b"."
        if len(path) > PATH_LIMIT:
            return self._walk.open(root, names, flags, mode)
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        how = _How(flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, resolve)
        for _ in range(TRIES):
            descriptor: int = self._call(OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how))
            if descriptor >= 0:
                return descriptor
            number = ctypes.get_errno()
            if number not in (errno.EAGAIN, errno.EINTR):
                raise OSError(number, os.strerror(number))
        return self._walk.open(root, names, flags, mode)


    def open_at_once(self, root: int, names: Sequence[bytes], flags: int) -> int:
        """See :meth:`Opener.open_at_once`."""
        path = b"/".join(names) or b"."
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED
        how = _How(flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0, resolve)
        descriptor: int = self._call(OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return descriptor


def best_opener() -> Opener:
    """``openat2`` where the kernel has it, else the walk."""
    try:
        return OpenAt2()
    except OSError:
        return Walk()


class Descriptor:
    """An open file that is closed when nobody holds it any more."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        """Close it; may be called twice."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        self.close()
