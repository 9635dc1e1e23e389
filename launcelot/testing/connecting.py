"""
Connecting in memory, with all that Twisted's connectors do: names, time-outs, giving up, connecting again, telling factories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.base import BaseConnector
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from launcelot.testing.names import address_of, is_numeric

if TYPE_CHECKING:
    from launcelot.testing.network import MemoryNetwork
    from launcelot.testing.transport import MemoryTransport


class MemoryConnector(BaseConnector):
    """
    Connects to one place, again and again if its factory wants that.

    :param timeout: seconds that an attempt may take; 0 or None for ever.
    :param source: the address that the client seems to come from.
    """

    def __init__(
        self, network: MemoryNetwork, destination: Any, factory: Any, timeout: float | None, source: str = "127.0.0.1"
    ) -> None:
        timers: Any = _Timers(network)
        super().__init__(factory, timeout or None, timers)  # type: ignore[arg-type]
        self._network = network
        self._destination = destination
        self._source = source

    def _makeTransport(self) -> Any:
        attempt = Attempt(self, self._network, self._destination, self._source)
        self._network.soon(attempt.find)
        return attempt

    def getDestination(self) -> Any:
        """Where to."""
        return self._destination

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.state == "connected"

    @property
    def connecting(self) -> bool:
        """Whether there will be one, or a failure."""
        return self.state == "connecting"

    def arrived(self, transport: MemoryTransport) -> None:
        """There is a connection."""
        self.transport = transport  # type: ignore[assignment]


class Attempt:
    """One attempt; what a connector has for a transport meanwhile."""

    def __init__(self, connector: MemoryConnector, network: MemoryNetwork, destination: Any, source: str) -> None:
        self._connector = connector
        self._network = network
        self._destination = destination
        self._source = source
        self._over = False
        self._unwanted = False

    def find(self) -> None:
        """Have the name looked up, as the system does when it connects to one."""
        host = getattr(self._destination, "host", "")
        if not host or is_numeric(host):
            self._network.travel(self._try, trips=2)
        else:
            self._network.names.look_up(host, self._found)

    def _found(self, addresses: Sequence[str]) -> None:
        if not addresses:
            self.failIfNotConnected(DNSLookupError(f"no address for {self._destination.host}"))
            return
        self._destination = address_of(addresses[0], self._destination.port)
        self._network.travel(self._try, trips=2)

    def _try(self) -> None:
        if self._over:
            return
        port = self._network.port_at(self._destination)
        if port is None:
            self.failIfNotConnected(ConnectionRefusedError())
            return
        self._over = True
        protocol = self._connector.buildProtocol(self._destination)
        if protocol is None:
            # Twisted lets go of a connection that its factory does not want.
            self._connector.connectionLost(Failure(ConnectionRefusedError()))
            return
        # A connection that its factory closes while it is being made is made first.
        near = self._network.join(protocol, port, self._source, self._connector.arrived)
        if near is not None:
            near.ended = self._connector.connectionLost
            if self._unwanted:
                near.loseConnection()

    def loseConnection(self) -> None:
        """Close what is about to be made."""
        self._unwanted = True

    def failIfNotConnected(self, error: Exception) -> None:
        """Give it up."""
        if not self._over:
            self._over = True
            self._connector.connectionFailed(Failure(error))


class _Timers:
    """The network's clock, for what is the network's own."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    def callLater(self, delay: float, call: Callable[..., None], *arguments: Any) -> IDelayedCall:
        return self._network.later(delay, call, *arguments)
