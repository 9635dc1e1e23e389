"""
C06: inodes or room for files run out, or a limit on a file's size is reached, while large messages come in.

The limit is RLIMIT_FSIZE of the child, which has writes fail with EFBIG, and SIGXFSZ sent, which must not end anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]


class LimitTests(SynchronousTestCase):
    """A spool whose staging and databases cannot grow."""

    def test_files_that_may_not_grow(self) -> None:
        """Large messages are refused for now, small ones are taken, and with the limit gone large ones are, too; none is lost."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        run = subprocess.run(
            [sys.executable, "-m", "tests.faults.limited", str(folder)], cwd=ROOT, capture_output=True, timeout=120, check=False
        )
        self.assertEqual(run.returncode, 0, run.stderr.decode()[-3_000:])
        self.assertNotIn(b"Traceback", run.stderr, run.stderr.decode()[-3_000:])
        said = json.loads(run.stdout)
        self.assertEqual(said["large under the limit"], False)
        self.assertEqual(said["large without it"], True)
        self.assertEqual(said["small afterwards"], True)
        self.assertEqual(said["found"], said["acknowledged"])
