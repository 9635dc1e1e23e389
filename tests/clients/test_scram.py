"""Programs we did not write prove that they know the password, and want the same of us."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.clients.demo import DemoCase


def cyrus_scram() -> None:
    """
    Be sure that Cyrus SASL has SCRAM.

    :raises SkipTest: it has not, and peers are not required here.
    """
    if not list(Path("/usr/lib").glob("*/sasl2/libscram.so*")):
        reason = "Cyrus SASL has no SCRAM (Debian package libsasl2-modules)"
        if os.environ.get("LAUNCELOT_PEERS") == "required":
            raise AssertionError(reason)
        raise SkipTest(reason)


class ScramTests(DemoCase):
    """GNU SASL and Cyrus SASL against a running demo."""

    def gsasl(self, service: str, protocol: str, mechanism: str, *options: str, status: int = 0) -> str:
        """One log-in; everything that was said."""
        command = (
            "gsasl", protocol, "--connect", f"localhost:{self.demo.service(service).port}", "-m", mechanism, "-a", self.user,
            "-p", self.password, "--x509-ca-file", self.demo.ca_file, "--verbose", *options,
        )  # fmt: skip
        return self.run_program(*command, status=status).decode()

    def test_gsasl_binds_the_channel(self) -> None:
        """SCRAM-SHA-256-PLUS with tls-exporter under STARTTLS, over IMAP and submission."""
        self.assertIn("OK [CAPABILITY", self.gsasl("imap", "--imap", "SCRAM-SHA-256-PLUS").rpartition(" AUTHENTICATE ")[2])
        self.assertIn("\n235 2.7.0 ", self.gsasl("submission", "--smtp", "SCRAM-SHA-256-PLUS"))
        self.assertRegex(self.demo.said(), r"imap session .* user='brandon' tls=True .* logout")

    def test_gsasl_without_tls(self) -> None:
        """SCRAM-SHA-256 from this machine; a wrong password is refused."""
        for service, protocol in (("imap", "--imap"), ("submission", "--smtp")):
            self.gsasl(service, protocol, "SCRAM-SHA-256", "--no-starttls", "--no-cb")
        self.password = "wrong"
        self.gsasl("imap", "--imap", "SCRAM-SHA-256", "--no-starttls", "--no-cb", status=1)
        self.assertIn("imap login failed for 'brandon'", self.demo.said())

    def test_mbsync(self) -> None:
        """mbsync takes nothing but SCRAM-SHA-256, from Cyrus SASL, inside TLS."""
        cyrus_scram()
        service = self.demo.service("imaps")
        (self.folder / "mail").mkdir()
        config = self.write(
            "mbsyncrc",
            f"""
IMAPAccount demo
Host localhost
Port {service.port}
User {self.user}
Pass "{self.password}"
SSLType IMAPS
CertificateFile {self.demo.ca_file}
AuthMechs SCRAM-SHA-256

IMAPStore far
Account demo

MaildirStore near
Path {self.folder}/mail/
Inbox {self.folder}/inbox
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
""",
        )
        self.run_program("mbsync", "-c", str(config), "all")
        self.assertTrue(list((self.folder / "inbox").glob("*/*")))
