"""
Mail to other hosts waits here for its turn, destination by destination.

Each destination has a queue of its own and at most as many transactions at once as the carrier says; those that have some
waiting take turns, so one that is slow, dead or busy holds up only its own mail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal
from launcelot.message.address import Address
from launcelot.spool.interface import Carrier, Fate, Verdict
from launcelot.spool.mail import Body, Mail, Pending
from launcelot.workers.staging import Buffer

AT_ONCE = 100
"""Transactions at once in all."""

TOGETHER = 100
"""Recipients of one transaction at most, as every server takes (RFC 5321 section 4.5.3.1.8)."""

MAY_HAVE_ARRIVED = "it may have arrived, and is not sent again so that it does not arrive many times"

SPENT = Verdict(Fate.NEVER, "5.4.2", f"twice the connection or this server ended before the answer came; {MAY_HAVE_ARRIVED}")

Concluding = Callable[[Sequence[tuple[Pending, Verdict]], Buffer], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Load:
    """
    Recipients of one mail that go together.

    :ivar shares: whether it reads the mail's own open body.
    """

    mail: Mail
    pending: list[Pending]
    shares: bool


@dataclass(slots=True)
class Place:
    """One destination."""

    queue: deque[Load] = field(default_factory=deque)
    running: int = 0
    listed: bool = False


class Outgoing:
    """
    Queues by destination.

    :param fetch: a mail's octets from the shelf.
    :param conclude: told what became of recipients, while the body can still be read.
    :param let_go: told when a mail's own body is no longer read.
    :param ended: told after every transaction.
    :param about_to_send: awaited before the end of a message is sent; returns when it is on disk that this happens.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(
        self,
        carrier: Carrier,
        fetch: Callable[[Mail], Awaitable[Body]],
        conclude: Concluding,
        let_go: Callable[[Mail], None],
        ended: Callable[[Mail], None],
        about_to_send: Callable[[Sequence[Pending]], Awaitable[None]],
        at_once: int = AT_ONCE,
    ) -> None:
        self.carrier = carrier
        self._fetch = fetch
        self._conclude = conclude
        self._let_go = let_go
        self._ended = ended
        self._about_to_send = about_to_send
        self._at_once = at_once
        self._places: dict[str, Place] = {}
        self._ready: deque[str] = deque()
        self._pumping = False
        self.running = 0
        self.closing = False

    def add(self, mail: Mail, pending: Sequence[Pending]) -> None:
        """Recipients of a mail whose time has come."""
        groups: dict[tuple[str, Address | None, Address | None], list[Pending]] = {}
        for one in pending:
            # Those who get it from different senders, or by different ways, are different transactions.
            name = self.carrier.destination(mail.envelope, one.recipient)
            groups.setdefault((name, one.recipient.via, one.recipient.sender), []).append(one)
        for (name, *_), members in groups.items():
            place = self._places.setdefault(name, Place())
            # Where each recipient has a sender of its own, each is a transaction.
            together = 1 if mail.envelope.verp else TOGETHER
            for start in range(0, len(members), together):
                shares = mail.body is not None
                mail.using += shares
                place.queue.append(Load(mail, members[start : start + together], shares))
            self._list(name, place)
        self._pump()

    def _list(self, name: str, place: Place) -> None:
        if place.queue and not place.listed and place.running < self.carrier.limit(name):
            place.listed = True
            self._ready.append(name)

    def _pump(self) -> None:
        if self._pumping:
            # A transaction that ended without waiting: the loop below us goes on.
            return
        self._pumping = True
        while self._ready and self.running < self._at_once and not self.closing:
            name = self._ready.popleft()
            place = self._places[name]
            place.listed = False
            load = place.queue.popleft()
            place.running += 1
            self.running += 1
            self._list(name, place)
            carrying = Deferred.fromCoroutine(self._carry(name, load))
            carrying.addErrback(self._bug).addCallback(self._carried, name, load)
        self._pumping = False

    def _bug(self, failure: Failure) -> None:
        self.log.failure("internal error of the spool", failure)

    def _carried(self, _result: None, name: str, load: Load) -> None:
        self.running -= 1
        place = self._places[name]
        place.running -= 1
        self._list(name, place)
        if not place.running and not place.queue:
            del self._places[name]
        self._ended(load.mail)
        self._pump()

    async def _carry(self, name: str, load: Load) -> None:
        mail, wanted = load.mail, [one for one in load.pending if not one.held]
        for one in load.pending:
            one.busy = not one.held
        body: Body | None = None
        try:
            if not wanted:
                return
            body = mail.body if load.shares and mail.body is not None else await self._fetch(mail)
            view = body.view()
            verdicts = await self._verdicts(name, mail, wanted, view)
            await self._conclude(list(zip(wanted, verdicts, strict=True)), view)
        except Refusal as refusal:
            later = Verdict(Fate.LATER, "4.3.0", f"spool: {refusal.text}")
            await self._conclude([(one, later) for one in wanted], b"")
        finally:
            if load.shares:
                mail.using -= 1
                self._let_go(mail)
            elif body is not None:
                body.close()

    async def _verdicts(self, name: str, mail: Mail, wanted: Sequence[Pending], view: Buffer) -> Sequence[Verdict]:
        sending = [one for one in wanted if not one.is_spent]
        verdicts = iter(await self._sent(name, mail, sending, view) if sending else ())
        return [next(verdicts) if one in sending else SPENT for one in wanted]

    async def _sent(self, name: str, mail: Mail, sending: Sequence[Pending], view: Buffer) -> Sequence[Verdict]:
        async def last() -> None:
            await self._about_to_send(sending)

        recipients = [one.recipient for one in sending]
        carrying = Deferred.fromCoroutine(self.carrier.carry(name, mail.envelope, recipients, view, last))
        verdicts: Sequence[Verdict] = await carrying.addErrback(self._confess, sending)
        return verdicts

    def _confess(self, failure: Failure, sending: Sequence[Pending]) -> Sequence[Verdict]:
        """What could not be marked was not sent; and a bug of the carrier's loses nothing."""
        if isinstance(failure.value, Refusal):
            return [Verdict(Fate.LATER, "4.3.0", f"spool: {failure.value.text}")] * len(sending)
        self._bug(failure)
        return [Verdict(Fate.LATER, "4.3.0", "internal error", unsure=one.marked) for one in sending]

    def close(self) -> None:
        """Begin nothing new; loads that wait are let go of."""
        self.closing = True
        for place in self._places.values():
            while place.queue:
                load = place.queue.popleft()
                for one in load.pending:
                    one.busy = False
                if load.shares:
                    load.mail.using -= 1
                    self._let_go(load.mail)
