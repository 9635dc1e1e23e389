"""
Having what is done taken off the shelf, many at once, and telling the mailboxes which delivery keys will not come again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.spool.interface import Envelope, Forget, SpoolRecipient
from launcelot.spool.mail import Change, Mail, Pending, Shelf

SWEEP_DELAY = 0.5
"""Seconds that rows of mail delivered here wait for others, so that one transaction removes them all."""

SWEEP_AT_ONCE = 500
"""Changes that do not wait any longer."""


async def forget_nothing(account: AccountId, keys: Sequence[str]) -> None:
    """For deliveries that keep no keys."""


class Sweeper:
    """
    Collects changes and has the shelf make them.

    :param take: told of the notices that are now on the shelf.
    :param swept: told after every batch.
    :param again: seconds after which a batch that failed is offered again.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(
        self,
        shelf: Shelf,
        forget: Forget,
        clock: IReactorTime,
        take: Callable[[Mail], None],
        swept: Callable[[], None],
        again: float,
    ) -> None:
        self._shelf = shelf
        self._forget = forget
        self._clock = clock
        self._take = take
        self._swept = swept
        self._again = again
        self._done: list[Change] = []
        self._timer: IDelayedCall | None = None
        self._at_once = False
        self._later = False
        self._closing = False
        self.running = False

    def add(self, change: Change, at_once: bool = False) -> None:
        """
        A change to be made.

        :param at_once: as soon as the shelf has made the last batch; else a little later, with others.
        """
        self._done.append(change)
        self._at_once |= at_once
        self._soon()

    def close(self) -> None:
        """Begin nothing by itself any more."""
        self._closing = True
        self._stop_timer()

    def sweep(self) -> None:
        """Have everything made now, if nothing is being made."""
        self._stop_timer()
        self._later = False
        if self.running or not self._done:
            return
        self.running = True
        self._at_once = False
        batch, self._done = self._done, []
        Deferred.fromCoroutine(self._make(batch)).addErrback(self._bug).addCallback(self._made)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _soon(self) -> None:
        if self.running or self._closing or self._later:
            return
        if len(self._done) >= SWEEP_AT_ONCE or self._at_once:
            self.sweep()
        elif self._timer is None:
            self._timer = self._clock.callLater(SWEEP_DELAY, self.sweep)

    async def _make(self, batch: list[Change]) -> None:
        try:
            notices = await self._shelf.settle(batch)
        except Refusal as refusal:
            self.log.warn(
                "{count} delivered rows stay in the spool for now: {reason}", count=len(batch), reason=refusal.text
            )
            self._done = batch + self._done
            if not self._closing:
                self._later = True
                self._timer = self._clock.callLater(self._again, self.sweep)
            return
        for mail in notices:
            self._take(mail)
        for account, keys in keys_by_account(one for change in batch for one in change.removed).items():
            try:
                await self._forget(account, keys)
            except Refusal as refusal:
                self.log.info("keys of {account} are kept: {reason}", account=account, reason=refusal.text)

    def _bug(self, failure: Failure) -> None:
        self.log.failure("internal error of the spool", failure)

    def _made(self, _result: None) -> None:
        self.running = False
        if self._done and not self._closing:
            self._soon()
        self._swept()


def key_of(envelope: Envelope, recipient: SpoolRecipient) -> str:
    """Names one delivery for ever."""
    return f"{envelope.id}/{recipient.account}"


def keys_by_account(delivered: Iterable[Pending]) -> dict[AccountId, list[str]]:
    """Delivery keys, sorted to the accounts that keep them."""
    found: dict[AccountId, list[str]] = {}
    for pending in delivered:
        recipient = pending.recipient
        if not recipient.is_remote:
            found.setdefault(recipient.account, []).append(key_of(pending.mail.envelope, recipient))
    return found
