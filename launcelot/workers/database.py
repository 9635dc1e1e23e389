"""
SQLite files whose writers share transactions.

Every :class:`Database` is one file in WAL mode with ``synchronous=FULL``: what :meth:`Database.write` has answered is on
disk.  All jobs that wait when the writer is free run in one transaction, each in its own savepoint, and share one sync.
So a job that fails undoes only itself, and one failing sync fails every job of its batch.

A failed commit is never tried again on the same connection: pages may be marked clean although they never reached the
disk.  The connection is closed, the jobs are refused with :class:`~launcelot.core.errors.TryLater`, and the next job
opens the file anew.

Reads in the reactor thread go through :meth:`Database.read`, on a connection of their own that sees the last commit; they must
be short.  Long ones go to :meth:`Database.read_aside`.  Checkpoints run in the writer when it has nothing else to do.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal, TryLater
from launcelot.workers.interface import Workers

T = TypeVar("T")

BATCH = 256
"""Jobs in one transaction at most."""

CHECKPOINT_PAGES = 4_000
"""WAL pages past which an idle writer moves them into the file."""

READ_CACHE_KIB = 2_048


class NewerSchema(Refusal):
    """The file was written by a newer program."""

    default_text = "the database was written by a newer version of Launcelot; upgrade, or restore an older copy"


Migration = Callable[[sqlite3.Connection], None]

Job = tuple["Deferred[Any]", Callable[[sqlite3.Connection], Any]]


class Database:
    """
    One SQLite file.

    :param path: the file; made with mode 0600 if it does not exist.
    :param migrations: steps from an empty file to the present schema, run in order, each once and atomically;
        ``user_version`` counts them.
    :param writer: where writing runs; one thread may serve many files, one file has one writer.
    :param readers: where long reads run.
    """

    log = Logger(namespace="launcelot.database")

    def __init__(self, path: Path, migrations: Sequence[Migration], writer: Workers, readers: Workers) -> None:
        self.path = path
        self._migrations = migrations
        self._writer = writer
        self._readers = readers
        self._jobs: deque[Job] = deque()
        self._scheduled = False
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._aside: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._dirty_pages = 0

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self) -> Deferred[None]:
        """
        Make or open the file and bring its schema up to date, off the reactor thread.

        :raises NewerSchema: (through the Deferred) the file is from a newer program.
        :raises TryLater: (through the Deferred) the file cannot be opened or is damaged.
        """
        return self._writer.run(self._open_guarded)

    def _open_guarded(self) -> None:
        try:
            self._connect()
        except (sqlite3.Error, OSError) as error:
            self.log.error("cannot open {path}: {error}", path=str(self.path), error=str(error))
            raise TryLater("storage is not available") from error

    def _connect(self) -> sqlite3.Connection:
        if self._writing is None:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
                sync_directory(self.path.parent)
            connection = connect(self.path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA foreign_keys=ON")
            try:
                migrate(connection, self._migrations)
            except BaseException:
                connection.close()
                raise
            self._writing = connection
        return self._writing

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, job: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """
        Run ``job`` in a transaction and answer when it is on disk.

        ``job`` runs in the writer's thread; it must neither commit nor keep the connection.  A refusal it raises undoes
        its own changes and comes back through the Deferred.

        :raises TryLater: (through the Deferred) nothing was stored: the disk failed or the database is closed.
        """
        deferred: Deferred[T] = Deferred()
        if self._closed:
            deferred.errback(TryLater())
            return deferred
        self._jobs.append((deferred, job))
        if not self._scheduled:
            self._scheduled = True
            self._writer.run(self._write_batch).addCallbacks(self._hand_back, self._lost_batch)
        return deferred

    def _write_batch(self) -> list[tuple[Deferred[Any], Any]]:
        jobs = self._jobs
        batch = [jobs.popleft() for _ in range(min(len(jobs), BATCH))]
        try:
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [(deferred, run_in_savepoint(connection, job)) for deferred, job in batch]
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self.log.error("cannot write {path}: {error}", path=str(self.path), error=str(error))
            self._drop_writing()
            return [(deferred, Failure(TryLater("storage is not available"))) for deferred, _ in batch]
        except Refusal as refusal:
            return [(deferred, Failure(refusal)) for deferred, _ in batch]
        self._dirty_pages += len(batch)
        return outcomes

    def _hand_back(self, outcomes: list[tuple[Deferred[Any], Any]]) -> None:
        self._scheduled = False
        if self._jobs:
            self._scheduled = True
            self._writer.run(self._write_batch).addCallbacks(self._hand_back, self._lost_batch)
        elif self._dirty_pages >= CHECKPOINT_PAGES // 4:
            self._dirty_pages = 0
            self._writer.run(self._checkpoint).addErrback(self._log_checkpoint)
        for deferred, outcome in outcomes:
            deferred.callback(outcome)

    def _lost_batch(self, failure: Failure) -> None:
        self._scheduled = False
        jobs, self._jobs = self._jobs, deque()
        for deferred, _ in jobs:
            deferred.errback(failure)

    def _checkpoint(self) -> None:
        if self._writing is not None and not self._jobs:
            self._writing.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _log_checkpoint(self, failure: Failure) -> None:
        self.log.failure("checkpoint of {path} failed", failure, path=str(self.path))

    def _drop_writing(self) -> None:
        connection, self._writing = self._writing, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                self.log.error("closing {path}: {error}", path=str(self.path), error=str(error))

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run a short read in the calling thread, which must be the reactor's; it sees everything committed.

        :raises TryLater: the file cannot be read.
        """
        try:
            if self._reading is None:
                self._reading = connect(self.path, read_only=True)
            return job(self._reading)
        except sqlite3.Error as error:
            self.log.error("cannot read {path}: {error}", path=str(self.path), error=str(error))
            connection, self._reading = self._reading, None
            if connection is not None:
                connection.close()
            raise TryLater("storage is not available") from error

    def read_aside(self, job: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """Run a long read in a reader thread, on a connection of its own."""
        return self._readers.run(lambda: self._read_with_own(job))

    def _read_with_own(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._aside.popleft() if self._aside else connect(self.path, read_only=True)
            try:
                result = job(connection)
            except sqlite3.Error:
                connection.close()
                raise
        except sqlite3.Error as error:
            self.log.error("cannot read {path}: {error}", path=str(self.path), error=str(error))
            raise TryLater("storage is not available") from error
        if self._closed:
            connection.close()
        else:
            self._aside.append(connection)
        return result

    # -- closing -------------------------------------------------------------------------------------------------

    def close(self) -> Deferred[None]:
        """Refuse new jobs, finish those that wait, then close the file's connections."""
        self._closed = True
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        while self._aside:
            self._aside.popleft().close()
        return self._writer.run(self._close_writing)

    def _close_writing(self) -> None:
        if self._writing is not None and not self._jobs:
            try:
                self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                self.log.error("checkpoint of {path}: {error}", path=str(self.path), error=str(error))
        self._drop_writing()


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """A connection that trusts nothing the file says about functions and views, with explicit transactions only."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=10.0
    )
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute(f"PRAGMA cache_size=-{READ_CACHE_KIB}")
    return connection


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Run the steps the file has not seen; each is one transaction with its version number."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise NewerSchema
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrations[number](connection)
            connection.execute(f"PRAGMA user_version={number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def run_in_savepoint(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], Any]) -> Any:
    """What ``job`` returns, or the Failure of the refusal or bug it raised, undone; errors of the disk go on."""
    connection.execute("SAVEPOINT job")
    try:
        result = job(connection)
    except sqlite3.OperationalError:
        raise
    except Exception:  # noqa: BLE001 - handed to whoever waits, with its traceback
        failure = Failure()
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return failure
    connection.execute("RELEASE job")
    return result


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
