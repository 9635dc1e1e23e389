"""
Asking the DNS where mail goes.

A :class:`Resolver` is handed in: :class:`NamesResolver` asks real servers through ``twisted.names``, with its own time limits;
tests have one with scripted records.  CNAMEs are followed here, because a server may answer with one alone.

DNSSEC is left to the servers: they are asked for signed data (RFC 3225), and what they say of it (the AD bit, RFC 6840 section
5.8) is handed on as :attr:`Answer.secure`, for callers whose configuration trusts the servers and the way to them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
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

KINDS = {
    "A": dns.A, "AAAA": dns.AAAA, "CNAME": dns.CNAME, "MX": dns.MX, "PTR": dns.PTR, "SRV": dns.SRV, "TLSA": TLSA, "TXT": dns.TXT,
}  # fmt: skip
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


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where a host is.

    :ivar addresses: IPv6 first; none where it has none.
    :ivar secure: they were signed, aliases included.
    :ivar bases: names below which TLSA records of the host may stand, in the order in which they are looked for; none where
        nothing that is there could be believed.  RFC 7672 sections 2.2.2 and 2.2.3.
    """

    addresses: Sequence[str]
    secure: bool = False
    bases: Sequence[str] = ()


class Resolver(Protocol):
    """
    Answers questions about names; names are in A-labels, lower-case.

    Each method raises :class:`NoSuchName`, or :class:`NoAnswer` for not now, as where something was forged.
    """

    async def mail_hosts(self, domain: str) -> tuple[Sequence[Exchange], bool]:
        """The mail exchangers of a domain, in any order, none where it has none of its own; and whether that was signed."""

    async def places(self, host: str) -> Places:
        """Where a host is."""

    async def associations(self, name: str) -> tuple[Sequence[bytes], bool]:
        """The TLSA records of a name, and whether they were signed."""

    async def texts(self, name: str) -> Sequence[bytes]:
        """The TXT records of a name, the strings of each joined."""


@dataclass
class ScriptedResolver:
    """
    A resolver whose records are written down, for tests and simulations.

    :ivar mx: by domain; a text for a host with preference 10, a pair, a list of these, or an exception to raise.
    :ivar hosts: by host, its addresses, or an exception to raise.
    :ivar tlsa: by name, octets of TLSA records, or an exception to raise.
    :ivar txt: by name, its texts.
    :ivar signed: names of which everything is signed; TLSA records always are.
    :ivar asked: everything that was asked, such as ``"MX example.org"``.
    """

    mx: Mapping[str, Any] = field(default_factory=dict)
    hosts: Mapping[str, Any] = field(default_factory=dict)
    tlsa: Mapping[str, Any] = field(default_factory=dict)
    txt: Mapping[str, Any] = field(default_factory=dict)
    signed: Collection[str] = ()
    asked: list[str] = field(default_factory=list)

    async def mail_hosts(self, domain: str) -> tuple[Sequence[Exchange], bool]:
        """What was written down; a name that is nowhere does not exist."""
        self.asked.append(f"MX {domain}")
        if domain not in self.mx and domain not in self.hosts:
            raise NoSuchName(domain)
        found = written(self.mx, domain)
        return [Exchange(10, one) if isinstance(one, str) else Exchange(*one) for one in found], domain in self.signed

    async def places(self, host: str) -> Places:
        """What was written down; a name that is nowhere does not exist."""
        self.asked.append(f"A {host}")
        if host not in self.hosts:
            raise NoSuchName(host)
        secure = host in self.signed
        return Places(written(self.hosts, host), secure, [host] if secure else [])

    async def associations(self, name: str) -> tuple[Sequence[bytes], bool]:
        """What was written down."""
        self.asked.append(f"TLSA {name}")
        if name not in self.tlsa:
            raise NoSuchName(name)
        return written(self.tlsa, name), True

    async def texts(self, name: str) -> Sequence[bytes]:
        """What was written down."""
        self.asked.append(f"TXT {name}")
        if name not in self.txt:
            raise NoSuchName(name)
        return [one.encode() for one in written(self.txt, name)]


def written(records: Mapping[str, Any], name: str) -> Sequence[Any]:
    """The records of a name as a list; none where it has none; raises what stands in their place."""
    found = records.get(name, [])
    if isinstance(found, Exception):
        raise found
    return list(found) if isinstance(found, (list, tuple)) else [found]


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
        """The mail exchangers of a domain; none where it has none of its own."""
        found, _ = await self.mail_hosts(domain)
        return found

    async def mail_hosts(self, domain: str) -> tuple[Sequence[Exchange], bool]:
        """See :meth:`Resolver.mail_hosts`."""
        answer = await self.answer(domain, "MX")
        return [Exchange(one.preference, text_of(one.name)) for one in answer.records], answer.secure

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host, IPv6 first; none where it has none."""
        return (await self._addresses(host))[0]

    async def places(self, host: str) -> Places:
        """See :meth:`Resolver.places`."""
        addresses, answers = await self._addresses(host)
        if not self._dnssec or not addresses:
            return Places(addresses)
        names = dict.fromkeys([*(one.name for one in answers), host])
        if all(one.secure for one in answers):
            return Places(addresses, True, list(names))
        # Behind an alias that was signed may stand what is not; then the alias is what can be believed.
        aliased = len(names) > 1 and (await self.answer(host, "CNAME")).secure
        return Places(addresses, False, [host] if aliased else [])

    async def _addresses(self, host: str) -> tuple[Sequence[str], Sequence[Answer]]:
        """Addresses, and the answers they are from; one kind that cannot be had now does not hide the other."""
        found: list[str] = []
        answers: list[Answer] = []
        failed: NoAnswer | None = None
        for kind in ("AAAA", "A"):
            try:
                answer = await self.answer(host, kind)
            except NoAnswer as error:
                failed = error
                continue
            if answer.records:
                found += [str(ipaddress.ip_address(one.address)) for one in answer.records]
                answers.append(answer)
        if not found and failed is not None:
            raise failed
        return found, answers

    async def associations(self, name: str) -> tuple[Sequence[bytes], bool]:
        """See :meth:`Resolver.associations`."""
        answer = await self.answer(name, "TLSA")
        return [bytes(one.data) for one in answer.records], answer.secure

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


def lasts(message: Any) -> float:
    """Seconds for which an answer is kept; of what is not there as the zone says (RFC 2308 section 5)."""
    lives = [one.ttl for one in message.answers]
    if not lives:
        lives = [min(one.ttl, one.payload.minimum) for one in message.authority if one.type == dns.SOA]
    return max(SHORTEST, min([LONGEST, *lives])) if lives else SHORTEST


def text_of(name: Any) -> str:
    """A name of an answer, lower-case, without the dot at its end."""
    return bytes(name.name).decode("ascii", "replace").lower().rstrip(".")
