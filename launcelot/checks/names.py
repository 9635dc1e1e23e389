"""
What is asked of the DNS, by whom and how it may fail; who answers is handed in.

The daemon's answers come from ``launcelot.relay.resolver``, which asks real servers with time limits; tests write theirs down.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class NoSuchName(Exception):
    """The name does not exist, for sure."""


class NoAnswer(Exception):
    """The DNS cannot be asked now, or answers with an error of its own."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    One mail exchanger.

    :ivar host: lower-case, without a dot at its end; empty for the root, as in a null MX.
    """

    preference: int
    host: str


class Names(Protocol):
    """Answers questions; names are in A-labels.  Each method raises :class:`NoSuchName` and :class:`NoAnswer`."""

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """The mail exchangers of a domain; none where it has none of its own."""

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host, IPv6 first; none where it has none."""

    async def texts(self, name: str) -> Sequence[bytes]:
        """The TXT records of a name, the strings of each joined."""

    async def pointers(self, name: str) -> Sequence[str]:
        """The PTR records of a name, such as those of :func:`reverse_of` an address."""


def reverse_of(address: str) -> str:
    """The name under which the host names of an address stand."""
    return ipaddress.ip_address(address).reverse_pointer


@dataclass
class ScriptedNames:
    """
    Records that are written down, for tests.

    :ivar records: by kind and name, such as ``"TXT example.org"``: a list of values, one of them alone, or an exception to raise.
    :ivar asked: everything that was asked, in order.
    """

    records: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def _found(self, kind: str, name: str) -> Sequence[Any]:
        self.asked.append(f"{kind} {name}")
        found = self.records.get(f"{kind} {name}")
        if isinstance(found, Exception):
            raise found
        if found is None:
            if any(key.partition(" ")[2] == name for key in self.records):
                return []
            raise NoSuchName(name)
        return found if isinstance(found, list) else [found]

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """Values are hosts, with preferences in their order."""
        return [Exchange(place, host) for place, host in enumerate(self._found("MX", domain))]

    async def addresses(self, host: str) -> Sequence[str]:
        """Of both kinds."""
        return self._found("A", host)

    async def texts(self, name: str) -> Sequence[bytes]:
        """Values may be texts."""
        return [one.encode() if isinstance(one, str) else one for one in self._found("TXT", name)]

    async def pointers(self, name: str) -> Sequence[str]:
        """Host names."""
        return self._found("PTR", name)
