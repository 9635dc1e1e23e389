"""C28: 100,000 mails wait, and the daemon starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

COUNT = 100_000
ROOT = Path(__file__).parents[2]


class CrowdedTests(SynchronousTestCase):
    """A long outage is over."""

    def test_hundred_thousand_mails(self) -> None:
        """
        In 200 MiB, which stay; mailboxes here come first, and a hundred destinations have turns.

        It takes two or three seconds.  The program may run for two minutes: a start whose work is the square of the mails takes
        longer (5 * 10 ** 9 steps of 50 ns), and so does what is for mailboxes here if it waits its turn behind 50,000 mails whose
        hosts take half a second each.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        run = subprocess.run(
            [sys.executable, "-m", "tests.spool.crowded", str(folder), str(COUNT)],
            cwd=ROOT,
            capture_output=True,
            timeout=120,
            check=True,
        )
        said = json.loads(run.stdout)
        self.assertEqual(run.stderr, b"")
        self.assertLess(max(said["memory"], said["later"]), 200)
        self.assertEqual(said["delivered"], COUNT // 100)
        self.assertGreaterEqual(said["domains"], 100)
        self.assertEqual(said["waiting"], COUNT - said["delivered"])
