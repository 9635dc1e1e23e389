"""
Mail in SQLite: one file for each account, so that an account can be copied, moved, restored or removed by itself.

``<folder>/<account id>/mail.db`` is opened at first use; of those open, the ones longest unused are closed when there are more
than ``open_files``, watched or not, and those that nobody watches some :data:`REST` seconds after their last use.  An account's
file is always written by the same one of a few threads.  Large bodies are in a folder beside it (:mod:`.bodies`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from launcelot.core.errors import Invalid, TryLater
from launcelot.core.ids import AccountId
from launcelot.mailstore.interface import AccountMail, Furnishing, nothing_beside
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.sqlaccount import SqliteAccountMail
from launcelot.mailstore.sqlfile import AccountFile, shielded
from launcelot.mailstore.tending import Tending
from launcelot.workers.heap import give_back
from launcelot.workers.interface import Workers

OPEN_FILES = 500
"""Accounts whose files are open at once; each takes about seven descriptors, and a few MiB of cache when it is busy."""
REST = 60.0
"""Seconds after which a file is closed that nobody uses or watches: open it takes 350 KiB, opening it again a millisecond."""
SWEEP = 100
"""Closed files held before those that need not be are looked for."""


class SqliteMailStore:
    """
    The mail of all accounts.

    :param folder: holds a folder for each account; made when the first is.
    :param writers: where files are written, one of them for each account; each must run one job at a time.
    :param readers: where long reads and the analysis of large messages run.
    :param now: the wall clock, aware; called in the writers' threads, like ``ids``.
    :param ids: gives a fresh identifier each time.
    :param open_files: largest number of unused files left open.
    :param wrote: told of every change that is on disk, by account and mailboxes, so that other processes' stores on the
        same folder can be told with :meth:`changed`.
    :param furnishing: what a new account has besides INBOX; its names are possible ones.
    :param several: other processes have a store on the same folder, and write as much.
    :param disk: where large bodies are written, several at a time; the readers if there is nobody else.
    :param clock: monotonic; with one, files are tended in quiet moments (:mod:`launcelot.mailstore.tending`).

    The workers belong to the caller, who closes them after the store.
    """

    def __init__(
        self,
        folder: Path,
        writers: Sequence[Workers],
        readers: Workers,
        now: Callable[[], datetime],
        ids: Callable[[], str],
        open_files: int = OPEN_FILES,
        furnishing: Furnishing = (),
        wrote: Callable[[AccountId, Sequence[int]], None] = lambda account, mailboxes: None,
        clock: IReactorTime | None = None,
        several: bool = False,
        disk: Workers | None = None,
    ) -> None:
        self._folder = folder
        self._writers = tuple(writers)
        self._readers = readers
        self._disk = disk
        self._now = now
        self._ids = ids
        self._limit = max(open_files, 1)
        self._wrote = wrote
        self._several = several
        self._furnishing = tuple(furnishing)
        # Who uses an account holds its file; the store itself holds those that are open, watched or locked.
        self._files: WeakValueDictionary[AccountId, AccountFile] = WeakValueDictionary()
        self._held: dict[AccountFile, None] = {}
        self._tending = None if clock is None else Tending(clock)
        self._sweep_at = SWEEP
        self._removals: dict[AccountId, Deferred[None]] = {}
        self._closed = False
        # The files in the order of their last use, with its time.
        self._open: OrderedDict[AccountFile, float] = OrderedDict()
        self._clock = clock
        self._resting: IDelayedCall | None = None
        self.beside: Callable[[AccountId], int] = nothing_beside
        self.synced: Callable[[], None] | None = None
        self._let_some_go = False

    async def mail(self, account: AccountId, quota: int = 0, messages: int = 0) -> AccountMail:
        """
        An account's mail, made with an INBOX at first use.

        :raises TryLater: its file cannot be opened.
        """
        if self._closed:
            raise TryLater
        while account in self._removals:
            await shielded(self._removals[account])
        file = self._file(account)
        await file.opened()
        return SqliteAccountMail(file, Limits(quota, messages, partial(self.beside, account)))

    async def remove(self, account: AccountId) -> None:
        """Remove an account's mail; sessions that have it open find it gone."""
        while account in self._removals:
            await shielded(self._removals[account])
        file = self._file(account)
        removed: Deferred[None] = Deferred()
        self._removals[account] = removed
        try:
            await file.remove()
        finally:
            self._end_removal(account, file)

    # -- other processes -----------------------------------------------------------------------------------------

    def changed(self, account: AccountId, mailboxes: Iterable[int] | None = None) -> None:
        """Another process has changed some mailboxes of an account; None for any of them."""
        file = self._files.get(account)
        if file is not None:
            file.changed(mailboxes)

    def changed_somewhere(self) -> None:
        """Other processes may have changed anything."""
        for file in list(self._files.values()):
            file.changed(None)

    async def leave(self, account: AccountId) -> Callable[[], None]:
        """
        Let go of an account that another process is about to remove; sessions that have it open find it gone.

        :returns: called when it has been removed; until then whoever asks for the account waits.
        """
        while account in self._removals:
            await shielded(self._removals[account])
        removed: Deferred[None] = Deferred()
        self._removals[account] = removed
        file = self._files.get(account)
        try:
            if file is not None:
                await file.leave()
        except BaseException:
            self._end_removal(account, file)
            raise
        return lambda: self._end_removal(account, file)

    def _end_removal(self, account: AccountId, file: AccountFile | None) -> None:
        self._files.pop(account, None)
        if file is not None:
            self._open.pop(file, None)
            self._held.pop(file, None)
        removed = self._removals.pop(account, None)
        if removed is not None:
            removed.callback(None)

    def _have_written(self, file: AccountFile, mailboxes: Sequence[int]) -> None:
        self._wrote(AccountId(file.folder.name), mailboxes)

    async def close(self) -> None:
        """Finish what is being written and let go of the files; refuse everything that comes later."""
        self._closed = True
        if self._tending is not None:
            self._tending.close()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        for file in list(self._files.values()):
            await file.end(TryLater)
        self._open.clear()
        self._held.clear()

    def _file(self, account: AccountId) -> AccountFile:
        file = self._files.get(account)
        if file is None:
            if not account or account.startswith(".") or "/" in account or "\0" in account:
                raise Invalid("impossible account id")
            writer = self._writers[crc32(account.encode()) % len(self._writers)]
            folder = self._folder / account
            file = AccountFile(
                folder,
                writer,
                self._readers,
                self._now,
                self._ids,
                self._use,
                self._hold,
                self._furnishing,
                self._have_written,
                self._several,
                self._disk,
            )
            file.tending = self._tending
            file.synced = self.synced
            self._files[account] = file
        return file

    def _use(self, file: AccountFile) -> None:
        """Note that a file is used; close one that has not been for long if too many are open."""
        self._held.pop(file, None)
        self._open[file] = 0.0 if self._clock is None else self._clock.seconds()
        self._open.move_to_end(file)
        self._wait()
        if len(self._open) <= self._limit:
            return
        oldest = next(iter(self._open))
        if not oldest.idle:
            self._open.move_to_end(oldest)
            return
        self._let_go(oldest)

    def _let_go(self, file: AccountFile) -> None:
        del self._open[file]
        file.close()
        if file.remembers:
            self._hold(file)

    def _wait(self) -> None:
        if self._resting is None and self._clock is not None and not self._closed:
            self._resting = self._clock.callLater(REST / 4, self._rest)

    def _rest(self) -> None:
        """Close what has been quiet, and come again while anything is open."""
        self._resting = None
        if self._clock is None:
            return
        if self._let_some_go:
            # Those of the last time are closed by now; the system gets what they took, outside the reactor thread.
            self._readers.run(give_back).addErrback(lambda failure: failure.trap(TryLater))
        before = self._clock.seconds() - REST
        quiet = [file for file, used in self._open.items() if used <= before and file.idle and not file.watched]
        for file in quiet:
            self._let_go(file)
        self._let_some_go = bool(quiet)
        if self._open or quiet:
            self._wait()

    def _hold(self, file: AccountFile) -> None:
        """Keep what is remembered of a closed file, and at times forget those of which nothing is any more."""
        if file in self._open:
            return
        self._held[file] = None
        if len(self._held) >= self._sweep_at:
            self._held = {other: None for other in self._held if other.remembers}
            self._sweep_at = 2 * len(self._held) + SWEEP
