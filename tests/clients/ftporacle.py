"""FTP servers that we did not write, beside ours, with one tree; and a peer that says the same to each."""

from __future__ import annotations

import os
import pwd
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SkipTest

from benchmarks.fileservers import FileServer, Launcelot, Pyftpdlib, Vsftpd
from benchmarks.frame import NotHere

LIMIT = 60.0
DAY = 86_400.0

TREE = {
    "small/one.txt": (3, 0.0),
    "small/half.txt": (12, 100 * DAY),
    "small/month.txt": (0, 31 * DAY),
    "small/almost.txt": (7, 181 * DAY),
    "small/past.txt": (7, 184 * DAY),
    "small/year.txt": (1_234_567, 365 * DAY),
    "small/future.txt": (5, -3 * DAY),
    "small/sub/inside": (1, 0.0),
    "odd/with space": (1, 0.0),
    "odd/two  spaces": (2, 0.0),
    "odd/ leading": (3, 0.0),
    "odd/trailing ": (4, 0.0),
    'odd/quo"te': (5, 0.0),
    "odd/a'b": (6, 0.0),
    "odd/semi;colon=": (7, 0.0),
    "odd/back\\slash": (8, 0.0),
    "odd/#hash": (9, 0.0),
    "odd/gr\u00fc\u00dfe \u2603": (10, 0.0),
    "odd/\udce4\udcff": (11, 0.0),
}
"""Path to octets, and seconds that it is old."""

FIXED = {"small/old.txt": 1_000_000_000.0}
"""Empty files with a time that stays: 9 September 2001, of one digit."""

FOLDERS = ("empty", "small", "odd")


def all_servers() -> list[FileServer]:
    """
    Ours first, then vsftpd and pyftpdlib, each with :data:`TREE` in ``/t``.

    :raises SkipTest: one of them cannot be run here.
    """
    if os.geteuid() != 0:
        raise SkipTest("vsftpd is run as root only")
    servers: list[FileServer] = []
    now = time.time()
    try:
        for kind in (Launcelot, Vsftpd, Pyftpdlib):
            servers.append(kind(kind.__name__.lower()))
            plant(servers[-1].home / "t", now, "ftp" if kind is Vsftpd else "")
    except NotHere as reason:
        for server in servers:
            server.stop()
        if os.environ.get("LAUNCELOT_PEERS") == "required":
            raise AssertionError(str(reason)) from None
        raise SkipTest(str(reason)) from None
    return servers


def plant(folder: Path, now: float, owner: str) -> None:
    """Make the tree."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    for name, (size, age) in TREE.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (now - age, now - age))
    for name, when in FIXED.items():
        (folder / name).touch()
        os.utime(folder / name, (when, when))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.is_dir():
            os.utime(path, (now, now))
        if owner:
            found = pwd.getpwnam(owner)
            os.chown(path, found.pw_uid, found.pw_gid)


@dataclass(frozen=True)
class Answer:
    """
    What a command was answered with.

    :ivar codes: one, or two where the first is of the first hundred.
    :ivar lines: of the last reply, without code.
    :ivar data: what came over the data connection.
    """

    codes: tuple[int, ...]
    lines: tuple[bytes, ...]
    data: bytes = b""

    @property
    def classes(self) -> tuple[int, ...]:
        """First digits."""
        return tuple(code // 100 for code in self.codes)

    @property
    def listed(self) -> list[bytes]:
        """The lines that came."""
        return self.data.split(b"\r\n")[:-1]


class Talk:
    """
    A control connection; its commands are octets, so that any name can be said.

    :param login: whether to log in and go to ``/t``.
    """

    def __init__(self, server: FileServer, login: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
        self._file = self._socket.makefile("rb")
        self.greeting = self._reply()
        if login:
            told = self.all((f"USER {server.user}", f"PASS {server.password}", "TYPE I", "CWD /t"))
            if [one.codes for one in told] != [(331,), (230,), (200,), (250,)]:
                raise AssertionError(told)

    def close(self) -> None:
        """Go."""
        self._file.close()
        self._socket.close()

    def say(self, line: str) -> Answer:
        """A command without data connection."""
        self._socket.sendall(line.encode("utf-8", "surrogateescape") + b"\r\n")
        try:
            return self._reply()
        except TimeoutError:
            raise AssertionError(f"{line!r} is not answered") from None

    def _reply(self) -> Answer:
        first = self._file.readline()
        lines = [first]
        while lines[-1][:4] != first[:3] + b" ":
            lines.append(self._file.readline())
            if not lines[-1]:
                raise AssertionError(f"the connection was closed behind {lines!r}")
        ends = (0, len(lines) - 1)
        return Answer((int(first[:3]),), tuple(line[4:] if place in ends else line for place, line in enumerate(lines)))

    def passive(self) -> socket.socket:
        """A data connection."""
        told = self.say("PASV").lines[-1]
        found = re.search(rb"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", told)
        if found is None:
            raise AssertionError(told)
        return socket.create_connection(("127.0.0.1", int(found[5]) << 8 | int(found[6])), timeout=LIMIT)

    def active(self, extended: bool) -> socket.socket:
        """A listener that the server has been told of."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(LIMIT)
        port = listener.getsockname()[1]
        self.say(f"EPRT |1|127.0.0.1|{port}|" if extended else f"PORT 127,0,0,1,{port >> 8},{port & 255}")
        return listener

    def move(self, line: str, sent: bytes | None = None, how: str = "passive") -> Answer:
        """
        A command with a data connection.

        :param sent: what goes; None to take what comes.
        """
        opened = self.passive() if how == "passive" else self.active(how == "EPRT")
        with opened:
            first = self.say(line)
            if first.codes[0] >= 200:
                return first
            data = opened if how == "passive" else opened.accept()[0]
            with data:
                came = b""
                if sent is not None:
                    data.sendall(sent)
                    data.shutdown(socket.SHUT_WR)
                while piece := data.recv(65_536):
                    came += piece
            last = self._reply()
            return Answer(first.codes + last.codes, last.lines, came)

    def aborted(self, line: str) -> tuple[int, ...]:
        """A download that is aborted before it is read; the codes until a NOOP is answered."""
        with self.passive() as data:
            codes = list(self.say(line).codes)
            data.recv(1)
            self._socket.sendall(b"ABOR\r\n")
        self._socket.sendall(b"NOOP\r\n")
        while codes[-1] != 200:
            codes.extend(self._reply().codes)
        return tuple(codes[:-1])

    def all(self, lines: Iterable[str]) -> list[Answer]:
        """Several commands, one after the other."""
        return [self.say(line) for line in lines]


LINE = re.compile(
    rb"(?P<kind>[-dlbcps])(?P<mode>[-rwxsStT]{9}) +(?P<links>\d+) +(?P<owner>[^ ]+) +(?P<group>[^ ]+) +(?P<size>\d+) "
    rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?P<day>[ 0-3]\d) (?P<last>\d\d:\d\d| \d{4}) (?P<name>.+)\Z",
    re.DOTALL,
)
"""A line of LIST in the form of ``ls -l``: what clients that parse it expect, to the column before the name."""


def fields(line: bytes) -> dict[str, str]:
    """
    The columns of a line of LIST.

    :raises AssertionError: it is in another form.
    """
    found = LINE.match(line)
    if found is None:
        raise AssertionError(f"not in the form of ls -l: {line!r}")
    return {name: value.decode("utf-8", "surrogateescape") for name, value in found.groupdict().items()}
