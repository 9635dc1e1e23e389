"""
A check: looks at a mail in up to three moments, and says what it thinks of it.

A verdict is a value.  What a check has found out goes into :attr:`Case.results`, for the Authentication-Results field (RFC 8601)
and for checks behind it; a check never writes to the peer and never touches the message.  One that wants the mail to be otherwise
says so in :attr:`Case.edited` and :attr:`Case.wishes`, which are looked at when all have let it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from launcelot.message.address import Address
from launcelot.workers.staging import Buffer


class Action(Enum):
    """
    What is to become of the mail, from the mildest to the strictest.

    A mail that is discarded is answered as if it were accepted; only filters that somebody has configured ask for that.
    """

    ACCEPT = "accept"
    QUARANTINE = "quarantine"
    DISCARD = "discard"
    DEFER = "defer"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a check thinks.

    :ivar text: one line for the peer (or, for a quarantine, for the field that tells of it); ASCII, nothing of the peer's octets.
    :ivar status: the enhanced status code of a refusal; its class is put right by the action.
    :ivar code: reply code of a refusal, if it is not to be the usual one.
    """

    action: Action = Action.ACCEPT
    text: str = ""
    status: str = "5.7.1"
    code: int = 0


ACCEPT = Verdict()


@dataclass(frozen=True, slots=True)
class Result:
    """
    What was found out, in the words of RFC 8601 section 2.2.

    :ivar method: such as ``"spf"``.
    :ivar value: such as ``"pass"``.
    :ivar properties: such as ``("smtp.mailfrom", "example.org")``.
    :ivar reason: for people; empty for none.
    """

    method: str
    value: str
    properties: Sequence[tuple[str, str]] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """
    The message as it was sent, or as a check before has it.

    :ivar buffer: its body begins at ``body``.
    :ivar head: its header section, with the empty line.
    """

    buffer: Buffer
    body: int
    head: bytes


@dataclass(slots=True)
class Wishes:
    """
    What checks want otherwise in the envelope.

    :ivar senders: who is to be the sender, the last one counts; None for the null path.
    :ivar added: recipients besides.
    :ivar removed: recipients as they were named.
    """

    senders: list[Address | None] = field(default_factory=list)
    added: list[Address] = field(default_factory=list)
    removed: list[Address] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.senders or self.added or self.removed)

    def take(self, more: Wishes) -> None:
        """Wish that, too."""
        self.senders += more.senders
        self.added += more.added
        self.removed += more.removed


@dataclass(slots=True)
class Case:
    """
    One mail, as far as it is known.

    :ivar source: the peer's address.
    :ivar helo: what the peer calls itself.
    :ivar now: wall-clock seconds.
    :ivar id: under which it will be queued.
    :ivar source_name: the peer's host name, where it was shown to be true.
    :ivar quarantined: why it goes into Junk; empty if it does not.
    :ivar recipients: those that were accepted.
    :ivar edited: the message as it is to be; None if nothing of it changes.
    :ivar at_end: called when the mail has been answered or given up.
    """

    source: str
    helo: str
    sender: Address | None
    hostname: str
    now: float
    results: list[Result] = field(default_factory=list)
    source_name: str = ""
    quarantined: str = ""
    recipients: list[Address] = field(default_factory=list)
    id: str = ""
    edited: Message | None = None
    wishes: Wishes = field(default_factory=Wishes)
    at_end: list[Callable[[], None]] = field(default_factory=list)

    def end(self) -> None:
        """Let go of what checks keep for it; may be called twice."""
        ending, self.at_end = self.at_end, []
        for one in ending:
            one()

    def result(self, method: str) -> str:
        """What a method has found out; empty if it was not asked.  Of several the first."""
        return next((one.value for one in self.results if one.method == method), "")


class Check:
    """
    A check; each moment accepts unless it is overridden.  Whatever it raises is a bug, and accepts.

    :ivar time: seconds that a moment may take; a mail whose check takes longer passes it.
    """

    name = "check"
    time = 20.0

    async def sender(self, case: Case) -> Verdict:
        """At MAIL."""
        return ACCEPT

    async def recipient(self, case: Case, recipient: Address) -> Verdict:
        """At RCPT, for an address that exists."""
        return ACCEPT

    async def message(self, case: Case, message: Message) -> Verdict:
        """At the end of the message."""
        return ACCEPT
