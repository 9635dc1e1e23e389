"""
A DNS that is silent holds up no mail: once it has answered nothing for :data:`SILENCE`, nobody waits for it until it does again.

One name may take long to find while the DNS is well, so when there has been no answer for :data:`QUIET`, it is asked for a name
that cannot exist (RFC 6761 section 6.4), which any server can tell of at once; if that is answered, whoever asked for the slow
name goes on waiting.

Who asks meanwhile hears at once that there is no answer, which each check words for itself; one question at a time is asked all
the same, so that an answer is noticed.  An error that comes in time, such as SERVFAIL, is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.checks.names import Exchange, Names, NoAnswer
from launcelot.core.counters import Counters

T = TypeVar("T")

SILENCE = 1.0
"""Seconds without any answer, while something is asked, after which the DNS counts as silent."""

QUIET = 0.4
"""Seconds without any answer after which it is asked whether it is there."""

LONGEST = 8.0
"""Seconds between two such questions at most; they are asked for as long as somebody waits for one slow name."""


class Impatient:
    """
    :class:`~launcelot.checks.names.Names` that do not wait for a silent DNS.

    :param names: asked; each question of theirs must end some time.
    """

    log = Logger(namespace="launcelot.checks")

    def __init__(self, names: Names, clock: IReactorTime, counters: Counters) -> None:
        self._names = names
        self._clock = clock
        self._counters = counters
        self._asked: dict[Deferred[Any], Deferred[Any]] = {}
        self._timer: IDelayedCall | None = None
        self._pause = QUIET
        self._probes: set[Deferred[Any]] = set()
        self._number = 0
        self.is_silent = False

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """See :meth:`launcelot.checks.names.Names.exchanges`."""
        return await self._ask(lambda: self._names.exchanges(domain))

    async def addresses(self, host: str) -> Sequence[str]:
        """See :meth:`launcelot.checks.names.Names.addresses`."""
        return await self._ask(lambda: self._names.addresses(host))

    async def texts(self, name: str) -> Sequence[bytes]:
        """See :meth:`launcelot.checks.names.Names.texts`."""
        return await self._ask(lambda: self._names.texts(name))

    async def pointers(self, name: str) -> Sequence[str]:
        """See :meth:`launcelot.checks.names.Names.pointers`."""
        return await self._ask(lambda: self._names.pointers(name))

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self.is_silent and self._asked:
            raise NoAnswer("the DNS is silent")
        waits: Deferred[T] = Deferred()
        began = self._clock.seconds()
        asked: Deferred[T] = Deferred.fromCoroutine(question())
        self._asked[asked] = waits
        if self._timer is None and not self.is_silent:
            self._pause = QUIET
            self._probe_later()
        asked.addBoth(self._answered, asked, began)
        if self.is_silent:
            raise NoAnswer("the DNS is silent")
        return await waits

    def _answered(self, result: Any, asked: Deferred[Any], began: float) -> None:
        waits = self._asked.pop(asked)
        in_time = self._clock.seconds() - began < SILENCE
        if not isinstance(result, Failure) or not result.check(NoAnswer) or in_time:
            self._pause = QUIET
            self._hear()
        elif not self._asked:
            self._stop()
        if not waits.called:
            waits.callback(result)

    def _hear(self) -> None:
        """It speaks; whoever still waits has the whole time again."""
        if self.is_silent:
            self.log.info("the DNS answers again")
        self.is_silent = False
        self._stop()
        if self._asked:
            self._probe_later()

    def _probe_later(self) -> None:
        self._timer = self._clock.callLater(self._pause, self._probe, self._clock.seconds() + self._pause)

    def _probe(self, due: float) -> None:
        """Ask whether it is there; if nothing at all is heard in time, it is not."""
        left = due + SILENCE - QUIET - self._clock.seconds()
        self._timer = self._clock.callLater(max(0.0, left), self._fall_silent)
        self._number += 1
        began = self._clock.seconds()
        asked = Deferred.fromCoroutine(self._names.addresses(f"is-there-a-dns-{self._number}.invalid"))
        self._probes.add(asked)
        asked.addBoth(self._probed, asked, began)

    def _probed(self, result: Any, asked: Deferred[Any], began: float) -> None:
        self._probes.discard(asked)
        in_time = self._clock.seconds() - began < SILENCE
        if not isinstance(result, Failure) or not result.check(NoAnswer) or in_time:
            self._pause = min(2 * self._pause, LONGEST)
            self._hear()

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _fall_silent(self) -> None:
        self._timer = None
        self.is_silent = True
        self._counters.add("checks.dns.silent")
        self.log.warn("the DNS has not answered for {seconds} seconds; mail does not wait for it", seconds=SILENCE)
        for waits in list(self._asked.values()):
            if not waits.called:
                waits.errback(NoAnswer("the DNS is silent"))
