"""Sir Launcelot among hostile peers: without end, without mark, in crowds, over UDP, in octets that are no text."""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from functools import partial

from twisted.trial.unittest import SkipTest

from tests.app.programs import CHECKOUT, COMMAND, TWISTD, ProgramCase
from tests.attacks.harness import SLOWEST, AttackCase, Process
from tests.attacks.peer import PATIENCE, Pumped
from tests.bounded import slowness

ENDLESS = 100_000_000
"""Octets without a question mark."""

CROWD = 10_000
"""Connections from one address."""

DEMO_LIMIT = 1_000
"""How many of them a demo lets in."""

STRANGER = "127.0.0.9"
NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."
TOO_MANY = b"Error: too many connections."


def descriptors(wanted: int) -> None:
    """Have so many, or skip."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SkipTest(f"needs {wanted} descriptors, may have {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Crowd:
    """
    Connections from one address that all ask once.

    :ivar answered: how many got an answer.
    :ivar refused: how many were told that there are too many, and closed.
    """

    def __init__(self, port: int, connections: int, source: str) -> None:
        self.held: list[socket.socket] = []
        self.answered = self.refused = 0
        waiting = select.epoll()
        by_number: dict[int, socket.socket] = {}
        heard: dict[int, bytes] = {}
        deadline = time.monotonic() + 60
        while self.answered + self.refused < connections and time.monotonic() < deadline:
            while len(self.held) < connections and len(by_number) < 1_000:
                one = socket.socket()
                one.setblocking(False)
                one.bind((source, 0))
                one.connect_ex(("127.0.0.1", port))
                self.held.append(one)
                by_number[one.fileno()] = one
                heard[one.fileno()] = b""
                waiting.register(one.fileno(), select.EPOLLOUT)
            for number, event in waiting.poll(1):
                one = by_number[number]
                if event & select.EPOLLIN:
                    heard[number] += self.piece(one)
                    if heard[number] == KNIGHT:
                        self.answered += 1
                    elif heard[number].endswith(b"!"):
                        self.refused += heard[number] == TOO_MANY + b"!"
                    else:
                        continue
                    waiting.unregister(number)
                    del by_number[number]
                else:
                    self.say(one)
                    waiting.modify(number, select.EPOLLIN)
        waiting.close()

    def piece(self, one: socket.socket) -> bytes:
        """What came; ``!`` for the end."""
        try:
            return one.recv(100) or b"!"
        except ConnectionError:
            return b"!"

    def say(self, one: socket.socket) -> None:
        """Ask; who has been refused already may be gone."""
        try:
            one.send(NAME)
        except OSError:
            pass

    def close(self) -> None:
        """Leave."""
        for one in self.held:
            one.close()


class StreamTests(AttackCase):
    """Over TCP."""

    memory = 16 << 20

    def test_a_hundred_megabytes_without_a_mark(self) -> None:
        """In every framing: the protocol's words, then a close, long before all of it is taken; one line each in the log."""
        names = {"questions": b"A", "questions-netstring": b"9", "questions-json": b"\xff", "questions-until-close": b"A"}
        jobs: list[Callable[[], Pumped]] = []
        for name, filler in names.items():
            peer = self.peer(name, greeted=False)
            jobs.append(partial(peer.pump, filler * (ENDLESS // len(filler)), limit=30))
        for name, came in zip(names, self.together(jobs), strict=True):
            self.assertTrue(came.closed, name)
            self.assertLess(came.taken, ENDLESS // 2, name)
            self.assertIn(b"rror", came.heard, name)
            self.assertLess(len(came.heard), 300_000, name)
        self.until(lambda: all(f"] {name} session " in self.demo.said() for name in names), self.demo.said)

    def test_half_a_question_and_the_end(self) -> None:
        """What was answerable is answered; the half stands in one line of the log, escaped and cut short."""
        for half in (b"What is your", b"\x1b[2J\r\n2026-01-01T00:00:00+0000 [forged] line", b"\xff\xfe\x00", b"x" * 4_000):
            peer = self.peer("questions")
            peer.say(NAME + half)
            peer.finish()
            self.assertEqual(peer.rest(), KNIGHT)
            shown = repr(half[:64])[2:-1]
            self.until(lambda shown=shown: f"peer gone after sending b'{shown}'" in self.demo.said(), self.demo.said)  # type: ignore[misc]

    def test_octets_that_are_no_text(self) -> None:
        """Are a question nobody knows; in JSON they are told to be no question, and the connection stays."""
        bad = b"\xc3\x28\xff\xfe\x80\x00\xed\xa0\x80?"
        plain, netstring, until_close = (
            self.peer(name, greeted=False) for name in ("questions", "questions-netstring", "questions-until-close")
        )
        self.assertEqual(plain.ask(bad + NAME, KNIGHT), b"Error: unknown aphorism." + KNIGHT)
        self.assertEqual(netstring.ask(b"%d:%b," % (len(bad), bad), b","), b"24:Error: unknown aphorism.,")
        until_close.say(bad)
        until_close.finish()
        self.assertEqual(until_close.rest(), b"Error: unknown aphorism.")
        document = b'{"question":"' + bad + b'"}'
        blocks = self.peer("questions-json", greeted=False)
        self.assertIn(b'"error"', blocks.ask(struct.pack("!I", len(document)) + document, b"}"))
        whole = b'{"question":"%b"}' % NAME
        self.assertIn(KNIGHT, blocks.ask(struct.pack("!I", len(whole)) + whole, b"}"))

    def test_ten_thousand_from_one_address(self) -> None:
        """As many as one address may have are served, the others are told and closed; who comes from elsewhere is served."""
        self.memory = 32 << 20
        descriptors(CROWD + 200)
        crowd = Crowd(self.services["questions"].port, CROWD, STRANGER)
        self.addCleanup(crowd.close)
        self.assertEqual(crowd.answered, DEMO_LIMIT)
        self.assertGreater(crowd.refused, (CROWD - DEMO_LIMIT) * 9 // 10)
        crowd.close()


class DatagramTests(AttackCase):
    """Over UDP."""

    memory = 16 << 20

    def received(self) -> int:
        """Datagrams that the service has counted."""
        done = subprocess.run(
            [*COMMAND, "status", "--data", self.demo.told["data"], "--json"],
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
        found = re.search(rb'"questions-udp\.datagrams": (\d+)', done.stdout)
        return int(found[1]) if found else 0

    def test_an_echo_port(self) -> None:
        """Datagrams from port 7, where all that is sent there comes back: the first is answered, its echo never."""
        service = self.services["questions-udp"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
            try:
                echo.bind(("127.0.0.1", 7))
            except PermissionError as error:
                raise SkipTest(f"port 7: {error.strerror}") from error
            echo.settimeout(PATIENCE)
            echo.sendto(NAME, (service.host, service.port))
            self.assertEqual(echo.recv(1_000), KNIGHT)
            echo.sendto(KNIGHT, (service.host, service.port))
            echo.sendto(b"Error: unknown aphorism.", (service.host, service.port))
            self.until(lambda: "from 127.0.0.1 port 7" in self.demo.said(), self.demo.said)
            echo.settimeout(0.3)
            self.assertRaises(TimeoutError, echo.recv, 1_000)

    def test_a_datagram_from_the_service_itself(self) -> None:
        """Forged: it answers itself once, and its answer is not answered."""
        port = self.services["questions-udp"].port
        try:
            forge = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        except PermissionError as error:
            raise SkipTest(f"raw sockets: {error.strerror}") from error
        with forge:
            forge.bind(("127.0.0.1", 0))
            # No checksum, which UDP over IPv4 allows.  RFC 768.
            forge.sendto(struct.pack("!HHHH", port, port, 8 + len(NAME), 0) + NAME, ("127.0.0.1", 0))
        self.until(lambda: f"from 127.0.0.1 port {port}" in self.demo.said(), self.demo.said)
        self.assertEqual(self.received(), 2)

    def test_a_flood(self) -> None:
        """Fifty thousand datagrams, of which the rate lets few be answered; nobody else waits."""
        service = self.services["questions-udp"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            flood.bind((STRANGER, 0))
            for number in range(50_000):
                flood.sendto(b"\xff" * (number % 1_400), (service.host, service.port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.settimeout(0.5)
            for _ in range(120):
                other.sendto(NAME, (service.host, service.port))
                try:
                    self.assertEqual(other.recv(1_000), KNIGHT)
                    break
                except TimeoutError:
                    pass
            else:
                self.fail("nobody was answered behind the flood")


class RaisedLimitTests(ProgramCase):
    """A daemon whose limits let one address have ten thousand connections."""

    def test_ten_thousand_are_served(self) -> None:
        """Each is answered and kept, at 8 KiB each at the most; who comes then is answered at once, and all may go."""
        descriptors(CROWD + 200)
        (self.folder / "settings.toml").write_text(
            "config_version = 1\n[questions]\nlisten = ['tcp:0:interface=127.0.0.1']\n"
            "max_connections = 20000\nmax_connections_per_source = 20000\n"
        )
        options = ("-n", "--pidfile=", "--logfile=log", "launcelot-questions", "--config", "settings.toml", "--data", "data")
        daemon = self.start(*TWISTD, *options)
        port = self.port()
        process = Process(daemon.pid)
        before = process.resident()
        crowd = Crowd(port, CROWD, STRANGER)
        self.addCleanup(crowd.close)
        self.assertEqual((crowd.answered, crowd.refused), (CROWD, 0))
        self.assertLess(process.resident() - before, CROWD * 8_192)
        worked = process.worked()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as other:
            other.sendall(NAME)
            self.assertEqual(other.recv(100), KNIGHT)
        self.assertLess(process.worked() - worked, SLOWEST * slowness())
        self.assertGreater(process.descriptors(), CROWD)
        crowd.close()
        deadline = time.monotonic() + PATIENCE
        while process.descriptors() > 100 and time.monotonic() < deadline:
            select.select([], [], [], 0.02)
        self.assertLess(process.descriptors(), 100)

    def port(self) -> int:
        """Where it listens, once it does."""
        deadline = time.monotonic() + PATIENCE
        done = self.launcelot("status", "--data", "data", "--json")
        while done.returncode and time.monotonic() < deadline:
            done = self.launcelot("status", "--data", "data", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        (found,) = [one["port"] for one in json.loads(done.stdout)["listeners"] if one["name"] == "questions"]
        return int(found)
