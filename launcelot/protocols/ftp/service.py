"""The FTP service: its settings, and how it is built from a Site."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.ftp.pacing import Rates
from launcelot.protocols.ftp.server import FTPFactory


@dataclass(frozen=True)
class Settings:
    """What can be set of the FTP service."""

    listen: tuple[str, ...] = setting(
        ("tcp:2121:interface=127.0.0.1",), "endpoints of FTP, where TLS begins with AUTH TLS"
    )
    listen_tls: tuple[str, ...] = setting(
        ("tcp:2990:interface=127.0.0.1",), "endpoints of FTP inside TLS from the first octet"
    )
    max_connections: int = setting(10_000, "control connections at once", minimum=1)
    max_connections_per_source: int = setting(
        50, "control connections at once from one IPv4 address or IPv6 /64", minimum=1
    )
    login_timeout: float = setting(60.0, "until somebody has logged in", unit="seconds", minimum=1)
    idle_timeout: float = setting(300.0, "between commands, transfers not counted", unit="seconds", minimum=1)
    connect_timeout: float = setting(30.0, "for a data connection and its TLS", unit="seconds", minimum=1)
    stall_timeout: float = setting(
        120.0, "without progress on a data connection; slower than 100 octets a second counts as none", unit="seconds", minimum=1
    )
    session_rate: int = setting(
        0, "that files and listings of one session may move each way; 0 for any number", unit="octets a second", minimum=0
    )
    account_rate: int = setting(
        0, "the same for all sessions of an account together; 0 for any number", unit="octets a second", minimum=0
    )
    plaintext_login: str = setting(
        "loopback", "where passwords are taken without TLS", choices=("never", "loopback", "always")
    )
    anonymous: str = setting(
        "", "team folder that anybody may list and read who logs in as anonymous or ftp, with any password; empty for none"
    )
    require_tls: str = setting(
        "none",
        "what must be in TLS: nothing, the control connection, or data connections too",
        choices=("none", "control", "both"),
    )
    data_tls_session: str = setting(
        "prefer",
        "whether TLS on a data connection may begin a session of its own, or must resume the control connection's",
        choices=("prefer", "require"),
    )
    passive_address: str = setting("", "IPv4 address told in answer to PASV; empty for the one the peer connected to")
    passive_addresses: tuple[str, ...] = setting(
        (),
        "addresses told in answer to PASV by the peer's network, such as 192.168.0.0/16=192.168.1.5; with none behind = the one"
        " it connected to",
    )
    passive_ports: str = setting("", "ports for PASV and EPSV, such as 40000-40100; empty lets the system choose")


def build(site: Site, settings: Settings) -> Listeners:
    """
    The service, ready to start.

    :raises ValueError: ``passive_ports``, ``passive_address`` or ``passive_addresses`` is malformed, or TLS is required and there
        is no certificate; the text says what to do.
    """
    if settings.require_tls != "none" and not site.has_tls:
        raise ValueError("require_tls needs a certificate; give one, or set require_tls to none")
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    rates = Rates(settings.session_rate, settings.account_rate)
    clear = FTPFactory(site, count, settings, rates=rates)
    listeners = [Listener("ftp", endpoint, clear) for endpoint in settings.listen]
    if site.has_tls:
        secure = FTPFactory(site, count, settings, implicit_tls=True, rates=rates)
        listeners += [Listener("ftps", endpoint, secure) for endpoint in settings.listen_tls]
    return Listeners(site.reactor, listeners)
