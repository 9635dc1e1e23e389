"""
C02, C04, C05: a delivery whose n-th call of the system is its last, fails, or finds the disk full; and slow syncs.

``LAUNCELOT_FAULTS=full`` takes every call, and not one of some forty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.faults.warden import reason_not
from tests.spool.crashing import recipients_of

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("LAUNCELOT_FAULTS") == "full"


class CallTests(SynchronousTestCase):
    """SqliteSpool, direct delivery and SqliteMailStore, from the first call of a delivery to the last of an orderly end."""

    def rounds(self, kind: str, step: int) -> list[dict[str, Any]]:
        """What became of each child; the first one was left in peace."""
        reason = reason_not()
        if reason:
            raise SkipTest(reason)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        command = [sys.executable, "-m", "tests.faults.campaign", str(folder), kind, str(1 if FULL else step)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=3_600, check=True)
        rounds: list[dict[str, Any]] = json.loads(run.stdout)
        self.assertNotIn(b"Traceback", run.stderr, run.stderr.decode()[-3_000:])
        self.assertGreater(rounds[0]["calls"], 100)
        self.assertEqual(rounds[0]["acknowledged"], ["w-3", "m-3", "m-10", "m-2"])
        return rounds

    def judge(self, rounds: list[dict[str, Any]]) -> None:
        """0 lost, 0 doubled, 0 torn, in each round."""
        for one in rounds:
            where = f"call {one['at']}: {one['call']}"
            self.assertEqual(set(one["found"]), {"ann", "bob"}, where)
            for account, messages in one["found"].items():
                counts = Counter(name for name, _ in messages)
                theirs = [name for name in one["acknowledged"] if account in {who.name for who in recipients_of(name)}]
                self.assertEqual([name for name in theirs if not counts[name]], [], f"lost: {where}")
                self.assertEqual([name for name, count in counts.items() if count > 1], [], f"doubled: {where}")
                self.assertEqual([name for name, whole in messages if not whole], [], f"torn: {where}")

    def test_killed_before_each_call(self) -> None:
        """What was acknowledged before is there once, whichever call was the last."""
        rounds = self.rounds("kill", 61)
        self.judge(rounds)
        self.assertTrue(all(one["call"] for one in rounds[1:]))

    def test_each_call_fails_once(self) -> None:
        """EIO: the peer is told to come again, or nothing is noticed; mail is taken again within five seconds."""
        rounds = self.rounds("fail", 97)
        self.judge(rounds)
        self.assertEqual([one["at"] for one in rounds[1:] if not one["after"]], [])

    def test_disk_that_fails_for_good(self) -> None:
        """From some call on nothing can be written: nothing more is acknowledged than is there when the disk is whole again."""
        rounds = self.rounds("broken", 191)
        self.judge(rounds)
        self.assertTrue(any(one["refused"] for one in rounds))

    def test_full_disk(self) -> None:
        """ENOSPC for a while: as with EIO, and mail is taken again within five seconds without a restart."""
        rounds = self.rounds("full", 149)
        self.judge(rounds)
        self.assertTrue(any(one["refused"] for one in rounds))
        self.assertEqual([one["at"] for one in rounds[1:] if not one["after"]], [])

    def test_slow_syncs(self) -> None:
        """Each sync takes 50 ms: all is as without, later."""
        self.judge(self.rounds("slow", 1))
