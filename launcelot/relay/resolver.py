"""
Asking the DNS where mail goes.

A :class:`Resolver` is handed in: :class:`NamesResolver` asks real servers through ``twisted.names``, with its own time limits;
tests have one with scripted records.  CNAMEs are followed here, because a server may answer with one alone.

Left out: DNSSEC, and so DANE: ``twisted.names`` does not validate, and an answer that somebody else validated is worth what
the way to him is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.names import client, dns
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DomainError
from twisted.python.failure import Failure

from launcelot.checks.names import Exchange as Exchange
from launcelot.checks.names import NoAnswer as NoAnswer
from launcelot.checks.names import NoSuchName as NoSuchName

TIMEOUTS = (2, 4, 8)
"""Seconds for one answer, before it is asked for again; then it is given up."""

LIMIT = 20.0
"""Seconds for one question in all, whatever it needs."""

REMEMBERED = 1_000
"""Answers kept."""

SHORTEST = 5.0
"""Seconds an answer is kept at least, so that mail for one domain does not ask again and again."""

LONGEST = 300.0
"""Seconds it is kept at most."""

MOST_ALIASES = 8
"""CNAMEs followed from one name."""


class Resolver(Protocol):
    """Answers questions about names; names are in A-labels, lower-case."""

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """
        The mail exchangers of a domain, in any order; none where it has none of its own.

        :raises NoSuchName: the domain does not exist.
        :raises NoAnswer: not now.
        """

    async def addresses(self, host: str) -> Sequence[str]:
        """
        The addresses of a host, IPv6 first; none where it has none.

        :raises NoSuchName: the host does not exist.
        :raises NoAnswer: not now.
        """


@dataclass
class ScriptedResolver:
    """
    A resolver whose records are written down, for tests and simulations.

    :ivar mx: by domain; a text for a host with preference 10, a pair, a list of these, or an exception to raise.
    :ivar hosts: by host, its addresses, or an exception to raise.
    :ivar asked: everything that was asked, such as ``"MX example.org"``.
    """

    mx: Mapping[str, Any] = field(default_factory=dict)
    hosts: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """What was written down; a name that is nowhere does not exist."""
        self.asked.append(f"MX {domain}")
        if domain not in self.mx and domain not in self.hosts:
            raise NoSuchName(domain)
        found = self.mx.get(domain, [])
        if isinstance(found, Exception):
            raise found
        listed = found if isinstance(found, list) else [found]
        return [Exchange(10, one) if isinstance(one, str) else Exchange(*one) for one in listed]

    async def addresses(self, host: str) -> Sequence[str]:
        """What was written down; a name that is nowhere does not exist."""
        self.asked.append(f"A {host}")
        if host not in self.hosts:
            raise NoSuchName(host)
        found = self.hosts[host]
        if isinstance(found, Exception):
            raise found
        return [found] if isinstance(found, str) else list(found)


class NamesResolver:
    """
    Asks DNS servers.

    :param servers: address and port of each; none for those of ``/etc/resolv.conf``, which is read again when it changes.
    """

    def __init__(self, reactor: Any, servers: Sequence[tuple[str, int]] = ()) -> None:
        self._reactor = reactor
        self._resolver: Any = client.Resolver(
            resolv=None if servers else "/etc/resolv.conf", servers=list(servers), timeout=TIMEOUTS, reactor=reactor
        )
        self._known: dict[tuple[str, int], tuple[float, Sequence[Any]]] = {}

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """The mail exchangers of a domain."""
        records = await self._ask(domain, dns.MX)
        return [Exchange(one.preference, text_of(one.name)) for one in records]

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host; one kind that cannot be had now does not hide the other."""
        found: list[str] = []
        failed: NoAnswer | None = None
        for kind in (dns.AAAA, dns.A):
            try:
                found += [str(ipaddress.ip_address(one.address)) for one in await self._ask(host, kind)]
            except NoAnswer as error:
                failed = error
        if not found and failed is not None:
            raise failed
        return found

    async def texts(self, name: str) -> Sequence[bytes]:
        """The TXT records of a name, the strings of each joined."""
        return [b"".join(one.data) for one in await self._ask(name, dns.TXT)]

    async def pointers(self, name: str) -> Sequence[str]:
        """The PTR records of a name."""
        return [text_of(one.name) for one in await self._ask(name, dns.PTR)]

    async def _ask(self, name: str, kind: int) -> Sequence[Any]:
        seen = {name}
        for _ in range(MOST_ALIASES):
            answers = await self._query(name, kind)
            wanted = [one.payload for one in answers if one.type == kind]
            if wanted:
                return wanted
            aliases = {text_of(one.name): text_of(one.payload.name) for one in answers if one.type == dns.CNAME}
            while name in aliases and aliases[name] not in seen:
                name = aliases[name]
                seen.add(name)
            if not aliases or name in aliases:
                return []
        raise NoAnswer(f"{name}: too many aliases")

    async def _query(self, name: str, kind: int) -> Sequence[Any]:
        known = self._known.get((name, kind))
        if known is not None and known[0] > self._reactor.seconds():
            return known[1]
        asked: Deferred[Any] = self._resolver.query(dns.Query(name.encode("ascii"), kind, dns.IN))
        asked.addTimeout(LIMIT, self._reactor)
        answers: Sequence[Any] = await asked.addCallbacks(lambda found: found[0], self._wrong, errbackArgs=(name,))
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        lasts = min([LONGEST, *(one.ttl for one in answers)]) if answers else SHORTEST
        self._known[name, kind] = (self._reactor.seconds() + max(SHORTEST, lasts), answers)
        return answers

    def _wrong(self, failure: Failure, name: str) -> Sequence[Any]:
        if failure.check(DNSNameError):
            raise NoSuchName(name) from failure.value
        if failure.check(DNSQueryTimeoutError, DeferredTimeout):
            raise NoAnswer(f"{name}: no answer from the DNS in time") from failure.value
        if failure.check(DomainError):
            raise NoAnswer(f"{name}: the DNS answers with {type(failure.value).__name__}") from failure.value
        raise NoAnswer(f"{name}: the DNS cannot be asked") from failure.value

    def close(self) -> None:
        """Let go of timers."""
        call = getattr(self._resolver, "_parseCall", None)
        if call is not None and call.active():
            call.cancel()


def text_of(name: Any) -> str:
    """A name of an answer, lower-case, without the dot at its end."""
    return bytes(name.name).decode("ascii", "replace").lower().rstrip(".")
