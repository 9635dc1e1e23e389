"""
Clients whose connection is one conversation, which ends exactly once: in what was heard, or in why nothing was.

A protocol writes :meth:`Conversation.converse`; :func:`call` connects, lets it talk, and gives the result.
"""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.wire import PeerGone, WireEnd
from launcelot.hosting.calling import CallError, Confused, Reset, connect, why
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.stream import Stream

TIMEOUT = 30.0
"""Seconds a client waits for the peer's next octets, by default."""

C = TypeVar("C", bound="Conversation")


class Conversation(Stream):
    """
    One conversation; :meth:`converse` is written by each client.

    :ivar result: what was heard, or an error of :mod:`launcelot.hosting.calling`, or what the caller's iterable raised;
        cancelling it drops the connection.
    """

    def __init__(self, clock: IReactorTime, deadlines: Deadlines, timeout: float = TIMEOUT) -> None:
        super().__init__(clock, deadlines)
        self.limit_idle(timeout)
        self.result: Deferred[bytes] = Deferred(self._cancelled)
        self._lost_because: Failure | None = None
        self._talking: Deferred[bytes] | None = None

    async def converse(self) -> bytes:
        """Talk; what was heard."""
        raise NotImplementedError

    def connectionMade(self) -> None:
        """Begin to talk."""
        super().connectionMade()
        self._talking = Deferred.fromCoroutine(self.converse())
        self._talking.addBoth(self._over)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever still waits is told why."""
        self._lost_because = reason
        super().connectionLost(reason)
        if self._talking is not None:
            self._talking.cancel()

    @property
    def broken(self) -> bool:
        """Whether the connection is gone, and not because the peer closed it."""
        return self._lost_because is not None and not self._lost_because.check(ConnectionDone)

    def end_writing(self) -> None:
        """Close our side of the connection behind what was written."""
        self.flush()
        self.wire_transport.unregisterProducer()
        self.wire_transport.loseWriteConnection()

    async def until_closed(self) -> bytes:
        """
        Wait until the peer, who has nothing to say, closes its side.

        :raises Confused: it says something.
        :raises Reset: the connection was lost otherwise.
        """
        try:
            await self.chunk()
        except PeerGone:
            if self.broken:
                raise Reset("the connection was reset") from None
            return b""
        raise Confused("the peer said what nobody asked for")

    def _over(self, result: bytes | Failure) -> None:
        if isinstance(result, Failure):
            ended = result.check(WireEnd, CallError, CancelledError)
            error = why(result, self._lost_because, self.received > 0) if ended else result
            self.abort()
            if not self.result.called:
                self.result.errback(error)
        else:
            self.close()
            self.result.callback(result)

    def _cancelled(self, result: Deferred[bytes]) -> None:
        self.abort()


class ConversationFactory(Factory):
    """
    Makes clients of one kind.

    :param arguments: handed to each client behind the clock, the deadlines and the timeout.
    """

    noisy = False

    def __init__(self, kind: type[Conversation], clock: IReactorTime, timeout: float = TIMEOUT, *arguments: Any) -> None:
        self._kind = kind
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._timeout = timeout
        self._arguments = arguments

    def buildProtocol(self, addr: IAddress | None) -> Conversation:
        """A client for one connection."""
        return self._kind(self._clock, self._deadlines, self._timeout, *self._arguments)


async def call(endpoint: IStreamClientEndpoint, factory: ConversationFactory) -> bytes:
    """
    Connect and talk; what was heard.

    :raises CallError: there is no connection, or the conversation failed.
    """
    client: Conversation = await connect(endpoint, factory)
    return await client.result
