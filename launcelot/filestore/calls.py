"""
System calls on names and open files, and what their answers mean to a peer.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from twisted.logger import Logger

from launcelot.core.errors import Exists, Invalid, NotFound, NotPermitted, Refusal, TooLarge, TryLater
from launcelot.filestore.beneath import Descriptor
from launcelot.filestore.interface import Entry, Path
from launcelot.filestore.limits import MODE_MASK, StorageFull
from launcelot.filestore.paths import encode

PIECE_WRITTEN = 65_536
"""Octets written in one call."""

SYNC_FILE_RANGE_WRITE = 2
"""Begin, and do not wait."""

log = Logger(namespace="launcelot.filestore")

REFUSALS: dict[int, type[Refusal]] = {
    errno.ENOENT: NotFound,
    errno.ENOTDIR: NotFound,
    errno.ELOOP: NotFound,
    errno.EXDEV: NotFound,
    errno.EEXIST: Exists,
    errno.ENOTEMPTY: NotPermitted,
    errno.EISDIR: NotPermitted,
    errno.EACCES: NotPermitted,
    errno.EPERM: NotPermitted,
    errno.EINVAL: NotPermitted,
    errno.ENAMETOOLONG: Invalid,
    errno.EFBIG: TooLarge,
}
"""What a failed system call means to the peer; all others mean TryLater and are logged."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn errors of the operating system into refusals."""
    try:
        yield
    except OSError as error:
        kind = REFUSALS.get(error.errno or 0)
        if kind is None:
            log.error("file store: {error}", error=str(error))
            raise (StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else TryLater) from error
        raise kind from error


def octets_of(path: Path) -> tuple[bytes, ...]:
    """
    The names of a path as the disk has them.

    :raises Invalid: one is no name; :func:`launcelot.filestore.paths.resolve` makes none such.
    """
    names = tuple(map(encode, path))
    for name in names:
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise Invalid
    return names


def entry_of(name: str, found: os.stat_result) -> Entry:
    """
    What is told of a file or folder.

    :raises NotFound: it is neither.
    """
    is_folder = stat.S_ISDIR(found.st_mode)
    if not is_folder and not stat.S_ISREG(found.st_mode):
        raise NotFound
    size = 0 if is_folder else found.st_size
    unique = f"{found.st_dev:x}g{found.st_ino:x}"
    return Entry(name, is_folder, size, found.st_mtime, found.st_mode & MODE_MASK, unique)


def looked_at(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What an entry is, links not followed; None if it has gone since it was listed."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def unlinked(folder: Descriptor, name: str) -> bool:
    """Remove a name; False if somebody else did."""
    try:
        os.unlink(name, dir_fd=folder.number)
    except FileNotFoundError:
        return False
    return True


def held(staged: Descriptor) -> Descriptor:
    """Show other processes that it is being received, for as long as it is open."""
    fcntl.flock(staged.number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return staged


def write_all(descriptor: int, pieces: Sequence[bytes], digest: hashlib._Hash | None = None) -> None:
    """
    Write everything, in order, piece by piece: larger writes took several times as much of the kernel's time.

    :param digest: updated with each piece as it is written, while the processor has it near.
    """
    for piece in pieces:
        view = memoryview(piece)
        while view:
            written = os.write(descriptor, view[:PIECE_WRITTEN])
            if digest is not None:
                digest.update(view[:written])
            view = view[written:]


def begin_writeback(descriptor: int, offset: int, length: int) -> None:
    """
    Have octets of a file go to the disk while others come; what goes wrong is told when it is synced.  sync_file_range(2).
    """
    call = _sync_file_range()
    if call is not None:
        call(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), SYNC_FILE_RANGE_WRITE)


@cache
def _sync_file_range() -> ctypes._NamedFuncPointer | None:
    found: ctypes._NamedFuncPointer | None = getattr(ctypes.CDLL(None), "sync_file_range", None)
    return found
