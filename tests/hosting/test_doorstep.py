"""A port for one guest, on real sockets, the reactor turned by hand."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from launcelot.hosting.descriptors import LOOK_INTERVAL
from launcelot.hosting.doorstep import MOST_OCTETS, Doorstep
from launcelot.hosting.transport import READ_OCTETS
from tests.hosting.turning import ReactorCase, Said


class Door(Factory):
    """Lets in whom the test lets in."""

    noisy = False

    def __init__(self, servers: list[Said]) -> None:
        self.servers = servers
        self.asked: list[Any] = []
        self.open = True
        self.broken = False

    def buildProtocol(self, addr: Any) -> Said | None:
        """A protocol, none, or a bug."""
        self.asked.append(addr)
        if self.broken:
            raise ZeroDivisionError
        if not self.open:
            return None
        self.servers.append(Said(lambda server, data: server.end.write(b"heard " + data)))
        return self.servers[-1]


class DoorstepTests(ReactorCase):
    """:class:`Doorstep`."""

    def setUp(self) -> None:
        """Somebody to ask."""
        super().setUp()
        self.factory = Door(self.servers)

    def doorstep(self, host: str = "127.0.0.1", port: int = 0) -> Doorstep:
        """One that is closed at the end."""
        made = Doorstep(self.reactor, host, port, self.factory)
        self.addCleanup(made.stopListening)
        return made

    def knock(self, doorstep: Doorstep) -> socket.socket:
        """A peer that connects."""
        where = doorstep.getHost()
        peer = socket.create_connection((where.host, where.port), 5)
        self.addCleanup(peer.close)
        return peer

    def test_guest_comes_in_and_the_door_is_gone(self) -> None:
        """One is let in, is heard once it is resumed, and nobody can connect any more."""
        for host, kind in (("127.0.0.1", IPv4Address), ("::1", IPv6Address)):
            doorstep = self.doorstep(host)
            where = doorstep.getHost()
            self.assertIsInstance(where, kind)
            peer = self.knock(doorstep)
            self.reactor.iterate(1)
            server = self.servers[-1]
            self.addCleanup(self.drop, server)
            self.assertEqual(doorstep.fileno(), -1)
            self.assertRaises(ConnectionRefusedError, socket.create_connection, (where.host, where.port), 5)
            self.assertEqual(server.end.getPeer().host, host)
            peer.sendall(b"you")
            self.reactor.iterate(0.01)
            peer.setblocking(False)
            self.assertRaises(BlockingIOError, peer.recv, 100)
            server.end.resumeProducing()
            self.reactor.iterate(1)
            self.assertEqual(peer.recv(100), b"heard you")
            self.assertRaises(OSError, doorstep.getHost)

    def guest(self) -> tuple[socket.socket, list[bytes]]:
        """One that is let in and heard, and what it is heard to say; an empty piece is its end."""
        heard: list[bytes] = []
        peer = self.knock(self.doorstep())
        self.reactor.iterate(1)
        server = self.servers[-1]
        self.addCleanup(self.drop, server)
        self.patch(server, "_hear", lambda _, data: heard.append(data))
        self.patch(server, "connectionLost", lambda _: heard.append(b""))
        server.end.resumeProducing()
        return peer, heard

    def test_little_and_its_end_are_one_event(self) -> None:
        """Who sends a little and closes is heard to the end in one turn; who pauses behind it is heard later."""
        peer, heard = self.guest()
        peer.sendall(b"all")
        peer.close()
        self.reactor.iterate(1)
        self.assertEqual(heard, [b"all", b""])
        peer, heard = self.guest()
        for piece in (b"one", b"two"):
            peer.sendall(piece)
            self.reactor.iterate(1)
        self.assertEqual(heard, [b"one", b"two"])

    def test_much_is_taken_in_larger_pieces(self) -> None:
        """Pieces grow while they are full, up to a bound."""
        peer, heard = self.guest()
        peer.setblocking(False)
        sent = 0
        while sent < 30 * MOST_OCTETS:
            try:
                while True:
                    sent += peer.send(bytes(MOST_OCTETS))
            except BlockingIOError:
                self.reactor.iterate(0.1)
        sizes = [len(piece) for piece in heard]
        self.assertEqual(sizes[0], READ_OCTETS)
        self.assertGreater(max(sizes), READ_OCTETS)
        self.assertLessEqual(max(sizes), MOST_OCTETS)

    def test_who_is_paused_is_not_read_on(self) -> None:
        """A guest that is paused by what it said keeps the rest to itself."""
        peer, heard = self.guest()
        server = self.servers[-1]

        def pause(_: Said, data: bytes) -> None:
            heard.append(data)
            server.end.pauseProducing()

        self.patch(server, "_hear", pause)
        peer.sendall(b"first")
        peer.close()
        self.reactor.iterate(1)
        self.reactor.iterate(0.01)
        self.assertEqual(heard, [b"first"])
        server.end.resumeProducing()
        self.reactor.iterate(1)
        self.assertEqual(heard, [b"first", b""])

    def test_strangers_are_turned_away(self) -> None:
        """Who is refused is closed, and the door stays for the guest."""
        doorstep = self.doorstep()
        self.factory.open = False
        stranger = self.knock(doorstep)
        self.reactor.iterate(1)
        self.assertEqual(stranger.recv(1), b"")
        self.factory.open = True
        self.knock(doorstep)
        self.reactor.iterate(1)
        self.addCleanup(self.drop, self.servers[-1])
        self.assertEqual((len(self.factory.asked), doorstep.fileno()), (2, -1))

    def test_port_is_free_at_once(self) -> None:
        """Whoever stops listening may listen there again in the same turn, and a port that is taken is told of."""
        first = self.doorstep()
        number = first.getHost().port
        self.assertRaises(CannotListenError, Doorstep, self.reactor, "127.0.0.1", number, self.factory)
        first.stopListening()
        first.stopListening()
        self.assertEqual(self.doorstep(port=number).getHost().port, number)
        self.assertRaises(CannotListenError, Doorstep, self.reactor, "192.0.2.1", 0, self.factory)

    def test_bug_of_a_session_costs_its_connection_only(self) -> None:
        """It is logged, the peer is closed, and the door stays."""
        doorstep = self.doorstep()
        self.factory.broken = True
        peer = self.knock(doorstep)
        self.reactor.iterate(1)
        self.assertEqual(peer.recv(1), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNotEqual(doorstep.fileno(), -1)

    def test_no_descriptors_left(self) -> None:
        """While there is none for the guest the reactor is not told of it over and over; later it comes in."""
        doorstep = self.doorstep()
        self.knock(doorstep)
        real = doorstep._socket

        class Full:
            """Cannot accept."""

            def accept(self) -> None:
                """Fail as the kernel does."""
                raise OSError(errno.EMFILE, "too many open files")

            def fileno(self) -> int:
                """The real one's."""
                return real.fileno() if real is not None else -1

        full: Any = Full()
        doorstep._socket = full
        self.reactor.iterate(1)
        self.assertNotIn(doorstep, self.reactor.getReaders())
        doorstep._socket = real
        [call] = self.reactor.getDelayedCalls()
        self.assertLessEqual(call.getTime() - self.reactor.seconds(), LOOK_INTERVAL)
        call.reset(0)
        self.reactor.iterate(0)
        self.reactor.iterate(1)
        self.addCleanup(self.drop, self.servers[-1])
        self.assertEqual(len(self.servers), 1)

    def test_closing_forgets_the_wait(self) -> None:
        """A door that waits for descriptors and is closed leaves nothing behind."""
        doorstep = self.doorstep()
        doorstep._later = self.reactor.callLater(60, lambda: None)
        doorstep.connectionLost(None)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
