"""The spool in memory: complete but for what its name says, so an accepted message lives as long as the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import succeed
from twisted.internet.interfaces import IReactorTime

from launcelot.core.counters import Counters
from launcelot.core.errors import TooLarge, TryLater
from launcelot.spool.chronicle import Chronicle
from launcelot.spool.courier import CONCURRENCY, Courier
from launcelot.spool.interface import Accepted, Carrier, Delivery, Envelope, Forget, SpoolId, Waiting
from launcelot.spool.mail import Body, Change, Mail, Pending
from launcelot.spool.notices import Notices
from launcelot.spool.outgoing import MOST as TRANSACTIONS
from launcelot.spool.schedule import Schedule
from launcelot.spool.sweeping import forget_nothing
from launcelot.workers.staging import Buffer, Staged
from launcelot.workers.trail import NOWHERE, Trail


class Octets:
    """A body of our own making."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def view(self) -> Buffer:
        """All of it."""
        return self._octets

    def close(self) -> None:
        """Let go."""
        self._octets = b""


class _Borrowed:
    """A view of a body that the spool goes on keeping."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def view(self) -> Buffer:
        return self._body.view()

    def close(self) -> None:
        """The spool closes the body when the last recipient has it."""


class MemorySpool:
    """
    A :class:`~launcelot.spool.interface.Spool` without a disk.

    :param deliver: puts mail into mailboxes.
    :param clock: monotonic, for timers.
    :param now: wall-clock seconds.
    :param forget: told of keys that will not come again.
    :param carrier: takes mail to other hosts; without one it waits.
    :param notices: tell senders; without them mail that cannot be delivered is held.
    :param trail: where it is noted what becomes of mail.
    """

    def __init__(
        self,
        deliver: Delivery,
        clock: IReactorTime,
        now: Callable[[], float],
        counters: Counters | None = None,
        forget: Forget = forget_nothing,
        schedule: Schedule | None = None,
        concurrency: int = CONCURRENCY,
        carrier: Carrier | None = None,
        notices: Notices | None = None,
        trail: Trail = NOWHERE,
        transactions: int = TRANSACTIONS,
    ) -> None:
        self._chronicle = Chronicle(trail)
        self._courier = Courier(
            self,
            deliver,
            clock,
            now,
            counters or Counters(),
            forget,
            schedule,
            concurrency,
            carrier=carrier,
            notices=notices,
            chronicle=self._chronicle,
            transactions=transactions,
        )
        self._now = now
        self._mails: dict[int, Mail] = {}
        self._bodies: dict[int, Body] = {}
        self._left: dict[int, int] = {}
        self._number = 0
        self._accepted: set[SpoolId] = set()
        self._closed = False

    @property
    def under_way(self) -> int:
        """Messages being delivered now or next."""
        return self._courier.under_way

    async def accept(self, envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        """Take a message; see :meth:`launcelot.spool.interface.Spool.accept`."""
        if self._closed:
            body.close()
            raise TryLater
        if not envelope.recipients:
            body.close()
            raise TooLarge("a message has at least one recipient")
        if once and envelope.id in self._accepted:
            body.close()
            return Accepted(envelope.id, succeed(None))
        if once:
            self._accepted.add(envelope.id)
        mail = self._keep(envelope, body, body.size)
        self._chronicle.queued(mail)
        self._courier.take(mail)
        return Accepted(envelope.id, mail.delivered)

    def _keep(self, envelope: Envelope, body: Body, size: int) -> Mail:
        self._number += 1
        mail = Mail(self._number, envelope, self._now(), size)
        for index, recipient in enumerate(envelope.recipients):
            mail.add(recipient, index)
        self._mails[mail.number] = mail
        self._bodies[mail.number] = body
        self._left[mail.number] = len(mail.pending)
        return mail

    async def forget_accepted(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids of messages that will not be handed over again."""
        self._accepted.difference_update(ids)

    async def start(self) -> None:
        """There is no earlier run."""

    async def waiting(self, limit: int = 0) -> Sequence[Waiting]:
        """What is not delivered, oldest first."""
        return self._courier.waiting(limit)

    async def count(self) -> int:
        """How many recipients wait."""
        return sum(len(mail.pending) for mail in self._mails.values())

    async def hold(self, id: SpoolId, recipient: str = "") -> int:
        """Try no more; see :meth:`launcelot.spool.interface.Spool.hold`."""
        chosen = self._chosen(id, recipient)
        await self._courier.hold(chosen)
        return len(chosen)

    async def release(self, id: SpoolId, recipient: str = "") -> int:
        """Try now; see :meth:`launcelot.spool.interface.Spool.release`."""
        chosen = self._chosen(id, recipient)
        await self._courier.release(chosen)
        return len(chosen)

    async def drop(self, id: SpoolId, recipient: str = "") -> int:
        """Remove without telling anybody; see :meth:`launcelot.spool.interface.Spool.drop`."""
        chosen = self._chosen(id, recipient)
        await self._courier.drop(chosen)
        return len(chosen)

    def _chosen(self, id: SpoolId, recipient: str) -> Sequence[Pending]:
        found = [pending for mail in self._mails.values() if mail.envelope.id == id for pending in mail.pending]
        return [one for one in found if not recipient or str(one.recipient.address) == recipient]

    async def close(self) -> None:
        """Let deliveries under way finish; the rest is gone with the process."""
        self._closed = True
        await self._courier.close()
        for body in self._bodies.values():
            body.close()
        self._bodies.clear()

    # -- the courier's shelf -------------------------------------------------------------------------------------

    async def fetch(self, mail: Mail) -> Body:
        """A mail's octets."""
        return _Borrowed(self._bodies[mail.number])

    async def settle(self, changes: Sequence[Change]) -> Sequence[Mail]:
        """Drop the bodies nobody waits for, and keep notices."""
        for pending in (one for change in changes for one in change.removed):
            number = pending.mail.number
            self._left[number] -= 1
            if not self._left[number]:
                del self._left[number], self._mails[number]
                self._bodies.pop(number).close()
        notices = [change.notice for change in changes if change.notice is not None]
        mails = [self._keep(one.envelope, Octets(one.octets), len(one.octets)) for one in notices]
        for mail in mails:
            self._chronicle.queued(mail)
        return mails

    async def mark(self, *pending: Pending) -> None:
        """What is in memory is known."""

    async def note(self, *pending: Pending) -> None:
        """What is in memory is known."""

    def parked(self, mail: Mail) -> None:
        """Nothing is: all mail stays in memory."""

    def room(self) -> None:
        """There always is."""
