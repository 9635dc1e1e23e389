"""Sending mail from one Site of a world to another, with the daemon's own relay, over the network in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcelot.core.counters import Counters
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.proxy import networks
from launcelot.relay.carrier import Relay
from launcelot.relay.connections import Connections
from launcelot.relay.demands import Demands
from launcelot.relay.hosts import Finder
from launcelot.relay.resolver import NamesResolver
from launcelot.relay.routes import parse_routes
from launcelot.relay.settings import RelaySettings
from launcelot.testing.services import HOST
from launcelot.workers.memory import InlineWorkers

NAME_SERVER = (HOST, 53)
"""Whom it asks."""


def relay_in(reactor: Any, clock: Any, hostname: str, random_bits: Callable[[int], int], counters: Counters) -> Relay:
    """
    A relay with the daemon's settings, which asks :data:`NAME_SERVER` and may reach this machine.

    :param reactor: of the Site.
    """
    settings = RelaySettings(enabled=True)
    resolver = NamesResolver(reactor, [NAME_SERVER])
    return Relay(
        settings,
        parse_routes(settings.routes),
        Finder(resolver, hostname, networks(["127.0.0.0/8"]), settings.port, random_bits),
        Demands(resolver, None),
        Connections(reactor, Deadlines(clock), hostname, settings, InlineWorkers()),
        clock,
        counters,
        InlineWorkers(),
        resolver.close,
    )
