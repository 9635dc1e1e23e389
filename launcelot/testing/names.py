"""
Names in memory: addresses by host, and what goes wrong with looking them up.

``network.names["mx.test"] = "127.0.0.1"`` is all that a test needs; a sequence gives several addresses, in the order
in which they are answered.  Faults about ``at.dns("A")`` are asked by way of :attr:`Names.doom`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.task import Clock
from zope.interface import implementer

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Doom:
    """
    What becomes of one look-up.

    :ivar late: seconds before it is answered; None for never.
    :ivar addresses: what is answered instead; None for what is true.
    :ivar copies: how often each address is answered.
    """

    late: float | None = 0.0
    addresses: Sequence[str] | None = None
    copies: int = 1


FINE = Doom()


class Names(dict[str, Any]):
    """
    Hosts by name: an address, or several.

    :ivar doom: asked about every look-up.
    """

    def __init__(self, clock: Clock, soon: Callable[[Callable[[], None]], object]) -> None:
        super().__init__(localhost=LOOPBACK)
        self.doom: Callable[[str], Doom] = lambda host: FINE
        self._clock = clock
        self._soon = soon

    def addresses(self, host: str) -> Sequence[str]:
        """Those of a host; none for one that does not exist."""
        if is_numeric(host):
            return (host,)
        found = self.get(host, ())
        return (found,) if isinstance(found, str) else tuple(found)

    def known(self, host: str) -> Sequence[str]:
        """The addresses of a host that has been given some."""
        return () if is_numeric(host) else self.addresses(host)

    def look_up(self, host: str, found: Callable[[Sequence[str]], None]) -> None:
        """Tell somebody the addresses of a host, later; none for one that does not exist."""
        doom = self.doom(host)
        if doom.late is None:
            return
        addresses = self.addresses(host) if doom.addresses is None else doom.addresses
        answer = [one for one in addresses for _ in range(doom.copies)]
        if doom.late:
            self._clock.callLater(doom.late, found, answer)
        else:
            self._soon(lambda: found(answer))


@implementer(IHostResolution)
class Resolution:
    """One look-up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self.cancelled = True


@implementer(IHostnameResolver)
class NameResolver:
    """The resolver of a reactor in memory, for ``HostnameEndpoint`` and whoever else asks it."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[Any] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell the addresses of a host, of the kinds that are wanted."""
        resolution = Resolution(hostName)

        def found(addresses: Sequence[str]) -> None:
            if resolution.cancelled:
                return
            for one in addresses:
                address = address_of(one, portNumber, transportSemantics)
                if addressTypes is None or isinstance(address, tuple(addressTypes)):
                    resolutionReceiver.addressResolved(address)
            resolutionReceiver.resolutionComplete()

        resolutionReceiver.resolutionBegan(resolution)
        self._names.look_up(hostName, found)
        return resolution


def is_numeric(host: str) -> bool:
    """Whether a host is given by its address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def address_of(host: str, port: int, kind: Any = "TCP") -> Any:
    """The address object of a host, which may be a name, and a port."""
    return IPv6Address(kind, host, port) if ":" in host else IPv4Address(kind, host, port)
