"""A daemon with few descriptors and more peers than it can have.  Case C07 of the reliability goals."""

from __future__ import annotations

import json
import poplib
import resource
import select
import smtplib
import socket
import threading
import time
from pathlib import Path
from typing import Any

from launcelot.app.seeds import PEOPLE
from launcelot.app.stores import descriptor_mark, mail_files
from tests.app.programs import COMMAND, LIMIT, ProgramCase
from tests.bounded import processor_time

FEW = 160
"""Of which the demo itself has some fifty: its listeners, files and pipes."""
PEERS = 300


def few() -> None:
    """In the child: few descriptors, and no way to get more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW // 2, FEW))


class FullTests(ProgramCase):
    """Those who are in are served as ever; those who are not wait without costing anything."""

    def setUp(self) -> None:
        """A demo with few descriptors."""
        super().setUp()
        self.process = self.start(*COMMAND, "demo", "--ports", "free", "--json", preexec_fn=few)
        line = self.process.stdout.readline() if self.process.stdout else ""
        self.told: dict[str, Any] = json.loads(line)

    def place(self, name: str) -> tuple[str, int]:
        """Where a service listens."""
        place = self.told["services"][name]
        return place["host"], place["port"]

    def crowd(self) -> list[socket.socket]:
        """More peers than there are descriptors."""
        peers = []
        for _ in range(PEERS):
            peers.append(socket.create_connection(self.place("pop3"), timeout=LIMIT))
            self.addCleanup(peers[-1].close)
        return peers

    def until_idle(self) -> None:
        """Wait for half a second in which the daemon has next to nothing to do: one that spins has none."""
        limit = time.monotonic() + LIMIT
        idle = False
        while not idle:
            self.assertLess(time.monotonic(), limit, "it is always busy")
            before = processor_time(self.process.pid)
            threading.Event().wait(0.5)
            idle = processor_time(self.process.pid) - before < 0.03

    def test_limit_is_raised(self) -> None:
        """The soft limit was half of the hard one."""
        row = next(
            line for line in Path(f"/proc/{self.process.pid}/limits").read_text().splitlines() if line.startswith("Max open")
        )
        self.assertEqual([str(FEW), str(FEW)], row.split()[3:5])

    def test_full(self) -> None:
        """A session there delivers mail and reads it; the daemon is idle otherwise; afterwards all is well."""
        smtp = smtplib.SMTP(*self.place("smtp"), timeout=LIMIT)
        self.addCleanup(smtp.close)
        pop3 = poplib.POP3(*self.place("pop3"), timeout=LIMIT)
        self.addCleanup(pop3.close)
        crowd = self.crowd()
        # The first of the crowd are greeted; when one is not, the gate is shut.
        self.until_idle()
        greeted = 0
        while select.select([crowd[greeted]], [], [], 0)[0]:
            self.assertTrue(crowd[greeted].recv(100).startswith(b"+OK"))
            greeted += 1
        self.assertGreater(greeted, 10)
        self.assertLess(greeted, FEW)
        self.assertEqual([], select.select(crowd[greeted:], [], [], 0)[0])
        smtp.sendmail("ann@example.com", ["ann@example.com"], "From: ann@example.com\r\n\r\nwhen it was full\r\n")
        pop3.user("ann")
        pop3.pass_(PEOPLE[1].password)
        self.assertIn(b"when it was full", pop3.retr(1)[1])
        for peer in crowd[:greeted]:
            peer.close()
        self.assertTrue(crowd[greeted].recv(100).startswith(b"+OK"))
        for peer in crowd[greeted:]:
            peer.close()
        fresh = socket.create_connection(self.place("pop3"), timeout=LIMIT)
        self.addCleanup(fresh.close)
        self.assertTrue(fresh.recv(100).startswith(b"+OK"))
        self.process.terminate()
        _, errors = self.process.communicate(timeout=LIMIT)
        self.assertNotIn("Traceback", errors)
        self.assertEqual(1, errors.count("connections wait: "))

    def test_shares(self) -> None:
        """Whatever the limit is, connections get most of it and the mail store enough to work."""
        for descriptors in (128, 256, 1_024, 20_000, 65_536, 1 << 20):
            mark = descriptor_mark(descriptors)
            self.assertGreaterEqual(mark, 0.4 * descriptors)
            self.assertLess(mark + 6 * mail_files(descriptors), descriptors)
            self.assertGreaterEqual(mail_files(descriptors), 4)
