"""SQLite files with a writer."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from errno import EIO
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.errors import Exists, TryLater
from launcelot.workers import database as module
from launcelot.workers.database import BATCH, Database, Migration, NewerSchema, script
from launcelot.workers.interface import Workers
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from launcelot.workers.threads import ThreadWorkers

SCHEMA = script("CREATE TABLE words (word TEXT NOT NULL UNIQUE);")


def insert(word: str) -> Callable[[sqlite3.Connection], str]:
    """A job that stores a word and answers it."""

    def job(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO words VALUES (?)", (word,))
        return word

    return job


def words(connection: sqlite3.Connection) -> list[str]:
    """All words, sorted."""
    return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY word").fetchall()]


class BrokenConnection(sqlite3.Connection):
    """A connection whose disk fails when told to."""

    failing = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Fail at the statement that begins as told."""
        if self.failing and statement.startswith(self.failing):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return super().execute(statement, *values)


class DatabaseTestCase(SynchronousTestCase):
    """A file whose writer is stepped by hand."""

    def setUp(self) -> None:
        """A new, open file."""
        self.path = Path(self.mktemp())
        self.writer = SteppedWorkers()
        self.database = self.opened()

    def opened(self, migrations: Sequence[Migration] = (SCHEMA,)) -> Database:
        """The file, opened."""
        database = Database(self.path, migrations, self.writer, InlineWorkers())
        opening = database.open()
        self.perform()
        self.successResultOf(opening)
        self.addCleanup(self.close, database)
        return database

    def close(self, database: Database) -> None:
        """Close at once."""
        closing = database.close()
        self.perform()
        self.successResultOf(closing)

    def perform(self) -> int:
        """Let the writer do all it has; how many pieces of work there were."""
        count = 0
        while self.writer.perform():
            count += 1
        return count

    def trace(self) -> list[str]:
        """The statements of the writer from now on."""
        statements: list[str] = []
        self.database.write(lambda connection: connection.set_trace_callback(statements.append))
        self.perform()
        statements.clear()
        return statements

    def seen_by_others(self) -> list[str]:
        """What another process finds in the file."""
        connection = sqlite3.connect(self.path)
        try:
            return words(connection)
        finally:
            connection.close()


class WriteTests(DatabaseTestCase):
    """Jobs share transactions and nothing else."""

    def test_answer_means_committed(self) -> None:
        """Nothing is answered before the commit; then everybody sees it."""
        asked = self.database.write(insert("a"))
        self.assertNoResult(asked)
        self.assertEqual(self.seen_by_others(), [])
        self.writer.perform()
        self.assertEqual(self.successResultOf(asked), "a")
        self.assertEqual(self.seen_by_others(), ["a"])
        self.assertEqual(self.database.read(words), ["a"])

    def test_file_is_durable_and_private(self) -> None:
        """WAL, every commit synced, nobody else may read it."""

        def settings(connection: sqlite3.Connection) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        asked = self.database.write(settings)
        self.perform()
        self.assertEqual(self.successResultOf(asked), ["wal", 2, 1, 0])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_jobs_that_wait_share_one_transaction(self) -> None:
        """A hundred writes, one commit, each with its own answer."""
        statements = self.trace()
        asked = [self.database.write(insert(f"{number:03}")) for number in range(100)]
        self.assertEqual(self.perform(), 1)
        self.assertEqual([self.successResultOf(one) for one in asked], [f"{number:03}" for number in range(100)])
        self.assertEqual([statements.count(one) for one in ("BEGIN IMMEDIATE", "COMMIT")], [1, 1])

    def test_transaction_has_a_bound(self) -> None:
        """Past it the next begins, in order."""
        first = self.database.write(insert("first"))
        asked = [self.database.write(insert(f"{number:03}")) for number in range(BATCH + 10)]
        self.writer.perform()
        self.successResultOf(first)
        self.successResultOf(asked[BATCH - 2])
        self.assertNoResult(asked[BATCH - 1])
        self.perform()
        self.assertEqual(self.successResultOf(asked[-1]), f"{BATCH + 9:03}")

    def test_refusal_undoes_its_job_only(self) -> None:
        """Before and behind it all is stored."""

        def refused(connection: sqlite3.Connection) -> None:
            insert("half")(connection)
            raise Exists("taken")

        asked = [self.database.write(job) for job in (insert("a"), refused, insert("b"))]
        self.perform()
        self.assertEqual(self.successResultOf(asked[0]), "a")
        self.assertEqual(str(self.failureResultOf(asked[1], Exists).value), "taken")
        self.assertEqual(self.successResultOf(asked[2]), "b")
        self.assertEqual(self.seen_by_others(), ["a", "b"])

    def test_bug_undoes_its_job_only(self) -> None:
        """Whatever kind; it comes out as it is, SQL that the file does not understand as a temporary failure."""

        def bug(connection: sqlite3.Connection) -> None:
            insert("half")(connection)
            raise ZeroDivisionError

        def twice(connection: sqlite3.Connection) -> None:
            insert("a")(connection)

        def no_table(connection: sqlite3.Connection) -> None:
            insert("half")(connection)
            connection.execute("INSERT INTO nothing VALUES (1)")

        def wrong_use(connection: sqlite3.Connection) -> None:
            insert("half")(connection)
            connection.execute("SELECT ?", ())

        jobs = (insert("a"), bug, twice, no_table, wrong_use, insert("b"))
        asked = [self.database.write(job) for job in jobs]
        self.perform()
        self.assertEqual(self.successResultOf(asked[0]), "a")
        self.failureResultOf(asked[1], ZeroDivisionError)
        self.failureResultOf(asked[2], sqlite3.IntegrityError)
        self.failureResultOf(asked[3], TryLater)
        self.failureResultOf(asked[4], sqlite3.ProgrammingError)
        self.assertEqual(self.successResultOf(asked[5]), "b")
        self.assertEqual(self.seen_by_others(), ["a", "b"])

    def test_job_that_commits_by_itself_fails_its_batch(self) -> None:
        """It broke the rules; nobody is told that something is stored which may not be, and work goes on."""

        def commits(connection: sqlite3.Connection) -> None:
            connection.execute("COMMIT")

        for one in [self.database.write(commits), self.database.write(insert("a"))]:
            self.perform()
            self.failureResultOf(one, TryLater)
        after = self.database.write(insert("b"))
        self.perform()
        self.assertEqual(self.successResultOf(after), "b")
        self.assertEqual(self.seen_by_others(), ["b"])

    def test_cancelled_write_is_done_all_the_same(self) -> None:
        """Who no longer waits is not told; the others are."""
        first, second = self.database.write(insert("a")), self.database.write(insert("b"))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.perform()
        self.assertEqual(self.successResultOf(second), "b")
        self.assertEqual(self.seen_by_others(), ["a", "b"])

    def test_answer_may_ask_for_the_next_write(self) -> None:
        """As a session does, in the turn it is answered."""
        asked = self.database.write(insert("a")).addCallback(lambda _: self.database.write(insert("b")))
        self.perform()
        self.assertEqual(self.successResultOf(asked), "b")

    def test_writer_that_takes_no_work_is_a_temporary_failure(self) -> None:
        """For everybody who waits; and nobody waits for ever."""
        self.writer.close()
        for one in [self.database.write(insert(word)) for word in "abc"]:
            self.failureResultOf(one, TryLater)


class FailingDiskTests(DatabaseTestCase):
    """What is not on disk is never said to be."""

    def setUp(self) -> None:
        """A file on a disk that can be told to fail."""
        self.patch(BrokenConnection, "failing", "")
        real = sqlite3.connect
        self.connections: list[sqlite3.Connection] = []

        def broken(*words: Any, **options: Any) -> sqlite3.Connection:
            connection = real(*words, factory=BrokenConnection, **options)
            self.connections.append(connection)
            return connection

        self.patch(sqlite3, "connect", broken)
        super().setUp()

    def test_failing_commit_fails_the_batch(self) -> None:
        """All of it, with a temporary failure whose cause is kept; the next write works on a fresh connection."""
        before = self.database._writing
        BrokenConnection.failing = "COMMIT"
        asked = [self.database.write(insert(word)) for word in "abc"]
        self.perform()
        for one in asked:
            failure = self.failureResultOf(one, TryLater)
            self.assertIsInstance(failure.value.__cause__, sqlite3.OperationalError)
            self.assertNotIn("I/O", str(failure.value))
        BrokenConnection.failing = ""
        self.assertEqual(self.seen_by_others(), [])
        after = self.database.write(insert("d"))
        self.perform()
        self.assertEqual(self.successResultOf(after), "d")
        self.assertIsNot(self.database._writing, before)
        self.assertEqual(self.seen_by_others(), ["d"])
        assert before is not None
        self.assertRaises(sqlite3.ProgrammingError, before.execute, "SELECT 1")

    def test_failing_sync_says_nothing_of_what_is_there(self) -> None:
        """Everybody of the batch is refused, the file is opened anew, and what was written may be in it, as here."""

        def failing() -> None:
            self.database.synced = None
            raise OSError(EIO, "Input/output error")

        self.database.synced = failing
        waiting = [self.database.write(insert(word)) for word in ("one", "two")]
        self.perform()
        for one in waiting:
            self.failureResultOf(one, TryLater)
        again = self.database.write(insert("three"))
        self.perform()
        self.assertEqual(self.successResultOf(again), "three")
        self.assertEqual(self.database.read(words), ["one", "three", "two"])

    def test_failing_disk_in_a_job_fails_the_batch(self) -> None:
        """SQLite may have undone all of it by itself."""
        BrokenConnection.failing = "INSERT"
        asked = [self.database.write(lambda connection: "early"), self.database.write(insert("a"))]
        self.perform()
        for one in asked:
            self.failureResultOf(one, TryLater)
        BrokenConnection.failing = ""
        self.assertEqual(self.seen_by_others(), [])

    def test_full_disk_fails_the_batch(self) -> None:
        """SQLite's own words for it; what was there stays, and smaller things fit again."""

        def too_much(connection: sqlite3.Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages}")
            connection.execute("INSERT INTO words VALUES (?)", ("x" * 1_000_000,))

        first = self.database.write(insert("a"))
        self.perform()
        self.successResultOf(first)
        asked = [self.database.write(insert("b")), self.database.write(too_much), self.database.write(insert("c"))]
        self.perform()
        for one in asked:
            self.failureResultOf(one, TryLater)
        after = self.database.write(insert("d"))
        self.perform()
        self.assertEqual(self.successResultOf(after), "d")
        self.assertEqual(self.seen_by_others(), ["a", "d"])

    def test_failing_checkpoint_harms_nobody(self) -> None:
        """It is logged, and writing goes on."""
        BrokenConnection.failing = "PRAGMA wal_checkpoint"
        self.patch(module, "CHECKPOINT_JOBS", 1)
        first = self.database.write(insert("a"))
        self.perform()
        self.successResultOf(first)
        self.assertEqual(len(self.flushLoggedErrors(sqlite3.OperationalError)), 1)
        BrokenConnection.failing = ""
        second = self.database.write(insert("b"))
        self.perform()
        self.successResultOf(second)

    def test_failing_read_is_a_temporary_failure(self) -> None:
        """Short and long; the next works on a fresh connection."""
        BrokenConnection.failing = "SELECT"
        self.assertRaises(TryLater, self.database.read, words)
        self.failureResultOf(self.database.read_aside(words), TryLater)
        BrokenConnection.failing = ""
        self.assertEqual(self.database.read(words), [])
        self.assertEqual(self.successResultOf(self.database.read_aside(words)), [])

    def test_failed_opening_leaves_no_connection(self) -> None:
        """Neither before nor in the migrations."""
        for failing in ("PRAGMA journal_mode", "BEGIN"):
            path = Path(self.mktemp())
            BrokenConnection.failing = failing
            self.connections.clear()
            asked = Database(path, (SCHEMA,), self.writer, InlineWorkers()).open()
            self.perform()
            self.failureResultOf(asked, TryLater)
            self.assertEqual(len(self.connections), 1)
            self.assertRaises(sqlite3.ProgrammingError, self.connections[0].execute, "SELECT 1")
            BrokenConnection.failing = ""


class OpeningTests(DatabaseTestCase):
    """Files that are there, and files that cannot be."""

    def open_other(self, path: Path, migrations: Sequence[Migration] = (SCHEMA,)) -> Any:
        """Open a file and return what came of it."""
        asked = Database(path, migrations, self.writer, InlineWorkers()).open()
        self.perform()
        return asked

    def test_newer_schema_is_refused(self) -> None:
        """By opening and by every write, and the file is left alone."""
        self.close(self.database)
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA user_version=2")
        connection.close()
        before = self.path.read_bytes()
        database = Database(self.path, (SCHEMA,), self.writer, InlineWorkers())
        for asked in (database.open(), database.write(insert("a"))):
            self.perform()
            self.failureResultOf(asked, NewerSchema)
        self.close(database)
        self.assertEqual(self.path.read_bytes(), before)

    def test_bug_in_a_migration_loses_nobody(self) -> None:
        """Everybody who waits is told, nothing of it is kept, and the right step can follow."""

        def half(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE halves (x)")
            raise ZeroDivisionError

        self.close(self.database)
        database = Database(self.path, (SCHEMA, half), self.writer, InlineWorkers())
        asked = [database.open(), database.write(insert("a"))]
        self.perform()
        for one in asked:
            self.failureResultOf(one, ZeroDivisionError)
        self.close(database)
        self.opened((SCHEMA, script("CREATE TABLE halves (x);")))

    def test_steps_are_done_once_each(self) -> None:
        """In order, over several openings."""
        done: list[int] = []
        path = Path(self.mktemp())
        steps: list[Migration] = [lambda _, number=number: done.append(number) for number in range(4)]  # type: ignore[misc]
        for count in (1, 1, 3, 3, 4):
            self.successResultOf(self.open_other(path, steps[:count]))
        self.assertEqual(done, [0, 1, 2, 3])

    def test_kill_between_steps_resumes(self) -> None:
        """A process that dies in the second step: the first is done, the second is done anew and whole."""
        path = Path(self.mktemp()).absolute()
        code = f"""
import os, pathlib
from launcelot.workers.database import Database, script
from launcelot.workers.memory import InlineWorkers
def dies(connection):
    connection.execute("CREATE TABLE second (x)")
    os._exit(9)
steps = (script("CREATE TABLE first (x);"), dies)
Database(pathlib.Path({str(path)!r}), steps, InlineWorkers(), InlineWorkers()).open()
"""
        root = Path(module.__file__).parents[2]
        self.assertEqual(subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=60).returncode, 9)
        first = script("CREATE TABLE first (x);")
        self.successResultOf(self.open_other(path, (first, script("CREATE TABLE second (x);"))))
        with sqlite3.connect(path) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone()[0], 2)
        connection.close()

    def test_two_processes_migrate_together(self) -> None:
        """Both found the step undone before either began it; it is done once."""
        path = Path(self.mktemp())
        done: list[str] = []
        other = Database(path, (lambda _: done.append("other"),), InlineWorkers(), InlineWorkers())

        class Late(sqlite3.Connection):
            """The other process migrates just before this one begins to."""

            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if statement == "BEGIN IMMEDIATE" and not started:
                    started.append(other.open())
                return super().execute(statement, *values)

        started: list[Deferred[None]] = []
        real = sqlite3.connect
        kinds = iter([Late, sqlite3.Connection])
        self.patch(sqlite3, "connect", lambda *words, **options: real(*words, factory=next(kinds), **options))
        self.successResultOf(self.open_other(path, (lambda _: done.append("self"),)))
        self.successResultOf(started[0])
        self.assertEqual(done, ["other"])
        self.successResultOf(other.close())

    def test_statements_of_a_script_are_one_step(self) -> None:
        """Semicolons in texts and triggers do not end a statement; an unfinished script is a bug."""
        path = Path(self.mktemp())
        text = """
CREATE TABLE a (x TEXT DEFAULT ';
');
CREATE TRIGGER t AFTER INSERT ON a BEGIN
    UPDATE a SET x = 'y';
END;
"""
        self.successResultOf(self.open_other(path, (script(text),)))
        with sqlite3.connect(path) as connection:
            connection.execute("INSERT INTO a DEFAULT VALUES")
            self.assertEqual(connection.execute("SELECT x FROM a").fetchall(), [("y",)])
        connection.close()
        asked = self.open_other(Path(self.mktemp()), (script("CREATE TABLE a (x);\nCREATE TABLE"),))
        self.failureResultOf(asked, ValueError)

    def test_impossible_files_are_temporary_failures(self) -> None:
        """No folder, a folder in its place, or something else in the file; with the cause for the operator."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "text").write_bytes(b"no database" * 1_000)
        for path in (folder / "missing" / "file", folder, folder / "text"):
            failure = self.failureResultOf(self.open_other(path), TryLater)
            self.assertIsInstance(failure.value.__cause__, (OSError, sqlite3.Error))


class ReadTests(DatabaseTestCase):
    """Reads see what is committed."""

    def test_reads_see_the_last_commit(self) -> None:
        """Each anew, short and long; nothing of a transaction under way."""
        self.assertEqual(self.database.read(words), [])
        self.assertEqual(self.successResultOf(self.database.read_aside(words)), [])
        seen: list[object] = []

        def looking(connection: sqlite3.Connection) -> None:
            insert("a")(connection)
            seen.append(self.database.read(words))
            seen.append(self.successResultOf(self.database.read_aside(words)))

        self.database.write(looking)
        self.perform()
        self.assertEqual(seen, [[], []])
        self.assertEqual(self.database.read(words), ["a"])
        self.assertEqual(self.successResultOf(self.database.read_aside(words)), ["a"])

    def test_reads_cannot_write(self) -> None:
        """Neither short nor long."""
        self.assertRaises(TryLater, self.database.read, insert("a"))
        self.failureResultOf(self.database.read_aside(insert("a")), TryLater)
        self.assertEqual(self.seen_by_others(), [])

    def test_refusal_in_a_read_comes_out(self) -> None:
        """And the connection is used again, without the transaction that was left open."""

        def refused(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN")
            words(connection)
            raise Exists("seen")

        for _ in range(3):
            self.failureResultOf(self.database.read_aside(refused), Exists)
        self.assertEqual(len(self.database._aside), 1)
        self.database.write(insert("a"))
        self.perform()
        self.assertEqual(self.successResultOf(self.database.read_aside(words)), ["a"])


class CheckpointTests(DatabaseTestCase):
    """The log is moved into the file."""

    def wal(self) -> int:
        """Octets of log."""
        return self.path.with_name(self.path.name + "-wal").stat().st_size

    def test_idle_writer_moves_the_log(self) -> None:
        """After enough jobs, when nobody waits."""
        self.patch(module, "CHECKPOINT_JOBS", 3)
        statements = self.trace()
        for word in "abc":
            self.database.write(insert(word))
            self.perform()
        self.assertEqual([one for one in statements if "checkpoint" in one], ["PRAGMA wal_checkpoint(PASSIVE)"])

    def test_log_is_bounded_under_load(self) -> None:
        """A writer that is never idle moves it all the same, between batches."""
        self.patch(module, "OVERDUE_WAL", 1 << 20)
        self.patch(module, "CHECKPOINT_WAL", 1 << 18)
        database = self.opened()
        number = 0

        def more() -> None:
            nonlocal number
            number += 1
            database.write(insert(f"{number:06}" + "x" * 100_000))

        more()
        largest = 0
        for _ in range(100):
            more()
            self.writer.perform()
            largest = max(largest, self.wal())
        self.perform()
        self.assertGreater(number, 90)
        self.assertLess(largest, 3 << 20)

    def test_one_piece_of_work_at_a_time(self) -> None:
        """Whatever threads the writer has, a batch never meets a checkpoint or the closing of its own file."""
        self.patch(module, "CHECKPOINT_JOBS", 1)
        for word in "abc":
            self.database.write(insert(word))
            self.assertEqual(len(self.writer.waiting), 1)
            self.writer.perform()
            self.assertEqual(len(self.writer.waiting), 1)
        closing = self.database.close()
        while self.writer.waiting:
            self.assertEqual(len(self.writer.waiting), 1)
            self.writer.perform()
        self.successResultOf(closing)
        self.assertEqual(self.seen_by_others(), ["a", "b", "c"])


class ClosingTests(DatabaseTestCase):
    """Nothing that was taken is dropped."""

    def test_close_finishes_what_waits(self) -> None:
        """More than one batch of it, and is told last; the log is empty then."""
        told: list[object] = []
        asked = [self.database.write(insert(f"{number:04}")) for number in range(2 * BATCH + 5)]
        closing = self.database.close().addCallback(lambda _: told.append("closed"))
        asked[-1].addCallback(told.append)
        self.perform()
        self.successResultOf(closing)
        self.assertEqual(told, [f"{2 * BATCH + 4:04}", "closed"])
        self.assertEqual(len(self.seen_by_others()), 2 * BATCH + 5)
        self.assertIsNone(self.database._writing)
        self.assertFalse(self.path.with_name(self.path.name + "-wal").exists())

    def test_closed_database_refuses(self) -> None:
        """Writes and reads, from the moment closing begins."""
        self.database.read(words)
        closing = self.database.close()
        for _ in range(2):
            self.failureResultOf(self.database.write(insert("a")), TryLater)
            self.failureResultOf(self.database.open(), TryLater)
            self.failureResultOf(self.database.read_aside(words), TryLater)
            self.assertRaises(TryLater, self.database.read, words)
            self.perform()
        self.successResultOf(closing)
        self.assertEqual(self.seen_by_others(), [])

    def test_closing_again_waits_for_the_same_end(self) -> None:
        """All are told, once it is done and afterwards."""
        closing = [self.database.close(), self.database.close()]
        for one in closing:
            self.assertNoResult(one)
        self.perform()
        for one in (*closing, self.database.close()):
            self.assertIsNone(self.successResultOf(one))

    def test_database_without_its_writer_still_closes(self) -> None:
        """Who closed the threads first has lost nothing but order."""
        self.writer.close()
        self.assertIsNone(self.successResultOf(self.database.close()))
        self.assertIsNone(self.database._writing)

    def test_long_read_under_way_closes_its_own_connection(self) -> None:
        """It ends after the database has been closed, and nothing is left open."""
        readers = SteppedWorkers()
        database = Database(self.path, (SCHEMA,), self.writer, readers)
        used: list[sqlite3.Connection] = []

        def job(connection: sqlite3.Connection) -> list[str]:
            used.append(connection)
            self.close(database)
            return words(connection)

        asked = database.read_aside(job)
        readers.perform()
        self.assertEqual(self.successResultOf(asked), [])
        self.assertRaises(sqlite3.ProgrammingError, used[0].execute, "SELECT 1")


class ThreadedTests(TestCase):
    """On real threads."""

    def workers(self, threads: int) -> Workers:
        """Threads that end with the test."""
        workers = ThreadWorkers(cast(IReactorFromThreads, reactor), "database", threads)
        self.addCleanup(workers.close)
        return workers

    async def test_many_writes_share_transactions(self) -> None:
        """A thousand writes at once, on a writer with three threads: all stored, in a few commits."""
        path = Path(self.mktemp())
        database = Database(path, (SCHEMA,), self.workers(3), self.workers(2))
        await database.open()
        statements: list[str] = []
        await database.write(lambda connection: connection.set_trace_callback(statements.append))
        stored = await gatherResults([database.write(insert(f"{number:04}")) for number in range(1_000)])
        self.assertEqual(len(stored), 1_000)
        self.assertEqual(database.read(words), stored)
        self.assertLessEqual(statements.count("COMMIT"), 20)
        await database.close()

    async def test_long_reads_run_beside_each_other_and_a_write(self) -> None:
        """Each on its own connection, in its own state."""
        database = Database(Path(self.mktemp()), (SCHEMA,), self.workers(1), self.workers(2))
        await database.open()
        await database.write(insert("a"))
        together = threading.Barrier(3, timeout=60)

        def read(connection: sqlite3.Connection) -> list[str]:
            connection.execute("BEGIN")
            before = words(connection)
            together.wait()
            together.wait()
            after = words(connection)
            self.assertEqual(before, after)
            return after

        def write(connection: sqlite3.Connection) -> None:
            together.wait()
            insert("b")(connection)
            together.wait()

        reads = [database.read_aside(read), database.read_aside(read)]
        await database.write(write)
        self.assertEqual(await gatherResults(reads), [["a"], ["a"]])
        self.assertEqual(await database.read_aside(words), ["a", "b"])
        await database.close()
