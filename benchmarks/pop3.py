"""
POP3 beside Dovecot 2.3 (sdbox, tuned as in its manual): logging in, listing, retrieving, memory.

Both servers run for the whole measure, each with the same mailbox, filled over IMAP; rounds take turns.  A command is
repeated until it has taken :data:`ENOUGH` seconds.  Both are warm, and passwords are looked up in both, hashed in neither
(ours are remembered for a minute).  The client looks only for the ends of answers.
"""

from __future__ import annotations

import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.frame import Figures, NotHere, Table, measure
from benchmarks.frame import Subject as Measured
from benchmarks.imap import Dialog, calm, crowd
from benchmarks.imapservers import USER, Launcelot, Peer, fill
from tests.clients.dovecot import PASSWORD

ENOUGH = 0.5
"""Seconds for which one command is repeated in a round."""
PIPELINED = 50
"""Commands in one write."""
FEW = 200
"""Messages of each of those who log in at once."""
OTHERS = tuple(f"user{number}" for number in range(10))
HELD = 100
"""Sessions held, of as many accounts; Dovecot has a process for each."""
QUIET = 85
"""Seconds after which our store has closed the files of accounts that nobody uses."""
COMMAND = {"ms": "less", "ms CPU": "less"}
RATE = {"/s": "more", "ms CPU": "less"}

CREW = "launcelot, 2 workers"
"""Measured where many come at once: a process of Dovecot's is on every core, too."""

Server = Launcelot | Peer


class Client:
    """A session."""

    def __init__(self, port: int, user: str = USER) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))
        self._line()
        for line in (b"USER " + user.encode(), b"PASS " + PASSWORD.encode()):
            self.line(line)

    def line(self, command: bytes) -> bytes:
        """A command that is answered with a line."""
        self.socket.sendall(command + b"\r\n")
        return self._line()

    def _line(self) -> bytes:
        found = b""
        while not found.endswith(b"\r\n"):
            data = self.socket.recv(4096)
            if not data:
                raise NotHere("the server closed the connection")
            found += data
        if not found.startswith(b"+OK"):
            raise NotHere(f"the server said {found!r}")
        return found

    def lines(self, command: bytes) -> int:
        """A command that is answered with many lines; their octets."""
        self.socket.sendall(command + b"\r\n")
        total, tail = 0, b""
        while not tail.endswith(b"\r\n.\r\n"):
            count = self.socket.recv_into(self._buffer)
            if not count:
                raise NotHere("the server closed the connection")
            total += count
            tail = (tail + bytes(self._buffer[max(0, count - 5) : count]))[-5:]
        return total

    def many(self, commands: bytes, count: int) -> None:
        """Commands in one write, each answered with many lines; read until so many ends have come."""
        self.socket.sendall(commands)
        tail, left = b"", count
        while left > 0:
            got = self.socket.recv_into(self._buffer)
            if not got:
                raise NotHere("the server closed the connection")
            data = tail + bytes(self._buffer[:got])
            left -= data.count(b"\r\n.\r\n")
            tail = data[-4:]

    def quit(self) -> None:
        """End it."""
        self.line(b"QUIT")
        self.socket.close()


def repeated(server: Server, run: Callable[[], object], units: int) -> Figures:
    """Milliseconds of one unit, and of the server's CPU in it."""
    times: list[float] = []
    before, began = server.cpu(), time.perf_counter()
    while time.perf_counter() - began < ENOUGH or not times:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    used = server.cpu() - before
    return {"ms": statistics.median(times) * 1e3 / units, "ms CPU": used / len(times) * 1e3 / units}


class LogIn(Dialog):
    """A connection that is opened anew for each run of USER, PASS, STAT and QUIT."""

    def __init__(self, port: int, user: str) -> None:
        lines = (b"USER " + user.encode(), b"PASS " + PASSWORD.encode(), b"STAT", b"QUIT")
        super().__init__(port, [line + b"\r\n" for line in lines])

    def readable(self) -> bool:
        """Take what has come; whether all was answered."""
        data = self.socket.recv(4096)
        self._tail += data
        if not data:
            raise NotHere(f"the server closed the connection: {self._tail!r}")
        if not self._tail.endswith(b"\r\n"):
            return False
        if not self._tail.startswith(b"+OK"):
            if b"IN-USE" in self._tail:
                # Dovecot lets go of a maildrop a moment after its session has been told goodbye.
                self.socket.close()
                self.done = True
                return False
            raise NotHere(f"the server said {self._tail!r}")
        return self.go_on()


class Bench:
    """Both servers, filled, and the measures."""

    def __init__(self, messages: int, rounds: int, seconds: float) -> None:
        self.rounds, self.seconds, self.messages = rounds, seconds, messages
        self.servers: dict[str, Server] = {}
        self.absent: dict[str, str] = {}
        makers: tuple[tuple[str, Callable[[], Server]], ...] = (
            ("launcelot", lambda: Launcelot(True, (*OTHERS, *(f"held{number}" for number in range(HELD))))),
            (CREW, lambda: Launcelot(True, OTHERS, 2)),
            ("dovecot", lambda: Peer(True)),
        )
        for name, make in makers:
            try:
                server = self.servers[name] = make()
            except NotHere as reason:
                self.absent[name] = str(reason)
                continue
            fill(server.port, messages)
            for user in OTHERS:
                fill(server.port, FEW, user)
            calm(server)
            # Dovecot reads every message once to know its size as POP3 counts it.
            for user in (USER, *OTHERS):
                client = Client(server.pop3_port, user)
                client.lines(b"LIST")
                client.quit()
            print(f"{name}: filled", file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Stop both."""
        for server in self.servers.values():
            server.stop()

    def table(self, title: str, better: dict[str, str], run: Callable[[str], Figures]) -> Table:
        """A measure of both; memory once, as Dovecot's processes are used again."""
        names = [name for name in self.servers if name != CREW or better is RATE]
        subjects = [Measured(name, lambda name=name: run(name)) for name in names]  # type: ignore[misc]
        rounds = 1 if "held" in better else self.rounds
        table = measure(f"POP3 {title}, {self.messages:,} messages", better, subjects, rounds)
        table.absent.update(self.absent)
        return table

    def within(self, name: str, run: Callable[[Client], object], units: int = 1) -> Figures:
        """Something a session does again and again."""
        server = self.servers[name]
        client = Client(server.pop3_port)
        run(client)
        try:
            return repeated(server, lambda: run(client), units)
        finally:
            client.quit()

    def one_by_one(self, name: str) -> Figures:
        """Each message when the one before it has come."""
        commands = [b"RETR %d" % number for number in range(1, self.messages + 1)]
        return self.within(name, lambda client: [client.lines(command) for command in commands], self.messages)

    def pipelined(self, name: str) -> Figures:
        """So many commands in a write."""
        writes = [
            (b"".join(b"RETR %d\r\n" % number for number in range(start, end)), end - start)
            for start in range(1, self.messages + 1, PIPELINED)
            for end in [min(start + PIPELINED, self.messages + 1)]
        ]
        return self.within(name, lambda client: [client.many(*one) for one in writes], self.messages)

    def logins(self, name: str, users: Sequence[str]) -> Figures:
        """Connect, log in, STAT, QUIT, again and again."""
        server = self.servers[name]
        before = server.cpu()
        done, elapsed = crowd([LogIn(server.pop3_port, user) for user in users], self.seconds)
        return {"/s": done / elapsed, "ms CPU": (server.cpu() - before) / done * 1e3}

    def memory(self, name: str) -> Figures:
        """KiB for each of many sessions of as many accounts that are logged in, and have said nothing for a while."""
        server = self.servers[name]
        if isinstance(server, Launcelot):
            server.end()
            server.start()
        first = [Client(server.pop3_port, f"held{number}") for number in range(3)]
        time.sleep(QUIET)
        before = server.memory()
        held = [Client(server.pop3_port, f"held{number}") for number in range(3, HELD)]
        time.sleep(QUIET)
        after = server.memory()
        for client in (*first, *held):
            client.quit()
        return {"KiB each": (after - before) / len(held), "held": len(held)}


def tables(rounds: int, seconds: float, messages: int = 2_000, chosen: str = "") -> list[Table]:
    """All of them, or those whose title contains ``chosen``."""
    bench = Bench(messages, rounds, seconds)
    measures: list[tuple[str, dict[str, str], Callable[[str], Figures]]] = [
        ("STAT", COMMAND, lambda name: bench.within(name, lambda client: client.line(b"STAT"))),
        ("LIST", COMMAND, lambda name: bench.within(name, lambda client: client.lines(b"LIST"))),
        ("UIDL", COMMAND, lambda name: bench.within(name, lambda client: client.lines(b"UIDL"))),
        ("RETR one by one", COMMAND, bench.one_by_one),
        (f"RETR pipelined by {PIPELINED}", COMMAND, bench.pipelined),
        ("login + STAT + QUIT, 1 client", RATE, lambda name: bench.logins(name, (USER,))),
        (f"login + STAT + QUIT, 10 clients with {FEW} each", RATE, lambda name: bench.logins(name, OTHERS)),
        ("sessions that say nothing", {"KiB each": "less", "held": "more"}, bench.memory),
    ]
    try:
        return [bench.table(title, better, run) for title, better, run in measures if chosen in title]
    finally:
        bench.stop()
