"""
The data folder: made private, held by one daemon at a time.

The lock is a flock(2) on the file ``lock``; the kernel drops it with the process, so a killed daemon leaves nothing to clean up.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from launcelot.app.errors import CANNOT_CREATE, UNAVAILABLE, Ending

SUBFOLDERS = ("mail", "files", "staging")

OURS = frozenset({*SUBFOLDERS, "launcelot.toml", "accounts.sqlite", "spool.sqlite", "tls", "dkim", "demo.json", "log", "trail"})
"""What may be in a folder that no daemon has held yet for it to be taken as ours."""


class DataFolder:
    """
    One data folder.

    :ivar path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def prepare(self) -> None:
        """
        Make it and what belongs into it, with mode 0700; one of ours that others could enter is closed to them.

        :raises Ending: it cannot be made or written, or it is somebody's folder of other things.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & 0o077:
                self._make_private()
            for name in SUBFOLDERS:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def expect(self) -> None:
        """
        See whether it can be had, and change nothing: what cannot be written is better said before anything else is done.

        :raises Ending: it cannot be made.
        """
        place = self.path.absolute()
        while not os.path.lexists(place):
            place = place.parent
        number = 0
        if not os.path.isdir(place):
            number = errno.ENOTDIR
        elif not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            number = errno.EACCES
        if number:
            raise cannot_write(self.path, OSError(number, os.strerror(number)))

    def _make_private(self) -> None:
        held = set(os.listdir(self.path))
        if "lock" not in held and not held <= OURS:
            text = f"{self.path}: holds other things and is open to others; choose an empty folder with --data"
            raise Ending(text, CANNOT_CREATE)
        self.path.chmod(0o700)

    def lock(self) -> None:
        """
        Take the folder for this process.

        :raises Ending: another process has it, or it cannot be written.
        """
        if self._lock is not None:
            return
        try:
            descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder.isdigit() else "another process"
            text = f"{self.path}: in use by {who}; stop it, or choose another folder with --data"
            raise Ending(text, UNAVAILABLE) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    @property
    def descriptor(self) -> int | None:
        """What holds the lock, for processes that are to keep it as long as they live; None where nobody does."""
        return self._lock

    @property
    def locked(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock is not None

    def release(self) -> None:
        """Let go of it; may be called twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def cannot_write(path: Path, error: OSError) -> Ending:
    """The end of a program that cannot write its folder."""
    where = error.filename or path
    text = f"{where}: cannot write: {error.strerror}; choose a folder you own with --data, or mend its permissions"
    return Ending(text, CANNOT_CREATE)
