"""
The spool in one SQLite file: what :meth:`SqliteSpool.accept` has answered is on disk.

One message is one job of :class:`~launcelot.workers.database.Database`, so all messages that wait share a transaction and
a sync.  Bodies lie in pieces of :data:`CHUNK` octets.  Rows are keyed by the message's number and a small index in one
integer, so that no second index has to be written::

    messages(number, id, sender, user, received, size)
    accepted(id)                          of those that may be handed over again
    chunks(key, data)                     key = number * 65536 + piece
    recipients(key, account, address, state, attempts, next_attempt, last_error)
                                          key = number * 65536 + place in the envelope; state 0 waits, 1 is held
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.counters import Counters
from launcelot.core.errors import Invalid, Refusal, TooLarge, TryLater
from launcelot.core.ids import AccountId
from launcelot.message.address import Address, parse_mailbox
from launcelot.spool.courier import CONCURRENCY, Body, Courier, Mail, Pending, forget_nothing
from launcelot.spool.interface import Accepted, Delivery, Envelope, Forget, SpoolId, SpoolRecipient, Waiting
from launcelot.spool.schedule import Schedule
from launcelot.workers.database import Database
from launcelot.workers.staging import IN_MEMORY, Staged, Staging

CHUNK = 262_144
"""Octets of a body in one row."""

SPAN = 65_536
"""Pieces and recipients one message may have."""

LOAD_BATCH = 2_000
"""Rows read at once when an earlier run's mail is taken up."""

STATE_WAITING = 0
STATE_HELD = 1


def first_schema(connection: sqlite3.Connection) -> None:
    """The tables above."""
    connection.execute(
        "CREATE TABLE messages (number INTEGER PRIMARY KEY, id TEXT NOT NULL, sender TEXT NOT NULL, user TEXT NOT NULL,"
        " received REAL NOT NULL, size INTEGER NOT NULL)"
    )
    connection.execute("CREATE TABLE chunks (key INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    connection.execute(
        "CREATE TABLE recipients (key INTEGER PRIMARY KEY, account TEXT NOT NULL, address TEXT NOT NULL,"
        " state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL NOT NULL DEFAULT 0,"
        " last_error TEXT NOT NULL DEFAULT '')"
    )


def accepted_once(connection: sqlite3.Connection) -> None:
    """Ids that may come again."""
    connection.execute("CREATE TABLE accepted (id TEXT PRIMARY KEY) WITHOUT ROWID")


MIGRATIONS = (first_schema, accepted_once)
"""For the :class:`~launcelot.workers.database.Database` that is handed in."""


class SqliteSpool:
    """
    A :class:`~launcelot.spool.interface.Spool` over one database.

    :param database: made with :data:`MIGRATIONS`; opened by :meth:`start` and closed by :meth:`close`.
    :param staging: for large bodies that are read again.
    :param deliver: puts mail into mailboxes.
    :param clock: monotonic, for timers.
    :param now: wall-clock seconds.
    :param forget: told of delivery keys whose rows are durably gone.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(
        self,
        database: Database,
        staging: Staging,
        deliver: Delivery,
        clock: IReactorTime,
        now: Callable[[], float],
        counters: Counters | None = None,
        forget: Forget = forget_nothing,
        schedule: Schedule | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._database = database
        self._staging = staging
        self._now = now
        self._courier = Courier(self, deliver, clock, now, counters or Counters(), forget, schedule, concurrency)
        self._next_number = 0
        self._serving = False

    @property
    def under_way(self) -> int:
        """Messages being delivered now or next."""
        return self._courier.under_way

    async def start(self) -> None:
        """
        Open the file, take up what an earlier run left, then serve.

        :raises Refusal: the file cannot be opened or read.
        """
        await self._database.open()
        self._next_number = 1 + await self._database.read_aside(last_number)
        after = -1
        while True:
            rows = await self._database.read_aside(lambda connection, after=after: read_waiting(connection, after))  # type: ignore[misc]
            for mail in mails(rows):
                self._courier.take(mail)
            if len(rows) < LOAD_BATCH:
                break
            after = rows[-1][0]
        self._serving = True

    async def accept(self, envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        """Take a message; see :meth:`launcelot.spool.interface.Spool.accept`."""
        if not self._serving:
            body.close()
            raise TryLater
        if not 1 <= len(envelope.recipients) <= SPAN or body.size > CHUNK * SPAN:
            body.close()
            raise TooLarge("a message has 1 to 65,536 recipients and at most 16 GiB")
        mail = Mail(self._next_number, envelope, self._now(), body.size)
        self._next_number += 1
        for index, recipient in enumerate(envelope.recipients):
            mail.add(recipient, index)
        written = self._database.write(lambda connection: write_mail(connection, mail, body, once))
        waits: Deferred[bool] = Deferred()
        # The caller may be cancelled when its peer goes; the message then is on disk all the same and must be carried.
        written.addCallbacks(
            self._written, self._not_written, callbackArgs=(mail, body, waits), errbackArgs=(body, waits)
        )
        is_new = await waits
        return Accepted(envelope.id, mail.delivered if is_new else succeed(None))

    def _written(self, is_new: bool, mail: Mail, body: Staged, waits: Deferred[bool]) -> None:
        if is_new:
            self._courier.take(mail, body)
        else:
            body.close()
        waits.callback(is_new)

    def _not_written(self, failure: Failure, body: Staged, waits: Deferred[bool]) -> None:
        body.close()
        if not failure.check(Refusal):
            self.log.failure("a message could not be written", failure)
            failure = Failure(TryLater())
        waits.errback(failure)

    async def forget_accepted(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids of messages that will not be handed over again."""
        await self._database.write(
            lambda connection: connection.executemany("DELETE FROM accepted WHERE id = ?", [(one,) for one in ids])
        )

    async def waiting(self) -> Sequence[Waiting]:
        """Everything not delivered, oldest first."""
        return self._courier.waiting()

    async def close(self) -> None:
        """Let deliveries under way finish; the rest stays on disk for the next start."""
        self._serving = False
        await self._courier.close()
        await self._database.close()

    # -- the courier's shelf -------------------------------------------------------------------------------------

    async def fetch(self, mail: Mail) -> Body:
        """A mail's octets, in memory while small."""
        body = self._staging.begin()
        step = max(1, IN_MEMORY // CHUNK)
        for first in range(0, max(1, -(-mail.size // CHUNK)), step):
            for data in await self._database.read_aside(
                lambda connection, first=first: read_chunks(connection, mail.number, first, step)  # type: ignore[misc]
            ):
                await body.write(data)
        if body.size != mail.size:
            self.log.error("{id} has {found} of {size} octets", id=mail.envelope.id, found=body.size, size=mail.size)
            body.close()
            raise TryLater("the message is damaged")
        return body

    async def remove(self, delivered: Sequence[Pending]) -> None:
        """Delete rows of recipients and, with the last, of the message."""
        await self._database.write(lambda connection: delete_rows(connection, delivered))

    async def note(self, pending: Pending) -> None:
        """Update the recipient's row."""
        row = (
            STATE_HELD if pending.held else STATE_WAITING,
            pending.attempts,
            pending.next_attempt,
            pending.last_error,
            pending.mail.number * SPAN + pending.index,
        )
        await self._database.write(lambda connection: update_row(connection, row))


# -- in the database's threads -------------------------------------------------------------------------------------

Row = tuple[int, str, str, str, float, int, str, str, int, int, float, str]


def write_mail(connection: sqlite3.Connection, mail: Mail, body: Staged, once: bool = False) -> bool:
    """Insert one message; False, and nothing, if its id was accepted once before."""
    envelope = mail.envelope
    if once and not connection.execute("INSERT OR IGNORE INTO accepted VALUES (?)", (envelope.id,)).rowcount:
        return False
    sender = "" if envelope.sender is None else str(envelope.sender)
    base = mail.number * SPAN
    connection.execute(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
        (mail.number, envelope.id, sender, envelope.user, mail.received, mail.size),
    )
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?)", ((base + piece, data) for piece, data in enumerate(body.chunks(CHUNK)))
    )
    connection.executemany(
        "INSERT INTO recipients (key, account, address) VALUES (?, ?, ?)",
        [(base + one.index, one.recipient.account, str(one.recipient.address)) for one in mail.pending],
    )
    return True


def delete_rows(connection: sqlite3.Connection, delivered: Sequence[Pending]) -> None:
    """Delete recipients, then messages that have none left."""
    connection.executemany(
        "DELETE FROM recipients WHERE key = ?", [(one.mail.number * SPAN + one.index,) for one in delivered]
    )
    for number in {one.mail.number for one in delivered}:
        bounds = (number * SPAN, number * SPAN + SPAN - 1)
        if connection.execute("SELECT 1 FROM recipients WHERE key BETWEEN ? AND ? LIMIT 1", bounds).fetchone() is None:
            connection.execute("DELETE FROM chunks WHERE key BETWEEN ? AND ?", bounds)
            connection.execute("DELETE FROM messages WHERE number = ?", (number,))


def update_row(connection: sqlite3.Connection, row: tuple[int, int, float, str, int]) -> None:
    """Keep what became of an attempt."""
    connection.execute(
        "UPDATE recipients SET state = ?, attempts = ?, next_attempt = ?, last_error = ? WHERE key = ?", row
    )


def last_number(connection: sqlite3.Connection) -> int:
    """The largest number in use."""
    found: int = connection.execute("SELECT coalesce(max(number), 0) FROM messages").fetchone()[0]
    return found


def read_waiting(connection: sqlite3.Connection, after: int) -> list[Row]:
    """Recipients in the order of their keys, with their messages."""
    return connection.execute(
        f"SELECT r.key, m.id, m.sender, m.user, m.received, m.size, r.account, r.address, r.state, r.attempts,"
        f" r.next_attempt, r.last_error FROM recipients r JOIN messages m ON m.number = r.key / {SPAN}"
        f" WHERE r.key > ? ORDER BY r.key LIMIT {LOAD_BATCH}",
        (after,),
    ).fetchall()


def read_chunks(connection: sqlite3.Connection, number: int, first: int, count: int) -> list[bytes]:
    """Some pieces of a body."""
    base = number * SPAN + first
    rows = connection.execute(
        "SELECT data FROM chunks WHERE key BETWEEN ? AND ? ORDER BY key", (base, base + count - 1)
    )
    return [row[0] for row in rows]


def mails(rows: Sequence[Row]) -> list[Mail]:
    """
    Messages from rows in the order of their keys.

    A message whose recipients lie in two batches becomes two of the same number; each carries its own recipients.
    """
    found: list[Mail] = []
    for (
        key,
        spool_id,
        sender,
        user,
        received,
        size,
        account,
        address,
        state,
        attempts,
        next_attempt,
        last_error,
    ) in rows:
        number, index = divmod(key, SPAN)
        if not found or found[-1].number != number:
            envelope = Envelope(SpoolId(spool_id), read_address(sender) if sender else None, (), user)
            found.append(Mail(number, envelope, received, size))
        pending = found[-1].add(SpoolRecipient(AccountId(account), read_address(address)), index)
        pending.held = state == STATE_HELD
        pending.attempts, pending.next_attempt, pending.last_error = attempts, next_attempt, last_error
    return found


def read_address(text: str) -> Address:
    """An address that was accepted once, even if today's parser would refuse it."""
    try:
        return parse_mailbox(text)
    except Invalid:
        local, _, domain = text.rpartition("@")
        return Address(local, domain)
