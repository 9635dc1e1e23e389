"""Waiting: for deliveries, for peers, and for the end."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from launcelot.core.limits import ConnectionCount
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.session import Role
from tests.protocols.smtp.support import ENVELOPE, SmtpCase


class GraceTests(SmtpCase):
    """Waiting a moment for delivery."""

    def block(self) -> Deferred[None]:
        """Make deliveries wait."""
        gate: Deferred[None] = Deferred()
        deliver = self.world.site.spool._courier._deliver  # type: ignore[attr-defined]

        async def slow(*words: object) -> None:
            await gate
            await deliver(*words)

        self.world.site.spool._courier._deliver = slow  # type: ignore[attr-defined]
        return gate

    def test_reply_comes_with_the_delivery(self) -> None:
        """A delivery within the grace is waited for: who has read 250 finds the mail."""
        gate = self.block()
        link = self.connect()
        self.ask(link, ENVELOPE + b"DATA\r\n")
        self.assertEqual(self.ask(link, b"hi\r\n.\r\n"), [])
        self.world.clock.advance(0.04)
        gate.callback(None)
        self.assertEqual(link.take()[:4], b"250 ")
        self.assertEqual(self.bodies(), [b"hi\r\n"])
        self.world.advance(2)

    def test_reply_does_not_wait_longer(self) -> None:
        """The mail is safe; the answer comes at the end of the grace."""
        self.block()
        link = self.connect()
        self.ask(link, ENVELOPE + b"DATA\r\n")
        self.assertEqual(self.ask(link, b"hi\r\n.\r\n"), [])
        self.world.clock.advance(0.05)
        self.assertEqual(link.take()[:4], b"250 ")

    def test_busy_server_does_not_wait(self) -> None:
        """With eight deliveries under way the ninth mail is answered at once."""
        self.block()
        for number in range(10):
            link = self.connect()
            self.ask(link, ENVELOPE + b"DATA\r\n")
            answers = self.codes(link, b"hi\r\n.\r\n")
            self.assertEqual(answers, [] if number < 7 else [250], number)
            self.world.clock.advance(0.05)

    def test_no_grace(self) -> None:
        """0 is not at all."""
        self.configure(delivery_grace=0.0)
        self.block()
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"DATA\r\nhi\r\n.\r\n")[-1], 250)

    def test_peer_that_goes_meanwhile(self) -> None:
        """Its mail is delivered all the same, and no timer is left."""
        gate = self.block()
        link = self.connect()
        link.say(ENVELOPE + b"DATA\r\nhi\r\n.\r\n")
        link.abort()
        gate.callback(None)
        self.assertEqual(self.bodies(), [b"hi\r\n"])
        self.world.advance(2)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


class TimeTests(SmtpCase):
    """Deadlines and stopping."""

    def test_idle_peer_is_told_and_closed(self) -> None:
        """Five minutes for a command once a mail has begun."""
        link = self.connect()
        self.ask(link, b"EHLO me\r\nMAIL FROM:<>\r\n")
        self.world.advance(299)
        self.assertFalse(link.closed)
        self.world.advance(3)
        self.assertEqual(link.take(), b"421 4.4.2 here.test Timeout\r\n")
        self.assertTrue(link.closed)

    def test_a_minute_for_doing_something(self) -> None:
        """An octet now and then, or NOOPs, do not hold a connection that neither logs in nor sends."""
        link = self.connect()
        for _ in range(13):
            link.say(b"NOOP\r\n")
            link.take()
            self.world.advance(5)
        self.assertTrue(link.closed)
        silent = self.connect()
        for _ in range(13):
            silent.say(b"x")
            self.world.advance(5)
        self.assertEqual(silent.take(), b"421 4.4.2 here.test Timeout\r\n")

    def test_trickling_body_is_cut_and_a_slow_one_is_not(self) -> None:
        """10 octets a second end within two minutes; 1 KiB a second goes on for ten."""
        slow, honest = self.connect(), self.connect()
        for link in (slow, honest):
            self.ask(link, ENVELOPE + b"DATA\r\n")
        for second in range(600):
            if second < 120:
                slow.say(b"x" * 10)
            honest.say(b"x" * 1022 + b"\r\n")
            self.world.advance(1)
        self.assertTrue(slow.closed)
        self.assertEqual(slow.take()[:4], b"421 ")
        self.assertEqual(self.ask(honest, b".\r\n")[0][:4], b"250 ")

    def test_stopping_lets_a_message_finish(self) -> None:
        """A body that is coming is received and answered, then 421; idle sessions get 421 at once."""
        idle, busy = self.connect(), self.connect()
        self.ask(busy, ENVELOPE + b"DATA\r\n")
        drained = self.mx.drain()
        self.assertEqual(idle.take(), b"421 4.3.2 here.test Service is stopping\r\n")
        self.assertEqual(busy.take(), b"")
        busy.say(b"hi\r\n.\r\n")
        said = busy.take()
        self.assertTrue(
            said.startswith(b"250 ") and said.endswith(b"421 4.3.2 here.test Service is stopping\r\n"), said
        )
        idle.close()
        busy.close()
        self.successResultOf(drained)
        self.assertEqual(self.bodies(), [b"hi\r\n"])

    def test_too_many_connections(self) -> None:
        """One more than allowed is told so in SMTP's words."""
        factory = SmtpFactory(self.world.site, "smtp", ConnectionCount(10, 1), self.settings, Role.MX)
        self.connect(factory)
        link = self.world.connect(factory)
        self.assertEqual(link.take()[:9], b"421 4.3.2")
        self.assertTrue(link.closed)
