"""
The POP3 server: reads commands, writes replies, ends sessions.

Whatever ends a connection - QUIT, a vanished peer, a deadline, a bug - the maildrop's lock is given back, and only QUIT
removes messages.  A peer whose machine is gone is noticed within :data:`DEAD_AFTER` seconds.  When the idle limit passes
nothing is said, as RFC 1939 section 3 wants it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from launcelot.accounts.interface import Account
from launcelot.core.errors import Refusal, TryLater
from launcelot.core.limits import ConnectionCount, is_loopback
from launcelot.core.wire import BareNewline, Dismissed, LineTooLong, Stopping
from launcelot.hosting.binding import channel_binding
from launcelot.hosting.server import ServerFactory, ServerStream
from launcelot.hosting.transport import notice_dead_peer
from launcelot.protocols.pop3.commands import obey
from launcelot.protocols.pop3.grammar import MAX_COMMAND, SyntaxWrong, bad, good
from launcelot.protocols.pop3.policy import Policy
from launcelot.protocols.pop3.session import MAX_ERRORS, CutOff, Session, State, reply_for

if TYPE_CHECKING:
    from launcelot.hosting.site import Site
    from launcelot.protocols.pop3.service import Settings

DEAD_AFTER = 60
"""Seconds after which a peer that cannot be reached is given up, so that its lock is free."""

TIMESTAMP_BITS = 144
"""Random bits of a greeting's timestamp."""

HTTP = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT ")
"""A browser that was sent here by somebody's page; what it says must not be taken for commands."""


class Pop3Server(ServerStream):
    """One peer."""

    internal_error = bad("internal error", "SYS/TEMP")
    alpn = (b"pop3",)

    factory: Pop3Factory

    def __init__(self, factory: Pop3Factory) -> None:
        super().__init__(factory)
        self.session = Session(self, factory.site, "pop3", factory.policy)

    # -- what the session asks of its connection -----------------------------------------------------------------

    @property
    def offers_tls(self) -> bool:
        """Whether STLS is possible now."""
        return self.site.has_tls and not self.secure

    @property
    def takes_passwords(self) -> bool:
        """Whether a password may come on this connection as it is."""
        policy = self.factory.settings.plaintext_login
        return self.secure or policy == "always" or (policy == "loopback" and is_loopback(self.source))

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""
        return channel_binding(self.transport, kind)

    def begin_tls(self) -> None:
        """Speak TLS from the next octet."""
        self.start_tls(self.site.server_tls())

    def logged_in(self, account: Account) -> None:
        """From now on only silence ends the session."""
        self.user = account.name
        self.limit_total(None)
        self.limit_idle(self.factory.settings.idle_timeout)

    # -- the session ---------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Greet, then obey until the session is over."""
        notice_dead_peer(self.wire_transport, DEAD_AFTER)
        self.limit_total(self.factory.settings.login_timeout)
        self.session.timestamp = await self._timestamp()
        self.write(good(f"{self.site.hostname} POP3 ready {self.session.timestamp.decode('ascii')}".rstrip()))
        try:
            while self.session.state is not State.OVER:
                await self._one()
        except Dismissed:
            self.write(bad("log in again, the account has been changed", "AUTH"))
            raise
        except Stopping:
            self.write(bad("shutting down", "SYS/TEMP"))
            raise
        except CutOff:
            self.outcome = "cut off in a message"
            self.abort()
        finally:
            self.session.leave()

    async def _timestamp(self) -> bytes:
        """What a digest of APOP is made of: never the same, and nobody can tell it before.  RFC 1939 section 7."""
        try:
            if not await self.site.logins.has_digests():
                return b""
        except TryLater:
            return b""
        if not (self.takes_passwords or self.offers_tls):
            return b""
        drawn = base64.urlsafe_b64encode(self.site.random_bits(TIMESTAMP_BITS).to_bytes(TIMESTAMP_BITS // 8, "big"))
        return b"<%b@%b>" % (drawn, self.site.hostname.encode("ascii", "replace"))

    async def _one(self) -> None:
        try:
            line = await self.line(MAX_COMMAND)
            if line.startswith(HTTP):
                self.outcome = "http"
                self.session.become(State.OVER)
                return
            self.commands += 1
            reply = await obey(self.session, line)
        except LineTooLong:
            self._give_up("line too long")
            return
        except BareNewline:
            reply = self._wrong("lines end with CRLF")
        except SyntaxWrong as error:
            reply = self._wrong(error.text)
        except Refusal as refusal:
            reply = reply_for(refusal)
        await self.session.send(reply)
        if self.session.state is State.OVER and self.outcome == "closed":
            self.outcome = "quit" if reply.startswith(b"+OK") else "refused"

    def _wrong(self, text: str) -> bytes:
        # It may have been a USER: the name before it is not the one that a PASS is for.
        self.session.name = None
        self.session.errors += 1
        if self.session.errors < MAX_ERRORS:
            return bad(text)
        self.outcome = "too many errors"
        self.session.become(State.OVER)
        return bad("too many errors")

    def _give_up(self, text: str) -> None:
        self.outcome = text
        self.write(bad(text))
        self.session.become(State.OVER)


class Pop3Factory(ServerFactory):
    """Admits peers to their maildrops."""

    protocol = Pop3Server
    refusal = bad("too many connections", "SYS/TEMP")

    def __init__(
        self,
        site: Site,
        name: str,
        count: ConnectionCount,
        settings: Settings,
        implicit_tls: bool = False,
        policy: Policy | None = None,
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.policy = policy or Policy()
        self.offers_tls = site.has_tls  # type: ignore[misc]

    def make_stream(self) -> Pop3Server:
        """A new peer's protocol."""
        return Pop3Server(self)
