"""
Ports for servers that live as long as a test: they come and go in the call that says so, and the log does not hear of it.

Twisted's port, as the daemon has it, tells the log when it comes and when it goes, and closes a turn of the reactor later.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import BasePort
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from launcelot.hosting.doorstep import Doorstep
from launcelot.hosting.transport import BACKLOG, EagerPort
from launcelot.protocols.ftp.data import PassiveFactory
from launcelot.testing.tapping import DATA, TappedFactory, TappingReactor

_DONE = Failure(CONNECTION_DONE)


class QuietPort(EagerPort):
    """
    A port of a test's server.

    :param port: 0 lets the system choose.
    :param interface: a numeric address.
    :ivar address: where it listens.
    """

    address: IPv4Address | IPv6Address
    _letting_in = False

    def __init__(self, port: int, factory: IProtocolFactory, interface: str, reactor: Any) -> None:
        # All that tcp.Port's does, but for asking what kinds of things it was given.
        BasePort.__init__(self, reactor)
        self.port = port
        self.interface = interface
        made_of: Any = factory
        self.factory = made_of
        self.backlog = BACKLOG
        if ":" in interface:
            self.addressFamily = socket.AF_INET6
            self._addressType = IPv6Address

    def startListening(self) -> None:
        """
        Bind, and listen.

        :raises CannotListenError: the address is taken or not ours.
        """
        made = socket.socket(self.addressFamily, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.interface, self.port))
            made.listen(self.backlog)
            # What every connection inherits.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            made.close()
            raise CannotListenError(self.interface, self.port, error) from error
        self.address = self._addressType("TCP", *made.getsockname()[:2])
        self._realPortNumber = self.address.port
        self.socket = made
        self.fileno = made.fileno  # type: ignore[method-assign]
        self.numberAccepts = 1
        factory: Any = self.factory
        factory.doStart()
        self.connected = True
        self.startReading()  # type: ignore[no-untyped-call]

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it listens, also when it does no more."""
        return self.address

    def doRead(self) -> None:
        """Let in who waits."""
        self._letting_in = True
        try:
            super().doRead()
        finally:
            self._letting_in = False

    def loseConnection(self, connDone: Failure = _DONE) -> Deferred[None]:
        """Close now; or a turn later, if it is one of those who are being let in that says so."""
        if self._letting_in or not self.connected:
            later: Deferred[None] | None = super().loseConnection(connDone)  # type: ignore[no-untyped-call]
            return later or succeed(None)
        self.stopReading()  # type: ignore[no-untyped-call]
        self.connectionLost(connDone)  # type: ignore[no-untyped-call]
        return succeed(None)

    stopListening = loseConnection

    def _logConnectionLostMsg(self) -> None:
        """Nobody wants to know."""


def listen_quietly(reactor: Any, port: int, factory: IProtocolFactory, interface: str) -> QuietPort:
    """
    Listen at once.

    :param port: 0 lets the system choose.
    :param interface: a numeric address.
    :raises CannotListenError: the address is taken or not ours.
    """
    listening = QuietPort(port, factory, interface, reactor)
    listening.startListening()
    return listening


class QuietReactor(TappingReactor):
    """A reactor whose listening ports are tapped, and quiet; where FTP waits for a guest it is as in the daemon."""

    def listen_stream(self, port: int, factory: Any, interface: str = "") -> Any:
        """Listen for connections, as a Site asks its reactor to."""
        if self.taps is not None and isinstance(factory, PassiveFactory):
            return Doorstep(self._reactor, interface, port, TappedFactory(self.taps, factory, DATA))
        return super().listen_stream(port, factory, interface)

    def listen_plain(self, port: int, factory: Any, interface: str = "") -> QuietPort:
        """The same, and nobody is tapped."""
        return listen_quietly(self._reactor, port, factory, interface)
