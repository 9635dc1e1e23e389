"""
UDP in memory: sockets that send datagrams to each other through a :class:`~launcelot.testing.network.MemoryNetwork`.

Left out: multicast and broadcast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from zope.interface import implementer

from launcelot.testing.names import address_of

if TYPE_CHECKING:
    from launcelot.testing.network import MemoryNetwork

LARGEST = 65_507
"""Octets that UDP can carry over IPv4."""

Address = IPv4Address | IPv6Address


@implementer(IListeningPort, IUDPTransport)
class MemoryDatagramPort:
    """
    One socket.

    :param most: octets of a datagram that the protocol is given; the rest is lost, as by a read that is too short.
    """

    def __init__(self, network: MemoryNetwork, address: Address, protocol: Any, most: int) -> None:
        self._network = network
        self._address = address
        self._most = most
        self._peer: Address | None = None
        self.protocol = protocol
        self.listening = False

    def startListening(self) -> None:
        """
        Take the address and tell the protocol.

        :raises CannotListenError: somebody has it.
        """
        self._network.take(self._address, self)
        self.listening = True
        self.protocol.makeConnection(self)

    def stopListening(self) -> Deferred[None]:
        """Let go of the address and tell the protocol."""
        if self.listening:
            self.listening = False
            self._network.release(self._address)
            self.protocol.doStop()
        return succeed(None)

    loseConnection = stopListening

    def getHost(self) -> Address:
        """Where it is."""
        return self._address

    def connect(self, host: str, port: int) -> None:
        """
        Send to this address only, and hear from it only.

        :raises RuntimeError: it has been said before.
        """
        if self._peer is not None:
            raise RuntimeError("a socket of datagrams is connected once")
        self._peer = address_of(host, port, "UDP")

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        Send.

        :raises MessageLengthError: it is too long for a datagram.
        """
        if len(packet) > LARGEST:
            raise MessageLengthError("message too long")
        destination = self._peer if addr is None else address_of(addr[0], addr[1], "UDP")
        if destination is None:
            raise ValueError("a socket that is not connected is told where each datagram goes")
        self._network.soon(lambda: self._network.send(bytes(packet), destination, self))

    def receive(self, datagram: bytes, source: Address) -> None:
        """A datagram is here."""
        if self.listening and self._peer in (None, source):
            self.protocol.datagramReceived(datagram[: self._most], (source.host, source.port))

    def refused(self) -> None:
        """Nobody is where the last datagram went."""
        if self.listening and self._peer is not None:
            self.protocol.connectionRefused()

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """There is no broadcast here; asked for, it does nothing."""

    def getBroadcastAllowed(self) -> bool:
        """There is none."""
        return False
