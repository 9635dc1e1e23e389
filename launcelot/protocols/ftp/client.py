"""
The client side of FTP: one control connection, its requests in order, and a data connection for each transfer.

Every method returns a Deferred that fires exactly once, whatever becomes of the connection: with its result, or with an
:class:`FTPError`.  Requests made at once wait for each other.  Cancelling one that has begun drops the connection, because
nobody could tell which reply belongs to what.

Data connections are passive and go to the host of the control connection; an address in a 227 is not believed.  Passwords
are sent only inside TLS unless the caller says otherwise, and TLS verifies the server's name by the context that is handed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.wire import DeadlinePassed, LineError, WireEnd
from launcelot.filestore.paths import encode
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.protocols.ftp import grammar
from launcelot.protocols.ftp.data import ActiveFactory, DataConnection
from launcelot.protocols.ftp.grammar import Malformed, Reply
from launcelot.protocols.ftp.listing import Listed, parse_facts_line
from launcelot.protocols.ftp.session import ChannelLost, NoChannel

T = TypeVar("T")

LISTED = 1_000_000
"""Entries of one listing the client keeps."""


class FTPError(Exception):
    """A request that did not succeed."""


class Refused(FTPError):
    """
    The server said no.

    :ivar reply: what it said.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply

    @property
    def temporary(self) -> bool:
        """Whether trying again later may help."""
        return self.reply.code < 500


class ConnectionEnded(FTPError):
    """The control connection was lost before the answer came."""


class TimedOut(FTPError):
    """The server did not answer in time; the connection is dropped."""


class BadReply(FTPError):
    """The server said something that is no FTP; the connection is dropped."""


class Injected(BadReply):
    """Something came in clear behind the answer to AUTH TLS; nothing is believed and the connection is dropped."""


class BadName(FTPError):
    """A name cannot be said in FTP, because it holds a line end or NUL; nothing was sent."""


class DataFailed(FTPError):
    """The data connection could not be made."""


class Truncated(FTPError):
    """The data connection ended before all was transferred; a file that was uploaded may not be there."""


class NotSecure(FTPError):
    """The password was not sent, because the connection is in clear."""


class Sink(Protocol):
    """Where a download goes."""

    async def write(self, data: bytes) -> None:
        """Take octets in order; the server is held up while this waits."""


class FTPClient(Stream):
    """
    One session with a server; made by :class:`FTPClientFactory`.

    :ivar greeting: the server's first reply, once a request has been answered.
    """

    greeting: Reply | None = None

    def __init__(self, factory: FTPClientFactory) -> None:
        super().__init__(factory.clock, factory.deadlines)
        self._factory = factory
        self._lock = DeferredLock()
        self._context: Any = None
        self._binary = False
        self._hashes = False
        self._extended = True
        self._channel: DataConnection | None = None
        self._dropped = False

    # -- what Twisted calls --------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Start TLS at once where the factory says so."""
        super().connectionMade()
        self.limit_idle(self._factory.timeout)
        if self._factory.implicit_tls is not None:
            self._context = self._factory.implicit_tls
            self.start_tls(self._context, client=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever waits, for a reply or for data."""
        super().connectionLost(reason)
        if self._channel is not None:
            self._channel.abort("the control connection was lost")

    # -- who -----------------------------------------------------------------------------------------------------

    def secure_with(self, context: Any) -> Deferred[None]:
        """
        Start TLS on the control connection and for all data connections.  RFC 4217.

        :param context: from ``optionsForClientTLS(hostname, trustRoot=...)``.
        :raises Injected: the server's answer had something behind it.
        """
        return self._request(lambda: self._secure(context))

    async def _secure(self, context: Any) -> None:
        await self._expect("AUTH", b"TLS")
        if self.pending:
            raise Injected("something came behind the answer to AUTH TLS")
        self.start_tls(context, client=True)
        self._context = context
        await self._protect()

    async def _protect(self) -> None:
        await self._expect("PBSZ", b"0")
        await self._expect("PROT", b"P")

    def login(self, name: str, password: str, clear: bool = False) -> Deferred[None]:
        """
        Log in.

        :param clear: send the password although the connection is not in TLS.
        :raises NotSecure: it is not, and ``clear`` is not said.
        """
        return self._request(lambda: self._login(name, password, clear))

    async def _login(self, name: str, password: str, clear: bool) -> None:
        if not self.secure and not clear:
            raise NotSecure("the connection is not in TLS")
        reply = await self._command("USER", encode(name))
        if reply.code == 331:
            reply = await self._command("PASS", encode(password))
        self._want(reply, 2)
        if self._factory.implicit_tls is not None:
            await self._protect()

    def quit(self) -> Deferred[None]:
        """End the session and close."""
        return self._request(self._quit)

    async def _quit(self) -> None:
        await self._expect("QUIT")
        self.close()

    # -- names ---------------------------------------------------------------------------------------------------

    def change_folder(self, path: str) -> Deferred[None]:
        """Make a folder the working folder."""
        return self._simple("CWD", path)

    def working_folder(self) -> Deferred[str]:
        """The working folder."""

        async def ask() -> str:
            return grammar.parse_quoted((await self._expect("PWD")).lines[-1])

        return self._request(ask)

    def make_folder(self, path: str) -> Deferred[None]:
        """Make a folder."""
        return self._simple("MKD", path)

    def remove_folder(self, path: str) -> Deferred[None]:
        """Remove an empty folder."""
        return self._simple("RMD", path)

    def remove(self, path: str) -> Deferred[None]:
        """Remove a file."""
        return self._simple("DELE", path)

    def rename(self, path: str, to: str) -> Deferred[None]:
        """Rename a file or folder."""

        async def both() -> None:
            self._want(await self._command("RNFR", encode(path)), 3)
            await self._expect("RNTO", encode(to))

        return self._request(both)

    def size(self, path: str) -> Deferred[int]:
        """A file's size in octets."""

        async def ask() -> int:
            await self._set_binary()
            return grammar.number((await self._expect("SIZE", encode(path))).lines[-1])

        return self._request(ask)

    def modified(self, path: str) -> Deferred[float]:
        """When a file was last changed, in seconds since 1970."""

        async def ask() -> float:
            return grammar.parse_time((await self._expect("MDTM", encode(path))).lines[-1])

        return self._request(ask)

    def set_modified(self, path: str, seconds: float) -> Deferred[None]:
        """Set when a file was last changed, by MFMT."""
        return self._simple("MFMT", f"{grammar.write_time(seconds)} {path}")

    def digest(self, path: str) -> Deferred[str]:
        """A file's SHA-256 as the server has it, by HASH; 64 hexadecimal digits in small letters."""

        async def ask() -> str:
            await self._set_binary()
            if not self._hashes:
                await self._expect("OPTS", b"HASH SHA-256")
                self._hashes = True
            return grammar.parse_digest((await self._expect("HASH", encode(path))).lines[-1])

        return self._request(ask)

    def kept(self, path: str) -> Deferred[int]:
        """Octets that a cut upload left on the server, by SITE KEPT; 0 for none."""

        async def ask() -> int:
            return grammar.number((await self._expect("SITE", b"KEPT " + encode(path))).lines[-1])

        return self._request(ask)

    def features(self) -> Deferred[tuple[str, ...]]:
        """What the server offers beyond RFC 959, in capitals."""

        async def ask() -> tuple[str, ...]:
            reply = await self._expect("FEAT")
            return tuple(line.decode("latin-1").strip().upper() for line in reply.lines[1:-1])

        return self._request(ask)

    def _simple(self, verb: str, path: str) -> Deferred[None]:
        async def ask() -> None:
            await self._expect(verb, encode(path))

        return self._request(ask)

    # -- transfers -----------------------------------------------------------------------------------------------

    def listing(self, path: str = "") -> Deferred[list[Listed]]:
        """What a folder holds, by MLSD; the folder itself and its parent are left out."""

        async def ask() -> list[Listed]:
            lines = _Lines()
            await self._receive("MLSD", path, lines, 0)
            entries = map(parse_facts_line, lines.whole())
            return [entry for entry in entries if entry.kind not in ("cdir", "pdir")]

        return self._request(ask)

    def download(self, path: str, sink: Sink, offset: int = 0) -> Deferred[int]:
        """
        Receive a file.

        :param offset: begin there; the sink must have what comes before.
        :returns: octets received.
        :raises Truncated: not all came; what came is in the sink, so it can be continued.
        """
        return self._request(lambda: self._receive("RETR", path, sink, offset))

    def upload(self, path: str, source: AsyncIterable[bytes], offset: int = 0, append: bool = False) -> Deferred[int]:
        """
        Send a file; when the Deferred fires the server has said that it has all of it.

        :param offset: the source begins there; the server has what comes before.
        :param append: add to the file.
        :returns: octets sent.
        :raises Truncated: the server may have kept some; nothing is published by a careful server.
        """
        return self._request(lambda: self._send("APPE" if append else "STOR", path, source, offset))

    async def _receive(self, verb: str, path: str, sink: Sink, offset: int) -> int:
        channel = await self._begin(verb, path, offset)
        received = 0

        async def move() -> None:
            nonlocal received
            while data := await channel.receive():
                received += len(data)
                await sink.write(data)
            await self._close(channel)

        await self._move(channel, move)
        return received

    async def _close(self, channel: DataConnection) -> None:
        try:
            await channel.finish()
        except ChannelLost:
            # All has come; how the server closes its side tells nothing more.
            return

    async def _send(self, verb: str, path: str, source: AsyncIterable[bytes], offset: int) -> int:
        channel = await self._begin(verb, path, offset)
        sent = 0

        async def move() -> None:
            nonlocal sent
            async for data in source:
                await channel.send(data)
                sent += len(data)
            await channel.finish()

        await self._move(channel, move)
        return sent

    async def _begin(self, verb: str, path: str, offset: int) -> DataConnection:
        await self._set_binary()
        channel = self._channel = await self._connect(await self._ask_port())
        try:
            if offset:
                self._want(await self._command("REST", str(offset).encode("ascii")), 3)
            self._want(await self._command(verb, encode(path)), 1)
            channel.begin(self._context, client=True)
            await channel.handshake(self._factory.timeout)
        except NoChannel as error:
            channel.abort("TLS could not be started")
            self._want(await self._reply(), 2)
            raise DataFailed(str(error)) from error
        except BaseException:
            channel.abort("the transfer did not begin")
            raise
        return channel

    async def _move(self, channel: DataConnection, move: Callable[[], Coroutine[Any, Any, None]]) -> None:
        lost: ChannelLost | None = None
        try:
            await move()
        except ChannelLost as error:
            lost = error
        except CancelledError:
            channel.abort("cancelled")
            raise
        except BaseException:
            # Source or sink failed: a reset tells the server that this is not the end.
            channel.abort("given up")
            await self._reply()
            raise
        finally:
            self._channel = None
        reply = await self._reply()
        self._want(reply, 2)
        if lost is not None:
            raise Truncated(str(lost)) from lost

    async def _ask_port(self) -> int:
        if self._extended:
            reply = await self._command("EPSV")
            if reply.code == 229:
                return grammar.parse_extended_passive(reply.lines[-1])
            if reply.code < 500:
                raise Refused(reply)
            self._extended = False
        return grammar.parse_passive((await self._expect("PASV")).lines[-1])[1]

    async def _connect(self, port: int) -> DataConnection:
        channel = DataConnection(self.clock, self._deadlines, self._factory.stall)
        made: Deferred[bool] = Deferred()
        channel.on_made = lambda: made.callback(True)
        factory = ActiveFactory(channel, lambda: made.callback(False))
        host = str(getattr(self.peer, "host", ""))
        self._factory.reactor.connectTCP(host, port, factory, self._factory.timeout)
        if not await made:
            raise DataFailed("the data connection could not be made")
        return channel

    async def _set_binary(self) -> None:
        if not self._binary:
            await self._expect("TYPE", b"I")
            self._binary = True

    # -- commands and replies ------------------------------------------------------------------------------------

    def _request(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        return self._lock.run(lambda: Deferred.fromCoroutine(self._guarded(work)))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._dropped:
            raise ConnectionEnded("the connection was dropped")
        try:
            if self.greeting is None:
                self.greeting = await self._reply()
                self._want(self.greeting, 2)
            return await work()
        except DeadlinePassed as error:
            self._drop()
            raise TimedOut("the server did not answer in time") from error
        except WireEnd as error:
            raise ConnectionEnded(str(error)) from error
        except (Malformed, LineError) as error:
            self._drop()
            raise BadReply(str(error)) from error
        except PlaintextBehindTLS as error:
            self._drop()
            raise Injected("something came behind the answer to AUTH TLS") from error
        except (BadReply, CancelledError):
            self._drop()
            raise

    def _drop(self) -> None:
        self._dropped = True
        self.abort()

    async def _expect(self, verb: str, argument: bytes = b"") -> Reply:
        reply = await self._command(verb, argument)
        self._want(reply, 2)
        return reply

    async def _command(self, verb: str, argument: bytes = b"") -> Reply:
        try:
            line = grammar.write_request(verb, argument)
        except Malformed as error:
            raise BadName(error.text) from error
        if self.pending:
            reply = await self._reply()
            raise Refused(reply) if reply.code == 421 else BadReply("the server spoke before it was asked")
        self.write(line)
        return await self._reply()

    async def _reply(self) -> Reply:
        code, more, text = grammar.parse_reply_line(await self.line(grammar.REPLY_LINE_LIMIT))
        lines = [text]
        last = b"%d " % code
        while more:
            line = await self.line(grammar.REPLY_LINE_LIMIT)
            more = not line.startswith(last)
            lines.append(line if more else line[4:])
            if len(lines) > grammar.REPLY_LINES:
                raise Malformed("the reply is too long")
        return Reply(code, tuple(lines))

    def _want(self, reply: Reply, first_digit: int) -> None:
        if reply.code // 100 != first_digit:
            raise Refused(reply)


class _Lines:
    """Collects a listing."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._rest = b""

    async def write(self, data: bytes) -> None:
        """Take octets."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += lines
        if len(self._rest) > grammar.REPLY_LINE_LIMIT or len(self._lines) > LISTED:
            raise Malformed("the listing is too long")

    def whole(self) -> list[bytes]:
        """The lines without their ends."""
        lines = [*self._lines, self._rest] if self._rest else self._lines
        return [line.removesuffix(b"\r") for line in lines if line.strip()]


class FTPClientFactory(ClientFactory):
    """
    Makes clients; hand it to an endpoint's ``connect``.

    :param reactor: makes the data connections.
    :param clock: of the deadlines; the reactor itself outside of tests.
    :param implicit_tls: a context for TLS from the first octet; see :meth:`FTPClient.secure_with`.
    :param timeout: seconds for each reply and for connecting.
    :param stall: seconds without progress on a data connection.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        deadlines: Deadlines,
        implicit_tls: Any = None,
        timeout: float = 60.0,
        stall: float = 120.0,
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.deadlines = deadlines
        self.implicit_tls = implicit_tls
        self.timeout = timeout
        self.stall = stall

    def buildProtocol(self, addr: IAddress | None) -> FTPClient:
        """A client."""
        return FTPClient(self)
