"""
TCP transports that answer at the end of the read event instead of one reactor turn later.

Twisted's server transport asks the reactor for a write event and sends when it comes: three system calls more for each
exchange.  :class:`EagerServer` sends what was written during a read event as soon as that event has been handled and
keeps to Twisted's own way for everything else (writes from timers, producers, short sends, half-close).  It is hooked
in through ``tcp.Port.transport``, which Twisted documents for that purpose, by :class:`EagerPort`, which lets crowds in faster
and sets once what every connection inherits.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import sys
import termios
from contextlib import suppress
from functools import cached_property
from typing import Any

from twisted.internet import main, tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv6Address
from twisted.internet.error import CannotListenError, ConnectionAborted
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTCP
from twisted.logger import Logger
from twisted.python.failure import Failure

BACKLOG = 4_096
"""
Connections the kernel keeps while we are busy, as far as ``net.core.somaxconn`` allows.

Who finds the queue full asks again a second later: Twisted's 50 costs that second for 200 that come at once.
"""

AT_ONCE = 65_536
"""
Octets of one connection sent without waiting for a write event, until its next event.

So a session that writes for long is paused by its peer's machine or after this many octets, and others have their turn.
"""

READ_OCTETS = 65_536
"""Octets taken in one read event."""

MOST_ACCEPTS = 1_024
"""Peers let in during one event of a port; fewer at first, and twice as many whenever as many as might have come."""

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it; elsewhere clients wait as they do with other servers."""

_log = Logger(namespace="launcelot.transport")
_DONE = Failure(main.CONNECTION_DONE)
_LOST = Failure(main.CONNECTION_LOST)


class Eager:
    """A descriptor whose read events :class:`~launcelot.hosting.reactor.EagerReactor` hands on without ceremony."""

    def doRead(self) -> Any:
        """Handle one; None, or why the connection is over."""
        raise NotImplementedError


class EagerServer(Eager, tcp.Server):
    """
    A server connection that sends at the end of the read event, and at once what is written between events.

    What the kernel does not take is kept, and the reactor is asked for a write event: outside of a read event,
    octets are buffered only while the connection is registered for writing.

    A protocol may have a method ``respond(data)``, which is then called in place of ``dataReceived`` and returns octets to be
    sent now, or none; where it returns any, it has neither written nor closed nor aborted.  That saves keeping them.
    """

    # Closing sends the end by itself: no child of ours inherits descriptors.
    _shouldShutdown = False

    has_options = False
    """Whether it came with no delay and keep-alive, inherited from its port."""

    hears_at_once = True
    """Whether it is heard from the start, and not only when the protocol resumes it."""

    _reading = False
    _heard = False
    _wants_write = False
    _registered = False
    _refused = False
    _at_once = AT_ONCE
    """Octets that may still be sent without waiting."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: IProtocol,
        client: tuple[Any, ...],
        server: Any,
        sessionno: int,
        reactor: Any,
    ) -> None:
        # All that tcp.Server's does, in one call, but for two strings that are made when somebody wants them.
        sock.setblocking(False)
        self.socket = sock
        self.fileno = sock.fileno
        self.protocol = protocol
        self.reactor = reactor
        self.client = client
        self.hostname = client[0]
        self.server = server
        self.sessionno = sessionno
        self._tempDataBuffer = []
        self._tempDataLen = 0
        self._reading = self._wants_write = self._registered = False
        self.has_options = isinstance(server, EagerPort)
        if len(client) != 2:
            self._addressType = IPv6Address
        if self.hears_at_once:
            self.startReading()
        self.connected = 1

    @cached_property
    def logstr(self) -> str:  # type: ignore[override]
        """What Twisted logs of us goes under."""
        return f"{self._getLogPrefix(self.protocol)},{self.sessionno},{self.hostname}"

    @cached_property
    def repstr(self) -> str:  # type: ignore[override]
        """What we look like."""
        return f"<{type(self).__name__} #{self.sessionno} from {self.hostname}>"

    @property
    def all_sent(self) -> bool:
        """Whether the kernel has everything, so that closing waits for nobody."""
        return not self._registered and not self._tempDataBuffer

    def close_at_once(self) -> bool:
        """Close in this call, if the kernel has everything and no event is being handled; whether it did."""
        if self._reading or not self.all_sent or not self.connected or self._aborting:
            return False
        self.connectionLost(_DONE)
        return True

    def startReading(self) -> None:
        """Hear of input, unless we do."""
        if not self._heard:
            self._heard = True
            self.reactor.addReader(self)

    def stopReading(self) -> None:
        """Hear of input no more."""
        if self._heard:
            self._heard = False
            self.reactor.removeReader(self)

    def startWriting(self) -> None:
        """Remember the wish inside a read event; ask the reactor outside of one."""
        if self._reading:
            self._wants_write = True
        elif not self._registered:
            self._registered = True
            self.reactor.addWriter(self)

    def stopWriting(self) -> None:
        """Forget the wish, and withdraw from the reactor if we are there."""
        self._wants_write = False
        if self._registered:
            self._registered = False
            self.reactor.removeWriter(self)

    def write(self, data: bytes) -> None:
        """Keep octets for the end of the read event; outside of one send what the kernel takes and keep the rest."""
        if not isinstance(data, bytes) or self.TLS or self._aborting or self._writeDisconnected or not self.connected:
            tcp.Server.write(self, data)
        elif self._reading:
            self._wants_write = True
            self._tempDataBuffer.append(data)
            self._tempDataLen += len(data)
            if self._tempDataLen > self.bufferSize:
                self._maybePauseProducer()  # type: ignore[no-untyped-call]
        elif self._registered or len(data) > self._at_once or self._pulls():
            tcp.Server.write(self, data)
        elif data:
            self._at_once -= len(data)
            if self._keep_rest(data):
                self.startWriting()

    def doRead(self) -> Any:
        """Handle one read event, then send what it made us write."""
        try:
            data = self.socket.recv(READ_OCTETS)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return self._read_end()
        self._at_once = AT_ONCE
        respond = getattr(self.protocol, "respond", None)
        self._reading = True
        try:
            if respond is None:
                self.protocol.dataReceived(data)
                answer = None
            else:
                answer = respond(data)
        finally:
            self._reading = False
        if answer:
            if self._registered:
                self.write(answer)
            elif self._keep_rest(answer):
                self._send_later()
        elif self._wants_write:
            self._end_event()
        return None

    def _read_end(self) -> Any:
        """The peer has sent all it will."""
        if self._writeDisconnected:
            # So have we: nobody can say anything more, and nobody has to be asked.
            self.connectionLost(_DONE)
            return None
        return main.CONNECTION_LOST if self._refused else main.CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        """All that tcp.Connection's does; what the reason is takes it longer to find out than closing does."""
        if not hasattr(self, "socket"):
            return
        FileDescriptor.connectionLost(self, reason)
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))  # type: ignore[no-untyped-call]
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(reason)

    def doWrite(self) -> Any:
        """Handle one write event."""
        self._at_once = AT_ONCE
        producer: Any = self.producer
        if getattr(producer, "wants_events", False) and not self.dataBuffer and not self._tempDataLen:
            producer.resumeProducing()
            return None
        return tcp.Server.doWrite(self)

    def readConnectionLost(self, reason: Failure) -> None:
        """Handle the peer's half-close as one read event."""
        self._reading = True
        try:
            tcp.Server.readConnectionLost(self, reason)
        finally:
            self._reading = False
        if self._wants_write:
            self._end_event()

    def send_now(self) -> None:
        """Send what was written in this read event before its end, so that :attr:`all_sent` tells whether the kernel has it."""
        if not self._wants_write or not self._is_plain():
            return
        if self._keep_rest(self._take_gathered()):
            self._registered = True
            self.reactor.addWriter(self)

    def _take_gathered(self) -> bytes:
        """What was written in this read event, as one."""
        pieces = self._tempDataBuffer
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._tempDataLen = 0
        return data

    def _is_plain(self) -> bool:
        """Whether nothing but octets to send, and not too many, waits for the end of the event."""
        return not (
            self._registered
            or self._aborting
            or self.disconnecting
            or self._writeDisconnecting
            or self.producerPaused
            or self._tempDataLen > AT_ONCE
            or self._pulls()
        )

    def _end_event(self) -> None:
        """Send what was written in a read event, once."""
        self._wants_write = False
        if self._registered or self._aborting:
            return
        if self.producerPaused or self._tempDataLen > AT_ONCE or self._pulls():
            self._write_event()
            return
        if self.disconnecting or self._writeDisconnecting:
            if self._tempDataLen or not self.disconnecting:
                self._write_event()
            else:
                self.connectionLost(_DONE)
            return
        if self._keep_rest(self._take_gathered()):
            self._send_later()

    def _send_later(self) -> None:
        """What a read event could not send has to wait, or nobody is there to send it to."""
        if self._refused:
            self.connectionLost(_LOST)
        else:
            self.startWriting()

    def _write_event(self) -> None:
        """Do at a read event's end what Twisted does in a write event."""
        failed = self.doWrite()
        if failed is not None:
            # Not a finding of the read: returned as one, a clean close would pass for the peer's half-close.
            self.connectionLost(Failure(failed))
        elif len(self.dataBuffer) > self.offset or self._tempDataLen or self._pulls():
            self.startWriting()

    def _keep_rest(self, data: bytes) -> bool:
        """Send what the kernel takes and keep what it does not; whether there is any."""
        try:
            sent = self.socket.send(data)
        except OSError as error:
            # Outside of a read event nobody expects to be told now: the reactor will find the connection dead.
            self._refused = error.errno not in (errno.EAGAIN, errno.ENOBUFS)
            sent = 0
        if sent == len(data):
            return False
        self.dataBuffer, self.offset = data, sent
        return True

    def _pulls(self) -> bool:
        return self.producer is not None and not self.streamingProducer


def unsent(transport: Any) -> int:
    """Octets written that the peer's machine has not acknowledged, in our buffers and the kernel's; 0 where nobody can tell."""
    transport = lowest(transport)
    if not isinstance(transport, tcp.Connection) or not transport.connected:
        return 0
    ours = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return ours + int.from_bytes(fcntl.ioctl(transport.getHandle(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def lowest(transport: Any) -> Any:
    """The transport below all layers of TLS and compression."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


def acknowledge(transport: Any) -> None:
    """
    Have the kernel acknowledge now what has arrived, where there is a kernel that can.

    RFC 1122 section 4.2.3.2 lets an acknowledgement wait for the answer, 40 ms on Linux.  A peer that sends its line in pieces
    under Nagle's algorithm (RFC 896) holds the second piece back until the first is acknowledged, so both would wait.
    """
    connection = lowest(transport)
    if _QUICKACK is None or not isinstance(connection, tcp.Connection) or not connection.connected:
        return
    with suppress(OSError):
        # A Unix socket knows nothing of it, and needs nothing of it.
        connection.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def notice_dead_peer(transport: Any, seconds: int) -> None:
    """
    Have the kernel end a TCP connection whose peer has not been heard of for that long, idle or with octets unanswered.

    For sessions that hold something others wait for; a transport without a socket of that kind is left as it is.
    """
    handle = getattr(transport, "getHandle", None)
    peer = handle() if handle is not None else None
    if not isinstance(peer, socket.socket):
        return
    try:
        if peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == seconds * 1000:
            return
    except OSError:
        # Of another kind.
        return
    _limit_silence(peer, seconds)
    port = getattr(transport, "server", None)
    if isinstance(port, EagerPort):
        # Whoever comes from now on has it from the port.
        _limit_silence(port.socket, seconds)


def _limit_silence(peer: socket.socket, seconds: int) -> None:
    """Set the options of :func:`notice_dead_peer`, that by which they are known last."""
    probes = 3
    every = max(1, seconds // (probes + 1))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, every)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, every)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


class EagerPort(Eager, tcp.Port):
    """
    A listening port whose connections are :class:`EagerServer`.

    Options that every connection is to have are set once, on the listening socket; accepted ones inherit them.  tcp(7).
    """

    transport = EagerServer
    _made: socket.socket | None = None

    def createInternetSocket(self) -> socket.socket:
        """Keep the socket in sight until it listens."""
        made: socket.socket = tcp.Port.createInternetSocket(self)
        self._made = made
        return made

    def startListening(self) -> None:
        """Bind, and listen; where that fails Twisted leaves the socket open, until it is collected."""
        try:
            tcp.Port.startListening(self)
        except CannotListenError:
            if self._made is not None:
                self._made.close()
            raise
        finally:
            self._made = None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def doRead(self) -> None:
        """
        Let in who waits, up to twice as many as came last time.

        What goes wrong but for nobody being there is left to Twisted, which closes and counts.
        """
        accepted = 0
        try:
            while accepted < self.numberAccepts:
                peer, address = self.socket.accept()
                accepted += 1
                self._let_in(peer, address)
        except BlockingIOError:
            pass
        except OSError:
            tcp.Port.doRead(self)
            return
        self.numberAccepts = min(2 * accepted, MOST_ACCEPTS) if accepted == self.numberAccepts else max(1, accepted)

    def _let_in(self, peer: socket.socket, address: tuple[Any, ...]) -> None:
        if len(address) == 4 and address[3]:
            # A link-local address counts with its interface.
            address = (socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0], *address[1:])
        factory: Any = self.factory
        connection = None
        try:
            protocol = factory.buildProtocol(self._addressType("TCP", *address))
            if protocol is None:
                peer.close()
                return
            self.sessionno += 1
            connection = self.transport(peer, protocol, address, self, self.sessionno, self.reactor)
            protocol.makeConnection(connection)
        except Exception:  # noqa: BLE001 - the edge, where Twisted's port has it too: a bug of one session is not the port's
            _log.failure("no session could be made for {source!r}", source=address[0])
            if connection is None:
                peer.close()
            else:
                connection.abortConnection()  # type: ignore[no-untyped-call]


def listen_tcp(
    reactor: IReactorTCP, port: int, factory: IProtocolFactory, interface: str = "", backlog: int = BACKLOG
) -> EagerPort:
    """
    Listen at once.

    :param port: 0 lets the system choose.
    :param interface: numeric address to bind, ``""`` for all IPv4 ones.
    :raises twisted.internet.error.CannotListenError: the address is taken or not ours.
    """
    listening = EagerPort(port, factory, backlog, interface, reactor)
    listening.startListening()
    return listening
