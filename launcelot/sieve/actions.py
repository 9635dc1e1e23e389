"""What a script wants done, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from launcelot.sieve.editing import Edits


@dataclass(frozen=True, slots=True)
class Keep:
    """
    Into the inbox.

    :ivar flags: system flags and keywords.
    :ivar implicit: nobody asked for it, nobody cancelled it.
    """

    edits: Edits
    flags: tuple[str, ...] = ()
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class FileInto:
    """
    Into a mailbox.

    :ivar create: make it if there is none.  RFC 5490 section 3.2.
    :ivar special_use: prefer the mailbox with that use.  RFC 8579 section 4.
    """

    edits: Edits
    mailbox: str
    flags: tuple[str, ...] = ()
    create: bool = False
    special_use: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """To another address."""

    edits: Edits
    address: str


@dataclass(frozen=True, slots=True)
class Reject:
    """
    Not accepted, and the sender is told.

    :ivar extended: ``ereject``: in the protocol where that is possible.  RFC 5429 section 2.1.
    """

    reason: str
    extended: bool


@dataclass(frozen=True, slots=True)
class Vacation:
    """
    An answer to the sender, unless one was sent lately.  RFC 5230.

    :ivar to: who is answered.
    :ivar handle: answers with the same one count together.
    :ivar seconds: within which nobody is answered twice.
    :ivar mime: the reason is a MIME entity with its header.
    """

    to: str
    sender: str
    subject: str
    reason: str
    mime: bool
    handle: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Notify:
    """
    A notification.  RFC 5435.

    :ivar importance: 1 is high, 3 is low.
    """

    method: str
    sender: str
    importance: int
    options: tuple[str, ...]
    message: str


Action = Keep | FileInto | Redirect | Reject | Vacation | Notify


@dataclass(frozen=True, slots=True)
class Seen:
    """
    An id that is to be remembered when the message has been delivered.  RFC 7352 section 3.

    :ivar seconds: for how long.
    """

    key: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that a script did."""

    script: str
    line: int
    text: str

    def __str__(self) -> str:
        """As people read it."""
        where = f"{self.script}:{self.line}" if self.script else f"line {self.line}"
        return f"{where}: {self.text}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one run wants.

    :ivar actions: in order; never two that store into the same mailbox or send to the same address.
    :ivar error: why the script ended before its time; then the message is kept and nothing else is wanted.
    """

    actions: Sequence[Action]
    seen: Sequence[Seen] = ()
    error: str = ""
    trace: Sequence[Trace] = field(default=())
