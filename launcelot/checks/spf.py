"""
Whether a host may send mail with somebody's domain: the Sender Policy Framework.  RFC 7208.

:func:`check_host` is the function of section 4.  Its limits are those of section 4.6.4: ten terms that ask the DNS, two answers
that are empty, ten hosts of an ``mx`` or ``ptr``; a record may have :data:`MAX_TERMS` terms.  So a record can neither loop nor
make us ask for long.

Left out: ``exp=``, because a text that a stranger wrote is shown to nobody; the macro ``p`` is ``unknown``, as section 7.3
permits.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Result, Verdict
from launcelot.checks.names import Names, NoAnswer, NoSuchName, reverse_of
from launcelot.message.address import Address, domain_key

MOST_LOOKUPS = 10
MOST_VOID = 2
MOST_HOSTS = 10
MAX_TERMS = 200
MAX_RECORD = 4_096
"""Octets of a record."""

PASS, FAIL, SOFTFAIL, NEUTRAL, NONE = "pass", "fail", "softfail", "neutral", "none"
TEMPORARY, PERMANENT = "temperror", "permerror"

QUALIFIERS = {"+": PASS, "-": FAIL, "~": SOFTFAIL, "?": NEUTRAL}

_TERM = re.compile(
    r"([-+~?]?)(all|include|a|mx|ptr|exists)(?::([^/]*(?:/[^0-9/][^/]*)*))?((?:/[0-9]{1,3})?(?://[0-9]{1,3})?)", re.I
)
_ADDRESSES = re.compile(r"([-+~?]?)(ip4|ip6):(.+)", re.I)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)
_MACRO = re.compile(r"%(?:\{([slodiphcrtvSLODIPHCRTV])([0-9]{0,3})(r?)([-.+,/_=]*)\}|([%_-])|(.?))", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Wrong(Exception):
    """The record cannot be evaluated: the result is the text."""


@dataclass
class _Asked:
    lookups: int = 0
    void: int = 0


async def check_host(names: Names, source: str, domain: str, sender: str, helo: str) -> str:
    """
    The result for a host that sends as somebody.

    :param source: its address.
    :param sender: ``local@domain``.
    """
    address = ipaddress.ip_address(source.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    try:
        return await _Evaluation(names, address, sender, helo).check(domain)
    except _Wrong as wrong:
        return str(wrong)


class _Evaluation:
    def __init__(self, names: Names, address: IPAddress, sender: str, helo: str) -> None:
        self._names = names
        self._address = address
        self._sender = sender
        self._helo = helo
        self._asked = _Asked()

    async def check(self, domain: str) -> str:
        if not is_domain(domain):
            return NONE
        record = await self._record(domain)
        if record is None:
            return NONE
        mechanisms, redirect = _parse(record)
        for qualifier, kind, argument, lengths in mechanisms:
            if await self._matches(kind, argument, lengths, domain):
                return QUALIFIERS[qualifier or "+"]
        if not redirect:
            return NEUTRAL
        self._count()
        result = await self.check(self._expand(redirect, domain))
        return PERMANENT if result == NONE else result

    async def _record(self, domain: str) -> str | None:
        try:
            texts = await self._names.texts(domain)
        except NoSuchName:
            return None
        except NoAnswer:
            raise _Wrong(TEMPORARY) from None
        found = [one for one in texts if one[:6].lower() == b"v=spf1" and one[6:7] in (b"", b" ")]
        if not found:
            return None
        if len(found) > 1 or len(found[0]) > MAX_RECORD or not found[0].isascii():
            raise _Wrong(PERMANENT)
        return found[0].decode("ascii")

    async def _matches(self, kind: str, argument: str, lengths: str, domain: str) -> bool:
        if kind == "all":
            return True
        if kind in ("ip4", "ip6"):
            return _within(self._address, argument, kind)
        self._count()
        if kind == "include":
            return await self._included(self._expand(argument, domain))
        target = self._expand(argument, domain) if argument else domain
        if kind == "exists":
            return any(":" not in one for one in await self._addresses(target))
        if kind == "ptr":
            return await self._points(target)
        hosts = [target] if kind == "a" else await self._exchanges(target)
        four, six = _prefixes(lengths)
        for host in hosts:
            # A mail exchanger that has no address is not one of the empty answers that count.
            for one in await self._addresses(host, counts=kind == "a"):
                found = ipaddress.ip_address(one)
                network = ipaddress.ip_network((found, four if found.version == 4 else six), strict=False)
                if found.version == self._address.version and self._address in network:
                    return True
        return False

    async def _included(self, domain: str) -> bool:
        result = await self.check(domain)
        if result in (TEMPORARY, PERMANENT):
            raise _Wrong(result)
        if result == NONE:
            raise _Wrong(PERMANENT)
        return result == PASS

    async def _points(self, target: str) -> bool:
        try:
            hosts = await self._names.pointers(reverse_of(str(self._address)))
        except (NoSuchName, NoAnswer):
            return False
        for host in hosts[:MOST_HOSTS]:
            if is_domain(host) and f".{host}".endswith(f".{target.lower()}"):
                try:
                    if str(self._address) in await self._names.addresses(host):
                        return True
                except (NoSuchName, NoAnswer):
                    continue
        return False

    async def _exchanges(self, target: str) -> list[str]:
        try:
            found = await self._names.exchanges(target)
        except NoSuchName:
            found = []
        except NoAnswer:
            raise _Wrong(TEMPORARY) from None
        if not found:
            self._count_void()
        if len(found) > MOST_HOSTS:
            raise _Wrong(PERMANENT)
        return [one.host for one in sorted(found, key=lambda one: one.preference) if one.host]

    async def _addresses(self, host: str, counts: bool = True) -> list[str]:
        if not is_domain(host):
            return []
        try:
            found = list(await self._names.addresses(host))
        except NoSuchName:
            found = []
        except NoAnswer:
            raise _Wrong(TEMPORARY) from None
        if not found and counts:
            self._count_void()
        return found

    def _count(self) -> None:
        self._asked.lookups += 1
        if self._asked.lookups > MOST_LOOKUPS:
            raise _Wrong(PERMANENT)

    def _count_void(self) -> None:
        self._asked.void += 1
        if self._asked.void > MOST_VOID:
            raise _Wrong(PERMANENT)

    # -- macros --------------------------------------------------------------------------------------------------

    def _expand(self, text: str, domain: str) -> str:
        """A domain-spec; RFC 7208 section 7."""
        found = _MACRO.sub(lambda one: self._macro(one, domain), text)
        if len(found) > 253:
            # Labels are dropped from the left.
            labels = found.split(".")
            while labels and len(".".join(labels)) > 253:
                labels.pop(0)
            found = ".".join(labels)
        return found.removesuffix(".")

    def _macro(self, found: re.Match[str], domain: str) -> str:
        if found[5]:
            return {"%": "%", "_": " ", "-": "%20"}[found[5]]
        if not found[1]:
            raise _Wrong(PERMANENT)
        letter = found[1].lower()
        if letter in "crt" or (found[2] and not found[2].strip("0")):
            # For explanations only; and no labels at all are none.
            raise _Wrong(PERMANENT)
        parts = re.split("[" + re.escape(found[4] or ".") + "]", self._value(letter, domain))
        if found[3]:
            parts.reverse()
        if found[2]:
            parts = parts[-int(found[2]) :]
        text = ".".join(parts)
        return quote(text, safe="-._~") if found[1].isupper() else text

    def _value(self, letter: str, domain: str) -> str:
        local, _, of = self._sender.rpartition("@")
        address = self._address
        dotted = str(address) if address.version == 4 else ".".join(address.exploded.replace(":", ""))
        return {
            "s": self._sender,
            "l": local,
            "o": of,
            "d": domain,
            "i": dotted,
            "p": "unknown",
            "h": self._helo,
            "v": "in-addr" if address.version == 4 else "ip6",
        }[letter]


def _parse(record: str) -> tuple[list[tuple[str, str, str, str]], str]:
    """
    Mechanisms as qualifier, kind, argument and lengths, in order; and where ``redirect=`` points.

    :raises _Wrong: the whole of it must be right before any of it counts (section 4.6).
    """
    mechanisms: list[tuple[str, str, str, str]] = []
    modifiers: dict[str, str] = {}
    terms = record.split(" ")[1:]
    if len(terms) > MAX_TERMS:
        raise _Wrong(PERMANENT)
    for term in filter(None, terms):
        modifier = _MODIFIER.fullmatch(term)
        if modifier is not None:
            name = modifier[1].lower()
            if name in ("redirect", "exp") and (name in modifiers or not modifier[2]):
                raise _Wrong(PERMANENT)
            modifiers[name] = modifier[2]
            continue
        mechanisms.append(_mechanism(term))
    has_all = any(kind == "all" for _, kind, _, _ in mechanisms)
    return mechanisms, "" if has_all else modifiers.get("redirect", "")


def _mechanism(term: str) -> tuple[str, str, str, str]:
    numbers = _ADDRESSES.fullmatch(term)
    if numbers is not None:
        kind = numbers[2].lower()
        _within(ipaddress.IPv4Address(0), numbers[3], kind)
        return numbers[1], kind, numbers[3], ""
    found = _TERM.fullmatch(term)
    if found is None:
        raise _Wrong(PERMANENT)
    kind, argument, lengths = found[2].lower(), found[3], found[4]
    needs = kind in ("include", "exists")
    if (needs and not argument) or argument == "" or (kind == "all" and argument is not None):
        raise _Wrong(PERMANENT)
    if lengths and kind not in ("a", "mx"):
        raise _Wrong(PERMANENT)
    _prefixes(lengths)
    return found[1], kind, argument or "", lengths


def _within(address: IPAddress, text: str, kind: str) -> bool:
    """Whether an address is in a network as ``ip4`` and ``ip6`` name them."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise _Wrong(PERMANENT) from None
    prefix = text.partition("/")[2]
    if network.version != int(kind[2]) or (prefix and not (prefix.isascii() and prefix.isdigit())):
        raise _Wrong(PERMANENT)
    return address.version == network.version and address in network


def _prefixes(lengths: str) -> tuple[int, int]:
    """How many bits of addresses count, of each kind."""
    first, _, second = lengths.partition("//")
    four, six = int(first.strip("/") or 32), int(second or 128)
    if four > 32 or six > 128:
        raise _Wrong(PERMANENT)
    return four, six


def is_domain(text: str) -> bool:
    """Whether a text is a host name of two labels or more, as can be asked for."""
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and len(labels) > 1 and all(_LABEL.fullmatch(one) for one in labels)


class Spf(Check):
    """
    SPF of the sender's domain, or of the name in EHLO for the null sender.  RFC 7208 section 2.4.

    :param refuse: whether mail whose sender's domain says ``-all`` to this host is refused.
    """

    name = "spf"

    def __init__(self, names: Names, refuse: bool) -> None:
        self._names = names
        self._refuse = refuse

    async def sender(self, case: Case) -> Verdict:
        """Ask, note, and refuse where that is wanted."""
        sender = case.sender or Address("postmaster", case.helo)
        domain = domain_key(sender.domain)
        try:
            result = await check_host(self._names, case.source, domain, f"{sender.local}@{domain}", case.helo)
        except ValueError:
            # Somebody who came by a Unix socket.
            return ACCEPT
        kind = ("smtp.mailfrom", f"{sender.local}@{domain}") if case.sender is not None else ("smtp.helo", case.helo)
        case.results.append(Result("spf", result, (kind,)))
        if result == FAIL and self._refuse:
            return Verdict(Action.REJECT, "The domain of the sender says that this host does not send its mail (SPF)", "5.7.23")
        if result == TEMPORARY and self._refuse:
            return Verdict(Action.DEFER, "The policy of the sender's domain cannot be found out now (SPF)", "4.4.3")
        return ACCEPT

