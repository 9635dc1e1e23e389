"""
A data connection, from either side.

It stays paused until its transfer begins, so nothing is read that nobody asked for, and TLS starts before the first octet is
looked at.  Memory is bounded both ways: reading stops while more than :data:`READ_AHEAD` octets wait to be stored, sending while
the transport's buffer is full.  On a plain connection files are sent by ``sendfile``.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IHandshakeListener, IPushProducer
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.core.limits import Bucket
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.sendfile import FileSender, takes_files
from launcelot.hosting.tls import was_resumed
from launcelot.hosting.transport import EagerServer, acknowledge, unsent
from launcelot.protocols.ftp.layer import FileLayer
from launcelot.protocols.ftp.session import ChannelLost, NoChannel

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

READ_AHEAD = 262_144
"""Octets received and not yet taken past which reading is paused."""

SLOWEST = 100
"""Octets in a second, over one stall limit, that a peer must send or take; one that trickles less is cut."""

CLOSE_LIMIT = 10.0
"""Seconds a server may take to answer our closing notice at the end of an upload."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Whose octets in a second a data connection has to keep to, each way."""

    sending: tuple[Bucket, ...] = ()
    receiving: tuple[Bucket, ...] = ()

    @property
    def piece(self) -> int:
        """Octets that may be sent without a look at the clock."""
        return min((bucket.rate // 4 + 1 for bucket in self.sending), default=sys.maxsize)


UNPACED = Pace()

NO_NOTICE = "TLS ended without its closing notice"
"""What an upload is refused with that somebody may have cut short; a client that never sends it (ftp-ssl) is told why."""


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
        self._pieces: deque[bytes] = deque()
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
        self._sender: FileSender | None = None
        self._untaken = math.inf
        self.secure = False
        self.shaking_hands = False
        self._client = False
        self._only_receives = False
        self._layer: Any = None
        self.on_made: Callable[[], None] | None = None
        self.pace = UNPACED

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

    def begin(self, context: Any, client: bool = False, only_receives: bool = False) -> None:
        """
        Let octets flow.

        :param context: for TLS from the first octet; None for none.
        :param only_receives: a server's; see :class:`FileLayer`.
        """
        if self._gone:
            return
        self._client = client
        self._only_receives = only_receives
        if context is not None:
            factory = TLSMemoryBIOFactory(context, client, Factory(), self._clock)
            layer: Any = FileLayer(factory, self, False)  # type: ignore[no-untyped-call]
            self._layer = layer
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
        if self._layer is not None and self._only_receives:
            # In older versions tickets are part of the handshake.
            self._layer.silent = self._layer.getHandle().get_protocol_version_name() == "TLSv1.3"
        self._acknowledge()
        self._wake()

    @property
    def resumed(self) -> bool:
        """Whether TLS, which is up, resumed a session."""
        return was_resumed(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Keep what came until it is taken."""
        if self._lost is not None:
            return
        self._pieces.append(data)
        self._waiting += len(data)
        self._window += len(data)
        if self.secure:
            self._acknowledge()
        self._wake()
        if self._waiting >= READ_AHEAD and not self._paused:
            self._paused = True
            self._transport.pauseProducing()

    def _acknowledge(self) -> None:
        """
        Let the peer's system know what has come, as we say nothing that would tell it.

        Most clients leave Nagle's algorithm on: what they send behind the handshake, and the notice behind a file, wait for that.
        """
        acknowledge(self._below)

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
            told = self.secure and not self.shaking_hands
            self._lost = ChannelLost(NO_NOTICE if told else "the data connection was lost")
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
            await self._wait_to_send()
        await self._slow_down(self.pace.sending, len(data))
        if self._lost is not None or self._gone:
            raise self._lost or ChannelLost("the data connection was closed by the peer")

    async def _slow_down(self, buckets: tuple[Bucket, ...], octets: int) -> None:
        """Wait while these octets are more than may move."""
        if not buckets:
            return
        now = self._clock.seconds()
        wait = max(bucket.take(octets, now) for bucket in buckets)
        if wait <= 0:
            return
        over: list[None] = []

        def end() -> None:
            over.append(None)
            self._wake()

        call = self._clock.callLater(wait, end)
        try:
            while not over and not self._gone and self._lost is None:
                await self._wait(math.inf)
        finally:
            if call.active():
                call.cancel()

    @property
    def piece(self) -> int:
        """See :meth:`launcelot.protocols.ftp.session.Channel.piece`."""
        return self.pace.piece

    @property
    def takes_files(self) -> bool:
        """See :meth:`launcelot.protocols.ftp.session.Channel.takes_files`."""
        return not self.secure and takes_files(self._below)

    async def send_file(self, descriptor: int, offset: int, length: int, moved: Callable[[int], None]) -> None:
        """See :meth:`launcelot.protocols.ftp.session.Channel.send_file`."""
        while self._choked and not self._gone and self._lost is None:
            await self._wait_to_send()
        if self._lost is not None or self._gone:
            raise self._lost or ChannelLost("the data connection was closed by the peer")
        failures: list[OSError | None] = []

        def over(error: OSError | None) -> None:
            failures.append(error)
            self._wake()

        self._below.unregisterProducer()
        sender = self._sender = FileSender(self._below, descriptor, offset, length, over, moved)
        try:
            sender.start()
            while not failures and not self._gone and self._lost is None:
                await self._wait_to_send()
        finally:
            sender.stop()
            self._sender = None
        if self._lost is not None or self._gone:
            raise self._lost or ChannelLost("the data connection was closed by the peer")
        if failures[0] is not None:
            reset = isinstance(failures[0], ConnectionError)
            words = "the data connection was lost" if reset else "the file could not be sent"
            self.abort(words)
            raise ChannelLost(words) from failures[0]
        self._below.registerProducer(self, True)
        await self._slow_down(self.pace.sending, length)

    async def receive(self) -> bytes:
        """See :meth:`launcelot.protocols.ftp.session.Channel.receive`."""
        while not self._pieces:
            if self._lost is not None:
                raise self._lost
            if self._ended:
                return b""
            self._resume()
            await self._wait(self._slow_limit())
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self.pace.receiving:
            await self._slow_down(self.pace.receiving, len(piece))
            if self._lost is not None:
                raise self._lost
        if self._waiting <= READ_AHEAD // 2:
            self._resume()
        return piece

    def attended(self) -> bool:
        """See :meth:`launcelot.protocols.ftp.session.Channel.attended`."""
        return self._lost is None

    async def finish(self) -> None:
        """See :meth:`launcelot.protocols.ftp.session.Channel.finish`."""
        if not self._gone and self._lost is None:
            self._finishing = True
            if self._layer is not None:
                self._layer.silent = False
            self._transport.unregisterProducer()
            self._choked = False
            if not self.secure and isinstance(self._below, EagerServer) and self._below.close_at_once():
                return
            self._transport.loseConnection()
            if not self._client:
                # Inside TLS our closing notice is written now; some clients never answer it, and nobody has to wait for
                # that.  As a client we wait: a server's session tickets may be under way, and closing before they are
                # read would reset the connection.
                self._below.loseConnection()
            self._resume()
        if self._client and self.secure:
            await self._wait_for_notice()
        while not self._gone and self._lost is None:
            await self._wait_to_send()
        if self._lost is not None and not (self.secure and self._finishing and self._gone):
            raise self._lost

    def dismiss(self) -> None:
        """Close in order without having moved anything; nobody waits for it."""
        self._lost = ChannelLost("dismissed")
        if not self._gone:
            self._transport.unregisterProducer()
            if self._layer is not None:
                self._layer.silent = False
            self._transport.loseConnection()
            self._below.loseConnection()
            self._deadlines.set(self, self._clock.seconds() + CLOSE_LIMIT)

    async def _wait_for_notice(self) -> None:
        if not self._gone and self._lost is None:
            await self._wait(self._clock.seconds() + CLOSE_LIMIT)

    def abort(self, words: str) -> None:
        """Cut the connection now; whoever waits is told ``words``."""
        if self._lost is None:
            self._lost = ChannelLost(words)
        if self._sender is not None:
            self._sender.stop()
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
        elif not self._still_taken():
            self.abort("the data connection stalled")

    async def _wait_to_send(self) -> None:
        self._untaken = self._outstanding()
        await self._wait(self._clock.seconds() + self._stall)
        self._untaken = math.inf

    def _outstanding(self) -> int:
        """Octets that are handed over and that the peer's machine has not got."""
        return (self._sender.left if self._sender is not None else 0) + unsent(self._below)

    def _still_taken(self) -> bool:
        """Whether a slow peer has taken enough since it was last looked at; then it is looked at again."""
        if self._untaken == math.inf:
            return False
        before, self._untaken = self._untaken, self._outstanding()
        if before - self._untaken < SLOWEST * self._stall:
            return False
        self._deadlines.set(self, self._clock.seconds() + self._stall)
        return True

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
    """Takes one connection, from one host, where ``side.arriving`` says so."""

    noisy = False

    def __init__(self, side: Any) -> None:
        self._side = side

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A connection, if it is the peer's."""
        made: Protocol | None = self._side.arriving(str(getattr(addr, "host", "")))
        return made


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
