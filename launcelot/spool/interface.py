"""
Accepted mail on its way: durable before it is acknowledged, delivered exactly once to mailboxes here.

The spool does not know mailboxes; it is handed a :class:`Delivery`.  Delivery is idempotent by the key it is given, so that
a crash between delivering and forgetting doubles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from twisted.internet.defer import Deferred

from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.workers.staging import Buffer, Staged

SpoolId = NewType("SpoolId", str)
"""Names one accepted message in replies, logs and Received fields; see :func:`launcelot.core.ids.new_id`."""


@dataclass(frozen=True, slots=True)
class SpoolRecipient:
    """One mailbox to deliver to."""

    account: AccountId
    address: Address


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    Who sends to whom.

    :ivar sender: None for the empty path ``<>``.
    :ivar user: the account's name that submitted it, or empty.
    """

    id: SpoolId
    sender: Address | None
    recipients: tuple[SpoolRecipient, ...]
    user: str = ""


class Delivery(Protocol):
    """Puts a message into an account's inbox."""

    async def __call__(self, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
        """
        Deliver once for each ``key``; durable when it returns.

        :param envelope: whose mail it is; it may name recipients that have theirs already.
        :param body: valid until this returns.
        :raises Refusal: not now (``temporary``) or never.
        """


class Forget(Protocol):
    """Is told of delivery keys that will not come again."""

    async def __call__(self, account: AccountId, keys: Sequence[str]) -> None:
        """
        Drop the keys of one account.

        :raises Refusal: not now; keys that are kept do no harm.
        """


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    A message the spool has on disk.

    :ivar delivered: fires with None when every recipient has it or was given up; never fails.
    """

    id: SpoolId
    delivered: Deferred[None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One recipient that still waits, for people who ask."""

    id: SpoolId
    sender: str
    recipient: str
    size: int
    attempts: int
    next_attempt: float
    last_error: str
    held: bool


class Spool(Protocol):
    """The durable queue."""

    @property
    def under_way(self) -> int:
        """Messages being delivered now or next; those that wait for another attempt are not counted."""

    async def accept(self, envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        """
        Take a message; it is on disk when this returns, and its delivery has been started.

        The body is the spool's from the call on, which closes it whatever becomes of the message.  Cancelling gives up
        waiting only: a message that was being written is kept and delivered.

        :param once: remember the envelope's id until :meth:`forget_accepted`; a message that comes again under it is one
            that is here already, or has been delivered.
        :raises TryLater: the disk is full or fails; nothing was accepted.
        :raises TooLarge: more than the spool can hold of one message, or no recipients at all.
        """

    async def forget_accepted(self, ids: Sequence[SpoolId]) -> None:
        """Drop ids of messages that will not be handed over again."""

    async def start(self) -> None:
        """Take up what an earlier run left, then serve."""

    async def waiting(self) -> Sequence[Waiting]:
        """Everything that has been accepted and not yet delivered, oldest first."""

    async def close(self) -> None:
        """Let deliveries under way finish; the rest stays on disk for the next start."""
