"""
A check that hands a copy of each mail to a filter by LMTP, and believes its answers.

The filter must keep nothing and send nothing on: what it accepts is delivered from here.  Of several answers the
strictest decides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from launcelot.checks.interface import ACCEPT, Action, Case, Verdict
from launcelot.checks.interface import Message as Checked
from launcelot.filters.asking import Place, reach
from launcelot.filters.failing import FilterCheck, FilterFailed, shown
from launcelot.hosting.deadlines import Deadlines
from launcelot.protocols.smtp.client import Message, SmtpClient, SmtpClientFactory, Timeouts
from launcelot.protocols.smtp.failures import Refused, SmtpError
from launcelot.protocols.smtp.grammar import Reply

PIECE = 65_536


class LmtpCheck(FilterCheck):
    """Asks one filter."""

    name = "lmtp"

    def __init__(self, reactor: Any, deadlines: Deadlines, place: Place, hostname: str, timeout: float, defers: bool) -> None:
        super().__init__(reactor, place, timeout, defers)
        self._where = place
        timeouts = Timeouts(timeout, timeout, timeout, timeout)
        self._factory = SmtpClientFactory(reactor, deadlines, hostname, timeouts, lmtp=True)

    async def message(self, case: Case, message: Checked) -> Verdict:
        """Hand it over."""
        try:
            return strictest(await self.within_time(self._ask(case, message)))
        except Refused as refused:
            return strictest([refused.reply])
        except (FilterFailed, SmtpError) as failed:
            return self.unavailable(failed)

    async def _ask(self, case: Case, message: Checked) -> list[Reply]:
        client: SmtpClient = await reach(self.reactor, self._where, self._factory, self.timeout)
        try:
            await client.hello()
            sent = await client.send(case.sender, case.recipients, _sent(shown(case, message), message))
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
