"""Launcelot and Dovecot, each with one account whose mailbox is filled over IMAP, and the mail that they are filled with."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import ssl
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Protocol
from unittest import SkipTest

from benchmarks.accepting import CHECKOUT, free_port, scratch
from benchmarks.frame import NotHere, cpu_of, memory_of, tree
from launcelot.app.catalogue import SERVICES
from launcelot.app.command import main
from launcelot.app.streams import Streams
from tests.clients.dovecot import PASSWORD, Dovecot

USER = "ann"
BATCH = 500
"""Messages in one APPEND while a mailbox is filled."""
WORDS = (
    "meeting", "report", "invoice", "budget", "draft", "plan", "review", "contract", "summer", "travel", "order", "delivery",
    "question", "answer", "server", "mail",
)  # fmt: skip


class Subject(Protocol):
    """A server under test."""

    port: int
    tls_port: int

    def cpu(self) -> float:
        """Seconds of CPU of all its processes."""

    def memory(self) -> int:
        """KiB of all its processes, shared pages divided."""

    def stop(self) -> None:
        """Stop it."""


class Launcelot:
    """
    A daemon with nothing but IMAP.

    :param pop3: and POP3.
    :param users: accounts besides the first.
    :param workers: processes that serve.
    """

    def __init__(self, pop3: bool = False, users: Sequence[str] = (), workers: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="launcelot-imap-", dir=scratch()))
        self.port, self.tls_port = free_port(), free_port()
        settings = ["config_version = 1", "[daemon]", f'data = "{self.folder}/data"', 'domains = ["example.com"]']
        self.pop3_port = free_port() if pop3 else 0
        settings += [f"[{name}]\nenabled = false" for name in SERVICES if name not in ("imap", "pop3" if pop3 else "")]
        if pop3:
            settings += ["[pop3]", f'listen = ["tcp:{self.pop3_port}:interface=127.0.0.1"]', "listen_tls = []"]
            settings += ["max_connections_per_source = 5000"]
        settings += ["[imap]", f'listen = ["tcp:{self.port}:interface=127.0.0.1"]']
        settings += [f'listen_tls = ["tcp:{self.tls_port}:interface=127.0.0.1"]']
        settings += ["max_connections_per_source = 5000", "max_append_size = 209715200", "max_command_size = 33554432"]
        (self.folder / "launcelot.toml").write_text("\n".join(settings) + "\n")
        for user in (USER, *users):
            self._say("account", "add", user)
        command = [sys.executable, "-m", "launcelot.app.command", "run", "-c", str(self.folder / "launcelot.toml")]
        self._command = command + (["--workers", str(workers)] if workers > 1 else [])
        self.log = (self.folder / "log").open("wb")
        self.start()

    def start(self) -> None:
        """Start it on its folder."""
        self.process = subprocess.Popen(self._command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for_greeting(self.port)

    def end(self) -> None:
        """Stop it and keep its folder."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _say(self, *words: str) -> None:
        streams = Streams(io.StringIO(PASSWORD + "\n"), io.StringIO(), io.StringIO())
        if main([*words, "-c", str(self.folder / "launcelot.toml")], streams):
            raise NotHere(str(streams.errors))

    def cpu(self) -> float:
        """Seconds of CPU."""
        return sum(cpu_of(pid) for pid in tree(self.process.pid))

    def memory(self) -> int:
        """KiB."""
        return sum(memory_of(pid) for pid in tree(self.process.pid))

    def private(self) -> int:
        """KiB of memory that is its own, without files it has mapped."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("RssAnon:")).split()[1])

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self.end()
        self.log.close()
        if not os.environ.get("LAUNCELOT_BENCHMARK_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


class Peer:
    """
    Dovecot: sdbox, login processes kept, imap and pop3 processes used again.

    :param pop3: whether it speaks that, too.
    :raises NotHere: it is not installed.
    """

    def __init__(self, pop3: bool = False) -> None:
        try:
            self._dovecot = Dovecot("sdbox:~/mail", certificate(), scratch(), pop3)
        except SkipTest as reason:
            raise NotHere(str(reason)) from reason
        self.port, self.tls_port, self.pop3_port = self._dovecot.port, self._dovecot.tls_port, self._dovecot.pop3_port
        wait_for_greeting(self.port)

    def cpu(self) -> float:
        """Seconds of CPU."""
        return sum(cpu_of(pid) for pid in tree(self._dovecot.process.pid))

    def memory(self) -> int:
        """KiB."""
        return sum(memory_of(pid) for pid in tree(self._dovecot.process.pid))

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._dovecot.stop()


def certificate() -> Path:
    """A certificate with its key, made once in the scratch folder."""
    path = Path(scratch()) / "peer.pem"
    if not path.exists():
        key = path.with_suffix(".key")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "30", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def wait_for_greeting(port: int) -> None:
    """Until an IMAP server greets."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
                if one.recv(100).startswith(b"* OK"):
                    return
        except OSError:
            time.sleep(0.05)
    raise NotHere(f"nobody greets on {port}")


class Client:
    """
    A client that costs little: it looks only for the tagged answer at the end of what has come.

    :ivar received: octets of the last answer.
    """

    def __init__(self, port: int, tls: bool = False, login: bool = True, user: str = USER) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self._buffer = bytearray(1 << 20)
        self._tags = 0
        self.received = 0
        self.socket.recv(65_536)
        if login:
            self.run(b"LOGIN %b %b" % (user.encode(), PASSWORD.encode()))

    def close(self) -> None:
        """Close it."""
        self.socket.close()

    def send(self, command: bytes) -> bytes:
        """Send a command; its tag."""
        self._tags += 1
        tag = b"t%d" % self._tags
        self.socket.sendall(tag + b" " + command + b"\r\n")
        return tag

    def run(self, command: bytes) -> bytes:
        """
        Send a command and read its answer away; the last kibibyte of it.

        :raises NotHere: it was not OK.
        """
        return self.read(self.send(command))

    def read(self, tag: bytes) -> bytes:
        """Read up to a tagged answer."""
        total, tail = 0, b""
        view = memoryview(self._buffer)
        while True:
            count = self.socket.recv_into(view)
            if not count:
                raise NotHere("the server closed the connection")
            total += count
            tail = (tail + bytes(view[max(0, count - 1024) : count]))[-1024:]
            if tail.endswith(b"\r\n"):
                last = tail[:-2].rpartition(b"\r\n")[2]
                if last.startswith(tag + b" "):
                    self.received = total
                    if not last.startswith(tag + b" OK"):
                        raise NotHere(f"the server said {last!r}")
                    return tail

    def whole(self, command: bytes) -> bytes:
        """Send a command and keep all of its answer."""
        tag = self.send(command)
        found = b""
        while not (found.endswith(b"\r\n") and found[:-2].rpartition(b"\r\n")[2].startswith(tag + b" ")):
            data = self.socket.recv(1 << 20)
            if not data:
                raise NotHere("the server closed the connection")
            found += data
        return found

    def until(self, mark: bytes) -> bytes:
        """Read until something has come."""
        found = b""
        while mark not in found:
            data = self.socket.recv(65_536)
            if not data:
                raise NotHere("the server closed the connection")
            found += data
        return found


def fill(port: int, messages: int, user: str = USER) -> None:
    """Put messages into the inbox, many in each command."""
    client = Client(port, user=user)
    mail = generated(messages)
    left = messages
    while left:
        batch = [next(mail) for _ in range(min(BATCH, left))]
        left -= len(batch)
        tag = client.send(
            b"APPEND INBOX" + b"".join(b' (%b) "%b" {%d+}\r\n%b' % (flags, day, len(one), one) for flags, day, one in batch)
        )
        client.read(tag)
    client.run(b"LOGOUT")
    client.close()


def generated(messages: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """
    Flags, date and message; median about 3 KiB, mean about 9, half of them multiparts, a sixth with an attachment.

    The same for the same number of messages, cheap to make: texts are slices of one long text.
    """
    random = Random(3)
    text = b"\r\n".join(" ".join(random.choices(WORDS, k=10)).encode() for _ in range(20_000))
    octets = string.ascii_letters.encode() + b"0123456789+/"
    binary = b"\r\n".join(bytes(random.choices(octets, k=76)) for _ in range(6_000))
    people = [f"{name} {number} <p{number}@d{number % 7}.example>" for number, name in enumerate(WORDS * 10)]
    begin = date(2018, 1, 1)
    for number in range(messages):
        day = begin + timedelta(days=number * 2500 // messages)
        size = min(int(random.lognormvariate(7.4, 1.0)), 200_000)
        start = random.randrange(len(text) - size - 1)
        plain = text[text.index(b"\n", start) + 1 : start + size].rpartition(b"\r\n")[0] + b"\r\n"
        kind = random.random()
        subject = random.choice(("", "Re: ", "Fwd: ")) + " ".join(random.choices(WORDS, k=4))
        subject += f" {random.randrange(messages // 4 + 1)}"
        lines = [
            f"From: {random.choice(people)}",
            f"To: {random.choice(people)}, {random.choice(people)}",
            *([f"Cc: {random.choice(people)}"] if random.random() < 0.3 else []),
            f"Subject: {subject}",
            f"Date: {day:%a, %d %b %Y} {random.randrange(24):02}:{random.randrange(60):02}:00 +0000",
            f"Message-ID: <{number}@generated.example>",
            *([f"References: <{random.randrange(number)}@generated.example>"] if number and random.random() < 0.4 else []),
            "MIME-Version: 1.0",
        ]
        if kind < 0.48:
            head, body = ["Content-Type: text/plain; charset=utf-8"], plain
        else:
            head = [f'Content-Type: multipart/{"alternative" if kind < 0.82 else "mixed"}; boundary="=_{number}"']
            second = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>" + plain + b"</p>\r\n"
            if kind >= 0.82:
                length = min(int(random.lognormvariate(9.7, 1.0)), len(binary) - 1)
                second = b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n"
                second += b"Content-Disposition: attachment; filename=a.pdf\r\n\r\n" + binary[:length] + b"\r\n"
            mark = f"--=_{number}".encode()
            body = mark + b"\r\nContent-Type: text/plain\r\n\r\n" + plain + mark + b"\r\n" + second + mark + b"--\r\n"
        flags = b"\\Seen" if random.random() < 0.8 else b"\\Flagged" if random.random() < 0.2 else b""
        yield flags, f"{day:%d-%b-%Y} 12:00:00 +0000".encode(), "\r\n".join([*lines, *head, "", ""]).encode() + body
