"""
The spool in one SQLite file: what :meth:`SqliteSpool.accept` has answered is on disk.

One message is one job of :class:`~launcelot.workers.database.Database`, so all messages that wait share a transaction and
a sync; the tables are those of :mod:`launcelot.spool.rows`.

At most :data:`IN_HAND` mails are in memory, more or less; the rest lies *parked* in the file and is brought back when its time
has come and there is room.  A mail in hand is changed through its objects only, a parked one is brought back before it is
changed, so file and memory never disagree for long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal, TooLarge, TryLater
from launcelot.spool.chronicle import Chronicle
from launcelot.spool.courier import CONCURRENCY, Courier
from launcelot.spool.direct import DirectDelivery
from launcelot.spool.interface import Accepted, Carrier, Delivery, Envelope, Forget, SpoolId, Waiting
from launcelot.spool.mail import Body, Change, Mail, Pending, describe
from launcelot.spool.marks import Marks
from launcelot.spool.notices import Notices
from launcelot.spool.outgoing import MOST as TRANSACTIONS
from launcelot.spool.rows import (
    CHUNK,
    LOAD_BATCH,
    MIGRATIONS,
    SPAN,
    count_waiting,
    existing,
    key_of,
    last_number,
    next_numbers,
    numbers_of,
    read_chunks,
    read_mails,
    read_waiting,
    row_of,
    settle,
    suspect_all,
    update_rows,
    write_mail,
)
from launcelot.spool.schedule import Schedule
from launcelot.spool.sweeping import forget_nothing
from launcelot.workers.database import Database
from launcelot.workers.staging import IN_MEMORY, Staged, Staging
from launcelot.workers.trail import NOWHERE, Trail

__all__ = ["CHUNK", "IN_HAND", "LOAD_BATCH", "MIGRATIONS", "SqliteSpool"]

IN_HAND = 10_000
"""Mails kept in memory, more or less."""

LOOK_AGAIN = 10.0
"""Seconds between looks for parked mail whose time has come."""


class SqliteSpool:
    """
    A :class:`~launcelot.spool.interface.Spool` over one database.

    :param database: made with :data:`MIGRATIONS`; opened by :meth:`start` and closed by :meth:`close`.
    :param staging: for large bodies that are read again.
    :param deliver: puts mail into mailboxes.
    :param clock: monotonic, for timers.
    :param now: wall-clock seconds.
    :param forget: told of delivery keys whose rows are durably gone.
    :param carrier: takes mail to other hosts; not owned.  Without one it waits.
    :param notices: tell senders; without them mail that cannot be delivered is held.
    :param in_hand: mails kept in memory.
    :param trail: where it is noted what becomes of mail.
    :param transactions: with other hosts, at once in all.
    :param direct: mail for one mailbox here is delivered while whoever brought it waits, if that can be done now.
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
        carrier: Carrier | None = None,
        notices: Notices | None = None,
        in_hand: int = IN_HAND,
        direct: bool = False,
        trail: Trail = NOWHERE,
        transactions: int = TRANSACTIONS,
    ) -> None:
        self._database = database
        self._marks = Marks(database.path.with_suffix(".marks"))
        self._staging = staging
        self._clock = clock
        self._now = now
        self._in_hand = in_hand
        counters = counters or Counters()
        self._chronicle = Chronicle(trail)
        self._direct = DirectDelivery(deliver, forget, clock, counters) if direct else None
        self._courier = Courier(
            self,
            deliver,
            clock,
            now,
            counters,
            forget,
            schedule,
            concurrency,
            carrier=carrier,
            notices=notices,
            most=in_hand,
            chronicle=self._chronicle,
            transactions=transactions,
        )
        self._next_number = 0
        self._serving = False
        self._held: dict[int, Mail] = {}
        self._some_parked = False
        self._more_waits = False
        self._looking: IDelayedCall | None = None
        self._one_at_a_time = DeferredLock()

    @property
    def under_way(self) -> int:
        """Messages being delivered here now or next."""
        return self._courier.under_way

    async def start(self) -> None:
        """
        Open the file, take up what an earlier run left, then serve.

        :raises Refusal: the file cannot be opened or read.
        """
        await self._database.open()
        await self._take_up_marks()
        self._next_number = 1 + await self._database.read_aside(last_number)
        await self._bring_back()
        self._serving = True
        if self._more_waits:
            self._look_later()

    async def _take_up_marks(self) -> None:
        try:
            if not self._marks.open():
                self.log.warn("after a power cut: mail to other hosts that may have been on its way counts as sent once")
                await self._database.write(lambda connection: suspect_all(connection, self._now()))
            self._marks.keep(await self._database.read_aside(lambda connection: existing(connection, self._marks.keys)))
            self._marks.begin()
        except OSError as error:
            raise TryLater(f"{self._marks.path}: {error.strerror}") from error

    async def accept(self, envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        """Take a message; see :meth:`launcelot.spool.interface.Spool.accept`."""
        if not self._serving:
            body.close()
            raise TryLater
        if not 1 <= len(envelope.recipients) <= SPAN or body.size > CHUNK * SPAN:
            body.close()
            raise TooLarge("a message has 1 to 65,536 recipients and at most 16 GiB")
        if self._direct is not None and not once:
            return await self._accept_directly(self._direct, envelope, body)
        return await self._write(envelope, body, once)

    async def _accept_directly(self, direct: DirectDelivery, envelope: Envelope, body: Staged) -> Accepted:
        """Deliver, or else write; whoever gives up waiting stops neither."""
        waits: Deferred[Accepted] = Deferred()
        direct.takes(envelope, body).addCallback(self._deliver_or_write, envelope, body, waits).addErrback(waits.errback)
        return await waits

    def _deliver_or_write(self, delivered: bool, envelope: Envelope, body: Staged, waits: Deferred[Accepted]) -> None:
        if delivered:
            body.close()
            waits.callback(Accepted(envelope.id, succeed(None)))
        else:
            Deferred.fromCoroutine(self._write(envelope, body, False)).addCallbacks(waits.callback, waits.errback)

    async def _write(self, envelope: Envelope, body: Staged, once: bool) -> Accepted:
        """Put a message on disk and begin to deliver it."""
        mail = self._new_mail(envelope, body.size)
        written = self._database.write(lambda connection: write_mail(connection, mail, body, once))
        waits: Deferred[bool] = Deferred()
        # The caller may be cancelled when its peer goes; the message then is on disk all the same and must be carried.
        written.addCallbacks(
            self._written, self._not_written, callbackArgs=(mail, body, waits), errbackArgs=(mail, body, waits)
        )
        is_new = await waits
        return Accepted(envelope.id, mail.delivered if is_new else succeed(None))

    def _new_mail(self, envelope: Envelope, size: int) -> Mail:
        mail = Mail(self._next_number, envelope, self._now(), size)
        self._next_number += 1
        for index, recipient in enumerate(envelope.recipients):
            mail.add(recipient, index)
        self._held[mail.number] = mail
        return mail

    def _written(self, is_new: bool, mail: Mail, body: Staged, waits: Deferred[bool]) -> None:
        if not is_new:
            del self._held[mail.number]
            body.close()
            waits.callback(False)
            return
        self._chronicle.queued(mail)
        if len(self._held) > 2 * self._in_hand and all(one.recipient.is_remote for one in mail.pending):
            body.close()
            mail.delivered.callback(None)
            self.parked(mail)
        else:
            self._courier.take(mail, body)
        waits.callback(True)

    def _not_written(self, failure: Failure, mail: Mail, body: Staged, waits: Deferred[bool]) -> None:
        del self._held[mail.number]
        body.close()
        if not failure.check(Refusal):
            self.log.failure("a message could not be written", failure)
            failure = Failure(TryLater())
        waits.errback(failure)

    def watch_syncs(self, synced: Callable[[], None]) -> None:
        """Have a function called behind each sync; see :class:`~launcelot.workers.database.Database`."""
        self._database.synced = synced

    async def forget_accepted(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids of messages that will not be handed over again."""
        await self._database.write(
            lambda connection: connection.executemany("DELETE FROM accepted WHERE id = ?", [(one,) for one in ids])
        )

    async def close(self) -> None:
        """Let deliveries under way finish; the rest stays on disk for the next start."""
        self._serving = False
        self._stop_looking()
        await self._one_at_a_time.run(lambda: None)
        if self._direct is not None:
            await self._direct.close()
        await self._courier.close()
        await self._database.close()
        self._let_go_of_marks()

    def _let_go_of_marks(self) -> None:
        try:
            self._marks.close(clean=True)
        except OSError as error:
            self.log.error("cannot write {path}: {reason}", path=str(self._marks.path), reason=str(error))

    # -- what people ask -----------------------------------------------------------------------------------------

    async def waiting(self, limit: int = 0) -> Sequence[Waiting]:
        """What is not delivered, oldest first; see :meth:`launcelot.spool.interface.Spool.waiting`."""
        if not self._some_parked:
            return self._courier.waiting(limit)
        found: list[Waiting] = []
        after = -1
        while not limit or len(found) < limit:
            batch = await self._database.read_aside(
                lambda connection, after=after: read_waiting(connection, after, LOAD_BATCH)  # type: ignore[misc]
            )
            for mail in batch:
                # What is in memory knows more than the file.
                mail = self._held.get(mail.number, mail)
                found += [describe(one, self._courier.destination(mail, one)) for one in mail.pending]
            if len(batch) < LOAD_BATCH:
                break
            after = batch[-1].number
        return found[:limit] if limit else found

    async def count(self) -> int:
        """How many recipients wait."""
        if self._some_parked:
            return await self._database.read_aside(count_waiting)
        return sum(len(mail.pending) for mail in self._held.values())

    async def hold(self, id: SpoolId, recipient: str = "") -> int:
        """Try no more; see :meth:`launcelot.spool.interface.Spool.hold`."""
        chosen = await self._chosen(id, recipient)
        await self._courier.hold(chosen)
        return len(chosen)

    async def release(self, id: SpoolId, recipient: str = "") -> int:
        """Try now; see :meth:`launcelot.spool.interface.Spool.release`."""
        chosen = await self._chosen(id, recipient)
        await self._courier.release(chosen)
        return len(chosen)

    async def drop(self, id: SpoolId, recipient: str = "") -> int:
        """Remove without telling anybody; see :meth:`launcelot.spool.interface.Spool.drop`."""
        chosen = await self._chosen(id, recipient)
        await self._courier.drop(chosen)
        return len(chosen)

    async def _chosen(self, id: SpoolId, recipient: str) -> Sequence[Pending]:
        await self._one_at_a_time.acquire()
        try:
            numbers = await self._database.read_aside(lambda connection: numbers_of(connection, id))
            missing = [number for number in numbers if number not in self._held]
            if missing:
                await self._take_up(missing)
        finally:
            self._one_at_a_time.release()
        mails = [self._held[number] for number in numbers if number in self._held]
        found = [pending for mail in mails for pending in mail.pending]
        return [one for one in found if not recipient or str(one.recipient.address) == recipient]

    # -- mail that is not in memory ------------------------------------------------------------------------------

    def parked(self, mail: Mail) -> None:
        """It is in the file only; brought back when its time has come."""
        self._held.pop(mail.number, None)
        self._some_parked = self._more_waits = True
        self._look_later()

    def room(self) -> None:
        """Bring back what waits for room."""
        if self._more_waits and not self._one_at_a_time.locked:
            self._look()

    def _look_later(self) -> None:
        if self._looking is None and self._serving:
            self._looking = self._clock.callLater(LOOK_AGAIN, self._look)

    def _stop_looking(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None and looking.active():
            looking.cancel()

    def _look(self) -> None:
        self._stop_looking()
        if self._serving:
            Deferred.fromCoroutine(self._bring_back()).addErrback(self._not_brought)

    def _not_brought(self, failure: Failure) -> None:
        if failure.check(Refusal):
            self.log.warn("waiting mail cannot be read now: {reason}", reason=failure.getErrorMessage())
        else:
            self.log.failure("internal error of the spool", failure)
        self._look_later()

    async def _bring_back(self) -> None:
        """Bring back mail in the order of its times, as far as there is room."""
        await self._one_at_a_time.acquire()
        try:
            room = self._in_hand - len(self._held)
            if room > 0:
                below, skip, now = self._next_number, frozenset(self._held), self._now()
                numbers, self._more_waits, self._some_parked = await self._database.read_aside(
                    lambda connection: next_numbers(connection, now, below, skip, room)
                )
                await self._take_up(numbers)
        finally:
            self._one_at_a_time.release()
        if self._more_waits:
            self._look_later()

    async def _take_up(self, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), LOAD_BATCH):
            some = numbers[start : start + LOAD_BATCH]
            for mail in await self._database.read_aside(lambda connection, some=some: read_mails(connection, some)):  # type: ignore[misc]
                self._held[mail.number] = mail
                for pending in mail.pending:
                    pending.unsure += self._marks.count(key_of(pending))
                self._courier.take(mail)

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

    async def settle(self, changes: Sequence[Change]) -> Sequence[Mail]:
        """Delete and insert rows, all of them or none."""
        notices = [change.notice for change in changes if change.notice is not None]
        mails = [self._new_mail(one.envelope, len(one.octets)) for one in notices]
        pairs = [(mail, one.octets) for mail, one in zip(mails, notices, strict=True)]
        try:
            await self._database.write(lambda connection: settle(connection, changes, pairs))
        except Refusal:
            for mail in mails:
                del self._held[mail.number]
            raise
        for mail in mails:
            self._chronicle.queued(mail)
        gone = {pending for change in changes for pending in change.removed}
        self._marks.clear(self._marks.of(key_of(pending) for pending in gone))
        for mail in {pending.mail for pending in gone}:
            if all(pending in gone for pending in mail.pending):
                self._held.pop(mail.number, None)
        return mails

    async def note(self, *pending: Pending) -> None:
        """Update recipients' rows."""
        rows = [row_of(one) for one in pending]
        marks = self._marks.of(key_of(one) for one in pending)
        await self._database.write(lambda connection: update_rows(connection, rows))
        self._marks.clear(marks)

    async def mark(self, *pending: Pending) -> None:
        """In the small file beside ours, or in the rows where it cannot be done there."""
        if not self._marks.put([key_of(one) for one in pending]):
            await self.note(*pending)
