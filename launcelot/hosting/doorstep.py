"""
A port for one guest: it listens, lets in the one connection that it is there for, and is gone.

FTP's passive mode opens one for every file, and Twisted's port, which stays, is told of in the log when it comes and when it
goes, and lets go of its socket a turn later.  Here the socket is closed in the call that says so, so no port is ever held by
a session that has given it back.  Strangers are turned away, and the port goes on waiting.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import main
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from launcelot.hosting.descriptors import EXHAUSTED, LOOK_INTERVAL
from launcelot.hosting.transport import AT_ONCE, READ_OCTETS, Eager, EagerServer

WAITING = 5
"""Connections the kernel keeps: strangers may come before the guest."""

MOST_OCTETS = 262_144
"""Octets taken at once at most."""

_log = Logger(namespace="launcelot.transport")


class DoorstepServer(EagerServer):
    """
    A connection that came through a :class:`Doorstep`; nothing is read before it is resumed.

    It carries one file.  More is taken at once the more there is, and behind a little its end is looked for without
    asking the reactor for another event.
    """

    hears_at_once = False
    _room = READ_OCTETS

    def doRead(self) -> Any:
        """Handle one read event."""
        for _ in range(2):
            try:
                data = self.socket.recv(self._room)
            except BlockingIOError:
                return None
            except OSError:
                return main.CONNECTION_LOST
            if not data:
                return main.CONNECTION_LOST if self._refused else main.CONNECTION_DONE
            self._take(data)
            if len(data) >= READ_OCTETS or not self._heard:
                break
        if len(data) == self._room:
            self._room = min(MOST_OCTETS, 2 * self._room)
        return None

    def _take(self, data: bytes) -> None:
        self._at_once = AT_ONCE
        self._reading = True
        protocol: Any = self.protocol
        try:
            protocol.dataReceived(data)
        finally:
            self._reading = False
        if self._wants_write:
            self._end_event()


@implementer(IReadDescriptor)
class Doorstep(Eager):
    """
    Waits for one connection.

    :param host: our numeric address.
    :param port: 0 lets the system choose.
    :param factory: asked for a protocol for whoever comes; None turns somebody away.
    :raises CannotListenError: the port is taken, or the address is not ours.
    """

    def __init__(self, reactor: Any, host: str, port: int, factory: IProtocolFactory) -> None:
        self._reactor = reactor
        self._factory = factory
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket: socket.socket | None = None
        self._later: IDelayedCall | None = None
        made = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(_address(self._family, host, port))
            made.listen(WAITING)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            made.close()
            raise CannotListenError(host, port, error) from error
        self._socket = made
        reactor.addReader(self)

    def fileno(self) -> int:
        """The socket's number; -1 when it is closed."""
        return self._socket.fileno() if self._socket is not None else -1

    def logPrefix(self) -> str:
        """What Twisted logs of us goes under."""
        return "Doorstep"

    def doRead(self) -> None:
        """Let the guest in, and turn strangers away."""
        while self._socket is not None:
            try:
                peer, address = self._socket.accept()
            except OSError as error:
                if error.errno in EXHAUSTED:
                    # We would be told of the same guest again and again without a pause.
                    self._reactor.removeReader(self)
                    self._later = self._reactor.callLater(LOOK_INTERVAL, self._reactor.addReader, self)
                return
            self._let_in(peer, address)

    def _let_in(self, peer: socket.socket, address: tuple[Any, ...]) -> None:
        connection = None
        try:
            protocol = self._factory.buildProtocol(self._kind("TCP", address[0], address[1]))
            if protocol is None:
                peer.close()
                return
            self.stopListening()
            connection = DoorstepServer(peer, protocol, address, self, 0, self._reactor)
            protocol.makeConnection(connection)
        except Exception:  # noqa: BLE001 - the edge, as in Twisted's port: a bug of one session is not the port's
            _log.failure("no data connection could be made for {source!r}", source=address[0])
            if connection is None:
                peer.close()
            else:
                connection.abortConnection()  # type: ignore[no-untyped-call]

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it listens."""
        if self._socket is None:
            raise OSError("the port is closed")
        host, port = self._socket.getsockname()[:2]
        return self._kind("TCP", host, port)

    @property
    def _kind(self) -> type[IPv4Address] | type[IPv6Address]:
        return IPv4Address if self._family == socket.AF_INET else IPv6Address

    def stopListening(self) -> None:
        """Listen no more; may be called again."""
        gone = self._socket
        if gone is not None:
            self._reactor.removeReader(self)
            if self._later is not None and self._later.active():
                self._later.cancel()
            self._socket = None
            gone.close()

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""
        self.stopListening()


def _address(family: int, host: str, port: int) -> Any:
    """What ``bind`` takes; a link-local host has its interface behind ``%``."""
    if "%" not in host:
        return host, port
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)[0][4]
