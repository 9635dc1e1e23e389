"""Reports about messages."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.address import parse_mailbox
from launcelot.message.report import MAX_QUOTED, Report, compose_report, delivery_fields, quoted_header

ORIGINAL = b"From: a@b.example\r\nSubject: hello\r\n\r\nsecret body\r\n"


def report(recipient: str = "a@b.example", failed: str = "c@d.example", text: str = "It failed.\n") -> Report:
    """A delivery status notification."""
    return Report(
        kind="delivery-status",
        sender=parse_mailbox("postmaster@x.example"),
        sender_name="Mail Delivery",
        recipient=parse_mailbox(recipient),
        subject="Undelivered: hello",
        text=text,
        groups=[
            [("Reporting-MTA", "dns; x.example")],
            delivery_fields(parse_mailbox(failed), "rfc822;C@d.example", "failed", "5.1.1", "550 5.1.1 no\r\nsuch user"),
        ],
        date=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
        message_id="r1@x.example",
        boundary="BOUND",
    )


class ReportTests(SynchronousTestCase):
    """Delivery status notifications."""

    def test_structure(self) -> None:
        """Python's own library finds the three parts and the fields for programs."""
        data = compose_report(report(), ORIGINAL)
        found = email.message_from_bytes(data, policy=email.policy.default)
        self.assertEqual(found.get_content_type(), "multipart/report")
        self.assertEqual(found["auto-submitted"], "auto-replied")
        text, status, header = found.iter_parts()
        self.assertEqual(text.get_content().splitlines(), ["It failed."])
        payload: Any = status.get_payload()
        message, recipient = payload
        self.assertEqual(message["Reporting-MTA"], "dns; x.example")
        self.assertEqual(recipient["Final-Recipient"], "rfc822; c@d.example")
        self.assertEqual(recipient["Diagnostic-Code"], "smtp; 550 5.1.1 no such user")
        self.assertEqual(header.get_content_type(), "text/rfc822-headers")
        self.assertNotIn(b"secret", data)
        self.assertTrue(data.isascii())
        self.assertNotIn(b"\n", data.replace(b"\r\n", b""))

    def test_international_addresses(self) -> None:
        """Parts have the types of RFC 6533."""
        found: Any = email.message_from_bytes(compose_report(report(failed="jürgen@d.example"), ORIGINAL))
        self.assertEqual(found.get_param("report-type"), "global-delivery-status")
        self.assertEqual(found.get_payload()[1].get_content_type(), "message/global-delivery-status")
        raw = compose_report(report(), "Subject: grüße\r\n\r\n".encode())
        found = email.message_from_bytes(raw)
        self.assertEqual(found.get_payload()[2].get_content_type(), "message/global-headers")

    def test_quoted_headers_are_harmless(self) -> None:
        """Odd line ends, no body, NULs, wrong UTF-8, very long ones: whole lines with CRLF."""
        self.assertEqual(quoted_header(b"A: b\nC: d\rE: \0\xff\n\nbody"), "A: b\r\nC: d\r\nE: \ufffd\r\n".encode())
        self.assertEqual(quoted_header(b""), b"")
        self.assertEqual(quoted_header(b"A: b"), b"A: b\r\n")
        long = quoted_header(b"A: " + b"x" * 2_000 + b"\r\n" + b"B: c\r\n" * 20_000)
        self.assertTrue(len(long) <= MAX_QUOTED)
        self.assertTrue(long.endswith(b"B: c\r\n"))

    def test_text_is_encoded(self) -> None:
        """Whatever language it is in."""
        data = compose_report(report(text="Nicht zustellbar: grüße"), ORIGINAL)
        found = email.message_from_bytes(data, policy=email.policy.default)
        self.assertEqual(next(found.iter_parts()).get_content().splitlines(), ["Nicht zustellbar: grüße"])
