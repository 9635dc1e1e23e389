"""The spool in memory: complete but for what its name says, so an accepted message lives as long as the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import succeed
from twisted.internet.interfaces import IReactorTime

from launcelot.core.counters import Counters
from launcelot.core.errors import TooLarge, TryLater
from launcelot.spool.courier import CONCURRENCY, Body, Courier, Mail, Pending, forget_nothing
from launcelot.spool.interface import Accepted, Delivery, Envelope, Forget, SpoolId, Waiting
from launcelot.spool.schedule import Schedule
from launcelot.workers.staging import Buffer, Staged


class _Borrowed:
    """A view of a body that the spool goes on keeping."""

    def __init__(self, body: Staged) -> None:
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
    ) -> None:
        self._courier = Courier(self, deliver, clock, now, counters or Counters(), forget, schedule, concurrency)
        self._now = now
        self._bodies: dict[int, Staged] = {}
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
        self._number += 1
        mail = Mail(self._number, envelope, self._now(), body.size)
        for index, recipient in enumerate(envelope.recipients):
            mail.add(recipient, index)
        self._bodies[mail.number] = body
        self._left[mail.number] = len(mail.pending)
        self._courier.take(mail)
        return Accepted(envelope.id, mail.delivered)

    async def forget_accepted(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids of messages that will not be handed over again."""
        self._accepted.difference_update(ids)

    async def start(self) -> None:
        """There is no earlier run."""

    async def waiting(self) -> Sequence[Waiting]:
        """Everything not delivered, oldest first."""
        return self._courier.waiting()

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

    async def remove(self, delivered: Sequence[Pending]) -> None:
        """Drop the bodies nobody waits for."""
        for pending in delivered:
            number = pending.mail.number
            self._left[number] -= 1
            if not self._left[number]:
                del self._left[number]
                self._bodies.pop(number).close()

    async def note(self, pending: Pending) -> None:
        """What is in memory is known."""
