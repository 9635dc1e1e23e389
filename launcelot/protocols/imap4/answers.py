"""What the client hands out: results and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.replies import Condition, Data
from launcelot.protocols.imap4.told import Annotations, Fetched, Listed, Numbers, Told, Vanished, expand

T = TypeVar("T")


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
    """
    The server is not who it should be; the connection has been aborted.

    TLS failed (the certificate is not trusted or another host's, or the peer does not speak TLS), or the server could not
    prove that it knows the password.
    """


class NotSecure(ImapError):
    """A password was to be sent without TLS; it was not."""


@dataclass(frozen=True, slots=True)
class Completed:
    """
    A command that ended with OK.

    :ivar reply: the tagged answer.
    :ivar data: untagged responses that came before it.
    :ivar conditions: untagged OK, NO, BAD and BYE among them.
    :ivar told: the data as values.
    """

    reply: Condition
    data: tuple[Data, ...]
    conditions: tuple[Condition, ...]
    told: tuple[Told, ...] = ()

    def all(self, kind: type[T]) -> list[T]:
        """What was told of one kind, in order."""
        return [one for one in self.told if isinstance(one, kind)]

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
    """
    What SELECT and EXAMINE tell; numbers are 0 where nothing was told.

    :ivar vanished: UIDs that are gone since the mailbox was known; :ivar changed: what has changed since.  RFC 7162.
    """

    exists: int
    recent: int
    uid_validity: int
    uid_next: int
    unseen: int
    flags: tuple[bytes, ...]
    permanent_flags: bytes
    read_only: bool
    highest_modseq: int = 0
    mailbox_id: bytes = b""
    vanished: tuple[str, ...] = ()
    changed: tuple[Fetched, ...] = ()

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
            highest_modseq=number(b"HIGHESTMODSEQ"),
            mailbox_id=(completed.code(b"MAILBOXID") or b"").strip(b"()"),
            vanished=tuple(one.uids for one in completed.all(Vanished)),
            changed=tuple(completed.all(Fetched)),
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What LIST with options tells.

    :ivar names: in the order told.
    :ivar statuses: numbers of mailboxes by name.  RFC 5819.
    :ivar annotations: by name.  RFC 9590.
    """

    names: tuple[Listed, ...]
    statuses: Mapping[str, Mapping[bytes, Any]]
    annotations: Mapping[str, Mapping[str, bytes | None]]

    @classmethod
    def made_from(cls, completed: Completed) -> Listing:
        """Read it from the responses."""
        annotations: dict[str, dict[str, bytes | None]] = {}
        for one in completed.all(Annotations):
            annotations.setdefault(one.mailbox, {}).update(one.entries)
        statuses = {one.mailbox: one.items for one in completed.all(Numbers)}
        return cls(tuple(completed.all(Listed)), statuses, annotations)


@dataclass(frozen=True, slots=True)
class Appended:
    """
    Where messages went.  RFC 4315 section 3, RFC 3502.

    :ivar uid: of the first, or of the only one; :ivar uids: of all.
    """

    uid_validity: int
    uid: int
    uids: tuple[int, ...] = ()

    @classmethod
    def made_from(cls, completed: Completed) -> Appended | None:
        """Read it from APPENDUID; None where the server did not tell."""
        words = (completed.code(b"APPENDUID") or b"").split()
        if len(words) != 2 or not words[0].isdigit() or len(words[0]) > 10:
            return None
        try:
            uids = tuple(expand(words[1]))
        except Malformed:
            return None
        return cls(int(words[0]), uids[0], uids)
