"""
One HTTP request on a connection of its own, and its answer in memory.

The client is :mod:`twisted.web.client`.  What it leaves open is bounded here: everything that comes over the connection is
counted, the header's octets and those around a body too, and the connection is cut as soon as there is an answer, or there will
be none.  Redirections are not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from launcelot.hosting.calling import CallError, Closed, Confused, Truncated, connect

HEADER = 65_536
"""Octets of an answer's header, and of what else is around its body."""

MOST = 65_536
"""Octets of an answer's body, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back.

    :ivar code: such as 200.
    :ivar kind: the media type in lower-case, without its parameters; empty if there is none.
    """

    code: int
    kind: str
    body: bytes


async def ask(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    method: str,
    url: str,
    headers: Headers,
    body: IBodyProducer | None = None,
    most: int = MOST,
) -> Answer:
    """
    Connect, ask, and cut the connection; it takes as long as it takes, and is cut as well when this is cancelled.

    :param url: ASCII; ``endpoint`` alone says where the request goes.
    :param most: octets of a body that is believed.
    :raises CallError: there is no connection, no answer, or too much of one.
    """
    place = Bounded(endpoint, most)
    agent = Agent.usingEndpointFactory(reactor, place)
    try:
        response = await agent.request(method.encode("ascii"), url.encode("ascii"), headers, body)
        collected = Collected(most)
        response.deliverBody(collected)
        octets = await collected.whole
    except (ConnectionLost, RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed) as error:
        if place.exceeded:
            raise Confused(f"the answer is larger than {most} octets") from error
        raise Closed(reason_of(error)) from error
    finally:
        place.cut()
    kind = (response.headers.getRawHeaders(b"content-type") or [b""])[0].partition(b";")[0].strip().lower()
    return Answer(response.code, kind.decode("ascii", "replace"), octets)


def reason_of(error: Exception) -> str:
    """Why there is no answer, in one line."""
    reasons: list[Failure] = getattr(error, "reasons", [])
    found = [one.getErrorMessage() for one in reasons] or [str(error)]
    return "; ".join(dict.fromkeys(one for one in found if one)) or "the connection broke off"


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Bounded:
    """
    Connects to one place, whatever an address says, and counts what comes from there.

    :ivar exceeded: more came than may come, and the connection was cut.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, most: int) -> None:
        self.exceeded = False
        self._endpoint = endpoint
        self._left = HEADER + most
        self._connected: Any = None

    def endpointForURI(self, uri: object) -> Bounded:
        """Always this one."""
        return self

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect, and count from then on."""
        return Deferred.fromCoroutine(connect(self._endpoint, protocolFactory)).addCallback(self._count)

    def _count(self, protocol: Any) -> Any:
        self._connected, received = protocol, protocol.dataReceived

        def counted(data: bytes) -> None:
            # Twisted keeps as many fields of a header as there are.
            self._left -= len(data)
            if self._left < 0:
                self.exceeded = True
                self.cut()
            else:
                received(data)

        protocol.dataReceived = counted
        return protocol

    def cut(self) -> None:
        """End the connection, if there is one, whatever the other side would like."""
        transport = self._connected and self._connected.transport
        if transport is not None:
            transport.abortConnection()


class Collected(Protocol):
    """
    A body in memory, up to a limit.

    :ivar whole: fires with the octets, or fails with :class:`CallError`.
    """

    def __init__(self, most: int) -> None:
        self.whole: Deferred[bytes] = Deferred()
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Keep it, if it is not too much."""
        self._size += len(data)
        if self._size <= self._most:
            self._pieces.append(data)
        else:
            self._end(Confused(f"the answer is larger than {self._most} octets"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end, or too early."""
        if reason.check(ResponseDone, PotentialDataLoss):
            self._end(b"".join(self._pieces))
        else:
            self._end(Truncated("the answer broke off"))

    def _end(self, result: bytes | CallError) -> None:
        if self.whole.called:
            return
        if isinstance(result, CallError):
            self.whole.errback(result)
        else:
            self.whole.callback(result)
