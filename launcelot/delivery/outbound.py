"""
Messages of our own on their way out: redirected ones, answers, rejections, notifications.

They go into the spool under an id that stands for what made them, so that handing one over again after a crash changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from launcelot.accounts.interface import Directory
from launcelot.core.errors import NotFound, NotPermitted
from launcelot.message.address import Address
from launcelot.spool.interface import Envelope, Spool, SpoolId, SpoolRecipient
from launcelot.workers.staging import Buffer, Staging


class Outbound(Protocol):
    """Where messages of our own go."""

    def can_send(self, recipient: Address) -> bool:
        """Whether there is a way to an address at all; that it exists is not promised."""

    async def send(
        self, id: SpoolId, sender: Address | None, recipient: Address, body: Buffer, verified: bool = False
    ) -> None:
        """
        Hand over a message, once under its id; durable when it returns.

        :param sender: None for the null path.
        :param verified: the sender's address was shown to be the sender's, who may be told what becomes of the message.
        :raises NotPermitted: it cannot be sent; trying again does not help.
        :raises TryLater: not now.
        """

    async def forget(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids that will not come again."""


class LocalOutbound:
    """
    Messages to people here.

    :ivar spool: takes them; set when there is one, which needs a delivery first.
    """

    spool: Spool

    def __init__(self, accounts: Directory, staging: Staging) -> None:
        self._accounts = accounts
        self._staging = staging

    def can_send(self, recipient: Address) -> bool:
        """Whether the domain is ours."""
        return self._accounts.is_local(recipient.domain)

    async def send(
        self, id: SpoolId, sender: Address | None, recipient: Address, body: Buffer, verified: bool = False
    ) -> None:
        """Hand over a message to people here."""
        try:
            found = await self._accounts.resolve(recipient)
        except NotFound as missing:
            raise NotPermitted("nobody here has that address") from missing
        recipients = tuple(SpoolRecipient(one.account.id, one.address) for one in found)
        staged = self._staging.begin()
        try:
            await staged.write(body[:])
        except BaseException:
            staged.close()
            raise
        await self.spool.accept(Envelope(id, sender, recipients, verified=verified), staged, once=True)

    async def forget(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids that will not come again."""
        await self.spool.forget_accepted(ids)
