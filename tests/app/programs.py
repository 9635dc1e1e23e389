"""The launcelot command and twistd as other programs see them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import main
from launcelot.app.streams import Streams

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 60.0
"""Seconds any program may take; only a hanging one gets there."""

COMMAND = (sys.executable, "-m", "launcelot.app.command")
TWISTD = (sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()")


def environment(home: Path) -> dict[str, str]:
    """An environment in which nothing outside ``home`` is written and the checkout is imported."""
    kept = {name: value for name, value in os.environ.items() if name not in ("XDG_DATA_HOME", "JOURNAL_STREAM")}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}


class ProgramCase(SynchronousTestCase):
    """
    A test that runs programs in a folder of its own.

    :ivar folder: removed afterwards; the programs' home and working folder.
    """

    def setUp(self) -> None:
        """Make the folder."""
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """
        Start a program; it is killed at the end of the test if it still runs.

        It hears SIGHUP even where the tests themselves were started with nohup.
        """
        options.setdefault("preexec_fn", hear_hangups)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """Kill a program that this test started."""
        process.kill()
        process.communicate()

    def run_program(self, *command: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment(self.folder),
            input=said,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def launcelot(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """
        Run a short command, as :meth:`run_program` would, without a process, most of whose time goes into imports.

        :param words: none that would run a reactor.
        """
        return run_here(self.folder, words, said)


def hear_hangups() -> None:
    """Undo what nohup, or a shell that runs the tests in the background, did; runs in the child before the program."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_here(folder: Path, words: Sequence[str], said: str = "") -> subprocess.CompletedProcess[str]:
    """
    Run a ``launcelot`` command in this process.

    :param folder: its home and working folder.
    """
    output, errors = StringIO(), StringIO()
    user, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        with mock.patch.dict(os.environ, environment(folder), clear=True), contextlib.chdir(folder):
            status = main(words, Streams(StringIO(said), output, errors))
    finally:
        if os.geteuid() != user:
            # As root it acted as the user whose folder it is.
            os.seteuid(user)
            os.setegid(group)
            os.setgroups(groups)
    return subprocess.CompletedProcess(words, status, output.getvalue(), errors.getvalue())
