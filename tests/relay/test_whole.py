"""From an account's submission to the next hop, and what comes back: everything real but the network and the clock."""

from __future__ import annotations

from launcelot.app.relaying import EverywhereOutbound
from launcelot.core.errors import NotPermitted
from launcelot.message.address import Address
from launcelot.relay.settings import RelaySettings
from launcelot.spool.interface import SpoolId
from tests.relay.whole import WholeCase, X


class WholeTests(WholeCase):
    """Two accounts, a relay, and a next hop."""

    def test_mail_goes_over(self) -> None:
        """With our Received field on top, and no Return-Path."""
        self.submit(b"x@far.example", b"bob@test")
        ((envelope, message),) = self.hop.got
        self.assertEqual(envelope[0].split(b" ")[1], b"FROM:<ann@test>")
        self.assertTrue(message.startswith(b"Received: from me "))
        self.assertNotIn(b"Return-Path", message)
        self.assertEqual(len(self.inbox("bob")), 1)

    def test_refused_mail_comes_back(self) -> None:
        """As a report that programs can read, into the sender's mailbox."""
        self.hop.script["RCPT"] = [b"550 5.1.1 nobody"]
        self.submit(b"x@far.example")
        (notice,) = self.notices()
        self.assertEqual((notice.get_content_type(), notice["Return-Path"]), ("multipart/report", "<>"))
        text, status, header = notice.get_payload()
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        self.assertEqual(status.get_payload()[1]["Status"], "5.1.1")
        self.assertIn("Subject: x", header.get_payload())
        self.assertIn("nobody", text.get_payload())

    def test_success_is_told_where_the_next_host_does_not(self) -> None:
        """NOTIFY=SUCCESS from the client to the notice."""
        self.hop.extensions = (b"PIPELINING",)
        self.submit(b"x@far.example", parameters=b" NOTIFY=SUCCESS")
        (notice,) = self.notices()
        self.assertEqual(notice.get_payload()[1].get_payload()[1]["Action"], "relayed")

    def test_messages_of_our_own(self) -> None:
        """Sieve's redirects and answers go out once under their id, and never in circles."""
        body = b"From: eve@far.example\r\nSubject: r\r\n\r\nx\r\n"
        self.assertTrue(self.outbound.can_send(X))
        for _ in range(2):
            self.world.result(self.outbound.send(SpoolId("r1"), None, X, body))
        self.world.network.pump()
        self.assertEqual(len(self.hop.got), 1)
        self.world.result(self.outbound.send(SpoolId("r2"), None, self.bob.address, body))
        self.assertEqual(len(self.inbox("bob")), 1)
        for bad in (b"Delivered-To: X@far.example\r\n" + body, b"Received: x\r\n" * 101 + body):
            with self.assertRaises(NotPermitted):
                self.world.result(self.outbound.send(SpoolId("r3"), None, X, bad))

    def passed_on(self, sender: Address | None, id: str = "r1") -> bytes:
        """The sender that the next hop is told of a mail which is passed on."""
        self.world.result(self.outbound.send(SpoolId(id), sender, X, b"From: e@a.example\r\nSubject: r\r\n\r\nx\r\n"))
        self.world.network.pump()
        envelope, _ = self.hop.got.pop()
        return envelope[0].split(b" ")[1][6:-1]

    def bounced(self, address: bytes, sender: bytes = b"") -> int:
        """What a host hears that sends something back; the hop may get it."""
        said = b"EHLO me\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n" % (sender, address)
        link = self.connect()
        code = self.codes(link, said)[-1]
        if code == 250:
            self.assertEqual(self.codes(link, b"DATA\r\nSubject: back\r\n\r\nx\r\n.\r\n"), [354, 250])
            self.world.network.pump()
        return code

    def test_senders_of_mail_that_is_passed_on(self) -> None:
        """Are of our domain, and what comes back goes to them; senders here, and none, stay as they are."""
        for number, sender in enumerate((Address("eve", "far.example"), Address("e" * 60, "far.example"))):
            told = self.passed_on(sender, f"r{number}")
            self.assertRegex(told, rb"\ASRS0=.*@test\Z")
            self.assertLessEqual(len(told.split(b"@")[0]), 64)
            self.assertEqual(self.bounced(told), 250)
            ((envelope, message),) = self.hop.got
            self.hop.got.clear()
            self.assertEqual(envelope[0].split(b" ")[1], b"FROM:<>")
            self.assertEqual(envelope[1], b"RCPT TO:<%s> NOTIFY=NEVER" % str(sender).encode())
            self.assertIn(b"Subject: back", message)
            self.assertEqual(self.bounced(told, b"eve@far.example"), 550)
            self.assertEqual(self.bounced(told.replace(b"=", b"-", 1).lower()), 250)
            self.hop.got.clear()
            self.days += 22
            self.assertEqual(self.bounced(told), 550)
        self.assertEqual(self.passed_on(None, "r8"), b"")
        self.assertEqual(self.passed_on(Address("bob", "test"), "r9"), b"bob@test")

    def test_senders_of_mail_that_is_passed_on_are_told(self) -> None:
        """That it was refused, if it was shown that it was theirs; by a notice to their own address."""
        for verified in (False, True):
            self.hop.script["RCPT"] = [b"550 5.1.1 nobody"]
            eve, body = Address("eve", "far.example"), b"Subject: x\r\n\r\n"
            self.world.result(self.outbound.send(SpoolId(f"v{verified}"), eve, X, body, verified))
            self.world.network.pump()
            self.assertEqual(len(self.hop.got), verified)
        ((envelope, message),) = self.hop.got
        self.assertEqual([line.split(b" ")[1] for line in envelope], [b"FROM:<>", b"TO:<eve@far.example>"])
        self.assertIn(b"To: eve@far.example\r\n", message)
        self.assertNotIn(b"SRS0", message)

    def test_forged_senders_lead_nowhere(self) -> None:
        """Nor do those for people here, and a catch-all gets what is not ours."""
        told = self.passed_on(Address("eve", "far.example"))
        self.assertEqual(self.bounced(told.replace(b"eve@", b"victim@")), 550)
        self.assertEqual(self.bounced(told.replace(b"@test", b"@elsewhere.example")), 550)
        self.world.result(self.world.site.accounts.add_alias(Address("*", "test"), [self.bob.address]))
        self.assertEqual(self.bounced(told.replace(b"eve@", b"victim@")), 250)
        self.assertEqual((len(self.inbox("bob")), self.hop.got), (1, []))

    def test_each_recipient_has_a_sender_of_its_own(self) -> None:
        """XVERP, as Postfix has it: one transaction for each; what comes back, and our own notices, tell whom it is about."""
        self.hop.script["RCPT"] = [b"250 ok", b"550 5.1.1 nobody"]
        link = self.logged_in()
        self.assertIn(b"250-XVERP", self.ask(link, b"EHLO me\r\n"))
        said = b"MAIL FROM:<ann@test> XVERP=+=\r\nRCPT TO:<x@far.example>\r\nRCPT TO:<y@far.example>\r\nRCPT TO:<bob@test>\r\n"
        self.assertEqual(self.codes(link, said + b"DATA\r\n"), [250] * 4 + [354])
        self.assertEqual(self.codes(link, b"From: ann@test\r\nSubject: x\r\n\r\nhi\r\n.\r\n"), [250])
        self.world.network.pump()
        senders = [line.split(b" ")[1] for line in self.hop.heard if line.startswith(b"MAIL")]
        self.assertEqual(senders, [b"FROM:<ann+x=far.example@test>", b"FROM:<ann+y=far.example@test>"])
        self.assertIn(b"Return-Path: <ann+bob=test@test>", self.inbox("bob")[0])
        (notice,) = self.notices()
        self.assertEqual((notice["To"], notice["Delivered-To"]), ("ann+y=far.example@test",) * 2)

    def test_who_may_have_senders_for_each_recipient(self) -> None:
        """Somebody who has logged in, with a sender, and so that what comes back finds the account."""
        link = self.logged_in()
        for words, code in (
            (b"<ann@test> XVERP", 250), (b"<ann@test> xverp=+-", 250), (b"<> XVERP", 501), (b"<ann@test> XVERP=-=", 501),
            (b"<ann@test> XVERP=+", 501), (b"<ann@test> XVERP=+a", 501), (b"<ann@test> XVERP=+==", 501),
            (b"<ann@test> XVERP XVERP", 501),
        ):  # fmt: skip
            self.assertEqual(self.codes(link, b"MAIL FROM:" + words + b"\r\nRSET\r\n"), [code, 250], words)
        stranger = self.connect()
        self.assertNotIn(b"250-XVERP", self.ask(stranger, b"EHLO me\r\n"))
        self.assertEqual(self.codes(stranger, b"MAIL FROM:<eve@far.example> XVERP\r\n"), [555])

    def test_messages_of_our_own_where_mail_stays_here(self) -> None:
        """Refused for other hosts."""
        site = self.world.site
        outbound = EverywhereOutbound(site.accounts, site.staging, RelaySettings())
        self.assertEqual((outbound.can_send(X), outbound.can_send(self.bob.address)), (False, True))
        with self.assertRaises(NotPermitted):
            self.world.result(outbound.send(SpoolId("r1"), None, X, b"x"))
