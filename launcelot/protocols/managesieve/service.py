"""The ManageSieve service: its settings and its listeners."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.managesieve.server import ManageSieveFactory


@dataclass(frozen=True)
class Settings:
    """Settings of the ManageSieve service."""

    listen: tuple[str, ...] = setting(
        ("tcp:4190:interface=127.0.0.1",), "Endpoints where TLS is started with STARTTLS (service name managesieve)."
    )
    plaintext_login: str = setting(
        "loopback",
        "Who may log in with a password and without TLS: peers on loopback addresses, nobody, or everybody.",
        choices=("loopback", "never", "always"),
    )
    login_timeout: float = setting(60.0, "From connecting to having logged in.", unit="seconds", minimum=1)
    idle_timeout: float = setting(
        1_800.0, "Without a command; RFC 5804 section 1.8 asks for at least 1800.", unit="seconds", minimum=1
    )
    max_connections: int = setting(1_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        20, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def build(site: Site, settings: Settings) -> Listeners:
    """The service."""
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    factory = ManageSieveFactory(site, "managesieve", count, settings)
    return Listeners(site.reactor, [Listener("managesieve", endpoint, factory) for endpoint in settings.listen])
