"""
What the spool keeps of accepted mail in memory, and the shelf it lies on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from launcelot.spool.interface import Envelope, SpoolRecipient, Waiting
from launcelot.workers.staging import Buffer

UNSURE = 2
"""Times that one message may be sent without a reply; then another attempt might double it again."""


class Body(Protocol):
    """The octets of one mail, for as long as somebody reads them."""

    def view(self) -> Buffer:
        """All octets."""

    def close(self) -> None:
        """Let go; may be called twice."""


@dataclass(slots=True, eq=False)
class Pending:
    """
    One recipient that has not got its mail.

    :ivar index: its place in the envelope, for the shelf.
    :ivar next_attempt: wall-clock seconds.
    :ivar told: the sender has been told that it takes long.
    :ivar unsure: how often it was sent, or may have been, without a reply; an attempt counts while ``marked``.
    :ivar marked: the present attempt is about to send the end of the message, or has.
    :ivar busy: an attempt runs, or is next.
    :ivar settled: it is not waited for any more by who waits for the delivery of the mail.
    :ivar turn: of its place among those that wait for their time; 0 without one.
    """

    mail: Mail
    index: int
    recipient: SpoolRecipient
    attempts: int = 0
    next_attempt: float = 0.0
    last_error: str = ""
    held: bool = False
    told: bool = False
    unsure: int = 0
    marked: bool = False
    busy: bool = False
    settled: bool = False
    turn: int = 0

    def mark(self) -> None:
        """Count an attempt that is about to send the end of the message."""
        if not self.marked:
            self.marked = True
            self.unsure += 1

    def unmark(self, unsure: bool) -> None:
        """The attempt has ended; count it only if nobody knows how."""
        self.unsure += unsure - self.marked
        self.marked = False

    @property
    def is_spent(self) -> bool:
        """Whether it may have arrived so often that it is not sent again."""
        return self.unsure >= UNSURE

    def released(self) -> None:
        """A person wants it tried, whatever became of it before."""
        if self.is_spent:
            self.unsure = 0


@dataclass(slots=True, eq=False)
class Mail:
    """
    One accepted message.

    :ivar number: its place on the shelf.
    :ivar received: wall-clock seconds.
    :ivar open: recipients here that neither have it nor were given up.
    :ivar using: who reads ``body``.
    """

    number: int
    envelope: Envelope
    received: float
    size: int
    pending: list[Pending] = field(default_factory=list)
    open: int = 0
    running: bool = False
    due: list[Pending] = field(default_factory=list)
    body: Body | None = None
    using: int = 0
    fresh: int = 0
    delivered: Deferred[None] = field(default_factory=Deferred)

    def add(self, recipient: SpoolRecipient, index: int) -> Pending:
        """A recipient that waits."""
        pending = Pending(self, index, recipient)
        self.pending.append(pending)
        return pending

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done for it, nor next."""
        return not self.running and not self.due and not any(one.busy for one in self.pending)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of our own to a sender."""

    envelope: Envelope
    octets: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """
    What is to be on disk together or not at all.

    :ivar removed: recipients that are done with, of one mail.
    :ivar told: recipients whose sender is told of a delay by ``notice``.
    """

    removed: Sequence[Pending] = ()
    told: Sequence[Pending] = ()
    notice: Notice | None = None


class Shelf(Protocol):
    """Where mail lies until it is delivered."""

    async def fetch(self, mail: Mail) -> Body:
        """
        A mail's octets.

        :raises Refusal: they cannot be read now.
        """

    async def settle(self, changes: Sequence[Change]) -> Sequence[Mail]:
        """
        Take recipients off, and with the last of a mail the mail; put notices on; durable when it returns.

        :returns: the notices, as mail to be carried.
        :raises Refusal: not now, nothing was changed; the same is offered again.
        """

    async def note(self, *pending: Pending) -> None:
        """
        Keep what became of attempts; durable when it returns.

        :raises Refusal: not now; the note is lost.
        """

    async def mark(self, *pending: Pending) -> None:
        """
        Keep that one more copy of these may arrive; :meth:`settle` and :meth:`note` are told what became of it.

        :raises Refusal: not now; nothing must be sent.
        """

    def parked(self, mail: Mail) -> None:
        """A mail is no longer in memory; it is the shelf's to bring it back."""

    def room(self) -> None:
        """There is room in memory for mail that was parked."""


def describe(pending: Pending, destination: str = "") -> Waiting:
    """One recipient for people who ask."""
    mail, recipient = pending.mail, pending.recipient
    return Waiting(
        id=mail.envelope.id,
        sender="" if mail.envelope.sender is None else str(mail.envelope.sender),
        recipient=str(recipient.address),
        size=mail.size,
        attempts=pending.attempts,
        next_attempt=pending.next_attempt,
        last_error=pending.last_error,
        held=pending.held,
        received=mail.received,
        destination=destination,
        user=mail.envelope.user,
        via=str(recipient.via or ""),
        sent_as=str(recipient.sender or "") if mail.envelope.sender is not None else "",
    )
