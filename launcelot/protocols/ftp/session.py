"""
What one FTP peer has said so far, what it may do next, and the words refusals are told in.

The session knows nothing of sockets: it answers on a :class:`~launcelot.core.wire.Wire`, and reaches data connections through
:class:`DataSide`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from launcelot.core.wire import Wire
from launcelot.filestore.interface import Path, Tree
from launcelot.filestore.limits import StorageFull
from launcelot.filestore.paths import resolve
from launcelot.protocols.ftp.grammar import reply
from launcelot.protocols.ftp.listing import ALL_FACTS
from launcelot.protocols.ftp.replies import fitting

if TYPE_CHECKING:
    from launcelot.accounts.interface import Account
    from launcelot.hosting.site import Site
    from launcelot.protocols.ftp.service import Settings
    from launcelot.protocols.ftp.transfer import Transfer

LOGIN_TRIES = 3
"""Wrong passwords in one connection before it is closed."""


class State(enum.Enum):
    """Where the peer stands."""

    START = "start"
    NAMED = "named"
    READY = "ready"
    OVER = "over"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.START: frozenset({State.NAMED, State.OVER}),
    State.NAMED: frozenset({State.START, State.NAMED, State.READY, State.OVER}),
    State.READY: frozenset({State.START, State.NAMED, State.OVER}),
    State.OVER: frozenset(),
}
"""Where the peer may go from each state; every state may also be entered anew by AUTH and REIN, which begin at START."""


class NoChannel(Exception):
    """The data connection could not be had; the text says why, and the peer is told 425."""


class NotResumed(NoChannel):
    """TLS on the data connection began a session of its own; the peer is told 522."""


class ChannelLost(Exception):
    """The data connection ended before its time; the text says how, and the peer is told 426."""


class Channel(Protocol):
    """One open data connection."""

    async def send(self, data: bytes) -> None:
        """
        Send octets; returns when there is room for more.

        :raises ChannelLost: the connection is gone, stalled or aborted.
        """

    @property
    def piece(self) -> int:
        """Octets that should be sent at once at most."""

    @property
    def takes_files(self) -> bool:
        """Whether :meth:`send_file` can be used."""

    async def send_file(self, descriptor: int, offset: int, length: int, moved: Callable[[int], None]) -> None:
        """
        Send octets of a file, which should lie in memory; the descriptor is not touched any more when this returns or raises.

        :param moved: called with how many octets have left, each time that some have.
        :raises ChannelLost: the connection is gone, stalled or aborted, or the file cannot be read, which aborts it.
        """

    async def receive(self) -> bytes:
        """
        What has arrived; empty at the end, when the peer is known to have sent all it wanted to.

        :raises ChannelLost: the connection was reset, ended inside TLS without its closing notice, stalled or aborted.
        """

    async def finish(self) -> None:
        """
        Send what is left and close.

        :raises ChannelLost: not all of it could be sent.
        """

    def attended(self) -> bool:
        """Whether somebody still waits for the reply; may be called in any thread."""


class DataSide(Protocol):
    """How a session gets its data connections."""

    @property
    def ready(self) -> bool:
        """Whether a listener waits or an address was given."""

    async def listen(self, extended: bool) -> tuple[str, int]:
        """
        Wait for the peer on a new port.

        :param extended: only the port is told to the peer, so any address family will do.
        :returns: the host to tell the peer, and the port.
        :raises NoChannel: no port is free, or the address cannot be told in a 227.
        """

    def aim(self, host: str, port: int) -> None:
        """Connect to that address for the next transfer."""

    def is_peer(self, host: str) -> bool:
        """Whether a host is the one the control connection comes from."""

    @property
    def family(self) -> int:
        """The control connection's address family, as RFC 2428 numbers them; 0 for none."""

    def drop(self) -> None:
        """Close listener and connection, and forget addresses."""


@dataclass
class Session:
    """
    One peer.

    :ivar source: the peer's host.
    :ivar is_nobody: whether the peer has said that it has no name of its own.
    :ivar cwd: the working folder.
    :ivar ascii: whether TYPE is A.
    :ivar offset: what REST said; 0 without it.
    :ivar renaming: what RNFR named.
    :ivar protected: whether data connections speak TLS.
    :ivar epsv_all: whether only EPSV may be used from now on.
    :ivar transfer: what is under way.
    :ivar aborted: whether ABOR has ended a transfer and is still to be answered.
    """

    wire: Wire
    site: Site
    settings: Settings
    source: str
    data: DataSide
    loopback: bool = False
    implicit: bool = False
    state: State = State.START
    name: str = ""
    is_nobody: bool = False
    account: Account | None = None
    cwd: Path = ()
    ascii: bool = True
    offset: int = 0
    renaming: Path | None = None
    buffered: bool = False
    protected: bool = False
    epsv_all: bool = False
    facts: tuple[str, ...] = ALL_FACTS
    failures: int = 0
    transfer: Transfer | None = None
    aborted: bool = False
    _tree: Tree | None = field(default=None, repr=False)

    def enter(self, state: State) -> None:
        """
        Go to another state.

        :raises ValueError: the table does not allow it, which is our bug.
        """
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"{self.state.name} does not lead to {state.name}")
        self.state = state

    def begin(self) -> None:
        """Forget everything the peer has said, as after AUTH and REIN; only the number of failed log-ins stays."""
        self.log_out()
        self.buffered = self.protected = self.implicit
        self.epsv_all = False

    def log_out(self) -> None:
        """Forget who the peer is and what was said since; what was agreed on about data connections stays."""
        self.data.drop()
        self.state = State.START
        self.name = ""
        self.is_nobody = False
        self.account = None
        self._tree = None
        self.cwd = ()
        self.ascii = True
        self.offset = 0
        self.renaming = None
        self.facts = ALL_FACTS
        self.algorithm = "SHA-256"

    def log_in(self, account: Account | None, tree: Tree) -> None:
        """The peer has proved who it is, or is nobody and may look nevertheless."""
        self.enter(State.READY)
        self.account = account
        self._tree = tree
        self.failures = 0

    @property
    def tree(self) -> Tree:
        """
        The account's files.

        :raises NotPermitted: nobody has logged in.
        """
        if self._tree is None:
            raise NotPermitted("log in first")
        return self._tree

    def path(self, text: str) -> Path:
        """What a path from the wire means here."""
        return resolve(self.cwd, text)

    def take_offset(self) -> int:
        """What REST said, once."""
        offset, self.offset = self.offset, 0
        return offset

    @property
    def may_log_in(self) -> str:
        """Why no password is taken on this connection as it is; empty if one is."""
        if self.wire.secure:
            return ""
        if self.settings.require_tls != "none":
            return "TLS is required here, send AUTH TLS first"
        allowed = "always" if self.is_nobody and self.settings.anonymous else self.settings.plaintext_login
        if allowed == "always" or (allowed == "loopback" and self.loopback):
            return ""
        return "passwords are not taken in clear, send AUTH TLS first" if self.site.has_tls else "no password is taken in clear"


CODES: Mapping[type[Refusal], int] = {
    NotFound: 550,
    Exists: 550,
    NotPermitted: 550,
    BadCredentials: 530,
    OverQuota: 552,
    TooLarge: 552,
    InUse: 450,
    ReadOnly: 550,
    Unsupported: 504,
    Invalid: 553,
    Gone: 550,
    LimitReached: 450,
    TryLater: 451,
    StorageFull: 452,
}
"""The reply code of every refusal.  RFC 959 section 4.2."""


def reply_for(refusal: Refusal, verb: str = "") -> bytes:
    """A refusal in FTP's words, and a verb's."""
    code = next((CODES[kind] for kind in type(refusal).__mro__ if kind in CODES), 451 if refusal.temporary else 550)
    return reply(fitting(code, verb), refusal.text)
