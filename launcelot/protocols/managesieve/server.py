"""
The ManageSieve server: reads commands with their literals, writes replies, ends sessions.

A literal is read only when somebody wants it: before log-in it is small, after that no larger than a script may be.  One that
is refused is thrown away up to :data:`SKIP` octets, and past that the connection is closed; its octets are never commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcelot.accounts.interface import Account
from launcelot.core.errors import Refusal
from launcelot.core.limits import ConnectionCount, is_loopback
from launcelot.core.sasl import MAX_RESPONSE
from launcelot.core.wire import BareNewline, DeadlinePassed, Dismissed, LineTooLong, Stopping
from launcelot.hosting.binding import channel_binding
from launcelot.hosting.server import ServerFactory, ServerStream
from launcelot.mailstore.scripts import MAX_SCRIPT
from launcelot.protocols.managesieve.commands import capabilities, obey
from launcelot.protocols.managesieve.grammar import MAX_LINE, SyntaxWrong, announced, reply, scan, split_verb, text
from launcelot.protocols.managesieve.session import MAX_ERRORS, Session, State, reply_for

if TYPE_CHECKING:
    from launcelot.hosting.site import Site
    from launcelot.protocols.managesieve.service import Settings

EARLY = 2 * MAX_RESPONSE
"""Octets of literals in one command before log-in."""
SKIP = 4 * MAX_SCRIPT
"""Octets of a refused literal that are thrown away."""
PIECE = 65_536
SLOWEST = (6_000, 60.0)
"""A literal must bring this many octets in every so many seconds."""


class TooMuch(Exception):
    """More octets than will be thrown away."""


class ManageSieveServer(ServerStream):
    """One peer."""

    internal_error = reply("BYE", "internal error", "TRYLATER")
    alpn = (b"managesieve",)

    factory: ManageSieveFactory

    def __init__(self, factory: ManageSieveFactory) -> None:
        super().__init__(factory)
        self.session = Session(self, factory.site, "managesieve")

    # -- what the session asks of its connection -----------------------------------------------------------------

    @property
    def offers_tls(self) -> bool:
        """Whether STARTTLS is possible now."""
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

    def logged_in(self, account: Account | None) -> None:
        """From now on only silence ends the session; or again the time for logging in runs."""
        settings = self.factory.settings
        self.user = "" if account is None else account.name
        self.limit_total(settings.login_timeout if account is None else None)
        self.limit_idle(settings.idle_timeout)

    async def read_string(self) -> str:
        """One string on a line of its own."""
        arguments = await self._arguments(b" " + await self.line(MAX_LINE), EARLY)
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise SyntaxWrong("a string was expected")
        return arguments[0]

    # -- the session ---------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Greet with the capabilities, then obey until the session is over."""
        self.limit_total(self.factory.settings.login_timeout)
        self.write(capabilities(self.session) + reply("OK", f"{self.site.hostname} ManageSieve ready"))
        try:
            while self.session.state is not State.OVER:
                await self._one()
        except DeadlinePassed:
            self.write(reply("BYE", "idle for too long"))
            raise
        except Dismissed:
            self.write(reply("BYE", "log in again, the account has been changed"))
            raise
        except Stopping:
            self.write(reply("BYE", "shutting down", "TRYLATER"))
            raise

    async def _one(self) -> None:
        try:
            line = await self.line(MAX_LINE)
            self.commands += 1
            answer = await self._command(line)
        except LineTooLong:
            self._give_up("line too long")
            return
        except BareNewline as bare:
            if announced(bare.line.rstrip(b"\r\n")) is not None:
                self._give_up("lines end with CRLF")
                return
            answer = self._wrong("lines end with CRLF")
        except TooMuch:
            self._give_up("literal too large")
            return
        except SyntaxWrong as error:
            answer = self._wrong(error.text)
        except Refusal as refusal:
            answer = reply_for(refusal)
        self.write(answer)
        if self.session.state is State.OVER and self.outcome == "closed":
            self.outcome = "logout" if answer.startswith(b"OK") else "refused"
        await self.drain()

    async def _command(self, line: bytes) -> bytes:
        limit = EARLY if self.session.state is State.NEW else MAX_SCRIPT + MAX_LINE
        try:
            verb, rest = split_verb(line)
        except SyntaxWrong:
            await self._skip_rest(line)
            raise
        return await obey(self.session, verb, await self._arguments(rest, limit))

    async def _arguments(self, rest: bytes, limit: int) -> list[str | int]:
        """All arguments of a command, its literals read; a fault is raised when all of it has come."""
        found: list[str | int] = []
        while True:
            try:
                scanned = scan(rest)
                if scanned.literal is not None and scanned.literal > limit:
                    raise SyntaxWrong("literal too large")
            except SyntaxWrong:
                await self._skip_rest(rest)
                raise
            found += scanned.tokens
            if scanned.literal is None:
                return found
            limit -= scanned.literal
            data = await self._octets(scanned.literal)
            rest = await self.line(MAX_LINE)
            try:
                found.append(text(data))
            except SyntaxWrong:
                await self._skip_rest(rest)
                raise

    async def _octets(self, size: int) -> bytes:
        pieces: list[bytes] = []
        self.limit_rate(*SLOWEST)
        while size:
            piece = await self.chunk(min(size, PIECE))
            pieces.append(piece)
            size -= len(piece)
        self.limit_rate(0, 0)
        return b"".join(pieces)

    async def _skip_rest(self, line: bytes) -> None:
        """Throw away what belongs to a refused command; all of it comes, as clients never wait with a literal."""
        left = SKIP if self.session.state is State.KNOWN else EARLY
        while (size := announced(line)) is not None:
            left -= size + len(line)
            if left < 0:
                raise TooMuch
            self.limit_rate(*SLOWEST)
            while size:
                size -= len(await self.chunk(min(size, PIECE)))
            self.limit_rate(0, 0)
            line = await self.line(MAX_LINE)

    def _wrong(self, words: str) -> bytes:
        self.session.errors += 1
        if self.session.errors < MAX_ERRORS:
            return reply("NO", words)
        self.outcome = "too many errors"
        self.session.become(State.OVER)
        return reply("BYE", "too many errors")

    def _give_up(self, words: str) -> None:
        self.outcome = words
        self.write(reply("BYE", words))
        self.session.become(State.OVER)


class ManageSieveFactory(ServerFactory):
    """Admits peers to their scripts."""

    protocol = ManageSieveServer
    refusal = reply("BYE", "too many connections", "TRYLATER")

    def __init__(
        self, site: Site, name: str, count: ConnectionCount, settings: Settings, implicit_tls: bool = False
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.offers_tls = site.has_tls  # type: ignore[misc]

    def make_stream(self) -> ManageSieveServer:
        """A new peer's protocol."""
        return ManageSieveServer(self)
