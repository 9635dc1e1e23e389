"""
mbox files: many messages in one file, each behind a line ``From sender date`` (RFC 4155), read as a stream of any length.

A message's own lines that begin like that are quoted with ``>``; in ``mboxrd`` lines that begin with quotes are quoted once more,
so that nothing is lost, in ``mboxo`` they are not.  A ``From`` line counts only behind an empty line and with a time in it.

Flags are in the fields ``Status``, ``X-Status``, ``X-Keywords`` and Mozilla's ``X-Mozilla-Status`` and ``X-Mozilla-Keys``.  Files
written here have the first three and ``Content-Length``, in this order, as a block of their own in front of each message;
that block is taken away again, and so a message comes back octet for octet, whatever it begins or ends with.

Lines end with CRLF where the ``From`` line does, and are taken as they are then; else their LF becomes CRLF.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from launcelot.mailstore.foldernames import decode_level, encode_level
from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.mailitems import Gathered, Item, Unreadable, possible
from launcelot.message.headers import collect

MAX_LINE = 1 << 20
"""Octets of a line that are read at once; a longer one is read in pieces."""
MAX_HEADER = 1 << 17
"""Octets of a message in which its flags are looked for."""
SYNC_OCTETS = 1 << 25
"""Octets after which what was written is on disk, and the next run may go on from there."""
ENDING = ".mbox"

_FROM = re.compile(
    rb"From .*?(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(?P<day>\d{1,2}) +"
    rb"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?: +[A-Za-z+-][A-Za-z0-9+-]*)* +(?P<year>\d{4})"
)
_FROM_ISO = re.compile(rb"From .*?(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_QUOTED = {"mboxrd": re.compile(rb">+From "), "mboxo": re.compile(rb">From ")}
_TO_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
_BLOCK = re.compile(
    rb"Status: ([A-Z]*)\r?\nX-Status: ([A-Z]*)\r?\nX-Keywords: ([!-~ ]*?)\r?\nContent-Length: (\d{1,18})\r?\n"
)
_INTERNAL = b"FOLDER INTERNAL DATA"
_STATUS = {"R": "\\Seen"}
_X_STATUS = {"A": "\\Answered", "F": "\\Flagged", "T": "\\Draft", "D": "\\Deleted"}
_MOZILLA = {0x1: "\\Seen", 0x2: "\\Answered", 0x4: "\\Flagged", 0x8: "\\Deleted", 0x1000: "$Forwarded"}


# -- reading -------------------------------------------------------------------------------------------------------


def is_mbox(path: Path) -> bool:
    """Whether a file begins like one."""
    with open(path, "rb") as file:
        return moment_of(file.readline(MAX_LINE)) is not None


def files(root: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """The file itself, or all ``*.mbox`` below a folder with their levels."""
    if not root.is_dir():
        yield (), root
        return
    for path in sorted(root.rglob(f"*{ENDING}")):
        parts = path.relative_to(root).parts
        levels = tuple(decode_level(part.removesuffix(ENDING)) for part in parts)
        if path.is_file():
            yield (() if levels == (INBOX,) else levels), path


def total(root: Path) -> int:
    """Octets of all files."""
    return sum(path.stat().st_size for _, path in files(root))


def read(root: Path, kind: str, verbatim: bool) -> Iterator[Item | Unreadable]:
    """
    All messages of a file, or of all files below a folder.

    :param kind: ``mboxrd`` or ``mboxo``.
    :param verbatim: leave LF alone.
    """
    for levels, path in files(root):
        with open(path, "rb") as file:
            yield from Reader(levels, file, path.name, kind, verbatim).items()


def moment_of(line: bytes) -> datetime | None:
    """The date in a ``From`` line, which is in UTC; None if it is not such a line."""
    found = _FROM.match(line)
    if found:
        month = _MONTHS.index(found["month"]) + 1
        numbers = [int(found["year"]), month, *(int(found[name] or 0) for name in ("day", "hour", "minute", "second"))]
    else:
        iso = _FROM_ISO.match(line)
        if iso is None:
            return None
        numbers = [int(one) for one in iso.groups()]
    try:
        return datetime(*numbers[:5], min(numbers[5], 59), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None


class Reader:
    """
    The messages of one file.

    :param place: the file's name, for identities and complaints.
    """

    def __init__(self, levels: tuple[str, ...], file: BinaryIO, place: str, kind: str, verbatim: bool) -> None:
        self._levels = levels
        self._file = file
        self._place = place
        self._quoted = _QUOTED[kind]
        self._verbatim = verbatim

    def items(self) -> Iterator[Item | Unreadable]:
        """Message by message."""
        line = self._file.readline(MAX_LINE)
        offset = 0
        if line and moment_of(line) is None:
            yield Unreadable(self._place, "not an mbox file: it does not begin with a From line")
            return
        while line:
            message = _Message(line, self._quoted, self._verbatim)
            length = len(line)
            empty, begun = True, True
            while line := self._file.readline(MAX_LINE):
                if empty and begun and line.startswith(b"From ") and moment_of(line) is not None:
                    break
                length += len(line)
                message.line(line, begun)
                empty, begun = begun and line in (b"\n", b"\r\n"), line.endswith(b"\n")
            item = message.item(self._levels, f"mbox {self._place} {'/'.join(self._levels)} {offset}", length)
            offset += length
            if item is not None:
                yield item


class _Message:
    """One message while its lines come; an empty line is held back, because the last one is not its own."""

    def __init__(self, first: bytes, quoted: re.Pattern[bytes], verbatim: bool) -> None:
        self._date = moment_of(first)
        self._converted = not verbatim and not first.endswith(b"\r\n")
        self._quoted = quoted
        self._body = Gathered()
        self._head = b""
        self._raw = 0
        self._held = b""
        self._last = b""

    def line(self, line: bytes, begun: bool) -> None:
        """The next line, or a piece of one."""
        if self._held:
            self._put(self._held)
            self._held = b""
        if begun and self._quoted.match(line):
            line = line[1:]
        if begun and line in (b"\n", b"\r\n"):
            self._held = line
        else:
            self._put(line)

    def _put(self, line: bytes) -> None:
        self._raw += len(line)
        self._last = line
        if self._converted and line.endswith(b"\n") and not line.endswith(b"\r\n"):
            line = line[:-1] + b"\r\n"
        if len(self._head) < MAX_HEADER:
            self._head += line
        self._body.add(line)

    def item(self, levels: tuple[str, ...], identity: str, octets: int) -> Item | None:
        """The message; None for what programs keep of the file itself in its first one."""
        if _INTERNAL in self._head and b"X-IMAP" in self._head:
            return None
        block = _BLOCK.match(self._head)
        skipped, end = 0, self._body.size
        if block:
            skipped = block.end()
            flags = _flags(block[1].decode(), block[2].decode(), block[3].decode())
            # The block counts with LF alone where the file has it.
            own = self._raw - (skipped - block[0].count(b"\n") if self._converted else skipped)
            if own > int(block[4]) and self._last.endswith(b"\n"):
                end -= 2 if self._converted or self._last.endswith(b"\r\n") else 1
        else:
            flags = _flags_of(self._head)
        whole = self._body.view(end)
        return Item(levels, identity, whole[skipped:] if skipped else whole, flags, self._date, octets)


def _flags(status: str, x_status: str, keywords: str) -> tuple[str, ...]:
    found = [_STATUS[letter] for letter in status if letter in _STATUS]
    found += [_X_STATUS[letter] for letter in x_status if letter in _X_STATUS]
    return tuple(dict.fromkeys([*found, *filter(possible, keywords.split())]))


def _flags_of(head: bytes) -> tuple[str, ...]:
    fields = {name: value.decode("latin-1") for name, value in collect(head).items()}
    flags = list(_flags(fields.get(b"status", ""), fields.get(b"x-status", ""), fields.get(b"x-keywords", "")))
    try:
        mozilla = int(fields.get(b"x-mozilla-status", "0") or "0", 16)
    except ValueError:
        mozilla = 0
    flags += [flag for bit, flag in _MOZILLA.items() if mozilla & bit]
    flags += filter(possible, fields.get(b"x-mozilla-keys", "").split())
    return tuple(dict.fromkeys(flags))


# -- writing -------------------------------------------------------------------------------------------------------


class Writer:
    """
    One mbox file that is written, under another name until it is whole.

    What an earlier run wrote is gone on with where that was last on disk.

    :param target: the file, or the folder for one of each mailbox.
    :param name: of the mailbox.
    :param unix: write LF for CRLF.
    :param folder: whether the target is one.
    :ivar whole: the file is there already; nothing is written then.
    """

    def __init__(self, target: Path, name: str, unix: bool, folder: bool) -> None:
        self.path = target
        if folder:
            levels = list(map(encode_level, name.split("/")))
            self.path = target.joinpath(*levels[:-1], levels[-1] + ENDING)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._state = self.path.with_name(f".{self.path.name}.state")
        self._unix = unix
        self.done_to = 0
        self.whole = self.path.exists()
        self._file: BinaryIO | None = None
        self._synced = 0

    def begin(self, uid_validity: int) -> BinaryIO:
        """Open it where an earlier run came to."""
        descriptor = os.open(self._part, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        file = self._file = os.fdopen(descriptor, "r+b")
        offset, self.done_to = 0, 0
        try:
            state = json.loads(self._state.read_text())
            if state["uid_validity"] == uid_validity and state["unix"] == self._unix:
                offset, self.done_to = int(state["offset"]), int(state["uid"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        file.truncate(offset)
        file.seek(offset)
        self._synced = offset
        return file

    def write(self, uid_validity: int, uid: int, flags: Sequence[str], date: datetime, body: bytes) -> Sequence[str]:
        """
        Write a message.

        :returns: flags that an mbox has no room for: none.
        """
        if self.whole:
            return ()
        file = self._file or self.begin(uid_validity)
        if uid <= self.done_to:
            return ()
        text = body.replace(b"\r\n", b"\n") if self._unix else body
        end = b"\n" if self._unix else b"\r\n"
        file.write(from_line(date, end))
        for line in (*_status_lines(flags), f"Content-Length: {len(text)}"):
            file.write(line.encode() + end)
        file.write(_TO_QUOTE.sub(rb">\1", text))
        file.write(end if text.endswith(b"\n") else end + end)
        self.done_to = uid
        if file.tell() - self._synced > SYNC_OCTETS:
            self._note(uid_validity, uid, file)
        return ()

    def _note(self, uid_validity: int, uid: int, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._synced = file.tell()
        state = {"uid_validity": uid_validity, "uid": uid, "offset": self._synced, "unix": self._unix}
        temporary = self._state.with_name(self._state.name + ".new")
        temporary.write_text(json.dumps(state))
        os.replace(temporary, self._state)

    def leave(self) -> None:
        """Something went wrong; a later run goes on."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """All is written: give the file its name."""
        if self.whole:
            return
        file, self._file = self._file or self.begin(0), None
        file.flush()
        os.fsync(file.fileno())
        file.close()
        os.replace(self._part, self.path)
        self._state.unlink(missing_ok=True)


def from_line(date: datetime, end: bytes) -> bytes:
    """What stands in front of a message; of nobody, as senders are in the message itself."""
    return b"From MAILER-DAEMON " + date.astimezone(UTC).strftime("%a %b %e %H:%M:%S %Y").encode() + end


def _status_lines(flags: Sequence[str]) -> Iterator[str]:
    yield "Status: " + ("RO" if "\\Seen" in flags else "O")
    yield "X-Status: " + "".join(letter for letter, flag in _X_STATUS.items() if flag in flags)
    yield "X-Keywords: " + " ".join(flag for flag in flags if not flag.startswith("\\"))
