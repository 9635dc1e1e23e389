"""Programs we did not write, where TLS on data connections must resume the control connection's session; and wget."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from launcelot.hosting.tls import server_options
from launcelot.testing.certificates import Certificates
from tests.clients.peers import program
from tests.protocols.ftp.sockets import RealServer

DATA = bytes(range(256)) * 3_000
LIMIT = 60


class SessionTests(TestCase):
    """A server that requires it."""

    timeout = 120

    def setUp(self) -> None:
        """Serve, with a file and the authority's certificate at hand."""
        certificates = Certificates("localhost")
        options = server_options(certificates.certificate, certificates.key)
        self.server = RealServer(self, SimpleNamespace(server=options), data_tls_session="require")
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "near").mkdir(parents=True)
        (self.folder / "near" / "f").write_bytes(DATA)
        (self.folder / "near" / "g").write_bytes(b"g")
        self.ca = self.folder / "ca.pem"
        self.ca.write_bytes(certificates.certificate)

    def run_all(self, *commands: tuple[str, ...]) -> Deferred[list[bytes]]:
        """Run programs one after the other, in a thread; what each printed."""

        def work() -> list[bytes]:
            said = []
            for command in commands:
                done = subprocess.run(command, cwd=self.folder, capture_output=True, timeout=LIMIT, check=False)
                self.assertEqual(done.returncode, 0, (command, done.stderr))
                said.append(done.stdout)
            return said

        return deferToThread(work)

    def resumed(self) -> tuple[int, int]:
        """Data connections that resumed a session, and that did not."""
        count = self.server.site.counters.value
        return count("ftp.data.tls.resumed"), count("ftp.data.tls.new")

    async def test_curl(self) -> None:
        """curl resumes by itself: up, down and listing, in TLS 1.2 and 1.3."""
        url = f"ftp://localhost:{self.server.port}/f"
        for version in (("--tls-max", "1.2"), ("--tlsv1.3",)):
            tls = (program("curl"), "-sS", "--user", "ann:pw", "--ssl-reqd", "--cacert", str(self.ca), *version)
            listed = url.removesuffix("f")
            said = await self.run_all((*tls, "-T", "near/f", url), (*tls, url), (*tls, listed))
            self.assertEqual(said[1], DATA)
            self.assertIn(b" f\n", said[2])
        self.assertEqual(self.resumed(), (6, 0))

    async def test_lftp_mirror(self) -> None:
        """lftp mirrors up and down."""
        settings = (
            f"set ssl:ca-file {self.ca}; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set cmd:fail-exit yes; "
            f"set net:max-retries 1; open -u ann,pw ftp://localhost:{self.server.port}; "
        )
        lftp = (program("lftp"), "-c")
        await self.run_all((*lftp, settings + "mirror -R near far; bye"), (*lftp, settings + "mirror far back; bye"))
        self.assertEqual((self.folder / "back" / "f").read_bytes(), DATA)
        self.assertEqual((self.folder / "back" / "g").read_bytes(), b"g")
        resumed, new = self.resumed()
        self.assertEqual(new, 0)
        self.assertGreaterEqual(resumed, 6)

    async def test_wget(self) -> None:
        """wget gets a file and a tree in clear, and takes up what was cut."""
        url = f"ftp://ann:pw@localhost:{self.server.port}"
        curl = (program("curl"), "-sS", "--user", "ann:pw", "--ssl-reqd", "--cacert", str(self.ca))
        await self.run_all((*curl, "--ftp-create-dirs", "-T", "near/f", f"ftp://localhost:{self.server.port}/d/f"))
        (self.folder / "f").write_bytes(DATA[:100_000])
        wget = (program("wget"), "-q", "--tries=1", "--no-verbose")
        await self.run_all((*wget, "-c", f"{url}/d/f"), (*wget, "-r", "-nH", "-P", "tree", f"{url}/d/"))
        self.assertEqual((self.folder / "f").read_bytes(), DATA)
        self.assertEqual((self.folder / "tree" / "d" / "f").read_bytes(), DATA)
