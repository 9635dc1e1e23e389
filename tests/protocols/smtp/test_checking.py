"""Checks at work in a session: replies in order, fields on top, Junk, and whom nobody checks."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Message, Verdict
from launcelot.checks.names import ScriptedNames
from launcelot.checks.running import Checks
from launcelot.checks.sanity import HeaderSanity
from launcelot.checks.spf import Spf
from launcelot.message.address import Address
from launcelot.spool.interface import Envelope
from launcelot.testing.link import Link
from tests.protocols.smtp.support import ENVELOPE, MESSAGE, STUFFED, SmtpCase

STRANGER = "192.0.2.3"
ZONE = {"TXT example.com": "v=spf1 ip4:192.0.2.3 -all"}


class Probe(Check):
    """Notes when it is asked, and says what it is told."""

    name = "probe"

    def __init__(self) -> None:
        self.moments: list[str] = []
        self.verdicts: dict[str, Verdict] = {}
        self.waits: Deferred[None] | None = None
        self.seen: list[bytes] = []

    async def _at(self, moment: str) -> Verdict:
        self.moments.append(moment)
        if self.waits is not None:
            await self.waits
        return self.verdicts.get(moment, ACCEPT)

    async def sender(self, case: Case) -> Verdict:
        """At MAIL."""
        return await self._at("sender")

    async def recipient(self, case: Case, recipient: Address) -> Verdict:
        """At RCPT."""
        return await self._at(str(recipient))

    async def message(self, case: Case, message: Message) -> Verdict:
        """At the end."""
        self.seen.append(message.head + message.buffer[message.body :])
        return await self._at("message")


class CheckingCase(SmtpCase):
    """A Site with checks."""

    def check(self, *checks: Check, trusted: Sequence[str] = ("127.0.0.0/8",)) -> None:
        """Have these look at mail from strangers."""
        self.world.site.checks = Checks(checks, self.world.clock, self.world.site.counters, trusted)

    def stranger(self) -> Link:
        """Somebody from elsewhere."""
        return self.connect(source=STRANGER)


class OrderTests(CheckingCase):
    """Nothing overtakes a decision."""

    def setUp(self) -> None:
        super().setUp()
        self.probe = Probe()
        self.check(self.probe)

    def test_replies_wait_for_the_decision_in_order(self) -> None:
        """A whole pipelined session is answered in its order, though every step waits."""
        link = self.stranger()
        self.probe.waits = Deferred()
        link.say(ENVELOPE + b"RCPT TO:<nobody@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n" + STUFFED + b".\r\nNOOP\r\nQUIT\r\n")
        self.assertEqual(self.probe.moments, ["sender"])
        self.assertNotIn(b"250 2.1", link.take())
        waits, self.probe.waits = self.probe.waits, None
        waits.callback(None)
        self.world.network.pump()
        answers = [line[:9] for line in link.take().split(b"\r\n") if line[3:4] != b"-"][1:]
        self.assertEqual(
            answers,
            [b"250 2.1.0", b"250 2.1.5", b"550 5.1.1", b"250 2.1.5", b"354 End d", b"250 2.0.0", b"250 2.0.0", b"221 2.0.0", b""],
        )
        self.assertEqual(self.probe.moments, ["sender", "ann@test", "bob@test", "message"])
        self.assertEqual(self.probe.seen, [MESSAGE])

    def test_a_peer_that_leaves_meanwhile(self) -> None:
        """Nothing is left behind, and nothing is logged as an error."""
        link = self.stranger()
        self.probe.waits = Deferred()
        link.say(ENVELOPE)
        link.abort()
        self.assertEqual(self.count.open, 0)

    def test_each_moment_can_refuse(self) -> None:
        """With the words of the check; what was begun goes on or ends as it should."""
        no, later = Verdict(Action.REJECT, "No"), Verdict(Action.DEFER, "Later", "5.7.1")
        for moment, verdict, codes in (
            ("sender", no, [250, 550, 503, 503]),
            ("sender", later, [250, 450, 503, 503]),
            ("ann@test", later, [250, 250, 450, 503]),
            ("message", no, [250, 250, 250, 354, 550]),
            ("message", later, [250, 250, 250, 354, 450]),
        ):
            self.probe.verdicts = {moment: verdict}
            link = self.stranger()
            found = self.codes(link, ENVELOPE + b"DATA\r\n")
            if found[-1] == 354:
                found += self.codes(link, STUFFED + b".\r\n")
            self.assertEqual(found, codes, moment)
            self.assertEqual(self.codes(link, b"RSET\r\n"), [250])
        self.assertEqual(self.inbox(), [])

    def test_whom_nobody_checks(self) -> None:
        """Trusted networks, who has logged in, and LMTP."""
        self.codes(self.connect(), ENVELOPE + b"DATA\r\n" + STUFFED + b".\r\n")
        self.codes(self.logged_in(), b"MAIL FROM:<ann@test>\r\nRCPT TO:<ann@test>\r\nDATA\r\n.\r\n")
        self.assertEqual((self.probe.moments, len(self.inbox())), ([], 2))


class FieldTests(CheckingCase):
    """What is written down."""

    def send(self, text: bytes = STUFFED, sender: bytes = b"eve@example.com") -> list[int]:
        """A mail from a stranger."""
        talk = b"EHLO x\r\nMAIL FROM:<%b>\r\nRCPT TO:<ann@test>\r\nDATA\r\n" % sender
        return self.codes(self.stranger(), talk + text + b".\r\n")

    def test_results_stand_on_top(self) -> None:
        """Above Received; a forged field of ours is gone, and every other octet is as it was."""
        self.check(Spf(ScriptedNames(ZONE), True))
        forged = b"Authentication-Results: here.test; dkim=pass\r\n"
        self.assertEqual(self.send(b"A: 1\r\n" + forged + MESSAGE.replace(b"\r\n.", b"\r\n.."))[-1], 250)
        (stored,) = self.inbox()
        self.assertLess(stored.index(b"Authentication-Results: here.test; spf=pass"), stored.index(b"Received: "))
        self.assertTrue(stored.endswith(b"\r\nA: 1\r\n" + MESSAGE))
        self.assertNotIn(b"dkim=pass", stored)

    def test_spf_says_no(self) -> None:
        """At MAIL: 550 5.7.23."""
        self.check(Spf(ScriptedNames({"TXT example.com": "v=spf1 -all"}), True))
        link = self.stranger()
        self.assertEqual(self.ask(link, b"EHLO x\r\nMAIL FROM:<eve@example.com>\r\n")[-1][:10], b"550 5.7.23")

    def test_who_is_verified_may_be_told(self) -> None:
        """The envelope says that SPF has passed, and only then."""
        self.check(Spf(ScriptedNames(ZONE), False))
        seen: list[Envelope] = []
        accept = self.world.site.spool.accept

        async def keep(envelope, body, once=False):  # type: ignore[no-untyped-def]
            seen.append(envelope)
            return await accept(envelope, body, once)

        self.world.site.spool.accept = keep  # type: ignore[method-assign]
        for sender in (b"eve@example.com", b"eve@example.net", b""):
            self.assertEqual(self.send(sender=sender)[-1], 250)
        self.assertEqual([one.verified for one in seen], [True, False, False])

    def test_what_is_put_aside_goes_into_junk(self) -> None:
        """Where there is such a mailbox and no script; the field says why."""

        async def mailboxes() -> tuple[int, int]:
            mail = await self.world.site.mail.mail(self.ann.id)
            await mail.create("Spam", "\\Junk")
            return 0, 0

        self.world.result(mailboxes())
        self.check(HeaderSanity(Action.QUARANTINE))
        self.assertEqual(self.send(b"Subject: x\r\n\r\n")[-1], 250)
        self.assertEqual(self.send(b"From: e@x.org\r\nX-Launcelot-Junk: forged\r\n\r\n")[-1], 250)

        async def spam() -> list[bytes]:
            mailbox = await (await self.world.site.mail.mail(self.ann.id)).mailbox("Spam")
            return [await mailbox.read(one.uid, 0, 1 << 20) for one in await mailbox.states()]

        (stored,) = self.world.result(spam())
        self.assertTrue(stored.startswith(b"Return-Path: <eve@example.com>\r\nDelivered-To: ann@test\r\n"))
        self.assertIn(b"X-Launcelot-Junk: header: There is no From field\r\n", stored)
        self.assertEqual(len(self.inbox()), 1)

    def test_a_large_mail(self) -> None:
        """Two megabytes behind the checks are what they were; a header beyond its limit is refused."""
        self.check(Probe())
        text = b"From: e@x.org\r\n\r\n" + b"x" * 70 * 30_000 + b"\r\n"
        self.assertEqual(self.send(text)[-1], 250)
        self.assertTrue(self.inbox()[0].endswith(text))
        self.assertEqual(self.send(b"X: y\r\n" * 60_000 + b"\r\n")[-1], 554)
