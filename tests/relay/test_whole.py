"""From an account's submission to the next hop, and what comes back: everything real but the network and the clock."""

from __future__ import annotations

import email
from typing import Any

from launcelot.app.configuration import Configuration
from launcelot.app.relaying import Addressing, EverywhereOutbound, notices_of
from launcelot.core.errors import NotPermitted
from launcelot.message.address import Address
from launcelot.relay.settings import RelaySettings
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.interface import SpoolId
from launcelot.spool.memory import MemorySpool
from launcelot.spool.schedule import Schedule
from tests.protocols.smtp.support import SmtpCase
from tests.relay.support import HopFactory, RelayCase

X = Address("x", "far.example")


class WholeTests(SmtpCase):
    """Two accounts, a relay, and a next hop."""

    def setUp(self) -> None:
        super().setUp()
        relay = RelayCase("make")
        relay.setUp()
        self.hop: HopFactory = relay.hop
        relay.world.clock, relay.world.network = self.world.clock, self.world.network
        # The hop listens in this world's network, and the relay connects there.
        relay.world.site = self.world.site
        relay.port = relay.listen(self.hop)
        self.relay = relay.make()
        settings = RelaySettings(enabled=True)
        site = self.world.site
        delivery = MailboxDelivery(site.mail, site.accounts, site.staging)
        configuration = Configuration(relay=settings)
        notices = notices_of(configuration, site.accounts, site.new_id, site.wall_clock)
        notices._addressees = Addressing(site.accounts, True)
        site.spool = MemorySpool(
            delivery, self.world.clock, site.wall_clock, site.counters, delivery.forget, Schedule(),
            carrier=self.relay, notices=notices,
        )  # fmt: skip
        site.relays = True
        self.outbound = EverywhereOutbound(site.accounts, site.staging, settings)
        self.outbound.spool = site.spool

    def submit(self, *recipients: bytes, parameters: bytes = b"") -> None:
        """A mail of ann's."""
        link = self.logged_in()
        said = b"".join(b"RCPT TO:<%s>%s\r\n" % (one, parameters) for one in recipients)
        codes = self.codes(link, b"MAIL FROM:<ann@test>\r\n" + said + b"DATA\r\n")
        self.assertEqual(codes, [250] * (1 + len(recipients)) + [354])
        self.assertEqual(self.codes(link, b"From: ann@test\r\nSubject: x\r\n\r\nhi\r\n.\r\n"), [250])
        self.world.network.pump()

    def notices(self) -> list[Any]:
        """What ann has got, parsed."""
        self.world.network.pump()
        return [email.message_from_bytes(one) for one in self.inbox()]

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

    def test_messages_of_our_own_where_mail_stays_here(self) -> None:
        """Refused for other hosts."""
        site = self.world.site
        outbound = EverywhereOutbound(site.accounts, site.staging, RelaySettings())
        self.assertEqual((outbound.can_send(X), outbound.can_send(self.bob.address)), (False, True))
        with self.assertRaises(NotPermitted):
            self.world.result(outbound.send(SpoolId("r1"), None, X, b"x"))
