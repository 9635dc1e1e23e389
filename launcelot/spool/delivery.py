"""
Delivery into mailboxes here: the last hop.

Two fields are written in front of what was accepted, and not one octet below them is changed:

- ``Return-Path:`` with the reverse-path, as RFC 5321 section 4.4 demands of the system that makes final delivery; a
  message that is passed on never gets it, which is why it is written here and not on acceptance.
- ``Delivered-To:`` with the recipient's address as it was given, so that people can sort by alias and detail and that
  mail that comes round again is known (RFC 9228 section 3).

The mail store and the directory are known by the shape of the few methods used (packages of one floor do not import
each other).
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Protocol

from launcelot.core.errors import NotFound
from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.message.trace import delivered_to, return_path
from launcelot.spool.interface import Envelope, SpoolRecipient
from launcelot.workers.staging import Buffer, Staged, Staging

JOINED = 2 << 20
"""Octets up to which a body in a file is joined with its trace fields in memory; copying a larger one goes by way of a file."""

PIECE = 262_144
"""Octets of a large body copied at once."""


class Inbox(Protocol):
    """What is used of ``mailstore.AccountMail``."""

    async def deliver(self, body: Buffer, delivery: str, *, unless_scripted: bool = False) -> object:
        """Deliver once."""

    async def forget_deliveries(self, deliveries: Sequence[str]) -> None:
        """Drop keys."""


class Inboxes(Protocol):
    """What is used of ``mailstore.MailStore``."""

    async def mail(self, account: AccountId, quota: int = 0, messages: int = 0) -> Inbox:
        """An account's mail."""


class Resident(Protocol):
    """What is used of ``accounts.Account``."""

    @property
    def id(self) -> AccountId:
        """Its id."""

    @property
    def quota(self) -> int:
        """Octets."""

    @property
    def messages(self) -> int:
        """How many messages it may hold."""


class Resolved(Protocol):
    """What is used of ``accounts.Recipient``."""

    @property
    def account(self) -> Resident:
        """Who receives."""


class Residents(Protocol):
    """What is used of ``accounts.Directory``."""

    async def resolve(self, address: Address) -> Sequence[Resolved]:
        """Who an address is."""


class MailboxDelivery:
    """
    A :class:`~launcelot.spool.interface.Delivery` into a mail store.

    :param residents: asked for the account's present limits; a recipient it no longer knows is refused for good, so that
        mail for an account that was removed does not make its mailbox anew.
    """

    def __init__(self, mail: Inboxes, residents: Residents, staging: Staging) -> None:
        self._mail = mail
        self._residents = residents
        self._staging = staging

    async def __call__(self, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
        """Deliver into the inbox; see :meth:`launcelot.spool.interface.Delivery.__call__`."""
        resident = await self._resident(recipient)
        inbox = await self._mail.mail(resident.id, resident.quota, resident.messages)
        await self.put(inbox, envelope, recipient, body, key)

    async def put(
        self,
        inbox: Inbox,
        envelope: Envelope,
        recipient: SpoolRecipient,
        body: Buffer,
        key: str,
        unless_scripted: bool = False,
    ) -> object:
        """Deliver into an inbox that has been opened; what the inbox says of it."""
        trace = trace_fields(envelope.sender_for(recipient), recipient.address)
        if not isinstance(body, mmap.mmap) or len(body) <= JOINED:
            return await inbox.deliver(trace + body[:], key, unless_scripted=unless_scripted)
        copy = self._staging.begin()
        try:
            await copy_into(copy, trace, body)
            return await inbox.deliver(copy.view(), key, unless_scripted=unless_scripted)
        finally:
            copy.close()

    async def forget(self, account: AccountId, keys: Sequence[str]) -> None:
        """For the spool to call when rows are gone; see :class:`~launcelot.spool.interface.Forget`."""
        inbox = await self._mail.mail(account)
        await inbox.forget_deliveries(keys)

    async def _resident(self, recipient: SpoolRecipient) -> Resident:
        for found in await self._residents.resolve(recipient.address):
            if found.account.id == recipient.account:
                return found.account
        raise NotFound("the address leads to another account now")


def trace_fields(sender: Address | None, recipient: Address) -> bytes:
    """The fields of final delivery, with their CRLFs."""
    return return_path(sender) + delivered_to(recipient)


async def copy_into(copy: Staged, trace: bytes, body: mmap.mmap) -> None:
    """Trace fields and a large body, in bounded pieces."""
    await copy.write(trace)
    for start in range(0, len(body), PIECE):
        await copy.write(body[start : start + PIECE])
