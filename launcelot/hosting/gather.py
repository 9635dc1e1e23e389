"""
Waiting for several things: the one way it is done here.

Twisted's ``DeferredList`` gives (success, value) pairs that are easily not looked at; :func:`gather` waits for all, then hands
over every result or raises the first failure, and no failure is ever left unhandled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

log = Logger(namespace="launcelot.gather")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one: a result, or a failure."""

    result: T | None
    failure: Failure | None


async def outcomes(waiting: Iterable[Deferred[T]]) -> list[Outcome[T]]:
    """Wait for all; one outcome for each, in order."""
    found: list[Outcome[T]] = []
    for deferred in list(waiting):
        try:
            found.append(Outcome(await deferred, None))
        except Exception:  # noqa: BLE001 - handed to the caller as a value
            found.append(Outcome(None, Failure()))
    return found


async def gather(waiting: Iterable[Deferred[T]]) -> list[T]:
    """
    Wait for all; the results in order.

    :raises Exception: the first failure, after all have ended; further ones are logged.
    """
    found = await outcomes(waiting)
    failures = [one.failure for one in found if one.failure is not None]
    for failure in failures[1:]:
        log.failure("one of several failed", failure)
    if failures:
        failures[0].raiseException()
    return [one.result for one in found]  # type: ignore[misc]
