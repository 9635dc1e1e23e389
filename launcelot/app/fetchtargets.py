"""
Where fetched mail goes: a Maildir, or an mbox file that other programs may write, too.

Lines end with LF there, as the programs that read such files have it, unless they are to stay as they came.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from launcelot.app.errors import CANNOT_CREATE, TEMPORARY, Ending
from launcelot.mailstore.mbox import from_line
from launcelot.workers.database import sync_directory

PIECE = 1 << 20
"""Octets copied at once, and the longest piece of a line that is looked at."""

LOCK_LIMIT = 30.0
"""Seconds to wait for a program that has locked an mbox."""

LOCK_EVERY = 0.1

_OURS = re.compile(r"\.P([0-9a-f]{40})\.launcelot")
_QUOTED = re.compile(rb">*From ")


class Parcel:
    """
    One message while it is received, in a file of its own.

    :param heard: told how many octets have come.
    :param verbatim: CRLF stays.
    :ivar size: octets as they came; :ivar kept: octets in the file.
    """

    def __init__(self, path: Path, heard: Callable[[int], None], verbatim: bool) -> None:
        self.path = path
        self.size = 0
        self.kept = 0
        self._heard = heard
        self._verbatim = verbatim
        self._held = b""
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """The next octets."""
        self.size += len(data)
        self._heard(len(data))
        if not self._verbatim:
            data = self._held + data
            self._held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")
        self._put(data)

    def _put(self, data: bytes) -> None:
        self.kept += len(data)
        put(self._descriptor, data)

    def finish(self) -> None:
        """All has come; it is on disk when this returns."""
        self._put(self._held)
        self._held = b""
        os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """It is not wanted."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class Arrived:
    """
    A message that was received whole.

    :ivar digest: names it here; see :func:`launcelot.app.fetching.digest_of`.
    :ivar flags: letters of a Maildir.
    """

    parcel: Parcel
    digest: str
    flags: str
    date: datetime | None


class Target(Protocol):
    """Where messages go."""

    async def open(self) -> Collection[str]:
        """
        Make it if it is not there, and take up what an earlier run has left; digests of messages that are there.

        :raises Ending: it cannot be used.
        """

    def begin(self, heard: Callable[[int], None]) -> Parcel:
        """Room for one message."""

    async def store(self, arrived: Sequence[Arrived]) -> None:
        """
        Put messages in their place; they are there and on disk when this returns.

        :raises Ending: another program keeps it locked.
        """

    def stored(self) -> None:
        """What :meth:`store` was given is written down elsewhere."""


class MaildirTarget:
    """
    A Maildir.  What has flags goes into ``cur``, the rest into ``new``.

    :param name: of our own, with which the names of files in ``tmp`` end; other runs may fetch into the same Maildir.
    :param now: seconds since 1970.
    """

    def __init__(self, folder: Path, name: str, verbatim: bool, now: Callable[[], float]) -> None:
        self._folder = folder
        self._ending = f".{name}"
        self._verbatim = verbatim
        self._now = now
        self._count = 0

    async def open(self) -> Collection[str]:
        """See :class:`Target`; files that a run which was cut off has left in ``tmp`` go, if they are ours."""
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in os.listdir(self._folder / "tmp"):
            if name.endswith(self._ending):
                (self._folder / "tmp" / name).unlink(missing_ok=True)
        names = [name for part in ("new", "cur") for name in os.listdir(self._folder / part)]
        return {found[1] for name in names if (found := _OURS.search(name))}

    def begin(self, heard: Callable[[int], None]) -> Parcel:
        """See :class:`Target`."""
        self._count += 1
        name = f"{int(self._now())}.{os.getpid()}_{self._count}{self._ending}"
        return Parcel(self._folder / "tmp" / name, heard, self._verbatim)

    async def store(self, arrived: Sequence[Arrived]) -> None:
        """See :class:`Target`."""
        parts = set()
        for one in arrived:
            part = "cur" if one.flags else "new"
            parts.add(part)
            moment = self._now() if one.date is None else one.date.timestamp()
            name = f"{int(moment)}.P{one.digest}.launcelot,S={one.parcel.kept},W={one.parcel.size}"
            os.utime(one.parcel.path, (moment, moment))
            os.rename(one.parcel.path, self._folder / part / (f"{name}:2,{one.flags}" if one.flags else name))
        for part in sorted(parts):
            sync_directory(self._folder / part)

    def stored(self) -> None:
        """The names of the files tell it as well."""


class MboxTarget:
    """
    An mbox file (mboxrd), locked with ``fcntl`` and ``FILE.lock`` while something is appended.

    A batch is one block that is on disk before it is appended, with a note of where it begins: so a run that was cut off in the
    middle of appending is finished by the next one.

    :param aside: a name of our own, with which the names of the block and of other files that come and go begin.
    :param pause: waits for seconds.
    :param now: seconds since 1970.
    """

    def __init__(
        self, path: Path, aside: Path, verbatim: bool, pause: Callable[[float], Awaitable[object]], now: Callable[[], float]
    ) -> None:
        self._path = path
        self._block = aside.with_name(aside.name + ".block")
        self._note = aside.with_name(aside.name + ".note")
        self._parcels = aside.with_name(aside.name + ".parcel")
        self._own = aside.with_name(aside.name + ".lock")
        self._verbatim = verbatim
        self._pause = pause
        self._now = now
        self._count = 0

    async def open(self) -> Collection[str]:
        """See :class:`Target`."""
        for left in (self._own, *self._parcels.parent.glob(f"{self._parcels.name}-*")):
            left.unlink(missing_ok=True)
        self._check()
        try:
            note = json.loads(self._note.read_text())
            digests, at = [str(one) for one in note["digests"]], int(note["at"])
        except FileNotFoundError:
            self._block.unlink(missing_ok=True)
            return ()
        except (ValueError, KeyError, TypeError):
            raise Ending(f"{self._note}: is damaged; remove it to fetch what it stands for again", CANNOT_CREATE) from None
        await self._append(digests, at)
        return digests

    def _check(self) -> None:
        try:
            with open(self._path, "rb") as file:
                begins = file.read(5)
        except FileNotFoundError:
            return
        if begins and begins != b"From ":
            raise Ending(f"{self._path}: is no mbox file; name another, or use --format maildir", CANNOT_CREATE)

    def begin(self, heard: Callable[[int], None]) -> Parcel:
        """See :class:`Target`."""
        self._count += 1
        return Parcel(self._parcels.with_name(f"{self._parcels.name}-{self._count}"), heard, self._verbatim)

    async def store(self, arrived: Sequence[Arrived]) -> None:
        """See :class:`Target`."""
        if not arrived:
            return
        end = b"\r\n" if self._verbatim else b"\n"
        with open(self._block, "wb") as block:
            for one in arrived:
                date = one.date or datetime.fromtimestamp(self._now(), UTC)
                block.write(from_line(date, end))
                for piece in _quoted(one.parcel.path, end):
                    block.write(piece)
                block.write(end)
            block.flush()
            os.fsync(block.fileno())
        await self._append([one.digest for one in arrived], None)
        for one in arrived:
            one.parcel.discard()

    async def _append(self, digests: Sequence[str], at: int | None) -> None:
        """
        Have the block at the end of the file, once.

        :param at: where an earlier run has begun to write it.
        """
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            await self._lock(descriptor)
            try:
                if at is None or not self._is_there(descriptor, at):
                    self._write(descriptor, digests, at)
                os.fsync(descriptor)
                sync_directory(self._path.parent)
            finally:
                self._dot.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, digests: Sequence[str], at: int | None) -> None:
        if at is not None and self._is_begun(descriptor, at):
            os.ftruncate(descriptor, at)
        end = os.fstat(descriptor).st_size
        gap = _gap(os.pread(descriptor, 4, max(0, end - 4))) if end else b""
        note = self._note.with_name(self._note.name + ".new")
        with open(note, "w") as file:
            json.dump({"at": end + len(gap), "digests": list(digests)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(note, self._note)
        sync_directory(self._note.parent)
        os.lseek(descriptor, end, os.SEEK_SET)
        put(descriptor, gap)
        with open(self._block, "rb") as block:
            while piece := block.read(PIECE):
                put(descriptor, piece)

    def _is_there(self, descriptor: int, at: int) -> bool:
        """Whether the whole block stands in the file where it was to be."""
        return self._compare(descriptor, at) == self._block.stat().st_size

    def _is_begun(self, descriptor: int, at: int) -> bool:
        """Whether the file ends with the beginning of the block, or with what was to stand before it."""
        return at <= os.fstat(descriptor).st_size == at + self._compare(descriptor, at)

    def _compare(self, descriptor: int, at: int) -> int:
        """How many octets of the block stand there."""
        same = 0
        with open(self._block, "rb") as block:
            while piece := block.read(PIECE):
                found = os.pread(descriptor, len(piece), at + same)
                if found != piece:
                    return same + _alike(found, piece)
                same += len(piece)
        return same

    def stored(self) -> None:
        """See :class:`Target`."""
        self._note.unlink(missing_ok=True)
        self._block.unlink(missing_ok=True)

    @property
    def _dot(self) -> Path:
        return self._path.with_name(self._path.name + ".lock")

    async def _lock(self, descriptor: int) -> None:
        """Both locks, as mail programs take them."""
        limit = time.monotonic() + LOCK_LIMIT
        while True:
            with suppress(BlockingIOError, PermissionError):
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._take_dot():
                    return
                fcntl.lockf(descriptor, fcntl.LOCK_UN)
            if time.monotonic() >= limit:
                text = f"{self._path}: another program has it locked; try again, or remove {self._dot} if nobody has"
                raise Ending(text, TEMPORARY)
            await self._pause(LOCK_EVERY)

    def _take_dot(self) -> bool:
        """Take the lock file; it says from its first moment on whose it is."""
        try:
            self._own.write_bytes(f"{os.getpid()} {socket.gethostname()} launcelot\n".encode())
            os.link(self._own, self._dot)
        except FileExistsError:
            if self._is_left_over():
                self._dot.unlink(missing_ok=True)
            return False
        except OSError as error:
            # A folder that only some may write, such as /var/mail: the other lock has to do.
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
        finally:
            self._own.unlink(missing_ok=True)
        return True

    def _is_left_over(self) -> bool:
        """Whether the lock is that of a run of ours on this machine that was killed; we have the other lock meanwhile."""
        try:
            pid, host, whose = self._dot.read_text().split()
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return host == socket.gethostname() and whose == "launcelot"
        except (OSError, ValueError):
            return False
        return False


def _alike(one: bytes, other: bytes) -> int:
    """How many octets at their beginnings are the same."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _quoted(path: Path, end: bytes) -> Iterator[bytes]:
    """A message with its lines quoted that begin like a separator, and an end of its last line."""
    begun, last = True, b""
    with open(path, "rb") as file:
        while line := file.readline(PIECE):
            yield b">" + line if begun and _QUOTED.match(line) else line
            begun, last = line.endswith(b"\n"), line
    if last and not begun:
        yield end


def _gap(tail: bytes) -> bytes:
    """What has to stand between the end of a file and the next separator: an empty line."""
    if tail.endswith((b"\n\n", b"\n\r\n")):
        return b""
    return b"\n" if tail.endswith(b"\n") else b"\n\n"


def put(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(descriptor, data) :]
