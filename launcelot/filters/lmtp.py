"""
A check that hands a copy of each mail to a filter by LMTP, and believes its answers.

The filter must keep nothing and send nothing on: what it accepts is delivered from here.  Of several answers the
strictest decides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Verdict
from launcelot.checks.interface import Message as Checked
from launcelot.checks.results import without_forged
from launcelot.filters.asking import Place, reach
from launcelot.filters.failing import FilterFailed, unavailable
from launcelot.filters.milters import SLACK
from launcelot.hosting.deadlines import Deadlines
from launcelot.protocols.smtp.client import Message, SmtpClient, SmtpClientFactory, Timeouts
from launcelot.protocols.smtp.failures import Refused, SmtpError
from launcelot.protocols.smtp.grammar import Reply

PIECE = 65_536


class LmtpCheck(Check):
    """
    Asks one filter.

    :param timeout: seconds for connecting, and for all.
    :param defers: mail has to come again while the filter cannot be asked; otherwise it passes.
    """

    log = Logger(namespace="launcelot.checks")
    name = "lmtp"

    def __init__(
        self, reactor: Any, deadlines: Deadlines, place: Place, hostname: str, timeout: float, defers: bool
    ) -> None:
        self._reactor = reactor
        self._place = place
        self._timeout = timeout
        self._defers = defers
        timeouts = Timeouts(timeout, timeout, timeout, timeout)
        self._factory = SmtpClientFactory(reactor, deadlines, hostname, timeouts, lmtp=True)
        self.time = timeout + SLACK

    async def message(self, case: Case, message: Checked) -> Verdict:
        """Hand it over."""
        asking = Deferred.fromCoroutine(self._ask(case, message))
        asking.addTimeout(self._timeout, self._reactor)
        try:
            return strictest(await asking)
        except Refused as refused:
            return strictest([refused.reply])
        except (FilterFailed, SmtpError, DeferredTimeout) as failed:
            reason = "it does not answer in time" if isinstance(failed, DeferredTimeout) else str(failed)
            self.log.warn("the filter at {place} cannot be asked: {reason}", place=str(self._place), reason=reason)
            return unavailable(self._defers)

    async def _ask(self, case: Case, message: Checked) -> list[Reply]:
        client: SmtpClient = await reach(self._reactor, self._place, self._factory, self._timeout)
        try:
            await client.hello()
            head = message.head if case.edited is not None else without_forged(message.head, case.hostname)
            sent = await client.send(case.sender, case.recipients, _sent(head, message))
        except BaseException:
            client.abort()
            raise
        client.write(b"QUIT\r\n")
        client.close()
        return [words for _, words in sent.recipients]


def _sent(head: bytes, message: Checked) -> Message:
    async def pieces() -> AsyncIterator[bytes]:
        yield head
        for start in range(message.body, len(message.buffer), PIECE):
            yield message.buffer[start : start + PIECE]

    ascii_only = head.isascii() and all(
        message.buffer[start : start + PIECE].isascii() for start in range(message.body, len(message.buffer), PIECE)
    )
    return Message(pieces(), len(head) + len(message.buffer) - message.body, not ascii_only, not head.isascii())


def strictest(replies: list[Reply]) -> Verdict:
    """What several answers come to."""
    worst = max(replies, key=lambda words: words.code, default=None)
    if worst is None or worst.positive:
        return ACCEPT
    action = Action.DEFER if worst.temporary else Action.REJECT
    text = "".join(one for one in worst.text if " " <= one <= "~")[:400]
    return Verdict(action, text or "Mail is refused by a filter", worst.enhanced or "5.7.1", worst.code)
