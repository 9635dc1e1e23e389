"""
TLS on data connections.

It is Twisted's, but for how octets pass: there each record is handed on by itself, a method call through three objects and a
write of the transport's for 16 KiB.  What is Twisted's own business is looked into, which the tests of this module would notice.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN, Error, WantReadError, ZeroReturnError
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

RECORD = 1 << 14
"""Octets in one record of TLS at most.  RFC 8446 section 5.1."""

RECORDS = 1 << 16
"""Octets of records that are handed on at once."""


class FileLayer(TLSMemoryBIOProtocol):
    """
    TLS for files: many records at once, where Twisted's own hands on each by itself.

    It may keep to itself what OpenSSL has to say, until the peer has said that it is done.  A server of TLS 1.3 sends session
    tickets behind the handshake.  A client that only uploads never reads them, and when it closes its kernel sends a reset and
    forgets what it has not sent yet: curl's uploads came short.  So tickets wait.

    :ivar silent: whether it keeps to itself.
    """

    silent = False

    def _flushSendBIO(self) -> None:
        """Send all that OpenSSL has to say."""
        connection: Any = self._tlsConnection
        if self.silent and not connection.get_shutdown() & RECEIVED_SHUTDOWN:
            return
        below: Any = self.transport
        octets = RECORDS
        try:
            while octets == RECORDS:
                data = connection.bio_read(RECORDS)
                octets = len(data)
                below.write(data)
        except WantReadError:
            return

    def _write(self, bytes: bytes) -> None:
        """Make records of everything, then send them."""
        if self._lostTLSConnection:
            return
        connection: Any = self._tlsConnection
        left = memoryview(bytes)
        try:
            while left:
                left = left[connection.send(left) :]
        except WantReadError:
            # Before the handshake, or in one that the peer has begun anew.
            self._bufferedWrite(left.tobytes())  # type: ignore[no-untyped-call]
        except Error:
            self._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]
            return
        self._flushSendBIO()

    def _flushReceiveBIO(self) -> None:
        """Take all records that are there, hand on what is in them at once, then see to how they ended."""
        connection: Any = self._tlsConnection
        pieces: list[bytes] = []
        ended, why = False, None
        try:
            while not self._lostTLSConnection:
                pieces.append(connection.recv(RECORD))
        except WantReadError:
            pass
        except ZeroReturnError:
            ended = True
        except Error:
            ended, why = True, Failure()
        if pieces and not self._aborted:
            self.dataDecrypted(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended and not self._lostTLSConnection:
            if why is None:
                self._shutdownTLS()  # type: ignore[no-untyped-call]
            self._tlsShutdownFinished(why)  # type: ignore[no-untyped-call]
        if self._tlsConnection is not None:
            self._flushSendBIO()

    def dataDecrypted(self, data: bytes) -> None:
        """Hand on what a peer sent inside TLS."""
        protocol: Any = self.wrappedProtocol
        protocol.dataReceived(data)
