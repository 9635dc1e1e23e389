"""RETR from a disk over real sockets: the kernel sends, and everything else is as it is when it does not."""

from __future__ import annotations

import ftplib
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from launcelot.filestore import reading
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.limits import PIECE
from launcelot.filestore.place import QUICK
from launcelot.hosting.sendfile import FileSender
from launcelot.protocols.ftp import data
from launcelot.testing.certificates import Certificates
from launcelot.workers.memory import InlineWorkers
from tests.protocols.ftp.sockets import RealServer

PATTERN = bytes(range(251)) * 40_000
"""Ten megabytes, more than all buffers on the way, whose period is no power of two."""


def exactly(connection: socket.socket, octets: int) -> bytes:
    """So many octets, fewer only at the end."""
    heard = b""
    while len(heard) < octets and (piece := connection.recv(octets - len(heard))):
        heard += piece
    return heard


class SendingTests(TestCase):
    """One server on a disk; a client in a thread."""

    timeout = 60

    def setUp(self) -> None:
        """Count what the kernel is asked to send."""
        self.sent: list[tuple[int, int]] = []

        class Counted(FileSender):
            def __init__(inner, transport: Any, descriptor: int, offset: int, length: int, *calls: Any) -> None:
                self.sent.append((offset, length))
                super().__init__(transport, descriptor, offset, length, *calls)

        self.patch(data, "FileSender", Counted)
        self.folder = Path(self.mktemp())
        numbers = iter(range(1000))
        self.store = DiskFileStore(self.folder, InlineWorkers(), lambda: 0.0, lambda: f"u{next(numbers)}")

    def serve(self, script: Callable[[RealServer], None], **settings: Any) -> Deferred[None]:
        """Run a blocking client against a server."""
        server = RealServer(self, files=self.store, **settings)
        return deferToThread(script, server)

    def client(self, server: RealServer, secure: bool = False) -> ftplib.FTP:
        """A logged-in client, with the pattern in ``big``."""
        client = ftplib.FTP_TLS() if secure else ftplib.FTP()
        client.connect("127.0.0.1", server.port, 30)
        self.addCleanup(client.close)
        client.login("ann", "pw")
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        client.storbinary("STOR big", io.BytesIO(PATTERN))
        return client

    def fetched(self, client: ftplib.FTP, rest: int | None = None, verb: str = "RETR big") -> bytes:
        """A file."""
        pieces: list[bytes] = []
        client.retrbinary(verb, pieces.append, rest=rest)
        return b"".join(pieces)

    def test_whole_resumed_and_active(self) -> Deferred[None]:
        """A file comes whole, from an offset, at its very end, and over a connection that the server makes."""

        def script(server: RealServer) -> None:
            client = self.client(server)
            self.assertEqual(self.fetched(client), PATTERN)
            self.assertEqual(sum(length for _, length in self.sent), len(PATTERN))
            self.assertEqual(self.fetched(client, 7_654_321), PATTERN[7_654_321:])
            self.assertEqual(self.sent[-1], (7_654_321, len(PATTERN) - 7_654_321))
            self.assertEqual(self.fetched(client, len(PATTERN)), b"")
            client.set_pasv(False)
            self.assertEqual(self.fetched(client), PATTERN)
            self.assertEqual(server.site.counters.value("ftp.octets.sent"), 3 * len(PATTERN) - 7_654_321)
            client.quit()

        return self.serve(script)

    def test_not_for_text_nor_inside_tls(self) -> Deferred[None]:
        """Line ends and TLS need every octet in hand, and a small file has been read when it was opened."""

        def script(server: RealServer) -> None:
            client = self.client(server, secure=True)
            self.assertEqual(self.fetched(client), PATTERN)
            client.voidcmd("TYPE A")
            with client.transfercmd("RETR big") as text:
                heard = b"".join(iter(lambda: text.recv(1 << 20), b""))
                text.unwrap()  # type: ignore[attr-defined]
            client.voidresp()
            self.assertEqual(heard.replace(b"\r\n", b"\n"), PATTERN)
            client.storbinary("STOR small", io.BytesIO(b"small"))
            self.assertEqual(self.fetched(client, verb="RETR small"), b"small")
            client.quit()
            self.assertEqual(self.sent, [])

        return self.serve(script, certificates=Certificates("localhost"))

    def test_small_files(self) -> Deferred[None]:
        """Files around what is read with the open come whole, also the empty one, and from offsets."""

        def script(server: RealServer) -> None:
            client = self.client(server)
            for size in (0, 1, QUICK - 1, QUICK, QUICK + 1, PIECE - 1, PIECE, PIECE + 1):
                client.storbinary("STOR small", io.BytesIO(PATTERN[:size]))
                self.assertEqual(self.fetched(client, verb="RETR small"), PATTERN[:size])
                for rest in (size // 2, max(0, size - 1), size):
                    self.assertEqual(self.fetched(client, rest, "RETR small"), PATTERN[rest:size])
            client.quit()

        return self.serve(script)

    def test_files_that_are_not_in_memory(self) -> Deferred[None]:
        """What the disk has still to give is read by a worker first; where nobody can tell, all of it is."""
        answers: list[bool | None] = [False, True, None]
        self.patch(reading, "in_memory", lambda *_: answers.pop(0))

        def script(server: RealServer) -> None:
            client = self.client(server)
            self.assertEqual(self.fetched(client), PATTERN)
            self.assertEqual(len(self.sent), 2)
            self.assertEqual(answers, [])
            client.quit()

        return self.serve(script)

    def test_abort(self) -> Deferred[None]:
        """ABOR ends it, the file is let go of, and the session goes on."""

        def script(server: RealServer) -> None:
            client = self.client(server)
            before = set(os.listdir("/proc/self/fd"))
            with client.transfercmd("RETR big") as connection:
                self.assertEqual(exactly(connection, 1000), PATTERN[:1000])
                client.putcmd("ABOR")
                self.assertEqual(client.getmultiline()[:3], "426")
                self.assertEqual(client.getmultiline()[:3], "226")
            self.assertEqual(self.fetched(client), PATTERN)
            client.quit()
            self.assertGreaterEqual(len(before), len(os.listdir("/proc/self/fd")) - 1)

        return self.serve(script)

    def test_client_that_goes(self) -> Deferred[None]:
        """A client that closes in the middle is told that not all was sent, and that it was not for the file's sake."""

        def script(server: RealServer) -> None:
            client = self.client(server)
            connection = client.transfercmd("RETR big")
            connection.recv(1000)
            connection.close()
            self.assertIn("426 Transfer incomplete: the data connection was ", client.getmultiline())
            self.assertEqual(server.site.counters.value("ftp.files.sent"), 0)
            client.quit()

        return self.serve(script)

    def test_slow_is_served_and_stalled_is_cut(self) -> Deferred[None]:
        """A client that takes a little in each stall limit is served on; one that takes nothing is cut."""
        from twisted.internet import reactor

        def script(server: RealServer) -> None:
            client = self.client(server)
            connection = socket.socket()
            self.addCleanup(connection.close)
            # What the kernels keep between us must be less than what is not taken.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            connection.settimeout(60)
            connection.connect(ftplib.parse227(client.sendcmd("PASV")))
            client.voidcmd("TYPE I")
            self.assertEqual(client.sendcmd("RETR big")[:3], "150")
            taken = 0
            for _ in range(5):
                taken += len(exactly(connection, 200_000))
                blockingCallFromThread(reactor, server.clock.advance, 119.0)  # type: ignore[arg-type]
            self.assertEqual(taken, 1_000_000)
            for _ in range(10):
                blockingCallFromThread(reactor, server.clock.advance, 119.0)  # type: ignore[arg-type]
            self.assertEqual(client.getmultiline(), "426 Transfer incomplete: the data connection stalled.")

        return self.serve(script, by_hand=True)


class InMemoryTests(TestCase):
    """What lies in memory."""

    def test_what_can_be_told(self) -> None:
        """A file just written does; one that cannot be read tells nothing."""
        path = Path(self.mktemp())
        path.write_bytes(PATTERN)
        descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        self.assertIn(reading.in_memory(descriptor, 0, len(PATTERN)), (True, None))
        only_named = os.open(path, os.O_PATH)
        self.addCleanup(os.close, only_named)
        self.assertIsNone(reading.in_memory(only_named, 0, 1))
