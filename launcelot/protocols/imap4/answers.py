"""What the client hands out: results and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launcelot.protocols.imap4.grammar import mailboxnames
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.replies import Condition, Data


class ImapError(Exception):
    """A command that did not end well."""


class CommandFailed(ImapError):
    """
    The server answered NO or BAD.

    :ivar reply: the tagged answer.
    """

    def __init__(self, name: bytes, reply: Condition) -> None:
        super().__init__(f"{name.decode('ascii')}: {reply.condition.decode('ascii')} {reply.text.decode('latin-1')}")
        self.reply = reply

    @property
    def code(self) -> bytes:
        """The response code in upper case, or empty."""
        return self.reply.code


class Disconnected(ImapError):
    """The connection is gone, and with it the answer."""


class TimedOut(ImapError):
    """No answer in time; the connection has been aborted."""


class Confused(ImapError):
    """The server said what no grammar allows, or more than can be kept; the connection has been aborted."""


class Injected(Confused):
    """The server spoke in clear behind its answer to STARTTLS; nothing of it was believed."""


class Untrusted(ImapError):
    """TLS failed: the certificate is not trusted, is another host's, or the peer does not speak TLS."""


@dataclass(frozen=True, slots=True)
class Completed:
    """
    A command that ended with OK.

    :ivar reply: the tagged answer.
    :ivar data: untagged responses that came before it.
    :ivar conditions: untagged OK, NO, BAD and BYE among them.
    """

    reply: Condition
    data: tuple[Data, ...]
    conditions: tuple[Condition, ...]

    def code(self, name: bytes) -> bytes | None:
        """The argument of a response code, wherever it stood; None if it was not told."""
        for condition in (*self.conditions, self.reply):
            if condition.code == name:
                return condition.argument
        return None

    def number(self, name: bytes) -> int:
        """The number of an untagged response such as EXISTS, the last if there are several; 0 if it was not told."""
        return next((one.number for one in reversed(self.data) if one.name == name and one.number is not None), 0)


@dataclass(frozen=True, slots=True)
class Selected:
    """What SELECT and EXAMINE tell; numbers are 0 where nothing was told."""

    exists: int
    recent: int
    uid_validity: int
    uid_next: int
    unseen: int
    flags: tuple[bytes, ...]
    permanent_flags: bytes
    read_only: bool

    @classmethod
    def made_from(cls, completed: Completed) -> Selected:
        """Read it from the responses."""

        def number(name: bytes) -> int:
            argument = completed.code(name) or b"0"
            return int(argument) if argument.isdigit() and len(argument) <= 20 else 0

        flags = next((one.values[0] for one in completed.data if one.name == b"FLAGS" and one.values), ())
        return cls(
            exists=completed.number(b"EXISTS"),
            recent=completed.number(b"RECENT"),
            uid_validity=number(b"UIDVALIDITY"),
            uid_next=number(b"UIDNEXT"),
            unseen=number(b"UNSEEN"),
            flags=flags,
            permanent_flags=completed.code(b"PERMANENTFLAGS") or b"",
            read_only=completed.reply.code == b"READ-ONLY",
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """One name in a listing."""

    name: str
    separator: str
    attributes: tuple[bytes, ...]

    @classmethod
    def all_from(cls, completed: Completed) -> list[Listed]:
        """Read them from LIST or LSUB responses; a name that is not modified UTF-7 is taken as UTF-8."""
        found = []
        for one in completed.data:
            if one.name in (b"LIST", b"LSUB") and len(one.values) >= 3:
                attributes, separator, raw = one.values[:3]
                name = str(raw) if isinstance(raw, int) else _decoded(raw or b"NIL")
                found.append(cls(name, (separator or b"").decode("latin-1"), attributes))
        return found


def _decoded(raw: bytes) -> str:
    try:
        return mailboxnames.decode(raw)
    except Malformed:
        return raw.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a message went.  RFC 4315 section 3."""

    uid_validity: int
    uid: int

    @classmethod
    def made_from(cls, completed: Completed) -> Appended | None:
        """Read it from APPENDUID; None where the server did not tell."""
        words = (completed.code(b"APPENDUID") or b"").split()
        if len(words) == 2 and all(word.isdigit() and len(word) <= 10 for word in words):
            return cls(int(words[0]), int(words[1]))
        return None


def pairs(values: tuple[Any, ...]) -> dict[bytes, int]:
    """Names and numbers that alternate, as in STATUS."""
    return {
        name.upper(): number
        for name, number in zip(values[::2], values[1::2], strict=False)
        if isinstance(name, bytes) and isinstance(number, int)
    }
