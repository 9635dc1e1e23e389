"""File programs that we did not write move files to and from a running demo."""

from __future__ import annotations

import ftplib
import gzip
import io
import json
import signal
import ssl
import subprocess
import sys
from pathlib import Path

from tests.clients.demo import DemoCase


class FileClientTests(DemoCase):
    """curl, lftp, ncftp and ftplib."""

    def setUp(self) -> None:
        """Where FTP listens."""
        super().setUp()
        self.ftp = self.demo.service("ftp")
        self.login = ("-sS", "--user", f"{self.user}:{self.password}")
        self.url = f"ftp://localhost:{self.ftp.port}"

    def test_the_books_programs(self) -> None:
        """As chapter 17 of the book does it, without a name: greeting, folder, text, octets, listings, a walk through folders."""
        with ftplib.FTP() as ftp:
            ftp.connect("localhost", self.ftp.port)
            self.assertTrue(ftp.getwelcome().startswith("220"))
            ftp.login()
            self.assertEqual(ftp.pwd(), "/")
            ftp.cwd("/pub/linux/kernel")
            lines: list[str] = []
            ftp.retrlines("RETR README", lines.append)
            self.assertIn("No kernel is inside.", lines)
            ftp.cwd("/pub/linux/kernel/v1.0")
            patch = io.BytesIO()
            ftp.retrbinary("RETR patch8.gz", patch.write)
            self.assertEqual(gzip.decompress(patch.getvalue()), b"Nothing is patched.\n")
            ftp.voidcmd("TYPE I")
            data, size = ftp.ntransfercmd("RETR linux-1.0.tar.gz")
            with data, data.makefile("rb") as coming:
                self.assertEqual(len(coming.read()), size)
            ftp.voidresp()
            ftp.cwd("/pub/linux/kernel/Historic/")
            self.assertEqual(sorted(ftp.nlst()), ["linux-0.01.tar.gz", "old-versions"])
            listed: list[str] = []
            ftp.dir(listed.append)
            self.assertEqual(sorted(line.split()[-1] for line in listed), ["linux-0.01.tar.gz", "old-versions"])
            self.assertEqual(sorted(self.walked(ftp, "/pub/linux/kernel/Historic/old-versions")), [
                "/pub/linux/kernel/Historic/old-versions", "/pub/linux/kernel/Historic/old-versions/impure",
            ])  # fmt: skip
            with self.assertRaises(ftplib.error_perm):
                ftp.storbinary("STOR mine", io.BytesIO(b"x"))

    def walked(self, ftp: ftplib.FTP, path: str) -> list[str]:
        """Folders from one on; what cannot be entered is a file."""
        origin = ftp.pwd()
        try:
            ftp.cwd(path)
        except ftplib.error_perm:
            return []
        found = [path]
        for name in sorted(ftp.nlst()):
            found += self.walked(ftp, f"{path}/{name}")
        ftp.cwd(origin)
        return found

    def test_curl_ftp(self) -> None:
        """curl uploads, lists, downloads, resumes, renames and deletes in clear on loopback."""
        data = bytes(range(256)) * 1000
        path = self.folder / "data.bin"
        path.write_bytes(data)
        self.run_program("curl", *self.login, "-T", str(path), f"{self.url}/curl.bin")
        self.assertIn(b"curl.bin", self.run_program("curl", *self.login, f"{self.url}/"))
        self.assertEqual(self.run_program("curl", *self.login, f"{self.url}/curl.bin"), data)
        self.assertEqual(self.run_program("curl", *self.login, "-C", "100000", f"{self.url}/curl.bin"), data[100_000:])
        self.run_program("curl", *self.login, "-Q", "RNFR curl.bin", "-Q", "RNTO moved.bin", f"{self.url}/", "-o", "/dev/null")
        self.run_program("curl", *self.login, "-Q", "DELE moved.bin", f"{self.url}/", "-o", "/dev/null")
        self.assertNotIn(b"moved.bin", self.run_program("curl", *self.login, "-l", f"{self.url}/"))

    def test_curl_ftps(self) -> None:
        """curl requires TLS on both channels, verifies it, and moves a file both ways."""
        data = b"secret\r\n" * 10_000
        path = self.folder / "data.bin"
        path.write_bytes(data)
        tls = ("--ssl-reqd", "--cacert", self.demo.ca_file)
        self.run_program("curl", *self.login, *tls, "-T", str(path), f"{self.url}/tls.bin")
        self.assertEqual(self.run_program("curl", *self.login, *tls, f"{self.url}/tls.bin"), data)
        implicit = self.demo.service("ftps")
        url = f"ftps://localhost:{implicit.port}/tls.bin"
        self.assertEqual(self.run_program("curl", *self.login, *tls, url), data)

    def test_lftp_mirror_both_ways(self) -> None:
        """lftp mirrors a tree up and down under TLS, names with spaces and letters beyond ASCII included."""
        near = self.folder / "near"
        (near / "sub folder").mkdir(parents=True)
        files = {"one.txt": b"1\n", "sub folder/zwei \u00fc.bin": bytes(range(256)) * 300, "empty": b""}
        for name, data in files.items():
            (near / name).write_bytes(data)
        settings = (
            f"set ssl:ca-file {self.demo.ca_file}; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set cmd:fail-exit yes; "
            f"set net:max-retries 1; open -u {self.user},{self.password} ftp://localhost:{self.ftp.port}; "
        )
        self.run_program("lftp", "-c", settings + f"mirror -R {near} lftp; bye")
        self.run_program("lftp", "-c", settings + f"mirror lftp {self.folder}/back; bye")
        back = self.folder / "back"
        for name, data in files.items():
            self.assertEqual((back / name).read_bytes(), data, name)
        self.run_program("lftp", "-c", settings + "rm -r lftp; bye")

    def test_ncftp(self) -> None:
        """ncftpput and ncftpget move a file."""
        path = self.folder / "nc.txt"
        path.write_bytes(b"ncftp\n" * 1000)
        login = ("-u", self.user, "-p", self.password, "-P", str(self.ftp.port), "-V")
        self.run_program("ncftpput", *login, "localhost", "/", str(path))
        path.unlink()
        self.run_program("ncftpget", *login, "localhost", str(self.folder), "/nc.txt")
        self.assertEqual(path.read_bytes(), b"ncftp\n" * 1000)

    def test_ftplib(self) -> None:
        """ftplib stores, lists in every way, retrieves as text and binary, and walks folders."""
        client = ftplib.FTP()
        client.connect("localhost", self.ftp.port)
        client.login(self.user, self.password)
        client.mkd("lib")
        client.cwd("lib")
        self.assertEqual(client.nlst(), [])
        client.storbinary("STOR data.bin", io.BytesIO(bytes(range(256)) * 100))
        client.storlines("STOR text.txt", io.BytesIO(b"one\ntwo\n"))
        self.assertEqual(sorted(client.nlst()), ["data.bin", "text.txt"])
        client.voidcmd("TYPE I")
        self.assertEqual(client.size("data.bin"), 25_600)
        lines: list[str] = []
        client.retrlines("RETR text.txt", lines.append)
        self.assertEqual(lines, ["one", "two"])
        facts = dict(client.mlsd(facts=["type", "size"]))
        self.assertEqual(facts["data.bin"]["size"], "25600")
        got = io.BytesIO()
        client.retrbinary("RETR data.bin", got.write, rest=25_000)
        self.assertEqual(got.getvalue(), (bytes(range(256)) * 100)[25_000:])
        listing: list[str] = []
        client.dir(listing.append)
        self.assertEqual(len(listing), 2)
        client.delete("data.bin")
        client.delete("text.txt")
        client.cwd("..")
        client.rmd("lib")
        client.quit()

    def test_ftplib_tls(self) -> None:
        """ftplib under AUTH TLS with a protected data channel."""
        client = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=self.demo.ca_file))
        client.connect("localhost", self.ftp.port)
        client.login(self.user, self.password)
        client.prot_p()
        client.storbinary("STOR tls-lib.bin", io.BytesIO(b"x" * 300_000))
        got = io.BytesIO()
        client.retrbinary("RETR tls-lib.bin", got.write)
        self.assertEqual(len(got.getvalue()), 300_000)
        client.delete("tls-lib.bin")
        client.quit()

    def test_our_own_client(self) -> None:
        """``launcelot ftp`` mirrors a tree up and down under TLS, compares what it moved, and moves nothing twice."""
        near = self.folder / "near"
        (near / "sub").mkdir(parents=True)
        (near / "sub" / "f.bin").write_bytes(bytes(range(256)) * 3000)
        (near / "empty").touch()
        password = self.folder / "password"
        password.write_text(self.password)
        port = str(self.ftp.port)
        where = ("--server", "localhost", "--port", port, "--ca-file", self.demo.ca_file, "--user", self.user, "--json")
        ours = ("env", f"PYTHONPATH={Path(__file__).parents[2]}", sys.executable, "-m", "launcelot.app.command", "ftp")
        for words, files, skipped in (
            (("--up", "/own", str(near)), 2, 0),
            (("--up", "/own", str(near)), 0, 2),
            (("/own", str(self.folder / "back")), 2, 0),
        ):
            told = json.loads(self.run_program(*ours, "mirror", *words, *where, "--password-file", str(password)))
            self.assertEqual((told["files"], told["verified"], told["skipped"]), (files, files, skipped))
        self.assertEqual((self.folder / "back" / "sub" / "f.bin").read_bytes(), bytes(range(256)) * 3000)

    def test_killed_client_replaces_nothing(self) -> None:
        """A client that is killed while it uploads ends both connections at once; the old file stays whole."""
        old = b"old" * 100_000
        self.store(old)
        program = (
            "import ftplib, os, signal, sys\n"
            "client = ftplib.FTP()\n"
            "client.connect('localhost', int(sys.argv[1]))\n"
            "client.login(sys.argv[2], sys.argv[3])\n"
            "client.voidcmd('TYPE I')\n"
            "data = client.transfercmd('STOR kept.bin')\n"
            "data.sendall(b'new' * 50_000)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        for _ in range(5):
            command = [sys.executable, "-c", program, str(self.ftp.port), self.user, self.password]
            self.assertEqual(subprocess.run(command, timeout=60, check=False).returncode, -signal.SIGKILL)
            client = self.logged_in()
            got = io.BytesIO()
            client.retrbinary("RETR kept.bin", got.write)
            self.assertEqual(got.getvalue(), old)
            client.quit()

    def store(self, data: bytes) -> None:
        """Upload ``kept.bin``."""
        client = self.logged_in()
        client.storbinary("STOR kept.bin", io.BytesIO(data))
        client.quit()

    def logged_in(self) -> ftplib.FTP:
        """A client."""
        client = ftplib.FTP()
        client.connect("localhost", self.ftp.port)
        client.login(self.user, self.password)
        return client
