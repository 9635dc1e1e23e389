"""
A stream in capitals.  *Foundations of Python Network Programming*, chapter 3, ``tcp_deadlock``.

Whatever is said comes back in capitals (ASCII), while it is still being said.  The book's server stalls for ever with a client
that writes all before it reads, because both sides wait until the other reads.  Here:

- The server does not read on while its peer leaves the send buffer full, so it never holds more than some 200 KiB for one peer,
  and a peer that never reads is dropped after :data:`launcelot.hosting.stream.STALL_LIMIT`.  Others are not affected.
- The client reads while it writes, whatever the server does, so two of ours never wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.hosting.calling import CallError, Confused, TimedOut, Truncated, connect, why
from launcelot.hosting.conversation import TIMEOUT
from launcelot.protocols.book.serving import BookServer


class UpperServer(BookServer):
    """Says in capitals what it hears."""

    async def serve(self) -> None:
        """Until the peer has closed its side and has everything."""
        self.limit_idle(self.factory.settings.idle_timeout)
        while True:
            self.write((await self.chunk()).upper())
            await self.drain()


@implementer(IHalfCloseableProtocol, IPushProducer)
class UpperClient(Protocol):
    """
    Sends pieces and takes what comes back, both at once.

    :param pieces: asked for the next one whenever the send buffer has room.
    :param take: told every piece of the answer.
    :ivar result: octets heard, once there are as many as were said; or an error of :mod:`launcelot.hosting.calling`.
    """

    def __init__(
        self, clock: IReactorTime, pieces: Iterable[bytes], take: Callable[[bytes], None], timeout: float = TIMEOUT
    ) -> None:
        self._clock = clock
        self._pieces: Iterator[bytes] = iter(pieces)
        self._take = take
        self._timeout = timeout
        self._paused = False
        self._sending = False
        self._all_said = False
        self._said = 0
        self._heard = 0
        self.result: Deferred[int] = Deferred(self._cancelled)

    def connectionMade(self) -> None:
        """Begin to send."""
        self._timer = self._clock.callLater(self._timeout, self._too_late)
        transport = self._wire()
        transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """Send while there is room."""
        self._paused = False
        if self._sending or self._all_said:
            return
        self._sending = True
        try:
            while not self._paused:
                piece = next(self._pieces, None)
                if piece is None:
                    self._end_writing()
                    break
                self._said += len(piece)
                self._wire().write(piece)
        finally:
            self._sending = False

    def pauseProducing(self) -> None:
        """The send buffer is full."""
        self._paused = True

    def stopProducing(self) -> None:
        """The transport is gone; ``connectionLost`` follows."""

    def dataReceived(self, data: bytes) -> None:
        """Hand it on."""
        if not self._timer.active():
            return
        self._timer.reset(self._timeout)
        self._heard += len(data)
        self._take(data)
        if self._heard > self._said:
            self._end(Confused("the peer said more than it had heard"))

    def readConnectionLost(self) -> None:
        """The server has said everything."""
        whole = self._all_said and self._heard == self._said
        self._end(None if whole else Truncated("the answer broke off"))

    def writeConnectionLost(self) -> None:
        """Everything has been said."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The same, or worse."""
        if self._all_said and self._heard == self._said and reason.check(ConnectionDone):
            self._end(None)
        else:
            self._end(why(None, reason, self._heard > 0))

    def _wire(self) -> Any:
        return self.transport

    def _end_writing(self) -> None:
        self._all_said = True
        transport = self._wire()
        transport.unregisterProducer()
        transport.loseWriteConnection()

    def _too_late(self) -> None:
        self._end(TimedOut("no answer in time"))

    def _cancelled(self, result: Deferred[int]) -> None:
        self._wire().abortConnection()

    def _end(self, error: CallError | None) -> None:
        if self._timer.active():
            self._timer.cancel()
        if error is not None:
            self._wire().abortConnection()
        else:
            self._wire().loseConnection()
        if self.result.called:
            return
        if error is not None:
            self.result.errback(error)
        else:
            self.result.callback(self._heard)


class UpperClientFactory(Factory):
    """
    Makes one client.

    :param take: told every piece of the answer; it must not keep more than it can.
    :param timeout: seconds without an octet from the server.
    """

    noisy = False

    def __init__(
        self, clock: IReactorTime, pieces: Iterable[bytes], take: Callable[[bytes], None], timeout: float = TIMEOUT
    ) -> None:
        self._client = UpperClient(clock, pieces, take, timeout)

    def buildProtocol(self, addr: IAddress | None) -> UpperClient:
        """The client."""
        return self._client


async def upper(endpoint: IStreamClientEndpoint, factory: UpperClientFactory) -> int:
    """
    Connect, send everything, take everything; how many octets that were.

    :raises CallError: there is no connection, or not everything came back.
    """
    client: UpperClient = await connect(endpoint, factory)
    return await client.result
