"""What every check that asks a filter has: a place, a time, and an answer for mail that the filter cannot be asked about."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Message, Verdict
from launcelot.checks.results import without_forged

T = TypeVar("T")

SLACK = 5.0
"""Seconds that a check may take beyond what its filter may, so that the filter's own failing is told."""


class FilterFailed(Exception):
    """A filter cannot be asked now; the text says why, for the log."""


class FilterCheck(Check):
    """
    Asks one filter.

    :param place: where it is, for the log.
    :param timeout: seconds for connecting, and for all that is asked at one moment.
    :param defers: mail has to come again while the filter cannot be asked; otherwise it passes.
    """

    log = Logger(namespace="launcelot.checks")

    def __init__(self, reactor: Any, place: object, timeout: float, defers: bool) -> None:
        self.reactor = reactor
        self.timeout = timeout
        self.time = timeout + SLACK
        self._place = place
        self._defers = defers

    async def within_time(self, asking: Coroutine[Any, Any, T]) -> T:
        """
        What comes of asking.

        :raises FilterFailed: it takes too long.
        """
        waits = Deferred.fromCoroutine(asking)
        waits.addTimeout(self.timeout, self.reactor)
        try:
            return await waits
        except DeferredTimeout:
            raise FilterFailed("it does not answer in time") from None

    def unavailable(self, reason: Exception) -> Verdict:
        """The verdict for mail that the filter cannot be asked about."""
        self.log.warn("{filter} {place} cannot be asked: {reason}", filter=self.name, place=str(self._place), reason=str(reason))
        return Verdict(Action.DEFER, "Mail cannot be looked at now, come again", "4.3.0", 451) if self._defers else ACCEPT


def shown(case: Case, message: Message) -> bytes:
    """The header section that a filter is shown: as those before it want it, and without fields that only we may write."""
    return message.head if case.edited is not None else without_forged(message.head, case.hostname)
