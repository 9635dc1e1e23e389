"""
The server side of FTP: the control connection.

Commands are answered in order, one at a time.  A transfer runs beside the control connection, which is read on meanwhile: ABOR
takes effect when it comes in, NOOP and STAT are answered at once when nothing else waits, and all others wait, in order, until
the transfer has been answered.  A transfer is never cancelled from outside; it is ended through its data connection, so that
an upload is always either published or abandoned.
"""

from __future__ import annotations

import math
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.core.limits import ConnectionCount, is_loopback
from launcelot.core.sharing import SharedNumbers
from launcelot.core.wire import BareNewline, DeadlinePassed, Dismissed, LineTooLong, PeerGone, Stopping, WireEnd
from launcelot.hosting.server import ServerFactory, ServerStream, log, source_host
from launcelot.hosting.site import Site
from launcelot.hosting.tls import own_sessions
from launcelot.hosting.transport import lowest
from launcelot.protocols.ftp.answers import Answer, Goodbye, StartTLS
from launcelot.protocols.ftp.commands import respond
from launcelot.protocols.ftp.grammar import LINE_LIMIT, Malformed, Request, parse_request, reply
from launcelot.protocols.ftp.pacing import Rates
from launcelot.protocols.ftp.session import Channel, ChannelLost, NoChannel, NotResumed, Session, State, reply_for
from launcelot.protocols.ftp.side import Advertised, ServerDataSide, passive_ports
from launcelot.protocols.ftp.transfer import Transfer

if TYPE_CHECKING:
    from launcelot.protocols.ftp.service import Settings

WAITING = 32
"""Commands that are kept while a transfer runs; past them the control connection is not read until it ends."""

AT_ONCE = (Request("NOOP"), Request("STAT"))
"""Answered during a transfer, if nothing waits before them."""

ANONYMOUS = AccountId("anonymous")
"""Who the log says it was that had no name, and under whose name their rates are; no account has such an id."""

ERRORS = 20
"""Commands that cannot be understood, or are refused before log-in, until the connection is closed."""




class FTPServer(ServerStream):
    """One peer's control connection."""

    internal_error = b"421 Internal error, closing.\r\n"
    alpn = (b"ftp",)
    factory: FTPFactory
    session: Session
    data: ServerDataSide | None = None

    def __init__(self, factory: FTPFactory) -> None:
        super().__init__(factory)
        self._queue: deque[Request | Malformed] = deque()
        self._final: WireEnd | None = None
        self._reading: Deferred[Request | Malformed] | None = None
        self._over: Deferred[None] | None = None
        self._errors = 0
        self._context: Any = None
        self._pace = factory.rates.of_session()

    def connectionMade(self) -> None:
        """Take urgent octets in line: clients send ABOR, or its last octet, as TCP urgent data."""
        handle = getattr(self.transport, "getHandle", lambda: None)()
        if isinstance(handle, socket.socket) and handle.family in (socket.AF_INET, socket.AF_INET6):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End a transfer with its control connection."""
        super().connectionLost(reason)
        if self.data is not None:
            self.data.abort("the control connection was lost")

    def dismiss(self) -> None:
        """End a transfer as well, and do nothing of what waits for its end."""
        super().dismiss()
        self._queue.clear()
        if self.data is not None:
            self.data.abort("the account has been changed")

    def start_tls(self, context: Any, client: bool = False) -> None:
        """Keep the context, of which data connections can resume sessions; if they must, nobody else is given any of it."""
        if self.factory.settings.data_tls_session == "require":
            context = own_sessions(context)
        self._context = context
        super().start_tls(context, client)

    async def serve(self) -> None:
        """The session from greeting to goodbye."""
        settings = self.factory.settings
        host, peer = source_host(self.host), source_host(self.peer)
        data = self.data = ServerDataSide(
            self.site,
            host,
            peer,
            self.factory.advertised.to(peer),
            self.factory.ports,
            settings.connect_timeout,
            settings.stall_timeout,
            settings.data_tls_session == "require",
        )
        self.session = Session(
            self, self.site, settings, self.source, data, is_loopback(peer), self.factory.implicit_tls
        )
        self.session.begin()
        self.limit_total(settings.login_timeout)
        self.limit_idle(settings.idle_timeout)
        self.write(reply(220, f"{self.site.hostname} FTP ready."))
        try:
            await self._commands()
        except DeadlinePassed as passed:
            self.write(reply(421, "Log in faster next time." if passed.kind == "total" else "Idle for too long."))
            raise
        except Dismissed:
            self.write(reply(421, "Log in again, the account has been changed."))
            raise
        except Stopping:
            self.write(reply(421, "The service is stopping."))
            raise
        finally:
            data.drop()

    @property
    def _data(self) -> ServerDataSide:
        if self.data is None:
            raise PeerGone("not connected")
        return self.data

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come on the control connection that has not been looked at; False where nobody can tell."""
        return self._polled(select.POLLIN | select.POLLRDHUP) == 0

    @property
    def hung_up(self) -> bool:
        """Whether the peer is known to have ended it, which may not have been looked at yet; in any thread."""
        return bool((self._polled(select.POLLRDHUP) or 0) & (select.POLLRDHUP | select.POLLHUP | select.POLLERR))

    def _polled(self, events: int) -> int | None:
        handle = getattr(lowest(self.transport), "getHandle", lambda: None)()
        number = handle.fileno() if isinstance(handle, socket.socket) else -1
        if number < 0:
            return None
        asked = select.poll()
        asked.register(number, events)
        return sum(found for _, found in asked.poll(0))

    # -- commands ------------------------------------------------------------------------------------------------

    async def _commands(self) -> None:
        while self.session.state is not State.OVER:
            request = await self._next()
            self.commands += 1
            if isinstance(request, Malformed):
                self._refuse(request)
                continue
            answer = await respond(self.session, request)
            if request.verb == "PASS":
                self._logged_in()
            self._carry_out(answer)

    def _logged_in(self) -> None:
        """A password has been answered: who it is now, and what they have to keep to."""
        session = self.session
        if session.state is State.READY:
            account = session.account
            self.user = ANONYMOUS if account is None else account.name
            self._data.pace = self.factory.rates.of(ANONYMOUS if account is None else account.id, self._pace)
        elif session.is_nobody:
            log.warn(
                "nobody can log in as anonymous: there is no team folder {name}; make it, or empty [ftp] anonymous",
                name=session.settings.anonymous,
            )

    def _refuse(self, wrong: Malformed) -> None:
        self.write(reply(wrong.code, wrong.text))
        self._errors += 1
        if self._errors >= ERRORS or wrong.code == 421:
            self.outcome = "too many errors" if wrong.code != 421 else wrong.text
            self.session.enter(State.OVER)

    def _carry_out(self, answer: Answer) -> None:
        if isinstance(answer, bytes):
            self.write(answer)
            # Before log-in nothing of what is refused is part of honest work; behind it 550 answers many a question.
            wrong = answer.startswith(b"500 ") or (answer.startswith(b"5") and self.session.state is not State.READY)
            self._errors += wrong
            if wrong and self._errors >= ERRORS:
                self.outcome = "too many errors"
                self.session.enter(State.OVER)
        elif isinstance(answer, Goodbye):
            self.write(answer.words)
            self.outcome = answer.outcome
            self.session.enter(State.OVER)
        elif isinstance(answer, StartTLS):
            self._start_tls(answer)
        else:
            self._begin(answer)

    def _start_tls(self, answer: StartTLS) -> None:
        if self.pending or self._queue:
            self.site.counters.add("ftp.tls.injected")
            self.outcome = "plaintext behind AUTH"
            self.write(reply(503, "Nothing may follow AUTH TLS before TLS is up."))
            self.session.enter(State.OVER)
            return
        self.write(answer.words)
        self.start_tls(self.site.server_tls())
        self.session.begin()

    # -- reading -------------------------------------------------------------------------------------------------

    async def _next(self) -> Request | Malformed:
        while True:
            if self.session.transfer is None:
                if self._queue:
                    return self._queue.popleft()
                if self._final is not None:
                    raise self._final
                return await self._read()
            if len(self._queue) >= WAITING or self._final is not None:
                await self._transfer_over()
                continue
            request = await self._read_beside()
            if request is None:
                continue
            if request in AT_ONCE and not self._queue:
                return request
            if isinstance(request, Request) and request.verb == "ABOR":
                self.session.aborted = True
                self._data.drop()
            self._queue.append(request)

    async def _read(self) -> Request | Malformed:
        try:
            return parse_request(await self.line(LINE_LIMIT))
        except Malformed as wrong:
            return wrong
        except BareNewline:
            return Malformed("A line ends in CR LF.", 500)
        except LineTooLong:
            return Malformed("The line is too long.", 421)

    async def _read_beside(self) -> Request | Malformed | None:
        """The next command while a transfer runs; None if the transfer ended first, or no more will come."""
        reading = self._reading = Deferred.fromCoroutine(self._read())
        try:
            return await reading
        except CancelledError:
            if self.session.transfer is None:
                return None
            raise
        except (PeerGone, Stopping) as end:
            self._final = end
            return None
        finally:
            self._reading = None

    async def _transfer_over(self) -> None:
        self.flush()
        over = self._over = Deferred()
        try:
            await over
        finally:
            self._over = None

    # -- transfers -----------------------------------------------------------------------------------------------

    def _begin(self, transfer: Transfer) -> None:
        self.write(reply(150, transfer.opening))
        self.session.transfer = transfer
        self.limit_idle(math.inf)
        running = Deferred.fromCoroutine(self._transfer(transfer))
        running.addCallbacks(self.write, self._broken)
        running.addBoth(self._ended)

    async def _transfer(self, transfer: Transfer) -> bytes:
        try:
            channel = await self._data.open(self._context if self.session.protected else None, transfer.receives)
        except NoChannel as why:
            await transfer.give_up()
            return reply(426 if self.session.aborted else 522 if isinstance(why, NotResumed) else 425, str(why))
        try:
            return await transfer.move(Guarded(channel, self))
        except ChannelLost as why:
            return reply(426, f"Transfer incomplete: {why}.")
        except Refusal as refusal:
            return reply_for(refusal)

    def _broken(self, failure: Failure) -> None:
        self._report(failure)
        self.close(linger=True)

    def _ended(self, _: Any) -> None:
        self._data.done()
        self.session.transfer = None
        self.limit_idle(self.factory.settings.idle_timeout)
        self.flush()
        over, self._over = self._over, None
        if over is not None:
            over.callback(None)
        elif self._reading is not None:
            self._reading.cancel()


class Guarded:
    """
    A data connection whose end counts only while the control connection is there.

    In stream mode the end of a file is the end of its connection, and a client that is killed ends both at once.  So
    when the end has come and something has been heard of the control connection, the reactor is given two turns in which to
    learn whether that is its end; and an upload asks once more when it has been synced.  Then what was received is no file.
    """

    def __init__(self, channel: Channel, control: FTPServer) -> None:
        self._channel = channel
        self._control = control

    async def send(self, data: bytes) -> None:
        """As the data connection."""
        await self._channel.send(data)

    @property
    def piece(self) -> int:
        """As the data connection."""
        return self._channel.piece

    @property
    def takes_files(self) -> bool:
        """As the data connection."""
        return self._channel.takes_files

    async def send_file(self, descriptor: int, offset: int, length: int, moved: Callable[[int], None]) -> None:
        """As the data connection."""
        await self._channel.send_file(descriptor, offset, length, moved)

    async def receive(self) -> bytes:
        """As the data connection; an end without a control connection is a loss."""
        data = await self._channel.receive()
        if not data and not self._control.is_silent:
            for _ in range(2):
                turn: Deferred[None] = Deferred()
                self._control.site.reactor.callFromThread(turn.callback, None)
                await turn
        if not data and self._control.ended:
            raise ChannelLost("the control connection was lost")
        return data

    def attended(self) -> bool:
        """Whether the control connection is there."""
        return not (self._control.hung_up or self._control.ended)

    async def finish(self) -> None:
        """As the data connection."""
        await self._channel.finish()


class FTPFactory(ServerFactory):
    """
    Makes control connections.

    :param settings: of the service.
    :param rates: shared by the factories of one service; None makes them of the settings.
    """

    protocol = FTPServer
    refusal = b"421 Too many connections, try again later.\r\n"

    def __init__(
        self,
        site: Site,
        count: ConnectionCount,
        settings: Settings,
        implicit_tls: bool = False,
        name: str = "ftp",
        rates: Rates | None = None,
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.ports = passive_ports(settings.passive_ports)
        self.advertised = Advertised(settings.passive_address, settings.passive_addresses)
        self.rates = rates or Rates(settings.session_rate, settings.account_rate)

    def share(self, numbers: SharedNumbers, service: str) -> None:
        """An account's rate holds over all workers."""
        self.rates.share(numbers, service)
