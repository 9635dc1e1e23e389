"""The relay as a configuration builds it: real sockets, a real DNS server, and a next hop that the DNS names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.names import dns, server
from twisted.trial.unittest import TestCase

from launcelot.app.configuration import Configuration, parse
from launcelot.app.relaying import build_relay, schedule_of
from launcelot.app.stores import run_now
from launcelot.core.counters import Counters
from launcelot.relay import fetching
from launcelot.relay.settings import RelaySettings
from launcelot.spool.interface import Envelope, SpoolId
from launcelot.testing.certificates import Certificates
from launcelot.workers.databases import Databases
from launcelot.workers.memory import InlineWorkers
from tests.relay.support import ANN, BODY, HopFactory, elsewhere
from tests.relay.test_fetching import File, Watched
from tests.relay.test_resolver import RECORDS, Zone

reactor: Any = the_reactor
X = elsewhere("x@built.example")


async def nothing() -> None:
    """Nobody keeps marks here."""


class BuiltTests(TestCase):
    """From the table ``[relay]`` to a message that arrives."""

    def setUp(self) -> None:
        self.hop = HopFactory()
        self.port = reactor.listenTCP(0, self.hop, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.patch_records(
            {
                "built.example": [dns.Record_MX(5, b"dead.built.example"), dns.Record_MX(10, b"mx.built.example")],
                "mx.built.example": [dns.Record_A("127.0.0.1")],
                "dead.built.example": [dns.Record_AAAA("::1")],
            }
        )
        self.dns = reactor.listenUDP(
            0, dns.DNSDatagramProtocol(server.DNSServerFactory(clients=[Zone()])), interface="127.0.0.1"
        )
        self.addCleanup(self.dns.stopListening)

    def patch_records(self, records: dict[str, list[Any]]) -> None:
        """Let the DNS have these, too."""
        RECORDS.update(records)
        self.addCleanup(lambda: [RECORDS.pop(name, None) for name in records])

    def built(self, **settings: Any) -> Any:
        """The relay of some settings."""
        known = {
            "enabled": True,
            "dns_servers": (f"127.0.0.1:{self.dns.getHost().port}",),
            "port": self.port.getHost().port,
            "private_networks": ("127.0.0.0/8", "::1/128"),
            "idle": 0.0,
        }
        configuration = Configuration(relay=RelaySettings(**{**known, **settings}))
        workers = InlineWorkers()
        databases = Databases(Path(self.mktemp()), workers, workers)
        relay = build_relay(reactor, configuration, Counters(), workers, databases)
        run_now(databases.open())
        self.addCleanup(lambda: run_now(databases.close()))
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()) if relay is not None else None)
        return relay

    async def carry(self, relay: Any) -> tuple[str, str]:
        """What becomes of one mail."""
        envelope = Envelope(SpoolId("one"), ANN, ())
        (verdict,) = await relay.carry(relay.destination(envelope, X), envelope, [X], BODY, nothing)
        return verdict.fate.value, verdict.status

    async def test_mail_arrives(self) -> None:
        """The best host is dead, the next one takes it."""
        self.assertEqual(await self.carry(self.built()), ("done", "2.0.0"))
        self.assertEqual([body for _, body in self.hop.got], [BODY])

    async def test_dns_does_not_lead_behind_our_walls(self) -> None:
        """Without private_networks nobody is connected to."""
        self.assertEqual(await self.carry(self.built(private_networks=())), ("never", "5.4.4"))
        self.assertEqual(self.hop.connections, 0)

    async def test_smarthost_by_name(self) -> None:
        """A host of a route is found by the system, and may be anywhere."""
        relay = self.built(routes=(f"* localhost:{self.port.getHost().port}",), private_networks=())
        self.assertEqual(await self.carry(relay), ("done", "2.0.0"))

    async def test_ipv6(self) -> None:
        """A host with an IPv6 address only."""
        port = reactor.listenTCP(0, self.hop, interface="::1")
        self.addCleanup(port.stopListening)
        self.patch_records({"built.example": [dns.Record_MX(5, b"dead.built.example")]})
        self.assertEqual(await self.carry(self.built(port=port.getHost().port)), ("done", "2.0.0"))

    async def test_mta_sts(self) -> None:
        """From the record in the DNS over the policy on the web to mail that waits, as the host has no TLS."""
        certificates = Certificates("mta-sts.built.example")
        authority = Path(self.mktemp())
        authority.write_bytes(certificates.certificate)
        policy = File()
        policy.text = b"version: STSv1\r\nmode: enforce\r\nmx: mx.built.example\r\nmax_age: 86400\r\n"
        site = Watched(policy)
        web = reactor.listenSSL(0, site, certificates.server, interface="127.0.0.1")
        self.addCleanup(site.quiet)
        self.addCleanup(web.stopListening)
        self.patch(fetching, "HTTPS", web.getHost().port)
        self.patch_records(
            {
                "_mta-sts.built.example": [dns.Record_TXT(b"v=STSv1; id=1;")],
                "mta-sts.built.example": [dns.Record_A("127.0.0.1")],
            }
        )
        relay = self.built(ca_file=str(authority), port=self.port.getHost().port)
        self.assertEqual(await self.carry(relay), ("later", "4.7.5"))
        RECORDS["_mta-sts.built.example"] = []
        again = self.built(mta_sts=False)
        self.assertEqual(await self.carry(again), ("done", "2.0.0"))
        self.assertEqual(len(self.hop.got), 1)

    def test_off(self) -> None:
        """There is none, and no resolver either."""
        self.assertIsNone(self.built(enabled=False))

    def test_schedule(self) -> None:
        """Pauses with a tenth of chance, never the same for all."""
        schedule = schedule_of(RelaySettings())
        pauses = {schedule.pause(1, remote=True) for _ in range(20)}
        self.assertTrue(len(pauses) > 1 and all(270 <= one <= 330 for one in pauses), pauses)
        self.assertEqual(schedule.pause(1), 30)

    def test_faults_have_their_lines(self) -> None:
        """``launcelot check`` tells of routes, servers and networks that are none."""
        text = 'config_version = 1\n[relay]\nroutes = ["* host tls=maybe"]\ndns_servers = ["dns"]\nprivate_networks = ["10/33"]\n'
        _, faults = parse(text)
        self.assertEqual([(one.line, one.key) for one in faults], [
            (3, "relay.routes"), (4, "relay.dns_servers"), (5, "relay.private_networks"),
        ])  # fmt: skip
