"""
A daemon killed while it receives has every message that it answered with 250, exactly once.

Each round sends from several connections at once, kills the daemon with SIGKILL at a random moment, starts it again on the
same folder
and counts.  ``LAUNCELOT_KILL_ROUNDS`` sets the number of rounds (20 if it is not set).
"""

from __future__ import annotations

import imaplib
import os
import re
import shutil
import smtplib
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.demo import Demo

ROUNDS = int(os.environ.get("LAUNCELOT_KILL_ROUNDS", "20"))
SENDERS = 4
SETTLE_LIMIT = 30.0


class Sender(threading.Thread):
    """Sends messages with fresh ids until the daemon is gone; what was answered with 250 is in ``acknowledged``."""

    def __init__(self, demo: Demo, name: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.sent: list[str] = []
        self.began = threading.Event()
        self._demo = demo
        self._name = name

    def run(self) -> None:
        """Send until it fails."""
        service = self._demo.service("smtp")
        try:
            with smtplib.SMTP(service.host, service.port, timeout=60) as client:
                for number in range(100_000):
                    self._send(client, f"{self._name}-{number}")
                    self.began.set()
        except (OSError, smtplib.SMTPException):
            pass
        finally:
            self.began.set()

    def _send(self, client: smtplib.SMTP, mark: str) -> None:
        self.sent.append(mark)
        body = f"Subject: kill\r\nX-Kill: {mark}\r\n\r\n{'x' * 500}\r\n"
        client.sendmail("killer@sender.example", [self._demo.addresses["ann"]], body)
        self.acknowledged.append(mark)


class KillTests(SynchronousTestCase):
    """SIGKILL at random moments of receiving."""

    def test_acknowledged_mail_survives_exactly_once(self) -> None:
        """Nothing acknowledged is lost, nothing is doubled, whatever the moment."""
        folder = Path(tempfile.mkdtemp(prefix="launcelot-kill-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        random = Random(ROUNDS)
        acknowledged: list[str] = []
        sent: list[str] = []
        demo = Demo(folder)
        try:
            for number in range(ROUNDS):
                senders = [Sender(demo, f"{number}-{which}") for which in range(SENDERS)]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    sender.began.wait(20)
                threading.Event().wait(random.uniform(0.0, 0.1))
                demo.kill()
                demo.log.close()
                for sender in senders:
                    sender.join(30)
                    acknowledged += sender.acknowledged
                    sent += sender.sent
                demo = Demo(folder)
                self.assert_there(demo, [mark for sender in senders for mark in sender.acknowledged])
            found = self.marks(demo)
            self.assertGreater(len(acknowledged), ROUNDS)
            self.assertEqual(sorted(set(acknowledged) - set(found)), [], "lost")
            self.assertEqual([mark for mark, times in found.items() if times > 1], [], "doubled")
            self.assertEqual(sorted(set(found) - set(sent)), [], "invented")
        finally:
            self.assertEqual(demo.stop(), 0)
            demo.log.close()

    def assert_there(self, demo: Demo, marks: list[str]) -> None:
        """After a restart what the earlier run accepted is delivered without anybody's help."""
        limit = time.monotonic() + SETTLE_LIMIT
        missing = set(marks)
        while missing and time.monotonic() < limit:
            missing = set(marks) - set(self.marks(demo))
        self.assertEqual(sorted(missing), [], "lost")

    def marks(self, demo: Demo) -> Counter[str]:
        """What is in the inbox."""
        service = demo.service("imap")
        with imaplib.IMAP4(service.host, service.port) as client:
            client.login("ann", demo.accounts["ann"])
            client.select("INBOX", readonly=True)
            _, rows = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (X-KILL)])")
            text = b"".join(row[1] for row in rows if isinstance(row, tuple))
        return Counter(mark.decode() for mark in re.findall(rb"X-Kill: (\S+)", text))
