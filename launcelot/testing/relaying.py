"""
Sending mail from one Site of a world to another, as the daemon does, over the network in memory.

It is tried again, given up, and its sender told; senders of what is passed on are rewritten where the Site's domain has a dot.
Left out: MTA-STS, whose policies are asked for over HTTPS, which nobody serves in a world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from launcelot.app.relaying import Addressing, EverywhereOutbound, schedule_of
from launcelot.core.counters import Counters
from launcelot.core.errors import NotFound
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.proxy import networks
from launcelot.message.address import Address, domain_key
from launcelot.relay.carrier import Relay
from launcelot.relay.connections import Connections
from launcelot.relay.demands import Demands
from launcelot.relay.hosts import Finder
from launcelot.relay.resolver import NamesResolver
from launcelot.relay.routes import parse_routes
from launcelot.relay.settings import RelaySettings
from launcelot.spool.forwarding import Forwarding
from launcelot.spool.notices import Notices
from launcelot.testing.post import Post
from launcelot.testing.services import HOST
from launcelot.testing.ways import Stores, Ways
from launcelot.workers.memory import InlineWorkers

NAME_SERVER = (HOST, 53)
"""Whom it asks."""


class MemoryForwarding(Forwarding):
    """
    Rewrites senders, and remembers as long as the world lasts.

    :param secret: of this Site.
    """

    def __init__(self, domain: str, now: Callable[[], float], secret: bytes) -> None:
        self._domain = domain_key(domain)
        self._now = now
        self._known: dict[str, tuple[Address, int]] = {}
        self._secret = secret

    async def remember(self, token: str, sender: Address, oldest: int) -> None:
        """See :meth:`launcelot.spool.forwarding.Forwarding.remember`."""
        self._known = {known: one for known, one in self._known.items() if one[1] >= oldest}
        self._known[token] = (sender, self._day())

    def remembered(self, token: str) -> Address:
        """See :meth:`launcelot.spool.forwarding.Forwarding.remembered`."""
        if token not in self._known:
            raise NotFound("its sender is not remembered any more")
        return self._known[token][0]

    def secrets(self) -> list[bytes]:
        """The one there is."""
        return [self._secret]


class Relayed(Ways):
    """
    It goes there by SMTP, with the daemon's settings but for those that are given; :data:`NAME_SERVER` is asked for the way.

    :param reactor: of the Site, in whose network other Sites are.
    :param clock: the world's.
    :param wall_clock: its time in seconds.
    :param seed: of chance.
    :param settings: of ``[relay]``, such as ``{"lifetime": 3_600.0}``.
    :ivar relay: once the Site is made.
    """

    relay: Relay

    def __init__(
        self,
        reactor: Any,
        clock: Any,
        wall_clock: Callable[[], float],
        domain: str,
        hostname: str,
        seed: int,
        settings: Mapping[str, Any],
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._wall_clock = wall_clock
        self._domain = domain
        self._hostname = hostname
        self._random = Random(seed)
        self._settings = RelaySettings(**{"enabled": True, **settings})
        self.schedule = replace(schedule_of(self._settings), chance=self._random.random)
        if self._settings.srs and "." in domain:
            self.forwarding = MemoryForwarding(domain, wall_clock, self._random.randbytes(32))

    def outbound(self, stores: Stores) -> EverywhereOutbound:
        """To everybody."""
        return EverywhereOutbound(stores.accounts, stores.staging, self._settings, self.forwarding)

    def carrier(self, post: Post, counters: Counters) -> Relay:
        """The relay."""
        settings, resolver = self._settings, NamesResolver(self._reactor, [NAME_SERVER])
        self.relay = Relay(
            settings,
            parse_routes(settings.routes),
            Finder(resolver, self._hostname, networks(["127.0.0.0/8"]), settings.port, self._random.getrandbits),
            Demands(resolver, None),
            Connections(self._reactor, Deadlines(self._clock), self._hostname, settings, InlineWorkers()),
            self._clock,
            counters,
            InlineWorkers(),
            resolver.close,
        )
        return self.relay

    def notices(self, stores: Stores, new_id: Callable[[], str]) -> Notices:
        """To senders here and elsewhere."""
        addressees = Addressing(stores.accounts, True, self.forwarding)
        return Notices(self._hostname, self._domain, addressees, new_id, self._wall_clock, self._settings.lifetime)
