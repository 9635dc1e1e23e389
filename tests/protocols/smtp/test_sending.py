"""Limits on what one account may send: told early, counted durably, shared by all who count."""

from __future__ import annotations

from pathlib import Path

from launcelot.protocols.smtp.sending import DAY, HOUR, SLOT
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import build, rules_of
from launcelot.protocols.smtp.session import Role
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site
from tests.protocols.smtp.support import SmtpCase

TEXT = b"DATA\r\nFrom: ann@test\r\n\r\n.\r\n"


class SendingCase(SmtpCase):
    """Limits, counted in a real file."""

    def setUp(self) -> None:
        super().setUp()
        self.world = memory_site(data=Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.ann = self.world.add_user("ann", "secret")
        self.bob = self.world.add_user("bob", "secret")
        for name in ("cat", "dan", "eve"):
            self.world.add_user(name)

    def limit(self, **limits: int) -> None:
        """Serve with these limits."""
        self.configure(**limits)
        self.rules = rules_of(self.world.site, self.settings)
        self.submission = SmtpFactory(self.world.site, "submission", self.count, self.settings, Role.SUBMISSION, rules=self.rules)
        self.world.open()

    def send(self, link: Link, *to: bytes) -> list[int]:
        """One mail."""
        return self.codes(link, b"MAIL FROM:<ann@test>\r\n" + b"".join(b"RCPT TO:<%b@test>\r\n" % one for one in to) + TEXT)


class SendingTests(SendingCase):
    """What is limited, and until when."""

    def test_messages_in_an_hour(self) -> None:
        """The third is refused at MAIL, and taken an hour later."""
        self.limit(messages_per_hour=2)
        link = self.logged_in()
        for _ in range(2):
            self.assertEqual(self.send(link, b"bob")[-1], 250)
        (answer,) = self.ask(link, b"MAIL FROM:<ann@test>\r\n")
        self.assertRegex(answer, rb"450 4\.7\.1 This account may have 2 messages in an hour")
        self.world.clock.advance(HOUR + SLOT)
        self.assertEqual(self.send(self.logged_in(), b"bob")[-1], 250)

    def test_messages_in_a_day(self) -> None:
        """Hours later it still counts, a day later no longer."""
        self.limit(messages_per_day=1)
        self.send(self.logged_in(), b"bob")
        self.world.clock.advance(DAY - HOUR)
        self.assertEqual(self.send(self.logged_in(), b"bob")[0], 450)
        self.world.clock.advance(HOUR + SLOT)
        self.assertEqual(self.send(self.logged_in(), b"bob")[-1], 250)

    def test_recipients(self) -> None:
        """The one too many is refused at RCPT, the others get the mail; naming one twice counts once."""
        self.limit(recipients_per_hour=3)
        link = self.logged_in()
        self.assertEqual(self.send(link, b"bob", b"cat", b"bob", b"dan", b"eve"), [250, 250, 250, 250, 250, 450, 354, 250])
        self.assertEqual(self.send(link, b"bob")[:2], [250, 450])
        self.assertEqual(len(self.inbox("dan")), 1)

    def test_recipients_who_were_never_written_to(self) -> None:
        """Old acquaintances do not count; who was refused or unknown is no acquaintance."""
        self.limit(new_recipients_per_day=2)
        link = self.logged_in()
        self.assertEqual(self.send(link, b"nobody", b"bob", b"cat", b"dan"), [250, 550, 250, 250, 450, 354, 250])
        self.assertEqual(self.send(link, b"bob", b"cat")[-1], 250)
        self.assertEqual(self.send(link, b"dan")[:2], [250, 450])
        self.world.clock.advance(DAY + SLOT)
        self.assertEqual(self.send(self.logged_in(), b"dan", b"eve", b"ann")[:4], [250, 250, 250, 450])

    def test_two_sessions_at_once(self) -> None:
        """Both are told that they may; the second is refused where it counts, and nothing is delivered."""
        self.limit(messages_per_hour=1)
        first, second = self.logged_in(), self.logged_in()
        start = b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\n"
        self.assertEqual(self.codes(first, start) + self.codes(second, start), [250] * 4)
        self.assertEqual(self.codes(first, TEXT), [354, 250])
        self.assertEqual(self.codes(second, TEXT), [354, 450])
        self.assertEqual(len(self.inbox("bob")), 1)

    def test_each_account_for_itself(self) -> None:
        """And strangers on the MX not at all."""
        self.limit(messages_per_hour=1)
        self.send(self.logged_in(), b"bob")
        link = self.connect(self.submission)
        self.codes(link, b"EHLO x\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\n")
        self.assertEqual(self.codes(link, b"MAIL FROM:<bob@test>\r\n"), [250])
        link = self.connect()
        for _ in range(3):
            self.assertEqual(self.codes(link, b"EHLO x\r\nMAIL FROM:<e@x.org>\r\nRSET\r\n"), [250, 250, 250])

    def test_a_message_that_is_refused_does_not_count(self) -> None:
        """A From that is not ann's."""
        self.limit(messages_per_hour=1)
        link = self.logged_in()
        talk = b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\nFrom: bob@test\r\n\r\n.\r\n"
        self.assertEqual(self.codes(link, talk)[-1], 550)
        self.assertEqual(self.send(link, b"bob")[-1], 250)

    def test_a_restart_forgets_nothing(self) -> None:
        """The count is on disk, and the service that is built from settings has it on both listeners."""
        self.limit(messages_per_day=1)
        self.send(self.logged_in(), b"bob")
        listeners = {one.name: one.factory for one in build(self.world.site, self.settings).listeners}
        factory = listeners["submission"]
        assert isinstance(factory, SmtpFactory)
        self.assertEqual(self.send(self.logged_in(factory), b"bob")[0], 450)

    def test_without_limits_there_is_no_file(self) -> None:
        """Nothing is counted."""
        self.limit()
        self.assertIsNone(self.rules.sending)
