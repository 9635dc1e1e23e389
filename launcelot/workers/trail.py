"""
The trail that mail leaves: a line for each thing that happens to one, in files of bounded size and age, for ``launcelot trace``.

A line is ``id TAB seconds TAB event TAB fields`` with the fields as JSON.  It is in a mapped file as soon as it is noted and is
never synced, so it outlives this process and not the machine; nothing that mail depends on is kept here.  Each process has files
of its own in one folder, named ``NUMBER-MILLISECONDS.log`` after the process's number and when they were begun, and adds to its
last one until that is an eighth of its share or a day old.  The end of a file in use is zeros.  A disk that is full costs lines,
never mail: what is mapped has its room on the disk already.

Mapped, because two calls of the system for each message would cost a busy server several hundredths of what a message costs.
"""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twisted.logger import Logger

MAGIC = b"launcelot trail 1\n"
"""What a file begins with; every line has a line end before it."""

WINDOW = 131_072
"""Octets of a file that are mapped, and have room, at a time."""

LINE = 8_192
"""Octets of one line; of longer ones only the event is kept."""

NEWLINE = 10
PAGE = mmap.ALLOCATIONGRANULARITY
PIECES = 8
"""Files that a process's share is divided into, so that little is lost when the oldest goes."""

DAY = 86_400.0
HOUR = 3_600.0

_NAME = re.compile(r"(\d{2,3})-(\d{13})\.log")


class Trail(Protocol):
    """Where it is noted what happens to mail."""

    def note(self, id: str, event: str, /, **fields: Any) -> None:
        """
        Note that something happened to a mail just now; it never fails.

        :param id: the mail's.
        :param fields: what JSON can say.
        """


class NoTrail:
    """A trail that nobody keeps."""

    def note(self, id: str, event: str, /, **fields: Any) -> None:
        """Forget it."""


NOWHERE = NoTrail()


class FileTrail:
    """
    The trail of one process.

    :param folder: made by :meth:`open`.
    :param part: the process's number; of several that run at once each has another.
    :param of: how many run at once; files of higher numbers are the first one's to remove.
    :param size: octets that this process's files may take together, 262,144 at least.
    :param days: how long a file is kept after its last line.
    :param now: wall-clock seconds.
    :ivar lost: lines that could not be written.
    """

    log = Logger(namespace="launcelot.trail")

    def __init__(self, folder: Path, size: int, days: float, now: Callable[[], float], part: int = 0, of: int = 1) -> None:
        self._folder = folder
        self._size = size
        self._piece = size // PIECES // PAGE * PAGE
        self._age = days * DAY
        self._now = now
        self._part = part
        self._of = of
        self._encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
        self._file = -1
        self._window: mmap.mmap | None = None
        self._base = 0
        self._length = 0
        self._begun = 0.0
        self._look = 0.0
        self._last = 0.0
        self._path = folder
        self.lost = 0

    def open(self) -> None:
        """Go on with the last file, or begin one; what is wrong with the folder is logged, and nothing is kept then."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            own = [one for one in files(self._folder) if one.part == self._part]
            if own and self._now() - own[-1].begun < DAY:
                self._go_on(own[-1])
            else:
                self._begin(self._now())
            self._tidy()
        except OSError as error:
            self.log.warn("no trail of mail is kept: {path}: {reason}", path=str(self._folder), reason=error.strerror)

    def note(self, id: str, event: str, /, **fields: Any) -> None:
        """Write a line; see :meth:`Trail.note`."""
        if self._file < 0:
            return
        now = self._now()
        line = f"{id}\t{now:.3f}\t{event}\t{self._encode(fields)}\n".encode("utf-8", "backslashreplace")
        if len(line) > LINE:
            line = f"{id}\t{now:.3f}\t{event}\t{{}}\n".encode()
        try:
            if now >= self._look or self._length + len(line) > self._piece:
                self._turn(now, len(line))
            self._write(line)
            self._last = now
        except OSError as error:
            if not self.lost:
                self.log.warn("lines of the trail of mail are lost: {reason}", reason=error.strerror)
            self.lost += 1

    def _write(self, line: bytes) -> None:
        if not self._length:
            line = MAGIC + line
        window, end = self._window, self._length - self._base + len(line)
        if window is None or end > len(window):
            window = self._slide()
            end = self._length - self._base + len(line)
        window[self._length - self._base : end] = line
        self._length += len(line)

    def _slide(self) -> mmap.mmap:
        """Map the end of the file, with room for what comes."""
        base = self._length // PAGE * PAGE
        span = min(WINDOW, self._piece - base)
        os.posix_fallocate(self._file, base, span)
        window = mmap.mmap(self._file, span, offset=base)
        self._unmap()
        self._window, self._base = window, base
        return window

    def _unmap(self) -> None:
        window, self._window = self._window, None
        if window is not None:
            window.close()

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._unmap()
        file, self._file = self._file, -1
        if file >= 0:
            try:
                os.ftruncate(file, self._length)
                # Its age is that of its last line.
                os.utime(file, (self._last, self._last))
            except OSError as error:
                self.log.warn("{path} has zeros at its end: {reason}", path=str(self._path), reason=error.strerror)
            os.close(file)

    def _turn(self, now: float, more: int) -> None:
        """Begin another file if this one is full or old, and remove what has been kept long enough."""
        self._look = now + HOUR
        if self._length + more > self._piece or not 0 <= now - self._begun < DAY:
            self._begin(now)
        self._tidy()

    def _go_on(self, last: File) -> None:
        self._file = os.open(last.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._path, self._begun, self._length = last.path, last.begun, 0
        self._last = os.fstat(self._file).st_mtime
        if not os.fstat(self._file).st_size:
            return
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as data:
            self._length = end_of(data)
            is_torn = self._length > 0 and data[self._length - 1] != NEWLINE
        if is_torn and self._length < self._piece:
            # What the end of the machine cut short must not have another line in it.
            self._write(b"\n")

    def _begin(self, now: float) -> None:
        path = self._folder / f"{self._part:02d}-{int(now * 1_000):013d}.log"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.close()
        self._file, self._path, self._begun, self._last = file, path, now, now
        self._length = self._base = 0

    def _tidy(self) -> None:
        """Remove the oldest files beyond our share, and those that nothing has been added to for long enough."""
        room, oldest = self._size - self._piece, self._now() - self._age
        for one in reversed(files(self._folder)):
            if one.path == self._path or not (one.part == self._part or (self._part == 0 and one.part >= self._of)):
                continue
            status = one.path.stat()
            room -= status.st_size
            if room < 0 or status.st_mtime < oldest:
                one.path.unlink(missing_ok=True)


def end_of(data: mmap.mmap) -> int:
    """Where the zeros begin that a file in use ends with."""
    end = len(data)
    while end:
        start = max(0, end - WINDOW)
        left = data[start:end].rstrip(b"\0")
        if left:
            return start + len(left)
        end = start
    return 0


# -- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class File:
    """
    One file of a trail.

    :ivar begun: wall-clock seconds.
    """

    path: Path
    part: int
    begun: float


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing that happened to a mail.

    :ivar moment: wall-clock seconds.
    """

    id: str
    moment: float
    event: str
    fields: Mapping[str, Any]


def files(folder: Path) -> list[File]:
    """
    The files of a trail, oldest first.

    :raises OSError: the folder cannot be read.
    """
    found = [(path, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
    return sorted(
        (File(path, int(name[1]), int(name[2]) / 1_000) for path, name in found if name), key=lambda one: (one.begun, one.part)
    )


def steps_of(folder: Path, ids: Collection[str]) -> list[Step]:
    """
    What happened to some mails, in order.

    :raises OSError: the folder cannot be read.
    """
    words = [b"\n" + id.encode("utf-8", "replace") + b"\t" for id in ids]
    found = [step for file in files(folder) for step in _lines_that_begin(file.path, words)]
    return sorted(found, key=lambda step: step.moment)


def _lines_that_begin(path: Path, words: Sequence[bytes]) -> Iterator[Step]:
    try:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for word in words:
                at = data.find(word)
                while at >= 0:
                    end = data.find(b"\n", at + 1)
                    step = read_line(data[at + 1 : end]) if end >= 0 else None
                    if step is not None:
                        yield step
                    at = data.find(word, at + 1)
    except (FileNotFoundError, ValueError):
        # It was removed meanwhile, or has nothing in it.
        return


def steps_with(folder: Path, texts: Sequence[str], events: Collection[str]) -> list[Step]:
    """
    Events of some kinds in whose lines all of these texts stand, in whatever case; in order.

    :raises OSError: the folder cannot be read.
    """
    words, kinds = [text.lower().encode("utf-8", "replace") for text in texts], {kind.encode() for kind in events}
    found = [step for file in files(folder) for step in _lines_with(file.path, words, kinds)]
    return sorted(found, key=lambda step: step.moment)


def _lines_with(path: Path, words: Sequence[bytes], kinds: Collection[bytes]) -> Iterator[Step]:
    try:
        with path.open("rb") as opened:
            for line in opened:
                low = line.lower()
                if all(word in low for word in words) and line.count(b"\t") >= 3 and line.split(b"\t", 3)[2] in kinds:
                    step = read_line(line)
                    if step is not None:
                        yield step
    except FileNotFoundError:
        return


def read_line(line: bytes) -> Step | None:
    """One line without its end; None if it is none, as after a crash of the machine."""
    words = line.split(b"\t", 3)
    try:
        id, moment, event, fields = words[0].decode(), float(words[1]), words[2].decode(), json.loads(words[3])
    except (ValueError, IndexError, RecursionError):
        return None
    return Step(id, moment, event, fields) if isinstance(fields, dict) else None
