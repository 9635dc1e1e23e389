"""
The book's datagrams.  *Foundations of Python Network Programming*, chapter 2: ``udp_local``, ``udp_remote``, ``udp_broadcast``.

- The length server answers any datagram with ``Your data was N bytes long``, but nothing that begins like such an answer, so
  two of them never talk to each other.  The answer has at most 32 octets; shorter datagrams are answered all the same, as in the
  book, so it belongs on loopback or behind a firewall, and each source has its rate.
- The discovery server logs what is broadcast, and says ``I am here`` to neighbours who ask ``Is anybody there?``.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol

from launcelot.core.rates import TokenBuckets
from launcelot.hosting.calling import Unreachable
from launcelot.hosting.datagrams import DatagramServer, Source
from launcelot.hosting.inquiry import FIRST_WAIT, PATIENCE, DatagramClient

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

ANSWER = b"Your data was "
ASK = b"Is anybody there?"
HERE = b"I am here"


class LengthServer(DatagramServer):
    """Says how long a datagram was."""

    def __init__(self, site: Site, rates: TokenBuckets) -> None:
        super().__init__(site, "book-length-udp", rates)

    def respond(self, datagram: bytes, source: Source) -> bytes | None:
        """Its length, unless it is an answer itself."""
        return None if datagram.startswith(ANSWER) else length_answer(datagram)


def length_answer(datagram: bytes) -> bytes:
    """What is said of a datagram."""
    return b"Your data was %d bytes long" % len(datagram)


class LengthClient(DatagramClient):
    """Sends datagrams until they are answered."""

    def send(self, datagram: bytes) -> Deferred[bytes]:
        """
        The answer, which must be about a datagram of this length.

        Errors are those of :mod:`launcelot.hosting.calling`.
        """
        wanted = length_answer(datagram)
        return self.inquire(datagram, lambda heard: heard if heard == wanted else None)


class DiscoveryServer(DatagramServer):
    """Logs broadcasts, and tells neighbours who ask that it is here."""

    def __init__(self, site: Site, rates: TokenBuckets) -> None:
        super().__init__(site, "book-discovery-udp", rates)

    def respond(self, datagram: bytes, source: Source) -> bytes | None:
        """To a neighbour's question only."""
        return HERE if datagram == ASK and is_neighbour(source[0]) else None


def is_neighbour(host: str) -> bool:
    """Whether an address is of this machine or of a private network."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_private


class DiscoveryClient(DatagramProtocol):
    """
    Asks a network who is there; made by :func:`discover`.

    :param target: a broadcast address, or one machine's, and a port.
    :param patience: seconds to listen.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, target: Source, patience: float = PATIENCE) -> None:
        self._clock = clock
        self._target = target
        self._ends = clock.seconds() + patience
        self._wait = FIRST_WAIT
        self._timer: IDelayedCall | None = None
        self._found: dict[Source, None] = {}
        self.result: Deferred[list[Source]] = Deferred(self._stop)

    def startProtocol(self) -> None:
        """Ask for the first time."""
        transport: Any = self.transport
        transport.setBroadcastAllowed(True)
        self._ask()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Note who is there."""
        if datagram == HERE:
            self._found[addr] = None

    def stopProtocol(self) -> None:
        """The socket is closed."""
        self._stop()

    def _ask(self) -> None:
        self._timer = None
        left = self._ends - self._clock.seconds()
        if left <= 1e-6:
            self.result.callback(list(self._found))
            return
        self._timer = self._clock.callLater(min(self._wait, left), self._ask)
        self._wait *= 2
        transport: Any = self.transport
        try:
            transport.write(ASK, self._target)
        except OSError as error:
            self._stop()
            self.result.errback(Unreachable(error.strerror or str(error)))

    def _stop(self, _cancelled: object = None) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


async def discover(reactor: Any, target: Source, patience: float = PATIENCE) -> list[Source]:
    """
    Who is there, in the order of their answers.

    :param target: numeric broadcast address and port, such as ``("255.255.255.255", 1069)``.
    :raises Unreachable: nothing can be sent there.
    """
    client = DiscoveryClient(reactor, target, patience)
    socket = reactor.listenUDP(0, client, "::" if ":" in target[0] else "")
    try:
        return await client.result
    finally:
        stopped: Any = socket.stopListening()
        if stopped is not None:
            await stopped
