"""The guestbook's settings, its listeners, and what it says of itself to the daemon."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.app.catalogue import Place, ServiceEntry
from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site

from launcelot_guestbook.notes import MIGRATIONS, Notes
from launcelot_guestbook.server import GuestbookFactory


@dataclass(frozen=True)
class Settings:
    """The table ``[guestbook]``."""

    listen: tuple[str, ...] = setting(
        ("tcp:7117:interface=127.0.0.1",), "Endpoints where TLS is started with STARTTLS."
    )
    listen_tls: tuple[str, ...] = setting((), "Endpoints that speak TLS from the first octet.")
    login_timeout: float = setting(60.0, "From connecting to having logged in.", unit="seconds", minimum=1)
    idle_timeout: float = setting(600.0, "Without a line, once logged in.", unit="seconds", minimum=1)
    max_note: int = setting(1_000, "Longest note.", unit="octets", minimum=1, maximum=4_000)
    max_notes: int = setting(10_000, "Notes that are kept; older ones are dropped.", unit="notes", minimum=1)
    max_connections: int = setting(1_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def build(site: Site, settings: Settings) -> Listeners:
    """The service; called when the daemon starts and, with new settings, when it is reloaded."""
    notes = Notes(site.database("guestbook", MIGRATIONS), settings.max_notes)
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    plain = GuestbookFactory(site, "guestbook", count, settings, notes)
    listeners = [Listener("guestbook", endpoint, plain) for endpoint in settings.listen]
    if site.has_tls:
        secure = GuestbookFactory(site, "guestbook-tls", count, settings, notes, implicit_tls=True)
        listeners += [Listener("guestbook-tls", endpoint, secure) for endpoint in settings.listen_tls]
    return Listeners(site.reactor, listeners)


SERVICE = ServiceEntry(
    "launcelot_guestbook.service",
    "A book in which accounts leave short notes",
    {
        "guestbook": Place("listen", 7117, 7117),
        "guestbook-tls": Place("listen_tls", 7118, 7118, usual=False),
    },
)
