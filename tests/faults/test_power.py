"""
C03: power cuts while mail is accepted.  ``LAUNCELOT_POWER_ROUNDS`` sets their number (3 if it is not set).

It takes root and loop devices; where they are missing it is skipped with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.faults.powercuts import SIZE
from tests.spool.crashing import recipients_of

ROUNDS = int(os.environ.get("LAUNCELOT_POWER_ROUNDS", "3"))
ROOT = Path(__file__).parents[2]


def can_mount(folder: Path) -> bool:
    """Whether a file can be mounted as a file system here."""
    image, mount = folder / "probe", folder / "place"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True, timeout=60)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        return False
    subprocess.run(["umount", str(mount)], check=True, capture_output=True, timeout=60)
    return True


class PowerTests(SynchronousTestCase):
    """SqliteSpool and SqliteMailStore on a disk that loses what was not synced."""

    def test_every_acknowledged_message_is_there_once(self) -> None:
        """0 lost, 0 doubled, 0 torn."""
        folder = Path(tempfile.mkdtemp(prefix="launcelot-power-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        if os.geteuid() != 0 or not can_mount(folder):
            raise SkipTest("needs root, mkfs.ext4 and loop devices")
        command = [sys.executable, "-m", "tests.faults.powercuts", str(folder), str(ROUNDS), "1"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120 + ROUNDS * 20, check=False)
        self.assertEqual(run.returncode, 0, run.stderr.decode()[-3_000:])
        report = json.loads(run.stdout)
        self.assertGreater(len(report["acknowledged"]), ROUNDS)
        self.assertEqual(set(report["found"]), {"ann", "bob"})
        for account, messages in report["found"].items():
            counts = Counter(name for name, _ in messages)
            theirs = [name for name in report["acknowledged"] if account in {one.name for one in recipients_of(name)}]
            self.assertEqual([name for name in theirs if not counts[name]], [], "lost")
            self.assertEqual([name for name, count in counts.items() if count > 1], [], "doubled")
            self.assertEqual([name for name, whole in messages if not whole], [], "torn")
