"""
TCP transports that answer at the end of the read event instead of one reactor turn later.

Twisted's server transport asks the reactor for a write event and sends when it comes: three system calls more for each
exchange.  :class:`EagerServer` sends what was written during a read event as soon as that event has been handled and
keeps to Twisted's own way for everything else (writes from timers, producers, short sends, half-close).  It is hooked
in through ``tcp.Port.transport``, which Twisted documents for that purpose.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import sys
import termios
from typing import Any

from twisted.internet import main, tcp
from twisted.internet.interfaces import IProtocolFactory, IReactorTCP
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

BACKLOG = 511
"""Connections the kernel keeps while we are busy; Twisted's 50 costs a second for 200 that come at once."""

AT_ONCE = 65_536
"""
Octets of one connection sent without waiting for a write event, until its next event.

So a session that writes for long is paused by its peer's machine or after this many octets, and others have their turn.
"""


class EagerServer(tcp.Server):
    """
    A server connection that sends at the end of the read event, and at once what is written between events.

    What the kernel does not take is kept, and the reactor is asked for a write event: outside of a read event,
    octets are buffered only while the connection is registered for writing.
    """

    _reading = False
    _wants_write = False
    _registered = False
    _refused = False
    _at_once = AT_ONCE

    def startWriting(self) -> None:
        """Remember the wish inside a read event; ask the reactor outside of one."""
        if self._reading:
            self._wants_write = True
        elif not self._registered:
            self._registered = True
            tcp.Server.startWriting(self)

    def stopWriting(self) -> None:
        """Forget the wish, and withdraw from the reactor if we are there."""
        self._wants_write = False
        if self._registered:
            self._registered = False
            tcp.Server.stopWriting(self)

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
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_LOST if self._refused else main.CONNECTION_DONE
        self._at_once = AT_ONCE
        self._reading = True
        try:
            self.protocol.dataReceived(data)
        finally:
            self._reading = False
        if self._wants_write:
            self._end_event()
        return None

    def doWrite(self) -> Any:
        """Handle one write event."""
        self._at_once = AT_ONCE
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

    def _end_event(self) -> None:
        """Send what was written in a read event, once."""
        self._wants_write = False
        if self._registered or self._aborting:
            return
        if self.disconnecting or self._writeDisconnecting or self._tempDataLen > AT_ONCE or self.producerPaused or self._pulls():
            self._write_event()
            return
        pieces = self._tempDataBuffer
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._tempDataLen = 0
        if self._keep_rest(data):
            if self._refused:
                self.connectionLost(Failure(main.CONNECTION_LOST))
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
    while isinstance(transport, TLSMemoryBIOProtocol):
        transport = transport.transport
    if not isinstance(transport, tcp.Connection) or not transport.connected:
        return 0
    ours = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return ours + int.from_bytes(fcntl.ioctl(transport.getHandle(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def notice_dead_peer(transport: Any, seconds: int) -> None:
    """
    Have the kernel end a TCP connection whose peer has not been heard of for that long, idle or with octets unanswered.

    For sessions that hold something others wait for; a transport without a socket of that kind is left as it is.
    """
    handle = getattr(transport, "getHandle", None)
    peer = handle() if handle is not None else None
    if not isinstance(peer, socket.socket) or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    probes = 3
    every = max(1, seconds // (probes + 1))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, every)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, every)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


class EagerPort(tcp.Port):
    """A listening port whose connections are :class:`EagerServer`."""

    transport = EagerServer


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
