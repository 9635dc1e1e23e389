"""
Several worker processes, as programs of their own.

A test decides which worker a peer gets by stopping the others (SIGSTOP) while it connects: the kernel has one queue for all of
them, and whoever runs takes from it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from launcelot.app.asking import ask
from launcelot.app.errors import CONFIGURATION, UNAVAILABLE
from tests.app.programs import COMMAND, LIMIT, TWISTD, ProgramCase

PASSWORDS = {"brandon": "atigdng", "ann": "bridgekeeper"}
PASS = f"PASS {PASSWORDS['brandon']}".encode()
UNWANTED = ("smtp", "pop3", "ftp", "book", "managesieve")
"""Services that are not served but where a test has a table for them; their usual ports may be somebody else's."""
NAME = b"What is your name?"
ANSWER = b"My name is Sir Lancelot of Camelot."
TOO_MANY = b"Error: too many connections."


class Peer:
    """A line-oriented client."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self.lines = self.socket.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self.lines.close()
        self.socket.close()

    def say(self, line: bytes) -> None:
        """Send a line."""
        self.socket.sendall(line + b"\r\n")

    def hear(self, beginning: bytes = b"") -> bytes:
        """The next line that begins so; others are passed over."""
        while True:
            line = self.lines.readline()
            if not line:
                raise AssertionError(f"hung up before {beginning!r}")
            if line.startswith(beginning):
                return line

    def command(self, line: bytes) -> bytes:
        """The tagged answer of IMAP."""
        self.say(b"a " + line)
        return self.hear(b"a ")

    def question(self) -> bytes:
        """Ask for the name."""
        self.socket.sendall(NAME)
        answer = b""
        while not answer.endswith(b"."):
            more = self.socket.recv(100)
            if not more:
                return answer
            answer += more
        return answer


class WorkersCase(ProgramCase):
    """Starts daemons with two workers and asks them."""

    def setUp(self) -> None:
        """Name the folder."""
        super().setUp()
        self.data = self.folder / "data"
        self.peers: list[Peer] = []
        self.addCleanup(self.hang_up)
        self.ports: dict[str, int] = {}

    def hang_up(self) -> None:
        """Close all connections."""
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    def logged(self, *command: str) -> subprocess.Popen[str]:
        """Start a daemon that writes its log into a file."""
        with open(self.folder / "log", "a", encoding="utf-8") as file:
            return self.start(*command, stderr=file)

    def demo(self, workers: int = 2) -> subprocess.Popen[str]:
        """A demo that serves."""
        command = ("demo", "--ports", "free", "--json", "--workers", str(workers), "--data", str(self.data))
        process = self.logged(*COMMAND, *command)
        told = json.loads((process.stdout.readline() if process.stdout else "") or "null")
        if told is None:
            raise AssertionError(f"it did not start: {self.log}")
        self.ports = {name: one["port"] for name, one in told["services"].items()}
        return process

    def run_daemon(self, *tables: str, workers: int = 2, patience: float = 30.0) -> subprocess.Popen[str]:
        """``launcelot run`` with the questions service and SMTP's absence, from a configuration file."""
        self.configure(*tables, workers=workers, patience=patience)
        process = self.logged(*self.daemon())
        for line in process.stdout or ():
            if line.startswith("  data "):
                break
        else:
            raise AssertionError(f"it did not start: {self.log}")
        self.ports = {one["name"]: one["port"] for one in self.status["listeners"]}
        return process

    def daemon(self) -> tuple[str, ...]:
        """The command of :meth:`run_daemon`."""
        return (*COMMAND, "run", "--config", str(self.folder / "it.toml"), "--data", str(self.data))

    def configure(self, *tables: str, workers: int = 2, patience: float = 30.0) -> None:
        """Write the configuration."""
        wanted = [table.partition("]")[0].lstrip("[") for table in tables]
        others = [f"[{name}]\nenabled = false" for name in UNWANTED if name not in wanted]
        daemon = f"[daemon]\nworkers = {workers}\nworker_patience = {patience}\nstop_limit = 5"
        text = "\n".join(["config_version = 1", daemon, "[accounts]\nmake_first = false", *others, *tables])
        (self.folder / "it.toml").write_text(text + "\n")

    @property
    def status(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        return dict(ask(self.data / "admin.sock", {"ask": "status"}))

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids, by number."""
        return [one["pid"] for one in self.status["workers"]]

    def peer(self, service: str) -> Peer:
        """Somebody who is connected to any worker."""
        peer = Peer(self.ports[service])
        self.peers.append(peer)
        return peer

    @contextmanager
    def only(self, wanted: int, pids: list[int]) -> Iterator[None]:
        """One worker alone takes peers."""
        others = [pid for pid in pids if pid != wanted]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def replaced(self, pid: int) -> dict[str, Any]:
        """The worker that has come in place of another, when it serves."""
        limit = time.monotonic() + LIMIT
        while time.monotonic() < limit:
            threading.Event().wait(0.01)
            workers = self.status["workers"]
            if pid not in [one["pid"] for one in workers] and all(one["state"] == "serving" for one in workers):
                return max((dict(one) for one in workers), key=lambda one: float(-one["uptime"]))
        raise AssertionError(f"worker {pid} was not replaced: {self.log}")

    def imap(self, user: str = "brandon") -> Peer:
        """Somebody who has selected INBOX."""
        peer = self.peer("imap")
        peer.hear(b"* OK")
        self.assertIn(b"a OK", peer.command(f"LOGIN {user} {PASSWORDS[user]}".encode()))
        self.assertIn(b"a OK", peer.command(b"SELECT INBOX"))
        return peer

    def stopped(self, process: subprocess.Popen[str], pids: list[int]) -> None:
        """It ends in order, and nobody of it is left."""
        self.hang_up()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(LIMIT), self.log)
        self.assertEqual([], [pid for pid in pids if is_alive(pid)])
        before, found, behind = self.log.partition("Traceback")
        self.assertEqual("", found, f"{before[-2_000:]}{found}{behind[:4_000]}")


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class SharedAccountTests(WorkersCase):
    """Sessions of one account in different workers."""

    def test_sessions_see_each_other_as_in_one_process(self) -> None:
        """IDLE tells of a flag, a message and a removal in another worker, in order; POP3's lock holds; then all of it ends."""
        process = self.demo()
        first, second = pids = self.pids
        with self.only(first, pids):
            idle = self.imap()
            locks = self.peer("pop3")
            locks.hear(b"+OK")
            for line in (b"USER brandon", PASS):
                locks.say(line)
                locks.hear(b"+OK")
        with self.only(second, pids):
            other = self.imap()
            late = self.peer("pop3")
            late.hear(b"+OK")
        self.assertEqual([2, 2], [one["connections"] for one in self.status["workers"]])

        idle.say(b"a IDLE")
        idle.hear(b"+")
        other.command(rb"STORE 1 +FLAGS (\Flagged)")
        self.assertIn(b"FETCH", idle.hear(b"* 1 "))
        other.say(b"a APPEND INBOX {5+}\r\nA:b\r\n")
        other.hear(b"a OK")
        self.assertEqual(b"* 4 EXISTS\r\n", idle.hear(b"* 4 "))
        other.command(rb"STORE 1 +FLAGS.SILENT (\Deleted)")
        other.command(b"EXPUNGE")
        self.assertEqual(b"* 1 EXPUNGE\r\n", idle.hear(b"* 1 EXPUNGE"))

        late.say(b"USER brandon")
        late.hear(b"+OK")
        late.say(PASS)
        self.assertIn(b"[IN-USE]", late.hear(b"-ERR"))
        os.kill(first, signal.SIGKILL)
        self.replaced(first)
        late.say(b"USER brandon")
        late.hear(b"+OK")
        late.say(PASS)
        late.hear(b"+OK")
        self.stopped(process, [*pids, *self.pids])

    def test_sessions_that_change_one_mailbox_at_once_end_with_one_view(self) -> None:
        """Four sessions in two workers append, flag, copy and expunge at random; then each sees what the others see."""
        process = self.demo()
        pids = self.pids
        sessions = []
        for pid in (*pids, *pids):
            with self.only(pid, pids):
                sessions.append(self.imap())
        at_work = [threading.Thread(target=change, args=(peer, Random(seed))) for seed, peer in enumerate(sessions)]
        for one in at_work:
            one.start()
        for one in at_work:
            one.join(LIMIT)
        for session in sessions:
            session.command(b"NOOP")
        views = [self.view(session) for session in sessions]
        self.assertGreater(len(views[0]), 10)
        self.assertEqual([views[0]] * 3, views[1:])
        self.stopped(process, pids)

    def view(self, session: Peer) -> list[tuple[bytes, bytes, tuple[bytes, ...]]]:
        """Numbers, UIDs and flags, without those that only one session can have."""
        session.say(b"a FETCH 1:* (UID FLAGS)")
        found = []
        while not (line := session.lines.readline()).startswith(b"a "):
            row = re.fullmatch(rb"\* (\d+) FETCH \(UID (\d+) FLAGS \((.*)\)\)\r\n", line)
            if row is not None:
                flags = sorted(flag for flag in row[3].split() if flag != rb"\Recent")
                found.append((row[1], row[2], tuple(flags)))
        return found

    def test_an_account_that_is_removed_is_gone_everywhere(self) -> None:
        """Both workers let go of its files; nothing of it is on disk.  One that is told to end takes no port with it."""
        process = self.demo()
        pids = self.pids
        sessions = []
        for pid in pids:
            with self.only(pid, pids):
                sessions.append(self.imap())
        [folder] = (self.data / "mail").iterdir()
        done = self.launcelot("account", "remove", "brandon", "--data", str(self.data))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertFalse(folder.exists())
        for session in sessions:
            session.say(b"a STATUS INBOX (MESSAGES)")
            self.assertTrue(session.lines.readline().startswith((b"* BYE", b"a NO")))
        self.hang_up()
        os.kill(pids[0], signal.SIGTERM)
        new = self.replaced(pids[0])["pid"]
        for pid in (new, pids[1]):
            with self.only(pid, [new, pids[1]]):
                self.assertEqual(ANSWER, self.peer("questions").question())
        self.stopped(process, [new, *pids])


def change(peer: Peer, random: Random) -> None:
    """Change the mailbox, often."""
    for _ in range(150):
        flag = random.choice([rb"\Seen", rb"\Flagged", rb"\Deleted", b"$Label%d" % random.randrange(9)])
        commands = [
            b"APPEND INBOX {5+}\r\nA: b\n",
            b"STORE %d %sFLAGS.SILENT (%s)" % (random.randint(1, 3), random.choice([b"+", b"-"]), flag),
            b"EXPUNGE",
            b"COPY 1 INBOX",
        ]
        peer.command(random.choices(commands, [3, 4, 1, 1])[0])


class Sender(threading.Thread):
    """Sends until it is told to stop, over a new connection whenever one is lost; counts what was acknowledged."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.enough = threading.Event()
        self._port = port
        self._name = name
        self._number = 0

    def run(self) -> None:
        """Send."""
        while not self.enough.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self._port, timeout=LIMIT) as client:
                    while not self.enough.is_set():
                        self._send(client)
            except (OSError, smtplib.SMTPException):
                continue

    def _send(self, client: smtplib.SMTP) -> None:
        self._number += 1
        mark = f"{self._name}-{self._number}"
        client.sendmail("a@sender.example", ["ann@example.com"], f"X-Mark: {mark}\r\n\r\nHello\r\n")
        self.acknowledged.append(mark)


class KillTests(WorkersCase):
    """Workers that die."""

    def test_nothing_acknowledged_is_lost_or_doubled(self) -> None:
        """Although workers are killed while they receive and deliver; the others serve meanwhile."""
        process = self.demo()
        senders = [Sender(self.ports["smtp"], str(number)) for number in range(4)]
        for sender in senders:
            sender.start()
        for round in range(4):
            enough = sum(len(sender.acknowledged) for sender in senders) + 40
            while sum(len(sender.acknowledged) for sender in senders) < enough:
                threading.Event().wait(0.005)
            pid = self.pids[round % 2]
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(ANSWER, self.peer("questions").question())
            self.replaced(pid)
        for sender in senders:
            sender.enough.set()
            sender.join(LIMIT)
        acknowledged = {mark for sender in senders for mark in sender.acknowledged}
        found = self.marks(acknowledged)
        self.assertEqual([], sorted(acknowledged - set(found)), "lost")
        self.assertEqual([], [mark for mark, times in found.items() if times > 1], "doubled")
        self.assertEqual(4, sum(one["restarts"] for one in self.status["workers"]))
        self.stopped(process, self.pids)

    def marks(self, wanted: set[str]) -> Counter[str]:
        """What is in the inbox, when everything wanted is or nothing comes any more."""
        peer = self.imap("ann")
        limit = time.monotonic() + LIMIT
        found: Counter[str] = Counter()
        while time.monotonic() < limit:
            peer.say(b"a UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-MARK)])")
            text = b""
            while not text.startswith(b"a ") and b"\r\na " not in text:
                text += peer.lines.readline()
            found = Counter(mark.decode() for mark in re.findall(rb"X-Mark: (\S+)", text))
            if wanted <= set(found):
                break
            peer.command(b"NOOP")
        return found

    def test_workers_end_with_the_master(self) -> None:
        """Also one that is just starting, whether the master stops or is killed; then the folder can be had again."""
        process = self.demo()
        killed = self.pids[1]
        os.kill(killed, signal.SIGKILL)
        while killed in (started := self.pids) or not all(started):
            pass
        self.stopped(process, started)
        process = self.demo()
        killed = self.pids[1]
        os.kill(killed, signal.SIGKILL)
        while killed in (pids := self.pids) or not all(pids):
            pass
        process.kill()
        process.wait()
        limit = time.monotonic() + LIMIT
        while any(map(is_alive, pids)) and time.monotonic() < limit:
            threading.Event().wait(0.01)
        self.assertEqual([], [pid for pid in pids if is_alive(pid)])
        again = self.demo()
        self.stopped(again, self.pids)


GUEST = """
import time

def answer(question):
    if b"stuck" in question:
        stand_still()
    return b"Yes."

def stand_still():
    open("standing", "w").close()
    time.sleep(3600)
"""


class StuckTests(WorkersCase):
    """A guest that blocks."""

    def test_a_stuck_worker_is_replaced_and_the_other_answers_meanwhile(self) -> None:
        """Nobody new waits for the stuck one; the log tells where it was stuck."""
        (self.folder / "standing.py").write_text(GUEST)
        table = '[questions]\nlisten = ["tcp:0:interface=127.0.0.1"]\nanswerer = "standing:answer"'
        process = self.run_daemon(table, '[imap]\nenabled = false', patience=3)
        first, second = pids = self.pids
        with self.only(first, pids):
            stuck = self.peer("questions")
            self.assertEqual(ANSWER, stuck.question())
        stuck.socket.sendall(b"Are you stuck?")
        while not (self.folder / "standing").exists():
            self.assertTrue(is_alive(first), self.log)
        answered = 0
        while is_alive(first):
            peer = self.peer("questions")
            self.assertEqual(ANSWER, peer.question())
            answered += is_alive(first)
            peer.close()
            self.peers.remove(peer)
        self.assertEqual(b"", stuck.socket.recv(10))
        # Whoever had waited for the stuck worker would have been answered when it was there no more.
        self.assertGreater(answered, 5)
        self.assertEqual(0, self.replaced(first)["number"])
        self.assertIn("has not answered for 3 s", self.log)
        self.assertRegex(self.log, r'worker 0 wrote: +File ".*standing\.py", line \d+ in stand_still')
        self.stopped(process, [second, *self.pids])


class LimitTests(WorkersCase):
    """Limits over all workers."""

    def test_connections_and_guesses_are_counted_together(self) -> None:
        """Six from one address are six over both workers, and ten wrong passwords ten."""
        table = '[questions]\nlisten = ["tcp:0:interface=127.0.0.1"]\nmax_connections_per_source = 6'
        process = self.run_daemon(table, '[imap]\nlisten = ["tcp:0:interface=127.0.0.1"]\nlisten_tls = []')
        first, second = pids = self.pids
        held = []
        for pid in (first, second):
            with self.only(pid, pids):
                held += [self.peer("questions") for _ in range(3)]
                self.assertEqual([ANSWER] * 3, [peer.question() for peer in held[-3:]])
        for pid in (first, second):
            with self.only(pid, pids):
                self.assertEqual(TOO_MANY, self.peer("questions").question())
        os.kill(first, signal.SIGKILL)
        self.replaced(first)
        pids = self.pids
        with self.only(second, pids):
            again = [self.peer("questions") for _ in range(3)]
            self.assertEqual([ANSWER] * 3, [peer.question() for peer in again])
            self.assertEqual(TOO_MANY, self.peer("questions").question())

        for pid in pids:
            with self.only(pid, pids):
                guesser = self.peer("imap")
                guesser.hear(b"* OK")
            for _ in range(5):
                self.assertIn(b"[AUTHENTICATIONFAILED]", guesser.command(b"LOGIN nobody wrong"))
        counters = self.status["counters"]
        self.assertEqual(10, counters["logins.imap.failed"])
        for pid in pids:
            with self.only(pid, pids):
                guesser = self.peer("imap")
                guesser.hear(b"* OK")
            self.assertNotIn(b"[AUTHENTICATIONFAILED]", guesser.command(b"LOGIN nobody wrong"))
        self.assertEqual(2, self.status["counters"]["logins.imap.blocked"])
        self.stopped(process, pids)


    def test_what_an_account_moves_is_counted_together(self) -> None:
        """Two uploads of 150,000 octets at once, in a worker each, take as long as one of 300,000."""
        table = '[ftp]\nlisten = ["tcp:0:interface=127.0.0.1"]\nlisten_tls = []\naccount_rate = 100000'
        others = [f'[{name}]\nenabled = false' for name in ("imap", "questions")]
        process = self.run_daemon(table, *others)
        done = self.launcelot("account", "add", "ann", "--data", str(self.data), said="secret\n")
        self.assertEqual(0, done.returncode, done.stderr)
        pids = self.pids
        sessions = []
        for pid in pids:
            with self.only(pid, pids):
                session = self.peer("ftp")
                session.hear(b"220 ")
            for line, answer in ((b"USER ann", b"331 "), (b"PASS secret", b"230 "), (b"TYPE I", b"200 ")):
                session.say(line)
                session.hear(answer)
            session.say(b"PASV")
            numbers = re.findall(rb"\d+", session.hear(b"227 "))
            sessions.append((session, socket.create_connection(("127.0.0.1", int(numbers[5]) * 256 + int(numbers[6])), LIMIT)))
        began = time.monotonic()
        for number, (session, data) in enumerate(sessions):
            session.say(b"STOR f%d" % number)
            data.sendall(b"x" * 150_000)
            data.close()
        for session, _ in sessions:
            session.hear(b"226 ")
        # A second's worth is given at once; what is slow elsewhere makes it longer only.
        self.assertGreater(time.monotonic() - began, 1.5)
        self.stopped(process, pids)


class ReloadTests(WorkersCase):
    """Settings that change."""

    def test_workers_take_on_what_has_changed(self) -> None:
        """And who starts later has it, too; what needs other sockets waits for a restart; faults change nothing."""
        listen = '[questions]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        off = "[imap]\nenabled = false"
        process = self.run_daemon(listen, off)
        stays = self.peer("questions")
        self.assertEqual(ANSWER, stays.question())
        table = self.folder / "table.toml"
        table.write_text('"Who goes there?" = "A friend."\n')
        self.configure(listen + f'tables = ["{table}"]\nlisten_json = ["tcp:0:interface=127.0.0.1"]', off)
        done = self.launcelot("reload", "--json", "--data", str(self.data))
        self.assertEqual(0, done.returncode, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((["questions"], ["questions.listen_json"]), (told["services"], told["restart"]))
        self.assertEqual(ANSWER, stays.question())
        first = self.pids[0]
        os.kill(first, signal.SIGKILL)
        pids = [self.replaced(first)["pid"], *self.pids[1:]]
        for pid in pids:
            with self.only(pid, pids):
                peer = self.peer("questions")
                peer.socket.sendall(b"Who goes there?")
                self.assertEqual(b"A friend.", peer.socket.recv(100))
        self.configure(listen + "idle_timeout = 0", off)
        done = self.launcelot("reload", "--data", str(self.data))
        self.assertEqual(CONFIGURATION, done.returncode)
        self.assertEqual(pids, self.pids)
        shown = self.launcelot("status", "--data", str(self.data)).stdout
        self.assertRegex(shown, rf"worker 0: process {pids[0]}, serving, up .*, connections \d+, replaced 1 times")
        self.stopped(process, pids)


BROKEN = """
import sys

if getattr(sys.modules["__main__"].__spec__, "name", "") == "launcelot.app.worker":
    raise RuntimeError("not in here")

def answer(question):
    return b"Yes."
"""


class RefusalTests(WorkersCase):
    """Daemons that do not start."""

    def refused(self, *tables: str, status: int) -> str:
        """What is said in one line."""
        self.configure(*tables, "[imap]\nenabled = false")
        done = self.run_program(*self.daemon())
        self.assertEqual(status, done.returncode, done.stderr)
        [line] = [line for line in done.stderr.splitlines() if line.startswith("launcelot: ")]
        return line

    def test_a_worker_that_cannot_start_says_why(self) -> None:
        """The daemon ends with its words and status, and leaves nobody behind."""
        (self.folder / "broken.py").write_text(BROKEN)
        line = self.refused('[questions]\nanswerer = "broken:answer"\nlisten = ["tcp:0"]', status=CONFIGURATION)
        self.assertIn("not in here", line)

    def test_endpoints_that_cannot_be_shared_are_named(self) -> None:
        """TLS endpoints of Twisted's own have more than a socket."""
        line = self.refused('[questions]\nlisten = ["ssl:0:privateKey=x"]', status=UNAVAILABLE)
        self.assertIn("several workers can only share", line)


class TwistdTests(WorkersCase):
    """Under twistd, from another folder, with sockets of several kinds."""

    def test_twistd_workers_serve_datagrams_and_paths(self) -> None:
        """UDP, a Unix socket, PROXY headers, --auth; nobody gets in while it stops; two SIGTERMs are one."""
        self.configure(
            f'[questions]\nlisten = ["proxied:tcp:0:interface=127.0.0.1", "unix:{self.folder}/q.sock"]\n'
            'listen_udp = ["udp:0:interface=127.0.0.1"]\ndatagram_rate = 0.1',
            '[imap]\nlisten = ["tcp:0:interface=127.0.0.1"]\nlisten_tls = []',
        )
        done = self.launcelot("account", "add", "ann", "--data", str(self.data), said="secret\n")
        self.assertEqual(0, done.returncode, done.stderr)
        text = (self.folder / "it.toml").read_text()
        (self.folder / "it.toml").write_text(text.replace("[daemon]", '[daemon]\nproxy_networks = ["127.0.0.0/8"]'))
        options = ("--config", str(self.folder / "it.toml"), "--data", str(self.data), "--workers", "3", "--auth", "memory:ann:x")
        process = self.start(*TWISTD, "-n", "--pidfile=", "launcelot", *options)
        for line in process.stdout or ():
            if line.startswith("  data "):
                break
        pids = self.pids
        self.assertEqual(3, len(pids))
        self.ports = {one["name"]: one["port"] for one in self.status["listeners"] if one["port"]}
        imap = self.peer("imap")
        imap.hear(b"* OK")
        self.assertIn(b"a OK", imap.command(b"LOGIN ann x"))
        proxied = self.peer("questions")
        proxied.say(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1060")
        self.assertEqual(ANSWER, proxied.question())
        with socket.socket(socket.AF_UNIX) as path:
            path.connect(f"{self.folder}/q.sock")
            path.sendall(NAME)
            self.assertEqual(ANSWER, path.recv(100))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(LIMIT)
            with self.only(pids[0], pids):
                asking.sendto(NAME, ("127.0.0.1", self.ports["questions-udp"]))
                self.assertEqual(ANSWER, asking.recv(100))
            for pid in pids[1:]:
                with self.only(pid, pids):
                    asking.sendto(NAME, ("127.0.0.1", self.ports["questions-udp"]))
        # The one answer that this source has for now was another worker's.
        self.wait_for_counter("questions-udp.limited", 2)
        for pid in (*pids, process.pid, *pids):
            os.kill(pid, signal.SIGTERM)
        refused = False
        while not refused:
            try:
                self.peer("questions")
            except ConnectionError as error:
                # Who waited when the last port closed was reset.
                refused = isinstance(error, ConnectionRefusedError)
        self.assertIsNone(process.poll(), "it waits for the first peer")
        self.hang_up()
        output, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(-signal.SIGTERM, process.returncode, output + errors)
        self.assertNotIn("Traceback", output + errors)
        self.assertEqual([], [pid for pid in pids if is_alive(pid)])
        self.assertFalse(Path(f"{self.folder}/q.sock").exists())

    def wait_for_counter(self, name: str, value: int) -> None:
        """Until a counter is there."""
        limit = time.monotonic() + LIMIT
        while self.status["counters"].get(name) != value:
            self.assertLess(time.monotonic(), limit, self.status["counters"])
