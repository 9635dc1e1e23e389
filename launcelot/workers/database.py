"""
SQLite files whose writers share transactions.

Every :class:`Database` is one file in WAL mode with ``synchronous=FULL``: what :meth:`Database.write` has answered is on
disk.  All jobs that wait when the writer is free run in one transaction, each in its own savepoint, and share one sync.
So a job that fails undoes only itself, and one failing sync fails every job of its batch.

A failed commit is never tried again on the same connection: pages may be marked clean although they never reached the
disk.  The connection is closed, the jobs are refused with :class:`~launcelot.core.errors.TryLater`, and the next job
opens the file anew.

One file has at most one piece of work with its writer at any time (a batch, a checkpoint or the closing), whatever
else the writer's threads do.

Reads in the reactor thread go through :meth:`Database.read`, on a connection of their own that sees the last commit; they must
be short and must not keep a cursor, which would hold them at an old state.  Long ones go to :meth:`Database.read_aside`.
Checkpoints run in the writer when it has nothing else to do, and between batches once the log has grown by
:data:`OVERDUE_WAL` octets.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal, TryLater
from launcelot.workers.interface import Workers
from launcelot.workers.jobs import Job, Outcome, Together, lots_of, perform
from launcelot.workers.turns import turn

T = TypeVar("T")

BATCH = 256
"""Jobs in one transaction at most."""

CHECKPOINT_JOBS = 1_000
"""Jobs past which an idle writer moves the log into the file."""

CHECKPOINT_WAL = 16 << 20
"""Octets of log past which an idle writer moves it into the file, and to which a used-up log is cut."""

OVERDUE_WAL = 64 << 20
"""Octets by which the log may grow before it is moved into the file although jobs wait."""

PATIENCE = 10.0
"""Seconds that another process which has the file to itself is waited for, off the reactor thread."""

READ_CACHE_KIB = 512
"""Pages kept by each reading connection; there may be thousands of them."""

WRITE_CACHE_KIB = 2_048
"""Pages kept by a file's writing connection."""

class NewerSchema(Refusal):
    """The file was written by a newer program."""

    default_text = "the database was written by a newer version of Launcelot; upgrade, or restore an older copy"


Migration = Callable[[sqlite3.Connection], None]


class Database:
    """
    One SQLite file.

    :param path: the file; made with mode 0600 if it does not exist.
    :param migrations: steps from an empty file to the present schema, run in order, each once and atomically;
        ``user_version`` counts them.
    :param writer: where writing runs; one thread may serve many files.  Not owned, nor are the readers.
    :param readers: where long reads run.
    :param in_turn: other processes write it as much as we do, and the folder it is in is its own: see
        :mod:`launcelot.workers.turns`.
    :ivar synced: called in the writer's thread behind each sync; an OSError that it raises counts as that sync's failing, for
        tests: what was written is in the file, and everybody who waited for it is refused.
    """

    log = Logger(namespace="launcelot.database")
    synced: Callable[[], None] | None = None

    def __init__(
        self, path: Path, migrations: Sequence[Migration], writer: Workers, readers: Workers, *, in_turn: bool = False
    ) -> None:
        self.path = path
        self._wal = os.fspath(path.with_name(path.name + "-wal"))
        self._migrations = migrations
        self._writer = writer
        self._readers = readers
        self._in_turn = in_turn
        self._jobs: deque[Job] = deque()
        self._at_work = False
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._aside: list[sqlite3.Connection] = []
        self._aside_lock = Lock()
        self._closing: list[Deferred[None]] = []
        self._closed = False
        self._done = False
        self._unmoved_jobs = 0
        self._wal_size = 0
        self._wal_moved_at = 0

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self) -> Deferred[None]:
        """
        Make or open the file and bring its schema up to date, off the reactor thread.

        :raises NewerSchema: (through the Deferred) the file is from a newer program.
        :raises TryLater: (through the Deferred) the file cannot be opened or is damaged; its ``__cause__`` tells why.
        """
        return self.write(lambda connection: None)

    def _connect(self) -> sqlite3.Connection:
        if self._writing is None:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
                sync_directory(self.path.parent)
            connection = connect(self.path)
            try:
                if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
                    # Must be said before the first table is made; a file's owner may give space back bit by bit then.
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                keep_log(connection)
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_autocheckpoint=0")
                connection.execute(f"PRAGMA journal_size_limit={CHECKPOINT_WAL}")
                connection.execute("PRAGMA foreign_keys=ON")
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
        its own changes and comes back through the Deferred.  Cancelling the Deferred gives up waiting; the job is
        done all the same.

        :raises TryLater: (through the Deferred) nothing was stored: the disk failed or the database is closed.
        """
        if self._closed:
            return fail(TryLater())
        return self._add(Job(Deferred(), job))

    def write_together(self, together: Together, about: Any) -> Deferred[Any]:
        """
        As :meth:`write`, a job that is done together with those of the same ``together`` directly before and behind it.

        :param about: what ``together`` is to be handed of this job.
        :raises TryLater: (through the Deferred) as there.
        """
        if self._closed:
            return fail(TryLater())
        return self._add(Job(Deferred(), about, together))

    def _add(self, job: Job) -> Deferred[Any]:
        self._jobs.append(job)
        self._proceed()
        return job.waits

    def _proceed(self) -> None:
        """Give the writer what is to be done next, unless it has something."""
        if self._at_work or self._done:
            return
        if self._is_overdue() or (not self._jobs and not self._closed and self._is_checkpoint_due()):
            self._unmoved_jobs = 0
            self._give(self._checkpoint, self._checkpointed, self._no_checkpoint)
        elif self._jobs:
            self._give(self._write_batch, self._hand_back, self._refuse_jobs)
        elif self._closed:
            self._give(self._close_writing, self._finish, self._finish_without_writer)

    def _give(self, work: Callable[[], T], then: Callable[[T], None], refused: Callable[[Failure], None]) -> None:
        self._at_work = True
        self._writer.run(work).addCallbacks(then, refused).addErrback(self._log_bug)

    def _log_bug(self, failure: Failure) -> None:
        self.log.failure("database {path}", failure, path=str(self.path))

    def _write_batch(self) -> list[Outcome]:
        jobs = self._jobs
        batch = [jobs.popleft() for _ in range(min(len(jobs), BATCH))]
        try:
            lots = lots_of(batch)
            with turn(self.path.parent) if self._in_turn else nullcontext():
                found = perform(self._connect(), lots)
            outcomes = [(waits, self._told(outcome)) for waits, outcome in found]
            if self.synced is not None:
                self.synced()
            self._wal_size = size_of(self._wal)
        except (sqlite3.Error, OSError) as error:
            self.log.error("cannot write {path}: {error}", path=str(self.path), error=str(error))
            self._drop_writing()
            failure = refusal_because(error)
            return [(job.waits, failure) for job in batch]
        except Exception:  # noqa: BLE001 - a refusal to open or a bug in a migration, handed to whoever waits
            self._drop_writing()
            failure = Failure()
            return [(job.waits, failure) for job in batch]
        self._unmoved_jobs += len(batch)
        return outcomes

    def _told(self, outcome: Any) -> Any:
        """What whoever waits is told; SQL that the file does not understand is the file's failing, as in :meth:`read`."""
        if isinstance(outcome, Failure) and isinstance(outcome.value, sqlite3.OperationalError):
            self.log.error("cannot write {path}: {error}", path=str(self.path), error=str(outcome.value))
            return refusal_because(outcome.value)
        return outcome

    def _hand_back(self, outcomes: list[Outcome]) -> None:
        self._at_work = False
        self._proceed()
        for deferred, outcome in outcomes:
            deferred.callback(outcome)

    def _refuse_jobs(self, failure: Failure) -> None:
        """The writer takes no work; whoever waits is told."""
        self._at_work = False
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            job.waits.errback(failure)
        self._proceed()

    def _drop_writing(self) -> None:
        connection, self._writing = self._writing, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                self.log.error("closing {path}: {error}", path=str(self.path), error=str(error))

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def _is_overdue(self) -> bool:
        return self._wal_size - self._wal_moved_at > OVERDUE_WAL

    def _is_checkpoint_due(self) -> bool:
        return self._unmoved_jobs >= CHECKPOINT_JOBS or (self._unmoved_jobs > 0 and self._wal_size > CHECKPOINT_WAL)

    def _checkpoint(self) -> None:
        if self._writing is not None:
            self._writing.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _checkpointed(self, result: None) -> None:
        self._at_work = False
        self._wal_moved_at = self._wal_size
        self._proceed()

    def _no_checkpoint(self, failure: Failure) -> None:
        self.log.failure("checkpoint of {path} failed", failure, path=str(self.path))
        self._checkpointed(None)

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run a short read in the calling thread, which must be the reactor's; it sees everything committed.

        :raises TryLater: the file cannot be read, or the database is closed.
        """
        if self._closed:
            raise TryLater
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
        """
        Run a long read in a reader thread, on a connection of its own.

        :raises TryLater: (through the Deferred) the file cannot be read, too many reads wait, or the database is closed.
        """
        if self._closed:
            return fail(TryLater())
        return self._readers.run(lambda: self._read_with_own(job))

    def read_anywhere(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run a short read in the calling thread, whichever it is, on a connection of its own; it sees everything committed.

        :raises TryLater: the file cannot be read, or the database is closed.
        """
        if self._closed:
            raise TryLater
        return self._read_with_own(job)

    def _read_with_own(self, job: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = None
        try:
            connection = self._borrow()
            return job(connection)
        except sqlite3.Error as error:
            self.log.error("cannot read {path}: {error}", path=str(self.path), error=str(error))
            if connection is not None:
                connection.close()
                connection = None
            raise TryLater("storage is not available") from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def _borrow(self) -> sqlite3.Connection:
        with self._aside_lock:
            if self._aside:
                return self._aside.pop()
        return connect(self.path, read_only=True)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._aside_lock:
            if not self._closed:
                self._aside.append(connection)
                return
        connection.close()

    # -- closing -------------------------------------------------------------------------------------------------

    def close(self) -> Deferred[None]:
        """
        Refuse new jobs, finish those that wait, then close the file's connections; may be called again.

        A long read that has begun ends on its own connection and closes it then.
        """
        if self._done:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._closing.append(done)
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        with self._aside_lock:
            self._closed = True
            aside, self._aside = self._aside, []
        for connection in aside:
            connection.close()
        self._proceed()
        return done

    def _close_writing(self) -> None:
        if self._writing is not None:
            try:
                # Others' readers and writers, in this process or another, are not waited for.
                self._writing.execute("PRAGMA busy_timeout=0")
                self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                self.log.error("checkpoint of {path}: {error}", path=str(self.path), error=str(error))
        self._drop_writing()

    def _finish_without_writer(self, failure: Failure) -> None:
        """The writer was closed before its files; nothing of ours runs there any more, so let go from here."""
        self._drop_writing()
        self._finish(None)

    def _finish(self, result: None) -> None:
        self._at_work = False
        self._done = True
        closing, self._closing = self._closing, []
        for done in closing:
            done.callback(None)


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """A connection that trusts nothing the file says about functions and views, with explicit transactions only."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=PATIENCE
    )
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute(f"PRAGMA cache_size=-{READ_CACHE_KIB if read_only else WRITE_CACHE_KIB}")
    return connection


def keep_log(connection: sqlite3.Connection) -> None:
    """
    Put the file into WAL mode.

    Two processes that make a file at once are in each other's way here, where SQLite itself does not wait.

    :raises sqlite3.OperationalError: another process has the file to itself for longer than :data:`PATIENCE`.
    """
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > limit:
                raise
        time.sleep(0.005)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """
    Run the steps the file has not seen; each is one transaction with its version number.

    Another process may do the same at the same time.

    :raises NewerSchema: the file has seen more steps than there are.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise NewerSchema
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == number:
                migrations[number](connection)
                connection.execute(f"PRAGMA user_version={number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def script(statements: str) -> Migration:
    """A migration of several statements; ``executescript`` would commit before them and leave half a schema."""

    def migration(connection: sqlite3.Connection) -> None:
        statement = ""
        for line in statements.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""
        if statement.strip():
            raise ValueError("the last statement has no end")

    return migration


def refusal_because(error: Exception) -> Failure:
    """That nothing was stored; the cause is for the log and the operator, never for the peer."""
    refusal = TryLater("storage is not available")
    refusal.__cause__ = error
    return Failure(refusal)


def size_of(path: str) -> int:
    """A file's octets; 0 if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
