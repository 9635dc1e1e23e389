"""
The calling side of datagrams: ask again, ever later, until an answer comes or patience ends.

A datagram may be lost either way, so a request is sent again after 0.1 seconds, 0.2, 0.4 and so on.  The socket is connected: the
kernel drops what others send, and a port where nobody listens is told at once.  Which datagram answers which request is for the
caller to see, by an identifier in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IHostResolution, IReactorTime, IResolutionReceiver
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from launcelot.hosting.calling import CallError, Closed, Refused, TimedOut, Unreachable

FIRST_WAIT = 0.1
"""Seconds before a request is sent for the second time; each further wait is twice as long."""

PATIENCE = 2.0
"""Seconds from the first sending until a request is given up, by default."""

Accept = Callable[[bytes], bytes | None]
"""The answer in a datagram; None if it answers something else; a CallError if it is the answer and of no use."""


class Inquiry:
    """
    One request until it is answered; made by :meth:`DatagramClient.inquire`.

    :ivar sendings: how often it has been sent.
    :ivar answer: fires once.
    """

    def __init__(
        self, clock: IReactorTime, send: Callable[[bytes], None], datagram: bytes, accept: Accept, patience: float
    ) -> None:
        self._clock = clock
        self._send = send
        self._datagram = datagram
        self._accept = accept
        self._wait = FIRST_WAIT
        self._ends = clock.seconds() + patience
        self._timer: IDelayedCall | None = None
        self.sendings = 0
        self.answer: Deferred[bytes] = Deferred(self._stop)

    def send(self) -> None:
        """Send once more, or give up."""
        self._timer = None
        left = self._ends - self._clock.seconds()
        if left <= 1e-6:
            self.fail(TimedOut("no answer in time"))
            return
        self._timer = self._clock.callLater(min(self._wait, left), self.send)
        self._wait *= 2
        self.sendings += 1
        self._send(self._datagram)

    def hear(self, datagram: bytes) -> bool:
        """Take a datagram if it is the answer."""
        try:
            answer = self._accept(datagram)
        except CallError as error:
            self.fail(error)
            return True
        if answer is None:
            return False
        self._stop()
        self.answer.callback(answer)
        return True

    def fail(self, error: CallError) -> None:
        """End without an answer."""
        self._stop()
        if not self.answer.called:
            self.answer.errback(error)

    def _stop(self, _cancelled: object = None) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


class DatagramClient(DatagramProtocol):
    """
    Asks one peer; made by :func:`connect_datagrams`.

    :param patience: seconds a request may take in all.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, patience: float = PATIENCE) -> None:
        self._clock = clock
        self._patience = patience
        self._inquiries: list[Inquiry] = []
        self._ended: CallError | None = None

    def inquire(self, datagram: bytes, accept: Accept) -> Deferred[bytes]:
        """
        Send a request until it is answered.

        The Deferred ends in an error of :mod:`launcelot.hosting.calling` otherwise, or when it is cancelled.
        """
        inquiry = Inquiry(self._clock, self._write, datagram, accept, self._patience)
        if self._ended is not None:
            inquiry.fail(self._ended)
            return inquiry.answer
        self._inquiries.append(inquiry)
        inquiry.answer.addBoth(self._forget, inquiry)
        inquiry.send()
        return inquiry.answer

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Give it to whom it answers; what answers nobody, such as the second copy of an answer, is dropped."""
        for inquiry in self._inquiries:
            if inquiry.hear(datagram):
                return

    def connectionRefused(self) -> None:
        """Nobody listens there."""
        self._fail(Refused("nobody listens there"))

    def stopProtocol(self) -> None:
        """
        The socket is closed: by us, or by a reactor that was told of an ICMP error.

        Under epoll such an error is an event without input, which Twisted takes for the end of the socket.
        """
        if self._ended is None:
            self._ended = Refused("nobody listens there")
            self._fail(self._ended)

    def close(self) -> Deferred[None]:
        """Close the socket; what is not answered yet ends."""
        transport: Any = self.transport
        done: Deferred[None] = Deferred()
        done.callback(None)
        if self._ended is not None or transport is None:
            return done
        self._ended = Closed("the socket is closed")
        self._fail(self._ended)
        return done.addCallback(lambda _: transport.stopListening())

    def _write(self, datagram: bytes) -> None:
        transport: Any = self.transport
        try:
            transport.write(datagram)
        except (OSError, MessageLengthError) as error:
            self._fail(Unreachable(getattr(error, "strerror", None) or str(error)))

    def _fail(self, error: CallError) -> None:
        for inquiry in list(self._inquiries):
            inquiry.fail(error)

    def _forget(self, result: Any, inquiry: Inquiry) -> Any:
        self._inquiries.remove(inquiry)
        return result


async def connect_datagrams(reactor: Any, host: str, port: int, client: DatagramClient) -> None:
    """
    Give a client its socket, on a port that nobody can guess.

    :param host: a name, resolved by the reactor, or a numeric address.
    :raises Unreachable: the name is not known, or there is no way there.
    """
    address = await resolve(reactor, host, port)
    try:
        socket = reactor.listenUDP(0, client, "::" if ":" in address else "", 65_536)
        socket.connect(address, port)
    except OSError as error:
        await client.close()
        raise Unreachable(f"{address}: {error.strerror or error}") from error


async def resolve(reactor: Any, host: str, port: int = 0) -> str:
    """
    The first numeric address of a host.

    :raises Unreachable: the name is not known.
    """
    if isIPAddress(host) or isIPv6Address(host):
        return host
    receiver = _FirstAddress()
    reactor.nameResolver.resolveHostName(receiver, host, port)
    return await receiver.found


@implementer(IResolutionReceiver)
class _FirstAddress:
    def __init__(self) -> None:
        self.found: Deferred[str] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._host = resolutionInProgress.name

    def addressResolved(self, address: Any) -> None:
        if not self.found.called:
            self.found.callback(address.host)

    def resolutionComplete(self) -> None:
        if not self.found.called:
            self.found.errback(Unreachable(f"no address is known for {self._host!r}"))
