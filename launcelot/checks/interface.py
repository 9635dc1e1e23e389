"""
A check: looks at a mail in up to three moments, and says what it thinks of it.

A verdict is a value.  What a check has found out goes into :attr:`Case.results`, for the Authentication-Results field (RFC 8601)
and for checks behind it; a check never writes to the peer and never touches the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from launcelot.message.address import Address
from launcelot.workers.staging import Buffer


class Action(Enum):
    """What is to become of the mail, from the mildest to the strictest."""

    ACCEPT = "accept"
    QUARANTINE = "quarantine"
    DEFER = "defer"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a check thinks.

    :ivar text: one line for the peer (or, for a quarantine, for the field that tells of it); ASCII, nothing of the peer's octets.
    :ivar status: the enhanced status code of a refusal; its class is put right by the action.
    """

    action: Action = Action.ACCEPT
    text: str = ""
    status: str = "5.7.1"


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


@dataclass(slots=True)
class Case:
    """
    One mail, as far as it is known.

    :ivar source: the peer's address.
    :ivar helo: what the peer calls itself.
    :ivar now: wall-clock seconds.
    :ivar source_name: the peer's host name, where it was shown to be true.
    :ivar quarantined: why it goes into Junk; empty if it does not.
    """

    source: str
    helo: str
    sender: Address | None
    hostname: str
    now: float
    results: list[Result] = field(default_factory=list)
    source_name: str = ""
    quarantined: str = ""

    def result(self, method: str) -> str:
        """What a method has found out; empty if it was not asked.  Of several the first."""
        return next((one.value for one in self.results if one.method == method), "")


@dataclass(frozen=True, slots=True)
class Message:
    """
    The message as it was sent.

    :ivar buffer: it begins at ``start``; what is before is ours.
    :ivar head: its header section, with the empty line.
    """

    buffer: Buffer
    start: int
    head: bytes


class Check:
    """A check; each moment accepts unless it is overridden.  Whatever it raises is a bug, and accepts."""

    name = "check"

    async def sender(self, case: Case) -> Verdict:
        """At MAIL."""
        return ACCEPT

    async def recipient(self, case: Case, recipient: Address) -> Verdict:
        """At RCPT, for an address that exists."""
        return ACCEPT

    async def message(self, case: Case, message: Message) -> Verdict:
        """At the end of the message."""
        return ACCEPT
