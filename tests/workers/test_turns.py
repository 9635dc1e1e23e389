"""Whose turn it is among processes that write one file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.workers.database import Database, script
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.turns import turn

GUARD = 60.0
"""Seconds after which a test is given up; no verdict."""

HOLDER = """
import sys
from pathlib import Path
from launcelot.workers.turns import turn
with turn(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


class TurnTests(SynchronousTestCase):
    """:func:`turn`."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def is_taken(self) -> bool:
        """Whether somebody has the turn."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def test_one_at_a_time(self) -> None:
        """The next one waits until the turn is over, and has it then."""
        had: list[str] = []
        began, over = threading.Event(), threading.Event()

        def next_one() -> None:
            began.set()
            with turn(self.folder):
                had.append("next")
            over.set()

        with turn(self.folder):
            thread = threading.Thread(target=next_one, daemon=True)
            thread.start()
            self.assertTrue(began.wait(GUARD))
            self.assertTrue(self.is_taken())
            had.append("first")
        self.assertTrue(over.wait(GUARD))
        thread.join(GUARD)
        self.assertEqual(had, ["first", "next"])
        self.assertFalse(self.is_taken())

    def test_it_ends_with_an_error(self) -> None:
        """Of whoever has it."""
        with self.assertRaises(ZeroDivisionError), turn(self.folder):
            raise ZeroDivisionError
        self.assertFalse(self.is_taken())

    def test_it_ends_with_its_process(self) -> None:
        """However that ends."""
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.folder.absolute())],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with holder:
            assert holder.stdout is not None
            self.assertEqual(holder.stdout.readline(), "mine\n")
            self.assertTrue(self.is_taken())
            holder.kill()
        with turn(self.folder):
            self.assertTrue(self.is_taken())

    def test_without_a_folder(self) -> None:
        """Nobody waits; whoever writes finds out."""
        with turn(self.folder / "missing"):
            pass

    def test_a_database_of_several_processes(self) -> None:
        """Has the turn in its transactions and at no other time; one of a single process never."""
        for several in (True, False):
            workers = InlineWorkers()
            path = self.folder / f"{several}.sqlite"
            database = Database(path, [script("CREATE TABLE words (word TEXT);")], workers, workers, in_turn=several)
            seen: list[bool] = []

            def job(connection: sqlite3.Connection, seen: list[bool] = seen) -> None:
                connection.execute("INSERT INTO words VALUES ('a')")
                seen.append(self.is_taken())

            self.successResultOf(database.write(job))
            self.assertEqual((seen, self.is_taken()), ([several], False))
            with closing(sqlite3.connect(path)) as other:
                self.assertEqual(other.execute("SELECT count(*) FROM words").fetchone(), (1,))
            self.successResultOf(database.close())
