"""
A relaying daemon killed with SIGKILL at random: nothing it accepted is lost, and nothing comes more often than the kills explain.

``LAUNCELOT_RELAY_ROUNDS`` sets the number of rounds (6 if it is not set).
"""

from __future__ import annotations

import os
import shutil
import smtplib
import tempfile
import threading
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.relay.running import NextHop, RelayingDaemon, message

ROUNDS = int(os.environ.get("LAUNCELOT_RELAY_ROUNDS", "6"))
SENDERS = 3


class Sender(threading.Thread):
    """Submits mail until the daemon is gone; what was answered with 250 is in ``acknowledged``."""

    def __init__(self, daemon: RelayingDaemon, name: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.began = threading.Event()
        self._daemon = daemon
        self._name = name

    def run(self) -> None:
        """Submit until it fails."""
        try:
            with self._daemon.client() as client:
                for number in range(100_000):
                    mark = f"{self._name}-{number}"
                    client.sendmail("ann@here.example", [f"x@d{number % 5}.example"], message(mark))
                    self.acknowledged.append(mark)
                    self.began.set()
        except (OSError, smtplib.SMTPException):
            pass
        finally:
            self.began.set()


class KillTests(SynchronousTestCase):
    """C03, C30."""

    def test_accepted_mail_reaches_the_next_hop(self) -> None:
        """0 lost; none comes more than twice, however many kills and vanished next hops left it open what became of it."""
        folder = Path(tempfile.mkdtemp(prefix="launcelot-relay-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        random = Random(ROUNDS)
        hop = NextHop(lambda mark, times: times == 0 and mark.endswith("7"))
        self.addCleanup(hop.stop)
        acknowledged: list[str] = []
        daemon = RelayingDaemon(folder, hop.port)
        try:
            daemon.set_password()
            for number in range(ROUNDS):
                senders = [Sender(daemon, f"r{number}s{which}") for which in range(SENDERS)]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    sender.began.wait(20)
                threading.Event().wait(random.uniform(0.0, 0.3))
                daemon.kill()
                for sender in senders:
                    sender.join(30)
                    acknowledged += sender.acknowledged
                daemon.start()

            # Who may have got it twice before we were killed is not sent it again, and the sender is told.
            def told() -> int:
                return daemon.said().count("may have arrived, and is not sent again")

            hop.wait_for(set(acknowledged), told)
            self.assertLessEqual(len(set(acknowledged) - set(hop.got)), told(), "lost")
            self.assertGreater(len(acknowledged), ROUNDS)
            self.assertEqual({mark: times for mark, times in hop.got.items() if times > 2}, {})
            twice = [mark for mark, times in hop.got.items() if times == 2 and not mark.endswith("7")]
            # What was on its way when the daemon was killed: at most one for each connection of each kill.
            self.assertLessEqual(len(twice), 20 * ROUNDS)
        finally:
            status = daemon.stop()
        self.assertEqual(status, 0)
