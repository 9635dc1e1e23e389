"""The TLS layer of data connections, beside Python's own TLS as the peer."""

from __future__ import annotations

import random
import ssl
from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.ftp.layer import RECORD, RECORDS, FileLayer
from launcelot.testing.certificates import Certificates

CERTIFICATES = Certificates("here.test")
SIZES = (0, 1, RECORD - 1, RECORD, RECORD + 1, RECORDS - 100, RECORDS, RECORDS + 1, 300_000)
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class Kept(Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.lost = reason


class Pair:
    """
    Our layer as the server, and a client of Python's.

    :ivar wire: what our layer has sent and the client not read.
    """

    def __init__(self, version: ssl.TLSVersion) -> None:
        self.kept = Kept()
        self.transport: Any = StringTransport()
        factory = TLSMemoryBIOFactory(CERTIFICATES.server, False, Factory(), Clock())
        self.layer: Any = FileLayer(factory, self.kept, False)
        self.kept.transport = self.layer
        self.layer.makeConnection(self.transport)
        context = ssl.create_default_context(cadata=CERTIFICATES.certificate.decode())
        context.minimum_version = context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self.incoming, self.outgoing, server_hostname="here.test")

    def shake_hands(self) -> None:
        """To the end."""
        for _ in range(4):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            self.hears(self.outgoing.read())
            self.fetch()
        self.client.do_handshake()

    def hears(self, wire: bytes) -> None:
        """Octets reach our layer; a transport never hands on none."""
        if wire:
            self.layer.dataReceived(wire)

    def fetch(self) -> None:
        """Give the client what our layer has sent."""
        self.incoming.write(self.transport.value())
        self.transport.clear()

    def read(self) -> bytes:
        """All that the client can read."""
        self.fetch()
        pieces: list[bytes] = []
        while True:
            try:
                piece = self.client.read(1 << 20)
            except ssl.SSLWantReadError:
                return b"".join(pieces)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def says(self, *data: bytes, close: bool = False) -> bytes:
        """Records of the client's."""
        for piece in data:
            if piece:
                self.client.write(piece)
        if close:
            try:
                self.client.unwrap()
            except ssl.SSLWantReadError:
                pass
        return self.outgoing.read()


class LayerTests(SynchronousTestCase):
    """Octets pass whole, and ends are told as they are."""

    def pair(self, version: ssl.TLSVersion) -> Pair:
        """Behind the handshake."""
        pair = Pair(version)
        pair.shake_hands()
        return pair

    def test_sending(self) -> None:
        """Any number of octets arrives, in order."""
        for version in VERSIONS:
            pair = self.pair(version)
            for size in SIZES:
                data = random.Random(size).randbytes(size)
                pair.layer.write(data)
                self.assertEqual(pair.read(), data)

    def test_receiving(self) -> None:
        """Many records that come at once are handed on at once; the same octets whatever their number."""
        for version in VERSIONS:
            pair = self.pair(version)
            for size in SIZES:
                data = random.Random(size).randbytes(size)
                pair.hears(pair.says(data))
                self.assertEqual(pair.kept.pieces, [data] if data else [])
                pair.kept.pieces.clear()

    def test_records_in_pieces(self) -> None:
        """However the records are cut on the way, octet by octet too."""
        data = random.Random(1).randbytes(40_000)
        for cut in (1, 7, 1_000, 16_384, 17_000):
            pair = self.pair(ssl.TLSVersion.TLSv1_3)
            wire = pair.says(data, close=True)
            for start in range(0, len(wire), cut):
                pair.hears(wire[start : start + cut])
            self.assertEqual(b"".join(pair.kept.pieces), data)
            self.assertTrue(pair.transport.disconnecting)

    def test_every_split_of_a_short_upload(self) -> None:
        """A small file with its end behind it, cut in two anywhere."""
        for version in VERSIONS:
            length = len(self.pair(version).says(b"hello", close=True))
            for cut in range(length + 1):
                pair = self.pair(version)
                wire = pair.says(b"hello", close=True)
                pair.hears(wire[:cut])
                pair.hears(wire[cut:])
                self.assertEqual(b"".join(pair.kept.pieces), b"hello")

    def test_written_before_the_handshake(self) -> None:
        """Octets that are written too early wait."""
        pair = Pair(ssl.TLSVersion.TLSv1_3)
        data = random.Random(2).randbytes(100_000)
        pair.layer.write(data)
        pair.shake_hands()
        self.assertEqual(pair.read(), data)

    def test_octets_before_an_end_are_handed_on(self) -> None:
        """What comes in front of a closing notice, in the same segment, is there; then the connection ends cleanly."""
        pair = self.pair(ssl.TLSVersion.TLSv1_3)
        pair.hears(pair.says(b"x" * 50_000, b"y", close=True))
        self.assertEqual(pair.kept.pieces, [b"x" * 50_000 + b"y"])
        self.assertTrue(pair.transport.disconnecting)
        pair.layer.connectionLost(connectionDone)
        self.assertEqual(pair.kept.lost, connectionDone)

    def test_octets_before_noise_are_handed_on(self) -> None:
        """A record that was changed on the way ends the connection, behind what was right."""
        pair = self.pair(ssl.TLSVersion.TLSv1_3)
        right, wrong = pair.says(b"x" * 20_000), bytearray(pair.says(b"y" * 100))
        wrong[50] ^= 1
        pair.hears(right + bytes(wrong))
        self.assertEqual(pair.kept.pieces, [b"x" * 20_000])
        self.assertTrue(pair.transport.disconnecting)
        pair.layer.connectionLost(connectionDone)
        self.assertIsNot(pair.kept.lost, connectionDone)

    def test_an_end_without_notice(self) -> None:
        """A connection that ends without its closing notice does not end cleanly, and what came stays."""
        pair = self.pair(ssl.TLSVersion.TLSv1_3)
        pair.hears(pair.says(b"half"))
        pair.layer.connectionLost(connectionDone)
        self.assertEqual(pair.kept.pieces, [b"half"])
        self.assertIsNot(pair.kept.lost, connectionDone)

    def test_nothing_is_sent_while_it_is_silent(self) -> None:
        """What is written while it keeps to itself leaves when the peer has said that it is done."""
        pair = self.pair(ssl.TLSVersion.TLSv1_2)
        pair.layer.silent = True
        pair.layer.write(b"later")
        self.assertEqual(pair.transport.value(), b"")
        pair.hears(pair.says(b"up", close=True))
        self.assertNotEqual(pair.transport.value(), b"")
        self.assertEqual(pair.kept.pieces, [b"up"])
