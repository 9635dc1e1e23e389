"""
What is done with mail files in quiet moments: blocks of messages are digested, the text index is carried on, or made anew when
most of it has gone, the expunge log is cut where it is longest, space of removed mail is given back to the system, and files of
bodies that a crash has left are removed.

Everything here may as well be done later or never; it is done in pieces of some ten milliseconds outside the reactor thread,
one file at a time, and a file that somebody changes meanwhile is left alone until it is quiet again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal
from launcelot.mailstore import digests, textindex

if TYPE_CHECKING:
    from launcelot.mailstore.sqlfile import AccountFile

QUIET = 2.0
"""Seconds without a change after which a file is tended."""
PATIENCE = 30.0
"""Seconds after which it is tended although changes go on; the pieces take turns with them."""
LOG_KEPT = 50_000
"""Removed messages of a mailbox that are remembered at least, and twice as many at most; each takes some ten octets."""

UNUSED_PAGES = 512
"""Unused pages that are always borne with, and how many are given back in one piece; past that, a quarter of the file."""

Piece = Callable[[sqlite3.Connection], object]


class Tending:
    """
    Files that were changed, until they have been tended.

    :param clock: monotonic.
    :ivar swept: folders in which it was looked for bodies that a crash has left; for each once while we run.
    """

    log = Logger(namespace="launcelot.mailstore")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.swept: set[Path] = set()
        self._changed: dict[AccountFile, tuple[float, float]] = {}
        self._timer: IDelayedCall | None = None
        self._busy = False
        self._closed = False

    def changed(self, file: AccountFile) -> None:
        """Somebody changed a file, or found that its index does not reach far enough."""
        now = self._clock.seconds()
        since = self._changed.get(file)
        self._changed[file] = (now if since is None else since[0], now)
        self._wait()

    def is_unswept(self, folder: Path) -> bool:
        """Whether an account's folder is still to be looked through for such bodies."""
        return folder not in self.swept

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._changed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer is None and not self._busy and not self._closed and self._changed:
            self._timer = self._clock.callLater(QUIET, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for file, (first, last) in self._changed.items():
            if now - last >= QUIET or now - first >= PATIENCE:
                del self._changed[file]
                self._busy = True
                Deferred.fromCoroutine(self._tend(file)).addErrback(self._failed).addBoth(self._tended)
                return
        self._wait()

    async def _tend(self, file: AccountFile) -> None:
        ends = self._clock.seconds() + PATIENCE
        while not self._closed and await file.tend():
            if file in self._changed and self._clock.seconds() < ends:
                return

    def _failed(self, failure: Failure) -> None:
        if not failure.check(Refusal):
            self.log.failure("tending a mail file failed", failure)

    def _tended(self, result: None) -> None:
        self._busy = False
        self._wait()


def next_piece(connection: sqlite3.Connection) -> Piece | None:
    """
    What is to be done next; the piece itself runs in a write transaction.

    Runs in a reader thread, as the texts of an index are decoded here.
    """
    if textindex.wasteful(connection):
        return textindex.reset
    for mailbox, floor in long_logs(connection):
        return lambda writing: cut_log(writing, mailbox, floor)
    blocks = digests.missing(connection)
    if blocks:
        return lambda writing: digests.make(writing, blocks)
    gone = textindex.departed(connection)
    if gone:
        return lambda writing: textindex.remove(writing, gone)
    some = textindex.gather(connection)
    if some is not None:
        return lambda writing: textindex.add(writing, some)
    return give_back if unused_pages(connection) else None


def unused_pages(connection: sqlite3.Connection) -> bool:
    """Whether much of the file is of no use, and can be given back bit by bit."""
    unused: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    incremental = connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
    return incremental and unused > UNUSED_PAGES and unused > pages // 4


def give_back(connection: sqlite3.Connection) -> None:
    """Give some pages back to the system; the module executes this statement for one at a time."""
    for _ in range(UNUSED_PAGES):
        connection.execute("PRAGMA incremental_vacuum(1)")


def long_logs(connection: sqlite3.Connection, kept: int = LOG_KEPT) -> list[tuple[int, int]]:
    """Mailboxes that remember more than twice as many removals as they must, and the MODSEQ up to which they may forget."""
    long = connection.execute(
        "SELECT mailbox FROM expunged GROUP BY mailbox HAVING count(*) > ?", (2 * kept,)
    ).fetchall()
    floors = []
    for (mailbox,) in long:
        row = connection.execute(
            "SELECT modseq FROM expunged WHERE mailbox = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?", (mailbox, kept)
        ).fetchone()
        floors.append((mailbox, row[0]))
    return floors


def cut_log(connection: sqlite3.Connection, mailbox: int, floor: int) -> None:
    """Forget what was removed up to a MODSEQ; who asks about an earlier one hears of every UID that is not there."""
    connection.execute("DELETE FROM expunged WHERE mailbox = ? AND modseq <= ?", (mailbox, floor))
    connection.execute("UPDATE mailboxes SET forgotten_to = max(forgotten_to, ?) WHERE number = ?", (floor, mailbox))
