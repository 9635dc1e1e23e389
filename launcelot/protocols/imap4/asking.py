"""What the client sends: arguments of all kinds, and commands under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred

from launcelot.protocols.imap4.answers import Completed
from launcelot.protocols.imap4.grammar import mailboxnames
from launcelot.protocols.imap4.grammar.reader import Announced, announced
from launcelot.protocols.imap4.grammar.replies import Condition, Data, Response

Sink = Callable[[bytes], None]
"""Takes the octets of one literal in order."""

Opener = Callable[[int, bytes, int], Sink | None]
"""Asked with sequence number, label and size of a literal in FETCH; gives a sink, or None to have it in the row."""


@dataclass(frozen=True, slots=True)
class Octets:
    """A string to be sent as it is, quoted or as a literal."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A literal that is not kept in memory."""

    size: int
    chunks: Iterable[bytes]


Part = bytes | Octets | Body


@dataclass(slots=True, eq=False)
class Request:
    """
    One command under way.

    :ivar parts: what is still to be sent.
    :ivar opener: where large literals of FETCH go.
    :ivar event: hears untagged responses as they come.
    :ivar respond: called at an OK, before anybody is told.
    :ivar patient: whether the server may take as long as it likes.
    """

    name: bytes
    parts: deque[Part]
    done: Deferred[Completed]
    tag: bytes = b""
    opener: Opener | None = None
    event: Callable[[Response], None] | None = None
    respond: Callable[[], None] | None = None
    patient: bool = False
    ended: bool = False
    found: list[Data] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)


def open_sink(opener: Opener, first: bytes, line: bytes, literal: Announced) -> Sink | None:
    """Ask for a sink if the literal belongs to FETCH; ``line`` announces it, ``first`` began the response."""
    words = first.split(b" ", 3)
    if len(words) < 3 or words[0] != b"*" or not words[1].isdigit() or words[2].upper() != b"FETCH":
        return None
    before = line[: line.rindex(b"{")].rstrip(b" ~").upper()
    label = before[max(before.rfind(b"BODY["), before.rfind(b"RFC822"), before.rfind(b"BINARY[")) :]
    return opener(int(words[1][:10]), label, literal.size)


def name_of(mailbox: str) -> Octets:
    """A mailbox as an argument."""
    return Octets(mailboxnames.encode(mailbox))


def spaced(name: bytes, parts: Sequence[Part]) -> list[Part]:
    """A command's name and its arguments, with spaces between."""
    words: list[Part] = [raw(name)]
    for part in parts:
        words.append(b" ")
        words.append(raw(part) if isinstance(part, bytes) else part)
    return words


def raw(part: bytes) -> bytes:
    """
    An argument that is sent as it is.

    :raises ValueError: it could end the line or announce a literal.
    """
    if any(octet < 32 or octet == 127 for octet in part) or announced(part) is not None:
        raise ValueError("a raw argument must be one line and announce no literal")
    return part
