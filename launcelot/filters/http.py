"""
Asking over HTTP: one request with a message as its body, one bounded answer.

A request makes its own connection, because filters are asked seldom and are near.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from launcelot.filters.asking import Place, endpoint_of
from launcelot.filters.failing import FilterFailed
from launcelot.hosting.calling import CallError
from launcelot.hosting.web import ask
from launcelot.workers.staging import Buffer

PIECE = 65_536
LONGEST = 4 << 20
"""Octets of an answer."""


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


class HttpFilter:
    """
    Asks one place.

    :param timeout: seconds for connecting.
    """

    def __init__(self, reactor: Any, place: Place, timeout: float) -> None:
        self._reactor = reactor
        self._place = place
        self._timeout = timeout
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
        body = Pieces(self._reactor, start, buffer, place)
        endpoint = endpoint_of(self._reactor, self._place, self._timeout)
        try:
            answer = await ask(self._reactor, endpoint, "POST", f"http://{self._host}{path}", headers, body, LONGEST)
        except CallError as error:
            raise FilterFailed(str(error)) from error
        finally:
            body.stopProducing()
        if answer.code != 200:
            raise FilterFailed(f"it answers {answer.code}")
        return answer.body
