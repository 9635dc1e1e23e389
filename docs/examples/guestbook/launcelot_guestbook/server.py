"""The guestbook's server: reads lines, writes replies, and says why it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcelot.accounts.interface import Account
from launcelot.core.limits import ConnectionCount, is_loopback
from launcelot.core.wire import BareNewline, DeadlinePassed, LineTooLong, Stopping
from launcelot.hosting.server import ServerFactory, ServerStream

from launcelot_guestbook.grammar import MAX_LINE, reply
from launcelot_guestbook.notes import Notes
from launcelot_guestbook.session import Session

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

    from launcelot_guestbook.service import Settings


class GuestbookServer(ServerStream):
    """One peer."""

    internal_error = reply("NO", "internal error")

    factory: GuestbookFactory

    def __init__(self, factory: GuestbookFactory) -> None:
        super().__init__(factory)
        self.session = Session(self, factory.site, factory.notes, factory.settings.max_note)

    # -- what the session asks of its connection -------------------------------------------------------------------

    @property
    def offers_tls(self) -> bool:
        """Whether STARTTLS is possible now."""
        return self.site.has_tls and not self.secure

    @property
    def takes_passwords(self) -> bool:
        """Under TLS, and from this machine."""
        return self.secure or is_loopback(self.source)

    def begin_tls(self) -> None:
        """Speak TLS from the next octet."""
        self.start_tls(self.site.server_tls())

    def logged_in(self, account: Account) -> None:
        """From now on only silence ends the session."""
        self.user = account.name
        self.limit_total(None)
        self.limit_idle(self.factory.settings.idle_timeout)

    # -- the session -----------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Greet, then obey until the session is over."""
        self.limit_total(self.factory.settings.login_timeout)
        self.write(reply("OK", f"{self.site.hostname} guestbook"))
        try:
            while not self.session.over:
                await self._one()
        except DeadlinePassed:
            self.write(reply("LATER", "too slow"))
            raise
        except Stopping:
            self.write(reply("LATER", "shutting down"))
            raise

    async def _one(self) -> None:
        try:
            line = await self.line(MAX_LINE)
        except LineTooLong:
            self.outcome = "line too long"
            self.session.over = True
            self.write(reply("BAD", "line too long"))
            return
        except BareNewline:
            self.write(self.session.failed(reply("BAD", "lines end with CRLF")))
            return
        self.commands += 1
        self.write(await self.session.obey(line))


class GuestbookFactory(ServerFactory):
    """Admits peers to the book."""

    protocol = GuestbookServer
    refusal = reply("LATER", "too many connections")

    def __init__(
        self,
        site: Site,
        name: str,
        count: ConnectionCount,
        settings: Settings,
        notes: Notes,
        implicit_tls: bool = False,
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.notes = notes
