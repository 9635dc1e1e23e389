"""The book's machines as one service: its settings and its listeners, none of which there is unless it is configured."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.limits import ConnectionCount
from launcelot.core.rates import TokenBuckets
from launcelot.core.settings import setting
from launcelot.hosting.datagrams import DatagramListener
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.book.blocks import BlocksServer
from launcelot.protocols.book.datagrams import DiscoveryServer, LengthServer
from launcelot.protocols.book.greeting import GreetingServer
from launcelot.protocols.book.serving import BookFactory, BookServer
from launcelot.protocols.book.sixteen import SixteenServer
from launcelot.protocols.book.streamer import StreamerServer
from launcelot.protocols.book.upper import UpperServer

BURST_SECONDS = 5.0
"""A source that was silent for that long may send at once what it might have sent meanwhile."""


@dataclass(frozen=True)
class Settings:
    """Settings of the book's machines."""

    listen_sixteen: tuple[str, ...] = setting((), "Endpoints that exchange sixteen octets (chapter 3).")
    listen_upper: tuple[str, ...] = setting((), "Endpoints that say in capitals what they hear (chapter 3).")
    listen_streamer: tuple[str, ...] = setting((), "Endpoints that hear a stream to its end (chapter 5).")
    listen_blocks: tuple[str, ...] = setting((), "Endpoints that hear blocks behind their length (chapter 5).")
    listen_greeting: tuple[str, ...] = setting((), "Endpoints that say a sentence under TLS (chapter 6).")
    listen_length: tuple[str, ...] = setting((), "UDP endpoints that say how long a datagram was (chapter 2).")
    listen_discovery: tuple[str, ...] = setting(
        (), "UDP endpoints that log broadcasts, and answer neighbours who ask (chapter 2)."
    )
    idle_timeout: float = setting(
        60.0, "How long a peer may be silent; for sixteen octets, in all.", unit="seconds", minimum=1, maximum=86_400
    )
    max_stream: int = setting(1 << 30, "Longest stream, and longest sum of blocks.", unit="octets", minimum=1)
    max_block: int = setting(1 << 20, "Longest block.", unit="octets", minimum=1, maximum=(1 << 32) - 1)
    datagram_rate: float = setting(
        100.0,
        "Datagrams that one IPv4 address or IPv6 /64 may send for ever; five times as many at once. Others are dropped.",
        unit="datagrams per second",
        minimum=0.1,
    )
    max_connections: int = setting(1_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def build(site: Site, settings: Settings) -> Listeners:
    """The service; the greeting is left out where the Site has no certificate."""
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    machines: list[tuple[str, type[BookServer], tuple[str, ...]]] = [
        ("book-sixteen", SixteenServer, settings.listen_sixteen),
        ("book-upper", UpperServer, settings.listen_upper),
        ("book-streamer", StreamerServer, settings.listen_streamer),
        ("book-blocks", BlocksServer, settings.listen_blocks),
    ]
    if site.has_tls:
        machines.append(("book-greeting", GreetingServer, settings.listen_greeting))
    listeners: list[Listener] = []
    for name, protocol, endpoints in machines:
        factory = BookFactory(site, name, count, settings, protocol, protocol is GreetingServer)
        listeners += [Listener(name, endpoint, factory) for endpoint in endpoints]
    rates = TokenBuckets(settings.datagram_rate, max(1.0, BURST_SECONDS * settings.datagram_rate))
    datagrams = [
        *(DatagramListener("book-length-udp", one, LengthServer(site, rates)) for one in settings.listen_length),
        *(DatagramListener("book-discovery-udp", one, DiscoveryServer(site, rates)) for one in settings.listen_discovery),
    ]
    return Listeners(site.reactor, listeners, datagrams)
