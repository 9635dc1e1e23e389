"""
One SMTP peer's state: what it may do next, the mail it is sending, and how refusals are worded.

The session sees its connection as a :class:`~launcelot.core.wire.Wire` and a few :class:`Effects`; it knows no Twisted.
RFC 5321 section 4.1.4 (order of commands), RFC 6409 (submission), RFC 4954 (AUTH), RFC 2033 (LMTP).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from launcelot.core.errors import (
    BadCredentials,
    Exists,
    Gone,
    InUse,
    Invalid,
    LimitReached,
    NotFound,
    NotPermitted,
    OverQuota,
    ReadOnly,
    Refusal,
    TooLarge,
    TryLater,
    Unsupported,
)
from launcelot.core.limits import is_loopback
from launcelot.core.wire import Wire
from launcelot.hosting.proxy import Network, is_within
from launcelot.protocols.smtp.grammar import AUTH_LINE, COMMAND_LINE, Mail, Reply, reply
from launcelot.protocols.smtp.notifying import both
from launcelot.protocols.smtp.sending import Sending, SendingLimitReached
from launcelot.spool.interface import Accepted, Envelope, SpoolId, SpoolRecipient, Verdict

if TYPE_CHECKING:
    from launcelot.accounts.interface import Account
    from launcelot.checks.interface import Case
    from launcelot.hosting.site import Site
    from launcelot.message.address import Address
    from launcelot.protocols.smtp.body import Incoming
    from launcelot.protocols.smtp.service import Settings
    from launcelot.workers.staging import Staged


class Role(Enum):
    """What a listener is for."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and asked many times for each message.

    MX = "mx"
    SUBMISSION = "submission"
    LMTP = "lmtp"


class State(Enum):
    """Where a session stands between two commands."""

    __hash__ = object.__hash__  # As Role's.

    CONNECTED = "connected"
    READY = "ready"
    MAIL = "mail"
    RECIPIENTS = "recipients"
    CHUNKS = "chunks"


ANY = frozenset(State)

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.CONNECTED: frozenset({State.CONNECTED, State.READY}),
    State.READY: frozenset({State.CONNECTED, State.READY, State.MAIL}),
    State.MAIL: frozenset({State.READY, State.MAIL, State.RECIPIENTS}),
    State.RECIPIENTS: frozenset({State.READY, State.RECIPIENTS, State.CHUNKS}),
    State.CHUNKS: frozenset({State.READY, State.CHUNKS}),
}
"""Lawful steps; the end of a transaction, however it comes, leads to READY."""


class Unlawful(Exception):
    """A step that is not in :data:`TRANSITIONS`: a bug of ours, as commands are refused in the wrong state."""


class Effects(Protocol):
    """What a session can make its connection do besides reading and writing."""

    @property
    def session_id(self) -> str:
        """Names the session in the log."""

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""

    def upgrade(self) -> None:
        """Speak TLS from the next octet on."""

    def note_accepted(self, envelope: Envelope, size: int, forwarded: Mapping[str, str]) -> None:
        """Log a message that is in the spool, or in mailboxes."""

    def note_source(self, source: str) -> None:
        """Have the log say that this is who is served."""

    async def settle(self, accepted: Accepted) -> None:
        """Give a quick delivery the time to end before the client is told of its message."""

    async def deposit(
        self, envelope: Envelope, body: Staged, groups: Sequence[Sequence[SpoolRecipient]]
    ) -> Sequence[Verdict]:
        """Deliver now; see :meth:`launcelot.spool.depositing.Depositor.deposit`."""

    @property
    def tls_description(self) -> str:
        """Version and cipher, empty without TLS."""


@dataclass(slots=True)
class Transaction:
    """
    One mail on its way in.

    :ivar recipients: each once, with the address it was first named by; by account, and those elsewhere by address.
    :ivar addresses: keys of those that RCPT named; ``new`` of them were never written to, where that is counted.
    :ivar case: what the checks know; None for mail that is not checked.
    :ivar named: the recipients behind each RCPT that was accepted, in order.
    """

    id: SpoolId
    mail: Mail
    recipients: dict[str, SpoolRecipient] = field(default_factory=dict)
    named: list[tuple[str, ...]] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    new: int = 0
    only: Address | None = None
    body: Incoming | None = None
    case: Case | None = None

    def take(self, recipients: Sequence[SpoolRecipient]) -> list[str]:
        """Add those behind one address, each once; their keys."""
        keys: list[str] = []
        for one in recipients:
            key = one.address.key if one.is_remote else one.account
            known = self.recipients.setdefault(key, one)
            if known.notify != one.notify:
                self.recipients[key] = replace(known, notify=both(known.notify, one.notify))
            keys.append(key)
        return keys

    def close(self) -> None:
        """Drop what has come of the message, and what checks keep of it."""
        if self.body is not None:
            self.body.close()
        if self.case is not None:
            self.case.end()


@dataclass(frozen=True, slots=True)
class Rules:
    """
    What a listener's settings come to, made once for all its sessions.

    :ivar trusted: networks whose hosts may speak for others.
    :ivar sending: counts what accounts send; None where there are no limits.
    """

    trusted: Sequence[Network] = ()
    sending: Sending | None = None


class Session:
    """
    One peer.

    :param source: the peer's address as text.
    :ivar account: who has logged in.
    :ivar peer: who is connected; ``source`` is for whom he speaks.
    :ivar source_name: the host name of ``source``, as far as it is known to be true.
    :ivar given_name: what a host in front of us says the client calls itself, in place of what it says to us; likewise
        ``given_protocol``, ``"SMTP"`` or ``"ESMTP"``.
    :ivar forwarded: what such a host wants the log to say of the next mail.
    :ivar ending: the connection is to be closed after the present reply.
    :ivar mails: how many have been begun.
    """

    def __init__(
        self,
        wire: Wire,
        effects: Effects,
        site: Site,
        settings: Settings,
        role: Role,
        source: str,
        rules: Rules,
    ) -> None:
        self.wire = wire
        self.effects = effects
        self.site = site
        self.settings = settings
        self.role = role
        self.rules = rules
        self.peer = source
        self.source = source
        self.source_name = ""
        self.given_name = ""
        self.given_protocol = ""
        self.forwarded: Mapping[str, str] = {}
        self._clear_login = clear_login(settings, source)
        self.account: Account | None = None
        self.ending = False
        self.outcome = ""
        self.errors = 0
        self.mails = 0
        self.forget()

    def forget(self) -> None:
        """Know nothing of what the peer has said, as after STARTTLS.  RFC 3207 section 4.2."""
        self.state = State.CONNECTED
        self.name = ""
        self.extended = False
        self.transaction: Transaction | None = None

    def move(self, to: State) -> None:
        """
        Take a step.

        :raises Unlawful: it is not in the table.
        """
        if to not in TRANSITIONS[self.state]:
            raise Unlawful(f"{self.state.value} to {to.value}")
        self.state = to

    def reset(self) -> None:
        """End the transaction, if there is one, and drop what has come of its message."""
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            self.forwarded = {}
        if transaction is not None:
            transaction.close()
        if self.state is not State.CONNECTED:
            self.move(State.READY)

    # -- what the peer may do ------------------------------------------------------------------------------------

    @property
    def submits(self) -> bool:
        """Whether mail of this session is a submission: a submission listener, or somebody has logged in."""
        return self.role is Role.SUBMISSION or self.account is not None

    @property
    def sends_notices(self) -> bool:
        """
        Whether what is asked about notices (DSN) is done: for submitted mail, and for mail from outside where senders can be
        shown to be the senders; who forges one must not have us write to others.

        A server that hears nothing of DSN from us tells its sender so.  RFC 3461 section 5.2.2.
        """
        return self.role is not Role.LMTP and (self.submits or self._strangers_are_told)

    @property
    def _strangers_are_told(self) -> bool:
        site = self.site
        if not (self.settings.dsn_for_strangers and site.relays and site.checks is not None):
            return False
        return site.checks.show_senders and site.checks.concern(self.source)

    @property
    def can_start_tls(self) -> bool:
        """Whether STARTTLS would be granted now."""
        return self.site.has_tls and not self.wire.secure and self.account is None

    @property
    def may_speak_for_others(self) -> bool:
        """Whether XCLIENT and XFORWARD are for this peer."""
        return is_within(self.peer, self.rules.trusted)

    def speak_for(self, source: str) -> None:
        """Be the session of a client with this address, of whom nothing else is known."""
        self.source = source
        self.source_name = self.given_name = self.given_protocol = ""
        self.account = None
        self._clear_login = clear_login(self.settings, source)
        self.effects.note_source(source)

    @property
    def banner(self) -> str:
        """What a session begins with."""
        return f"{self.site.hostname} {'LMTP' if self.role is Role.LMTP else 'ESMTP'} Launcelot"

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be sent on this connection."""
        return self.role is not Role.LMTP and (self._clear_login or self.wire.secure)

    @property
    def current(self) -> Transaction:
        """The transaction, in the states that have one."""
        if self.transaction is None:
            raise Unlawful("no transaction")
        return self.transaction

    @property
    def line_limit(self) -> int:
        """Octets of the next command line: longer while it may be an AUTH with its response.  RFC 4954 section 4."""
        return AUTH_LINE + 64 if self.account is None and self.may_log_in else COMMAND_LINE

    @property
    def protocol(self) -> str:
        """The word behind ``with`` in Received.  RFC 3848, RFC 6531 section 4.3."""
        if not self.extended or self.given_protocol == "SMTP":
            return "SMTP"
        utf8 = self.transaction is not None and self.transaction.mail.utf8
        secure = "S" if self.wire.secure else ""
        known = "A" if self.account is not None else ""
        if self.role is Role.LMTP:
            return ("UTF8LMTP" if utf8 else "LMTP") + secure + known
        return ("UTF8SMTP" if utf8 else "ESMTP") + secure + known


def clear_login(settings: Settings, source: str) -> bool:
    """Whether somebody who comes from there may send a password without TLS."""
    where = settings.plaintext_login
    return where == "always" or (where == "loopback" and is_loopback(source))


OUT_OF_ORDER = reply(503, "5.5.1", "Bad sequence of commands")


# -- words ---------------------------------------------------------------------------------------------------------

WORDS: Mapping[type[Refusal], tuple[int, str]] = {
    NotFound: (550, "5.1.1"),
    Exists: (550, "5.3.0"),
    NotPermitted: (550, "5.7.1"),
    BadCredentials: (535, "5.7.8"),
    OverQuota: (452, "4.2.2"),
    TooLarge: (552, "5.3.4"),
    InUse: (450, "4.2.0"),
    ReadOnly: (550, "5.2.0"),
    Unsupported: (554, "5.3.3"),
    Invalid: (501, "5.5.4"),
    Gone: (550, "5.2.1"),
    SendingLimitReached: (450, "4.7.1"),
    LimitReached: (452, "4.3.2"),
    TryLater: (451, "4.3.0"),
}
"""Codes of RFC 5321 section 4.2 and RFC 3463 for each kind of refusal."""


def reply_for(refusal: Refusal) -> Reply:
    """A refusal in SMTP's words; a kind nobody listed is worded by whether it is temporary."""
    for kind in type(refusal).__mro__:
        found = WORDS.get(kind)
        if found is not None:
            break
    else:
        found = (451, "4.3.0") if refusal.temporary else (554, "5.3.0")
    return reply(found[0], found[1], sentence(refusal.text))


def sentence(text: str) -> str:
    """With a capital, as replies begin."""
    return text[:1].upper() + text[1:]
