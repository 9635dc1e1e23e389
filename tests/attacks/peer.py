"""Raw clients: sockets that send any octets at all, in clear and in TLS, and never hang."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from tests.clients.demo import Service

PATIENCE = 60.0
"""Seconds to wait for what must come; only a failing test gets there."""

PIECE = 1 << 18
"""Octets sent or heard in one system call."""


class Silent(AssertionError):
    """What had to come did not."""


@dataclass(frozen=True)
class Pumped:
    """
    What came of sending and listening at once.

    :ivar taken: octets that left before the peer closed, or all.
    :ivar closed: whether the peer closed or reset.
    """

    heard: bytes
    taken: int
    closed: bool


class Peer:
    """
    One connection.

    :param source: the address to connect from; any in 127.0.0.0/8 will do.
    :param window: octets of the receive buffer; 0 for the system's choice.
    """

    def __init__(self, service: Service, source: str = "", window: int = 0) -> None:
        self.service = service
        self.socket: socket.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((service.host, service.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = bytearray()

    # -- one thing after the other -------------------------------------------------------------------------------

    def say(self, data: bytes) -> bool:
        """Send all of it; False if the peer closed before."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def hear(self, end: bytes = b"\n", limit: float = PATIENCE) -> bytes:
        """
        What comes up to and including ``end``.

        :raises Silent: it does not come.
        """
        deadline = time.monotonic() + limit
        while end not in self._heard:
            if not self._hear_more(deadline):
                raise Silent(f"closed before {end!r}, heard {bytes(self._heard[-400:])!r}")
        stop = self._heard.index(end) + len(end)
        told = bytes(self._heard[:stop])
        del self._heard[:stop]
        return told

    def ask(self, data: bytes, end: bytes = b"\n") -> bytes:
        """Send, and hear an answer."""
        self.say(data)
        return self.hear(end)

    def rest(self, limit: float = PATIENCE) -> bytes:
        """
        All that comes until the peer closes.

        :raises Silent: it does not close.
        """
        deadline = time.monotonic() + limit
        while self._hear_more(deadline):
            pass
        return self.left_over()

    def quiet(self, seconds: float) -> bytes:
        """What comes within so many seconds, or until the peer closes."""
        deadline = time.monotonic() + seconds
        try:
            while self._hear_more(deadline):
                pass
        except Silent:
            pass
        return self.left_over()

    def left_over(self) -> bytes:
        """What has been heard and not been handed out."""
        heard = bytes(self._heard)
        self._heard.clear()
        return heard

    def _hear_more(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Silent(f"too late, heard {bytes(self._heard[-400:])!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(PIECE)
        except TimeoutError:
            raise Silent(f"too late, heard {bytes(self._heard[-400:])!r}") from None
        except (ConnectionError, ssl.SSLError):
            data = b""
        finally:
            self.socket.settimeout(PATIENCE)
        self._heard += data
        return bool(data)

    # -- both at once --------------------------------------------------------------------------------------------

    def pump(self, data: bytes, limit: float = PATIENCE, listen: bool = True, stalled: float = 0.0) -> Pumped:
        """
        Send ``data`` as fast as it is taken, and hear all that comes meanwhile.

        :param limit: seconds in all; what is left is not sent.
        :param listen: whether to read at all.
        :param stalled: seconds without progress after which to give up; 0 for never.
        """
        heard = [self.left_over()]
        view = memoryview(data)
        sent = 0
        closed = False
        self.socket.setblocking(False)
        end = time.monotonic() + limit
        last = time.monotonic()
        try:
            while sent < len(data) and not closed and time.monotonic() < end:
                readable, writable, _ = select.select([self.socket] if listen else [], [self.socket], [], 0.05)
                if readable or writable:
                    last = time.monotonic()
                elif stalled and time.monotonic() - last > stalled:
                    break
                try:
                    if readable:
                        got = self.socket.recv(PIECE)
                        heard.append(got)
                        closed = not got
                    if writable and not closed:
                        sent += self.socket.send(view[sent : sent + PIECE])
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                except (ConnectionError, ssl.SSLError):
                    closed = True
        finally:
            self.socket.settimeout(PATIENCE)
        if closed and listen:
            # What came before a reset is still there when sending has met the reset first.
            heard.append(self.rest())
        return Pumped(b"".join(heard), sent, closed)

    # -- TLS -----------------------------------------------------------------------------------------------------

    def start_tls(self, ca_file: str) -> None:
        """
        Shake hands; certificate and name are verified.

        :raises Silent: the peer closed or spoke no TLS.
        """
        context = ssl.create_default_context(cafile=ca_file)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        except (ConnectionError, ssl.SSLError, TimeoutError) as error:
            self.socket.close()
            raise Silent(f"no TLS: {error}") from error

    # -- ends ----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Send FIN and stay to listen."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self) -> None:
        """Vanish with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close; may be called twice."""
        self.socket.close()


class Records:
    """
    TLS by hand over a :class:`Peer`, for records that no library sends where an attacker does.

    :param ca_file: authorities to trust.
    """

    def __init__(self, peer: Peer, ca_file: str) -> None:
        self._peer = peer
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=ca_file)
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    def hello(self) -> bytes:
        """The octets of a ClientHello."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self._out.read()

    def shake_hands(self, sent: bool = False) -> None:
        """
        Shake hands; the hello may have been sent already.

        :raises Silent: the peer closed or spoke no TLS.
        """
        if not sent:
            self._peer.say(self.hello())
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._peer.say(self._out.read())
                self._feed()
            except ssl.SSLError as error:
                raise Silent(f"no TLS: {error}") from error
            else:
                self._peer.say(self._out.read())
                return

    def _feed(self) -> None:
        # Records may have come with the go-ahead that was heard in clear.
        data = self._peer.left_over()
        try:
            data = data or self._peer.socket.recv(PIECE)
        except (ConnectionError, TimeoutError) as error:
            raise Silent(f"no TLS: {error}") from error
        if not data:
            raise Silent("closed during the handshake")
        self._in.write(data)

    def encrypt(self, data: bytes) -> bytes:
        """Records that hold ``data``."""
        self._tls.write(data)
        return self._out.read()

    def ask(self, data: bytes, end: bytes) -> bytes:
        """Send, and hear up to ``end``."""
        self._peer.say(self.encrypt(data))
        heard = b""
        while end not in heard:
            try:
                heard += self._tls.read(PIECE)
            except ssl.SSLWantReadError:
                self._feed()
        return heard

    def close_notify(self) -> bytes:
        """The record that says goodbye."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass
        return self._out.read()
