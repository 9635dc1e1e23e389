"""Two accounts, a relay and a next hop: everything real but the network and the clock."""

from __future__ import annotations

import email
from pathlib import Path
from typing import Any

from launcelot.app.configuration import Configuration
from launcelot.app.relaying import Addressing, EverywhereOutbound, notices_of
from launcelot.message.address import Address
from launcelot.relay.settings import RelaySettings
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.forwarding import MIGRATIONS, Forwarding
from launcelot.spool.memory import MemorySpool
from launcelot.spool.schedule import Schedule
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from tests.protocols.smtp.support import SmtpCase
from tests.relay.support import HopFactory, RelayCase

X = Address("x", "far.example")


class WholeCase(SmtpCase):
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
        site.spool = MemorySpool(
            delivery, self.world.clock, site.wall_clock, site.counters, delivery.forget, Schedule(),
            carrier=self.relay, notices=notices,
        )  # fmt: skip
        site.relays = True
        workers = InlineWorkers()
        database = Database(Path(self.mktemp()), MIGRATIONS, workers, workers)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        self.days = 20_000
        site.forwarding = Forwarding(database, "test", lambda: self.days * 86_400.0)
        notices._addressees = Addressing(site.accounts, True, site.forwarding)
        self.outbound = EverywhereOutbound(site.accounts, site.staging, settings, site.forwarding)
        self.outbound.spool = site.spool

    def submit(self, *recipients: bytes, parameters: bytes = b"") -> None:
        """A mail of ann's."""
        link = self.logged_in()
        said = b"".join(b"RCPT TO:<%s>%s\r\n" % (one, parameters) for one in recipients)
        codes = self.codes(link, b"MAIL FROM:<ann@test>\r\n" + said + b"DATA\r\n")
        self.assertEqual(codes, [250] * (1 + len(recipients)) + [354])
        self.assertEqual(self.codes(link, b"From: ann@test\r\nSubject: x\r\n\r\nhi\r\n.\r\n"), [250])
        self.world.network.pump()

    def notices(self, name: str = "ann") -> list[Any]:
        """What an account has got, parsed."""
        self.world.network.pump()
        return [email.message_from_bytes(one) for one in self.inbox(name)]
