"""
The courier: carries accepted mail to its recipients, tries again, tells senders, and has what is done taken off the shelf.

Where mail lies is the business of a :class:`~launcelot.spool.mail.Shelf`; the courier knows what waits, in memory.  Invariants:

- A recipient's row leaves the shelf only after delivery has returned; delivery keys are forgotten only after the row is
  durably gone.  So a crash at any instant repeats a delivery at most, and the key makes the repetition harmless.
- What is about to be sent to another host is marked on the shelf before its last octet leaves; a mark that a crash leaves behind
  counts as a copy that may have arrived, and what may have arrived twice is not sent again.
- A notice to a sender goes onto the shelf in the transaction that takes off, or marks, those whom it is about: it is told once.
- No more than ``concurrency`` deliveries to mailboxes here run at once, and mail to other hosts waits elsewhere
  (:mod:`~launcelot.spool.outgoing`); a recipient that fails or hangs holds up only itself.
- Bodies of mail just accepted stay open for their first attempt while all of them together cost less than
  :data:`FRESH_OCTETS`; later attempts fetch theirs from the shelf.
- Past ``most`` mails, those that wait for another attempt are parked: forgotten here, and brought back by the shelf.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.counters import Counters
from launcelot.core.errors import InUse, Refusal
from launcelot.spool.chronicle import Chronicle
from launcelot.spool.interface import Carrier, Delivery, Fate, Forget, Verdict, Waiting
from launcelot.spool.mail import Body, Change, Mail, Pending, Shelf, describe
from launcelot.spool.notices import Kind, Notices, NotReturnable, Results, wants
from launcelot.spool.outgoing import MAY_HAVE_ARRIVED, Outgoing
from launcelot.spool.outgoing import MOST as TRANSACTIONS
from launcelot.spool.refusals import verdict_on
from launcelot.spool.schedule import Schedule
from launcelot.spool.sweeping import Sweeper, forget_nothing, key_of
from launcelot.workers.staging import LARGEST_SPARED, Buffer

CONCURRENCY = 20
"""Deliveries to mailboxes here that run at once."""

BACKLOG_TURN = 4
"""Of so many messages begun one comes from those that have waited, while there are fresh ones."""

FRESH_OCTETS = 64 << 20
"""What the open bodies of mail just accepted may cost together."""

SPILLED_COST = 1 << 20
"""What an open body in a file counts against :data:`FRESH_OCTETS`; it takes a descriptor rather than memory."""

class Courier:
    """
    Carries mail.

    :param clock: monotonic, for timers.
    :param now: wall-clock seconds, for what is kept over restarts.
    :param carrier: takes mail to other hosts; without one it waits.
    :param notices: tell senders; without them mail that cannot be delivered is held.
    :param most: mails kept in memory, more or less; 0 for all.
    :param chronicle: told what becomes of mail.
    :param transactions: with other hosts, at once in all.
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
        carrier: Carrier | None = None,
        notices: Notices | None = None,
        most: int = 0,
        chronicle: Chronicle | None = None,
        transactions: int = TRANSACTIONS,
    ) -> None:
        self._shelf = shelf
        self._deliver = deliver
        self._clock = clock
        self._now = now
        self._counters = counters
        self._schedule = schedule or Schedule()
        self._concurrency = concurrency
        self._notices = notices
        self._most = most
        self._chronicle = chronicle or Chronicle()
        self._outgoing = (
            None if carrier is None else Outgoing(
                carrier, shelf.fetch, self._concluded, self._let_go, self._ended, self._about_to_send, clock, transactions
            )
        )
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
        self._sweeper = Sweeper(shelf, forget, clock, self.take, self._swept, self._schedule.first)
        self._closing = False
        self._quiet: list[Deferred[None]] = []

    # -- what the spool calls ------------------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """Messages being delivered here now or next."""
        return self._running + len(self._fresh_mail) + len(self._backlog)

    def take(self, mail: Mail, body: Body | None = None) -> None:
        """
        Begin to carry a mail that is on the shelf.

        :param body: its octets, open; the courier's from here on.
        """
        self._mails[mail] = None
        for pending in mail.pending:
            pending.settled = pending.held or pending.recipient.is_remote
        mail.open = sum(not pending.settled for pending in mail.pending)
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
        self._let_go(mail)
        self._pump()

    def waiting(self, limit: int = 0) -> Sequence[Waiting]:
        """Everything in memory that is not delivered, oldest first."""
        found: list[Waiting] = []
        for mail in self._mails:
            found += [describe(pending, self.destination(mail, pending)) for pending in mail.pending]
            if 0 < limit <= len(found):
                return found[:limit]
        return found

    def destination(self, mail: Mail, pending: Pending) -> str:
        """Where a recipient's mail goes; empty for a mailbox here."""
        if not pending.recipient.is_remote:
            return ""
        carrier = self._outgoing.carrier if self._outgoing is not None else None
        return pending.recipient.address.domain if carrier is None else carrier.destination(mail.envelope, pending.recipient)

    async def close(self) -> None:
        """Begin nothing new, let what runs finish, and have it taken off the shelf."""
        self._closing = True
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        self._sweeper.close()
        if self._outgoing is not None:
            self._outgoing.close()
        await self._until_quiet()
        self._sweeper.sweep()
        await self._until_quiet()
        for mail in self._mails:
            mail.using = 0
            self._let_go(mail)

    async def _until_quiet(self) -> None:
        while not self._is_quiet:
            quiet: Deferred[None] = Deferred()
            self._quiet.append(quiet)
            await quiet

    @property
    def _is_quiet(self) -> bool:
        return not (self._running or self._sweeper.running or (self._outgoing is not None and self._outgoing.running))

    def _perhaps_quiet(self) -> None:
        if self._quiet and self._is_quiet:
            waiting, self._quiet = self._quiet, []
            for quiet in waiting:
                quiet.callback(None)

    # -- what people ask for -------------------------------------------------------------------------------------

    async def hold(self, chosen: Sequence[Pending]) -> None:
        """Try these no more."""
        for pending in chosen:
            if not pending.held and pending in pending.mail.pending:
                pending.held, pending.turn = True, 0
                self._settle(pending)
                self._chronicle.asked("held", [pending])
                await self._shelf.note(pending)

    async def release(self, chosen: Sequence[Pending]) -> None:
        """Try these now."""
        self._chronicle.asked("released", chosen)
        for pending in chosen:
            # While the one before was noted, this one may have been delivered: it must not be once more.
            if pending in pending.mail.pending:
                self._release(pending)
                await self._shelf.note(pending)

    def _release(self, pending: Pending) -> None:
        mail = pending.mail
        if pending.settled and not (pending.recipient.is_remote or mail.delivered.called):
            pending.settled = False
            mail.open += 1
        if pending.held and not pending.busy:
            pending.released()
        pending.held = False
        pending.next_attempt = 0.0
        if not pending.busy and pending not in mail.due:
            pending.turn = 0
            mail.due.append(pending)
            self._make_ready(mail, self._backlog)
            self._pump()

    async def drop(self, chosen: Sequence[Pending]) -> None:
        """
        Remove these.

        :raises InUse: one is being delivered now, or next.
        """
        if any(pending.busy for pending in chosen):
            raise InUse("it is being delivered now; hold it first, then drop it")
        for pending in chosen:
            pending.busy, pending.turn = True, 0
            if pending in pending.mail.due:
                pending.mail.due.remove(pending)
        try:
            await self._shelf.settle([Change(tuple(chosen))])
        finally:
            for pending in chosen:
                pending.busy = False
        self._chronicle.asked("dropped", chosen)
        self._forget_these(chosen)

    # -- running -------------------------------------------------------------------------------------------------

    def _make_ready(self, mail: Mail, queue: deque[Mail]) -> None:
        if not mail.due:
            return
        remote = [pending for pending in mail.due if pending.recipient.is_remote]
        if remote:
            mail.due = [pending for pending in mail.due if not pending.recipient.is_remote]
            self._send_out(mail, remote)
        if mail.due and not mail.running:
            mail.running = True
            queue.append(mail)

    def _send_out(self, mail: Mail, remote: Sequence[Pending]) -> None:
        if self._outgoing is None:
            for pending in remote:
                self._put_off(pending, self._schedule.longest)
        elif not self._closing:
            for pending in remote:
                pending.busy = True
            self._outgoing.add(mail, remote)

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
        due, mail.due = [one for one in mail.due if not one.held], []
        mail.using += 1
        try:
            for pending in due:
                pending.busy = True
            if mail.body is None:
                mail.body = await self._shelf.fetch(mail)
            body = mail.body.view()
        except Refusal as refusal:
            for pending in due:
                pending.busy = False
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
            self._delivered, self._refused, callbackArgs=(pending, body), errbackArgs=(pending, body)
        ).addErrback(self._bug)

    def _ran(self, _result: None, mail: Mail) -> None:
        self._running -= 1
        mail.running = False
        mail.using -= 1
        self._let_go(mail)
        self._make_ready(mail, self._backlog)
        self._pump()
        self._ended(mail)

    def _swept(self) -> None:
        if self._most and len(self._mails) < self._most // 2:
            self._shelf.room()
        self._perhaps_quiet()

    def _ended(self, mail: Mail) -> None:
        """Something that was done for a mail has ended."""
        self._perhaps_park(mail)
        self._perhaps_quiet()

    def _bug(self, failure: Failure) -> None:
        self._counters.add("spool.errors.internal")
        self.log.failure("internal error of the spool", failure)

    # -- outcomes ------------------------------------------------------------------------------------------------

    def _delivered(self, _result: None, pending: Pending, body: Buffer) -> Deferred[None] | None:
        if pending.recipient.notify and wants(pending.recipient, Kind.SUCCESS):
            return self._concluded([(pending, Verdict(Fate.DONE, "2.1.5", "delivered"))], body)
        pending.busy = False
        self._counters.add("spool.delivered")
        self._finish([pending], Change((pending,)))
        return None

    def _refused(self, failure: Failure, pending: Pending, body: Buffer) -> Deferred[None]:
        refusal = failure.value
        if not isinstance(refusal, Refusal):
            self._bug(failure)
            return self._concluded([(pending, Verdict(Fate.LATER, "4.3.0", "internal error"))], body)
        return self._concluded([(pending, verdict_on(refusal))], body)

    def _concluded(self, results: Results, body: Buffer) -> Deferred[None]:
        """See :meth:`_conclude`; a bug there loses nothing."""
        concluding = Deferred.fromCoroutine(self._conclude(results[0][0].mail, results, body))
        return concluding.addErrback(self._not_concluded, results)

    async def _about_to_send(self, sending: Sequence[Pending]) -> None:
        """Have it on disk that these may arrive from now on, whatever becomes of us."""
        fresh = [pending for pending in sending if not pending.marked]
        for pending in fresh:
            pending.mark()
        if fresh:
            await self._shelf.mark(*fresh)

    def _not_concluded(self, failure: Failure, results: Results) -> None:
        self._bug(failure)
        for pending, _ in results:
            if pending in pending.mail.pending and not (pending.busy or pending.held or pending.turn):
                self._put_back(pending, "internal error")

    async def _conclude(self, mail: Mail, results: Results, body: Buffer) -> None:
        """What became of some recipients of a mail in one attempt."""
        by_fate: dict[Fate, list[tuple[Pending, Verdict]]] = {fate: [] for fate in Fate}
        for pending, verdict in results:
            pending.busy = False
            was_marked = pending.marked
            pending.unmark(verdict.unsure)
            if self._closing and verdict.fate is Fate.LATER and not verdict.unsure:
                # Cut short by our own end: it is as if it had not been tried.
                if was_marked:
                    self._note(pending)
                continue
            judged = self._judge(pending, verdict)
            by_fate[judged.fate].append((pending, judged))
        if by_fate[Fate.LATER]:
            await self._postpone(mail, by_fate[Fate.LATER], body)
        if by_fate[Fate.NEVER]:
            await self._give_up(mail, by_fate[Fate.NEVER], body)
        if by_fate[Fate.DONE]:
            await self._succeed(mail, by_fate[Fate.DONE], body)

    def _judge(self, pending: Pending, verdict: Verdict) -> Verdict:
        """The verdict, made final if the mail is too old or another attempt might double it again."""
        if verdict.fate is not Fate.LATER:
            return verdict
        if verdict.unsure and pending.is_spent:
            return Verdict(Fate.NEVER, "5.4.2", f"{verdict.text}; {MAY_HAVE_ARRIVED}", verdict.host, verdict.diagnostic)
        age = self._now() - pending.mail.received
        if self._schedule.expired(age, pending.attempts + 1, pending.recipient.is_remote):
            return Verdict(Fate.NEVER, "5.4.7", verdict.text, verdict.host, verdict.diagnostic)
        return verdict

    async def _succeed(self, mail: Mail, results: Results, body: Buffer) -> None:
        done = [pending for pending, _ in results]
        remote = done[0].recipient.is_remote
        self._counters.add("spool.relayed" if remote else "spool.delivered", len(done))
        asked = [(one, word) for one, word in results if wants(one.recipient, Kind.SUCCESS) and not word.passed_on]
        notice = None
        if asked and self._notices is not None:
            try:
                notice = await self._notices.compose(Kind.SUCCESS, mail, asked, body)
            except Refusal as refusal:
                self.log.info("{id}: no notice of success: {reason}", id=mail.envelope.id, reason=refusal.text)
        if remote:
            self._chronicle.relayed(results)
        self._chronicle.noticed(mail, Kind.SUCCESS, notice)
        self._finish(done, Change(tuple(done), (), notice), at_once=remote or notice is not None)

    async def _postpone(self, mail: Mail, results: Results, body: Buffer) -> None:
        late = self._schedule.is_late(self._now() - mail.received)
        tell = [(one, word) for one, word in results if late and not one.told and wants(one.recipient, Kind.DELAY)]
        if tell and self._notices is not None:
            for pending, _ in tell:
                pending.told = True
            try:
                notice = await self._notices.compose(Kind.DELAY, mail, tell, body)
            except NotReturnable:
                pass
            except Refusal:
                for pending, _ in tell:
                    pending.told = False
            else:
                self._counters.add("spool.notices.delay")
                self._chronicle.noticed(mail, Kind.DELAY, notice)
                self._sweeper.add(Change((), tuple(pending for pending, _ in tell), notice), at_once=True)
        for pending, verdict in results:
            self._put_back(pending, verdict.text, verdict)

    async def _give_up(self, mail: Mail, results: Results, body: Buffer) -> None:
        if self._notices is None:
            for pending, verdict in results:
                self._hold(pending, verdict.text)
            return
        tell = [(one, word) for one, word in results if wants(one.recipient, Kind.FAILURE)]
        notice = None
        try:
            if tell and (mail.envelope.sender is not None or not tell[0][0].recipient.is_remote):
                notice = await self._notices.compose(Kind.FAILURE, mail, tell, body)
        except NotReturnable as refusal:
            for pending, verdict in tell:
                self._hold(pending, f"{verdict.text} ({refusal.text})")
            results = [one for one in results if one not in tell]
        except Refusal as refusal:
            for pending, verdict in results:
                self._put_back(pending, f"{verdict.text} (the sender cannot be told now: {refusal.text})", verdict)
            return
        for pending, verdict in results:
            pending.last_error = verdict.text
            self._chronicle.given_up(pending, verdict)
        self._counters.add("spool.failed", len(results))
        self._counters.add("spool.notices.failure", notice is not None)
        self._chronicle.noticed(mail, Kind.FAILURE, notice)
        gone = [pending for pending, _ in results]
        if gone:
            self._finish(gone, Change(tuple(gone), (), notice), at_once=True)

    def _finish(self, done: Sequence[Pending], change: Change, at_once: bool = False) -> None:
        """These recipients are done with."""
        self._forget_these(done)
        self._sweeper.add(change, at_once)

    def _forget_these(self, done: Sequence[Pending]) -> None:
        for pending in done:
            mail = pending.mail
            mail.pending.remove(pending)
            if not mail.pending:
                del self._mails[mail]
            self._settle(pending)

    def _put_back(self, pending: Pending, reason: str, verdict: Verdict | None = None) -> None:
        """Another attempt later, or none if the mail is too old."""
        now = self._now()
        pending.attempts += 1
        pending.last_error = reason
        self._counters.add("spool.deferred")
        if not pending.held:
            pause = self._schedule.pause(pending.attempts, pending.recipient.is_remote)
            pending.next_attempt = now + pause
            self._put_off(pending, pause)
        self._chronicle.put_back(pending, verdict)
        self._note(pending)

    def _hold(self, pending: Pending, reason: str) -> None:
        """Keep the mail for a person to look at."""
        self._counters.add("spool.held")
        pending.attempts += 1
        pending.last_error = reason
        pending.held = True
        self._chronicle.held(pending, reason)
        self._note(pending)
        self._settle(pending)

    def _settle(self, pending: Pending) -> None:
        mail = pending.mail
        if pending.settled:
            return
        pending.settled = True
        mail.open -= 1
        if mail.open == 0 and not mail.delivered.called:
            mail.delivered.callback(None)

    def _note(self, pending: Pending) -> None:
        noting = Deferred.fromCoroutine(self._shelf.note(pending)).addErrback(self._lost_note, pending)
        noting.addCallback(lambda _: self._perhaps_park(pending.mail))

    def _lost_note(self, failure: Failure, pending: Pending) -> None:
        self.log.failure("what became of {id} could not be noted", failure, id=pending.mail.envelope.id)

    # -- another attempt -----------------------------------------------------------------------------------------

    def _put_off(self, pending: Pending, pause: float) -> None:
        self._sequence += 1
        pending.turn = self._sequence
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
        ready: dict[Mail, None] = {}
        while self._later and self._later[0][0] <= now:
            _, turn, pending = heapq.heappop(self._later)
            if pending.turn != turn or pending.held:
                continue
            pending.turn = 0
            pending.mail.due.append(pending)
            ready[pending.mail] = None
        for mail in ready:
            self._make_ready(mail, self._backlog)
        self._arm()
        self._pump()

    def _perhaps_park(self, mail: Mail) -> None:
        if self._most and len(self._mails) > self._most and mail in self._mails and mail.is_idle:
            self._park(mail)

    def _park(self, mail: Mail) -> None:
        del self._mails[mail]
        for pending in mail.pending:
            pending.turn = 0
        if not mail.delivered.called:
            mail.delivered.callback(None)
        self._let_go(mail)
        self._shelf.parked(mail)

    # -- bodies --------------------------------------------------------------------------------------------------

    def _keep_fresh(self, mail: Mail, body: Body) -> None:
        cost = mail.size if mail.size <= LARGEST_SPARED else SPILLED_COST
        if self._fresh + cost > FRESH_OCTETS:
            body.close()
            return
        self._fresh += cost
        mail.fresh = cost
        mail.body = body

    def _let_go(self, mail: Mail) -> None:
        """Nobody reads a mail's body any more, nor is next to."""
        if mail.using or mail.running:
            return
        body, mail.body = mail.body, None
        self._fresh -= mail.fresh
        mail.fresh = 0
        if body is not None:
            body.close()
