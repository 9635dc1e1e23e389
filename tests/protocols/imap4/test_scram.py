"""SCRAM in AUTHENTICATE.  RFC 9051 section 6.2.2."""

from __future__ import annotations

from typing import Any

from launcelot.testing.link import Link
from tests.protocols.imap4.world import ImapCase
from tests.protocols.scramming import CERTIFICATES, ScramServerTests, Spoken


class ImapScramTests(ScramServerTests, ImapCase):
    """The server."""

    tls = CERTIFICATES
    spoken = Spoken(b"a AUTHENTICATE ", b"+ ", rb"^a OK \[CAPABILITY ", rb"^a NO \[AUTHENTICATIONFAILED\] ", rb"^a BAD ")

    def open_link(self, source: str = "127.0.0.1", tls: Any = None) -> Link:
        """Beyond the greeting."""
        link = self.world.connect(self.factory, source)
        link.take()
        if tls is not None:
            self.ask(link, b"STARTTLS")
            link.start_tls(tls)
        return link

    def test_capabilities_tell(self) -> None:
        """-PLUS inside TLS only; none behind the login."""
        link = self.open_link()
        told = self.ask(link, b"CAPABILITY")[0]
        self.assertIn(b" AUTH=SCRAM-SHA-256 AUTH=PLAIN ", told)
        self.assertNotIn(b"-PLUS", told)
        link = self.secured()
        self.assertIn(b" AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 ", self.ask(link, b"CAPABILITY")[0])
        self.scram(link, self.prover())
        self.assertNotIn(b"AUTH=", self.ask(link, b"CAPABILITY")[0])
        self.assertNotIn(b"AUTH=", self.ask(self.open_link("192.0.2.1"), b"CAPABILITY")[0])
