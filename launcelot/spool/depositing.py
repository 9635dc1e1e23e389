"""
Delivery while the peer waits for it, recipient by recipient, as LMTP asks for.  RFC 2033 section 4.2.

Invariants:

- Who is told :attr:`~launcelot.spool.interface.Fate.DONE` has the mail in the mailbox, or the spool has it on disk.
- Nothing that fails for all behind an address is kept: the peer still has the mail, and is told.  Only where some behind one
  address have it and others do not, those others go into the spool, because neither answer would be true for all of them; and
  so do those at other hosts, to whom the mail is sent on.
- A peer that leaves stops nothing: what was begun ends, and its octets stay until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal
from launcelot.spool.courier import CONCURRENCY
from launcelot.spool.interface import Delivery, Envelope, Fate, Forget, Spool, SpoolRecipient, Verdict
from launcelot.spool.refusals import verdict_on
from launcelot.spool.sweeping import forget_nothing, key_of
from launcelot.workers.staging import Buffer, Staged

DELIVERED = Verdict(Fate.DONE, "2.1.5", "delivered")
SENT_ON = Verdict(Fate.LATER, "4.3.0", "it is to be sent on")
INTERNAL = Verdict(Fate.LATER, "4.3.0", "internal error")

Verdicts = dict[SpoolRecipient, Verdict]


class Depositor:
    """
    Delivers at once.

    :param spool: takes the rest of those who share an address.
    :param forget: told of the keys of deliveries that will not come again.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(self, deliver: Delivery, spool: Spool, counters: Counters, forget: Forget = forget_nothing) -> None:
        self._deliver = deliver
        self._spool = spool
        self._counters = counters
        self._forget = forget
        self._slots = DeferredSemaphore(CONCURRENCY)
        self._running = 0
        self._quiet: list[Deferred[None]] = []

    async def deposit(
        self, envelope: Envelope, body: Staged, groups: Sequence[Sequence[SpoolRecipient]]
    ) -> Sequence[Verdict]:
        """
        Deliver one mail; the body is ours from the call on.

        :param groups: those behind each address; a recipient may be in several and gets it once.
        :returns: one verdict for each group, in order.
        """
        waits: Deferred[Sequence[Verdict]] = Deferred()
        self._running += 1
        Deferred.fromCoroutine(self._deposit(envelope, body, groups, waits)).addErrback(self._bug, waits).addBoth(self._ended)
        return await waits

    async def close(self) -> None:
        """Wait for what has been begun; a peer that is gone does not wait for it."""
        if self._running:
            quiet: Deferred[None] = Deferred()
            self._quiet.append(quiet)
            await quiet

    async def _deposit(
        self,
        envelope: Envelope,
        body: Staged,
        groups: Sequence[Sequence[SpoolRecipient]],
        waits: Deferred[Sequence[Verdict]],
    ) -> None:
        rest: Sequence[SpoolRecipient] = ()
        try:
            verdicts = await self._deliver_all(envelope, body.view())
            rest = rest_of(groups, verdicts)
        finally:
            if not rest:
                body.close()
        if rest:
            await self._pass_on(envelope, rest, body, verdicts)
        if not waits.called:
            waits.callback([verdict_of(group, verdicts) for group in groups])
        for recipient, verdict in verdicts.items():
            if recipient not in rest and verdict.fate is Fate.DONE:
                await self._forget_key(envelope, recipient)

    async def _deliver_all(self, envelope: Envelope, body: Buffer) -> Verdicts:
        here = [one for one in envelope.recipients if not one.is_remote]
        attempts = [(one, self._slots.run(self._attempt, envelope, one, body)) for one in here]
        verdicts = {one: await attempt for one, attempt in attempts}
        return {one: verdicts.get(one, SENT_ON) for one in envelope.recipients}

    def _attempt(self, envelope: Envelope, recipient: SpoolRecipient, body: Buffer) -> Deferred[Verdict]:
        delivering = Deferred.fromCoroutine(self._deliver(envelope, recipient, body, key_of(envelope, recipient)))
        return delivering.addCallbacks(lambda _: self._delivered(), self._refused)

    def _delivered(self) -> Verdict:
        self._counters.add("spool.delivered")
        return DELIVERED

    def _refused(self, failure: Failure) -> Verdict:
        if isinstance(failure.value, Refusal):
            return verdict_on(failure.value)
        self._counters.add("spool.errors.internal")
        self.log.failure("internal error of a delivery", failure)
        return INTERNAL

    async def _pass_on(
        self, envelope: Envelope, rest: Sequence[SpoolRecipient], body: Staged, verdicts: Verdicts
    ) -> None:
        """Have the spool take those who share an address with somebody who has the mail, and the body with them."""
        words = replace(envelope, recipients=tuple(rest))
        try:
            await self._spool.accept(words, body)
        except Refusal as refusal:
            # Those who have it get it twice when it comes again, which is better than not at all for the others.
            verdicts.update({one: verdict_on(refusal) for one in rest})
        else:
            verdicts.update(dict.fromkeys(rest, DELIVERED))

    async def _forget_key(self, envelope: Envelope, recipient: SpoolRecipient) -> None:
        try:
            await self._forget(recipient.account, [key_of(envelope, recipient)])
        except Refusal as refusal:
            self.log.debug("a delivery key stays: {reason}", reason=refusal.text)

    def _bug(self, failure: Failure, waits: Deferred[Sequence[Verdict]]) -> None:
        if waits.called:
            self._counters.add("spool.errors.internal")
            self.log.failure("internal error behind a delivery", failure)
        else:
            waits.errback(failure)

    def _ended(self, _: object) -> None:
        self._running -= 1
        if not self._running:
            quiet, self._quiet = self._quiet, []
            for one in quiet:
                one.callback(None)


def rest_of(groups: Sequence[Sequence[SpoolRecipient]], verdicts: Verdicts) -> list[SpoolRecipient]:
    """Those who do not have it while another of their group has, or is at another host."""
    found: dict[SpoolRecipient, None] = {}
    for group in groups:
        if any(verdicts[one].fate is Fate.DONE or one.is_remote for one in group):
            found.update({one: None for one in group if verdicts[one].fate is not Fate.DONE})
    return list(found)


def verdict_of(group: Sequence[SpoolRecipient], verdicts: Verdicts) -> Verdict:
    """What is true of a group: the first that may come again, or else the first that failed."""
    of_all = sorted((verdicts[one] for one in group), key=lambda one: ORDER.index(one.fate))
    return of_all[0]


ORDER = (Fate.LATER, Fate.NEVER, Fate.DONE)
