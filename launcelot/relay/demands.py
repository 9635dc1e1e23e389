"""
What a connection to a host has to show, by the configuration, by DANE, by MTA-STS.

Invariants: what the configuration names goes before what the DNS says; DANE goes before MTA-STS (RFC 8461 section 2); and neither
is left out because a question was not answered: then the host cannot be used now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from launcelot.core.errors import Refusal
from launcelot.relay.hosts import Target
from launcelot.relay.policies import Mode, Policies, Policy
from launcelot.relay.resolver import NoAnswer, NoSuchName, Resolver
from launcelot.relay.routes import Route, Tls
from launcelot.relay.tlsa import Tlsa, usable


class Unusable(Exception):
    """
    A host that cannot be used now.

    :ivar status: RFC 3463 code.
    """

    def __init__(self, status: str, text: str, host: str = "", diagnostic: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.host = host
        self.diagnostic = diagnostic


class Unmet(Unusable):
    """A host that does not do what the mail demands, now or later."""


class Wish(Enum):
    """What a mail itself says of TLS.  RFC 8689."""

    NONE = "none"
    REQUIRED = "required"
    """``REQUIRETLS``: the host must be who it should be, and promise the same."""
    OPTIONAL = "optional"
    """``TLS-Required: No``: what domains demand is left out."""


@dataclass(frozen=True, slots=True)
class Demand:
    """
    What a connection has to show.

    :ivar records: with :attr:`Tls.DANE`, what the certificate is held against.
    :ivar names: likewise, whose certificate it may be (RFC 7672 section 3.2.2); the first is asked for.
    :ivar why: who demands it, for people; empty for the configuration.
    :ivar wish: of the mail that the connection is made for.
    :ivar proven: that this host has the domain's mail is known for sure.
    """

    tls: Tls
    records: Sequence[Tlsa] = ()
    names: Sequence[str] = ()
    why: str = ""
    wish: Wish = Wish.NONE
    proven: bool = False

    @property
    def protects(self) -> bool:
        """Whether a connection that shows it may carry mail with ``REQUIRETLS``, if the host offers that."""
        return self.proven and self.tls.proves


@dataclass(frozen=True, slots=True)
class Named:
    """
    TLSA records.

    :ivar base: the name below which they stand.
    :ivar records: those that can be used.
    """

    base: str
    records: Sequence[Tlsa]


class Demands:
    """
    Finds out.

    :param policies: of MTA-STS; None where nobody asks for them.
    """

    def __init__(self, resolver: Resolver, policies: Policies | None) -> None:
        self._resolver = resolver
        self._policies = policies

    async def policy(self, route: Route, domain: str, wish: Wish = Wish.NONE) -> Policy | None:
        """
        What a domain demands by MTA-STS, where its mail goes to hosts that the DNS names, and it matters.

        :raises Unusable: that cannot be found out now.
        """
        matters = route.tls in RAISED or wish is Wish.REQUIRED
        if self._policies is None or route.host or not matters or domain.startswith("["):
            return None
        try:
            return await self._policies.policy(domain)
        except Refusal as refusal:
            raise Unusable("4.3.0", f"the MTA-STS policy of {domain} cannot be read now: {refusal.text}") from refusal

    async def of(self, route: Route, domain: str, target: Target, policy: Policy | None, wish: Wish = Wish.NONE) -> Demand:
        """
        What is demanded of one host.

        :param policy: as :meth:`policy` gave it.
        :param wish: of the mail.
        :raises Unmet: the host can never have the mail as it wants to be sent.
        :raises Unusable: mail for the domain may not go there, or it cannot be found out now.
        """
        if wish is Wish.OPTIONAL and route.tls in RAISED:
            return Demand(route.tls, wish=wish)
        found = await self._of(route, domain, target, policy)
        proven = target.proven or (policy is not None and policy.allows(target.host))
        if wish is not Wish.REQUIRED:
            return replace(found, proven=proven)
        if not proven:
            text = f"neither signed records nor an MTA-STS policy say that {target.host} has the mail of {domain}"
            raise Unmet("5.7.10", f"{text}, which the mail demands (REQUIRETLS)", target.host)
        if found.tls is Tls.NONE:
            raise Unmet("5.7.10", f"{target.host} is reached without TLS, which the mail demands (REQUIRETLS)", target.host)
        stronger = found if found.tls.proves else replace(found, tls=Tls.VERIFIED)
        return replace(stronger, proven=True, wish=wish, why="the mail (REQUIRETLS)")

    async def _of(self, route: Route, domain: str, target: Target, policy: Policy | None) -> Demand:
        named = await self._associations(target) if route.tls in RAISED or route.tls is Tls.DANE else None
        if named is not None and named.records:
            names = list(dict.fromkeys([named.base, target.host, *([] if route.host else [domain])]))
            return Demand(Tls.DANE, named.records, names, "" if route.tls is Tls.DANE else f"DANE of {target.host}")
        if route.tls is Tls.DANE:
            raise Unusable("4.7.5", f"{target.host} has no TLSA records that are signed and can be used", target.host)
        if policy is not None and policy.mode is Mode.ENFORCE and route.tls in RAISED:
            if not policy.allows(target.host):
                raise Unusable("4.7.5", f"{target.host} is not among the hosts of the MTA-STS policy of {domain}", target.host)
            return Demand(Tls.VERIFIED, why=f"the MTA-STS policy of {domain}")
        if named is not None:
            # RFC 7672 section 2.2: there are records, none of which can be used.
            return Demand(Tls.REQUIRED, why=f"DANE of {target.host}")
        return Demand(route.tls)

    async def _associations(self, target: Target) -> Named | None:
        """
        The TLSA records of a host; None where it has none that are signed.

        :raises Unusable: the question was not answered.
        """
        for base in target.bases:
            try:
                found, secure = await self._resolver.associations(f"_{target.port}._tcp.{base}")
            except NoSuchName:
                continue
            except NoAnswer as error:
                raise Unusable("4.7.5", f"the TLSA records of {target.host} cannot be had: {error}", target.host) from error
            if secure and found:
                return Named(base, usable(found))
        return None


RAISED = (Tls.OPPORTUNISTIC, Tls.REQUIRED)
"""What a route may say that DANE and MTA-STS go beyond."""
