"""LMTP: its own greeting, an answer for each recipient, the mail in the mailbox before it, and nothing queued."""

from __future__ import annotations

from random import Random
from typing import Any

from launcelot.core.errors import TryLater
from launcelot.core.ids import AccountId
from launcelot.core.limits import ConnectionCount
from launcelot.message.address import Address
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings, build
from launcelot.protocols.smtp.session import Role
from launcelot.testing.link import Link, random_cuts
from launcelot.testing.site import memory_site
from tests.attacks.test_smtp import ENDS, is_bare
from tests.protocols.smtp.support import MESSAGE, STUFFED, SmtpCase

ENVELOPE = b"LHLO relay\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<ann@test>\r\nRCPT TO:<bob@test>\r\n"


class LmtpCase(SmtpCase):
    """A server, and a peer of it."""

    def configure(self, **changes: object) -> None:
        """Serve with other settings from now on."""
        super().configure(**changes)
        self.lmtp = SmtpFactory(self.world.site, "lmtp", ConnectionCount(100, 100), self.settings, Role.LMTP)

    def peer(self, source: str = "127.0.0.1") -> Link:
        """A relay that has heard the greeting."""
        link = self.world.connect(self.lmtp, source)
        self.assertEqual(link.take(), b"220 here.test LMTP Launcelot\r\n")
        return link

    def waiting(self) -> int:
        """Recipients in the spool."""
        return self.world.result(self.world.site.spool.count())

    def break_delivery(self, who: set[AccountId], error: Exception) -> None:
        """Have deliveries to these fail."""
        real = self.world.site.mail.mail

        async def mail(account: AccountId, *more: Any) -> Any:
            if account in who:
                raise error
            return await real(account, *more)

        self.patch(self.world.site.mail, "mail", mail)


class WordsTests(LmtpCase):
    """What the protocol has of its own."""

    def test_lhlo_is_the_only_greeting(self) -> None:
        """EHLO and HELO are unknown here, LHLO elsewhere; AUTH is nowhere."""
        link = self.peer()
        talk = b"EHLO x\r\nHELO x\r\nMAIL FROM:<>\r\nLHLO x\r\nAUTH PLAIN\r\n"
        self.assertEqual(self.codes(link, talk), [500, 500, 503, 250, 500])
        self.assertEqual(self.codes(self.connect(), b"LHLO x\r\n"), [500])

    def test_what_is_offered(self) -> None:
        """PIPELINING and ENHANCEDSTATUSCODES, which RFC 2033 section 5 demands, and no AUTH."""
        lines = self.ask(self.peer(), b"LHLO x\r\n")
        self.assertIn(b"250-PIPELINING", lines)
        self.assertIn(b"250-ENHANCEDSTATUSCODES", lines)
        self.assertFalse([line for line in lines if b"AUTH" in line or b"DSN" in line])

    def test_help_names_what_is_known_here(self) -> None:
        """LHLO and not EHLO; on the MX the other way round."""
        here = self.ask(self.peer(), b"HELP\r\nHELP ehlo\r\n")
        there = self.ask(self.connect(), b"HELP\r\nHELP lhlo\r\n")
        self.assertEqual((b"LHLO" in here[1], b"EHLO" in here[1], here[-1][:3]), (True, False, b"504"))
        self.assertEqual((b"LHLO" in there[1], b"EHLO" in there[1], there[-1][:3]), (False, True, b"504"))

    def test_received_says_lmtp(self) -> None:
        """RFC 3848."""
        self.codes(self.peer(), ENVELOPE + b"DATA\r\n" + STUFFED + b".\r\n")
        self.assertRegex(self.inbox()[0], rb"with LMTP\s+id ")


class RecipientTests(LmtpCase):
    """One answer each, and true."""

    def test_each_has_its_answer_and_its_mail(self) -> None:
        """In order; nothing is left in the spool."""
        link = self.peer()
        self.assertEqual(self.codes(link, ENVELOPE), [250, 250, 250, 250])
        self.assertEqual(self.codes(link, b"DATA\r\n"), [354])
        answers = self.ask(link, STUFFED + b".\r\n")
        self.assertEqual([one[:9] for one in answers], [b"250 2.1.5"] * 2)
        self.assertEqual((self.bodies("ann"), self.bodies("bob"), self.waiting()), ([MESSAGE], [MESSAGE], 0))

    def test_refused_at_rcpt_has_no_answer_later(self) -> None:
        """Only those that were accepted are answered for."""
        link = self.peer()
        talk = ENVELOPE + b"RCPT TO:<nobody@test>\r\nRCPT TO:<x@elsewhere.example>\r\nDATA\r\n"
        self.assertEqual(self.codes(link, talk), [250, 250, 250, 250, 550, 550, 354])
        self.assertEqual(self.codes(link, STUFFED + b".\r\nNOOP\r\n"), [250, 250, 250])

    def test_a_recipient_named_twice_is_answered_twice_and_gets_it_once(self) -> None:
        """By two addresses as well."""
        self.world.result(self.world.site.accounts.add_alias(Address("annie", "test"), [self.ann.address]))
        link = self.peer()
        talk = b"LHLO x\r\nMAIL FROM:<>\r\n" + b"".join(b"RCPT TO:<%b@test>\r\n" % one for one in (b"ann", b"annie", b"ann"))
        self.codes(link, talk + b"DATA\r\n")
        self.assertEqual(self.codes(link, STUFFED + b".\r\n"), [250] * 3)
        self.assertEqual(self.bodies(), [MESSAGE])

    def test_a_full_mailbox_is_told_and_nothing_is_kept(self) -> None:
        """452 4.2.2 for her, 250 for him, though RCPT did not know how large it would be."""
        self.world.result(self.world.site.accounts.change("ann", quota=50))
        link = self.peer()
        self.assertEqual(self.codes(link, ENVELOPE + b"DATA\r\n"), [250, 250, 250, 250, 354])
        answers = self.ask(link, STUFFED + b".\r\n")
        self.assertEqual([one[:9] for one in answers], [b"452 4.2.2", b"250 2.1.5"])
        self.assertEqual((self.inbox("ann"), self.bodies("bob"), self.waiting()), ([], [MESSAGE], 0))

    def test_of_one_address_the_rest_waits_in_the_spool(self) -> None:
        """An alias for two of whom one cannot be reached is answered 250: the spool has the other's."""
        self.world.result(
            self.world.site.accounts.add_alias(Address("both", "test"), [self.ann.address, self.bob.address])
        )
        self.break_delivery({self.bob.id}, TryLater("disk full"))
        link = self.peer()
        self.codes(link, b"LHLO x\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<both@test>\r\nDATA\r\n")
        self.assertEqual(self.codes(link, STUFFED + b".\r\n"), [250])
        self.assertEqual((self.bodies("ann"), self.waiting()), ([MESSAGE], 1))
        self.doCleanups()
        self.world.advance(4_000, 600)
        self.assertEqual((self.bodies("ann"), self.bodies("bob"), self.waiting()), ([MESSAGE], [MESSAGE], 0))

    def test_failures_of_ours_are_temporary(self) -> None:
        """A bug in one delivery is 451 4.3.0 for that recipient, and its text is nobody's business."""
        self.break_delivery({self.bob.id}, ZeroDivisionError("secret"))
        link = self.peer()
        self.codes(link, ENVELOPE + b"DATA\r\n")
        answers = self.ask(link, STUFFED + b".\r\n")
        self.assertEqual([one[:9] for one in answers], [b"250 2.1.5", b"451 4.3.0"])
        self.assertNotIn(b"secret", b"".join(answers))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_refused_message_is_refused_for_each(self) -> None:
        """A bare LF: two answers, as the peer waits for two; then the connection is closed."""
        link = self.peer()
        self.codes(link, ENVELOPE + b"DATA\r\n")
        self.assertEqual(self.codes(link, b"a\nb\r\n.\r\n"), [550, 550])
        self.assertTrue(link.closed)

    def test_chunks(self) -> None:
        """Each but the last has one answer, the last one for each recipient."""
        link = self.peer()
        self.codes(link, ENVELOPE)
        half = len(MESSAGE) // 2
        self.assertEqual(self.codes(link, b"BDAT %d\r\n%b" % (half, MESSAGE[:half])), [250])
        self.assertEqual(self.codes(link, b"BDAT %d LAST\r\n%b" % (len(MESSAGE) - half, MESSAGE[half:])), [250, 250])
        self.assertEqual(self.bodies(), [MESSAGE])

    def test_errors_do_not_end_a_relays_session(self) -> None:
        """Twenty unknown recipients, and it still serves."""
        link = self.peer()
        self.codes(link, b"LHLO x\r\nMAIL FROM:<>\r\n")
        self.assertEqual(self.codes(link, b"RCPT TO:<nobody@test>\r\n" * 20 + b"RCPT TO:<ann@test>\r\n"), [550] * 20 + [250])

    def test_every_split(self) -> None:
        """However a session is cut, answers and mail are the same."""
        talk = ENVELOPE + b"DATA\r\n" + STUFFED + b".\r\nQUIT\r\n"
        random = Random(5)
        cuts = [[cut] for cut in range(1, len(talk), 3)] + [list(range(len(talk)))] + [random_cuts(talk, random)]
        for one in cuts:
            link = self.world.connect(self.lmtp)
            link.say(talk, cuts=one)
            codes = [line[:3] for line in link.take().split(b"\r\n") if line[3:4] == b" "]
            self.assertEqual(codes, [b"220", *[b"250"] * 4, b"354", b"250", b"250", b"221"], one)
        self.assertEqual(self.bodies("bob"), [MESSAGE] * len(cuts))

    def test_who_leaves_before_the_answer_gets_it_all_the_same(self) -> None:
        """A peer that is gone stops no delivery, and leaves no open body behind."""
        link = self.peer()
        self.codes(link, ENVELOPE + b"DATA\r\n")
        link.say(STUFFED + b".\r\n")
        link.abort()
        self.assertEqual((self.bodies("ann"), self.bodies("bob")), ([MESSAGE], [MESSAGE]))


class SmugglingTests(LmtpCase):
    """S01 over LMTP: the eighteen ends that are none."""

    def test_none_smuggles(self) -> None:
        """A bare CR or LF is refused for each recipient and ends the session; all else is text."""
        smuggled = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@test>\r\nDATA\r\nevil\r\n"
        self.assertEqual(len(set(ENDS)), 18)
        for end in ENDS:
            link = self.peer()
            self.codes(link, b"LHLO x\r\nMAIL FROM:<e@x.org>\r\nRCPT TO:<ann@test>\r\nRCPT TO:<ann@test>\r\nDATA\r\n")
            codes = self.codes(link, b"From: e@x.org\r\n\r\nbody" + end + smuggled + b".\r\n")
            self.assertEqual(codes, [550, 550] if is_bare(end) else [250, 250], end)
            self.assertEqual(link.closed, is_bare(end))
        self.assertEqual(self.inbox("bob"), [])


class TrustTests(LmtpCase):
    """Who may connect."""

    def test_strangers_are_told_to_leave(self) -> None:
        """This machine, Unix sockets and named networks are served, all else hears 554, and 503 until it has said QUIT."""
        for source in ("127.0.0.1", "::1", "unix"):
            self.peer(source)
        link = self.world.connect(self.lmtp, "192.0.2.7")
        self.assertEqual(link.take()[:9], b"554 5.7.1")
        self.assertEqual(self.codes(link, b"LHLO x\r\nMAIL FROM:<>\r\nqUIT \r\n"), [503, 503, 221])
        self.assertTrue(link.closed)
        link = self.world.connect(self.lmtp, "192.0.2.7")
        link.take()
        self.assertEqual(self.codes(link, b"x\r\n" * 20)[-1], 421)
        self.assertTrue(link.closed)
        for line in (b"x" * 5_000, b"QUIT\n"):
            link = self.world.connect(self.lmtp, "192.0.2.7")
            link.say(line)
            self.assertTrue(link.closed)
        self.configure(lmtp_networks=("192.0.2.0/24",))
        self.peer("192.0.2.7")
        self.assertEqual(self.world.connect(self.lmtp, "192.0.3.7").take()[:3], b"554")

    def test_it_listens_only_when_told_to(self) -> None:
        """Nothing by default; all Unix peers together are not limited as one source."""
        world = memory_site()
        names = [one.name for one in build(world.site, Settings()).listeners]
        self.assertNotIn("lmtp", names)
        settings = Settings(listen_lmtp=("tcp:0:interface=127.0.0.1", "unix:/tmp/x"), max_connections_per_source=1)
        listeners = [one for one in build(world.site, settings).listeners if one.name == "lmtp"]
        self.assertEqual(len(listeners), 2)
        links = [world.connect(listeners[0].factory, "unix") for _ in range(3)]
        self.assertEqual({one.take()[:3] for one in links}, {b"220"})
