"""DSN: its parameters, whom it is offered to, and what the sender is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.names import ScriptedNames
from launcelot.checks.running import Checks
from launcelot.checks.spf import Spf
from launcelot.core.errors import NotFound
from launcelot.delivery import expanding
from launcelot.message.address import Address
from launcelot.protocols.smtp import notifying
from launcelot.protocols.smtp.notifying import BadValue
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.interface import ELSEWHERE, Envelope, SpoolRecipient
from launcelot.spool.memory import MemorySpool
from launcelot.spool.notices import Notices
from tests.protocols.smtp.support import SmtpCase

ZONE = {"TXT example.com": "v=spf1 ip4:192.0.2.3 -all"}
TEXT = b"From: ann@test\r\nSubject: x\r\n\r\nbody\r\n.\r\n"


class ValueTests(SynchronousTestCase):
    """RFC 3461 section 4, RFC 6533 section 3."""

    def test_notify(self) -> None:
        """Words in any case, each once; NEVER stands alone."""
        self.assertEqual(notifying.parse_notify("never"), "NEVER")
        self.assertEqual(notifying.parse_notify("Success,failure,SUCCESS"), "SUCCESS,FAILURE")
        for value in (None, "", "NEVER,FAILURE", "FAILURE,", ",DELAY", "ALWAYS", "SUCCESS;DELAY", "FAILURE,NEVER", "DELAY\u017f"):
            self.assertRaises(BadValue, notifying.parse_notify, value)

    def test_return_and_envelope_id(self) -> None:
        """FULL or HDRS; printable xtext of a hundred characters."""
        self.assertEqual(notifying.parse_return("hdrs"), "HDRS")
        self.assertEqual(notifying.parse_envelope_id("a+2Bb+3Dc+20d"), "a+b=c d")
        self.assertEqual(notifying.parse_envelope_id("x" * 100), "x" * 100)
        for value in (None, "", "ALL", "FULL,HDRS"):
            self.assertRaises(BadValue, notifying.parse_return, value)
        for value in (None, "", "x" * 101, "a=b", "+", "+2", "+2b", "a+0D+0ABcc:x", "+00", "\u00fc", "+C3+BC", "a b"):
            self.assertRaises(BadValue, notifying.parse_envelope_id, value)

    def test_original(self) -> None:
        """A type, and an address that is decoded."""
        self.assertEqual(notifying.parse_original("rfc822;ann+2Bbox@test", False), "rfc822;ann+box@test")
        self.assertEqual(notifying.parse_original("utf-8;\\x{FC}@test", False), "utf-8;\u00fc@test")
        self.assertEqual(notifying.parse_original("UTF-8;\u00fc@test", True), "UTF-8;\u00fc@test")
        for value in (
            None, "", "rfc822", "rfc822;", ";ann@test", "rfc822;a+0Ab", "rfc822;" + "x" * 494, "r c;x", "rfc822;\u00fc",
            "utf-8;+20x=", "utf-8;\u00fc@test", "utf-8;\\x{0A}", "utf-8;\\x{110000}", "utf-8;\\x{D800}", "utf-8;\\x{fc}",
            "utf-8;\\", "utf-8;\\x{85}",
        ):  # fmt: skip
            self.assertRaises(BadValue, notifying.parse_original, value, False)

    def test_what_two_namings_come_to(self) -> None:
        """Whatever either asks for; no word means the usual ones."""
        self.assertEqual(notifying.both("NEVER", "SUCCESS"), "SUCCESS")
        self.assertEqual(notifying.both("", "NEVER"), "DELAY,FAILURE")
        self.assertEqual(notifying.both("NEVER", "NEVER"), "NEVER")
        self.assertEqual(notifying.both("SUCCESS", ""), "DELAY,FAILURE,SUCCESS")

    def test_what_others_behind_an_address_tell(self) -> None:
        """Never success; and what asked for success alone tells nothing."""
        told = [expanding.without_success(one) for one in ("", "NEVER", "SUCCESS", "SUCCESS,DELAY")]
        self.assertEqual(told, ["", "NEVER", "NEVER", "DELAY"])


class DsnCase(SmtpCase):
    """A spool that writes notices, and remembers what it was given."""

    def setUp(self) -> None:
        super().setUp()
        site = self.world.site

        async def addressees(address: Address) -> list[SpoolRecipient]:
            if not site.accounts.is_local(address.domain):
                return [SpoolRecipient(ELSEWHERE, address)]
            return [SpoolRecipient(one.account.id, address) for one in await site.accounts.resolve(address)]

        notices = Notices(site.hostname, site.domain, addressees, site.new_id, site.wall_clock, 432_000)
        delivery = MailboxDelivery(site.mail, site.accounts, site.staging)
        site.spool = MemorySpool(delivery, site.clock, site.wall_clock, site.counters, notices=notices)
        self.envelopes: list[Envelope] = []
        accept = site.spool.accept

        async def keep(envelope, body, once=False):  # type: ignore[no-untyped-def]
            self.envelopes.append(envelope)
            return await accept(envelope, body, once)

        site.spool.accept = keep  # type: ignore[method-assign]

    def notices(self) -> list[bytes]:
        """What ann has been told."""
        self.world.advance(5)
        return [one for one in self.inbox("ann") if b"report-type=delivery-status" in one]


class DsnTests(DsnCase):
    """Who may ask, and what comes of it."""

    def test_it_is_offered_to_those_who_submit(self) -> None:
        """And nobody else may say its parameters."""
        link = self.connect()
        self.assertNotIn(b"250-DSN", self.ask(link, b"EHLO x\r\n"))
        self.assertEqual(self.codes(link, b"MAIL FROM:<e@x.org> RET=FULL\r\nMAIL FROM:<e@x.org>\r\n"), [555, 250])
        self.assertEqual(self.codes(link, b"RCPT TO:<ann@test> NOTIFY=SUCCESS\r\nRCPT TO:<ann@test>\r\n"), [555, 250])
        self.assertIn(b"250-DSN", self.ask(self.connect(self.submission), b"EHLO x\r\n"))
        self.assertIn(b"250-DSN", self.ask(self.logged_in(self.mx), b"EHLO x\r\n"))

    def test_strangers_may_ask_where_they_can_be_told(self) -> None:
        """It takes SPF, the relay, and the setting; and it is strangers that it is for."""
        site = self.world.site
        with_spf = Checks([Spf(ScriptedNames(ZONE), False)], self.world.clock, site.counters, ["127.0.0.0/8"])
        for checks, relays, setting, source, offered in (
            (with_spf, True, True, "192.0.2.3", True),
            (None, True, True, "192.0.2.3", False),
            (Checks([], self.world.clock, site.counters), True, True, "192.0.2.3", False),
            (with_spf, False, True, "192.0.2.3", False),
            (with_spf, True, False, "192.0.2.3", False),
            (with_spf, True, True, "127.0.0.1", False),
        ):
            site.checks, site.relays = checks, relays
            self.configure(dsn_for_strangers=setting)
            link = self.connect(source=source)
            self.assertEqual(b"250-DSN" in self.ask(link, b"EHLO x\r\n"), offered)
            wanted = 250 if offered else 555
            self.assertEqual(self.codes(link, b"MAIL FROM:<e@example.com> RET=HDRS ENVID=1\r\n"), [wanted])

    def test_strangers_are_told_if_they_are_who_they_say(self) -> None:
        """NOTIFY=SUCCESS of a sender whom SPF confirms is answered; of another it is taken, and nobody is written to."""
        site = self.world.site
        site.checks = Checks([Spf(ScriptedNames(ZONE), False)], self.world.clock, site.counters, ["127.0.0.0/8"])
        site.relays = True
        for source, told in (("192.0.2.3", ["eve@example.com"]), ("192.0.2.4", [])):
            link = self.connect(source=source)
            talk = b"EHLO x\r\nMAIL FROM:<eve@example.com> ENVID=1\r\nRCPT TO:<bob@test> NOTIFY=SUCCESS,FAILURE\r\nDATA\r\n"
            self.assertEqual(self.codes(link, talk + TEXT)[-1], 250)
            waiting = self.world.result(site.spool.waiting())
            self.assertEqual([one.recipient for one in waiting if one.sender == ""], told)
            for one in waiting:
                self.world.result(site.spool.drop(one.id))
        self.assertEqual(len(self.inbox("bob")), 2)

    def test_everything_is_in_the_envelope(self) -> None:
        """For the relay and for notices, decoded."""
        link = self.logged_in()
        self.codes(link, b"MAIL FROM:<ann@test> RET=hdrs ENVID=id+2B1\r\n")
        talk = b"RCPT TO:<bob@test> NOTIFY=failure,delay ORCPT=rfc822;bob+2Bx@test\r\nDATA\r\n"
        self.assertEqual(self.codes(link, talk), [250, 354])
        self.codes(link, TEXT)
        (envelope,) = self.envelopes
        self.assertEqual((envelope.returned, envelope.envelope_id), ("HDRS", "id+1"))
        self.assertEqual([(one.notify, one.original) for one in envelope.recipients], [("FAILURE,DELAY", "rfc822;bob+x@test")])

    def test_success_is_told(self) -> None:
        """With the id, the address as it was, and nothing of the body."""
        link = self.logged_in()
        talk = b"MAIL FROM:<ann@test> ENVID=mine\r\nRCPT TO:<bob@test> NOTIFY=SUCCESS ORCPT=rfc822;robert@test\r\nDATA\r\n"
        self.codes(link, talk + TEXT)
        (notice,) = self.notices()
        for line in (
            b"Original-Envelope-Id: mine",
            b"Original-Recipient: rfc822;robert@test",
            b"Final-Recipient: rfc822; bob@test",
            b"Action: delivered",
            b"Return-Path: <>",
        ):
            self.assertIn(line + b"\r\n", notice)
        self.assertNotIn(b"body\r\n", notice)

    def test_nothing_is_told_that_was_not_asked_for(self) -> None:
        """Success without SUCCESS; anything with NEVER; anything to the null sender."""
        link = self.logged_in()
        for sender, notify in ((b"ann@test", b"FAILURE"), (b"ann@test", b"NEVER"), (b"", b"SUCCESS")):
            talk = b"MAIL FROM:<%b>\r\nRCPT TO:<bob@test> NOTIFY=%b\r\nDATA\r\n" % (sender, notify)
            self.assertEqual(self.codes(link, talk + TEXT)[-1], 250)
        self.assertEqual((self.notices(), len(self.inbox("bob"))), ([], 3))

    def test_an_alias_for_several_is_delivered_once(self) -> None:
        """As far as its sender is told; failures are told for each."""
        self.world.result(self.world.site.accounts.add_alias(Address("all", "test"), [self.ann.address, self.bob.address]))
        link = self.logged_in()
        self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<all@test> NOTIFY=SUCCESS,FAILURE\r\nDATA\r\n" + TEXT)
        self.assertEqual([one.notify for one in self.envelopes[0].recipients], ["SUCCESS,FAILURE", "FAILURE"])
        (notice,) = self.notices()
        self.assertEqual(notice.count(b"Action: delivered"), 1)

    def test_failure_is_told_unless_never(self) -> None:
        """Of an account that is removed between RCPT and delivery."""
        for notify, told in ((b"NEVER", 0), (b"SUCCESS", 0), (b"FAILURE", 1), (b"", 2)):
            link = self.logged_in()
            parameter = b" NOTIFY=" + notify if notify else b""
            self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>" + parameter + b"\r\nDATA\r\n")
            real = self.world.site.accounts.resolve

            async def gone(address: Address, real=real):  # type: ignore[no-untyped-def]
                if address.local == "bob":
                    raise NotFound
                return await real(address)

            self.world.site.accounts.resolve = gone  # type: ignore[method-assign]
            self.codes(link, TEXT)
            self.world.site.accounts.resolve = real  # type: ignore[method-assign]
            self.assertEqual(len(self.notices()), told, notify)

    def test_wrong_values(self) -> None:
        """501 for values, repeated ones too, and the transaction is what it was."""
        self.configure(max_errors=100)
        link = self.logged_in()
        for parameter in (b"RET=X", b"RET", b"RET=FULL RET=HDRS", b"ENVID=", b"ENVID=a=b", b"ENVID=" + b"x" * 101, b"ENVID=+0D"):
            self.assertEqual(self.codes(link, b"MAIL FROM:<ann@test> " + parameter + b"\r\n"), [501], parameter)
        self.codes(link, b"MAIL FROM:<ann@test>\r\n")
        for parameter in (b"NOTIFY=", b"NOTIFY=NEVER,DELAY", b"NOTIFY=DELAY NOTIFY=DELAY", b"ORCPT=x", b"ORCPT=rfc822;+zz"):
            self.assertEqual(self.codes(link, b"RCPT TO:<bob@test> " + parameter + b"\r\n"), [501], parameter)
        self.assertEqual(self.codes(self.connect(), b"HELO x\r\nMAIL FROM:<e@x> ENVID=1\r\n"), [250, 555])
