"""
Asking over HTTP: one request with a message as its body, one bounded answer.

The client is :mod:`twisted.web.client`; a request makes its own connection, because filters are asked seldom and are near.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from launcelot.filters.asking import Place, endpoint_of
from launcelot.filters.failing import FilterFailed
from launcelot.workers.staging import Buffer

PIECE = 65_536
LONGEST = 4 << 20
"""Octets of an answer."""


_FAILURES = (
    ConnectError, ConnectionLost, DNSLookupError, RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed,
)  # fmt: skip


@implementer(IBodyProducer)
class Pieces:
    """
    A message in pieces, as the connection takes them.

    :param start: octets in front of the buffer's.
    :param place: where the rest begins in ``buffer``.
    """

    def __init__(self, clock: IReactorTime, start: bytes, buffer: Buffer, place: int) -> None:
        self.length = len(start) + len(buffer) - place
        self._clock = clock
        self._start = start
        self._buffer = buffer
        self._place = place
        self._call: IDelayedCall | None = None
        self._consumer: Any = None
        self._done: Deferred[None] = Deferred()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Begin; fires when all has been written."""
        self._consumer = consumer
        consumer.write(self._start)
        self.resumeProducing()
        return self._done

    def _produce(self) -> None:
        self._call = None
        if self._place >= len(self._buffer):
            self._done.callback(None)
            return
        piece = self._buffer[self._place : self._place + PIECE]
        self._place += len(piece)
        self.resumeProducing()
        self._consumer.write(piece)

    def resumeProducing(self) -> None:
        """Go on, with the next turn of the reactor."""
        if self._call is None:
            self._call = self._clock.callLater(0, self._produce)

    def pauseProducing(self) -> None:
        """Wait."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def stopProducing(self) -> None:
        """Nobody wants more."""
        self.pauseProducing()


class Collected(Protocol):
    """
    The body of an answer.

    :ivar whole: fires with it, or fails with :class:`FilterFailed`.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.whole: Deferred[bytes] = Deferred(self._dropped)

    def dataReceived(self, data: bytes) -> None:
        """Keep it, within reason."""
        self._size += len(data)
        self._pieces.append(data)
        if self._size > LONGEST:
            self._dropped()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        if self.whole.called:
            return
        if self._size <= LONGEST and reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(
                FilterFailed("its answer is too long" if self._size > LONGEST else "its answer broke off")
            )

    def _dropped(self, _: object = None) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


@implementer(IAgentEndpointFactory)
class To:
    """Wherever an address says, to one place."""

    def __init__(self, reactor: Any, place: Place, timeout: float) -> None:
        self._reactor = reactor
        self._place = place
        self._timeout = timeout

    def endpointForURI(self, uri: URI) -> Any:
        """The place's."""
        return endpoint_of(self._reactor, self._place, self._timeout)


class HttpFilter:
    """
    Asks one place.

    :param timeout: seconds for connecting.
    """

    def __init__(self, reactor: Any, place: Place, timeout: float) -> None:
        self._reactor = reactor
        pool = HTTPConnectionPool(reactor, persistent=False)
        self._agent = Agent.usingEndpointFactory(reactor, To(reactor, place, timeout), pool)
        self._host = place.host or "localhost"

    async def post(
        self, path: str, fields: Iterable[tuple[str, str]], start: bytes, buffer: Buffer, place: int
    ) -> bytes:
        """
        The body of the answer 200.

        :param fields: of the request's header; octets that cannot be there are taken out.
        :param start: what is sent, and behind it ``buffer`` from ``place`` on.
        :raises FilterFailed: there is no such answer.
        """
        headers = Headers()
        for name, value in fields:
            headers.addRawHeader(name, "".join(one for one in value if one.isprintable()))
        url = f"http://{self._host}{path}".encode("ascii")
        body = Pieces(self._reactor, start, buffer, place)
        try:
            response = await self._agent.request(b"POST", url, headers, body)
            collected = Collected()
            response.deliverBody(collected)
            found = await collected.whole
        except _FAILURES as error:
            raise FilterFailed(str(error) or "the connection broke off") from error
        finally:
            body.stopProducing()
        if response.code != 200:
            raise FilterFailed(f"it answers {response.code}")
        return found
