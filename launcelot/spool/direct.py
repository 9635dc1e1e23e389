"""
Direct delivery: mail for one mailbox here goes past the queue while whoever brought it waits.

The mailbox's own transaction makes it durable, so one sync is enough where the queue needs two.  Invariants:

- What was not delivered is still the caller's, and goes into the queue as if nothing had been tried; the delivery's key, which
  both use, makes it harmless if the first attempt came through nevertheless.
- Nothing waits here for anything but its own transaction: what would have to wait for another mailbox's writer, or for memory,
  goes into the queue.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.spool.interface import Delivery, Envelope, Forget, SpoolRecipient
from launcelot.spool.sweeping import key_of
from launcelot.workers.staging import LARGEST_SPARED, WINDOW, Staged

OCTETS = 16 << 20
"""Memory that the bodies of all that is delivered directly at a time may take."""

MAILBOXES = 4
"""Accounts that are delivered to at a time: more transactions than that at once are better shared in the queue's."""

FORGET_AT_ONCE = 500
"""Keys that are forgotten together."""

FORGET_DELAY = 2.0
"""Seconds after which keys are forgotten, however few."""


class DirectDelivery:
    """
    Delivers before the queue would.

    :param deliver: durable when it returns, idempotent by its key.
    :param forget: told of keys that will not come again.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(self, deliver: Delivery, forget: Forget, clock: IReactorTime, counters: Counters) -> None:
        self._deliver = deliver
        self._forget = forget
        self._clock = clock
        self._counters = counters
        self._octets = 0
        self._busy: dict[AccountId, int] = {}
        self._keys: dict[AccountId, list[str]] = {}
        self._count = 0
        self._timer: IDelayedCall | None = None
        self._working = 0
        self._quiet: list[Deferred[None]] = []

    def takes(self, envelope: Envelope, body: Staged) -> Deferred[bool]:
        """
        Deliver if that can be done now; the body stays the caller's.

        :returns: whether its only recipient has it, durably; otherwise it belongs into the queue.
        """
        recipient = envelope.recipients[0]
        if not self._may(envelope, recipient, body.size):
            return succeed(False)
        account, size, key = recipient.account, weight_of(body.size), key_of(envelope, recipient)
        self._octets += size
        self._busy[account] = self._busy.get(account, 0) + 1
        self._working += 1
        delivering = Deferred.fromCoroutine(self._deliver(envelope, recipient, body.view(), key))
        attempt = delivering.addCallbacks(
            self._delivered, self._refused, callbackArgs=(account, key), errbackArgs=(envelope,)
        )
        return attempt.addBoth(self._over, account, size)

    def _over(self, outcome: bool | Failure, account: AccountId, size: int) -> bool | Failure:
        self._octets -= size
        self._busy[account] -= 1
        if not self._busy[account]:
            del self._busy[account]
        self._ended()
        return outcome

    def _delivered(self, _: None, account: AccountId, key: str) -> bool:
        self._counters.add("spool.delivered")
        self._forget_later(account, key)
        return True

    def _refused(self, failure: Failure, envelope: Envelope) -> bool:
        """The queue tries again, and tells the sender if it must."""
        if failure.check(Refusal):
            self.log.debug("{id} is not delivered at once: {reason}", id=envelope.id, reason=failure.getErrorMessage())
        else:
            self._counters.add("spool.errors.internal")
            self.log.failure("internal error of a delivery", failure)
        return False

    def _may(self, envelope: Envelope, recipient: SpoolRecipient, size: int) -> bool:
        return (
            len(envelope.recipients) == 1
            and not recipient.is_remote
            and "SUCCESS" not in recipient.notify
            and self._octets + weight_of(size) <= OCTETS
            and (recipient.account in self._busy or len(self._busy) < MAILBOXES)
        )

    # -- keys ----------------------------------------------------------------------------------------------------

    def _forget_later(self, account: AccountId, key: str) -> None:
        self._keys.setdefault(account, []).append(key)
        self._count += 1
        if self._count >= FORGET_AT_ONCE:
            self._forget_now()
        elif self._timer is None:
            self._timer = self._clock.callLater(FORGET_DELAY, self._forget_now)

    def _forget_now(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        found, self._keys, self._count = self._keys, {}, 0
        for account, keys in found.items():
            self._working += 1
            forgetting = Deferred.fromCoroutine(self._forget(account, keys))
            forgetting.addErrback(self._kept, account).addBoth(lambda _: self._ended())

    def _kept(self, failure: Failure, account: AccountId) -> None:
        if failure.check(Refusal):
            self.log.info("keys of {account} are kept: {reason}", account=account, reason=failure.getErrorMessage())
        else:
            self.log.failure("internal error of the spool", failure)

    # -- the end -------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        self._working -= 1
        if not self._working:
            quiet, self._quiet = self._quiet, []
            for one in quiet:
                one.callback(None)

    def close(self) -> Deferred[None]:
        """Wait for what is being delivered, then have all keys forgotten."""
        self._forget_now()
        if not self._working:
            return succeed(None)
        quiet: Deferred[None] = Deferred()
        self._quiet.append(quiet)
        return quiet.addCallback(lambda _: self.close() if self._count or self._working else None)


def weight_of(size: int) -> int:
    """Octets of memory that a staged body of ``size`` octets takes while it is read."""
    return size if size <= LARGEST_SPARED else WINDOW
