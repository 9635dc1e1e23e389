"""
Whether a host has a name that leads back to it.  RFC 8601 section 3.

The name is then written into Received; a host without one may be refused, as many do.
"""

from __future__ import annotations

import ipaddress

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Result, Verdict
from launcelot.checks.names import Names, NoAnswer, NoSuchName, reverse_of
from launcelot.checks.spf import is_domain

MOST_NAMES = 5
"""Names of one address that are looked at."""


class ReverseName(Check):
    """
    Looks for the name.

    :param refuse: whether hosts without one are refused.
    """

    name = "iprev"

    def __init__(self, names: Names, refuse: bool) -> None:
        self._names = names
        self._refuse = refuse

    async def sender(self, case: Case) -> Verdict:
        """Once for each mail; answers are remembered by who asks the DNS."""
        try:
            address = str(ipaddress.ip_address(case.source.partition("%")[0]))
        except ValueError:
            return ACCEPT
        value, case.source_name = await self._find(address)
        case.results.append(Result("iprev", value, (("policy.iprev", address),)))
        if self._refuse and value == "fail":
            return Verdict(Action.REJECT, "Your address has no host name that leads back to it", "5.7.25")
        if self._refuse and value == "temperror":
            return Verdict(Action.DEFER, "The host name of your address cannot be found out now", "4.7.25")
        return ACCEPT

    async def _find(self, address: str) -> tuple[str, str]:
        unsure = False
        try:
            hosts = await self._names.pointers(reverse_of(address))
        except NoSuchName:
            return "fail", ""
        except NoAnswer:
            return "temperror", ""
        for host in hosts[:MOST_NAMES]:
            if not is_domain(host):
                continue
            try:
                if address in await self._names.addresses(host):
                    return "pass", host
            except NoSuchName:
                continue
            except NoAnswer:
                unsure = True
        return ("temperror" if unsure else "fail"), ""
