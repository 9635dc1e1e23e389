"""Ports of a test's servers, and what the tap sees of data channels that are closed in one call."""

from __future__ import annotations

import ftplib
import io
import socket
from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing import at
from launcelot.testing.ports import QuietPort, listen_quietly
from launcelot.testing.served import Served, serve
from tests.hosting.turning import ReactorCase, Said


class Listening(Factory):
    """Lets everybody in, and counts the ports that it has."""

    def __init__(self) -> None:
        self.come: Any = lambda: None
        self.servers: list[Said] = []

    def buildProtocol(self, addr: Any) -> Said:
        """Somebody has come."""
        self.come()
        self.servers.append(Said(lambda server, data: server.end.write(data)))
        return self.servers[-1]


class QuietPortTests(ReactorCase):
    """One port."""

    def port(self, factory: Factory) -> QuietPort:
        """A new one."""
        port = listen_quietly(self.reactor, 0, factory, "127.0.0.1")
        self.addCleanup(port.stopListening)
        return port

    def connected(self, port: QuietPort) -> socket.socket:
        """A peer, which waits to be let in."""
        peer = socket.create_connection(("127.0.0.1", port.getHost().port), timeout=60.0)
        self.addCleanup(peer.close)
        return peer

    def test_it_lets_peers_in(self) -> None:
        """With small writes sent at once; nothing is asked of the transport for that."""
        factory = Listening()
        peer = self.connected(self.port(factory))
        self.reactor.iterate(5)
        self.assertTrue(factory.servers[0].end.getTcpNoDelay())
        self.assertTrue(factory.servers[0].end.getTcpKeepAlive())
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"hello")
        factory.servers[0].end.abortConnection()
        self.reactor.iterate(0)

    def test_it_is_gone_when_it_says_so(self) -> None:
        """Without a turn of the reactor: the port is free, the factory knows, and nobody reads there."""
        factory = Listening()
        port = self.port(factory)
        number = port.getHost().port
        self.assertEqual((factory.numPorts, port in self.reactor.getReaders()), (1, True))
        self.successResultOf(port.stopListening())
        self.assertEqual((factory.numPorts, port in self.reactor.getReaders()), (0, False))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", number))
        self.successResultOf(port.stopListening())
        self.assertEqual(port.getHost().port, number)

    def test_it_may_be_closed_by_who_comes(self) -> None:
        """Who is being let in is let in, and nothing breaks."""
        closed: list[Any] = []
        factory = Listening()
        port = self.port(factory)
        factory.come = lambda: closed.append(port.stopListening())
        peer = self.connected(port)
        self.reactor.iterate(5)
        self.reactor.iterate(0)
        self.successResultOf(closed[0])
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual((peer.recv(100), factory.numPorts), (b"hello", 0))
        factory.servers[0].end.abortConnection()
        self.reactor.iterate(0)

    def test_ipv6(self) -> None:
        """Numeric addresses of both kinds are listened at."""
        factory = Listening()
        port = listen_quietly(self.reactor, 0, factory, "::1")
        self.addCleanup(port.stopListening)
        self.assertIsInstance(port.getHost(), IPv6Address)
        peer = socket.create_connection(("::1", port.getHost().port), timeout=60.0)
        self.addCleanup(peer.close)
        self.reactor.iterate(5)
        self.assertEqual(factory.servers[0].end.getPeer().host, "::1")
        factory.servers[0].end.abortConnection()
        self.reactor.iterate(0)

    def test_a_port_that_is_taken(self) -> None:
        """Is refused as Twisted refuses it, and the socket is not left open."""
        first = self.port(Listening())
        with self.assertRaises(CannotListenError) as refused:
            listen_quietly(self.reactor, first.getHost().port, Listening(), "127.0.0.1")
        self.assertEqual(refused.exception.port, first.getHost().port)

    def test_the_log_does_not_hear_of_it(self) -> None:
        """Of a hundred tests' servers it would hear two hundred times."""
        heard: list[LogEvent] = []
        hear: Any = heard.append
        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)
        factory = Listening()
        factory.noisy = False
        self.successResultOf(self.port(factory).stopListening())
        self.assertEqual(heard, [])


class DataChannelTests(SynchronousTestCase):
    """What is closed in one call when nobody is in the way."""

    def serve(self, **options: Any) -> Served:
        """A server of files, and somebody who has one."""
        lc = serve("ftp", **options)
        self.addCleanup(lambda: self.assertEqual(lc.stop(), []))
        lc.user("ann", files={"a.csv": b"1,2\n"})
        return lc

    def get(self, lc: Served) -> bytes:
        """That file."""
        heard = io.BytesIO()
        with ftplib.FTP(timeout=60.0) as client:
            client.connect(*lc.ftp.address)
            client.login("ann", "pw")
            client.retrbinary("RETR a.csv", heard.write)
        return heard.getvalue()

    def test_transcripts_have_data_channels(self) -> None:
        """What was sent, and how it ended."""
        lc = self.serve()
        self.assertEqual(self.get(lc), b"1,2\n")
        channel = next(one for one in lc.transcripts if one.service == "ftp data")
        self.assertTrue(lc.is_over(channel))
        self.assertEqual((channel.octets("S"), [one.octets for one in channel.said if one.who == "-"]), (b"1,2\n", [b"closed"]))

    def test_what_drips_is_not_cut_short(self) -> None:
        """A channel on which something still waits is not closed before that has left."""
        lc = self.serve(fault=at.ftp("RETR").data.drips(200))
        self.assertEqual(self.get(lc), b"1,2\n")
