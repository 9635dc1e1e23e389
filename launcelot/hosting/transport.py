"""
TCP transports that answer at the end of the read event instead of one reactor turn later.

Twisted's server transport asks the reactor for a write event and sends when it comes: three system calls more for each
exchange.  :class:`EagerServer` sends what was written during a read event as soon as that event has been handled and
keeps to Twisted's own way for everything else (writes from timers, producers, short sends, half-close).  It is hooked
in through ``tcp.Port.transport``, which Twisted documents for that purpose.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IProtocolFactory, IReactorTCP
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

BACKLOG = 511
"""Connections the kernel keeps while we are busy; Twisted's 50 costs a second for 200 that come at once."""


class EagerServer(tcp.Server):
    """A server connection that sends at the end of the read event."""

    _reading = False
    _wants_write = False
    _registered = False

    def startWriting(self) -> None:
        """Remember the wish inside a read event; ask the reactor outside of one."""
        if self._reading:
            self._wants_write = True
        elif not self._registered:
            self._registered = True
            tcp.Server.startWriting(self)

    def stopWriting(self) -> None:
        """Withdraw from the reactor if we are there."""
        if self._registered:
            self._registered = False
            tcp.Server.stopWriting(self)

    def doRead(self) -> Any:
        """Handle one read event, then send what it made us write."""
        self._reading = True
        try:
            why = tcp.Server.doRead(self)
        finally:
            self._reading = False
        if not self._wants_write:
            return why
        self._wants_write = False
        if why is not None or self._registered:
            self.startWriting()
            return why
        failed = tcp.Server.doWrite(self)
        if failed is not None:
            # Not a finding of the read: returned as one, a clean close would pass for the peer's half-close.
            self._wants_write = False
            self.connectionLost(Failure(failed))
        elif self._wants_write or self._unsent():
            self._wants_write = False
            self.startWriting()
        return None

    def _unsent(self) -> bool:
        return bool(
            len(self.dataBuffer) > self.offset
            or self._tempDataLen
            or (self.producer is not None and not self.streamingProducer)
        )


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
