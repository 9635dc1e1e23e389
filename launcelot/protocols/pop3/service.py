"""The POP3 service: its settings and its listeners."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.pop3.server import Pop3Factory


@dataclass(frozen=True)
class Settings:
    """Settings of the POP3 service."""

    listen: tuple[str, ...] = setting(
        ("tcp:2110:interface=127.0.0.1",), "Endpoints where TLS is started with STLS (service name pop3)."
    )
    listen_tls: tuple[str, ...] = setting(
        ("tcp:2995:interface=127.0.0.1",), "Endpoints that speak TLS from the first octet (service name pop3s)."
    )
    plaintext_login: str = setting(
        "loopback",
        "Who may log in with a password and without TLS: peers on loopback addresses, nobody, or everybody.",
        choices=("loopback", "never", "always"),
    )
    login_timeout: float = setting(60.0, "From connecting to having logged in.", unit="seconds", minimum=1)
    idle_timeout: float = setting(
        600.0, "Without a command; RFC 1939 section 3 asks for at least 600.", unit="seconds", minimum=1
    )
    max_connections: int = setting(10_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def build(site: Site, settings: Settings) -> Listeners:
    """The service."""
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    plain = Pop3Factory(site, "pop3", count, settings)
    listeners = [Listener("pop3", endpoint, plain) for endpoint in settings.listen]
    if site.has_tls:
        secure = Pop3Factory(site, "pop3s", count, settings, implicit_tls=True)
        listeners += [Listener("pop3s", endpoint, secure) for endpoint in settings.listen_tls]
    return Listeners(site.reactor, listeners)
