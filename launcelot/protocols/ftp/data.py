"""
Data connections: one listener or one address at a time, one connection for each transfer.

A connection is taken only from, and made only to, the host of the control connection (RFC 2577 sections 3 and 4).  It stays
paused until its transfer begins, so nothing is read that nobody asked for, and TLS starts before the first octet is looked
at.  Memory is bounded both ways: reading stops while more than :data:`READ_AHEAD` octets wait to be stored, sending while the
transport's buffer is full.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN
from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IHandshakeListener, IPushProducer
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.transport import listen_tcp
from launcelot.protocols.ftp.grammar import IPV4, IPV6
from launcelot.protocols.ftp.session import ChannelLost, NoChannel

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from launcelot.hosting.site import Site

READ_AHEAD = 262_144
"""Octets received and not yet taken past which reading is paused."""

SLOWEST = 100
"""Octets in a second, over one stall limit, that an upload must bring; a peer that trickles less is cut."""

CLOSE_LIMIT = 10.0
"""Seconds a server may take to answer our closing notice at the end of an upload."""


def passive_ports(text: str) -> range:
    """
    The ports that a setting such as ``40000-40100`` means; none for an empty one.

    :raises ValueError: it is written otherwise.
    """
    if not text:
        return range(0)
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 65_535):
        raise ValueError(f"passive_ports is {text!r}; write it as 40000-40100, with ports from 1024 to 65535")
    return range(int(first), int(last) + 1)


def passive_address(text: str) -> str:
    """
    The address that a setting means; empty for none.

    :raises ValueError: it is no IPv4 address that peers could connect to.
    """
    if text and (not isIPAddress(text) or text == "0.0.0.0"):
        raise ValueError(f"passive_address is {text!r}; write the IPv4 address at which peers reach this machine")
    return text


def plain_host(host: str) -> str:
    """A host without the wrapping of IPv4 in IPv6, for comparing and telling."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host.partition("%")[0]


@implementer(IHalfCloseableProtocol, IPushProducer, IHandshakeListener)
class DataConnection(Protocol):
    """
    One data connection, from either side; see :class:`launcelot.protocols.ftp.session.Channel`.

    :param stall: seconds without progress after which it is cut.
    """

    deadline = math.inf
    looked_at = math.inf

    def __init__(self, clock: IReactorTime, deadlines: Deadlines, stall: float) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._stall = stall
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._paused = True
        self._choked = False
        self._ended = False
        self._gone = False
        self._finishing = False
        self._lost: ChannelLost | None = None
        self._waiter: Deferred[None] | None = None
        self._below: Any = None
        self._window = 0
        self._window_end = 0.0
        self.secure = False
        self.shaking_hands = False
        self._client = False
        self.on_made: Callable[[], None] | None = None

    # -- what Twisted calls --------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Wait, reading nothing, until the transfer begins."""
        if self._below is not None:
            return
        below: Any = self.transport
        self._below = below
        below.setTcpNoDelay(True)
        below.pauseProducing()
        if self._lost is not None:
            below.abortConnection()
        elif self.on_made is not None:
            self.on_made()

    def begin(self, context: Any, client: bool = False) -> None:
        """
        Let octets flow.

        :param context: for TLS from the first octet; None for none.
        """
        if self._gone:
            return
        self._client = client
        if context is not None:
            factory = TLSMemoryBIOFactory(context, client, Factory(), self._clock)
            layer = TLSMemoryBIOProtocol(factory, self, False)
            self._below.protocol = layer
            self.transport = layer
            self.secure = self.shaking_hands = True
            layer.makeConnection(self._below)
            layer.registerProducer(self, True)
        else:
            self._below.registerProducer(self, True)
        self._paused = False
        self._below.resumeProducing()

    def handshakeCompleted(self) -> None:
        """TLS is up."""
        self.shaking_hands = False
        self._wake()

    def dataReceived(self, data: bytes) -> None:
        """Keep what came until it is taken."""
        if self._lost is not None:
            return
        self._pieces.append(data)
        self._waiting += len(data)
        self._window += len(data)
        if self._waiting >= READ_AHEAD and not self._paused:
            self._paused = True
            self._transport.pauseProducing()
        self._wake()

    def readConnectionLost(self) -> None:
        """The peer has sent all it will, and may still read."""
        self._ended = True
        self._wake()

    def writeConnectionLost(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell clean ends from others: a reset, and TLS that ends without its notice, are not proof that all has come."""
        self._gone = self._ended = True
        self._deadlines.forget(self)
        if self._lost is None and not self._ended_cleanly(reason):
            self._lost = ChannelLost("the data connection was lost")
        self._wake()

    def _ended_cleanly(self, reason: Failure) -> bool:
        if self.secure:
            # The notice counts and not the way TCP ended: a reset may cross our answer to the notice.
            return bool(self._transport.getHandle().get_shutdown() & RECEIVED_SHUTDOWN)
        return reason.check(ConnectionDone) is not None

    def pauseProducing(self) -> None:
        """The send buffer is full."""
        self._choked = True

    def resumeProducing(self) -> None:
        """The send buffer has room."""
        self._choked = False
        self._wake()

    def stopProducing(self) -> None:
        """``connectionLost`` follows."""

    @property
    def made(self) -> bool:
        """Whether there is a connection, or was."""
        return self._below is not None

    # -- what transfers call -------------------------------------------------------------------------------------

    @property
    def _transport(self) -> Any:
        return self.transport

    async def handshake(self, limit: float) -> None:
        """
        Wait until TLS is up.

        :raises NoChannel: it did not come up.
        """
        until = self._clock.seconds() + limit
        while self.shaking_hands:
            if self._gone or self._lost is not None:
                raise NoChannel("TLS on the data connection could not be started.")
            await self._wait(until)

    async def send(self, data: bytes) -> None:
        """See :meth:`launcelot.protocols.ftp.session.Channel.send`."""
        if self._lost is None and not self._gone:
            self._transport.write(data)
        while self._choked and not self._gone and self._lost is None:
            await self._wait(self._clock.seconds() + self._stall)
        if self._lost is not None or self._gone:
            raise self._lost or ChannelLost("the data connection was closed by the peer")

    async def receive(self) -> bytes:
        """See :meth:`launcelot.protocols.ftp.session.Channel.receive`."""
        while not self._pieces:
            if self._lost is not None:
                raise self._lost
            if self._ended:
                return b""
            self._resume()
            await self._wait(self._slow_limit())
        pieces, self._pieces = self._pieces, []
        self._waiting = 0
        self._resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def attended(self) -> bool:
        """See :meth:`launcelot.protocols.ftp.session.Channel.attended`."""
        return self._lost is None

    async def finish(self) -> None:
        """See :meth:`launcelot.protocols.ftp.session.Channel.finish`."""
        if not self._gone and self._lost is None:
            self._finishing = True
            self._transport.unregisterProducer()
            self._choked = False
            self._transport.loseConnection()
            if not self._client:
                # Inside TLS our closing notice is written now; some clients never answer it, and nobody has to wait for
                # that.  As a client we wait: a server's session tickets may be under way, and closing before they are
                # read would reset the connection.
                self._below.loseConnection()
            self._resume()
        limit = CLOSE_LIMIT if self._client and self.secure else self._stall
        while not self._gone and self._lost is None:
            await self._wait(self._clock.seconds() + limit)
            limit = self._stall
        if self._lost is not None and not (self.secure and self._finishing and self._gone):
            raise self._lost

    def abort(self, words: str) -> None:
        """Cut the connection now; whoever waits is told ``words``."""
        if self._lost is None:
            self._lost = ChannelLost(words)
        self._pieces.clear()
        self._waiting = 0
        if not self._gone and self._below is not None:
            self._below.abortConnection()
        self._wake()

    def deadline_passed(self) -> None:
        """The peer did nothing for too long."""
        if self._finishing and self._client and self.secure:
            self._client = False
            self._below.loseConnection()
            self._wake()
        else:
            self.abort("the data connection stalled")

    def _slow_limit(self) -> float:
        now = self._clock.seconds()
        if now >= self._window_end or self._window >= SLOWEST * self._stall:
            self._window = 0
            self._window_end = now + self._stall
        return min(now + self._stall, self._window_end)

    def _resume(self) -> None:
        if self._paused and not self._gone:
            self._paused = False
            self._transport.resumeProducing()

    async def _wait(self, until: float) -> None:
        waiter = self._waiter = Deferred(self._forget)
        self._deadlines.set(self, until)
        await waiter
        self.deadline = math.inf

    def _forget(self, _: Deferred[None]) -> None:
        self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)


class PassiveFactory(Factory):
    """Takes one connection, from one host."""

    noisy = False

    def __init__(self, side: ServerDataSide) -> None:
        self._side = side

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A connection, if it is the peer's."""
        return self._side.arriving(str(getattr(addr, "host", "")))


class ActiveFactory(ClientFactory):
    """Makes one connection."""

    noisy = False

    def __init__(self, made: DataConnection, failed: Callable[[], None]) -> None:
        self._made = made
        self._failed = failed

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """The connection."""
        return self._made

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """Tell whoever waits."""
        self._failed()


class ServerDataSide:
    """
    The data connections of one control connection; see :class:`launcelot.protocols.ftp.session.DataSide`.

    :param host: our address on the control connection.
    :param peer: the peer's.
    :param address: what a 227 tells instead of ``host``; empty for ``host``.
    :param ports: passive ports; empty lets the system choose.
    :param connect: seconds for a connection, and for its TLS.
    """

    def __init__(
        self,
        site: Site,
        host: str,
        peer: str,
        address: str = "",
        ports: range = range(0),
        connect: float = 30.0,
        stall: float = 120.0,
    ) -> None:
        self._site = site
        self._host = host
        self._peer = peer
        self._address = address
        self._ports = ports
        self._connect = connect
        self._stall = stall
        self._port: Any = None
        self._closed: Deferred[None] = succeed(None)
        self._aim: tuple[str, int] | None = None
        self._connector: Any = None
        self._connection: DataConnection | None = None
        self._waiter: Deferred[None] | None = None
        self._why = ""

    # -- what commands ask ---------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a transfer may begin."""
        return self._port is not None or self._aim is not None or self._connection is not None

    @property
    def family(self) -> int:
        """The control connection's address family."""
        host = plain_host(self._host)
        return IPV6 if ":" in host else IPV4 if "." in host else 0

    def is_peer(self, host: str) -> bool:
        """Whether a host is the peer's."""
        return plain_host(host) == plain_host(self._peer)

    def aim(self, host: str, port: int) -> None:
        """Connect there for the next transfer."""
        self.drop()
        self._aim = (host, port)

    async def listen(self, extended: bool) -> tuple[str, int]:
        """Listen on a new port; the one before is closed."""
        told = self._address or plain_host(self._host)
        if self.family == 0 or (not extended and ":" in told):
            raise NoChannel("This address cannot be told here, use EPSV.")
        self.drop()
        # Its port is free a turn later; without waiting, thousands of PASV in one segment hold a port each.
        await self._closed
        self._port = self._listen()
        return told, int(self._port.getHost().port)

    def _listen(self) -> Any:
        start = self._site.random_bits(16) % len(self._ports) if self._ports else 0
        for step in range(len(self._ports) or 1):
            number = self._ports[(start + step) % len(self._ports)] if self._ports else 0
            try:
                return self._listen_on(number)
            except CannotListenError:
                continue
        self._site.counters.add("ftp.data.no_port")
        raise NoChannel("No port is free, try again later.")

    def _listen_on(self, number: int) -> Any:
        reactor = self._site.reactor
        own = getattr(reactor, "listen_stream", None)
        if own is not None:
            return own(number, PassiveFactory(self), self._host)
        return listen_tcp(reactor, number, PassiveFactory(self), self._host, 5)

    def drop(self) -> None:
        """Close listener and connection, and forget the address."""
        self.abort("the transfer was aborted")

    def abort(self, words: str) -> None:
        """Cut the connection, or stop waiting for one; whoever waits is told ``words``."""
        self._aim = None
        self._unlisten()
        connector, self._connector = self._connector, None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort(words)
            if connector is not None and not connection.made:
                connector.stopConnecting()
        self._refuse(words)

    # -- connections ---------------------------------------------------------------------------------------------

    def arriving(self, host: str) -> DataConnection | None:
        """Somebody connects to the listener; None turns them away."""
        if not self.is_peer(host) or self._port is None:
            self._site.counters.add("ftp.data.stranger")
            return None
        self._unlisten()
        return self._make()

    async def open(self, context: Any) -> DataConnection:
        """
        The data connection for a transfer, inside TLS if a context is given.

        :raises NoChannel: none came, none could be made, or TLS could not be started.
        """
        self._why = ""
        if self._aim is not None:
            (host, port), self._aim = self._aim, None
            factory = ActiveFactory(self._make(), self._failed)
            source = (self._host, 0)
            self._connector = self._site.reactor.connectTCP(host, port, factory, self._connect, source)
        connection = await self._arrived()
        connection.begin(context)
        await connection.handshake(self._connect)
        return connection

    def done(self) -> None:
        """The transfer is over: what is left of its connection is cut."""
        connection, self._connection = self._connection, None
        self._connector = None
        if connection is not None:
            connection.abort("the transfer is over")

    async def _arrived(self) -> DataConnection:
        if self._connection is None or not self._connection.made:
            late = self._site.clock.callLater(self._connect, self.abort, "The data connection was not opened in time.")
            waiter = self._waiter = Deferred()
            try:
                await waiter
            finally:
                if late.active():
                    late.cancel()
        if self._connection is None:
            raise NoChannel(self._why)
        return self._connection

    def _make(self) -> DataConnection:
        connection = DataConnection(self._site.clock, self._site.deadlines, self._stall)
        connection.on_made = self._wake
        self._connection = connection
        return connection

    def _failed(self) -> None:
        self._connector = None
        self._connection = None
        self._refuse("The data connection was refused.")

    def _refuse(self, why: str) -> None:
        self._why = why
        self._wake()

    def _unlisten(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            self._closed = maybeDeferred(port.stopListening)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)
