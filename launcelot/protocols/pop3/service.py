"""The POP3 service: its settings, its listeners, and the house's rules."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.pop3.policy import MIGRATIONS, LoginDelay, Policy
from launcelot.protocols.pop3.retention import Retention
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
    keep_days: int = setting(
        0,
        "How long mail stays in INBOX, counted from when it came there; then it is removed, whether anybody has read it or not."
        " 0: for ever. Clients are told (EXPIRE). IMAP shows the same INBOX; other mailboxes are left alone.",
        unit="days",
        minimum=0,
        maximum=36_500,
    )
    keep_retrieved: bool = setting(
        True,
        "Whether clients may leave mail in INBOX that they have retrieved. If not, it is removed at QUIT, and clients are told"
        " (EXPIRE 0).",
    )
    login_delay: int = setting(
        0,
        "From one log-in of an account to its next; who comes earlier is told to wait (LOGIN-DELAY). 0: none.",
        unit="seconds",
        minimum=0,
        maximum=86_400,
    )
    max_connections: int = setting(10_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def policy_of(site: Site, settings: Settings) -> Policy:
    """
    The house's rules.

    :raises LookupError: there is a delay between log-ins, and the Site has no place to remember them.
    """
    delay = None
    if settings.login_delay:
        delay = LoginDelay(site.database("pop3", MIGRATIONS), settings.login_delay, site.wall_clock)
    return Policy(0 if not settings.keep_retrieved else settings.keep_days or None, delay)


def build(site: Site, settings: Settings) -> Listeners:
    """The service."""
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    policy = policy_of(site, settings)
    plain = Pop3Factory(site, "pop3", count, settings, policy=policy)
    listeners = [Listener("pop3", endpoint, plain) for endpoint in settings.listen]
    if site.has_tls:
        secure = Pop3Factory(site, "pop3s", count, settings, implicit_tls=True, policy=policy)
        listeners += [Listener("pop3s", endpoint, secure) for endpoint in settings.listen_tls]
    service = Listeners(site.reactor, listeners)
    if settings.keep_days:
        service.chores = (Retention(site, settings.keep_days).sweep,)
    return service
