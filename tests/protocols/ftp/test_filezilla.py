"""
FileZilla's behaviour, as far as a script reaches: what it sends, in its order, over TLS whose data connections it wants resumed.

It speaks TLS before it logs in, asks for features, chooses facts, lists with MLSD in TYPE I (with LIST in TYPE A where a
server has no MLSD), resumes the control connection's session on every data connection and gives up where the server does not
take it, keeps an idle session alive with NOOP, PWD and TYPE, sets times behind an upload, and goes on with a cut one by REST.
"""

from __future__ import annotations

import re
import socket
import ssl

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from launcelot.testing.certificates import Certificates
from tests.protocols.ftp.sockets import RealServer

DATA = bytes(range(256)) * 2_000

LIMIT = 60.0


class FileZilla:
    """
    It, in a thread.

    :param trust: a certificate authority.
    :ivar resumed: data connections on which the server took the session.
    """

    def __init__(self, port: int, trust: bytes, version: ssl.TLSVersion) -> None:
        self._context = ssl.create_default_context(cadata=trust.decode("ascii"))
        self._context.minimum_version = self._context.maximum_version = version
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self._file = self._socket.makefile("rb")
        self.resumed = 0
        self.say("", 220)
        self.say("AUTH TLS", 234)
        self.control = self._context.wrap_socket(self._socket, server_hostname="localhost")
        self._socket, self._file = self.control, self.control.makefile("rb")

    def say(self, line: str, *codes: int) -> list[str]:
        """A command, and the lines of as many replies as there are codes."""
        if line:
            self._socket.sendall(line.encode() + b"\r\n")
        lines = []
        for code in codes:
            lines.append(self._file.readline().decode().rstrip("\r\n"))
            if lines[-1][:3] != str(code):
                raise AssertionError((line, lines))
            while lines[-1][:4] != f"{code} ":
                lines.append(self._file.readline().decode().rstrip("\r\n"))
        return lines

    def connect(self) -> None:
        """What it says behind the handshake, until it stands in the first folder."""
        self.say("USER ann", 331)
        self.say("PASS pw", 230)
        self.say("SYST", 215)
        features = [line.strip() for line in self.say("FEAT", 211)[1:-1]]
        for wanted in ("UTF8", "MFMT", "TVFS", "REST STREAM", "EPSV", "CLNT", "PBSZ", "PROT"):
            if wanted not in features:
                raise AssertionError((wanted, features))
        [facts] = [line for line in features if line.startswith("MLST ")]
        self.say("CLNT FileZilla", 200)
        self.say("OPTS UTF8 ON", 200)
        self.say("PBSZ 0", 200)
        self.say("PROT P", 200)
        named = [fact.rstrip("*") for fact in facts.removeprefix("MLST ").split(";")[:-1]]
        self.say("OPTS MLST " + "".join(f"{fact};" for fact in named), 200)
        [told] = self.say("PWD", 257)
        if told.split('"')[1] != "/":
            raise AssertionError(told)

    def move(self, kind: str, line: str, sent: bytes | None = None, cut: bool = False) -> bytes:
        """
        A transfer.

        :param kind: what TYPE it says first.
        :param cut: whether to drop both connections in the middle of what is sent.
        """
        self.say(f"TYPE {kind}", 200)
        [told] = self.say("PASV", 227)
        numbers = re.search(r"\((\d+,\d+,\d+,\d+),(\d+),(\d+)\)", told)
        if numbers is None:
            raise AssertionError(told)
        data = socket.create_connection((numbers[1].replace(",", "."), int(numbers[2]) << 8 | int(numbers[3])), timeout=LIMIT)
        self.say(line, 150)
        with self._context.wrap_socket(data, server_hostname="localhost", session=self.control.session) as secured:
            self.resumed += bool(secured.session_reused)
            if cut and sent is not None:
                secured.sendall(sent[: len(sent) // 2])
                self._socket.close()
                return b""
            came = b""
            if sent is not None:
                secured.sendall(sent)
                secured.unwrap()
            else:
                while piece := secured.recv(65_536):
                    came += piece
        self.say("", 226)
        return came

    def close(self) -> None:
        """It just goes."""
        self._file.close()
        self._socket.close()


class FileZillaTests(TestCase):
    """Against a service that requires resumption, in both versions of TLS."""

    def setUp(self) -> None:
        self.certificates = Certificates("localhost")
        self.server = RealServer(self, self.certificates, data_tls_session="require")

    async def played(self, version: ssl.TLSVersion) -> int:
        """The whole session; how many data connections were resumed."""
        return await deferToThread(self.play, version)

    def play(self, version: ssl.TLSVersion) -> int:
        """In a thread."""
        client = FileZilla(self.server.port, self.certificates.certificate, version)
        client.connect()
        self.assertEqual(client.move("I", "MLSD"), b"")
        client.say("MKD d", 257)
        client.say("CWD d", 250)
        client.say("PWD", 257)
        client.move("I", "STOR f.bin", DATA)
        client.say("MFMT 20200102030405 f.bin", 213)
        listed = client.move("I", "MLSD").decode()
        facts = f"type=file;size={len(DATA)};modify=20200102030405;"
        self.assertRegex(listed, rf"\A{facts}perm=\w+;unique=[^;]+;UNIX.mode=0644; f.bin\r\n\Z")
        for line, code in (("NOOP", 200), ("PWD", 257), ("TYPE I", 200), ("TYPE A", 200), ("NOOP", 200)):
            client.say(line, code)
        self.assertRegex(client.move("A", "LIST -a").decode(), rf"\A-rw-r--r-- .* {len(DATA)} Jan  2  2020 f.bin\r\n\Z")
        client.say("TYPE I", 200)
        self.assertEqual(client.say("SIZE f.bin", 213), [f"213 {len(DATA)}"])
        self.assertEqual(client.say("MDTM f.bin", 213), ["213 20200102030405"])
        self.assertEqual(client.move("I", "RETR f.bin"), DATA)
        client.say("REST 500000", 350)
        self.assertEqual(client.move("I", "RETR f.bin"), DATA[500_000:])
        resumed = client.resumed
        client.close()
        return resumed

    async def test_tls_1_2(self) -> None:
        """Six data connections of one session."""
        self.assertEqual(await self.played(ssl.TLSVersion.TLSv1_2), 6)
        self.assertEqual(self.server.site.counters.value("ftp.data.tls.resumed"), 6)

    async def test_tls_1_3(self) -> None:
        """Likewise, of one ticket that is used again and again."""
        self.assertEqual(await self.played(ssl.TLSVersion.TLSv1_3), 6)
        self.assertEqual(self.server.site.counters.value("ftp.data.tls.resumed"), 6)

    async def test_an_upload_that_was_cut(self) -> None:
        """It asks for the size of what is there and overwrites or goes on; nothing of the cut one is there."""

        def play() -> None:
            for cut in (True, False):
                client = FileZilla(self.server.port, self.certificates.certificate, ssl.TLSVersion.TLSv1_3)
                client.connect()
                client.say("TYPE I", 200)
                client.say("SIZE f.bin", 550)
                client.say("MDTM f.bin", 550)
                client.move("I", "STOR f.bin", DATA, cut)
                if not cut:
                    self.assertEqual(client.move("I", "RETR f.bin"), DATA)
                client.close()

        await deferToThread(play)
