"""The policy service: its settings and its listeners."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.errors import Invalid
from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.message.address import parse_domain
from launcelot.protocols.policy.server import PolicyFactory


@dataclass(frozen=True)
class Settings:
    """Settings of the policy service."""

    listen: tuple[str, ...] = setting(
        (),
        "Endpoints where others fetch the MTA-STS policies of our domains (HTTPS), such as 'tcp:443'. The certificate must have"
        " the name 'mta-sts.' before each domain, from an authority that everybody trusts.",
    )
    mode: str = setting(
        "enforce",
        "What others do with mail to us where TLS does not hold: give it up (enforce), send it and report (testing), as if there"
        " were no policy (none).",
        choices=("enforce", "testing", "none"),
    )
    mx: tuple[str, ...] = setting(
        (), "Hosts that take mail for our domains, such as 'mx.example.org' or '*.example.org'. Empty: this one."
    )
    max_age: int = setting(
        1_209_600,
        "For how long others keep the policy; RFC 8461 section 3.2 wants weeks.",
        unit="seconds",
        minimum=86_400,
        maximum=31_557_600,
    )
    timeout: float = setting(15.0, "How long a request may take to come.", unit="seconds", minimum=1, maximum=300)
    max_connections: int = setting(1_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(20, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1)


def check_hosts(hosts: tuple[str, ...]) -> None:
    """
    Look at the setting ``mx``.

    :raises ValueError: one is no name of a host.
    """
    for one in hosts:
        try:
            name = parse_domain(one.removeprefix("*."))
        except Invalid:
            name = ""
        if "." not in name or name.startswith("[") or not name.isascii():
            raise ValueError(f"{one!r} is no name of a host")


def build(site: Site, settings: Settings) -> Listeners:
    """The service; without a certificate nobody could believe it, and there is none."""
    if not site.has_tls:
        return Listeners(site.reactor, [])
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    factory = PolicyFactory(site, "policy", count, settings)
    return Listeners(site.reactor, [Listener("policy", endpoint, factory) for endpoint in settings.listen])
