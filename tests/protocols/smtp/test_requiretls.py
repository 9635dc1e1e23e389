"""REQUIRETLS and TLS-Required: what is offered, taken, and kept with the mail.  RFC 8689."""

from __future__ import annotations

from typing import Any

from launcelot.message.trace import tls_is_optional
from launcelot.spool.interface import Envelope
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link
from tests.protocols.smtp.support import SmtpCase, plain


class RequireTlsTests(SmtpCase):
    """The server's side."""

    tls = Certificates("here.test")

    def setUp(self) -> None:
        super().setUp()
        self.world.site.relays = True
        self.seen: list[Envelope] = []
        accept = self.world.site.spool.accept

        async def keep(envelope: Envelope, body: Any, once: bool = False) -> Any:
            self.seen.append(envelope)
            return await accept(envelope, body, once)

        self.world.site.spool.accept = keep  # type: ignore[method-assign]

    def secured(self) -> Link:
        """A peer of submission who is ann, over TLS."""
        link = self.connect(self.submission)
        self.assertEqual(self.codes(link, b"EHLO me\r\nSTARTTLS\r\n"), [250, 220])
        link.start_tls(self.world.tls.client("here.test"))  # type: ignore[union-attr]
        self.offered = self.ask(link, b"EHLO me\r\n")
        self.assertEqual(self.codes(link, b"AUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [235])
        return link

    def send(self, link: Link, parameters: bytes = b"", header: bytes = b"", recipient: bytes = b"x@far.example") -> Envelope:
        """A mail; its envelope."""
        said = b"MAIL FROM:<ann@test>%s\r\nRCPT TO:<%s>\r\nDATA\r\n" % (parameters, recipient)
        self.assertEqual(self.codes(link, said), [250, 250, 354])
        self.assertEqual(self.codes(link, b"From: ann@test\r\n%s\r\nhi\r\n.\r\n" % header), [250])
        return self.seen.pop()

    def test_offered_under_tls_only(self) -> None:
        """And taken there only; without a value."""
        link = self.connect(self.submission)
        self.assertNotIn(b"250-REQUIRETLS", self.ask(link, b"EHLO me\r\n"))
        self.assertEqual(self.codes(link, b"AUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [235])
        (said,) = self.ask(link, b"MAIL FROM:<ann@test> REQUIRETLS\r\n")
        self.assertEqual(said, b"555 5.5.4 REQUIRETLS is for mail that comes over TLS")
        link = self.secured()
        self.assertIn(b"250-REQUIRETLS", self.offered)
        self.assertEqual(self.codes(link, b"MAIL FROM:<ann@test> REQUIRETLS=YES\r\n"), [501])
        self.assertEqual(self.codes(link, b"MAIL FROM:<ann@test> RequireTLS REQUIRETLS\r\n"), [501])

    def test_kept_with_the_mail(self) -> None:
        """The parameter, or the field; the parameter goes before the field."""
        link = self.secured()
        for parameters, header, expected in (
            (b"", b"", (False, False)),
            (b" requiretls", b"", (True, False)),
            (b"", b"TLS-Required: No\r\n", (False, True)),
            (b" REQUIRETLS SIZE=10", b"TLS-Required: No\r\n", (True, False)),
        ):
            envelope = self.send(link, parameters, header)
            self.assertEqual((envelope.require_tls, envelope.tls_optional), expected, (parameters, header))

    def test_helo_knows_no_parameters(self) -> None:
        """As with all of them."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"HELO me\r\nMAIL FROM:<eve@example.com> REQUIRETLS\r\n"), [250, 555])

    def test_the_field(self) -> None:
        """Once, with the one word it may have, in the header."""
        for text, optional in (
            (b"TLS-Required: No\r\n\r\n", True), (b"X: y\r\ntls-required:no\r\n\r\n", True),
            (b"TLS-Required:\r\n NO\r\n\r\n", True), (b"TLS-Required:\r\n\r\n", False),
            (b"TLS-Required: Yes\r\n\r\n", False), (b"TLS-Required: No\r\nTLS-Required: No\r\n\r\n", False), (b"\r\n\r\n", False),
            (b"X: y\r\n\r\nTLS-Required: No\r\n", False), (b"TLS-Required: No, no\r\n\r\n", False),
            (b"X-TLS-Required: No\r\n\r\n", False), (b"X: a\r\n TLS-Required: No\r\n\r\n", False),
        ):  # fmt: skip
            self.assertEqual(tls_is_optional(text), optional, text)
