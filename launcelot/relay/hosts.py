"""
From a domain to the hosts that take its mail, in the order in which they are tried.  RFC 5321 section 5.1, RFC 7505.

What the DNS says is anybody's word: it never leads to loopback, private, link-local, reserved or multicast addresses unless the
configuration names their network, so that nobody can have us talk to what is behind our own walls.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcelot.hosting.proxy import Network
from launcelot.message.address import domain_key
from launcelot.relay.resolver import Exchange, NoAnswer, NoSuchName, Resolver

MOST = 10
"""Addresses tried for one mail."""

Bits = Callable[[int], int]
"""Gives that many random bits."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    One address to connect to.

    :ivar host: its name, for TLS and for people.
    :ivar address: numeric, or a name that the system resolves.
    :ivar proven: the DNS said with signatures that this host has the domain's mail, or the configuration said so.
    :ivar bases: names below which TLSA records of it may stand; see :class:`~launcelot.relay.resolver.Places`.
    """

    host: str
    address: str
    port: int
    proven: bool = False
    bases: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"[{self.address}]:{self.port}"
        return where if self.host == self.address else f"{self.host}{where}"


class Unroutable(Exception):
    """
    There is nowhere to send the mail.

    :ivar status: RFC 3463 code; its class says whether that may change.
    """

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def temporary(self) -> bool:
        """Whether trying again later may help."""
        return self.status.startswith("4")


class Finder:
    """
    Finds hosts.

    :param own: our own host name.
    :param private: networks that the DNS may lead to although they are not public.
    :param random_bits: for the order of equals.
    """

    def __init__(self, resolver: Resolver, own: str, private: Sequence[Network], port: int, random_bits: Bits) -> None:
        self._resolver = resolver
        self._own = domain_key(own)
        self._private = private
        self._port = port
        self._random_bits = random_bits

    async def find(self, domain: str) -> Sequence[Target]:
        """
        Where mail for a domain goes.

        :param domain: in A-labels, or an address literal.
        :raises Unroutable: nowhere, or it cannot be found out now.
        """
        if domain.startswith("["):
            address = domain[1:-1].removeprefix("ipv6:")
            return self._allowed(domain, [Target(address, address, self._port)])
        if not domain.isascii():
            raise Unroutable("5.1.2", f"{domain!r} cannot be a domain")
        exchanges, proven = await self._exchanges(domain)
        hosts = self._ordered(exchanges)
        targets: list[Target] = []
        problems: list[Unroutable] = []
        for host in hosts:
            try:
                places = await self._resolver.places(host)
            except NoSuchName:
                problems.append(Unroutable("5.4.4", f"the mail host {host} of {domain} does not exist"))
                continue
            except NoAnswer as error:
                problems.append(Unroutable("4.4.3", str(error)))
                continue
            if not places.addresses:
                problems.append(Unroutable("5.4.4", f"the mail host {host} of {domain} has no address"))
            bases = tuple(places.bases) if proven else ()
            targets += [Target(host, address, self._port, proven, bases) for address in places.addresses]
            if len(targets) >= MOST:
                break
        if not targets:
            raise next((one for one in problems if one.temporary), problems[0])
        return self._allowed(domain, targets)[:MOST]

    async def at(self, host: str, port: int) -> Sequence[Target]:
        """
        A host that the configuration names, wherever it is.

        :raises Unroutable: it cannot be found.
        """
        try:
            places = await self._resolver.places(host)
        except NoSuchName:
            raise Unroutable("4.4.4", f"the host {host} does not exist") from None
        except NoAnswer as error:
            raise Unroutable("4.4.3", str(error)) from None
        return [Target(host, address, port, True, tuple(places.bases)) for address in places.addresses][:MOST]

    async def _exchanges(self, domain: str) -> tuple[Sequence[Exchange], bool]:
        try:
            found, proven = await self._resolver.mail_hosts(domain)
        except NoSuchName:
            raise Unroutable("5.1.2", f"the domain {domain} does not exist") from None
        except NoAnswer as error:
            raise Unroutable("4.4.3", str(error)) from None
        if not found:
            return [Exchange(0, domain)], proven
        if all(not one.host for one in found):
            raise Unroutable("5.1.10", f"the domain {domain} takes no mail (null MX)")
        usable = [one for one in found if one.host and one.host.isascii() and not is_numeric(one.host)]
        ours = [one.preference for one in usable if one.host == self._own]
        if ours:
            usable = [one for one in usable if one.preference < min(ours)]
        if not usable:
            why = f"mail for {domain} comes back to this host" if ours else f"{domain} names no mail host that could be one"
            raise Unroutable("5.4.6" if ours else "5.4.4", why)
        return usable, proven

    def _ordered(self, exchanges: Sequence[Exchange]) -> Sequence[str]:
        """Best preference first, chance among equals, each host once."""
        order = sorted(exchanges, key=lambda one: (one.preference, self._random_bits(32)))
        return list(dict.fromkeys(one.host for one in order))

    def _allowed(self, domain: str, targets: Sequence[Target]) -> Sequence[Target]:
        found = [one for one in targets if self.may_reach(one.address)]
        if not found:
            text = f"mail for {domain} would go to {targets[0].address}, which is no public address"
            raise Unroutable("5.4.4", text)
        return found

    def may_reach(self, address: str) -> bool:
        """Whether the DNS may lead to an address."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address):
            ip = embedded(ip) or ip
        if any(ip in network for network in self._private):
            return True
        return ip.is_global and not ip.is_multicast


NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4 (RFC 3056) or NAT64 (RFC 6052)."""
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def is_numeric(host: str) -> bool:
    """Whether a name that should be a host's is an address, which RFC 5321 section 5.1 does not allow."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
