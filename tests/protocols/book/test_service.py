"""The book's machines on real sockets, their datagrams, and their settings."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.rates import TokenBuckets
from launcelot.hosting.calling import CallError, TimedOut, Unreachable, Untrusted
from launcelot.hosting.conversation import ConversationFactory, call
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.inquiry import connect_datagrams
from launcelot.hosting.listening import Listening
from launcelot.protocols.book.blocks import BlocksClient
from launcelot.protocols.book.datagrams import (
    ASK,
    HERE,
    DiscoveryClient,
    DiscoveryServer,
    LengthClient,
    LengthServer,
    discover,
    is_neighbour,
)
from launcelot.protocols.book.greeting import GREETING, GreetingClient
from launcelot.protocols.book.service import Settings, build
from launcelot.protocols.book.sixteen import FAREWELL, SixteenClient
from launcelot.protocols.book.streamer import StreamerClient
from launcelot.protocols.book.upper import UpperClientFactory, upper
from launcelot.testing.site import memory_site

TCP = ("tcp:0:interface=127.0.0.1",)
UDP = ("udp:0:interface=127.0.0.1",)
PEER = ("127.0.0.1", 4000)


class Wire:
    """Takes the place of a UDP port where only sending matters."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.error: OSError | None = None

    def write(self, datagram: bytes, source: Any = None) -> None:
        """Remember, or fail."""
        if self.error is not None:
            raise self.error
        self.sent.append((datagram, source))

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Nothing to allow."""


class SettingsTests(SynchronousTestCase):
    """What listens by default."""

    def test_nothing(self) -> None:
        """No machine is on unless it is configured."""
        service = build(memory_site(tls=True).site, Settings())
        self.assertEqual((service.listeners, service.datagrams), ((), ()))

    def test_no_certificate_no_greeting(self) -> None:
        """A listener that could not speak is left out."""
        self.assertEqual(build(memory_site().site, Settings(listen_greeting=TCP)).listeners, ())

    def test_the_limits_count_all_machines_together(self) -> None:
        """One connection to each is two connections."""
        world = memory_site()
        settings = Settings(listen_sixteen=TCP, listen_upper=TCP, max_connections_per_source=1)
        first, second = build(world.site, settings).listeners
        world.connect(first.factory)
        self.assertTrue(world.connect(second.factory).closed)


class DatagramTests(SynchronousTestCase):
    """The datagram machines without a socket."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.wire = Wire()

    def length(self, datagram: bytes) -> list[bytes]:
        """What the length server says."""
        server = LengthServer(self.world.site, TokenBuckets(1000, 1000))
        server.makeConnection(cast(Any, self.wire))
        self.wire.sent.clear()
        server.datagramReceived(datagram, PEER)
        return [said for said, _ in self.wire.sent]

    def test_lengths(self) -> None:
        """The book's words, never more than 64 octets."""
        for octets in (0, 1, 22, 65_507):
            (said,) = self.length(b"a" * octets)
            self.assertEqual(said, b"Your data was %d bytes long" % octets)
            self.assertLess(len(said), 64)

    def test_an_answer_is_not_answered(self) -> None:
        """Not even one that was cut or has something behind it."""
        for answer in (b"Your data was 5 bytes long", b"Your data was ", b"Your data was 5 bytes long\n"):
            self.assertEqual(self.length(answer), [])

    def test_discovery(self) -> None:
        """Neighbours who ask are answered; broadcasts are logged."""
        server = DiscoveryServer(self.world.site, TokenBuckets(1000, 1000))
        server.makeConnection(cast(Any, self.wire))
        with capturedLogs() as logs:
            for datagram, host in (
                (ASK, "192.168.1.11"),
                (ASK, "8.8.8.8"),
                (b"Broadcast datagram!", "192.168.1.12"),
                (HERE, "127.0.0.1"),
            ):
                server.datagramReceived(datagram, (host, 1060))
        self.assertEqual(self.wire.sent, [(HERE, ("192.168.1.11", 1060))])
        self.assertEqual(len(logs), 1)
        self.assertEqual(self.world.site.counters.value("book-discovery-udp.ignored"), 3)

    def test_neighbours(self) -> None:
        """Private, link-local and loopback addresses, in both families."""
        for host in ("127.0.0.1", "10.1.1.1", "169.254.3.4", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1"):
            self.assertTrue(is_neighbour(host), host)
        for host in ("8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8"):
            self.assertFalse(is_neighbour(host), host)

    def test_the_length_client_wants_its_own_length(self) -> None:
        """An answer about another datagram is not taken."""
        clock = Clock()
        client = LengthClient(clock)
        client.makeConnection(cast(Any, self.wire))
        asked = client.send(b"abc")
        client.datagramReceived(b"Your data was 4 bytes long", PEER)
        self.assertNoResult(asked)
        client.datagramReceived(b"Your data was 3 bytes long", PEER)
        self.assertEqual(self.successResultOf(asked), b"Your data was 3 bytes long")
        lost = client.send(b"abcd")
        for _ in range(25):
            clock.advance(0.1)
        self.failureResultOf(lost, TimedOut)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_the_discovery_client(self) -> None:
        """It asks again, and has everybody once."""
        clock = Clock()
        client = DiscoveryClient(clock, ("255.255.255.255", 1069))
        client.makeConnection(cast(Any, self.wire))
        for _ in range(21):
            client.datagramReceived(HERE, PEER)
            client.datagramReceived(b"hm", ("127.0.0.9", 1))
            clock.advance(0.1)
        client.datagramReceived(HERE, ("127.0.0.2", 1))
        self.assertEqual(self.successResultOf(client.result), [PEER])
        self.assertEqual(self.wire.sent, [(ASK, ("255.255.255.255", 1069))] * 5)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_no_way_there(self) -> None:
        """It is told at once."""
        client = DiscoveryClient(Clock(), PEER)
        self.wire.error = OSError(101, "Network is unreachable")
        client.makeConnection(cast(Any, self.wire))
        self.failureResultOf(client.result, Unreachable)


class SocketTests(TestCase):
    """Real sockets on loopback."""

    async def listen(self, **changes: Any) -> dict[str, Listening]:
        """All machines on free ports, by name."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.world = memory_site(tls=True)
        site = replace(self.world.site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(reactor)
        endpoints: dict[str, Any] = {one.name: TCP for one in fields(Settings) if one.name.startswith("listen")}
        endpoints.update(listen_length=UDP, listen_discovery=UDP)
        service = build(site, Settings(**{**endpoints, **changes}))
        self.addCleanup(service.stopService)
        await service.listen()
        return {row.name: row for row in service.listening}

    def endpoint(self, row: Listening) -> TCP4ClientEndpoint:
        """Where a machine is."""
        return TCP4ClientEndpoint(self.reactor, row.host, row.port)

    async def test_every_client_and_its_server(self) -> None:
        """Sixteen octets, a stream and blocks."""
        rows = await self.listen()
        for name, factory, heard in (
            ("book-sixteen", ConversationFactory(SixteenClient, self.reactor), FAREWELL),
            ("book-streamer", ConversationFactory(StreamerClient, self.reactor, 10, [b"abc"] * 1000), b""),
            ("book-blocks", ConversationFactory(BlocksClient, self.reactor, 10, [b"abc"] * 1000), b""),
        ):
            self.assertEqual(await call(self.endpoint(rows[name]), factory), heard, name)

    async def test_the_greeting(self) -> None:
        """Under TLS that is verified, to its proper end."""
        rows = await self.listen()
        row = rows["book-greeting"]
        self.assertEqual(row.tls, "implicit")
        assert self.world.tls is not None
        for name in ("localhost", "other.test"):
            endpoint = wrapClientTLS(self.world.tls.client(name), self.endpoint(row))
            calling = Deferred.fromCoroutine(call(endpoint, ConversationFactory(GreetingClient, self.reactor)))
            if name == "localhost":
                self.assertEqual(await calling, GREETING)
            else:
                await self.assertFailure(calling, Untrusted)

    async def test_capitals_both_ways_at_once(self) -> None:
        """Sixteen MiB; and the book's client that writes all before it reads gets everything once it reads."""
        rows = await self.listen()
        row = rows["book-upper"]

        def pieces() -> Iterator[bytes]:
            for _ in range(256):
                yield b"abcdefgh" * 8_192

        heard = [0]

        def take(data: bytes) -> None:
            heard[0] += len(data)

        self.assertEqual(await upper(self.endpoint(row), UpperClientFactory(self.reactor, pieces(), take)), 16 << 20)
        self.assertEqual(heard[0], 16 << 20)

    async def test_a_plain_sockets_capitals(self) -> None:
        """With a small stream writing first is no harm."""
        rows = await self.listen()

        def talk() -> bytes:
            with socket.create_connection((rows["book-upper"].host, rows["book-upper"].port), 10) as peer:
                peer.sendall(b"capitalize this!" * 100)
                peer.shutdown(socket.SHUT_WR)
                heard = b""
                while piece := peer.recv(4096):
                    heard += piece
                return heard

        self.assertEqual(await deferToThread(talk), b"CAPITALIZE THIS!" * 100)

    async def test_the_books_streamer_shuts_its_reading_side(self) -> None:
        """And is not reset while it writes."""
        rows = await self.listen()

        def talk() -> None:
            with socket.create_connection((rows["book-streamer"].host, rows["book-streamer"].port), 10) as peer:
                peer.shutdown(socket.SHUT_RD)
                for _ in range(100):
                    peer.sendall(b"Beautiful is better than ugly.\n")

        with capturedLogs() as logs:
            await deferToThread(talk)
            # The next session's end comes behind this one's.
            await call(self.endpoint(rows["book-sixteen"]), ConversationFactory(SixteenClient, self.reactor))
        self.assertIn("3100 octets", [event.get("outcome") for event in logs])

    async def test_a_greeting_that_is_cut(self) -> None:
        """Without close_notify it is no greeting."""
        rows = await self.listen()
        assert self.world.tls is not None
        endpoint = wrapClientTLS(self.world.tls.client("localhost"), self.endpoint(rows["book-greeting"]))
        client = await endpoint.connect(ConversationFactory(CutShort, self.reactor))
        await self.assertFailure(cast(CutShort, client).result, CallError)

    async def test_datagrams(self) -> None:
        """The length of one, and who is there."""
        rows = await self.listen()
        client = LengthClient(self.reactor)
        length = rows["book-length-udp"]
        await connect_datagrams(self.reactor, length.host, length.port, client)
        self.addCleanup(client.close)
        self.assertEqual(await client.send(b"This is another message"), b"Your data was 23 bytes long")
        row = rows["book-discovery-udp"]
        self.assertEqual(await discover(self.reactor, (row.host, row.port), 0.3), [(row.host, row.port)])


class CutShort(GreetingClient):
    """Has its connection cut behind the first octets, as a thief of the rest would."""

    def dataReceived(self, data: bytes) -> None:
        """Take it, and cut below TLS."""
        super().dataReceived(data[:5])
        layer: Any = self.transport
        layer.transport.abortConnection()
