"""
IMAP beside Dovecot 2.3 (sdbox, tuned as in its manual): fetching, searching, storing, logging in, appending, idling, memory.

Both servers run for the whole measure, each with the same mailbox; rounds take turns.  A command is repeated until it has taken
:data:`ENOUGH` seconds, so that CPU, which the system counts in hundredths, means something.  Dovecot is warm: every command has
been run once before its first round, and what a server still does after it has been filled is waited for.  Passwords are
looked up in both, hashed in neither (ours are remembered for a minute).
"""

from __future__ import annotations

import select
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Event, Thread

from benchmarks.frame import Figures, NotHere, Table, measure
from benchmarks.frame import Subject as Measured
from benchmarks.imapservers import USER, Client, Launcelot, Peer, Subject, fill
from tests.clients.dovecot import PASSWORD

ENOUGH = 0.25
"""Seconds for which one command is repeated in a round."""
COMMAND = {"ms": "less", "ms CPU": "less"}
HELD = {"launcelot": 1_000, "dovecot": 100}
"""Idle connections held; Dovecot has a process for each."""

READS: Sequence[tuple[str, bytes]] = (
    ("FETCH 1:* (FLAGS UID)", b"FETCH 1:* (FLAGS UID)"),
    ("FETCH 1:* (ENVELOPE INTERNALDATE RFC822.SIZE)", b"FETCH 1:* (ENVELOPE INTERNALDATE RFC822.SIZE)"),
    ("FETCH 1:* (BODYSTRUCTURE)", b"FETCH 1:* (BODYSTRUCTURE)"),
    (
        "FETCH 1:* (FLAGS and six header fields)",
        b"FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT TO CC MESSAGE-ID)])",
    ),
    ("FETCH 1:1000 (BODY.PEEK[])", b"FETCH 1:1000 (BODY.PEEK[])"),
    ("SEARCH SINCE", b"SEARCH SINCE 1-Jan-2023"),
    ("SEARCH SUBJECT", b'SEARCH SUBJECT "budget"'),
    ("SEARCH FROM", b'SEARCH FROM "invoice 18"'),
    ("SEARCH TEXT, many found", b'SEARCH TEXT "summer travel"'),
    ("SEARCH TEXT, nothing found", b'SEARCH TEXT "xyzzyplugh"'),
    ("SORT (SUBJECT DATE)", b"SORT (SUBJECT DATE) UTF-8 ALL"),
    ("THREAD REFERENCES", b"THREAD REFERENCES UTF-8 ALL"),
)
CHANGES: Sequence[tuple[str, tuple[bytes, bytes]]] = (
    ("STORE 1:* +FLAGS, -FLAGS", (b"STORE 1:* +FLAGS (\\Answered)", b"STORE 1:* -FLAGS (\\Answered)")),
    ("STORE 1:* +FLAGS.SILENT, -FLAGS.SILENT", (b"STORE 1:* +FLAGS.SILENT (\\Draft)", b"STORE 1:* -FLAGS.SILENT (\\Draft)")),
)


def repeated(server: Subject, run: Callable[[], object]) -> Figures:
    """Milliseconds of one run, and of the server's CPU in it."""
    times: list[float] = []
    before, began = server.cpu(), time.perf_counter()
    while time.perf_counter() - began < ENOUGH or not times:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    used = server.cpu() - before
    return {"ms": statistics.median(times) * 1e3, "ms CPU": used / len(times) * 1e3}


def calm(server: Subject) -> None:
    """
    Wait until a server has done what it does behind its clients' backs (ours makes its indexes), ten minutes at most.

    It begins when nothing has been changed for a while, so one look at a server that does nothing says little.
    """
    until = time.perf_counter() + 600
    used, quiet = -1.0, 0
    while quiet < 3 and time.perf_counter() < until:
        quiet = quiet + 1 if server.cpu() - used <= 0.04 else 0
        used = server.cpu()
        time.sleep(2)


class Bench:
    """
    Both servers, filled, and the measures.

    :raises NotHere: from whichever cannot be started.
    """

    def __init__(self, messages: int, rounds: int, seconds: float) -> None:
        self.rounds, self.seconds, self.messages = rounds, seconds, messages
        self.servers: dict[str, Subject] = {}
        self.absent: dict[str, str] = {}
        for name, make in (("launcelot", Launcelot), ("dovecot", Peer)):
            try:
                self.servers[name] = make()
            except NotHere as reason:
                self.absent[name] = str(reason)
        for name, server in self.servers.items():
            began = time.perf_counter()
            fill(server.port, messages)
            calm(server)
            print(f"{name}: {messages:,} messages in {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
        self.clients = {name: Client(server.port) for name, server in self.servers.items()}
        for client in self.clients.values():
            client.run(b"SELECT INBOX")

    def stop(self) -> None:
        """Stop both."""
        for server in self.servers.values():
            server.stop()

    def table(self, title: str, better: dict[str, str], run: Callable[[str], Figures]) -> Table:
        """A measure of both."""
        subjects = [Measured(name, lambda name=name: run(name)) for name in self.servers]  # type: ignore[misc]
        table = measure(f"{title}, {self.messages:,} messages", better, subjects, self.rounds)
        table.absent.update(self.absent)
        return table

    # -- one connection ------------------------------------------------------------------------------------------------

    def commands(self, chosen: str) -> list[Table]:
        """Commands on a selected mailbox."""
        tables = []
        for title, command in READS:
            if chosen in title:
                for client in self.clients.values():
                    client.run(command)
                tables.append(self.table(title, COMMAND, lambda name, command=command: self.read(name, command)))  # type: ignore[misc]
        if chosen in "FETCH n (BODY.PEEK[])":
            tables.append(self.table("FETCH n (BODY.PEEK[]), 1,000 one by one", COMMAND, self.one_by_one))
        title = "THREAD REFERENCES, other messages each time"
        if chosen in title:
            numbers = {name: iter(range(1, self.messages)) for name in self.servers}
            tables.append(self.table(title, COMMAND, lambda name: self.read_other(name, numbers[name])))
        for title, pair in CHANGES:
            if chosen in title:
                tables.append(self.table(title, COMMAND, lambda name, pair=pair: self.change(name, pair)))  # type: ignore[misc]
        return tables

    def read(self, name: str, command: bytes) -> Figures:
        """A command again and again."""
        return repeated(self.servers[name], lambda: self.clients[name].run(command))

    def read_other(self, name: str, numbers: Iterator[int]) -> Figures:
        """Threads of all messages but one, another one each time, so that nothing kept is of use."""
        command = b"THREAD REFERENCES UTF-8 NOT UID %d"
        return repeated(self.servers[name], lambda: self.clients[name].run(command % next(numbers)))

    def change(self, name: str, pair: tuple[bytes, bytes]) -> Figures:
        """Two commands, there and back; the time of one."""
        figures = repeated(self.servers[name], lambda: [self.clients[name].run(command) for command in pair])
        return {key: value / 2 for key, value in figures.items()}

    def one_by_one(self, name: str) -> Figures:
        """A thousand commands."""
        client = self.clients[name]
        return repeated(
            self.servers[name], lambda: [client.run(b"FETCH %d (BODY.PEEK[])" % number) for number in range(1, 1001)]
        )

    # -- many connections ----------------------------------------------------------------------------------------------

    def logins(self, name: str, clients: int) -> Figures:
        """Connect, log in, select, log out, again and again."""
        port = self.servers[name].port
        script = (b"a LOGIN %b %b\r\n" % (USER.encode(), PASSWORD.encode()), b"b SELECT INBOX\r\n", b"c LOGOUT\r\n")
        before = self.servers[name].cpu()
        done, elapsed = crowd([Dialog(port, script) for _ in range(clients)], self.seconds)
        return {"/s": done / elapsed, "ms CPU": (self.servers[name].cpu() - before) / done * 1e3}

    def appends(self, name: str, clients: int) -> Figures:
        """Messages of 2 KiB, durable when they are answered, into a mailbox of their own."""
        body = b"Subject: appended\r\nFrom: <a@b.example>\r\n\r\n" + (b"x" * 70 + b"\r\n") * 28
        self.folder(name, b"appended")
        sessions = [Appender(self.servers[name].port, body) for _ in range(clients)]
        before = self.servers[name].cpu()
        done, elapsed = crowd(sessions, self.seconds)
        return {"/s": done / elapsed, "ms CPU": (self.servers[name].cpu() - before) / done * 1e3}

    def folder(self, name: str, folder: bytes) -> None:
        """Make a mailbox unless it is there."""
        client = self.clients[name]
        if b"LIST (" not in client.whole(b'LIST "" ' + folder):
            client.run(b"CREATE " + folder)

    def idling(self, name: str) -> Figures:
        """From sending APPEND in one session to EXISTS in another that idles."""
        port = self.servers[name].port
        waiting, active = Client(port), Client(port)
        self.folder(name, b"idled")
        waiting.run(b"SELECT idled")
        tag = waiting.send(b"IDLE")
        waiting.until(b"+")
        times = []
        for _ in range(max(5, int(self.seconds * 5))):
            time.sleep(0.05)
            began = time.perf_counter()
            active.send(b"APPEND idled {18+}\r\nSubject: x\r\n\r\nhi\r\n")
            waiting.until(b"EXISTS\r\n")
            times.append(time.perf_counter() - began)
            active.read(b"t%d" % active._tags)
        waiting.socket.sendall(b"DONE\r\n")
        waiting.read(tag)
        waiting.close()
        active.close()
        return {"ms p50": statistics.median(times) * 1e3, "ms max": max(times) * 1e3}

    def memory(self, name: str, tls: bool) -> Figures:
        """KiB for each of many connections that have selected the mailbox and idle; our process is a fresh one."""
        server = self.servers[name]
        if isinstance(server, Launcelot):
            self.clients.pop(name).close()
            server.end()
            server.start()
            self.clients[name] = Client(server.port)
            self.clients[name].run(b"SELECT INBOX")
        port = server.tls_port if tls else server.port
        first = [idle_client(port, tls) for _ in range(3)]
        before = server.memory()
        held = [idle_client(port, tls) for _ in range(HELD[name])]
        after = server.memory()
        for client in (*first, *held):
            client.close()
        return {"KiB each": (after - before) / len(held), "held": len(held)}

    # -- peaks -----------------------------------------------------------------------------------------------------------

    def peak(self, name: str, run: Callable[[Client], object]) -> Figures:
        """MiB by which the server's own memory grows at most, looked at every other millisecond, at the second time."""
        server = self.servers[name]
        if not isinstance(server, Launcelot):
            raise NotHere("only ours has a bar")
        self.folder(name, b"large")
        client = Client(server.port)
        client.run(b"SELECT INBOX")
        run(client)
        before = server.private()
        seen, done = [before], Event()

        def watch() -> None:
            while not done.wait(0.002):
                seen.append(server.private())

        watcher = Thread(target=watch)
        watcher.start()
        run(client)
        done.set()
        watcher.join()
        client.close()
        return {"MiB grown": (max(seen) - before) / 1024}


class Dialog:
    """
    A connection that is opened anew for each run of a script; each line is sent when the last was answered.

    :ivar done: whether this run has ended, with or without success.
    """

    def __init__(self, port: int, script: Sequence[bytes]) -> None:
        self._port, self._script = port, script
        self.socket = socket.socket()
        self.done = False

    def begin(self) -> None:
        """Connect; the greeting starts it."""
        self.socket = socket.socket()
        self.socket.connect(("127.0.0.1", self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._step = 0
        self._tail = b""
        self.done = False

    def readable(self) -> bool:
        """Take what has come; whether the script is done and the connection closed."""
        data = self.socket.recv(65_536)
        self._tail = (self._tail + data)[-4_000:]
        mark = b"* OK" if self._step == 0 else b"\r\n" + self._script[self._step - 1][:2] + b"OK"
        if not data or (mark not in b"\r\n" + self._tail or not self._tail.endswith(b"\r\n")):
            if data:
                return False
            raise NotHere(f"the server closed the connection: {self._tail!r}")
        return self.go_on()

    def go_on(self) -> bool:
        """Say the next line; whether there is none, and the connection is closed."""
        if self._step == len(self._script):
            self.socket.close()
            self.done = True
            return True
        self.socket.sendall(self._script[self._step])
        self._step += 1
        self._tail = b""
        return False


class Appender:
    """
    A session that appends one message after the other.

    :ivar done: whether this one has been taken.
    """

    def __init__(self, port: int, body: bytes) -> None:
        self.socket = Client(port).socket
        self._command = b"APPEND appended {%d+}\r\n%b\r\n" % (len(body), body)
        self._number = 0
        self._tail = b""
        self.done = False

    def begin(self) -> None:
        """Send one."""
        self._number += 1
        self._tail = b""
        self.done = False
        self.socket.sendall(b"m%d " % self._number + self._command)

    def readable(self) -> bool:
        """Whether it has been taken."""
        data = self.socket.recv(65_536)
        self._tail += data
        if not data or b" NO " in self._tail or b" BAD " in self._tail:
            raise NotHere(f"the server said {self._tail!r}")
        self.done = b"m%d OK" % self._number in self._tail and self._tail.endswith(b"\r\n")
        return self.done


def crowd(sessions: Sequence[Dialog | Appender], seconds: float) -> tuple[int, float]:
    """Let every session do one thing after the other; how many were done, and the seconds it took."""
    waiting: dict[int, Dialog | Appender] = {}
    with select.epoll() as poll:

        def begin(one: Dialog | Appender) -> None:
            one.begin()
            waiting[one.socket.fileno()] = one
            poll.register(one.socket, select.EPOLLIN)

        began = time.perf_counter()
        for one in sessions:
            begin(one)
        done = 0
        while waiting:
            events = poll.poll(30)
            if not events:
                raise NotHere("no answer for half a minute")
            for descriptor, _ in events:
                one = waiting[descriptor]
                done += one.readable()
                if one.done:
                    # What is closed the kernel has forgotten; what goes on begins anew, as does who was turned away.
                    del waiting[descriptor]
                    if one.socket.fileno() >= 0:
                        poll.unregister(descriptor)
                    if time.perf_counter() - began < seconds:
                        begin(one)
        elapsed = time.perf_counter() - began
    for one in sessions:
        one.socket.close()
    return done, elapsed


def idle_client(port: int, tls: bool) -> Client:
    """A connection that idles on the inbox."""
    client = Client(port, tls)
    client.run(b"SELECT INBOX")
    client.send(b"IDLE")
    client.until(b"+")
    return client


def append_large(client: Client, size: int = 100 << 20) -> None:
    """One message of so many octets, sent in pieces."""
    tag = client.send(b"APPEND large {%d+}" % (size + 14))
    client.socket.sendall(b"Subject: x\r\n\r\n")
    line = b"y" * 78 + b"\r\n"
    piece = line * 800
    while size > 0:
        client.socket.sendall(piece[: min(size, len(piece))])
        size -= len(piece)
    client.socket.sendall(b"\r\n")
    client.read(tag)


def tables(rounds: int, seconds: float, messages: int = 10_000, chosen: str = "") -> list[Table]:
    """All of them, or those whose title contains ``chosen``."""
    bench = Bench(messages, rounds, seconds)
    rate = {"/s": "more", "ms CPU": "less"}
    try:
        found = bench.commands(chosen)
        others: list[tuple[str, dict[str, str], Callable[[str], Figures]]] = [
            ("login + SELECT + LOGOUT, 1 client", rate, lambda name: bench.logins(name, 1)),
            ("login + SELECT + LOGOUT, 10 clients", rate, lambda name: bench.logins(name, 10)),
            ("APPEND of 2 KiB, 1 session", rate, lambda name: bench.appends(name, 1)),
            ("APPEND of 2 KiB, 10 sessions", rate, lambda name: bench.appends(name, 10)),
            ("IDLE, APPEND to EXISTS", {"ms p50": "less", "ms max": "less"}, bench.idling),
            ("idle selected connections", {"KiB each": "less", "held": "more"}, lambda name: bench.memory(name, False)),
            ("idle selected connections, TLS", {"KiB each": "less", "held": "more"}, lambda name: bench.memory(name, True)),
            ("peak during FETCH 1:* (FLAGS ENVELOPE)", {"MiB grown": "less"}, lambda name: bench.peak(name, fetch_all)),
            ("peak during APPEND of 100 MiB", {"MiB grown": "less"}, lambda name: bench.peak(name, append_large)),
        ]
        found += [bench.table(title, better, run) for title, better, run in others if chosen in title]
        return found
    finally:
        bench.stop()


def fetch_all(client: Client) -> None:
    """A long answer."""
    client.run(b"FETCH 1:* (FLAGS ENVELOPE)")
