"""The IMAP service: settings and listeners."""

from __future__ import annotations

from launcelot.core.limits import ConnectionCount
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.imap4.server import ImapFactory
from launcelot.protocols.imap4.settings import Settings

__all__ = ["Settings", "build"]


def build(site: Site, settings: Settings) -> Listeners:
    """Listeners ``imap`` and, where the Site has a certificate, ``imaps``; they share one count of connections."""
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    plain = ImapFactory(site, "imap", count, settings)
    listeners = [Listener("imap", endpoint, plain) for endpoint in settings.listen]
    if site.has_tls:
        inside = ImapFactory(site, "imaps", count, settings, implicit_tls=True)
        listeners.extend(Listener("imaps", endpoint, inside) for endpoint in settings.listen_tls)
    return Listeners(site.reactor, listeners)
