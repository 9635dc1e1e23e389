"""
Where filters are and how they are reached.

``unix:/path`` or ``host:port``; the host is a name, an IPv4 address, or an IPv6 address in brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IProtocolFactory

from launcelot.filters.failing import FilterFailed
from launcelot.hosting.calling import CallError, connect

_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a filter is.

    :ivar path: of a Unix socket; otherwise empty, and ``host`` and ``port`` say it.
    """

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @staticmethod
    def parse(text: str) -> Place:
        """
        Read one.

        :raises ValueError: it is none.
        """
        if text.startswith("unix:/"):
            return Place(text.removeprefix("unix:"))
        match = _PLACE.match(text)
        if match is None or not 0 < int(match[3]) < 65_536:
            raise ValueError(f"{text!r} is neither unix:/path nor host:port")
        return Place("", match[1] or match[2], int(match[3]))


def endpoint_of(reactor: Any, place: Place, timeout: float) -> Any:
    """How to connect to it."""
    if place.path:
        return UNIXClientEndpoint(reactor, place.path, timeout)
    return HostnameEndpoint(reactor, place.host, place.port, timeout)


async def reach(reactor: Any, place: Place, factory: IProtocolFactory, timeout: float) -> Any:
    """
    Connect; the protocol that the factory made.

    :raises FilterFailed: nobody is there.
    """
    try:
        return await connect(endpoint_of(reactor, place, timeout), factory)
    except CallError as error:
        raise FilterFailed(str(error)) from error
