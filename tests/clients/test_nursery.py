"""Programs that are forked, not started."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.nursery import Forked


class ForkedTests(SynchronousTestCase):
    """They are what :class:`subprocess.Popen` would have started."""

    def forked(self, *arguments: str) -> tuple[Forked, Sequence[str]]:
        """One that has ended or said something, and what it said."""
        log = tempfile.TemporaryFile()
        self.addCleanup(log.close)
        process = Forked(arguments, log.fileno())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        said = process.stdout.readline()
        if not said:
            process.wait()
        log.seek(0)
        return process, [said.decode(), log.read().decode()]

    def test_what_it_says_and_how_it_ends(self) -> None:
        """Words for people on the right stream, and the status."""
        process, said = self.forked("nonsense")
        self.assertEqual((process.wait(), said[0]), (64, ""))
        self.assertIn("launcelot: ", said[1])
        process, said = self.forked("version")
        self.assertIn("launcelot", said[0])
        self.assertEqual((process.wait(), process.poll(), said[1]), (0, 0, ""))

    def test_signals(self) -> None:
        """It hears them, and can be killed; how it ended is told."""
        process, said = self.forked("demo", "--ports", "free", "--json")
        self.assertIn('"services"', said[0])
        self.assertIsNone(process.poll())
        self.assertRaises(subprocess.TimeoutExpired, process.wait, 0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 0)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        process, _ = self.forked("demo", "--ports", "free", "--json", "--data", folder.name)
        process.kill()
        self.assertEqual(process.wait(60), -signal.SIGKILL)
        process.kill()
