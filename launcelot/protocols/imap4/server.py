"""
The server's Protocol and Factory.  RFC 3501.

:class:`ImapServer` gives a session its connection; the session's own modules do the rest.  A connection ends with a BYE
wherever a line can still be sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from launcelot.core.limits import ConnectionCount, is_loopback
from launcelot.core.wire import DeadlinePassed, Dismissed, LineTooLong, Stopping
from launcelot.hosting.binding import channel_binding
from launcelot.hosting.deflate import Deflated, start_deflate
from launcelot.hosting.server import ServerFactory, ServerStream
from launcelot.hosting.site import Site
from launcelot.protocols.imap4.dispatch import greet, step
from launcelot.protocols.imap4.session import Bye, CutOff, Session, State
from launcelot.protocols.imap4.settings import Settings


class ImapServer(ServerStream):
    """One IMAP client."""

    internal_error = b"* BYE [SERVERBUG] Internal error\r\n"
    alpn = (b"imap",)
    factory: ImapFactory
    _layer: Deflated | None = None

    def __init__(self, factory: ImapFactory) -> None:
        super().__init__(factory)
        self._settings = factory.settings
        self._reading = False
        self._read: bytes | Failure | None = None
        self._event: Deferred[None] | None = None
        self._noticed = False

    async def serve(self) -> None:
        """Greet, then answer commands until the session is over."""
        session = self._new_session()
        try:
            await greet(session)
            while session.state is not State.LOGOUT:
                await step(session)
                self.commands += 1
                if session.renounced:
                    session = self._new_session()
            self.outcome = "logout"
        except Bye as bye:
            self._goodbye(bye.text)
        except LineTooLong:
            self.write(b"* BAD Command line is too long\r\n")
            self._goodbye("command line is too long")
        except DeadlinePassed as passed:
            self._goodbye(f"deadline ({passed.kind})", b"Too slow or idle for too long")
        except Dismissed:
            self._goodbye("dismissed", b"Log in again, the account has been changed")
        except Stopping:
            self._goodbye("stopping", b"[UNAVAILABLE] Server is shutting down")
        except CutOff:
            self.outcome = "message vanished while it was sent"
        finally:
            session.end()

    def _new_session(self) -> Session:
        """Nobody has logged in yet, or nobody has any more."""
        self.user = ""
        self.limit_total(self._settings.login_timeout)
        self.limit_idle(math.inf)
        return Session(self, self.site, self._settings, is_loopback(self.source))

    def _goodbye(self, outcome: str, words: bytes = b"") -> None:
        self.outcome = outcome
        self.write(b"* BYE %b\r\n" % (words or outcome.encode("ascii", "replace")))

    # -- what the session asks of its connection -------------------------------------------------------------------

    def seconds(self) -> float:
        """The monotonic clock."""
        return self.clock.seconds()

    async def turn(self) -> None:
        """Let other connections have their turn."""
        await deferLater(self.clock, 0)

    def every(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Have ``call`` called each time so many seconds have passed, until the function that is returned is called."""
        pending = self.clock.callLater(seconds, lambda: tick())

        def tick() -> None:
            nonlocal pending
            pending = self.clock.callLater(seconds, tick)
            call()

        return lambda: pending.cancel()

    def begin_tls(self) -> None:
        """Speak TLS from the next octet on."""
        self.start_tls(self.site.server_tls())

    @property
    def compressed(self) -> bool:
        """Whether DEFLATE is in use."""
        return self._layer is not None

    def begin_compression(self) -> None:
        """Compress from the next octet on, both ways."""
        self._layer = start_deflate(self, self.clock)

    def end_compression(self) -> None:
        """Compress no more, if it was; what is written has left compressed."""
        layer, self._layer = self._layer, None
        if layer is not None:
            self.flush()
            layer.stop()

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""
        return channel_binding(self.transport, kind)

    def logged_in(self, name: str) -> None:
        """Who it is, for the log."""
        self.user = name

    async def line_or_notice(self, limit: int) -> bytes | None:
        """
        The next line, or None when :meth:`notice` was called first.

        The reading goes on behind a notice, so that its deadline runs from when it began and no line is lost.
        """
        if not self._reading:
            self._reading = True
            Deferred.fromCoroutine(self.line(limit)).addBoth(self._has_read)
        if not self._noticed and self._read is None:
            self._event = Deferred(self._forget_event)
            await self._event
        read = self._read
        if read is None:
            self._noticed = False
            return None
        self._read = None
        self._reading = False
        if isinstance(read, Failure):
            read.raiseException()
        return read

    def notice(self) -> None:
        """Wake :meth:`line_or_notice`, now or when it is next called."""
        self._noticed = True
        self._wake()

    def _has_read(self, read: bytes | Failure) -> None:
        self._read = read
        self._wake()

    def _wake(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.callback(None)

    def _forget_event(self, _cancelled: Deferred[None]) -> None:
        self._event = None


class ImapFactory(ServerFactory):
    """
    Makes a session for each IMAP client.

    :param settings: limits and who may log in.
    """

    protocol = ImapServer
    refusal = b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n"

    def __init__(
        self, site: Site, name: str, count: ConnectionCount, settings: Settings, implicit_tls: bool = False
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
