"""The messages that scripts have us write."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.message.address import parse_mailbox
from launcelot.sieve.actions import Notify, Reject, Vacation
from launcelot.sieve.replies import Letterhead, notification, rejection, vacation_answer
from tests.sieve.kit import MESSAGE

OWNER = parse_mailbox("roadrunner@acme.example.com")
COYOTE = parse_mailbox("coyote@desert.example.org")
LETTER = Letterhead(OWNER, datetime(2026, 11, 21, tzinfo=UTC), "id1@acme.example.com", "BOUND", "mx.acme.example.com")


def parsed(data: bytes) -> EmailMessage:
    """As Python's own library sees it."""
    return email.message_from_bytes(data, policy=email.policy.default)


def vacation(reason: str = "Away until Monday.\n", subject: str = "", mime: bool = False) -> Vacation:
    """An answer."""
    return Vacation(str(COYOTE), "", subject, reason, mime, "h", 60)


class VacationTests(SynchronousTestCase):
    """RFC 5230 section 5."""

    def answer(self, action: Vacation, original: bytes = MESSAGE) -> EmailMessage:
        """The answer."""
        return parsed(vacation_answer(action, COYOTE, OWNER, original, LETTER))

    def test_answer(self) -> None:
        """Subject, thread, and that nobody wrote it."""
        found = self.answer(vacation())
        self.assertEqual(found["subject"], "Auto: I have a présent for you")
        self.assertEqual((found["from"], found["to"]), (str(OWNER), str(COYOTE)))
        self.assertEqual(found["in-reply-to"], "<m1@desert.example.org>")
        self.assertEqual(found["references"], "<m1@desert.example.org>")
        self.assertEqual(found["auto-submitted"], "auto-replied (vacation)")
        self.assertEqual(found.get_content().splitlines(), ["Away until Monday."])

    def test_subjects(self) -> None:
        """The script's own, or a fixed one where there is nothing to answer; never with line breaks."""
        self.assertEqual(self.answer(vacation(subject="Gone"))["subject"], "Gone")
        self.assertEqual(self.answer(vacation(subject="Gone\r\nBcc: x@y.example"))["subject"], "Gone Bcc: x@y.example")
        self.assertEqual(self.answer(vacation(), b"From: x\r\n\r\n")["subject"], "Automated reply")
        self.assertIsNone(self.answer(vacation(), b"From: x\r\n\r\n")["references"])

    def test_references_grow_to_a_limit(self) -> None:
        """The first and the last ones stay."""
        ids = " ".join(f"<r{number}@x>" for number in range(50))
        found = self.answer(vacation(), f"References: {ids}\r\nMessage-ID: <own@x>\r\n\r\n".encode())
        references = found["references"].split()
        self.assertEqual((len(references), references[0], references[-1]), (20, "<r0@x>", "<own@x>"))

    def test_mime_answer(self) -> None:
        """A MIME entity of the script's, of whose header only content fields are taken."""
        reason = "Content-Type: text/html; charset=us-ascii\nBcc: x@y.example\nContent-Description: a\n b\n\n<p>hi</p>\n"
        found = self.answer(vacation(reason, mime=True))
        self.assertEqual(found.get_content_type(), "text/html")
        self.assertEqual(found["content-description"], "a b")
        self.assertIsNone(found["bcc"])
        self.assertEqual(found.get_content().strip(), "<p>hi</p>")
        self.assertEqual(self.answer(vacation("\nplain é", mime=True)).get_content().strip(), "plain é")


class RejectionTests(SynchronousTestCase):
    """RFC 5429, RFC 8098."""

    def test_rejection(self) -> None:
        """The reason for people, the disposition for programs, the header and no body."""
        data = rejection(Reject("I do not want\r\nyour mail", False), COYOTE, OWNER, MESSAGE, LETTER)
        found = parsed(data)
        self.assertEqual(found.get_param("report-type"), "disposition-notification")
        text, machine, header = found.iter_parts()
        self.assertIn("I do not want\nyour mail", text.get_content().replace("\r\n", "\n"))
        self.assertIn(b"Disposition: automatic-action/MDN-sent-automatically; deleted\r\n", data)
        self.assertIn(b"Original-Message-ID: <m1@desert.example.org>\r\n", data)
        self.assertIn(b"Final-Recipient: rfc822; roadrunner@acme.example.com\r\n", data)
        self.assertEqual(machine.get_content_type(), "message/disposition-notification")
        self.assertNotIn(b"MONEY FAST", data)
        self.assertIn("X-Num", header.get_content())


class NotificationTests(SynchronousTestCase):
    """RFC 5436."""

    def test_notification(self) -> None:
        """To all recipients of the URI, with what script, URI and message say."""
        action = Notify("mailto:a@b.example,c%40d.example?subject=Ping&bcc=e@f.example", "", 1, (), "")
        recipients, data = notification(action, OWNER, MESSAGE, LETTER)
        self.assertEqual([str(one) for one in recipients], ["a@b.example", "c@d.example", "e@f.example"])
        found = parsed(data)
        self.assertEqual((found["subject"], found["importance"]), ("Ping", "high"))
        self.assertIn("auto-notified", found["auto-submitted"])
        self.assertIn("Subject: I have a présent for you", found.get_content())

    def test_script_goes_before_uri(self) -> None:
        """The script's message is the subject; without anything it is that of the mail."""
        action = Notify("mailto:a@b.example?subject=Ping&body=x%0Ay&In-Reply-To=%3Cx@y%3E&From=z@y.example", "", 2, (), "Mine")
        _, data = notification(action, COYOTE, MESSAGE, LETTER)
        found = parsed(data)
        self.assertEqual((found["subject"], found.get_content().splitlines()), ("Mine", ["x", "y"]))
        self.assertIsNone(found["importance"])
        self.assertEqual((found["from"], found["in-reply-to"]), (str(COYOTE), "<x@y>"))
        _, data = notification(Notify("mailto:a@b.example", "", 2, (), ""), OWNER, MESSAGE, LETTER)
        self.assertEqual(parsed(data)["subject"], "I have a présent for you")

    def test_other_methods_are_refused(self) -> None:
        """Only mail is a way."""
        self.assertRaises(Invalid, notification, Notify("tel:1", "", 2, (), ""), OWNER, MESSAGE, LETTER)
