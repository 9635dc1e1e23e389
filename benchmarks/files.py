"""
FTP beside vsftpd, ProFTPD and pyftpdlib: a large file down and up, many small ones, log-ins, listings; in clear and in TLS.

An upload counts with its syncs where the server has any: Launcelot and pyftpdlib (as we run it) sync file and folder before
226, vsftpd and ProFTPD leave both to the kernel.  Small files go over several sessions in step: each step is sent to all sessions
before any is waited for.  The generator throws away what it receives without copying it (``MSG_TRUNC``), and sends from a file
with ``sendfile``, so that what is measured is the server.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.accepting import scratch
from benchmarks.fileservers import SERVERS, FileServer, settled, started
from benchmarks.frame import Figures, NotHere, Subject, Table, measure

BIG = 1 << 30
TLS_BIG = 256 << 20
SMALL = 4_096
FILES = 1_000
ENTRIES = 10_000
LOGINS = 500
_PORT = re.compile(rb"(\d+),(\d+)\)")
_PASSIVE = b"PASV\r\n"


class Client:
    """
    One session, and its data connection if there is one.

    :param secure: AUTH TLS and PROT P; sessions are resumed on data connections.
    """

    def __init__(self, server: FileServer, secure: bool = False, login: bool = True) -> None:
        self.server = server
        self.control: socket.socket = socket.create_connection(("127.0.0.1", server.port), timeout=300)
        self.control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""
        self.data: socket.socket | None = None
        self._context: ssl.SSLContext | None = None
        self.reply(b"220")
        if secure:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
            self.ask(b"AUTH TLS", b"234")
            self.control = self._context.wrap_socket(self.control)
        if login:
            self.log_in()
        if secure:
            self.ask(b"PBSZ 0", b"200")
            self.ask(b"PROT P", b"200")

    def log_in(self) -> None:
        """As the server's user."""
        self.ask(b"USER " + self.server.user.encode(), b"331")
        self.ask(b"PASS " + self.server.password.encode(), b"230")
        self.ask(b"TYPE I", b"200")

    def ask(self, command: bytes, wanted: bytes) -> bytes:
        """Say something and wait for the reply."""
        self.say(command)
        return self.reply(wanted)

    def say(self, command: bytes) -> None:
        """Say something."""
        self.control.sendall(command + b"\r\n")

    def reply(self, wanted: bytes) -> bytes:
        """
        One whole reply.

        :raises NotHere: it is another.
        """
        while True:
            lines = self._heard.split(b"\r\n")
            for number, line in enumerate(lines[:-1]):
                if line[3:4] == b" " and line[:3].isdigit():
                    self._heard = b"\r\n".join(lines[number + 1 :])
                    if not line.startswith(wanted):
                        raise NotHere(f"{self.server.name} said {line!r}")
                    return line
            data = self.control.recv(65_536)
            if not data:
                raise NotHere(f"{self.server.name} closed the connection")
            self._heard += data

    def connect(self) -> None:
        """Connect to the port in the reply to PASV."""
        found = _PORT.search(self.reply(b"227"))
        if found is None:
            raise NotHere("no port in the reply to PASV")
        self.data = socket.create_connection(("127.0.0.1", int(found[1]) * 256 + int(found[2])), timeout=300)

    def secure_data(self) -> None:
        """TLS on the data connection, where it was agreed on."""
        if self._context is not None and self.data is not None and isinstance(self.control, ssl.SSLSocket):
            self.data = self._context.wrap_socket(self.data, session=self.control.session)

    def receive(self) -> int:
        """Take all of the data connection and close it; octets."""
        data, self.data = self.data, None
        if data is None:
            return 0
        buffer, octets = bytearray(1 << 20), 0
        flags = 0 if isinstance(data, ssl.SSLSocket) else socket.MSG_TRUNC
        while count := data.recv_into(buffer, len(buffer), flags):
            octets += count
        self._close(data)
        return octets

    def take(self) -> bytes:
        """All of the data connection, kept."""
        data, self.data = self.data, None
        if data is None:
            return b""
        pieces = []
        while piece := data.recv(1 << 20):
            pieces.append(piece)
        self._close(data)
        return b"".join(pieces)

    def send(self, source: Path | bytes) -> None:
        """Send on the data connection and close it."""
        data, self.data = self.data, None
        if data is None:
            return
        if isinstance(source, bytes):
            data.sendall(source)
        else:
            with source.open("rb") as file:
                data.sendfile(file)
        self._close(data)

    def _close(self, data: socket.socket) -> None:
        if isinstance(data, ssl.SSLSocket):
            # vsftpd and ProFTPD do not always answer the closing notice.
            try:
                data.unwrap()
            except (OSError, ssl.SSLError):
                pass
        data.close()

    def close(self) -> None:
        """End the session."""
        self.ask(b"QUIT", b"221")
        self.control.close()


@contextmanager
def running(kind: type[FileServer]) -> Iterator[FileServer]:
    """A server for one round."""
    server = started(kind)
    try:
        yield server
    finally:
        server.stop()


def filled(path: Path, octets: int) -> Path:
    """A file of so many octets."""
    piece = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(octets >> 20):
            file.write(piece)
    path.chmod(0o644)
    return path


@contextmanager
def source_file(octets: int) -> Iterator[Path]:
    """What uploads are made of."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        yield filled(Path(folder) / "source", octets)


def big(kind: type[FileServer], octets: int, up: bool, secure: bool) -> Figures:
    """One large file; the first transfer warms up and does not count on the way down."""
    with running(kind) as server:
        client = Client(server, secure)
        if not up:
            filled(server.home / "big", octets)
            settled()
            _fetch(client, b"RETR big")
            return _timed(server, octets, lambda: _fetch(client, b"RETR big"))
        with source_file(octets) as source:
            settled()
            # Memory that a virtual machine has given back to its host costs whoever takes it first several times the writing.
            with source_file(octets):
                pass
            return _timed(server, octets, lambda: _store(client, b"STOR up/big", source))


def _timed(server: FileServer, octets: int, work: Callable[[], object]) -> Figures:
    before, began = server.cpu(), time.perf_counter()
    work()
    elapsed = time.perf_counter() - began
    used = server.cpu() - before
    return {"MB/s": octets / elapsed / 1e6, "s CPU/GiB": used * (1 << 30) / octets}


def _fetch(client: Client, command: bytes) -> int:
    client.say(b"PASV")
    client.connect()
    client.ask(command, b"1")
    client.secure_data()
    octets = client.receive()
    client.reply(b"226")
    return octets


def _store(client: Client, command: bytes, source: Path | bytes) -> None:
    client.say(b"PASV")
    client.connect()
    client.ask(command, b"1")
    client.secure_data()
    client.send(source)
    client.reply(b"226")


def small(kind: type[FileServer], sessions: int, up: bool, secure: bool) -> Figures:
    """Many small files over some sessions in step."""
    content = os.urandom(SMALL)
    count = FILES // 4 if secure else FILES
    with running(kind) as server:
        if not up:
            for number in range(count):
                (server.home / f"s{number}").write_bytes(content)
        clients = [Client(server, secure) for _ in range(sessions)]
        settled()
        before, began = server.cpu(), time.perf_counter()
        for first in range(0, count, sessions):
            _step(clients, first, content if up else None)
        elapsed = time.perf_counter() - began
        used = server.cpu() - before
        for one in clients:
            one.close()
        done = -(-count // sessions) * sessions
        return {"files/s": done / elapsed, "ms CPU/file": used / done * 1000}


def _step(clients: list[Client], first: int, content: bytes | None) -> None:
    for one in clients:
        one.say(b"PASV")
    for one in clients:
        one.connect()
    for number, one in enumerate(clients):
        one.say(b"STOR up/u%d" % (first + number) if content else b"RETR s%d" % ((first + number) % 250))
    for one in clients:
        one.reply(b"1")
        one.secure_data()
        if content:
            one.send(content)
        elif one.receive() != SMALL:
            raise NotHere("a file came short")
    for one in clients:
        one.reply(b"226")


def logins(kind: type[FileServer], sessions: int) -> Figures:
    """Connecting, logging in and leaving."""
    # ProFTPD takes up to two seconds for one.
    count = 20 if kind.__name__ == "Proftpd" else LOGINS
    with running(kind) as server:
        Client(server).close()
        said = ((b"USER " + server.user.encode(), b"331"), (b"PASS " + server.password.encode(), b"230"), (b"QUIT", b"221"))
        before, began = server.cpu(), time.perf_counter()
        for _ in range(0, count, sessions):
            clients = [Client(server, login=False) for _ in range(sessions)]
            for words, code in said:
                for one in clients:
                    one.say(words)
                for one in clients:
                    one.reply(code)
            for one in clients:
                one.control.close()
        elapsed = time.perf_counter() - began
        time.sleep(0.1)
        used = server.cpu() - before
        return {"logins/s": count / elapsed, "ms CPU/login": used / count * 1000}


def listing(kind: type[FileServer], verb: bytes) -> Figures:
    """A folder of 10,000 entries, once and again."""
    with running(kind) as server:
        folder = server.home / "many"
        folder.mkdir()
        folder.chmod(0o755)
        for number in range(ENTRIES):
            (folder / f"file-{number:05d}.txt").touch()
        # A listing that was made in the second of a change may not be kept.
        time.sleep(2.1)
        settled()
        client = Client(server)
        client.say(b"FEAT")
        client.reply(b"211")
        times = []
        before = server.cpu()
        for _ in range(10):
            began = time.perf_counter()
            client.say(b"PASV")
            client.connect()
            client.ask(verb + b" many", b"1")
            lines = client.take().count(b"\r\n")
            client.reply(b"226")
            times.append((time.perf_counter() - began) * 1000)
            if not ENTRIES <= lines <= ENTRIES + 3:
                raise NotHere(f"{lines} lines came")
        return {"ms first": times[0], "ms again": min(times[1:]), "ms CPU each": (server.cpu() - before) * 100}


RATE = {"MB/s": "more", "s CPU/GiB": "less"}
EACH = {"files/s": "more", "ms CPU/file": "less"}

Round = Callable[[type[FileServer]], Figures]


def measures() -> Iterator[tuple[str, dict[str, str], Round]]:
    """Title, figures, and what one round does."""
    yield "RETR of 1 GiB", RATE, lambda kind: big(kind, BIG, False, False)
    yield "STOR of 1 GiB", RATE, lambda kind: big(kind, BIG, True, False)
    for sessions in (1, 10):
        yield f"RETR of 4 KiB, sessions: {sessions}", EACH, lambda kind, n=sessions: small(kind, n, False, False)  # type: ignore[misc]
        yield f"STOR of 4 KiB, sessions: {sessions}", EACH, lambda kind, n=sessions: small(kind, n, True, False)  # type: ignore[misc]
    for sessions in (1, 10):
        logged = {"logins/s": "more", "ms CPU/login": "less"}
        yield f"log-ins, sessions: {sessions}", logged, lambda kind, n=sessions: logins(kind, n)  # type: ignore[misc]
    for verb in (b"LIST", b"MLSD", b"NLST"):
        listed = {"ms first": "less", "ms again": "less", "ms CPU each": "less"}
        yield f"{verb.decode()} of {ENTRIES:,} entries", listed, lambda kind, v=verb: listing(kind, v)  # type: ignore[misc]
    yield "TLS, RETR of 256 MiB", RATE, lambda kind: big(kind, TLS_BIG, False, True)
    yield "TLS, STOR of 256 MiB", RATE, lambda kind: big(kind, TLS_BIG, True, True)
    for sessions in (1, 10):
        yield f"TLS, RETR of 4 KiB, sessions: {sessions}", EACH, lambda kind, n=sessions: small(kind, n, False, True)  # type: ignore[misc]
        yield f"TLS, STOR of 4 KiB, sessions: {sessions}", EACH, lambda kind, n=sessions: small(kind, n, True, True)  # type: ignore[misc]


def tables(rounds: int, seconds: float, messages: int = 0, only: str = "") -> list[Table]:
    """
    All measures.

    :param seconds: not used, a round ends when its work is done; likewise ``messages``.
    :param only: those with this in their title.
    """
    return [
        measure(title, better, [Subject(kind.__name__.lower(), lambda kind=kind, do=do: do(kind)) for kind in SERVERS], rounds)  # type: ignore[misc]
        for title, better, do in measures()
        if only.lower() in title.lower()
    ]
