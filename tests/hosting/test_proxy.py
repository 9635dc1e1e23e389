"""The PROXY protocol: headers, trust, and sessions behind them."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.hosting.exchange import Exchange
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.proxy import (
    HEADER_LIMIT,
    MAX_LINE,
    MAX_REST,
    Header,
    Malformed,
    crc32c,
    is_trusted,
    networks,
    parse,
)
from launcelot.hosting.transport import EagerServer
from launcelot.testing.link import Link, RawPeer, pieces_of
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from tests.hosting.bare import TalkerFactory, talker_factory
from tests.testing.conformance import Recorder

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n"
LINE6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 25\r\n"
CLIENT = (ipaddress.IPv4Address("192.0.2.7"), 56_324)
CLIENT6 = (ipaddress.IPv6Address("2001:db8::7"), 56_324)
ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 56_324, 25)
ADDRESSES6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 56_324, 25)
)


def binary(command: int, family: int, rest: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def extension(kind: int, value: bytes) -> bytes:
    """Type, length, value."""
    return struct.pack("!BH", kind, len(value)) + value


def checked(rest: bytes) -> bytes:
    """A header with its checksum as the first extension."""
    blank = binary(0x21, 0x11, ADDRESSES + extension(3, bytes(4)) + rest)
    at = 16 + len(ADDRESSES) + 3
    return blank[:at] + crc32c(blank).to_bytes(4, "big") + blank[at + 4 :]


WHOLE: dict[bytes, tuple[Any, int] | None] = {
    LINE: CLIENT,
    LINE6: CLIENT6,
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f...f:ffff whatever 1 2 3\r\n": None,
    b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 16) + b"\r\n": None,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": (ipaddress.IPv4Address("255.255.255.255"), 65_535),
    b"PROXY TCP4 1.2.3.4 1.2.3.4 0 0\r\n": (ipaddress.IPv4Address("1.2.3.4"), 0),
    binary(0x21, 0x11, ADDRESSES): CLIENT,
    binary(0x21, 0x21, ADDRESSES6): CLIENT6,
    binary(0x21, 0x31, bytes(216)): None,
    binary(0x21, 0x00, b""): None,
    binary(0x21, 0x00, extension(4, b"xx")): None,
    binary(0x20, 0x00, b""): None,
    binary(0x20, 0x11, ADDRESSES): None,
    binary(0x20, 0xFF, b"anything"): None,
    binary(0x21, 0x11, ADDRESSES + extension(1, b"h2") + extension(4, b"")): CLIENT,
    binary(0x21, 0x11, ADDRESSES + extension(4, bytes(MAX_REST - 15))): CLIENT,
    checked(extension(1, b"smtp")): CLIENT,
}
"""Headers, and the client each tells."""

WRONG: tuple[bytes, ...] = (
    b"EHLO example.com\r\n",
    b"\x16\x03\x01\x02\x00",
    b"PROXY",
    b"proxy TCP4 192.0.2.7 198.51.100.1 56324 25\r\n",
    b"PROXY  TCP4 192.0.2.7 198.51.100.1 56324 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25 \r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 65536\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 056324 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.1 56324 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100 56324 25\r\n",
    b"PROXY TCP4 192.0.02.7 198.51.100.1 56324 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 56324 25\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 56324 25\r\n",
    b"PROXY TCP6 2001:db8::7%lo 2001:db8::1 56324 25\r\n",
    b"PROXY UDP4 192.0.2.7 198.51.100.1 56324 25\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN\n",
    b"PROXY \xff\r\n",
    b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 15) + b"\r\n",
    SIGNATURE[:-1] + b"\r",
    binary(0x11, 0x11, ADDRESSES),
    binary(0x31, 0x11, ADDRESSES),
    binary(0x22, 0x11, ADDRESSES),
    binary(0x21, 0x12, ADDRESSES),
    binary(0x21, 0x32, bytes(216)),
    binary(0x21, 0x41, ADDRESSES),
    binary(0x21, 0x11, ADDRESSES[:-1]),
    binary(0x21, 0x21, ADDRESSES6[:-1]),
    binary(0x21, 0x31, bytes(215)),
    binary(0x21, 0x11, ADDRESSES + b"\x01"),
    binary(0x21, 0x11, ADDRESSES + b"\x01\x00\x02x"),
    binary(0x21, 0x11, ADDRESSES + extension(3, b"xxx")),
    binary(0x21, 0x11, ADDRESSES + extension(3, b"xxxx")),
    binary(0x21, 0x11, ADDRESSES + bytes(MAX_REST)),
)
"""What is no header; a beginning of one that ends here counts, too."""


class GrammarTests(SynchronousTestCase):
    """Headers alone."""

    def test_whole(self) -> None:
        """Each tells its client and its length, whatever follows."""
        for header, source in WHOLE.items():
            for behind in (b"", b"x", b"\r\n", LINE):
                self.assertEqual(Header(len(header), source), parse(header + behind), header)

    def test_every_beginning_needs_more(self) -> None:
        """No beginning of a header is taken for a whole one, or for a wrong one."""
        for header in WHOLE:
            for length in range(1, len(header)):
                self.assertIsNone(parse(header[:length]), header[:length])

    def test_wrong(self) -> None:
        """Nothing else is a header, whole or octet by octet."""
        for data in WRONG:
            if data != b"PROXY":
                self.assertRaises(Malformed, parse, data)
                self.assertRaises(Malformed, parse, data + b"PROXY")

    def test_never_waits_for_much(self) -> None:
        """What can be no header any more is told at once, so no more than a header's length is ever kept."""
        self.assertIsNone(parse(b"PROXY " + b"x" * (MAX_LINE - 7)))
        self.assertRaises(Malformed, parse, b"PROXY " + b"x" * (MAX_LINE - 6))
        self.assertRaises(Malformed, parse, SIGNATURE + b"\x21\x11\xff\xff")

    def test_checksum_of_the_standard(self) -> None:
        """The well-known value."""
        self.assertEqual(0xE3069283, crc32c(b"123456789"))


class TrustTests(SynchronousTestCase):
    """Who may tell."""

    def test_networks(self) -> None:
        """Addresses of both families, those of IPv4 inside IPv6 too; sockets without addresses never."""
        trusted = networks(["10.0.0.0/8", "::1/128", "192.0.2.1"])
        for host, expected in (
            ("10.255.0.1", True),
            ("11.0.0.1", False),
            ("192.0.2.1", True),
            ("192.0.2.2", False),
            ("::1", True),
            ("::2", False),
            ("::ffff:10.0.0.1", True),
            ("::ffff:11.0.0.1", False),
        ):
            kind = IPv6Address if ":" in host else IPv4Address
            self.assertEqual(expected, is_trusted(kind("TCP", host, 1), trusted), host)
        self.assertFalse(is_trusted(UNIXAddress("/x"), networks(["0.0.0.0/0", "::/0"])))
        self.assertFalse(is_trusted(None, networks(["0.0.0.0/0"])))
        self.assertFalse(is_trusted(IPv4Address("TCP", "127.0.0.1", 1), ()))

    def test_what_is_no_network(self) -> None:
        """Bits behind the prefix are somebody's mistake."""
        for text in ("10.0.0.1/8", "x", "10.0.0.0/33", ""):
            self.assertRaises(ValueError, networks, [text])


class SessionTests(SynchronousTestCase):
    """Sessions behind headers, on the memory network and a clock."""

    def setUp(self) -> None:
        """A network in which the peer of 127.0.0.1 is a balancer."""
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)

    def service(self, factory: TalkerFactory) -> Listeners:
        """A service behind balancers that listens."""
        listeners = Listeners(MemoryReactor(self.clock, self.network), [Listener("talk", "proxied:tcp:7001", factory)])
        listeners.trusted = networks(["127.0.0.0/8"])
        self.successResultOf(Deferred.fromCoroutine(listeners.listen()))
        return listeners

    def connect(self, listeners: Listeners, source: str = "127.0.0.1") -> Link:
        """A balancer that has connected, or somebody else."""
        peer = RawPeer()
        _, port = listeners.ports[0]
        self.network.join(peer, port, source)
        link = Link(self.network, peer, None)
        link.flush()
        return link

    def factory(self, per_source: int = 1000, implicit_tls: bool = False) -> TalkerFactory:
        """What makes sessions."""
        return talker_factory(self.clock, per_source=per_source, implicit_tls=implicit_tls)

    def test_every_split(self) -> None:
        """Header and first commands in one piece, octet by octet, and cut at every place: the same session."""
        for header in (LINE, checked(extension(1, b"x"))):
            said = header + b"one\r\ntwo\r\n"
            cuts: list[list[int]] = [[], list(range(1, len(said))), *([at] for at in range(1, len(said)))]
            for places in cuts:
                self.network = MemoryNetwork(self.clock)
                factory = self.factory()
                link = self.connect(self.service(factory))
                self.assertEqual(b"", link.take(), "nobody is greeted before the header")
                for piece in pieces_of(said, places):
                    link.say(piece)
                self.assertEqual(b"hello\r\n<one>\r\n<two>\r\n", link.take(), places)
                (session,) = factory.sessions
                self.assertEqual(("192.0.2.7", IPv4Address("TCP", "192.0.2.7", 56_324)), (session.source, session.peer))

    def test_clients_are_limited_each_for_itself(self) -> None:
        """Not the balancer as one source; what is refused is said behind the header."""
        listeners = self.service(self.factory(per_source=1))
        for line, heard in ((LINE, b"hello\r\n"), (LINE, b"full\r\n"), (LINE6, b"hello\r\n"), (LINE6, b"full\r\n")):
            link = self.connect(listeners)
            link.say(line)
            self.assertEqual(heard, link.take())

    def test_no_client_told(self) -> None:
        """The balancer's own address counts."""
        for header, source in WHOLE.items():
            if source is None:
                self.network = MemoryNetwork(self.clock)
                factory = self.factory()
                link = self.connect(self.service(factory))
                link.say(header)
                self.assertEqual(b"hello\r\n", link.take())
                self.assertEqual({"127.0.0.1"}, {one.source for one in factory.sessions})

    def test_wrong_headers(self) -> None:
        """Closed without a word, counted, and no session; the clock is clean afterwards."""
        factory = self.factory()
        listeners = self.service(factory)
        for number, data in enumerate(WRONG, 1):
            link = self.connect(listeners)
            link.say(data, chunk=1)
            if data == b"PROXY":
                link.half_close()
            self.assertEqual(b"", link.take())
            self.assertTrue(link.closed, data)
            self.assertEqual(number, factory.site.counters.value("talk.proxy.malformed"), data)
        self.assertEqual(0, factory.site.counters.value("talk.connections"))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_late(self) -> None:
        """Five seconds for the whole header, however it trickles."""
        factory = self.factory()
        link = self.connect(self.service(factory))
        for octet in range(int(HEADER_LIMIT)):
            self.assertFalse(link.closed)
            link.say(LINE[octet : octet + 1])
            self.clock.advance(1.0)
        self.assertTrue(link.closed)
        self.assertEqual(1, factory.site.counters.value("talk.proxy.late"))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_in_time(self) -> None:
        """The limit ends with the header."""
        link = self.connect(self.service(self.factory()))
        link.say(LINE)
        self.clock.advance(HEADER_LIMIT + 2)
        link.say(b"still here\r\n")
        self.assertEqual(b"hello\r\n<still here>\r\n", link.take())

    def test_untrusted(self) -> None:
        """Who is not in the networks is closed at once, right header or not."""
        factory = self.factory()
        listeners = self.service(factory)
        link = self.connect(listeners, "192.0.2.1")
        link.say(LINE)
        self.assertEqual((b"", True), (link.take(), link.closed))
        self.assertEqual(1, factory.site.counters.value("talk.proxy.untrusted"))
        self.assertEqual(0, len(factory.sessions))

    def test_health_check(self) -> None:
        """A balancer that connects and leaves is no fault."""
        factory = self.factory()
        self.connect(self.service(factory)).close()
        self.assertEqual({}, dict(factory.site.counters.snapshot()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_service_that_stops_meanwhile(self) -> None:
        """A header that is whole after the service has begun to stop gets no session."""
        factory = self.factory()
        link = self.connect(self.service(factory))
        factory.drain()
        link.say(LINE)
        self.assertEqual((b"", True), (link.take(), link.closed))

    def test_reload_between_connecting_and_the_header(self) -> None:
        """The session is the new service's."""
        listeners = self.service(self.factory())
        link = self.connect(listeners)
        after = self.factory()
        new = Listeners(MemoryReactor(self.clock, self.network), [Listener("talk", "proxied:tcp:7001", after)])
        new.trusted = listeners.trusted
        self.successResultOf(Deferred.fromCoroutine(Exchange([(listeners, new)]).run()))
        link.say(LINE)
        self.assertEqual(1, len(after.sessions))

    def test_plain_second_header(self) -> None:
        """Only the first header is one; a client that sends another behind it is not believed."""
        factory = self.factory()
        link = self.connect(self.service(factory))
        link.say(LINE + LINE6)
        self.assertEqual({"192.0.2.7"}, {one.source for one in factory.sessions})
        self.assertEqual(b"hello\r\n<" + LINE6[:-2] + b">\r\n", link.take())


class SocketTests(TestCase):
    """On real sockets, with our own transport, and TLS begun behind the header."""

    timeout = 120

    async def listening(self, implicit_tls: bool = False) -> tuple[Listeners, TalkerFactory]:
        """A service behind balancers of this machine."""
        clock: Any = reactor
        factory = talker_factory(clock, implicit_tls=implicit_tls)
        listeners = Listeners(reactor, [Listener("talk", "proxied:tcp:0:interface=127.0.0.1", factory)])
        listeners.trusted = networks(["127.0.0.1/32"])
        await listeners.listen()
        self.addCleanup(listeners.stopService)
        return listeners, factory

    async def test_commands_and_goodbye(self) -> None:
        """The session has our transport itself, so it sends early, sees the kernel's queue and closes as ever."""
        listeners, factory = await self.listening()
        peer = Recorder()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", listeners.listening[0].port), peer)
        peer.end.write(LINE + b"one\r\n")
        await peer.when(lambda: bytes(peer.heard) == b"hello\r\n<one>\r\n")
        (session,) = factory.sessions
        self.assertIsInstance(session.transport, EagerServer)
        self.assertEqual("192.0.2.7", session.source)
        peer.end.write(b"FLOOD 300000\r\nQUIT\r\n")
        await peer.when(lambda: len(peer.heard) > 300_000 and peer.heard.endswith(b"bye\r\n"))
        peer.end.loseConnection()
        await peer.when(lambda: peer.lost is not None)

    def secure(self, port: int, starts: bool) -> tuple[bytes, bytes]:
        """In a thread: a balancer's client that speaks TLS; what it heard first, and after a line."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            plain.sendall(binary(0x21, 0x11, ADDRESSES))
            if starts:
                heard = b""
                while heard != b"hello\r\ngo\r\n":
                    heard += plain.recv(100)
                    if heard == b"hello\r\n":
                        plain.sendall(b"STARTTLS\r\n")
            with context.wrap_socket(plain) as peer:
                first = b"" if starts else peer.recv(100)
                peer.sendall(b"inside\r\n")
                second = peer.recv(100)
                peer.sendall(b"QUIT\r\n")
                peer.recv(100)
                return first, second

    async def test_tls_from_the_first_octet(self) -> None:
        """The header stands before the handshake."""
        listeners, factory = await self.listening(implicit_tls=True)
        heard = await deferToThread(self.secure, listeners.listening[0].port, False)
        self.assertEqual((b"hello\r\n", b"<inside>\r\n"), heard)
        self.assertEqual(1, factory.site.counters.value("talk.connections"))

    async def test_tls_begun_by_command(self) -> None:
        """STARTTLS works as without a balancer."""
        listeners, _ = await self.listening()
        heard = await deferToThread(self.secure, listeners.listening[0].port, True)
        self.assertEqual((b"", b"<inside>\r\n"), heard)

    async def test_handshake_in_one_segment_with_the_header(self) -> None:
        """Octets of TLS behind the header reach TLS, and the session inside knows its client."""
        listeners, factory = await self.listening(implicit_tls=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
        peer = Recorder()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", listeners.listening[0].port), peer)
        peer.end.write(LINE6 + outgoing.read())
        await peer.when(lambda: len(peer.heard) > 500)
        (session,) = factory.sessions
        self.assertEqual((True, "2001:db8::7"), (session.secure, session.source))
        self.assertEqual(IPv6Address("TCP", "2001:db8::7", 56_324), session.peer)
        peer.end.loseConnection()
        await peer.when(lambda: peer.lost is not None)
