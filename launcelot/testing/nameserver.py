"""
A name server for tests, over UDP and TCP on one port, that answers wrongly, late or twice where a fault says so.

What can go wrong with an answer (``at.dns("MX news.example")``): ``.replies("SERVFAIL")`` or another code of RFC 1035
section 4.1.1, ``.replies("10 wrong.example")`` another record, ``.says(b"...")`` any octets, ``.stalls()`` none,
``.delays(3)``, ``.doubles()``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol, Factory, connectionDone
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from launcelot.testing.faulting import FaultyTaps
from launcelot.testing.faults import Act, Fault
from launcelot.testing.names import FINE, Doom, is_numeric
from launcelot.testing.zone import RCODES, Zone, question_of, record, reply_to, room_for

TRIES = 20
"""Ports that are tried until one is free for both."""

DATAGRAM = 4_096
"""Octets of a query at most."""

Send = Callable[[bytes], None]


class NameServer:
    """
    Answers from a zone.

    :param taps: have the faults.
    """

    def __init__(self, reactor: Any, zone: Zone, taps: FaultyTaps) -> None:
        self._reactor = reactor
        self._zone = zone
        self._taps = taps
        self._late: set[IDelayedCall] = set()
        self._ports: list[Any] = []
        self.streams: set[StreamQueries] = set()

    # -- listening -------------------------------------------------------------------------------------------------

    def listen(self, host: str, port: int = 0) -> int:
        """
        Listen; the port.

        :raises CannotListenError: it is taken.
        """
        for left in reversed(range(TRIES)):
            stream = self._reactor.listenTCP(port, _Streams(self), interface=host)
            number: int = stream.getHost().port
            try:
                datagrams = self._reactor.listenUDP(number, DatagramQueries(self), interface=host, maxPacketSize=DATAGRAM)
            except CannotListenError:
                stream.stopListening()
                if port or not left:
                    raise
                continue
            self._ports = [stream, datagrams]
            break
        return number

    async def close(self) -> None:
        """Close everything; what is late does not come any more."""
        for call in self._late:
            call.cancel()
        self._late.clear()
        ports, self._ports = self._ports, []
        for port in ports:
            waiting = port.stopListening()
            if isinstance(waiting, Deferred):
                await waiting
        streams = list(self.streams)
        for stream in streams:
            transport: Any = stream.transport
            transport.abortConnection()
        for stream in streams:
            await stream.ended

    # -- answering -------------------------------------------------------------------------------------------------

    def asked(self, octets: bytes, send: Send, is_datagram: bool) -> None:
        """Answer a query, in the way that the faults want."""
        found = question_of(octets)
        if found is None:
            return
        query, kind, name = found
        most = room_for(query) if is_datagram else 65_535
        fault = self._taps.in_names(kind, name)
        if fault is None or fault.act in (Act.DELAYS, Act.DOUBLES):
            answer = self._true(query, kind, name, most)
        elif fault.act is Act.STALLS:
            return
        else:
            answer = fault.octets if fault.act is Act.SAYS else _wrong(query, kind, name, fault, most)
        if fault is not None and fault.act is Act.DELAYS:
            self._later(fault.number, send, answer)
            return
        send(answer)
        if fault is not None and fault.act is Act.DOUBLES:
            send(answer)

    def _true(self, query: dns.Message, kind: str, name: str, most: int) -> bytes:
        found = self._zone.find(kind, name)
        return reply_to(query, found, dns.OK if found or self._zone.knows(name) else dns.ENAME, most)

    def _later(self, seconds: float, send: Send, answer: bytes) -> None:
        def go() -> None:
            self._late.discard(call)
            send(answer)

        call = self._taps.later(seconds, go)
        self._late.add(call)


def _wrong(query: dns.Message, kind: str, name: str, fault: Fault, most: int) -> bytes:
    words = said_by(fault)
    if words in RCODES:
        return reply_to(query, [], RCODES[words], most)
    try:
        return reply_to(query, [(name, record(kind, words))], dns.OK, most)
    except ValueError:
        # A record that cannot be: whoever asks for another kind than the sentence was made for hears that there is none.
        return reply_to(query, [], dns.OK, most)


def said_by(fault: Fault) -> str:
    """The answer that a fault gives instead of the true one."""
    return f"{fault.code} {fault.text}".strip()


class DatagramQueries(DatagramProtocol):
    """Over UDP."""

    transport: Any = None

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """A query."""

        def send(answer: bytes) -> None:
            if self.transport is not None:
                self.transport.write(answer, addr)

        self._server.asked(datagram, send, True)


class StreamQueries(Int16StringReceiver):
    """Over TCP.  RFC 1035 section 4.2.2."""

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Somebody wants to ask."""
        self._server.streams.add(self)

    def stringReceived(self, string: bytes) -> None:
        """A query."""
        self._server.asked(string, self._send, False)

    def _send(self, answer: bytes) -> None:
        if self.connected:
            send: Send = self.sendString
            send(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """He is gone."""
        self._server.streams.discard(self)
        self.ended.callback(None)


class _Streams(Factory):
    noisy = False

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def buildProtocol(self, addr: Any) -> StreamQueries:
        return StreamQueries(self._server)


def doom_of(taps: FaultyTaps) -> Callable[[str], Doom]:
    """What the faults do to a host that is looked up by the system, which asks for its addresses."""

    def doom(host: str) -> Doom:
        fault = taps.in_names("A", host) if host and not is_numeric(host) else None
        if fault is None:
            return FINE
        if fault.act is Act.STALLS:
            return Doom(late=None)
        if fault.act is Act.DELAYS:
            return Doom(late=fault.number)
        if fault.act is Act.DOUBLES:
            return Doom(copies=2)
        words = said_by(fault)
        return Doom(addresses=[words] if is_numeric(words) else [])

    return doom
