"""Kill -9 at random instants: nothing acknowledged is lost, nothing is there twice, nothing is torn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.spool.crashing import recipients_of

ROUNDS = int(os.environ.get("LAUNCELOT_CRASH_ROUNDS", "20"))
"""Kills in one run; the environment asks for more."""

ROOT = Path(__file__).parents[2]


class CrashTests(SynchronousTestCase):
    """SqliteSpool and SqliteMailStore together."""

    def test_every_acknowledged_message_is_there_once(self) -> None:
        """After every round of accepting and killing, and one last start, each mailbox holds each message once and whole."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        run = subprocess.run(
            [sys.executable, "-m", "tests.spool.crashing", str(folder), str(ROUNDS), "1"],
            cwd=ROOT,
            capture_output=True,
            timeout=60 + ROUNDS * 10,
            check=True,
        )
        report = json.loads(run.stdout)
        self.assertGreater(len(report["acknowledged"]), ROUNDS, run.stderr)
        for account, messages in report["found"].items():
            counts = Counter(name for name, _ in messages)
            theirs = [name for name in report["acknowledged"] if account in {one.name for one in recipients_of(name)}]
            self.assertEqual([name for name in theirs if counts[name] != 1], [], account)
            self.assertEqual([name for name, count in counts.items() if count > 1], [], account)
            self.assertEqual([name for name, whole in messages if not whole], [], account)
