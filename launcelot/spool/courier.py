"""
The courier: carries accepted mail to its recipients, tries again, and has what was delivered taken off the shelf.

Where mail lies is the business of a :class:`Shelf`; the courier knows what waits, in memory.  Invariants:

- A recipient's row leaves the shelf only after delivery has returned; delivery keys are forgotten only after the row is
  durably gone.  So a crash at any instant repeats a delivery at most, and the key makes the repetition harmless.
- No more than ``concurrency`` deliveries run at once; a recipient that fails or hangs holds up only itself.
- Bodies of mail just accepted stay open for their first attempt while all of them together cost less than
  :data:`FRESH_OCTETS`; later attempts fetch theirs from the shelf.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.spool.interface import Delivery, Envelope, Forget, SpoolRecipient, Waiting
from launcelot.spool.schedule import Schedule
from launcelot.workers.staging import IN_MEMORY, Buffer

CONCURRENCY = 20
"""Deliveries that run at once."""

BACKLOG_TURN = 4
"""Of so many messages begun one comes from those that have waited, while there are fresh ones."""

FRESH_OCTETS = 64 << 20
"""What the open bodies of mail just accepted may cost together."""

SPILLED_COST = 1 << 20
"""What an open body in a file counts against :data:`FRESH_OCTETS`; it takes a descriptor rather than memory."""

SWEEP_DELAY = 0.5
"""Seconds that delivered rows wait for others, so that one transaction removes them all."""

SWEEP_AT_ONCE = 500
"""Delivered rows that do not wait any longer."""


class Body(Protocol):
    """The octets of one mail, for as long as somebody reads them."""

    def view(self) -> Buffer:
        """All octets."""

    def close(self) -> None:
        """Let go; may be called twice."""


@dataclass(slots=True, eq=False)
class Pending:
    """
    One recipient that has not got its mail.

    :ivar index: its place in the envelope, for the shelf.
    :ivar next_attempt: wall-clock seconds.
    """

    mail: Mail
    index: int
    recipient: SpoolRecipient
    attempts: int = 0
    next_attempt: float = 0.0
    last_error: str = ""
    held: bool = False


@dataclass(slots=True, eq=False)
class Mail:
    """
    One accepted message.

    :ivar number: its place on the shelf.
    :ivar received: wall-clock seconds.
    :ivar open: recipients that neither have it nor were given up.
    """

    number: int
    envelope: Envelope
    received: float
    size: int
    pending: list[Pending] = field(default_factory=list)
    open: int = 0
    running: bool = False
    due: list[Pending] = field(default_factory=list)
    body: Body | None = None
    fresh: int = 0
    delivered: Deferred[None] = field(default_factory=Deferred)

    def add(self, recipient: SpoolRecipient, index: int) -> Pending:
        """A recipient that waits."""
        pending = Pending(self, index, recipient)
        self.pending.append(pending)
        return pending


class Shelf(Protocol):
    """Where mail lies until it is delivered."""

    async def fetch(self, mail: Mail) -> Body:
        """
        A mail's octets.

        :raises Refusal: they cannot be read now.
        """

    async def remove(self, delivered: Sequence[Pending]) -> None:
        """
        Take recipients off, and with the last of a mail the mail; durable when it returns.

        :raises Refusal: not now; they are offered again.
        """

    async def note(self, pending: Pending) -> None:
        """
        Keep what became of an attempt.

        :raises Refusal: not now; the note is lost.
        """


async def forget_nothing(account: AccountId, keys: Sequence[str]) -> None:
    """For deliveries that keep no keys."""


class Courier:
    """
    Carries mail.

    :param clock: monotonic, for timers.
    :param now: wall-clock seconds, for what is kept over restarts.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(
        self,
        shelf: Shelf,
        deliver: Delivery,
        clock: IReactorTime,
        now: Callable[[], float],
        counters: Counters,
        forget: Forget = forget_nothing,
        schedule: Schedule | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._shelf = shelf
        self._deliver = deliver
        self._forget = forget
        self._clock = clock
        self._now = now
        self._counters = counters
        self._schedule = schedule or Schedule()
        self._concurrency = concurrency
        self._slots = DeferredSemaphore(concurrency)
        self._mails: dict[Mail, None] = {}
        self._fresh_mail: deque[Mail] = deque()
        self._backlog: deque[Mail] = deque()
        self._begun = 0
        self._running = 0
        self._pumping = False
        self._fresh = 0
        self._later: list[tuple[float, int, Pending]] = []
        self._sequence = 0
        self._timer: IDelayedCall | None = None
        self._done: list[Pending] = []
        self._sweep_timer: IDelayedCall | None = None
        self._sweeping = False
        self._sweep_later = False
        self._closing = False
        self._quiet: list[Deferred[None]] = []

    # -- what the spool calls ------------------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """Messages being delivered now or next."""
        return self._running + len(self._fresh_mail) + len(self._backlog)

    def take(self, mail: Mail, body: Body | None = None) -> None:
        """
        Begin to carry a mail that is on the shelf.

        :param body: its octets, open; the courier's from here on.
        """
        self._mails[mail] = None
        mail.open = sum(not pending.held for pending in mail.pending)
        if body is not None:
            self._keep_fresh(mail, body)
        now = self._now()
        for pending in mail.pending:
            if pending.held:
                continue
            if pending.next_attempt > now:
                self._put_off(pending, min(pending.next_attempt - now, self._schedule.longest))
            else:
                mail.due.append(pending)
        if mail.open == 0:
            mail.delivered.callback(None)
        self._make_ready(mail, self._backlog if body is None else self._fresh_mail)
        self._pump()

    def waiting(self) -> Sequence[Waiting]:
        """Everything not delivered, oldest first."""
        return [describe(pending) for mail in self._mails for pending in mail.pending]

    async def close(self) -> None:
        """Begin nothing new, let what runs finish, and have it taken off the shelf."""
        self._closing = True
        for timer in (self._timer, self._sweep_timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._timer = self._sweep_timer = None
        await self._until_quiet()
        self._sweep()
        await self._until_quiet()
        for mail in self._mails:
            self._let_go(mail)

    async def _until_quiet(self) -> None:
        while self._running or self._sweeping:
            quiet: Deferred[None] = Deferred()
            self._quiet.append(quiet)
            await quiet

    def _perhaps_quiet(self) -> None:
        if not self._running and not self._sweeping:
            waiting, self._quiet = self._quiet, []
            for quiet in waiting:
                quiet.callback(None)

    # -- running -------------------------------------------------------------------------------------------------

    def _make_ready(self, mail: Mail, queue: deque[Mail]) -> None:
        if mail.due and not mail.running:
            mail.running = True
            queue.append(mail)

    def _next(self) -> Mail | None:
        """Mail just accepted goes first, but every fourth is one that has waited, so that neither starves the other."""
        first, second = self._fresh_mail, self._backlog
        if self._begun % BACKLOG_TURN == 0:
            first, second = second, first
        queue = first or second
        self._begun += 1
        return queue.popleft() if queue else None

    def _pump(self) -> None:
        if self._pumping:
            # A delivery that ended without waiting: the loop below us goes on.
            return
        self._pumping = True
        while self._running < self._concurrency and not self._closing:
            mail = self._next()
            if mail is None:
                break
            self._running += 1
            Deferred.fromCoroutine(self._run(mail)).addErrback(self._bug).addCallback(self._ran, mail)
        self._pumping = False

    async def _run(self, mail: Mail) -> None:
        due, mail.due = mail.due, []
        try:
            if mail.body is None:
                mail.body = await self._shelf.fetch(mail)
            body = mail.body.view()
        except Refusal as refusal:
            for pending in due:
                self._put_back(pending, f"spool: {refusal.text}")
            return
        attempts = [self._slots.run(self._attempt, pending, body) for pending in due]
        for attempt in attempts:
            await attempt

    def _attempt(self, pending: Pending, body: Buffer) -> Deferred[None]:
        envelope = pending.mail.envelope
        delivering = Deferred.fromCoroutine(
            self._deliver(envelope, pending.recipient, body, key_of(envelope, pending.recipient))
        )
        return delivering.addCallbacks(
            self._delivered, self._refused, callbackArgs=(pending,), errbackArgs=(pending,)
        ).addErrback(self._bug)

    def _ran(self, _result: None, mail: Mail) -> None:
        self._running -= 1
        mail.running = False
        self._let_go(mail)
        self._make_ready(mail, self._backlog)
        self._pump()
        self._perhaps_quiet()

    def _bug(self, failure: Failure) -> None:
        self._counters.add("spool.errors.internal")
        self.log.failure("internal error of the spool", failure)

    # -- outcomes ------------------------------------------------------------------------------------------------

    def _delivered(self, _result: None, pending: Pending) -> None:
        self._counters.add("spool.delivered")
        mail = pending.mail
        mail.pending.remove(pending)
        if not mail.pending:
            del self._mails[mail]
        self._done.append(pending)
        self._settle(mail)
        self._sweep_soon()

    def _refused(self, failure: Failure, pending: Pending) -> None:
        refusal = failure.value
        if not isinstance(refusal, Refusal):
            self._bug(failure)
            self._put_back(pending, "internal error")
        elif refusal.temporary:
            self._put_back(pending, refusal.text)
        else:
            self._hold(pending, refusal.text)

    def _put_back(self, pending: Pending, reason: str) -> None:
        """Another attempt later, or none if the mail is too old."""
        now = self._now()
        if self._schedule.expired(now - pending.mail.received):
            self._hold(pending, reason)
            return
        self._counters.add("spool.deferred")
        pending.attempts += 1
        pending.last_error = reason
        pause = self._schedule.pause(pending.attempts)
        pending.next_attempt = now + pause
        self._put_off(pending, pause)
        self._note(pending)

    def _hold(self, pending: Pending, reason: str) -> None:
        """Keep the mail for a person to look at."""
        self._counters.add("spool.held")
        pending.attempts += 1
        pending.last_error = reason
        pending.held = True
        self.log.warn(
            "{id} to {recipient} is held after {attempts} attempts: {reason}",
            id=pending.mail.envelope.id,
            recipient=str(pending.recipient.address),
            attempts=pending.attempts,
            reason=reason,
        )
        self._note(pending)
        self._settle(pending.mail)

    def _settle(self, mail: Mail) -> None:
        mail.open -= 1
        if mail.open == 0:
            mail.delivered.callback(None)

    def _note(self, pending: Pending) -> None:
        Deferred.fromCoroutine(self._shelf.note(pending)).addErrback(self._lost_note, pending)

    def _lost_note(self, failure: Failure, pending: Pending) -> None:
        self.log.failure("what became of {id} could not be noted", failure, id=pending.mail.envelope.id)

    # -- another attempt -----------------------------------------------------------------------------------------

    def _put_off(self, pending: Pending, pause: float) -> None:
        self._sequence += 1
        heapq.heappush(self._later, (self._clock.seconds() + pause, self._sequence, pending))
        self._arm()

    def _arm(self) -> None:
        if self._closing or not self._later:
            return
        due = self._later[0][0]
        timer = self._timer
        if timer is not None and timer.active():
            if timer.getTime() <= due:
                return
            timer.cancel()
        self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        while self._later and self._later[0][0] <= now:
            pending = heapq.heappop(self._later)[2]
            pending.mail.due.append(pending)
            self._make_ready(pending.mail, self._backlog)
        self._arm()
        self._pump()

    # -- bodies --------------------------------------------------------------------------------------------------

    def _keep_fresh(self, mail: Mail, body: Body) -> None:
        cost = mail.size if mail.size <= IN_MEMORY else SPILLED_COST
        if self._fresh + cost > FRESH_OCTETS:
            body.close()
            return
        self._fresh += cost
        mail.fresh = cost
        mail.body = body

    def _let_go(self, mail: Mail) -> None:
        body, mail.body = mail.body, None
        self._fresh -= mail.fresh
        mail.fresh = 0
        if body is not None:
            body.close()

    # -- taking off the shelf ------------------------------------------------------------------------------------

    def _sweep_soon(self) -> None:
        if self._sweeping or self._closing or self._sweep_later:
            return
        if len(self._done) >= SWEEP_AT_ONCE:
            self._sweep()
        elif self._sweep_timer is None:
            self._sweep_timer = self._clock.callLater(SWEEP_DELAY, self._sweep)

    def _sweep(self) -> None:
        timer, self._sweep_timer = self._sweep_timer, None
        self._sweep_later = False
        if timer is not None and timer.active():
            timer.cancel()
        if self._sweeping or not self._done:
            return
        self._sweeping = True
        batch, self._done = self._done, []
        Deferred.fromCoroutine(self._take_off(batch)).addErrback(self._bug).addCallback(self._swept)

    async def _take_off(self, batch: list[Pending]) -> None:
        try:
            await self._shelf.remove(batch)
        except Refusal as refusal:
            self.log.warn(
                "{count} delivered rows stay in the spool for now: {reason}", count=len(batch), reason=refusal.text
            )
            self._done = batch + self._done
            if not self._closing:
                self._sweep_later = True
                self._sweep_timer = self._clock.callLater(self._schedule.first, self._sweep)
            return
        for account, keys in keys_by_account(batch).items():
            try:
                await self._forget(account, keys)
            except Refusal as refusal:
                self.log.info("keys of {account} are kept: {reason}", account=account, reason=refusal.text)

    def _swept(self, _result: None) -> None:
        self._sweeping = False
        if self._done and not self._closing:
            self._sweep_soon()
        self._perhaps_quiet()


def key_of(envelope: Envelope, recipient: SpoolRecipient) -> str:
    """Names one delivery for ever."""
    return f"{envelope.id}/{recipient.account}"


def keys_by_account(delivered: Iterable[Pending]) -> dict[AccountId, list[str]]:
    """Delivery keys, sorted to the accounts that keep them."""
    found: dict[AccountId, list[str]] = {}
    for pending in delivered:
        recipient = pending.recipient
        found.setdefault(recipient.account, []).append(key_of(pending.mail.envelope, recipient))
    return found


def describe(pending: Pending) -> Waiting:
    """One recipient for people who ask."""
    mail = pending.mail
    return Waiting(
        id=mail.envelope.id,
        sender="" if mail.envelope.sender is None else str(mail.envelope.sender),
        recipient=str(pending.recipient.address),
        size=mail.size,
        attempts=pending.attempts,
        next_attempt=pending.next_attempt,
        last_error=pending.last_error,
        held=pending.held,
    )
