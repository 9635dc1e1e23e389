"""Files sent by the kernel: on real sockets, from real files, the reactor turned by hand."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from launcelot.hosting.sendfile import FileSender, takes_files
from launcelot.testing.tapping import Facade
from tests.hosting.turning import ReactorCase, Said

PATTERN = bytes(range(256)) * 12_000
"""Three megabytes in which a lost, doubled or moved octet shows."""


class FileSenderTests(ReactorCase):
    """:class:`FileSender` on our transport and on Twisted's."""

    def setUp(self) -> None:
        """A file."""
        super().setUp()
        file = tempfile.TemporaryFile()
        self.addCleanup(file.close)
        file.write(PATTERN)
        file.flush()
        self.file = file
        self.ends: list[OSError | None] = []
        self.moved: list[int] = []

    def joined(self, eager: bool = True) -> tuple[socket.socket, Said]:
        """A peer and the server's protocol."""
        peer = self.connect(self.listen(lambda server, data: None, eager))
        return peer, self.servers[-1]

    def sender(self, server: Said, offset: int = 0, length: int = len(PATTERN)) -> FileSender:
        """A sender of a part of the file."""
        return FileSender(server.end, self.file.fileno(), offset, length, self.ends.append, self.moved.append)

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

    def test_whole_file_arrives(self) -> None:
        """All octets arrive once and in order, are counted, and nobody waits to write any more, on both kinds of transport."""
        for eager in (True, False):
            peer, server = self.joined(eager)
            self.sender(server).start()
            self.assertEqual(self.read(peer, len(PATTERN)), PATTERN)
            self.assertEqual(self.ends.pop(), None)
            self.assertEqual(sum(self.moved), len(PATTERN))
            self.moved.clear()
            self.assertNotIn(server.end, self.reactor.getWriters())

    def test_parts_and_words_keep_their_order(self) -> None:
        """A part follows another inside the call that ends it, and what is written behind comes behind."""
        peer, server = self.joined()

        def next_part(error: OSError | None) -> None:
            self.assertIsNone(error)
            second = FileSender(server.end, self.file.fileno(), 2_000_000, 500_000, last, self.moved.append)
            second.start()

        def last(error: OSError | None) -> None:
            self.assertIsNone(error)
            server.end.write(b"behind")

        FileSender(server.end, self.file.fileno(), 1_000, 700_000, next_part, self.moved.append).start()
        wanted = PATTERN[1_000:701_000] + PATTERN[2_000_000:2_500_000] + b"behind"
        self.assertEqual(self.read(peer, len(wanted)), wanted)

    def test_short_file_is_an_error(self) -> None:
        """A file that has shrunk is told of once, behind all it had."""
        peer, server = self.joined()
        self.sender(server, length=len(PATTERN) + 1).start()
        self.assertEqual(self.read(peer, len(PATTERN)), PATTERN)
        self.reactor.iterate(0.01)
        [error] = self.ends
        self.assertIsInstance(error, OSError)

    def test_unreadable_file_is_an_error(self) -> None:
        """A descriptor that cannot be read is told of, and the connection stays."""
        peer, server = self.joined()
        FileSender(server.end, os.open("/", os.O_PATH), 0, 10, self.ends.append, self.moved.append).start()
        [error] = self.ends
        self.assertIsInstance(error, OSError)
        self.assertIsNone(server.lost)

    def test_lost_connection_ends_it(self) -> None:
        """Whoever waits is told once when the peer resets, or we do."""
        for reset_by_peer in (True, False):
            peer, server = self.joined()
            sender = self.sender(server)
            sender.start()
            if reset_by_peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                peer.close()
            else:
                server.end.abortConnection()
            for _ in range(1000):
                if server.lost is not None:
                    break
                self.reactor.iterate(0.01)
            self.assertIsInstance(self.ends.pop(), OSError)
            self.assertEqual(self.ends, [])
            self.assertGreater(sender.left, 0)

    def test_stopped_sender_touches_nothing(self) -> None:
        """Stopped, it leaves file and connection alone and tells nobody; the connection may be written to."""
        peer, server = self.joined()
        sender = self.sender(server)
        sender.start()
        sender.stop()
        sender.stop()
        left = sender.left
        server.end.write(b"end")
        heard = self.read(peer, len(PATTERN) - left + 3)
        self.assertEqual(heard, PATTERN[: len(PATTERN) - left] + b"end")
        self.assertEqual((sender.left, self.ends), (left, []))


class WhereTests(ReactorCase):
    """Where files can be sent so."""

    def test_only_plain_connections_take_files(self) -> None:
        """Neither what stands for a connection, nor one in TLS, nor something else does."""
        self.connect(self.listen(lambda server, data: None))
        end: Any = self.servers[-1].end
        self.assertTrue(takes_files(end))
        tap: Any = object()
        self.assertFalse(takes_files(Facade(tap, end)))
        self.assertFalse(takes_files(object()))
        end.TLS = True
        self.assertFalse(takes_files(end))
        end.TLS = False

    def test_lost_before_it_begins(self) -> None:
        """On a connection that has gone it ends at once."""
        self.connect(self.listen(lambda server, data: None))
        end: Any = self.servers[-1].end
        end.connectionLost(Failure(ConnectionDone()))
        ends: list[Any] = []
        FileSender(end, 0, 0, 10, ends.append, ends.append).start()
        self.assertIsInstance(ends[0], OSError)
        self.assertEqual(len(ends), 1)
