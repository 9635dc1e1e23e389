"""
Running checks: in order, each within its time, and a broken one stops no mail.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Message, Verdict
from launcelot.checks.spf import Spf
from launcelot.core.counters import Counters
from launcelot.message.address import Address


class Checks:
    """
    Checks in order.

    :param checks: those before others may leave results for them.
    :param trusted: networks whose mail is not checked.
    :param closed: called at the end.
    :raises ValueError: a network is none.
    """

    log = Logger(namespace="launcelot.checks")

    def __init__(
        self,
        checks: Sequence[Check],
        clock: IReactorTime,
        counters: Counters,
        trusted: Sequence[str] = (),
        closed: Callable[[], None] | None = None,
    ) -> None:
        self.checks = tuple(checks)
        self._clock = clock
        self._counters = counters
        self._trusted = tuple(ipaddress.ip_network(one) for one in trusted)
        self._closed = closed

    @property
    def show_senders(self) -> bool:
        """Whether some check tells a sender from who claims to be one."""
        return any(isinstance(check, Spf) for check in self.checks)

    def concern(self, source: str) -> bool:
        """Whether mail from there is checked; who comes by a Unix socket is of this machine."""
        try:
            address = ipaddress.ip_address(source.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return not any(address in network for network in self._trusted)

    def close(self) -> None:
        """Let go of what asks the DNS."""
        if self._closed is not None:
            self._closed()

    async def sender(self, case: Case) -> Verdict:
        """At MAIL: the first refusal, or acceptance."""
        return await self._run(case, lambda check: check.sender(case))

    async def recipient(self, case: Case, recipient: Address) -> Verdict:
        """At RCPT."""
        return await self._run(case, lambda check: check.recipient(case, recipient))

    async def message(self, case: Case, message: Message) -> Verdict:
        """At the end of the message; each sees it as those before it want it to be."""
        return await self._run(case, lambda check: check.message(case, case.edited or message))

    async def _run(self, case: Case, moment: Callable[[Check], Coroutine[Any, Any, Verdict]]) -> Verdict:
        for check in self.checks:
            verdict = await self._within_time(check, moment(check))
            if verdict.action is Action.ACCEPT:
                continue
            self._counters.add(f"checks.{check.name}.{verdict.action.value}")
            if verdict.action is not Action.QUARANTINE:
                return verdict
            case.quarantined = case.quarantined or f"{check.name}: {verdict.text}"
        return ACCEPT

    async def _within_time(self, check: Check, moment: Coroutine[Any, Any, Verdict]) -> Verdict:
        waits = Deferred.fromCoroutine(moment)
        waits.addTimeout(check.time, self._clock)
        verdict: Verdict = await waits.addErrback(self._failed, check)
        return verdict

    def _failed(self, failure: Failure, check: Check) -> Verdict:
        if failure.check(CancelledError):
            # The peer has gone.
            failure.raiseException()
        if failure.check(DeferredTimeout):
            self._counters.add("checks.timeouts")
            self.log.warn("{check} took too long, the mail passes it", check=check.name)
        else:
            self._counters.add("checks.errors.internal")
            self.log.failure("internal error of {check}, the mail passes it", failure, check=check.name)
        return ACCEPT
