"""
Asking the DNS where mail goes.

A :class:`Resolver` is handed in: :class:`NamesResolver` asks real servers through ``twisted.names``, with its own time limits;
tests have one with scripted records.  CNAMEs are followed here, because a server may answer with one alone.

DNSSEC is left to the servers: they are asked for signed data (RFC 3225), and what they say of it (the AD bit, RFC 6840 section
5.8) is handed on as :attr:`Answer.secure`, for callers whose configuration trusts the servers and the way to them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DomainError
from twisted.python.failure import Failure

from launcelot.checks.names import Exchange as Exchange
from launcelot.checks.names import NoAnswer as NoAnswer
from launcelot.checks.names import NoSuchName as NoSuchName
from launcelot.relay.nameservers import NameServers

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


TLSA = 52
"""The type of TLSA records.  RFC 6698 section 7.1."""

KINDS = {"A": dns.A, "AAAA": dns.AAAA, "MX": dns.MX, "TXT": dns.TXT, "PTR": dns.PTR, "SRV": dns.SRV, "TLSA": TLSA}
"""What can be asked for by name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the DNS says.

    :ivar records: the payloads of what was asked for.
    :ivar secure: all of it was signed, aliases included, and the server has validated it.
    :ivar name: where the records stand, behind aliases.
    """

    records: Sequence[Any]
    secure: bool
    name: str


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


@dataclass(frozen=True, slots=True)
class Known:
    """
    An answer that is kept.

    :ivar until: by the monotonic clock.
    :ivar missing: the name does not exist.
    """

    until: float
    records: Sequence[Any] = ()
    secure: bool = False
    missing: bool = False


class NamesResolver:
    """
    Asks DNS servers.

    :param servers: address and port of each; none for those of ``/etc/resolv.conf``, which is read again when it changes.
    :param dnssec: the servers validate, and are believed when they say so.
    """

    def __init__(self, reactor: Any, servers: Sequence[tuple[str, int]] = (), dnssec: bool = False) -> None:
        self._reactor = reactor
        self._servers = NameServers(reactor, servers, dnssec, TIMEOUTS)
        self._dnssec = dnssec
        self._known: dict[tuple[str, int], Known] = {}

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """The mail exchangers of a domain."""
        return exchanges_of(await self.answer(domain, "MX"))

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host; one kind that cannot be had now does not hide the other."""
        found, _ = await self.addresses_and_proof(host)
        return found

    async def addresses_and_proof(self, host: str) -> tuple[Sequence[str], Answer | None]:
        """The same, and one answer that they came from: an unsafe one, if any was."""
        found: list[str] = []
        failed: NoAnswer | None = None
        proof: Answer | None = None
        for kind in ("AAAA", "A"):
            try:
                answer = await self.answer(host, kind)
            except NoAnswer as error:
                failed = error
                continue
            found += [str(ipaddress.ip_address(one.address)) for one in answer.records]
            if answer.records and (proof is None or not answer.secure):
                proof = answer
        if not found and failed is not None:
            raise failed
        return found, proof

    async def texts(self, name: str) -> Sequence[bytes]:
        """The TXT records of a name, the strings of each joined."""
        return [b"".join(one.data) for one in (await self.answer(name, "TXT")).records]

    async def pointers(self, name: str) -> Sequence[str]:
        """The PTR records of a name."""
        return [text_of(one.name) for one in (await self.answer(name, "PTR")).records]

    async def answer(self, name: str, kind: str) -> Answer:
        """
        The records of a name behind its aliases; none where it has none of this kind.

        :param kind: one of :data:`KINDS`.
        :raises NoSuchName: the name does not exist, or its alias does not.
        :raises NoAnswer: not now.
        """
        wanted, seen, secure = KINDS[kind], {name}, True
        for _ in range(MOST_ALIASES):
            known = await self._query(name, wanted)
            secure = secure and known.secure
            aliases = {text_of(one.name): text_of(one.payload.name) for one in known.records if one.type == dns.CNAME}
            while name in aliases and aliases[name] not in seen:
                name = aliases[name]
                seen.add(name)
            found = [one.payload for one in known.records if one.type == wanted]
            if found or not aliases or name in aliases:
                return Answer(found, secure, name)
        raise NoAnswer(f"{name}: too many aliases")

    async def _query(self, name: str, kind: int) -> Known:
        known = self._known.get((name, kind))
        if known is None or known.until <= self._reactor.seconds():
            asked: Deferred[Any] = self._servers.ask(name, kind)
            asked.addTimeout(LIMIT, self._reactor)
            known = await asked.addCallbacks(self._right, self._wrong, errbackArgs=(name,))
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[name, kind] = known
        if known.missing:
            raise NoSuchName(name)
        return known

    def _right(self, message: Any) -> Known:
        secure = self._dnssec and bool(message.authenticData)
        return Known(self._reactor.seconds() + lasts(message), tuple(message.answers), secure)

    def _wrong(self, failure: Failure, name: str) -> Known:
        if failure.check(DNSNameError):
            message = getattr(failure.value, "message", None)
            return Known(self._reactor.seconds() + (SHORTEST if message is None else lasts(message)), missing=True)
        if failure.check(DNSQueryTimeoutError, DeferredTimeout):
            raise NoAnswer(f"{name}: no answer from the DNS in time") from failure.value
        if failure.check(DomainError):
            raise NoAnswer(f"{name}: the DNS answers with {type(failure.value).__name__}") from failure.value
        raise NoAnswer(f"{name}: the DNS cannot be asked") from failure.value

    def close(self) -> None:
        """Let go of timers."""
        self._servers.close()


def exchanges_of(answer: Answer) -> Sequence[Exchange]:
    """MX records as exchangers."""
    return [Exchange(one.preference, text_of(one.name)) for one in answer.records]


def lasts(message: Any) -> float:
    """Seconds for which an answer is kept; of what is not there as the zone says (RFC 2308 section 5)."""
    lives = [one.ttl for one in message.answers]
    if not lives:
        lives = [min(one.ttl, one.payload.minimum) for one in message.authority if one.type == dns.SOA]
    return max(SHORTEST, min([LONGEST, *lives])) if lives else SHORTEST


def text_of(name: Any) -> str:
    """A name of an answer, lower-case, without the dot at its end."""
    return bytes(name.name).decode("ascii", "replace").lower().rstrip(".")
