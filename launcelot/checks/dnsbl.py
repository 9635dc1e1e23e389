"""
Lists of hosts that send what nobody wants, kept in the DNS.  RFC 5782.

Several lists are asked one after the other, the first that knows the host decides.  A list that cannot be asked, or answers with
something outside of 127.0.0.0/8 or with an error of its own (127.255.255.0/24), lists nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Verdict
from launcelot.checks.names import Names, NoAnswer, NoSuchName, reverse_of
from launcelot.checks.spf import is_domain

LISTED = ipaddress.IPv4Network("127.0.0.0/8")
ERRORS = ipaddress.IPv4Network("127.255.255.0/24")


@dataclass(frozen=True, slots=True)
class Zone:
    """
    One list.

    :ivar action: what becomes of mail from hosts that are on it.
    """

    name: str
    action: Action


def parse_zone(text: str) -> Zone:
    """
    ``zone.example`` or ``zone.example quarantine``.

    :raises ValueError: it is neither.
    """
    name, _, word = text.strip().partition(" ")
    actions = {"": Action.REJECT, "reject": Action.REJECT, "quarantine": Action.QUARANTINE, "defer": Action.DEFER}
    if not is_domain(name) or word.strip() not in actions:
        raise ValueError(f"{text!r} is no list; write its domain, and behind it reject, defer or quarantine")
    return Zone(name.lower().rstrip("."), actions[word.strip()])


class Lists(Check):
    """Asks lists about the host."""

    name = "dnsbl"

    def __init__(self, names: Names, zones: Sequence[Zone]) -> None:
        self._names = names
        self._zones = tuple(zones)

    async def sender(self, case: Case) -> Verdict:
        """Ask until one knows it."""
        try:
            address = ipaddress.ip_address(case.source.partition("%")[0])
        except ValueError:
            return ACCEPT
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        reverse = reverse_of(str(address)).rsplit(".", 2)[0]
        for zone in self._zones:
            if await self._lists(f"{reverse}.{zone.name}"):
                return Verdict(zone.action, f"Your address is listed by {zone.name}", "5.7.1")
        return ACCEPT

    async def _lists(self, name: str) -> bool:
        try:
            found = await self._names.addresses(name)
        except (NoSuchName, NoAnswer):
            return False
        answers = [ipaddress.ip_address(one) for one in found]
        return any(one in LISTED and one not in ERRORS for one in answers)
