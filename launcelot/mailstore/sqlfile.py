"""
One account's mail file: opened when it is needed, closed when nobody has used it for long.

An :class:`AccountFile` outlives its open database: who holds it (or a mailbox made from it) need not know whether the file
is open.  Changes are shielded: cancelling a caller's Deferred gives up waiting, the change and the word to the watchers
still happen.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Gone, InUse, Refusal, TryLater
from launcelot.mailstore import bodies
from launcelot.mailstore.arrangements import Arrangements
from launcelot.mailstore.bodies import Prepared
from launcelot.mailstore.flaghistory import FlagHistory
from launcelot.mailstore.interface import INBOX, Appended, Draft, Furnishing, Scripted
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.rolls import Rolls
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlarriving import Addition, Arrival, analysed, append, arrive
from launcelot.mailstore.sqlwriting import Writing
from launcelot.mailstore.tending import Tending, next_piece
from launcelot.mailstore.watchers import Watchers
from launcelot.message.analysis import Analysis, analyse
from launcelot.workers.database import Database, connect, sync_directory
from launcelot.workers.interface import Workers
from launcelot.workers.jobs import Together
from launcelot.workers.staging import Buffer

T = TypeVar("T")

FILE_NAME = "mail.db"
LOCK_NAME = "maildrop.lock"
"""Beside it: whoever has the account for himself, in whatever process, holds a flock(2) on this."""
PREPARE_ASIDE = 65_536
"""Octets from which on a body is analysed in another thread, before it takes part in a transaction."""
AT_ONCE = 64
"""Large bodies that one change has prepared at a time."""


class AccountFile:
    """
    The mail file of one account.

    :param folder: the account's folder; made with mode 0700 when the file is.
    :param used: told each time the database is asked for, so that the store can close those not used for long.
    :param held: told when there is something to remember, so that the store does not forget this object.
    :ivar tending: told of changes, if anybody does in quiet moments what can wait.
    :ivar synced: see :class:`~launcelot.workers.database.Database`; of the next database that is opened.
    :param furnishing: what a new file has besides INBOX.
    :param several: other processes write it, too.
    :param disk: where large bodies are written, several at a time; the readers if there is nobody else.
    """

    log = Logger(namespace="launcelot.mailstore")

    def __init__(
        self,
        folder: Path,
        writer: Workers,
        readers: Workers,
        now: Callable[[], datetime],
        ids: Callable[[], str],
        used: Callable[[AccountFile], None],
        held: Callable[[AccountFile], None],
        furnishing: Furnishing = (),
        wrote: Callable[[AccountFile, Sequence[int]], None] = lambda file, mailboxes: None,
        several: bool = False,
        disk: Workers | None = None,
    ) -> None:
        self.folder = folder
        self._lock_path = str(folder / LOCK_NAME)
        self._watchers = Watchers()
        self.rolls = Rolls()
        self.arrangements = Arrangements()
        self.flag_history = FlagHistory()
        self._locked = False
        self._lock: int | None = None
        self.ended: type[Refusal] | None = None
        self.tending: Tending | None = None
        self.synced: Callable[[], None] | None = None
        self._writer = writer
        self._readers = readers
        self._now = now
        self._ids = ids
        self._used = used
        self._held = held
        self._furnishing = furnishing
        self._wrote = wrote
        self._several = several
        self._disk = readers if disk is None else disk
        self._database: Database | None = None
        self._busy = 0
        self._quiet: list[Deferred[None]] = []
        self._opening = False
        self._waiters: list[Deferred[None]] = []
        self._closing: Deferred[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether its database may be closed without anybody noticing."""
        return not (self._busy or self._opening)

    @property
    def watched(self) -> bool:
        """Whether anybody wants to hear of changes, as sessions do that have a mailbox selected."""
        return bool(self._watchers)

    @property
    def remembers(self) -> bool:
        """Whether there are watchers or a lock, which must not be forgotten."""
        return self._locked or bool(self._watchers)

    # -- what is remembered while the file is closed -------------------------------------------------------------

    def watch(self, mailbox: int, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change of a mailbox, until the function that is returned is called."""
        stop = self._watchers.watch(mailbox, changed)
        self._held(self)
        return stop

    def watch_all(self, changed: Callable[[Collection[int]], None]) -> Callable[[], None]:
        """Have ``changed`` called with the mailboxes of every change, until the function that is returned is called."""
        stop = self._watchers.watch_all(changed)
        self._held(self)
        return stop

    def lock(self) -> Callable[[], None]:
        """
        Take the account for one session, of all processes; the kernel lets go of it should ours be killed.

        :raises InUse: another session has it.
        :raises TryLater: the lock's file cannot be opened.
        """
        self.check()
        if self._locked:
            raise InUse("another session has the mailbox open")
        self._take_lock()
        self._locked = True
        self._held(self)
        taken = [True]

        def release() -> None:
            if taken:
                taken.clear()
                self._locked = False
                self._give_lock_back()

        return release

    def _take_lock(self) -> None:
        # Never the database itself: closing any descriptor of it would drop SQLite's own locks.
        if self._lock is None:
            try:
                self._lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError as error:
                self.log.error("cannot lock {folder}: {error}", folder=str(self.folder), error=str(error))
                raise TryLater("storage is not available") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if self._database is None:
                self._close_lock()
            raise InUse("another session has the mailbox open") from error

    def _give_lock_back(self) -> None:
        # The descriptor stays for the next session while the database does.
        if self._database is None:
            self._close_lock()
        elif self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _close_lock(self) -> None:
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)

    # -- opening and closing -------------------------------------------------------------------------------------

    async def opened(self) -> Database:
        """
        The open database.

        :raises Gone: the account's mail has been removed.
        :raises TryLater: the file cannot be opened, or the store has been closed.
        """
        while True:
            self.check()
            if self._database is not None:
                self._used(self)
                return self._database
            waiter: Deferred[None] = Deferred()
            self._waiters.append(waiter)
            if not self._opening:
                self._opening = True
                Deferred.fromCoroutine(self._open()).addBoth(self._end_opening)
            await waiter

    def check(self) -> None:
        """Refuse what comes after :meth:`end`."""
        if self.ended is not None:
            raise self.ended

    async def _open(self) -> None:
        if self._closing is not None:
            await self._closing
            self._closing = None
        await self._writer.run(self._make_folder)
        database = Database(self.folder / FILE_NAME, MIGRATIONS, self._writer, self._readers, in_turn=self._several)
        await database.open()
        if database.read(_is_new):
            await database.write(self._furnish)
        database.synced = self.synced
        self._database = database
        if self.tending is not None and self.tending.is_unswept(self.folder) and (self.folder / bodies.FOLDER).is_dir():
            self.wants_tending()

    def _make_folder(self) -> None:
        if (self.folder / FILE_NAME).exists():
            return
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            # Also where it was there: whoever made it may have been killed, or failed, before this.
            sync_directory(self.folder.parent)
        except OSError as error:
            self.log.error("cannot make {folder}: {error}", folder=str(self.folder), error=str(error))
            raise TryLater("storage is not available") from error

    def _furnish(self, connection: sqlite3.Connection) -> None:
        if _is_new(connection):
            writing = Writing(connection, None, self._now, self._ids)
            writing.add_mailbox(INBOX, "")
            for name, special_use in self._furnishing:
                writing.subscribe(writing.create(name, special_use), True)

    def _end_opening(self, result: Any) -> None:
        self._opening = False
        self._settle()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(result)

    def close(self) -> Deferred[None]:
        """Close the database, which is :attr:`idle` now; the next use opens it again."""
        database, self._database = self._database, None
        if not self._locked:
            self._close_lock()
        self.rolls.clear()
        self.arrangements.clear()
        self.flag_history.clear()
        if database is not None:
            self._closing = database.close()
        return succeed(None) if self._closing is None else shielded(self._closing)

    async def end(self, refusal: type[Refusal]) -> None:
        """Refuse everything from now on, finish what is under way, then close the database."""
        self.ended = refusal
        while self._busy or self._opening:
            quiet: Deferred[None] = Deferred()
            self._quiet.append(quiet)
            await quiet
        await self.close()

    async def remove(self) -> None:
        """Close the database for good and remove the folder."""
        await self.end(Gone)
        await self._writer.run(self._remove_folder)
        self._watchers.notify_all()

    async def leave(self) -> None:
        """Close the database for good, because another process is about to remove the folder."""
        await self.end(Gone)
        self._watchers.notify_all()

    def _remove_folder(self) -> None:
        # Renamed first, so that a crash leaves either all of an account's mail or none of it.
        grave = self.folder.with_name(f".removed-{self._ids()}")
        try:
            os.rename(self.folder, grave)
        except FileNotFoundError:
            return
        sync_directory(self.folder.parent)
        for left in self.folder.parent.glob(".removed-*"):
            # Of this removal or of one that a crash cut short; another thread may be removing it, too.
            shutil.rmtree(left, ignore_errors=True)

    def _settle(self) -> None:
        if not (self._busy or self._opening):
            quiet, self._quiet = self._quiet, []
            for waiter in quiet:
                waiter.callback(None)

    # -- using it ------------------------------------------------------------------------------------------------

    async def write(self, job: Callable[[Writing], T], limits: Limits | None = None) -> T:
        """Run a change and tell the watchers of every mailbox it touched; what it returns is on disk."""
        self.wants_tending()
        return await self._write(job, limits)

    def wants_tending(self) -> None:
        """Have the file tended when it is quiet."""
        if self.tending is not None:
            self.tending.changed(self)

    async def tend(self) -> bool:
        """Do one piece of what can wait for a quiet moment, off the reactor thread; False if there is none left."""
        if self.tending is not None and self.tending.is_unswept(self.folder):
            self.tending.swept.add(self.folder)
            await self._sweep()
        piece = await self.read_aside(next_piece)
        if piece is None:
            return False
        await self._write(lambda writing: piece(writing.connection))
        return True

    async def _write(self, job: Callable[[Writing], T], limits: Limits | None = None) -> T:
        database = await self.opened()

        def run(connection: sqlite3.Connection) -> tuple[T, list[int], list[str]]:
            writing = Writing(connection, limits, self._now, self._ids)
            return job(writing), sorted(writing.touched), writing.dropped

        self._busy += 1
        outcome = await shielded(database.write(run).addBoth(self._written))
        return cast(T, outcome)

    async def arrive(self, arrival: Arrival) -> Appended | None:
        """
        Have a message put into the inbox, together with what else arrives; it is on disk then.

        :raises Scripted: see :meth:`launcelot.mailstore.interface.AccountMail.deliver`.
        :raises OverQuota: the account is full.
        """
        return cast("Appended | None", await self._together(self._arriving, arrival))

    async def append(self, addition: Addition) -> Appended:
        """
        Have a short message put into a mailbox, together with what others put anywhere; it is on disk then.

        :raises Refusal: it cannot be, by itself.
        """
        return cast(Appended, await self._together(self._appending, addition))

    async def _together(self, together: Together, about: Any) -> Any:
        self.wants_tending()
        database = await self.opened()
        self._busy += 1
        return await shielded(database.write_together(together, about).addBoth(self._written))

    def _arriving(self, arrivals: Sequence[Arrival]) -> Callable[[sqlite3.Connection], Sequence[Any]]:
        """What :meth:`Database.write_together` does, in the writer's thread."""
        analyses = analysed(arrivals)
        return self._answering(lambda writing: arrive(writing, arrivals, analyses))

    def _appending(self, additions: Sequence[Addition]) -> Callable[[sqlite3.Connection], Sequence[Any]]:
        analyses = [analyse(one.body) for one in additions]
        return self._answering(lambda writing: append(writing, additions, analyses))

    def _answering(self, job: Callable[[Writing], Sequence[Any]]) -> Callable[[sqlite3.Connection], Sequence[Any]]:
        def work(connection: sqlite3.Connection) -> list[Any]:
            writing = Writing(connection, None, self._now, self._ids)
            answers = job(writing)
            # One of them tells the watchers.
            touched = iter([sorted(writing.touched)])
            return [one if isinstance(one, Failure) else (one, next(touched, ()), ()) for one in answers]

        return work

    def _written(self, outcome: Any) -> Any:
        self._busy -= 1
        self._settle()
        if isinstance(outcome, Failure):
            return outcome
        result, touched, dropped = outcome
        if dropped:
            self._discard(dropped)
        self._watchers.notify(touched)
        if touched:
            self._wrote(self, touched)
        return result

    # -- large bodies --------------------------------------------------------------------------------------------

    async def add(
        self,
        drafts: Sequence[Draft],
        job: Callable[[Writing, Sequence[Prepared | None]], T],
        limits: Limits | None = None,
    ) -> T:
        """
        Run a change that adds messages, after what takes long has been made of their bodies, in other threads than the writer's.

        :param job: is handed what was made of each of ``drafts``; None where it is to be made while writing.
        """
        if all(draft.size < PREPARE_ASIDE for draft in drafts):
            return await self.write(lambda writing: job(writing, [None] * len(drafts)), limits)
        return await shielded(Deferred.fromCoroutine(self._add(drafts, job, limits)))

    async def _add(
        self, drafts: Sequence[Draft], job: Callable[[Writing, Sequence[Prepared | None]], T], limits: Limits | None
    ) -> T:
        prepared: list[Prepared | None] = []
        unnamed: list[str] = []
        self._busy += 1
        try:
            await self.opened()
            for draft in drafts:
                prepared.append(await self._prepared(draft, len(prepared)))
            return await self.write(lambda writing: job(writing, prepared), limits)
        except (Refusal, Scripted) as refusal:
            if not isinstance(refusal, TryLater):
                # The job was undone; after an error of the disk a row may come back with a crash, so sweeping looks first.
                unnamed = [one.kept.name for one in prepared if one is not None and one.kept is not None]
            raise
        finally:
            self._let_go(prepared, unnamed)
            self._busy -= 1
            self._settle()

    async def _prepared(self, draft: Draft, number: int) -> Prepared | None:
        if draft.size < PREPARE_ASIDE:
            return None
        if draft.size <= bodies.LARGE:
            return await self._readers.run(lambda: Prepared(analyse(draft.body())))
        # Each holds a descriptor until it is named; those beyond some are written by the writer.
        return await self._disk.run(lambda: bodies.prepare(self.folder, draft.body())) if number < AT_ONCE else None

    def _let_go(self, prepared: Sequence[Prepared | None], unnamed: list[str]) -> None:
        kept = [one.kept for one in prepared if one is not None and one.kept is not None]
        names = {*unnamed, *(one.name for one in kept if not one.named)}
        if names:
            self._discard(names)
        for one in kept:
            one.release()

    def _discard(self, names: Collection[str]) -> None:
        """Remove files of bodies that are not used, outside the reactor thread."""
        folder = self.folder / bodies.FOLDER
        self._disk.run(lambda: bodies.discard(folder, names)).addCallbacks(self._discarded, self._kept)

    def _discarded(self, done: bool) -> None:
        if not done and self.tending is not None:
            # Somebody makes a backup; later they are found by sweeping.
            self.tending.swept.discard(self.folder)
            self.wants_tending()

    def _kept(self, failure: Failure) -> None:
        if failure.check(OSError):
            self.log.error("cannot remove bodies of {folder}: {error}", folder=str(self.folder), error=str(failure.value))
        elif not failure.check(Refusal):
            self.log.failure("removing bodies failed", failure)

    async def _sweep(self) -> None:
        """Remove files of bodies that a crash has left."""
        self._busy += 1
        try:
            count = await self._disk.run(lambda: swept(self.folder))
        finally:
            self._busy -= 1
            self._settle()
        if count:
            self.log.info("{count} bodies without a message removed from {folder}", count=count, folder=str(self.folder))

    def changed(self, mailboxes: Iterable[int] | None) -> None:
        """Another process has changed these mailboxes, or any of them; mending changes even what never changes otherwise."""
        self.arrangements.clear()
        if mailboxes is None:
            self._watchers.notify_all()
        else:
            self._watchers.notify(mailboxes)

    def _have_read(self, outcome: T) -> T:
        self._busy -= 1
        self._settle()
        return outcome

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a short read now, all of it on one commit."""
        database = await self.opened()
        return database.read(lambda connection: at_once(connection, job))

    async def read_aside(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a long read in a reader thread, all of it on one commit."""
        database = await self.opened()
        self._busy += 1
        return await shielded(database.read_aside(lambda connection: at_once(connection, job)).addBoth(self._have_read))

    async def analysis(self, body: Buffer) -> Analysis | None:
        """The analysis of a larger body, made in a reader thread; None for a small one, analysed where it is written."""
        if len(body) < PREPARE_ASIDE:
            return None
        return await self._readers.run(lambda: analyse(body))


def swept(folder: Path) -> int:
    """How many files of bodies were removed from an account's folder because nothing names them."""
    if not (folder / bodies.FOLDER).is_dir():
        return 0
    connection = connect(folder / FILE_NAME)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        return bodies.sweep(connection)
    except sqlite3.Error as error:
        raise TryLater("storage is not available") from error
    finally:
        connection.close()


def at_once(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    """
    What ``job`` reads from one commit.

    If a body was removed since that commit, the job begins again at the present one, where its message is not there any more.
    """
    missing: set[str] = set()
    while True:
        connection.execute("BEGIN")
        try:
            return job(connection)
        except bodies.Missing as error:
            if error.name in missing:
                raise
            missing.add(error.name)
        finally:
            connection.execute("COMMIT")


def shielded(done: Deferred[T]) -> Deferred[T]:
    """A Deferred that ends like ``done``; cancelling it leaves ``done`` alone."""
    waiting: Deferred[T] = Deferred()

    def hand_on(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure) and not result.check(Refusal):
            AccountFile.log.failure("a change nobody waited for failed", result)

    done.addBoth(hand_on)
    return waiting


def _is_new(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM mailboxes WHERE name = ?", (INBOX,)).fetchone() is None
