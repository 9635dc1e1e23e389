"""curl, lftp, wget and ncftp against the service with the disk store, on real sockets."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from launcelot.filestore.disk import DiskFileStore
from launcelot.testing.certificates import Certificates
from launcelot.workers.threads import ThreadWorkers
from tests.clients import peers
from tests.protocols.ftp.sockets import RealServer

BIG = bytes(range(256)) * 12_000


class OutsideTests(TestCase):
    """What programs we did not write make of it."""

    timeout = 120

    def setUp(self) -> None:
        self.workers = ThreadWorkers(reactor, "files", 2)  # type: ignore[arg-type]
        self.addCleanup(self.workers.close)
        ids = iter(f"id{number:08d}" for number in range(10_000))
        self.folder = Path(self.mktemp()).absolute()
        store = DiskFileStore(self.folder, self.workers, time.time, ids.__next__)
        self.certificates = Certificates("localhost")
        self.server = RealServer(self, self.certificates, store)
        self.here = Path(self.mktemp()).absolute()
        self.here.mkdir()
        self.ca = self.here / "ca.pem"
        self.ca.write_bytes(self.certificates.certificate)
        self.home = self.here / "home"
        self.home.mkdir()

    async def run_program(self, program: str, *arguments: str) -> bytes:
        """Run a program to its end; what it wrote."""
        path = peers.program(program)
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        out, err, code = await getProcessOutputAndValue(path, arguments, environment, str(self.here))
        if code:
            self.fail(f"{program} {arguments}: {code}\n{out.decode(errors='replace')}\n{err.decode(errors='replace')}")
        return bytes(out)

    async def curl(self, *arguments: str) -> bytes:
        """curl as ann, verifying the certificate."""
        return await self.run_program(
            "curl", "-sS", "--max-time", "20", "-u", "ann:pw", "--cacert", str(self.ca), *arguments
        )

    def published(self, *names: str) -> bytes:
        """A file as it is on the disk."""
        [account] = [entry for entry in self.folder.iterdir() if not entry.name.startswith(".")]
        return (account / "files").joinpath(*names).read_bytes()

    def big(self) -> str:
        """A large file to send."""
        path = self.here / "big"
        path.write_bytes(BIG)
        return str(path)

    def test_curl(self) -> Deferred[None]:
        """curl sends, receives, resumes, lists and makes folders, in clear."""

        async def script() -> None:
            url = f"ftp://localhost:{self.server.port}/"
            await self.curl("-T", self.big(), "--ftp-create-dirs", url + "a/b/big")
            self.assertEqual(self.published("a", "b", "big"), BIG)
            self.assertEqual(await self.curl(url + "a/b/big"), BIG)
            self.assertEqual(await self.curl("-C", "1000", url + "a/b/big"), BIG[1000:])
            self.assertEqual(await self.curl("-r", "10-19", url + "a/b/big"), BIG[10:20])
            self.assertEqual(await self.curl("-l", url + "a/"), b"b\n")
            self.assertIn(b" big", await self.curl(url + "a/b/"))
            (self.here / "half").write_bytes(BIG[:5_000])
            await self.curl("-T", str(self.here / "half"), url + "half")
            (self.here / "half").write_bytes(BIG[:9_000])
            await self.curl("-C", "-", "-T", str(self.here / "half"), url + "half")
            self.assertEqual(self.published("half"), BIG[:9_000])
            await self.curl("-a", "-T", str(self.here / "half"), url + "half")
            self.assertEqual(self.published("half"), BIG[:9_000] * 2)
            head = await self.curl("-I", url + "half")
            self.assertIn(b"Content-Length: 18000", head)
            await self.curl("-P", "-", "-T", self.big(), url + "active")
            self.assertEqual(self.published("active"), BIG)

        return Deferred.fromCoroutine(script())

    def test_curl_inside_tls(self) -> Deferred[None]:
        """curl does the same with AUTH TLS and with implicit TLS."""

        async def script() -> None:
            for url, options in (
                (f"ftp://localhost:{self.server.port}/", ["--ssl-reqd"]),
                (f"ftps://localhost:{self.server.tls_port}/", []),
            ):
                await self.curl(*options, "-T", self.big(), url + "big")
                self.assertEqual(self.published("big"), BIG)
                self.assertEqual(await self.curl(*options, url + "big"), BIG)
                self.assertEqual(await self.curl(*options, "-l", url), b"big\n")

        return Deferred.fromCoroutine(script())

    def test_lftp_mirror(self) -> Deferred[None]:
        """lftp mirrors a tree up and down, with PROT P, and keeps the times."""

        async def script() -> None:
            tree = self.here / "up"
            for name in ("a", "d/b c", "d/e/caf\u00e9", "d/e/empty"):
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"" if name.endswith("empty") else hashlib.sha256(name.encode()).digest() * 1_000)
                os.utime(path, (1_600_000_000, 1_600_000_000))
            commands = (
                f"set ssl:ca-file {self.ca}; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set net:timeout 20;"
                f"set net:max-retries 1; open -u ann,pw -p {self.server.port} localhost;"
                f"mirror -R {tree} copy; mirror copy {self.here}/down; ls copy; rm -r copy; bye"
            )
            await self.run_program("lftp", "-c", commands)
            for path in sorted(tree.rglob("*")):
                there = self.here / "down" / path.relative_to(tree)
                if path.is_file():
                    self.assertEqual(there.read_bytes(), path.read_bytes())
                    self.assertEqual(int(there.stat().st_mtime), 1_600_000_000)
            self.assertEqual(await self.curl("-l", f"ftp://localhost:{self.server.port}/"), b"")

        return Deferred.fromCoroutine(script())

    def test_wget_and_ncftp(self) -> Deferred[None]:
        """wget and ncftpget fetch what ncftpput has sent."""

        async def script() -> None:
            port = str(self.server.port)
            login = ["-u", "ann", "-p", "pw", "-P", port]
            await self.run_program("ncftpput", *login, "localhost", "/", self.big())
            self.assertEqual(self.published("big"), BIG)
            await self.run_program("ncftpget", *login, "localhost", str(self.home), "/big")
            self.assertEqual((self.home / "big").read_bytes(), BIG)
            fetched = str(self.here / "fetched")
            url = f"ftp://ann:pw@localhost:{port}/big"
            await self.run_program("wget", "-q", "-O", fetched, "--timeout=20", "--tries=1", url)
            self.assertEqual(Path(fetched).read_bytes(), BIG)

        return Deferred.fromCoroutine(script())

