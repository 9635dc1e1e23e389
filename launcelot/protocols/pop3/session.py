"""
One peer's session: its state, its maildrop, and the one place where refusals become POP3's words.

RFC 1939 section 3 has the states.  A session knows its connection through :class:`Connection` and the stores through their
interfaces; it does not import Twisted.  It holds the maildrop's lock from log-in until :meth:`Session.leave`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from launcelot.accounts.interface import Account
from launcelot.core.errors import (
    BadCredentials,
    InUse,
    LimitReached,
    NotPermitted,
    OverQuota,
    ReadOnly,
    Refusal,
    TryLater,
)
from launcelot.core.wire import Wire
from launcelot.hosting.sasl import Peer, Proved
from launcelot.mailstore.interface import INBOX
from launcelot.protocols.pop3.grammar import bad
from launcelot.protocols.pop3.maildrop import PIECE, Maildrop
from launcelot.protocols.pop3.policy import Policy

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

MAX_LOGINS = 5
"""Failed log-ins before the connection is closed."""

MAX_ERRORS = 10
"""Commands that were not understood, or did not belong where they came, before the connection is closed."""


class State(Enum):
    """RFC 1939 section 3; OVER is behind the UPDATE state."""

    AUTHORIZATION = "AUTHORIZATION"
    TRANSACTION = "TRANSACTION"
    UPDATE = "UPDATE"
    OVER = "over"

    # Enum's own, which is written in Python, is asked several times for each command.
    __hash__ = object.__hash__


LAWFUL: Mapping[State, frozenset[State]] = {
    State.AUTHORIZATION: frozenset({State.TRANSACTION, State.OVER}),
    State.TRANSACTION: frozenset({State.UPDATE, State.OVER}),
    State.UPDATE: frozenset({State.OVER}),
    State.OVER: frozenset({State.OVER}),
}
"""Where each state may lead."""


class Unlawful(Exception):
    """A transition that :data:`LAWFUL` does not have: our bug."""


class CutOff(Exception):
    """A multi-line reply that cannot be finished; only dropping the connection tells the peer."""


class Connection(Wire, Protocol):
    """What a session asks of its connection beyond octets."""

    source: str

    @property
    def offers_tls(self) -> bool:
        """Whether STLS is possible now."""

    @property
    def takes_passwords(self) -> bool:
        """Whether a password may come on this connection as it is."""

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""

    def begin_tls(self) -> None:
        """Speak TLS from the next octet."""

    def logged_in(self, account: Account) -> None:
        """Another deadline holds, and the log knows a name."""


class Session:
    """
    One peer.

    :ivar name: what USER gave.
    :ivar utf8: whether the client takes UTF-8 in headers.  RFC 6856 section 2.1.
    :ivar failures: failed log-ins.
    :ivar timestamp: of the greeting, for one digest of APOP; empty where nobody could use it, or somebody has.
    """

    def __init__(self, wire: Connection, site: Site, service: str, policy: Policy) -> None:
        self.wire = wire
        self.site = site
        self.service = service
        self.policy = policy
        self.timestamp = b""
        self.state = State.AUTHORIZATION
        self.name: bytes | None = None
        self.utf8 = False
        self.failures = 0
        self.errors = 0
        self._drop: Maildrop | None = None
        self._unlock: Callable[[], None] | None = None
        self._unsent = 0

    @property
    def drop(self) -> Maildrop:
        """
        The maildrop of who has logged in.

        :raises Unlawful: nobody has.
        """
        if self._drop is None:
            raise Unlawful("no maildrop in this state")
        return self._drop

    def become(self, state: State) -> None:
        """
        Go to another state.

        :raises Unlawful: there is no way from here.
        """
        if state not in LAWFUL[self.state]:
            raise Unlawful(f"{self.state} to {state}")
        self.state = state

    async def send(self, data: bytes) -> None:
        """Write, and wait for a slow peer when much has been written."""
        self.wire.write(data)
        self._unsent += len(data)
        if self._unsent >= PIECE:
            self._unsent = 0
            await self.wire.drain()

    def peer(self) -> Peer:
        """Who logs in, as far as the connection tells."""
        wire = self.wire
        return Peer(wire.source, self.service, wire.secure, wire.channel_binding)

    async def log_in(self, proved: Proved) -> None:
        """
        Take the maildrop's lock and look at its messages.

        :raises NotPermitted: it wants to act as somebody else.
        :raises InUse: another session has the maildrop.
        :raises TooSoon: the account has logged in a moment ago.
        :raises Refusal: as the store raises it.
        """
        if not proved.may_act:
            raise NotPermitted("nobody may act as somebody else here")
        account = proved.account
        delay = self.policy.delay
        mail = await self.site.mail.mail(account.id, account.quota)
        self._unlock = mail.lock()
        try:
            if delay is not None:
                delay.expect(account.id)
            inbox = await mail.mailbox(INBOX)
            self._drop = Maildrop(inbox, await self.policy.listings.of(account.id, inbox, self.utf8))
            if delay is not None:
                await delay.begun(account.id)
        except Refusal:
            self.leave()
            raise
        self.become(State.TRANSACTION)
        self.wire.logged_in(account)

    def forget(self) -> None:
        """Start anew, as after STLS: what was said in the clear counts for nothing.  RFC 2595 section 4."""
        self.name = None

    def leave(self) -> None:
        """Let go of the maildrop; nothing is removed.  May be called twice."""
        unlock, self._unlock = self._unlock, None
        self._drop = None
        if unlock is not None:
            unlock()


def reply_for(refusal: Refusal) -> bytes:
    """
    A refusal in POP3's words, complete with CRLF.

    Response codes are those of RFC 2449 section 8.1 and RFC 3206 section 4.
    """
    code = next((CODES[kind] for kind in type(refusal).__mro__ if kind in CODES), "")
    return bad(refusal.text, code)


CODES: Mapping[type, str] = {
    BadCredentials: "AUTH",
    NotPermitted: "SYS/PERM",
    ReadOnly: "SYS/PERM",
    InUse: "IN-USE",
    LimitReached: "LOGIN-DELAY",
    OverQuota: "SYS/TEMP",
    TryLater: "SYS/TEMP",
}
"""Response codes by kind; the other kinds are about one command and have none."""
