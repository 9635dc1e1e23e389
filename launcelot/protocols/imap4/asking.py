"""What the client sends: arguments of all kinds, and commands under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred

from launcelot.hosting.proving import Prover
from launcelot.protocols.imap4.answers import Completed
from launcelot.protocols.imap4.grammar import mailboxnames, responses
from launcelot.protocols.imap4.grammar.reader import Announced, announced
from launcelot.protocols.imap4.grammar.replies import Condition, Data
from launcelot.protocols.imap4.told import Told

Sink = Callable[[bytes], Awaitable[None] | None]
"""Takes the octets of one literal in order; what it returns is awaited before more is read."""

Opener = Callable[[int, bytes, int], Sink | None]
"""Asked with sequence number, label and size of a literal in FETCH; gives a sink, or None to have it in the row."""


@dataclass(frozen=True, slots=True)
class Octets:
    """A string to be sent as it is, quoted or as a literal."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A literal that is not kept in memory; ``binary`` may have NULs in it.  RFC 3516 section 4.4."""

    size: int
    chunks: Iterable[bytes]
    binary: bool = False


Part = bytes | Octets | Body


@dataclass(frozen=True, slots=True)
class Mail:
    """
    A message to be appended.

    :ivar size: octets of all chunks together.
    :ivar date: INTERNALDATE as ``launcelot.message.dates.format_internal`` writes it.
    :ivar binary: whether there may be NULs in it; the server must have BINARY.
    """

    size: int
    chunks: Iterable[bytes]
    flags: Sequence[str] = ()
    date: bytes = b""
    binary: bool = False

    def parts(self) -> list[Part]:
        """As arguments."""
        words: list[Part] = []
        if self.flags:
            words.append(responses.flag_list(self.flags))
        if self.date:
            words.append(self.date)
        return [*words, Body(self.size, self.chunks, self.binary)]


@dataclass(slots=True, eq=False)
class Request:
    """
    One command under way.

    :ivar parts: what is still to be sent.
    :ivar opener: where large literals of FETCH go.
    :ivar event: hears what comes untagged.
    :ivar more: lines to be sent, one for each time that the server asks for more.
    :ivar prover: answers when those are sent, and must have believed the server at an OK.
    :ivar alone: whether nothing is under way beside it.
    :ivar secret: whether it has a password in it, or what a password can be guessed from.
    :ivar respond: called at an OK, before anybody is told.
    :ivar patient: whether the server may take as long as it likes.
    """

    name: bytes
    parts: deque[Part]
    done: Deferred[Completed]
    tag: bytes = b""
    opener: Opener | None = None
    event: Callable[[Told], None] | None = None
    more: deque[bytes] = field(default_factory=deque)
    prover: Prover | None = None
    alone: bool = False
    secret: bool = False
    respond: Callable[[], None] | None = None
    patient: bool = False
    ended: bool = False
    found: list[Data] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    kept: int = 0

    def keep(self, data: Data, told: Told) -> None:
        """Something that was told while it was under way."""
        self.found.append(data)
        self.told.append(told)

    def weigh(self, octets: int) -> int:
        """How much has been kept, with so many octets more."""
        self.kept += octets
        return self.kept

    def completed(self, reply: Condition) -> Completed:
        """What it has come to."""
        return Completed(reply, tuple(self.found), tuple(self.conditions), tuple(self.told))


def open_sink(opener: Opener, first: bytes, line: bytes, literal: Announced) -> Sink | None:
    """Ask for a sink if the literal belongs to FETCH; ``line`` announces it, ``first`` began the response."""
    words = first.split(b" ", 3)
    if len(words) < 3 or words[0] != b"*" or not words[1].isdigit() or words[2].upper() != b"FETCH":
        return None
    before = line[: line.rindex(b"{")].rstrip(b" ~").upper()
    label = before[max(before.rfind(b"BODY["), before.rfind(b"RFC822"), before.rfind(b"BINARY[")) :]
    return opener(int(words[1][:10]), label, literal.size)


def name_of(mailbox: str, utf8: bool = False) -> Octets:
    """A mailbox as an argument."""
    return Octets(mailbox.encode() if utf8 else mailboxnames.encode(mailbox))


def spaced(name: bytes, parts: Sequence[Part]) -> list[Part]:
    """A command's name and its arguments, with spaces between, but not inside of parentheses that stand alone."""
    words: list[Part] = [raw(name)]
    before: Part = b""
    for part in parts:
        if before != b"(" and part != b")":
            words.append(b" ")
        words.append(raw(part) if isinstance(part, bytes) else part)
        before = part
    return words


def resources_of(limits: Mapping[bytes, int]) -> bytes:
    """Limits by resource, as SETQUOTA takes them."""
    return b"(%b)" % b" ".join([b"%b %d" % one for one in limits.items()])


def raw(part: bytes) -> bytes:
    """
    An argument that is sent as it is.

    :raises ValueError: it could end the line or announce a literal.
    """
    if any(octet < 32 or octet == 127 for octet in part) or announced(part) is not None:
        raise ValueError("a raw argument must be one line and announce no literal")
    return part
