"""
Messages passed on per second: 2 KiB, submitted on 10 sessions, durable before 250, relayed to Postfix's ``smtp-sink``.

A round ends when the sink has them all.  The peer is Postfix with the sink as its ``relayhost``; each of both may have 20
connections to it.  What is submitted to us logs in first, as nobody else may send to other hosts; Postfix trusts the address.
"""

from __future__ import annotations

import base64
import os
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.accepting import CHECKOUT, Load, Postfix, Session, free_port, scratch, wait_for
from benchmarks.frame import Figures, NotHere, Subject, Table, cpu_of, measure, tree
from launcelot.app.asking import ask
from launcelot.app.errors import Ending

BETTER = {"messages/s": "more", "ms CPU/message": "less"}
LOAD = Load(10)
BODY = LOAD.body
SESSIONS = LOAD.sessions
MESSAGES = 2_000
LIMIT = 120.0
CONNECTIONS = 20

SETTINGS = """config_version = 1
[daemon]
hostname = "us.example"
domains = ["here.example"]
[accounts]
first = "ann"
[relay]
enabled = true
routes = ["* 127.0.0.1:{port} tls=none connections={connections}"]
[smtp]
listen_mx = []
listen_submission = ["tcp:{own}:interface=127.0.0.1"]
listen_submissions = []
check_from_header = false
delivery_grace = 0
[imap]
enabled = false
[pop3]
enabled = false
[managesieve]
enabled = false
[ftp]
enabled = false
[questions]
enabled = false
"""


class Sink:
    """
    smtp-sink on a free port.

    :raises NotHere: it is not installed.
    """

    def __init__(self) -> None:
        path = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if path is None:
            raise NotHere("smtp-sink is not installed (Debian package postfix)")
        self.port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [path, "-c", *user, f"127.0.0.1:{self.port}", "200"]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(command, stdout=self._said, stderr=subprocess.DEVNULL)
        wait_for(self.port)

    @property
    def messages(self) -> int:
        """How many it has taken."""
        size = os.fstat(self._said.fileno()).st_size
        tail = os.pread(self._said.fileno(), 4_096, max(0, size - 4_096))
        found = re.findall(rb"mesg=(\d+)", tail)
        return int(found[-1]) if found else 0

    def stop(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()
        self._said.close()


class Submitting(Session):
    """A session that logs in where it is told to, and sends to a domain of its own for every message."""

    def __init__(self, port: int, sender: bytes, password: str) -> None:
        self._password = password
        super().__init__(port, b"x@far.example", LOAD, BODY)
        self._envelope[0] = b"MAIL FROM:<" + sender + b">\r\n"

    def connect(self) -> None:
        """Banner, EHLO and maybe AUTH."""
        super().connect()
        if self._password:
            secret = base64.b64encode(f"\0ann\0{self._password}".encode())
            self.socket.sendall(b"AUTH PLAIN " + secret + b"\r\n")
            if not self._reply().startswith(b"235"):
                raise NotHere("the login was refused")


def submit(port: int, sender: bytes, password: str, count: int) -> None:
    """Hand over so many messages."""
    selector = selectors.DefaultSelector()
    sending = [Submitting(port, sender, password) for _ in range(SESSIONS)]
    for one in sending:
        selector.register(one.socket, selectors.EVENT_READ, one)
    for one in sending:
        one.begin()
    begun = len(sending)
    done = 0
    while done < count:
        for key, _ in selector.select():
            if key.data.readable():
                done += 1
                if begun < count:
                    begun += 1
                    key.data.begin()
    for one in sending:
        one.socket.close()


def relayed(sink: Sink, port: int, sender: bytes, password: str, cpu: Callable[[], float]) -> Figures:
    """One round."""
    submit(port, sender, password, SESSIONS)
    until(sink, SESSIONS)
    before, began = cpu(), time.perf_counter()
    submit(port, sender, password, MESSAGES)
    until(sink, SESSIONS + MESSAGES)
    elapsed, used = time.perf_counter() - began, cpu() - before
    return {"messages/s": MESSAGES / elapsed, "ms CPU/message": used / MESSAGES * 1000}


def until(sink: Sink, count: int) -> None:
    """Until the sink has so many."""
    end = time.monotonic() + LIMIT
    while sink.messages < count:
        if time.monotonic() > end:
            raise NotHere(f"only {sink.messages} of {count} messages came")
        time.sleep(0.005)


class OwnDaemon:
    """
    One of ours, that sends mail to another host.

    :param text: of its configuration file.
    :ivar port: of submission.
    """

    def __init__(self, folder: Path, port: int, text: str) -> None:
        self.folder = folder
        self.port = port
        folder.mkdir(mode=0o700)
        (folder / "launcelot.toml").write_text(text)
        self.start()
        passwd = self._command("account", "passwd", "ann")
        subprocess.run(passwd, cwd=CHECKOUT, input=b"secret\n", check=True, capture_output=True)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "launcelot.app.command", *words, "--data", str(self.folder)]

    def start(self) -> float:
        """Start it; seconds until it greets."""
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self._command("run"), cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self.port)
        elapsed = time.perf_counter() - began
        self.status()
        return elapsed

    def status(self) -> Any:
        """What it says of itself."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                return ask(self.folder / "admin.sock", {"ask": "status"})
            except Ending:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def cpu(self) -> float:
        """Seconds of CPU of all its processes."""
        return sum(cpu_of(pid) for pid in tree(self.process.pid))

    def stop(self) -> None:
        """Stop it in order."""
        self.process.terminate()
        self.process.wait(60)


class Launcelot(OwnDaemon):
    """A daemon that relays to a sink."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        own = free_port()
        super().__init__(folder, own, SETTINGS.format(port=sink.port, own=own, connections=CONNECTIONS))


class RelayingPostfix(Postfix):
    """One whose mail goes to a sink."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self._sink = sink
        super().__init__(folder)

    def _write(self) -> None:
        super()._write()
        with open(self.folder / "etc" / "main.cf", "a") as file:
            file.write(
                f"relayhost=[127.0.0.1]:{self._sink.port}\ndefault_destination_concurrency_limit={CONNECTIONS}\n"
                f"initial_destination_concurrency={CONNECTIONS}\nsmtp_tls_security_level=none\n"
            )
        with open(self.folder / "etc" / "master.cf", "a") as file:
            file.write("smtp unix - - n - - smtp\nrelay unix - - n - - smtp\nscache unix - - n - 1 scache\n")


def round_of(make: Callable[[Path, Sink], Any], sender: bytes, password: str) -> Figures:
    """One round of somebody."""
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    folder.chmod(0o755)
    sink = Sink()
    try:
        running = make(folder / "peer", sink)
        try:
            return relayed(sink, running.port, sender, password, running.cpu)
        finally:
            running.stop()
    finally:
        sink.stop()
        shutil.rmtree(folder, ignore_errors=True)


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table; a round is a number of messages, however long it takes."""
    subjects = [
        Subject("launcelot", lambda: round_of(Launcelot, b"ann@here.example", "secret")),
        Subject("postfix", lambda: round_of(RelayingPostfix, b"ann@here.example", "")),
    ]
    size = (len(BODY) + 512) // 1024
    return [measure(f"relayed messages, {size} KiB, {SESSIONS} sessions", BETTER, subjects, rounds)]
