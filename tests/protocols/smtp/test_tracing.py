"""What the trail says of a message that came in."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.smtp.tracing import TEXT, message_id


class MessageIdTests(SynchronousTestCase):
    """The field, wherever it stands."""

    def test_places(self) -> None:
        """First, behind others, folded, without a line end; a name that only ends like it is another."""
        for head, found in (
            (b"Message-ID: <a@b>\r\nSubject: x\r\n\r\n", "<a@b>"),
            (b"Subject: x\r\nmessage-id:<a@b>\r\n\r\n", "<a@b>"),
            (b"Message-Id:\r\n <a@b>\r\n\r\n", "<a@b>"),
            (b"Message-ID: <a@b>", "<a@b>"),
            (b"X-Message-ID: <a@b>\r\n\r\n", ""),
            (b"", ""),
            (b"Message-ID: " + b"x" * 1_000 + b"\r\n", "x" * TEXT),
        ):
            self.assertEqual(message_id(head), found)
