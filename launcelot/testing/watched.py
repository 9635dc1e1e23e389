"""What code under test is handed as a reactor in a world: it knows who connected and who listens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from twisted.internet.interfaces import (
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
)
from zope.interface import implementer

from launcelot.testing.connecting import MemoryConnector
from launcelot.testing.datagrams import MemoryDatagramPort
from launcelot.testing.leaks import WatchedClock, maker
from launcelot.testing.network import MemoryNetwork, MemoryPort, MemoryReactor


@implementer(IReactorTCP, IReactorUDP, IReactorUNIX, IReactorTime, IReactorPluggableNameResolver)
class WatchedReactor(MemoryReactor):
    """See the module's text."""

    def __init__(self, clock: WatchedClock, network: MemoryNetwork) -> None:
        super().__init__(clock, network)
        self._connectors: list[tuple[MemoryConnector, str]] = []
        self._ports: list[tuple[MemoryPort | MemoryDatagramPort, str]] = []

    def connectTCP(self, *arguments: Any, **named: Any) -> MemoryConnector:
        """As Twisted's."""
        connector = super().connectTCP(*arguments, **named)
        self._connectors.append((connector, maker(sys._getframe(1))))
        return connector

    def connectUNIX(self, *arguments: Any, **named: Any) -> MemoryConnector:
        """As Twisted's."""
        connector = super().connectUNIX(*arguments, **named)
        self._connectors.append((connector, maker(sys._getframe(1))))
        return connector

    def listenTCP(self, *arguments: Any, **named: Any) -> MemoryPort:
        """As Twisted's."""
        port = super().listenTCP(*arguments, **named)
        self._ports.append((port, maker(sys._getframe(1))))
        return port

    def listenUNIX(self, *arguments: Any, **named: Any) -> MemoryPort:
        """As Twisted's."""
        port = super().listenUNIX(*arguments, **named)
        self._ports.append((port, maker(sys._getframe(1))))
        return port

    def listenUDP(self, *arguments: Any, **named: Any) -> MemoryDatagramPort:
        """As Twisted's."""
        port = super().listenUDP(*arguments, **named)
        self._ports.append((port, maker(sys._getframe(1))))
        return port

    def left(self) -> Iterator[str]:
        """Connections and ports that are open, one line each."""
        for connector, who in self._connectors:
            if connector.connected:
                yield f"a connection to {_place(connector.getDestination())} is open: made at {who}"
            elif connector.connecting:
                yield f"a connection to {_place(connector.getDestination())} is being made: at {who}"
        for port, who in self._ports:
            if port.listening:
                yield f"a port is open: {_place(port.getHost())}, made at {who}"


def _place(address: Any) -> str:
    """An address, for people."""
    if hasattr(address, "host"):
        return f"{address.host}:{address.port}"
    return str(address.name.decode("utf-8", "replace"))
