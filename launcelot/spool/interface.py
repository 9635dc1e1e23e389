"""
Accepted mail on its way: durable before it is acknowledged, delivered exactly once to mailboxes here, carried to other hosts.

The spool knows neither mailboxes nor hosts; it is handed a :class:`Delivery` and a :class:`Carrier`.  Delivery is idempotent by
the key it is given, so that a crash between delivering and forgetting doubles nothing.  What became of a mail at another host
is known only from its replies.  That its end is about to be sent is noted on disk before, so that however often we crash or the
host vanishes between that note and the note of its reply, the mail is sent twice at most, with the same Message-ID.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NewType, Protocol

from twisted.internet.defer import Deferred

from launcelot.core.ids import AccountId
from launcelot.message.address import Address, with_recipient
from launcelot.workers.staging import Buffer, Staged

SpoolId = NewType("SpoolId", str)
"""Names one accepted message in replies, logs and Received fields; see :func:`launcelot.core.ids.new_id`."""

ELSEWHERE = AccountId("")
"""In place of an account for addresses of other hosts."""


@dataclass(frozen=True, slots=True)
class SpoolRecipient:
    """
    One to deliver to.

    :ivar account: whose mailbox it is; :data:`ELSEWHERE` for an address of another host.
    :ivar notify: ``NOTIFY`` as it was given (RFC 3461 section 4.1), upper-case: ``"NEVER"``, or some of ``SUCCESS``, ``FAILURE``
        and ``DELAY`` with commas; empty if it was not.
    :ivar original: ``ORCPT``, such as ``rfc822;ann@example.org`` (RFC 3461 section 4.2), without the encoding as xtext.
    :ivar via: the address here that the mail was for, and that sends it on to this one at another host; it is written on top of
        what is sent (``Delivered-To``), so that mail that comes round again is known.
    :ivar sender: from whom this one gets the mail, in place of the envelope's sender, if that is not null; None for that one.
    :ivar listed: it comes by way of a list, which ``sender`` looks after: what goes wrong is told there, and what the mail's
        sender asked about notices ends here (RFC 3461 section 5.2.7.1).
    """

    account: AccountId
    address: Address
    notify: str = ""
    original: str = ""
    via: Address | None = None
    sender: Address | None = None
    listed: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether another host has it."""
        return not self.account


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    Who sends to whom.

    :ivar sender: None for the empty path ``<>``.
    :ivar user: the account's name that submitted it, or empty.
    :ivar returned: ``RET``, ``"FULL"`` or ``"HDRS"`` (RFC 3461 section 4.3); empty if it was not given.
    :ivar envelope_id: ``ENVID``, without the encoding as xtext (RFC 3461 section 4.4).
    :ivar utf8: the message was given with ``SMTPUTF8`` (RFC 6531).
    :ivar require_tls: the mail may go to other hosts only over TLS that shows who they are, and that promise the same (RFC 8689).
    :ivar tls_optional: what domains demand of TLS is not to be followed (``TLS-Required: No``, RFC 8689 section 3).
    :ivar verp: the two characters by which each recipient gets the mail from a sender of its own, such as ``"+="``; empty for
        the sender as it is.
    :ivar verified: the sender's address was shown to be the sender's, as by SPF or DMARC; only then, or when it is an address
        here, it is told what becomes of the mail.
    """

    id: SpoolId
    sender: Address | None
    recipients: tuple[SpoolRecipient, ...]
    user: str = ""
    returned: str = ""
    envelope_id: str = ""
    utf8: bool = False
    verified: bool = False
    require_tls: bool = False
    tls_optional: bool = False
    verp: str = ""

    def sender_for(self, recipient: SpoolRecipient) -> Address | None:
        """From whom one recipient gets the mail."""
        if self.sender is None:
            return None
        if recipient.sender is not None:
            return recipient.sender
        return with_recipient(self.sender, recipient.via or recipient.address, self.verp) if self.verp else self.sender

    def for_one(self, recipient: SpoolRecipient) -> Envelope:
        """The envelope as it is for a recipient whose mail has another sender."""
        if self.sender is None or recipient.sender is None:
            return self
        return replace(self, sender=recipient.sender, verp="")


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


class Fate(Enum):
    """What became of a recipient in one attempt."""

    DONE = "done"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What became of one recipient, and who said so.

    :ivar status: RFC 3463 code, such as ``"4.4.1"``.
    :ivar text: one line for people.
    :ivar host: the host that said it, as a name; empty if none did.
    :ivar diagnostic: its reply, such as ``"550 5.1.1 No such user"``.
    :ivar unsure: the whole message had been sent when the connection broke, so the host may have it.
    :ivar passed_on: the host was told of ``NOTIFY``, and says itself what becomes of the mail from there on.
    """

    fate: Fate
    status: str
    text: str
    host: str = ""
    diagnostic: str = ""
    unsure: bool = False
    passed_on: bool = False


Last = Callable[[], Awaitable[None]]
"""
Awaited before the step that may hand a mail over; raises a Refusal if that cannot be noted, and the step is not taken then.
"""


class Carrier(Protocol):
    """Takes mail to other hosts."""

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """Where it goes, as a word that is the same for what may go together."""

    def limit(self, destination: str) -> int:
        """How many transactions with a destination may run at once."""

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """
        Take one message to some of its recipients; one verdict for each, in order.  It raises nothing but bugs and what
        ``last`` raises.

        :param body: valid until this returns.
        :param last: awaited before anything is sent that the host may take for the end of the mail; a crash from then on
            leaves open who has it.
        """

    async def close(self) -> None:
        """Let go of connections; what is being carried then ends soon."""


class Addressees(Protocol):
    """Finds out who gets mail for an address."""

    async def __call__(self, address: Address) -> Sequence[SpoolRecipient]:
        """
        Who gets mail for an address, here or elsewhere.

        :raises Refusal: nobody does, or it cannot be told now (``temporary``).
        """


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    A message the spool has on disk.

    :ivar delivered: fires with None when every recipient here has it, was given up, or was put aside because too many wait; never
        fails.
    """

    id: SpoolId
    delivered: Deferred[None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    One recipient that still waits, for people who ask.

    :ivar received: wall-clock seconds.
    :ivar next_attempt: wall-clock seconds; 0 for as soon as there is room.
    :ivar destination: where it goes; empty for a mailbox here.
    :ivar via: the address here that sends it on; empty if none does.
    :ivar sent_as: from whom the recipient gets it, where that is not the sender.
    """

    id: SpoolId
    sender: str
    recipient: str
    size: int
    attempts: int
    next_attempt: float
    last_error: str
    held: bool
    received: float = 0.0
    destination: str = ""
    user: str = ""
    via: str = ""
    sent_as: str = ""


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

    async def waiting(self, limit: int = 0) -> Sequence[Waiting]:
        """
        What has been accepted and not yet delivered, oldest first.

        :param limit: recipients at most; 0 for all of them.
        """

    async def count(self) -> int:
        """How many recipients wait."""

    async def hold(self, id: SpoolId, recipient: str = "") -> int:
        """
        Try no more until :meth:`release`; an attempt under way is not stopped.

        :param recipient: only this one; empty for all.
        :returns: how many recipients it concerns; 0 if the spool has no such mail.
        """

    async def release(self, id: SpoolId, recipient: str = "") -> int:
        """Try now, whether it was held or waits for another attempt; otherwise as :meth:`hold`."""

    async def drop(self, id: SpoolId, recipient: str = "") -> int:
        """
        Remove without telling anybody; otherwise as :meth:`hold`.

        :raises InUse: it is being delivered now.
        """

    async def close(self) -> None:
        """Let deliveries under way finish; the rest stays on disk for the next start."""
