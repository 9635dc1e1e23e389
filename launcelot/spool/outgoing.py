"""
Mail to other hosts waits here for its turn, destination by destination.

Each destination has a queue of its own and at most as many transactions at once as the carrier says; those that have some
waiting take turns, so one that is slow, dead or busy holds up only its own mail.  Nor do many of these together:

- a transaction that takes longer than :data:`PATIENCE`, as those with hosts that do not answer do, makes room for another one,
  up to :data:`MOST` in all;
- destinations that were out of reach the last time come behind all others, and have half of the places at most; so do further
  transactions with one that has not answered yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal
from launcelot.message.address import Address
from launcelot.spool.interface import Carrier, Fate, Verdict
from launcelot.spool.mail import Body, Mail, Pending
from launcelot.workers.staging import Buffer

AT_ONCE = 100
"""Transactions at once in all, but for those that take long."""

PATIENCE = 2.0
"""Seconds from which on a transaction takes long."""

MOST = 400
"""Transactions at once in all; each may keep a body of 256 KiB in memory."""

REMEMBERED = 10_000
"""Destinations of which it is known whether they answered."""

OUT_OF_REACH = "4.4."
"""How the status begins of what other hosts' connections and names come to.  RFC 3463 section 3.5."""

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


@dataclass(slots=True, eq=False)
class Run:
    """
    One transaction.

    :ivar began: on the monotonic clock.
    :ivar doubted: its destination was out of reach before, or has not answered yet.
    :ivar passed: it has ended, or takes long by now.
    """

    began: float
    doubted: bool
    passed: bool = False


class Outgoing:
    """
    Queues by destination.

    :param fetch: a mail's octets from the shelf.
    :param conclude: told what became of recipients, while the body can still be read.
    :param let_go: told when a mail's own body is no longer read.
    :param ended: told after every transaction.
    :param about_to_send: awaited before the end of a message is sent; returns when it is on disk that this happens.
    :param clock: monotonic.
    :param most: transactions at once in all.
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
        clock: IReactorTime,
        most: int = MOST,
    ) -> None:
        self.carrier = carrier
        self._fetch = fetch
        self._conclude = conclude
        self._let_go = let_go
        self._ended = ended
        self._about_to_send = about_to_send
        self._clock = clock
        self._most = most
        self._places: dict[str, Place] = {}
        self._ready: deque[str] = deque()
        self._doubtful: deque[str] = deque()
        self._doubted: dict[str, None] = {}
        self._answered: dict[str, None] = {}
        self._prompt: deque[Run] = deque()
        self._passed = 0
        self._doubted_running = 0
        self._timer: IDelayedCall | None = None
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
            untried = place.running > 0 and name not in self._answered
            (self._doubtful if untried or name in self._doubted else self._ready).append(name)

    def _pump(self) -> None:
        if self._pumping:
            # A transaction that ended without waiting: the loop below us goes on.
            return
        self._pumping = True
        while (turn := self._next()) is not None:
            name, doubted = turn
            place = self._places[name]
            place.listed = False
            load = place.queue.popleft()
            place.running += 1
            run = Run(self._clock.seconds(), doubted)
            self.running += 1
            self._doubted_running += run.doubted
            self._prompt.append(run)
            self._list(name, place)
            carrying = Deferred.fromCoroutine(self._carry(name, load))
            carrying.addErrback(self._bug).addCallback(self._carried, name, load, run)
        self._pumping = False

    def _next(self) -> tuple[str, bool] | None:
        """Whose turn it is, if there is room, and whether it is doubted."""
        if self.closing or self.running >= self._most or not (self._ready or self._doubtful):
            return None
        prompt = self._count_prompt()
        if prompt >= AT_ONCE:
            self._look_again()
            return None
        if self._ready:
            return self._ready.popleft(), False
        if self._doubted_running >= max(1, self._most // 2):
            return None
        if prompt >= AT_ONCE // 2:
            self._look_again()
            return None
        return self._doubtful.popleft(), True

    def _count_prompt(self) -> int:
        """How many transactions have not taken long yet."""
        slow = self._clock.seconds() - PATIENCE
        while self._prompt and (self._prompt[0].passed or self._prompt[0].began <= slow):
            run = self._prompt.popleft()
            self._passed -= run.passed
            run.passed = True
        return len(self._prompt) - self._passed

    def _look_again(self) -> None:
        """When the oldest of those that have not taken long has."""
        if self._timer is None and self._prompt:
            left = self._prompt[0].began + PATIENCE - self._clock.seconds()
            self._timer = self._clock.callLater(max(0.0, left), self._looked)

    def _looked(self) -> None:
        self._timer = None
        self._pump()

    def _bug(self, failure: Failure) -> None:
        self.log.failure("internal error of the spool", failure)

    def _judge(self, name: str, verdicts: Sequence[Verdict]) -> None:
        """Whether a destination was out of reach."""
        out_of_reach = all(one.fate is Fate.LATER and one.status.startswith(OUT_OF_REACH) for one in verdicts)
        kept, other = (self._doubted, self._answered) if out_of_reach else (self._answered, self._doubted)
        other.pop(name, None)
        kept[name] = None
        if len(kept) > REMEMBERED:
            del kept[next(iter(kept))]

    def _carried(self, _result: None, name: str, load: Load, run: Run) -> None:
        self.running -= 1
        self._doubted_running -= run.doubted
        if not run.passed:
            run.passed = True
            self._passed += 1
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
        self._judge(name, verdicts)
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
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        for place in self._places.values():
            while place.queue:
                load = place.queue.popleft()
                for one in load.pending:
                    one.busy = False
                if load.shares:
                    load.mail.using -= 1
                    self._let_go(load.mail)
