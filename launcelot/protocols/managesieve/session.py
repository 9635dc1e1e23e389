"""
One peer's session: its state, whose scripts it keeps, and the one place where refusals become ManageSieve's words.

A session knows its connection through :class:`Connection` and scripts through their interface; it does not import Twisted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from launcelot.accounts.interface import Account
from launcelot.core.errors import (
    BadCredentials,
    Exists,
    InUse,
    LimitReached,
    NotFound,
    NotPermitted,
    OverQuota,
    Refusal,
    TooLarge,
    TryLater,
)
from launcelot.core.wire import Wire
from launcelot.hosting.sasl import Peer, Proved
from launcelot.mailstore.scripts import Scripts
from launcelot.protocols.managesieve.grammar import reply

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

MAX_LOGINS = 5
"""Failed log-ins before the connection is closed."""
MAX_ERRORS = 10
"""Commands that were not understood before the connection is closed."""


class State(Enum):
    """RFC 5804 section 2."""

    NEW = "non-authenticated"
    KNOWN = "authenticated"
    OVER = "over"


LAWFUL: Mapping[State, frozenset[State]] = {
    State.NEW: frozenset({State.KNOWN, State.OVER}),
    State.KNOWN: frozenset({State.NEW, State.OVER}),
    State.OVER: frozenset({State.OVER}),
}
"""Where each state may lead."""


class Unlawful(Exception):
    """A transition that :data:`LAWFUL` does not have: our bug."""


class Connection(Wire, Protocol):
    """What a session asks of its connection beyond octets."""

    source: str

    @property
    def offers_tls(self) -> bool:
        """Whether STARTTLS is possible now."""

    @property
    def takes_passwords(self) -> bool:
        """Whether a password may come on this connection as it is."""

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""

    def begin_tls(self) -> None:
        """Speak TLS from the next octet."""

    def logged_in(self, account: Account | None) -> None:
        """Another deadline holds, and the log knows a name; None when nobody is logged in any more."""

    async def read_string(self) -> str:
        """
        One string on a line of its own, as in an exchange of SASL.

        :raises SyntaxWrong: it is none.
        """


class Session:
    """
    One peer.

    :ivar failures: failed log-ins.
    :ivar errors: commands that were not understood.
    """

    def __init__(self, wire: Connection, site: Site, service: str) -> None:
        self.wire = wire
        self.site = site
        self.service = service
        self.state = State.NEW
        self.failures = 0
        self.errors = 0
        self._scripts: Scripts | None = None

    @property
    def scripts(self) -> Scripts:
        """
        The scripts of who has logged in.

        :raises Unlawful: nobody has.
        """
        if self._scripts is None:
            raise Unlawful("no scripts in this state")
        return self._scripts

    def become(self, state: State) -> None:
        """
        Go to another state.

        :raises Unlawful: there is no way from here.
        """
        if state not in LAWFUL[self.state]:
            raise Unlawful(f"{self.state} to {state}")
        self.state = state

    def peer(self) -> Peer:
        """Who logs in, as far as the connection tells."""
        wire = self.wire
        return Peer(wire.source, self.service, wire.secure, wire.channel_binding)

    async def log_in(self, proved: Proved) -> None:
        """
        Open the scripts of who has logged in.

        :raises NotPermitted: it wants to act as somebody else.
        :raises Refusal: as the store raises it.
        """
        if not proved.may_act:
            raise NotPermitted("nobody may act as somebody else here")
        account = proved.account
        mail = await self.site.mail.mail(account.id, account.quota, account.messages)
        self._scripts = mail.scripts
        self.become(State.KNOWN)
        self.wire.logged_in(account)

    def leave(self) -> None:
        """Forget who has logged in.  RFC 5804 section 2.14.1."""
        self._scripts = None
        self.become(State.NEW)
        self.wire.logged_in(None)


def reply_for(refusal: Refusal) -> bytes:
    """A refusal in ManageSieve's words.  RFC 5804 section 1.3."""
    code = next((CODES[kind] for kind in type(refusal).__mro__ if kind in CODES), "")
    return reply("NO", refusal.text, code)


CODES: Mapping[type, str] = {
    BadCredentials: "",
    NotFound: "NONEXISTENT",
    Exists: "ALREADYEXISTS",
    InUse: "ACTIVE",
    TooLarge: "QUOTA/MAXSIZE",
    LimitReached: "QUOTA/MAXSCRIPTS",
    OverQuota: "QUOTA",
    TryLater: "TRYLATER",
}
"""Response codes by kind; the other kinds have none."""
