"""Python's ftplib, as the book uses it, against the server on real sockets."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from launcelot.hosting.tls import server_options
from launcelot.testing.certificates import Certificates
from tests.protocols.ftp.sockets import RealServer

LIMIT = 20.0


class Resuming(ftplib.FTP_TLS):
    """
    A client that resumes the control connection's session on data connections, as careful clients do.

    :ivar lent: None, or another session to resume.
    """

    def __init__(self, *args: Any, **kw: Any) -> None:
        self.reused: list[bool | None] = []
        self.lent: Any = self
        super().__init__(*args, **kw)

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[Any, int | None]:
        """Like FTP_TLS, with the session handed over."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        control: Any = self.sock
        session = self.lent if self.lent is None or isinstance(self.lent, ssl.SSLSession) else control.session
        wrapped = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        self.reused.append(wrapped.session_reused)
        return wrapped, size



def refused(client: ftplib.FTP, call: Callable[..., Any], *arguments: Any) -> str:
    """The code of a refusal, even where the data connection was closed before all was sent."""
    try:
        call(*arguments)
        client.voidresp()
    except ftplib.error_perm as error:
        return str(error)[:3]
    except OSError:
        try:
            client.voidresp()
        except ftplib.error_perm as error:
            return str(error)[:3]
    return ""


class FtplibTests(TestCase):
    """Every call of the book's chapter 17, and its FTP over TLS."""

    timeout = 60

    def setUp(self) -> None:
        self.certificates = Certificates("localhost")
        self.server = RealServer(self, self.certificates)

    def in_thread(self, script: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a blocking client."""
        return deferToThread(script, *args)

    def connect(self) -> ftplib.FTP:
        """A logged-in client."""
        client = ftplib.FTP(encoding="utf-8")
        client.connect("127.0.0.1", self.server.port, LIMIT)
        client.login("ann", "pw")
        return client

    def test_files_both_ways(self) -> Deferred[None]:
        """Binary and text go up and come down as the book's scripts move them."""

        def script() -> None:
            client = self.connect()
            binary = bytes(range(256)) * 5_000
            self.assertTrue(client.storbinary("STOR b", io.BytesIO(binary)).startswith("226"))
            got: list[bytes] = []
            self.assertTrue(client.retrbinary("RETR b", got.append).startswith("226"))
            self.assertEqual(b"".join(got), binary)
            self.assertTrue(client.storlines("STOR t", io.BytesIO(b"one\ntwo\n")).startswith("226"))
            lines: list[str] = []
            client.retrlines("RETR t", lines.append)
            self.assertEqual(lines, ["one", "two"])
            client.voidcmd("TYPE I")
            self.assertEqual(client.size("t"), 8)
            client.quit()

        return self.in_thread(script)

    def test_size_in_the_opening_reply(self) -> Deferred[None]:
        """ntransfercmd finds the size in the 150, as advbinarydl.py needs."""

        def script() -> None:
            client = self.connect()
            client.storbinary("STOR b", io.BytesIO(b"x" * 1234))
            client.voidcmd("TYPE I")
            connection, size = client.ntransfercmd("RETR b")
            self.assertEqual(size, 1234)
            while connection.recv(4096):
                pass
            connection.close()
            client.voidresp()
            client.quit()

        return self.in_thread(script)

    def test_short_transfers_of_a_client_that_has_connected(self) -> Deferred[None]:
        """Whose data connection waits is let in with the command; the replies before and behind a short file leave as one."""

        def script() -> None:
            client = self.connect()
            client.storbinary("STOR b", io.BytesIO(b"x" * 1234))
            client.voidcmd("TYPE I")
            control: Any = client.sock
            together = 0
            for _ in range(20):
                with socket.create_connection(client.makepasv(), LIMIT) as data:
                    control.sendall(b"RETR b\r\n")
                    said = control.recv(4096)
                    self.assertEqual(data.makefile("rb").read(), b"x" * 1234)
                    together += said.count(b"\n") == 2
                    while said.count(b"\n") < 2:
                        said += control.recv(4096)
                    self.assertEqual([line[:3] for line in said.splitlines()], [b"150", b"226"])
            # A kernel under load may put off the last step of connecting.
            self.assertGreater(together, 10)
            client.quit()

        return self.in_thread(script)

    def test_active_mode(self) -> Deferred[None]:
        """PORT works as PASV does."""

        def script() -> None:
            client = self.connect()
            client.set_pasv(False)
            client.storbinary("STOR b", io.BytesIO(b"up"))
            self.assertEqual(client.nlst(), ["b"])
            client.quit()

        return self.in_thread(script)

    def test_listings(self) -> Deferred[None]:
        """nlst, dir and mlsd work with and without argument, in empty folders and full ones."""

        def script() -> None:
            client = self.connect()
            self.assertEqual(client.nlst(), [])
            lines: list[str] = []
            client.dir(lines.append)
            self.assertEqual(lines, [])
            self.assertEqual(client.mkd("d"), "/d")
            client.storbinary("STOR d/caf\u00e9", io.BytesIO(b"123"))
            self.assertEqual(client.nlst(), ["d"])
            self.assertEqual(client.nlst("d"), ["d/caf\u00e9"])
            client.dir("d", lines.append)
            self.assertTrue(lines[0].endswith(" caf\u00e9"), lines)
            [(name, facts)] = client.mlsd("d", ["type", "size"])
            self.assertEqual((name, facts), ("caf\u00e9", {"type": "file", "size": "3"}))
            client.quit()

        return self.in_thread(script)

    def test_walk_tells_folders_by_cwd(self) -> Deferred[None]:
        """recursedl.py's way: CWD into a file is refused with 5xx, into a folder it is not."""

        def script() -> None:
            client = self.connect()
            client.mkd("d")
            client.storbinary("STOR f", io.BytesIO(b""))
            client.cwd("d")
            self.assertEqual(client.pwd(), "/d")
            client.cwd("..")
            self.assertRaises(ftplib.error_perm, client.cwd, "f")
            self.assertRaises(ftplib.error_perm, client.cwd, "missing")
            client.rename("f", "d/g")
            client.delete("d/g")
            client.rmd("d")
            self.assertEqual(client.nlst(), [])
            client.quit()

        return self.in_thread(script)

    def test_resume_both_ways(self) -> Deferred[None]:
        """REST continues a download and an upload."""

        def script() -> None:
            client = self.connect()
            client.storbinary("STOR b", io.BytesIO(b"0123456789"))
            got: list[bytes] = []
            client.retrbinary("RETR b", got.append, rest=4)
            self.assertEqual(b"".join(got), b"456789")
            client.storbinary("STOR b", io.BytesIO(b"abc"), rest=5)
            got.clear()
            client.retrbinary("RETR b", got.append)
            self.assertEqual(b"".join(got), b"01234abc")
            client.quit()

        return self.in_thread(script)

    def test_abort_with_urgent_data(self) -> Deferred[None]:
        """ftplib sends ABOR as TCP urgent data; the transfer ends and the session goes on."""

        def script() -> None:
            client = self.connect()
            client.storbinary("STOR b", io.BytesIO(b"x" * 20_000_000))
            client.voidcmd("TYPE I")
            connection = client.transfercmd("RETR b")
            connection.recv(1000)
            self.assertTrue(client.abort().startswith("426"))
            connection.close()
            self.assertTrue(client.voidresp().startswith("226"))
            self.assertEqual(client.nlst(), ["b"])
            client.quit()

        return self.in_thread(script)

    def test_tls_on_both_connections(self) -> Deferred[None]:
        """FTP_TLS with prot_p moves files and lists folders."""

        def script() -> None:
            context = ssl.create_default_context(cadata=self.certificates.certificate.decode())
            client = ftplib.FTP_TLS(context=context, encoding="utf-8")
            client.connect("localhost", self.server.port, LIMIT)
            client.login("ann", "pw")
            client.prot_p()
            binary = bytes(range(256)) * 3_000
            self.assertTrue(client.storbinary("STOR b", io.BytesIO(binary)).startswith("226"))
            got: list[bytes] = []
            client.retrbinary("RETR b", got.append)
            self.assertEqual(b"".join(got), binary)
            self.assertEqual([name for name, _ in client.mlsd()], ["b"])
            self.assertEqual(client.nlst(), ["b"])
            client.quit()

        return self.in_thread(script)

    def test_data_connections_resume_the_session(self) -> Deferred[None]:
        """A client that asks for it resumes the control connection's TLS session, in TLS 1.2 and 1.3."""
        options = server_options(self.certificates.certificate, self.certificates.key)
        server = RealServer(self, SimpleNamespace(server=options))

        def script() -> None:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = ssl.create_default_context(cadata=self.certificates.certificate.decode())
                context.maximum_version = version
                client = Resuming(context=context, encoding="utf-8")
                client.connect("localhost", server.port, LIMIT)
                client.login("ann", "pw")
                client.prot_p()
                client.storbinary("STOR b", io.BytesIO(b"x" * 100_000))
                self.assertEqual(client.nlst(), ["b"])
                self.assertEqual(client.reused, [True, True], version)
                client.quit()

        return self.in_thread(script)

    def bound(self, context: ssl.SSLContext, port: int) -> Resuming:
        """A client that protects its data connections, logged in."""
        client = Resuming(context=context, encoding="utf-8")
        self.addCleanup(client.close)
        client.connect("localhost", port, LIMIT)
        client.login("ann", "pw")
        client.prot_p()
        return client

    def test_data_connections_that_must_resume(self) -> Deferred[None]:
        """Only a session of this control connection will do, in TLS 1.2 and 1.3, and nothing is published in another."""
        options = server_options(self.certificates.certificate, self.certificates.key)
        server = RealServer(self, SimpleNamespace(server=options), data_tls_session="require")

        def script() -> None:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = ssl.create_default_context(cadata=self.certificates.certificate.decode())
                context.minimum_version = context.maximum_version = version
                client, other = self.bound(context, server.port), self.bound(context, server.port)
                other.nlst()
                client.storbinary("STOR b", io.BytesIO(b"old" * 100_000))
                self.assertEqual(client.nlst(), ["b"])
                self.assertEqual(client.reused, [True, True], version)
                for session in (None, other.sock.session):  # type: ignore[union-attr]
                    client.lent = session
                    self.assertEqual(refused(client, client.storbinary, "STOR b", io.BytesIO(b"new")), "522")
                    self.assertEqual(refused(client, client.nlst), "522")
                self.assertEqual(client.reused[2:], [False] * 4, version)
                client.lent = client
                got: list[bytes] = []
                client.retrbinary("RETR b", got.append)
                self.assertEqual(b"".join(got), b"old" * 100_000)
                client.quit()
                other.quit()
            self.assertEqual(server.site.counters.value("ftp.data.tls.refused"), 8)
            self.assertEqual(server.site.counters.value("ftp.data.tls.resumed"), 8)

        return self.in_thread(script)

    def test_nothing_is_sent_while_an_upload_comes(self) -> Deferred[None]:
        """Session tickets wait for the client's closing notice: unread, they would have its kernel reset the connection."""
        options = server_options(self.certificates.certificate, self.certificates.key)
        server = RealServer(self, SimpleNamespace(server=options))
        data = b"x" * 50_000

        def script() -> None:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = ssl.create_default_context(cadata=self.certificates.certificate.decode())
                context.minimum_version = context.maximum_version = version
                client = self.bound(context, server.port)
                client.voidcmd("TYPE I")
                raw, _ = ftplib.FTP.ntransfercmd(client, "STOR b")
                heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
                inside = context.wrap_bio(heard, said, server_hostname="localhost")
                while True:
                    try:
                        inside.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        raw.sendall(said.read())
                        heard.write(raw.recv(65_536))
                inside.write(data)
                raw.sendall(said.read())
                while "50000 octets so far" not in client.sendcmd("STAT"):
                    pass
                raw.setblocking(False)
                self.assertRaises(BlockingIOError, raw.recv, 1)
                raw.settimeout(LIMIT)
                self.assertRaises(ssl.SSLWantReadError, inside.unwrap)
                raw.sendall(said.read())
                while piece := raw.recv(65_536):
                    heard.write(piece)
                inside.unwrap()
                raw.close()
                self.assertEqual(client.voidresp()[:3], "226")
                client.quit()

        return self.in_thread(script)

    def test_ipv6(self) -> Deferred[None]:
        """Over IPv6 ftplib uses EPSV and EPRT; PASV cannot tell such an address and says so."""
        server = RealServer(self, listen=("tcp:0:interface=\\:\\:1",))

        def script() -> None:
            client = ftplib.FTP()
            client.connect("::1", server.port, LIMIT)
            client.login("ann", "pw")
            client.storbinary("STOR b", io.BytesIO(b"six"))
            client.set_pasv(False)
            self.assertEqual(client.nlst(), ["b"])
            self.assertRaises(ftplib.error_temp, client.sendcmd, "PASV")
            client.quit()

        return self.in_thread(script)

    def test_wrong_password(self) -> Deferred[None]:
        """A wrong password is 530; the third closes the connection."""

        def script() -> None:
            client = ftplib.FTP()
            client.connect("127.0.0.1", self.server.port, LIMIT)
            for _ in range(2):
                self.assertRaises(ftplib.error_perm, client.login, "ann", "no")
            self.assertRaises(ftplib.error_temp, client.login, "ann", "no")
            client.close()

        return self.in_thread(script)
