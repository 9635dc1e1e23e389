"""Our ports on real sockets: who is let in, with which options, and what a bug costs; connections that answer by returning."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from launcelot.hosting.datagrams import FairPort
from launcelot.hosting.transport import EagerPort, listen_tcp
from tests.hosting.turning import ReactorCase, Said

PATTERN = bytes(range(256)) * 2_000


class Returning(Said):
    """Returns what it has to say in place of writing it."""

    def respond(self, data: bytes) -> bytes:
        self._hear(self, data)
        return data.upper()


class PortCase(ReactorCase):
    """A port with any factory."""

    def port(self, build: Any, interface: str = "127.0.0.1") -> Any:
        """A port whose protocols are built so."""

        class Building(Factory):
            noisy = False

            def buildProtocol(inner, addr: Any) -> Any:
                return build(addr)

        port = listen_tcp(self.reactor, 0, Building(), interface)
        self.addCleanup(self.close, port)
        return port

    def peer(self, port: Any) -> socket.socket:
        """Somebody who knocks."""
        family = port.addressFamily
        one = socket.socket(family)
        self.addCleanup(one.close)
        one.settimeout(60)
        one.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", port.getHost().port))
        return one

    def said(self, kind: type[Said] = Said) -> Said:
        """One that will be dropped at the end."""
        one = kind(lambda server, data: None)
        self.addCleanup(self.drop, one)
        self.servers.append(one)
        return one


class AcceptingTests(PortCase):
    """Letting in."""

    def test_options_are_those_of_the_port(self) -> None:
        """No delay and keep-alive hold for a connection from the start, and it says so."""
        port = self.port(lambda addr: self.said())
        self.peer(port)
        self.reactor.iterate(5)
        end = self.servers[0].end
        self.assertTrue(end.getTcpNoDelay() and end.getTcpKeepAlive())
        self.assertTrue(end.has_options)

    def test_addresses(self) -> None:
        """The factory is told the peer's address, and the connection knows both, over IPv4 and IPv6."""
        for interface, kind in (("127.0.0.1", IPv4Address), ("::1", IPv6Address)):
            told: list[Any] = []
            port = self.port(lambda addr, told=told: told.append(addr) or self.said(), interface)
            peer = self.peer(port)
            self.reactor.iterate(5)
            end = self.servers[-1].end
            self.assertEqual((told[0].host, told[0].port), peer.getsockname()[:2])
            self.assertEqual(end.getPeer(), told[0])
            self.assertEqual((type(told[0]), end.getHost().port), (kind, port.getHost().port))
            self.assertIn(interface, f"{end!r} {end.logPrefix()}")

    def test_a_crowd_is_let_in(self) -> None:
        """Many at once in a few turns, more in each; one who comes alone later is let in at once, too."""
        port = self.port(lambda addr: self.said())
        port.numberAccepts = 1
        for _ in range(40):
            self.peer(port)
        for turns, expected in enumerate((1, 3, 7, 15, 31, 40), 1):
            self.reactor.iterate(5)
            self.assertEqual(len(self.servers), expected, turns)
        self.peer(port)
        self.reactor.iterate(5)
        self.assertEqual(len(self.servers), 41)

    def test_a_refused_peer_is_closed(self) -> None:
        """Where the factory builds nothing."""
        port = self.port(lambda addr: None)
        peer = self.peer(port)
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(1), b"")

    def test_a_bug_in_making_a_session_costs_that_one(self) -> None:
        """Out of the factory or out of connectionMade: logged; the port goes on."""

        class Broken(Protocol):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        def build(addr: Any) -> Any:
            made.append(addr)
            if len(made) == 1:
                raise ZeroDivisionError
            return Broken() if len(made) == 2 else self.said()

        made: list[Any] = []
        port = self.port(build)
        peers = [self.peer(port) for _ in range(3)]
        self.reactor.iterate(5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.reactor.iterate(0)
        self.assertTrue(port.connected)
        self.assertEqual(peers[0].recv(1), b"")
        self.assertRaises(ConnectionResetError, peers[1].recv, 1)
        self.servers[0].end.write(b"welcome")
        self.assertEqual(peers[2].recv(100), b"welcome")

    def test_errors_of_accepting_are_twisteds(self) -> None:
        """A peer that was gone before it was let in is told in the log, and the next one is let in."""
        port = self.port(lambda addr: self.said())
        port.socket = Failing(port.socket, errno.ECONNABORTED)
        self.peer(port)
        self.reactor.iterate(5)
        self.reactor.iterate(5)
        self.assertEqual(len(self.servers), 1)


class BindingTests(PortCase):
    """Sockets of ports that cannot be had."""

    def test_a_socket_that_cannot_be_bound_is_closed(self) -> None:
        """At once, for connections and for datagrams; who can be bound stays open."""
        made: list[socket.socket] = []

        class Watched(EagerPort):
            def createInternetSocket(self) -> socket.socket:
                made.append(super().createInternetSocket())
                return made[-1]

        class WatchedDatagrams(FairPort):
            def createInternetSocket(self) -> socket.socket:
                made.append(super().createInternetSocket())
                return made[-1]

        taken = self.port(lambda addr: None)
        number = taken.getHost().port
        self.assertRaises(CannotListenError, Watched(number, taken.factory, 5, "127.0.0.1", self.reactor).startListening)
        kind: Any = WatchedDatagrams
        first = kind(0, DatagramProtocol(), "127.0.0.1", 8192, self.reactor)
        first.startListening()
        self.addCleanup(first.connectionLost)
        second = kind(first.getHost().port, DatagramProtocol(), "127.0.0.1", 8192, self.reactor)
        self.assertRaises(CannotListenError, second.startListening)
        self.assertEqual([one.fileno() >= 0 for one in made], [False, True, False])


class Failing:
    """A listening socket whose next two looks fail."""

    def __init__(self, listening: socket.socket, number: int) -> None:
        self._listening = listening
        self._errors = [OSError(number, "gone")] * 2

    def accept(self) -> Any:
        """Fail, then accept."""
        if self._errors:
            raise self._errors.pop()
        return self._listening.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)


class RespondingTests(PortCase):
    """Protocols that return what is to be sent."""

    def joined(self, hear: Any) -> tuple[socket.socket, Returning]:
        """A peer and a server that does this as it hears."""
        port = self.port(lambda addr: self.said(Returning))
        peer = self.peer(port)
        self.reactor.iterate(5)
        server = self.servers[-1]
        server._hear = hear
        assert isinstance(server, Returning)
        return peer, server

    def test_what_is_returned_is_sent_in_the_same_turn(self) -> None:
        """Once, and without the reactor being asked for a write event."""
        peer, _ = self.joined(lambda server, data: None)
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"HELLO")
        self.assertEqual(self.reactor.getWriters(), [])

    def test_short_sends_keep_their_place(self) -> None:
        """What the kernel does not take is sent later, in front of what is returned and written later."""
        peer, server = self.joined(lambda server, data: None)
        server.end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        server.respond = lambda data: data * 20_000  # type: ignore[method-assign]
        for letter in (b"a", b"b", b"c"):
            peer.sendall(letter)
            self.reactor.iterate(5)
        server.end.write(b"end")
        expected = b"a" * 20_000 + b"b" * 20_000 + b"c" * 20_000 + b"end"
        self.assertEqual(self.read(peer, len(expected)), expected)

    def read(self, peer: socket.socket, octets: int) -> bytes:
        """So many octets, turning the reactor whenever none is there."""
        peer.setblocking(False)
        heard = b""
        for _ in range(20_000):
            try:
                heard += peer.recv(octets - len(heard))
            except BlockingIOError:
                self.reactor.iterate(0.001)
            if len(heard) == octets:
                break
        return heard

    def test_who_returns_nothing_may_write_and_close(self) -> None:
        """As in ``dataReceived``."""
        peer, server = self.joined(lambda server, data: None)

        def respond(data: bytes) -> bytes:
            server.end.write(b"bye")
            server.end.loseConnection()
            return b""

        server.respond = respond  # type: ignore[method-assign]
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual((peer.recv(100), peer.recv(100)), (b"bye", b""))
        self.assertIsNotNone(server.lost)

    def test_answering_a_peer_that_is_gone(self) -> None:
        """The loss is told at the end of the event."""

        def hear(server: Said, data: bytes) -> None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()

        peer, server = self.joined(hear)
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertIsNotNone(server.lost)

    def test_a_bug_ends_that_connection(self) -> None:
        """As one in ``dataReceived`` does."""

        def hear(server: Said, data: bytes) -> None:
            raise ZeroDivisionError

        peer, server = self.joined(hear)
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(server.lost)
        self.assertEqual(peer.recv(1), b"")
