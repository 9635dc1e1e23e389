"""
Messages of our own on their way out: redirected ones, answers, rejections, notifications.

They go into the spool under an id that stands for what made them, so that handing one over again after a crash changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from launcelot.accounts.interface import Directory
from launcelot.core.errors import NotFound, NotPermitted
from launcelot.delivery.expanding import behind, with_senders
from launcelot.message.address import Address
from launcelot.message.headers import find_header_end
from launcelot.message.trace import tls_is_optional, was_delivered_to
from launcelot.spool.forwarding import Forwarding
from launcelot.spool.interface import ELSEWHERE, Envelope, Spool, SpoolId, SpoolRecipient
from launcelot.workers.staging import Buffer, Staging


class Outbound(Protocol):
    """Where messages of our own go."""

    def can_send(self, recipient: Address) -> bool:
        """Whether there is a way to an address at all; that it exists is not promised."""

    def goes_in_circles(self, recipient: Address, body: Buffer) -> bool:
        """Whether a message has been there before, or through too many hosts; :meth:`send` refuses it."""

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
    :ivar forwarding: makes senders of other domains addresses of ours; None where they stay as they are.
    """

    spool: Spool

    def __init__(self, accounts: Directory, staging: Staging, forwarding: Forwarding | None = None) -> None:
        self._accounts = accounts
        self._staging = staging
        self.forwarding = forwarding

    def can_send(self, recipient: Address) -> bool:
        """Whether the domain is ours."""
        return self._accounts.is_local(recipient.domain)

    def goes_in_circles(self, recipient: Address, body: Buffer) -> bool:
        """Whether it has been in that mailbox."""
        return was_delivered_to(body, recipient)

    async def send(
        self, id: SpoolId, sender: Address | None, recipient: Address, body: Buffer, verified: bool = False
    ) -> None:
        """Hand over a message to people here."""
        if self.goes_in_circles(recipient, body):
            raise NotPermitted("the message goes in circles")
        try:
            found = await self._accounts.expand(recipient)
        except NotFound as missing:
            raise NotPermitted("nobody here has that address") from missing
        if not all(self.can_send(one.address) for one in found.forwards):
            raise NotPermitted("mail for that address goes to other hosts, and there is no way to them")
        recipients = tuple(behind(SpoolRecipient(ELSEWHERE, recipient), found))
        envelope = Envelope(id, sender, recipients, verified=verified)
        if found.forwards:
            envelope = replace(envelope, utf8=needs_utf8(body, sender, recipients), tls_optional=tls_is_optional(body))
        envelope = await with_senders(envelope, self._accounts.is_local, self.forwarding)
        staged = self._staging.begin()
        try:
            await staged.write(body[:])
        except BaseException:
            staged.close()
            raise
        await self.spool.accept(envelope, staged, once=True)

    async def forget(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids that will not come again."""
        await self.spool.forget_accepted(ids)


def needs_utf8(body: Buffer, sender: Address | None, recipients: Sequence[SpoolRecipient]) -> bool:
    """Whether a message goes to hosts with SMTPUTF8 only, for its header or an address.  RFC 6531 section 3.2."""
    addresses = [sender, *(one.address for one in recipients), *(one.via for one in recipients)]
    return not (body[: find_header_end(body)].isascii() and all(one is None or one.is_ascii for one in addresses))
