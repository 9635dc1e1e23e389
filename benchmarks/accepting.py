"""
Accepted messages per second, durable before 250: 2 KiB on 1, 10 and 50 sessions, larger ones, and one message in each session.

*Delivered* counts until all of them are in the mailbox.

With ``--workers`` there is a row for a daemon of several processes, as Postfix is one of dozens.

Peers are Postfix (own configuration, delivering to a Maildir through ``virtual``) and aiosmtpd with a handler that syncs file
and folder.  Every session sends one message after the other; where PIPELINING is offered MAIL, RCPT and DATA go in one write.
"""

from __future__ import annotations

import imaplib
import os
import pwd
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.frame import Figures, NotHere, Server, Subject, Table, cpu_of, measure, tree

CHECKOUT = Path(__file__).resolve().parents[1]
BETTER = {"messages/s": "more", "delivered/s": "more", "ms CPU/message": "less", "ms p99": "less"}
PATIENCE = 60.0
"""Seconds that accepted mail may take to its mailbox."""


@dataclass(frozen=True)
class Load:
    """
    What is sent.

    :ivar size: octets of a message, more or less.
    :ivar each: messages in a session; 0 for as many as there is time for.
    """

    sessions: int
    size: int = 2_048
    each: int = 0

    @property
    def title(self) -> str:
        """In words."""
        size = f"{self.size >> 20} MiB" if self.size >= 1 << 20 else f"{self.size >> 10} KiB"
        return f"accepted messages, {size}, {self.sessions} sessions" + (", one message in each" if self.each == 1 else "")

    @property
    def body(self) -> bytes:
        """A message with its end."""
        head = b"Subject: benchmark\r\nFrom: <a@sender.example>\r\n\r\n"
        return head + (b"x" * 70 + b"\r\n") * ((self.size - len(head)) // 72 + 1) + b".\r\n"


LOADS = [Load(1), Load(10), Load(50), Load(10, 20_480), Load(10, 1 << 20), Load(10, each=1)]


class Session:
    """One SMTP session of the generator after the other, a small machine driven by replies."""

    def __init__(self, port: int, recipient: bytes, load: Load, body: bytes) -> None:
        self._port = port
        self._load = load
        self._body = body
        self._envelope = [b"MAIL FROM:<a@sender.example>\r\n", b"RCPT TO:<" + recipient + b">\r\n", b"DATA\r\n"]
        self._began = 0.0
        self._expected: list[bytes] = []
        self.done = 0
        self.latencies: list[float] = []
        self.connect()

    def connect(self) -> None:
        """A new connection, up to the first message."""
        self.socket = socket.create_connection(("127.0.0.1", self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._sent = 0
        self._reply()
        self.socket.sendall(b"EHLO generator.example\r\n")
        self._pipelining = b"PIPELINING" in self._reply()

    def _reply(self) -> bytes:
        """One whole reply, waiting for it."""
        while True:
            found = self._whole()
            if found is not None:
                return found
            self._receive()

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise NotHere("the server closed the connection")
        self._buffer += data

    def _whole(self) -> bytes | None:
        start = 0
        while True:
            end = self._buffer.find(b"\r\n", start)
            if end < 0:
                return None
            last = self._buffer[start + 3 : start + 4] != b"-"
            start = end + 2
            if last:
                found, self._buffer = self._buffer[:start], self._buffer[start:]
                return found

    @property
    def is_over(self) -> bool:
        """Whether the next message wants another connection."""
        return 0 < self._load.each <= self._sent

    def again(self) -> None:
        """Say goodbye and connect anew."""
        self.socket.sendall(b"QUIT\r\n")
        self.socket.close()
        self.connect()

    def begin(self) -> None:
        """Start the next message."""
        self._began = time.perf_counter()
        self._expected = [b"2", b"2", b"3", b"2"]
        self.socket.sendall(b"".join(self._envelope) if self._pipelining else self._envelope[0])

    def readable(self) -> bool:
        """Take what has come; whether a message was accepted."""
        self._receive()
        while True:
            found = self._whole()
            if found is None:
                return False
            if found[:1] != self._expected[0]:
                raise NotHere(f"the server said {found!r}")
            del self._expected[0]
            left = len(self._expected)
            if left == 1:
                self.socket.sendall(self._body)
            elif left == 0:
                self.done += 1
                self._sent += 1
                self.latencies.append(time.perf_counter() - self._began)
                return True
            elif not self._pipelining:
                self.socket.sendall(self._envelope[4 - left])


def generate(
    port: int, recipient: bytes, load: Load, seconds: float, cpu: Callable[[], float], delivered: Callable[[], int]
) -> Figures:
    """
    One round.

    :param delivered: how many messages are in the mailbox.
    """
    selector = selectors.DefaultSelector()
    body = load.body
    sending = [Session(port, recipient, load, body) for _ in range(load.sessions)]
    for one in sending:
        selector.register(one.socket, selectors.EVENT_READ, one)
    already, before = delivered(), cpu()
    began = time.perf_counter()
    for one in sending:
        one.begin()
    busy = len(sending)
    while busy:
        for key, _ in selector.select():
            one = key.data
            if not one.readable():
                continue
            if time.perf_counter() - began >= seconds:
                busy -= 1
                continue
            if one.is_over:
                selector.unregister(one.socket)
                one.again()
                selector.register(one.socket, selectors.EVENT_READ, one)
            one.begin()
    elapsed = time.perf_counter() - began
    done = sum(one.done for one in sending)
    until = time.perf_counter() + PATIENCE
    while delivered() - already < done and time.perf_counter() < until:
        time.sleep(0.005)
    carried = time.perf_counter() - began
    used = cpu() - before
    latencies = sorted(latency for one in sending for latency in one.latencies)
    for one in sending:
        one.socket.close()
    return {
        "messages/s": done / elapsed,
        "delivered/s": done / carried,
        "ms CPU/message": used / done * 1000,
        "ms p99": latencies[int(len(latencies) * 0.99)] * 1000,
    }


class Mailbox:
    """Ann's INBOX, looked at over IMAP."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._imap = imaplib.IMAP4("127.0.0.1", port)
        self._imap.login(user, password)

    def count(self) -> int:
        """Messages in it."""
        _, (answer, *_) = self._imap.status("INBOX", "(MESSAGES)")
        return int(re.findall(rb"MESSAGES (\d+)", bytes(answer or b""))[0])


def files_in(folder: Path) -> int:
    """Messages of a Maildir."""
    return len(os.listdir(folder / "new")) if (folder / "new").exists() else 0


SETTINGS = """config_version = 1
[daemon]
hostname = "us.example"
domains = ["example.com"]
workers = {workers}
[accounts]
first = "ann"
[smtp]
listen_mx = ["tcp:{mx}:interface=127.0.0.1"]
listen_submission = []
listen_submissions = []
max_connections_per_source = 1000
[imap]
listen = ["tcp:{imap}:interface=127.0.0.1"]
listen_tls = []
[pop3]
enabled = false
[managesieve]
enabled = false
[ftp]
enabled = false
[questions]
enabled = false
[book]
enabled = false
"""
"""As it comes, but that a generator has one address for all its sessions, as it has with the peers."""


def launcelot(load: Load, seconds: float, workers: int = 1, checkout: Path = CHECKOUT) -> Figures:
    """A daemon in so many processes that receives for ``ann``; its log is a file."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        mx, imap, data = free_port(), free_port(), f"{folder}/data"
        config = Path(folder, "it.toml")
        config.write_text(SETTINGS.format(workers=workers, mx=mx, imap=imap))
        program, where = [sys.executable, "-m", "launcelot.app.command"], ["--config", str(config), "--data", data]
        # One whose log goes nowhere would not tell anybody that it serves.
        with Server(["sh", "-c", f'exec "$@" 2>{folder}/log', "sh", *program, "run", *where], checkout) as server:
            passwd = [*program, "account", "passwd", *where, "ann"]
            subprocess.run(passwd, cwd=checkout, input=b"secret\n", check=True, capture_output=True)
            inbox = Mailbox(imap, "ann", "secret")
            return generate(mx, b"ann@example.com", load, seconds, server.cpu, inbox.count)


def aiosmtpd(load: Load, seconds: float) -> Figures:
    """aiosmtpd with a syncing Maildir."""
    with (
        tempfile.TemporaryDirectory(dir=scratch()) as folder,
        Server([sys.executable, "-m", "benchmarks.peers", "aiosmtpd", f"{folder}/mail"], CHECKOUT) as server,
    ):
        inbox = Path(folder) / "mail"
        return generate(int(server.said), b"ann@example.com", load, seconds, server.cpu, lambda: files_in(inbox))


def scratch() -> str:
    """A folder on the disk, not in memory, for all subjects alike."""
    folder = CHECKOUT / "build" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


class Postfix:
    """
    A Postfix of its own in a scratch folder, on a free port.

    :raises NotHere: Postfix is not installed, or we are not root (its master must be).
    """

    def __init__(self, folder: Path) -> None:
        if not Path("/usr/lib/postfix/sbin/master").exists():
            raise NotHere("postfix is not installed (Debian package postfix)")
        if os.geteuid() != 0:
            raise NotHere("postfix has to be started by root")
        self.folder = folder
        self.port = free_port()
        self._write()
        subprocess.run(["postfix", "-c", str(folder / "etc"), "start"], check=True, capture_output=True, timeout=60)
        self.master = int((folder / "spool" / "pid" / "master.pid").read_text())
        wait_for(self.port)

    def _write(self) -> None:
        etc, spool, data, mail = (self.folder / name for name in ("etc", "spool", "data", "mail"))
        for path in (etc, spool, data, mail):
            path.mkdir(parents=True)
        self.folder.chmod(0o755)
        user = pwd.getpwnam("postfix")
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chown(mail, user.pw_uid, user.pw_gid)
        (etc / "main.cf").write_text(
            f"compatibility_level=3.6\nqueue_directory={spool}\ndata_directory={data}\nmail_owner=postfix\nsetgid_group=postdrop\n"
            f"command_directory=/usr/sbin\ndaemon_directory=/usr/lib/postfix/sbin\nmyhostname=peer.test\nmydestination=\n"
            f"mynetworks=127.0.0.0/8\nvirtual_mailbox_domains=example.com\nvirtual_mailbox_base={mail}\n"
            f"virtual_mailbox_maps=static:ann/\nvirtual_uid_maps=static:{user.pw_uid}\nvirtual_gid_maps=static:{user.pw_gid}\n"
            "virtual_minimum_uid=1\nin_flow_delay=0\ndefault_process_limit=200\nsmtpd_client_connection_count_limit=0\nmaillog_file=/dev/null\n"
            "maillog_file_prefixes=/dev\nsmtpd_recipient_restrictions=permit_mynetworks,reject\ninet_protocols=ipv4\nalias_maps=\n"
        )
        rows = (
            f"127.0.0.1:{self.port} inet n - n - - smtpd", "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "verify unix - - n - 1 verify",
            "flush unix n - n 1000? 0 flush", "proxymap unix - - n - - proxymap", "error unix - - n - - error",
            "retry unix - - n - - error", "virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil",
            "showq unix n - n - - showq", "postlog unix-dgram n - n - 1 postlogd",
        )  # fmt: skip
        (etc / "master.cf").write_text("\n".join(rows) + "\n")

    def cpu(self) -> float:
        """Seconds of CPU of all its processes."""
        return sum(cpu_of(pid) for pid in tree(self.master))

    def stop(self) -> None:
        """Stop it."""
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "stop"], check=False, capture_output=True, timeout=60)


def free_port() -> int:
    """A port nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise NotHere(f"nobody listens on {port}")


def postfix(load: Load, seconds: float) -> Figures:
    """Postfix delivering to a Maildir."""
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    try:
        running = Postfix(folder)
        try:
            inbox = folder / "mail" / "ann"
            return generate(running.port, b"ann@example.com", load, seconds, running.cpu, lambda: files_in(inbox))
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def subjects(load: Load, seconds: float, workers: int) -> list[Subject]:
    """We, in one process and, if that is asked for, in several, and the peers."""
    several = Subject(f"launcelot, {workers} workers", lambda: launcelot(load, seconds, workers))
    return [
        Subject("launcelot", lambda: launcelot(load, seconds)),
        *([several] if workers > 1 else []),
        Subject("postfix (Maildir)", lambda: postfix(load, seconds)),
        Subject("aiosmtpd (Maildir)", lambda: aiosmtpd(load, seconds)),
    ]


def tables(rounds: int, seconds: float, only: str = "", workers: int = 1) -> list[Table]:
    """One table for each load."""
    chosen = [load for load in LOADS if only.lower() in load.title.lower()]
    return [measure(load.title, BETTER, subjects(load, seconds, workers), rounds) for load in chosen]
