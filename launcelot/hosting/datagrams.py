"""
Servers of datagrams: UDP endpoints, and what every one of them must not do.

A UDP server answers whoever a datagram says it is from, so it is polite before it is helpful:

- No source gets more answers than its rate allows; the table of rates is bounded.
- Whether a datagram is answered at all, and how long the answer may be, is decided by :meth:`DatagramServer.respond`; silence is
  always lawful.
- Sending that fails, and errors that the network reports, are counted and otherwise ignored.
- One read event takes at most :data:`AT_ONCE` datagrams, empty ones too, so that a flood cannot hold the reactor.  (Twisted's own
  port counts octets, and never ends while empty datagrams arrive.)
- Answers that must be waited for are bounded in number and time.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import _parse
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.core.limits import source_of
from launcelot.core.rates import TokenBuckets

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

log = Logger(namespace="launcelot.datagrams")

MAX_DATAGRAM = 65_536
"""Octets read of one datagram: more than UDP can carry, so none is ever cut."""

AT_ONCE = 64
"""Datagrams taken in one read event."""

WAITING = 256
"""Answers of one listener that may be waited for at once; further datagrams are dropped meanwhile."""

LOG_INTERVAL = 1.0
"""Seconds between lines about ignored datagrams."""

LOGGED_OCTETS = 64
"""Octets of an ignored datagram that a line shows, escaped."""

Source = tuple[str, int]
"""Address and port."""


class DatagramServer(DatagramProtocol):
    """
    Answers datagrams; a protocol writes :meth:`respond`.

    :param name: in logs and counters, such as ``"questions-udp"``.
    :param rates: by source; may be shared by several.
    :param limit: seconds an answer may be waited for.
    """

    noisy = False

    def __init__(self, site: Site, name: str, rates: TokenBuckets, limit: float = 10.0) -> None:
        self.site = site
        self.name = name
        self._rates = rates
        self._limit = limit
        self._waiting: set[Deferred[None]] = set()
        self._quiet_until = 0.0
        self._unsaid = 0

    def respond(self, datagram: bytes, source: Source) -> bytes | Awaitable[bytes | None] | None:
        """The answer to a datagram, None for silence, or something to wait for that gives one of the two."""
        raise NotImplementedError

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Answer, or be silent."""
        source: Source = addr
        counters = self.site.counters
        counters.add(f"{self.name}.datagrams")
        if not self._rates.take(source_of(source[0]), self.site.clock.seconds()):
            counters.add(f"{self.name}.limited")
            return
        try:
            response = self.respond(datagram, source)
        except Exception:  # noqa: BLE001 - the edge, as in ServerStream: what respond() does not know is our bug
            self._failed(Failure(), source)
            return
        if response is None:
            self._ignored(datagram, source)
        elif isinstance(response, bytes):
            self._send(response, source)
        else:
            self._wait(response, source)

    def connectionRefused(self) -> None:
        """An error that the network reported: nothing to do."""

    def stopProtocol(self) -> None:
        """Give up what is still waited for."""
        for waiting in list(self._waiting):
            waiting.cancel()

    # -- answers -------------------------------------------------------------------------------------------------

    def _wait(self, response: Awaitable[bytes | None], source: Source) -> None:
        if len(self._waiting) >= WAITING:
            self.site.counters.add(f"{self.name}.dropped")
            closing = getattr(response, "close", None)
            if closing is not None:
                closing()
            return
        waiting = Deferred.fromCoroutine(self._deliver(response, source))
        self._waiting.add(waiting)
        waiting.addTimeout(self._limit, self.site.clock)
        waiting.addErrback(self._failed, source)
        waiting.addBoth(lambda _: self._waiting.discard(waiting))

    async def _deliver(self, response: Awaitable[bytes | None], source: Source) -> None:
        answer = await response
        if answer is not None:
            self._send(answer, source)

    def _send(self, answer: bytes, source: Source) -> None:
        transport: Any = self.transport
        try:
            transport.write(answer, source)
        except (OSError, MessageLengthError):
            self.site.counters.add(f"{self.name}.unsent")
        else:
            self.site.counters.add(f"{self.name}.answers")

    def _failed(self, failure: Failure, source: Source) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(TimeoutError):
            self.site.counters.add(f"{self.name}.late")
            return
        self.site.counters.add(f"{self.name}.errors.internal")
        log.failure("internal error in {service} for {source}", failure, service=self.name, source=source[0])

    def _ignored(self, datagram: bytes, source: Source) -> None:
        self.site.counters.add(f"{self.name}.ignored")
        now = self.site.clock.seconds()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        log.info(
            "{service} is silent to {octets} octets {datagram!r} from {source} port {port}; {unsaid} more since the last line",
            service=self.name,
            octets=len(datagram),
            datagram=datagram[:LOGGED_OCTETS],
            source=source[0],
            port=source[1],
            unsaid=self._unsaid,
        )
        self._quiet_until = now + LOG_INTERVAL
        self._unsaid = 0


@dataclass(frozen=True, slots=True)
class DatagramListener:
    """
    One UDP endpoint of one service.

    :ivar name: as in the table of services, such as ``"questions-udp"``.
    :ivar endpoint: such as ``udp:1060:interface=127.0.0.1``; port 0 lets the system choose.
    :ivar server: each listener has its own.
    """

    name: str
    endpoint: str
    server: DatagramServer


class FairPort(Port):
    """A UDP port that returns to the reactor after :data:`AT_ONCE` datagrams, and outlives reported errors."""

    _made: socket.socket | None = None

    def createInternetSocket(self) -> socket.socket:
        """Keep the socket in sight until it is bound."""
        made: socket.socket = super().createInternetSocket()
        self._made = made
        return made

    def startListening(self) -> None:
        """Bind; where that fails Twisted leaves the socket open, until it is collected."""
        try:
            super().startListening()  # type: ignore[no-untyped-call]
        except CannotListenError:
            if self._made is not None:
                self._made.close()
            raise
        finally:
            self._made = None

    def doRead(self) -> None:
        """Hand on what has arrived, up to the bound."""
        for _ in range(AT_ONCE):
            if not self.connected or self.disconnected:
                return
            try:
                datagram, source = self.socket.recvfrom(self.maxPacketSize)
            except OSError:
                # Nothing more to read, or an error that the network reported about something sent before.
                return
            self.protocol.datagramReceived(datagram, source[:2])


def listen_datagrams(reactor: Any, endpoint: str, server: DatagramServer) -> Any:
    """
    Listen at once; a :class:`FairPort`.

    :param endpoint: ``udp:PORT`` or ``udp6:PORT``, with ``:interface=ADDRESS`` if not on all.
    :raises ValueError: it is no such endpoint.
    :raises twisted.internet.error.CannotListenError: the address is taken or not ours.
    """
    words, options = _parse(endpoint)
    if len(words) != 2 or words[0] not in ("udp", "udp6") or not words[1].isdigit() or set(options) - {"interface"}:
        raise ValueError("datagrams come in at endpoints such as udp:1060:interface=127.0.0.1")
    interface = options.get("interface", "" if words[0] == "udp" else "::")
    own = getattr(reactor, "listen_datagrams", None)
    if own is not None:
        return own(int(words[1]), server, interface)
    make: Any = FairPort
    port = make(int(words[1]), server, interface, MAX_DATAGRAM, reactor)
    port.startListening()
    return port
