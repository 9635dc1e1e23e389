"""The case of all attacks: a demo, a probe beside the attack, and what must hold afterwards."""

from __future__ import annotations

import imaplib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.attacks.dialects import DIALECTS
from tests.attacks.peer import PATIENCE, Peer, Silent
from tests.bounded import processor_time, slowness
from tests.clients.demo import DemoCase, Service

T = TypeVar("T")

EVERY = 0.05
"""Seconds between two rounds of the probe."""

SLOWEST = 1.0
"""
Seconds that the daemon's reactor may work on something else before it answers the probe.  It is its own processor time: what
other programs do meanwhile, the attackers in this process among them, does not count.  A slow machine has as much more.
"""

MEMORY = 64 << 20
"""Octets by which the daemon may grow at its peak, Argon2's working memory of two checks (38 MiB) included."""

LOG_LINE = 1_024
"""Octets of the longest line in the log."""

ROUNDS = 4
"""Rounds of the probe behind an attack, for what the daemon has yet to digest."""

WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[")


class Process:
    """What the kernel knows of the daemon."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._folder = Path(f"/proc/{pid}")

    def resident(self, peak: bool = False) -> int:
        """Octets in memory, now or at the most since :meth:`forget_peak`."""
        name = "VmHWM" if peak else "VmRSS"
        found = re.search(rf"{name}:\s+(\d+) kB", (self._folder / "status").read_text())
        return int(found[1]) * 1_024 if found else 0

    def forget_peak(self) -> None:
        """Measure the peak anew."""
        (self._folder / "clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(os.listdir(self._folder / "fd"))

    def worked(self) -> float:
        """Seconds of processor time of its reactor."""
        return processor_time(self._pid, reactor=True)


class Probe(threading.Thread):
    """
    A well-behaved user of every service who notes what the daemon does before each answer.

    :ivar times: seconds until each came, for reports.
    :ivar slowest: seconds that the daemon's reactor worked until then at most, and who waited.
    :ivar wrong: what went wrong.
    """

    def __init__(self, services: dict[str, Service], process: Process) -> None:
        super().__init__(daemon=True)
        self._services = services
        self._process = process
        self._over = threading.Event()
        self._peers: dict[str, Peer] = {}
        self.times: list[float] = []
        self.slowest = (0.0, "")
        self.wrong: list[str] = []
        self.rounds = 0
        for name in DIALECTS:
            self._connect(name)

    def run(self) -> None:
        """Ask until stopped."""
        rounds = 0
        while not self._over.wait(EVERY):
            for name in list(self._peers):
                self._timed(name, self._ask)
            newcomer = list(DIALECTS)[rounds % len(DIALECTS)]
            self._timed(newcomer, self._connect)
            rounds += 1
            self.rounds = rounds

    def _timed(self, name: str, act: Callable[[str], None]) -> None:
        began, worked = time.perf_counter(), self._process.worked()
        try:
            act(name)
        except (OSError, Silent) as error:
            self.wrong.append(f"{name}: {error!r}")
            self._peers.pop(name).close()
        self.times.append(time.perf_counter() - began)
        self.slowest = max(self.slowest, (self._process.worked() - worked, f"{name} {act.__name__.strip('_')}"))

    def _connect(self, name: str) -> None:
        peer = Peer(self._services[name])
        DIALECTS[name].greet(peer)
        old = self._peers.get(name)
        self._peers[name] = peer
        if old is not None:
            old.close()

    def _ask(self, name: str) -> None:
        dialect = DIALECTS[name]
        heard = self._peers[name].ask(dialect.cheap, dialect.answer)
        if not heard.endswith(dialect.answer) or len(heard) > dialect.longest:
            self.wrong.append(f"{name}: {heard!r}")

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()
        for peer in self._peers.values():
            peer.close()

    def worst(self, share: float) -> float:
        """The time that ``share`` of all answers did not exceed, in seconds."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class AttackCase(DemoCase):
    """
    Starts a demo and the probe; afterwards nobody else must have noticed the attack.

    :cvar memory: octets by which the daemon may grow.
    :cvar kept_open: descriptors that accounts' files may hold once they are open, and the probe.
    """

    memory = MEMORY
    kept_open = 20

    def setUp(self) -> None:
        """Start them, and measure the daemon at rest."""
        super().setUp()
        self.addCleanup(self.look_for_harm)  # trial calls tearDown behind the cleanups, when the demo is gone
        self.services = {name: self.demo.service(name) for name in self.demo.told["services"]}
        self._peers: list[Peer] = []
        self.process = Process(self.demo.process.pid)
        self.descriptors = self.process.descriptors()
        self.inbox("ann")
        self.resident = self.process.resident()
        self.process.forget_peak()
        self.probe = Probe(self.services, self.process)
        self.probe.start()

    def look_for_harm(self) -> None:
        """Everybody must be as well as before."""
        for peer in self._peers:
            peer.close()
        rounds = self.probe.rounds + ROUNDS
        self.until(
            lambda: self.process.descriptors() <= self.descriptors + self.kept_open and self.probe.rounds >= rounds,
            lambda: f"{self.descriptors} descriptors before, {self.process.descriptors()} now; {self.probe.slowest}",
        )
        self.probe.stop()
        grown = self.process.resident(peak=True) - self.resident
        self._tell(grown)
        self.assertIsNone(self.demo.process.poll(), self.demo.said())
        self.assertEqual(self.probe.wrong, [], self.demo.said()[-4_000:])
        self.assertLessEqual(self.probe.slowest[0], SLOWEST * slowness(), f"worked before the probe: {self.probe.slowest}")
        self.assertLessEqual(grown, self.memory, f"grown by {grown >> 10} KiB")
        self.check_log(self.demo.said())

    def check_log(self, said: str) -> None:
        """No bug, no line of a peer's making, no secret."""
        # Without "in" it is what OpenSSL says of hellos that it cannot read.
        for bug in ("Traceback", "internal error in", "Unhandled", "was never retrieved"):
            self.assertNotIn(bug, said)
        for password in self.demo.accounts.values():
            self.assertNotIn(password, said)
        for line in said.splitlines():
            self.assertLessEqual(len(line.encode()), LOG_LINE)
            self.assertIsNotNone(WHEN.match(line), line)
            self.assertTrue(line.isprintable(), ascii(line))

    def _tell(self, grown: int) -> None:
        """Append the measures as a line of JSON to the file that LAUNCELOT_ATTACKS names, for reports."""
        place = os.environ.get("LAUNCELOT_ATTACKS")
        if place:
            measures = {
                "test": self.id(),
                "slowest_ms": round(self.probe.worst(1.0) * 1_000, 1),
                "worked_ms": round(self.probe.slowest[0] * 1_000, 1),
                "worked": self.probe.slowest[1],
                "p99_ms": round(self.probe.worst(0.99) * 1_000, 1),
                "asked": len(self.probe.times),
                "grown_kib": grown >> 10,
            }
            with open(place, "a", encoding="utf-8") as report:
                report.write(json.dumps(measures) + "\n")

    # -- for attacks ---------------------------------------------------------------------------------------------

    def peer(self, name: str, source: str = "", window: int = 0, greeted: bool = True) -> Peer:
        """A connection to a service that closes with the test, its greeting heard."""
        peer = Peer(self.services[name], source, window)
        self._peers.append(peer)
        if greeted:
            DIALECTS[name].greet(peer)
        return peer

    def secure(self, name: str, greeted: bool = True) -> Peer:
        """A connection to a service with TLS from the first octet."""
        peer = self.peer(name, greeted=False)
        peer.start_tls(self.demo.ca_file)
        if greeted:
            peer.hear()
        return peer

    def until(self, holds: Callable[[], bool], tell: Callable[[], object] = str, limit: float = PATIENCE) -> None:
        """Wait until something holds; fail if it does not."""
        deadline = time.monotonic() + limit
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"did not come to hold: {tell()}")
            threading.Event().wait(0.02)

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Do all of them at once."""
        with ThreadPoolExecutor(len(jobs)) as pool:
            return [future.result() for future in [pool.submit(job) for job in jobs]]

    def inbox(self, user: str, since: int = 0) -> list[bytes]:
        """The messages somebody has, oldest first."""
        service = self.services["imap"]
        client = imaplib.IMAP4(service.host, service.port, timeout=PATIENCE)
        try:
            client.login(user, self.demo.accounts[user])
            client.select("INBOX", readonly=True)
            numbers = client.search(None, "ALL")[1][0].split()[since:]
            fetched = [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0] for number in numbers]
            return [bytes(one[1]) for one in fetched if isinstance(one, tuple)]
        finally:
            client.shutdown()
