"""
The SMTP server: command lines in, replies out, in order.

One coroutine serves a connection, so a command pipelined behind another is not looked at before the other is answered,
and all replies of one burst leave in one write.  RFC 5321, RFC 2920, RFC 3207.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from launcelot.core.limits import ConnectionCount, is_loopback
from launcelot.core.wire import BareNewline, DeadlinePassed, Dismissed, LineTooLong, Stopping
from launcelot.hosting.binding import channel_binding
from launcelot.hosting.proxy import is_within, networks
from launcelot.hosting.server import ServerFactory, ServerStream, log
from launcelot.hosting.stream import OUTPUT_PIECE
from launcelot.protocols.smtp.commands import execute
from launcelot.protocols.smtp.grammar import COMMAND_LINE, Reply, reply
from launcelot.protocols.smtp.session import OUT_OF_ORDER, Role, Rules, Session
from launcelot.spool.interface import Accepted, Envelope, SpoolRecipient, Verdict
from launcelot.workers.staging import Staged

if TYPE_CHECKING:
    from launcelot.hosting.site import Site
    from launcelot.protocols.smtp.service import Settings

BUSY = 8
"""Deliveries under way from which on nobody waits for his."""

ACCEPTED = "{service} session {session} accepted {id} from {sender!r} to {recipients} recipients, {size} octets"
FORWARDED = f"{ACCEPTED}, for {{forwarded}}"

TOO_LONG = reply(500, "5.5.2", "Line too long")
BARE_NEWLINE = reply(500, "5.5.2", "Line does not end in CRLF")
NOT_TRUSTED = reply(554, "5.7.1", "LMTP is not for you")
TOO_MANY_ERRORS = reply(421, "4.7.0", "Too many errors")


class SmtpServer(ServerStream):
    """One peer."""

    internal_error = b"421 4.3.0 Internal error\r\n"
    alpn = (b"smtp",)

    def __init__(self, factory: SmtpFactory) -> None:
        super().__init__(factory)
        self.smtp = factory
        self.settings = factory.settings
        self.role = factory.role
        self._drained_at = 0

    async def serve(self) -> None:
        """Greet, then answer commands until the session ends."""
        session = Session(self, self, self.site, self.settings, self.role, self.source, self.smtp.rules)
        self.limit_total(self.settings.login_timeout)
        self.limit_idle(self.settings.idle_timeout)
        self.write((reply(220, "", session.banner) if self.is_welcome else NOT_TRUSTED).encode())
        try:
            if not self.is_welcome:
                await self._turn_away(session)
            while not session.ending:
                await self._exchange(session)
        except DeadlinePassed:
            self.write(self._goodbye("4.4.2", "Timeout"))
            raise
        except Dismissed:
            self.write(self._goodbye("4.7.0", "Log in again, the account has been changed"))
            raise
        except Stopping:
            self.write(self._goodbye("4.3.2", "Service is stopping"))
            raise
        finally:
            if session.transaction is not None:
                session.transaction.close()
        self.outcome = session.outcome or self.outcome

    @property
    def is_welcome(self) -> bool:
        """Whether who connects may: LMTP is for this machine and the networks that are named."""
        if self.role is not Role.LMTP or self.source == "unix" or is_loopback(self.source):
            return True
        return is_within(self.source, self.smtp.lmtp_networks)

    async def _turn_away(self, session: Session) -> None:
        """Whoever is refused at the beginning is heard until QUIT, and served nothing.  RFC 5321 section 3.1."""
        while not session.ending:
            try:
                line = await self.line(COMMAND_LINE)
            except (LineTooLong, BareNewline):
                break
            self.commands += 1
            if line.strip().upper() == b"QUIT":
                session.ending = True
                self.write(reply(221, "2.0.0", f"{self.site.hostname} closing connection").encode())
            else:
                await self._answer(session, OUT_OF_ORDER, counts=True)
        session.ending = True
        session.outcome = "not trusted"

    async def _exchange(self, session: Session) -> None:
        try:
            line = await self.line(session.line_limit)
        except LineTooLong:
            self.write(TOO_LONG.encode())
            session.ending = True
            session.outcome = "line too long"
            return
        except BareNewline:
            answer: Reply | None = BARE_NEWLINE
        else:
            self.commands += 1
            answer = await execute(session, line)
            self.user = session.account.name if session.account is not None else ""
        if answer is not None:
            await self._answer(session, answer)

    async def _answer(self, session: Session, answer: Reply, counts: bool = False) -> None:
        if answer.code >= 500 and (counts or self.role is not Role.LMTP):
            session.errors += 1
            if session.errors >= self.settings.max_errors and not session.ending:
                self.write(answer.encode())
                answer = TOO_MANY_ERRORS
                session.ending = True
                session.outcome = "too many errors"
                self.site.counters.add("smtp.errors.limit")
            elif session.errors > self.settings.max_errors // 2 and self.settings.error_delay:
                await self._pause(self.settings.error_delay)
        self.write(answer.encode())
        if self.sent - self._drained_at >= OUTPUT_PIECE:
            # One segment of EHLOs makes thirty of answers: a peer that does not read must not have them all made.
            await self.drain()
            self._drained_at = self.sent

    def _goodbye(self, enhanced: str, text: str) -> bytes:
        return reply(421, enhanced, f"{self.site.hostname} {text}").encode()

    async def _pause(self, seconds: float) -> None:
        self.flush()
        pause: Deferred[None] = Deferred()
        timer = self.clock.callLater(seconds, pause.callback, None)
        try:
            await pause
        finally:
            if timer.active():
                timer.cancel()

    # -- what a session can make the connection do ---------------------------------------------------------------

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""
        return channel_binding(self.transport, kind)

    def upgrade(self) -> None:
        """Speak TLS from the next octet on."""
        self.start_tls(self.site.server_tls())
        self.limit_total(self.settings.login_timeout)

    def note_source(self, source: str) -> None:
        """Have the log say that this is who is served."""
        self.source = source

    def note_accepted(self, envelope: Envelope, size: int, forwarded: Mapping[str, str]) -> None:
        """Log a message that is in the spool, or in mailboxes."""
        log.info(
            FORWARDED if forwarded else ACCEPTED,
            forwarded=" ".join(f"{name.lower()}={value!r}" for name, value in forwarded.items()),
            service=self.factory.name,
            session=self.session_id,
            id=envelope.id,
            sender="" if envelope.sender is None else str(envelope.sender),
            recipients=len(envelope.recipients),
            size=size,
        )

    async def settle(self, accepted: Accepted) -> None:
        """
        Wait a moment for the delivery of a message that was accepted.

        A client of an idle server that has read 250 then finds its mail in the mailbox; a busy server waits for nobody.
        """
        grace = self.settings.delivery_grace
        if not grace or accepted.delivered.called or self.site.spool.under_way >= BUSY:
            return
        waits: Deferred[None] = Deferred()
        timer = self.clock.callLater(grace, waits.callback, None)

        def delivered(_: None) -> None:
            if timer.active():
                timer.cancel()
                waits.callback(None)

        accepted.delivered.addCallback(delivered)
        try:
            await waits
        finally:
            if timer.active():
                timer.cancel()

    async def deposit(
        self, envelope: Envelope, body: Staged, groups: Sequence[Sequence[SpoolRecipient]]
    ) -> Sequence[Verdict]:
        """Deliver now; see :meth:`launcelot.spool.depositing.Depositor.deposit`."""
        if self.site.deposits is None:
            raise LookupError("this Site delivers nothing itself")
        return await self.site.deposits.deposit(envelope, body, groups)

    @property
    def tls_description(self) -> str:
        """Version and cipher, such as ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty without TLS."""
        if not self.secure:
            return ""
        connection: Any = self.wire_transport.getHandle()
        return f"{connection.get_protocol_version_name()} {connection.get_cipher_name()}"


class SmtpFactory(ServerFactory):
    """
    Admits peers to one listener.

    :param role: whether it takes mail from anybody for local accounts, or from accounts only.
    :param rules: see :func:`launcelot.protocols.smtp.service.rules_of`; without them nothing is counted.
    """

    protocol = SmtpServer
    refusal = b"421 4.3.2 Too many connections, try again later\r\n"

    def __init__(
        self,
        site: Site,
        name: str,
        count: ConnectionCount,
        settings: Settings,
        role: Role,
        implicit_tls: bool = False,
        rules: Rules | None = None,
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.role = role
        self.lmtp_networks = networks(settings.lmtp_networks)
        self.rules = rules or Rules(networks(settings.xclient_networks))

    def make_stream(self) -> SmtpServer:
        """A new peer's protocol."""
        return SmtpServer(self)
