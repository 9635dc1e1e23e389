"""Our connections on real sockets: what leaves when, short sends, ends, producers, TLS; the reactor is turned by hand."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import epollreactor, reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, connectionDone
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from launcelot.core.limits import ConnectionCount
from launcelot.hosting.transport import AT_ONCE, listen_tcp
from tests.hosting.bare import TalkerFactory, bare_site
from tests.hosting.turning import ReactorCase, Said
from tests.testing.certificates import contexts
from tests.testing.conformance import PullProducer, PushProducer

PATTERN = bytes(range(256)) * 4_000
"""A megabyte in which a lost, doubled or moved octet shows."""


def ignore(server: Said, data: bytes) -> None:
    """Hear and do nothing."""


class TransportCase(ReactorCase):
    """Peers with small buffers, read bit by bit."""

    def joined(self, hear: Callable[[Said, bytes], None] = ignore) -> tuple[socket.socket, Said]:
        """A peer and the server's protocol."""
        peer = self.connect(self.listen(hear))
        return peer, self.servers[-1]

    def narrow(self, hear: Callable[[Said, bytes], None] = ignore) -> tuple[socket.socket, Said]:
        """The same, where the kernel takes a few KiB at a time."""
        peer, server = self.joined(hear)
        server.end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return peer, server

    def read(self, peer: socket.socket, octets: int) -> bytes:
        """So many octets, turning the reactor whenever none is there."""
        peer.setblocking(False)
        heard = b""
        for _ in range(20_000):
            try:
                piece = peer.recv(octets - len(heard))
            except BlockingIOError:
                self.reactor.iterate(0.001)
                continue
            heard += piece
            if not piece or len(heard) == octets:
                break
        return heard

    def turn_until(self, happened: Callable[[], bool]) -> None:
        """Turn the reactor until something has happened."""
        for _ in range(1000):
            if happened():
                return
            self.reactor.iterate(0.01)
        self.fail("it did not happen")


class SendingTests(TransportCase):
    """Everything arrives once and in order, however little the kernel takes."""

    def test_short_sends_at_the_end_of_a_read_event(self) -> None:
        """A small, a middling and a large answer to one read event each arrive whole through a narrow pipe."""
        for size in (100, AT_ONCE - 1, AT_ONCE + 1, 500_000):
            peer, _ = self.narrow(lambda server, data, size=size: server.end.write(PATTERN[:size]))  # type: ignore[misc]
            peer.sendall(b"go")
            self.reactor.iterate(5)
            self.assertEqual(self.read(peer, size), PATTERN[:size])

    def test_short_sends_between_events(self) -> None:
        """So do pieces written one after the other while no event is handled."""
        peer, server = self.narrow()
        for start in range(0, 300_000, 10_000):
            server.end.write(PATTERN[start : start + 10_000])
        self.assertEqual(self.read(peer, 300_000), PATTERN[:300_000])
        self.assertEqual(self.reactor.getWriters(), [])

    def test_pieces_of_one_event_leave_together(self) -> None:
        """Writes of one read event are one send."""

        def hear(server: Said, data: bytes) -> None:
            server.end.write(b"one ")
            server.end.writeSequence([b"two ", b"three "])
            server.end.write(b"four")
            self.assertRaises(BlockingIOError, peer.recv, 100)

        peer, _ = self.joined(hear)
        peer.setblocking(False)
        peer.sendall(b"go")
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"one two three four")

    def test_writes_behind_a_short_send_keep_their_place(self) -> None:
        """What a later read event writes comes behind what an earlier one could not send."""
        peer, _ = self.narrow(lambda server, data: server.end.write(data * 10_000))
        for letter in (b"a", b"b", b"c"):
            peer.sendall(letter)
            self.reactor.iterate(5)
        self.assertEqual(self.read(peer, 30_000), b"a" * 10_000 + b"b" * 10_000 + b"c" * 10_000)

    def test_between_events_it_leaves_at_once(self) -> None:
        """A write outside of every event has left before the reactor turns again."""
        peer, server = self.joined()
        server.end.write(b"notice")
        self.assertEqual(peer.recv(100), b"notice")

    def test_from_a_thread(self) -> None:
        """What a thread's result makes us write leaves when the reactor has taken the result."""
        peer, server = self.joined()
        thread = threading.Thread(target=self.reactor.callFromThread, args=(server.end.write, b"stored"))
        thread.start()
        thread.join()
        self.reactor.iterate(0)
        self.assertEqual(peer.recv(100), b"stored")

    def test_who_writes_for_long_is_made_to_wait(self) -> None:
        """Past AT_ONCE octets between events a write waits for the reactor, though the peer would take it."""
        peer, server = self.joined()
        piece = AT_ONCE // 4
        for _ in range(4):
            server.end.write(PATTERN[:piece])
            self.assertEqual(len(peer.recv(piece, socket.MSG_WAITALL)), piece)
        self.assertEqual(self.reactor.getWriters(), [])
        server.end.write(b"later")
        self.assertEqual(self.reactor.getWriters(), [server.end])
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"later")
        server.end.write(b"at once again")
        self.assertEqual(peer.recv(100), b"at once again")

    def test_not_octets(self) -> None:
        """Anything but bytes is refused as Twisted refuses it, and nothing is written for nothing."""
        peer, server = self.joined()
        for wrong in ("text", bytearray(b"mutable"), None):
            self.assertRaises(TypeError, server.end.write, wrong)
        server.end.write(b"")
        self.assertEqual(self.reactor.getWriters(), [])
        server.end.write(b"right")
        self.assertEqual(peer.recv(100), b"right")


class EndingTests(TransportCase):
    """Closing, aborting and being left."""

    def test_abort_inside_a_read_event(self) -> None:
        """Neither what was written before an abort nor what is written after it is sent; the peer sees a reset."""

        def hear(server: Said, data: bytes) -> None:
            server.end.write(b"before")
            server.end.abortConnection()
            server.end.write(b"after")

        peer, server = self.joined(hear)
        peer.sendall(b"go")
        self.turn_until(lambda: server.lost is not None)
        self.assertRaises(ConnectionResetError, peer.recv, 100)

    def test_abort_between_events(self) -> None:
        """The same outside of a read event."""
        peer, server = self.joined()
        server.end.abortConnection()
        server.end.write(b"after")
        self.turn_until(lambda: server.lost is not None)
        self.assertRaises(ConnectionResetError, peer.recv, 100)

    def test_answer_and_close_in_one_event(self) -> None:
        """An answer followed by a close arrives, then the end, and the server has gone in that very turn."""

        def hear(server: Said, data: bytes) -> None:
            server.end.write(b"bye")
            server.end.loseConnection()

        peer, server = self.joined(hear)
        peer.sendall(b"go")
        self.reactor.iterate(5)
        self.assertIsNotNone(server.lost)
        self.assertEqual((peer.recv(100), peer.recv(100)), (b"bye", b""))

    def test_close_waits_for_what_is_unsent(self) -> None:
        """A close behind a large answer, in one event and between events, loses nothing."""

        def hear(server: Said, data: bytes) -> None:
            server.end.write(PATTERN)
            server.end.loseConnection()

        peer, server = self.narrow(hear)
        peer.sendall(b"go")
        self.assertEqual(self.read(peer, len(PATTERN) + 1), PATTERN)
        peer, server = self.narrow()
        hear(server, b"")
        self.assertEqual(self.read(peer, len(PATTERN) + 1), PATTERN)
        self.turn_until(lambda: server.lost is not None)
        self.assertIsNotNone(server.lost and server.lost.check(ConnectionDone))

    def test_sent_before_the_end_of_a_read_event(self) -> None:
        """What is to be sent now has left in the middle of the event; what the kernel does not take yet comes in its turn."""

        def hear(server: Said, data: bytes) -> None:
            server.end.write(PATTERN[: int(data)])
            server.end.send_now()
            sent.append(server.end.all_sent)
            server.end.loseConnection()

        sent: list[bool] = []
        for size in (10, 60_000):
            peer, server = self.narrow(hear)
            peer.sendall(b"%d" % size)
            self.reactor.iterate(5)
            self.assertEqual(self.read(peer, size + 1), PATTERN[:size])
            self.turn_until(lambda server=server: server.lost is not None)  # type: ignore[misc]
        self.assertEqual(sent, [True, False])
        self.assertEqual(self.reactor.getWriters(), [])

    def test_an_end_on_both_sides(self) -> None:
        """Where neither side has anything more to say the connection is over, whether somebody knows of half-closes or not."""

        @implementer(IHalfCloseableProtocol)
        class Half(Said):
            def readConnectionLost(self) -> None:
                raise NotImplementedError

            def writeConnectionLost(self) -> None:
                pass

        peer, server = self.joined()
        server.__class__ = Half
        server.end.loseWriteConnection()
        self.reactor.iterate(0)
        self.assertEqual(peer.recv(100), b"")
        peer.shutdown(socket.SHUT_WR)
        self.turn_until(lambda: server.lost is not None)
        self.assertIsNotNone(server.lost and server.lost.check(ConnectionDone))

    def test_half_close_is_answered_in_its_turn(self) -> None:
        """The peer's half-close, the answer to it and our close are one turn."""

        @implementer(IHalfCloseableProtocol)
        class Half(Said):
            def readConnectionLost(self) -> None:
                self.end.write(b"that was all")
                self.end.loseConnection()

            def writeConnectionLost(self) -> None:
                raise NotImplementedError

        peer, server = self.joined()
        server.__class__ = Half
        peer.shutdown(socket.SHUT_WR)
        self.reactor.iterate(5)
        self.assertIsNotNone(server.lost and server.lost.check(ConnectionDone))
        self.assertEqual((peer.recv(100), peer.recv(100)), (b"that was all", b""))

    def test_writing_to_a_peer_that_is_gone(self) -> None:
        """A write between events to a peer that reset the connection raises nothing; the loss is told later, as one."""
        peer, server = self.joined()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        server.end.write(b"anybody there")
        self.assertIsNone(server.lost)
        self.turn_until(lambda: server.lost is not None)
        self.assertIsNotNone(server.lost and server.lost.check(ConnectionLost))

    def test_answering_a_peer_that_is_gone(self) -> None:
        """The same in a read event: told at its end."""

        def hear(server: Said, data: bytes) -> None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            server.end.write(b"anybody there")

        peer, server = self.joined(hear)
        peer.sendall(b"go")
        self.reactor.iterate(5)
        self.assertIsNotNone(server.lost and server.lost.check(ConnectionLost))


class ProducerTests(TransportCase):
    """Producers are paused, resumed and pulled."""

    def test_push_producer(self) -> None:
        """Paused while the peer does not read, resumed as it does, wherever it began to write."""
        for inside in (False, True):
            peer, server = self.narrow(lambda server, data: server.end.producer.resumeProducing())
            producer = PushProducer(server.end, 60, PATTERN[:10_000])
            server.end.registerProducer(producer, True)
            if inside:
                peer.sendall(b"go")
                self.reactor.iterate(5)
            else:
                producer.resumeProducing()
            self.assertTrue(producer.paused and producer.left > 0)
            self.assertEqual(self.read(peer, 600_000), PATTERN[:10_000] * 60)
            self.assertGreater(producer.pauses, 1)

    def test_pull_producer(self) -> None:
        """Asked for the next piece when the last has left; one that begins in a read event is asked at its end."""
        for inside in (False, True):
            made: list[PullProducer] = []

            def begin(server: Said, data: bytes, made: list[PullProducer] = made) -> None:
                made.append(PullProducer(server.end, 40, PATTERN[:10_000]))
                server.end.registerProducer(made[0], False)

            peer, server = self.narrow(begin)
            if inside:
                peer.sendall(b"go")
                self.reactor.iterate(5)
            else:
                begin(server, b"")
            self.assertEqual(self.read(peer, 400_000), PATTERN[:10_000] * 40)
            self.assertEqual(made[0].left, 0)


class TLSTests(TransportCase):
    """TLS above our connections."""

    def handshaken(self, peer: socket.socket) -> ssl.SSLSocket:
        """A client's TLS on a socket, turning the reactor until it is up."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        peer.setblocking(False)
        secure = context.wrap_socket(peer, do_handshake_on_connect=False)
        self.addCleanup(secure.close)
        self.turn_until(lambda: self.shaken(secure))
        return secure

    def shaken(self, secure: ssl.SSLSocket) -> bool:
        """Whether the handshake is done, after another step."""
        try:
            secure.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def heard(self, secure: ssl.SSLSocket, octets: int) -> bytes:
        """So many octets in the clear."""
        found = b""
        for _ in range(10_000):
            try:
                found += secure.recv(octets - len(found))
            except ssl.SSLWantReadError:
                self.reactor.iterate(0.01)
            if len(found) >= octets:
                break
        return found

    def test_by_the_stream_core(self) -> None:
        """A session behind implicit TLS answers, and floods, over a real socket."""
        factory = TalkerFactory(bare_site(self.reactor), "talk", ConnectionCount(9, 9), implicit_tls=True)
        port = listen_tcp(self.reactor, 0, factory, "127.0.0.1")
        self.addCleanup(self.close, port)
        secure = self.handshaken(socket.create_connection(("127.0.0.1", port.getHost().port), 5))
        self.assertEqual(self.heard(secure, 7), b"hello\r\n")
        secure.send(b"one\r\nFLOOD 300000\r\n")
        self.assertEqual(self.heard(secure, 300_007), b"<one>\r\n" + b"x" * 300_000)
        secure.send(b"QUIT\r\n")
        self.assertEqual(self.heard(secure, 5), b"bye\r\n")
        secure.close()
        self.turn_until(lambda: not factory.sessions)


class OwnStartTests(TestCase):
    """The transport's own ``startTLS``, which runs on the process's reactor."""

    timeout = 120

    def test_behind_an_answer_in_the_clear(self) -> Deferred[None]:
        """Called in a read event behind an answer in the clear: that arrives in the clear, the next inside TLS."""

        def hear(server: Said, data: bytes) -> None:
            if data == b"STARTTLS":
                server.end.write(b"go")
                server.end.startTLS(contexts()[0])
            else:
                server.end.write(data.upper())

        def listened(client: Said, data: bytes) -> None:
            heard.append(data)
            if data == b"go":
                client.end.startTLS(contexts()[1])
                client.end.write(b"inside")
            else:
                client.end.loseConnection()

        heard: list[bytes] = []
        over: Deferred[None] = Deferred()
        factory = Factory.forProtocol(lambda: Said(hear))
        port = listen_tcp(cast(Any, reactor), 0, factory, "127.0.0.1")
        self.addCleanup(port.stopListening)
        client = Said(listened)
        client.connectionLost = lambda reason=connectionDone: over.callback(None)  # type: ignore[method-assign]
        connecting = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), client)
        connecting.addCallback(lambda _: client.end.write(b"STARTTLS"))
        connecting.addCallback(lambda _: over)
        connecting.addCallback(lambda _: self.assertEqual(heard, [b"go", b"INSIDE"]))
        return cast("Deferred[None]", connecting)


class TwistedReactorTests(SendingTests):
    """All of sending again on Twisted's own epoll reactor, which our connections must not need another for."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = epollreactor.EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.addCleanup(self.reactor.removeAll)
