"""The resolver and the relay against unbound: what is signed, what is not, what was forged, what is too long for a datagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from launcelot.app.configuration import Configuration
from launcelot.app.relaying import build_relay
from launcelot.core.counters import Counters
from launcelot.core.limits import ConnectionCount
from launcelot.hosting.deadlines import Deadlines
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.relay.carrier import Relay
from launcelot.relay.resolver import NamesResolver, NoAnswer, NoSuchName
from launcelot.relay.settings import RelaySettings
from launcelot.relay.tlsa import record_of
from launcelot.spool.interface import Envelope, SpoolId
from launcelot.testing.certificates import Certificates
from launcelot.testing.site import memory_site
from launcelot.workers.databases import Databases
from launcelot.workers.memory import InlineWorkers
from tests.relay.support import ANN, BODY, elsewhere
from tests.relay.zones import SignedZones

reactor: Any = the_reactor
CERTIFICATES = Certificates("nothing.that.matters.example")
CERTIFICATE = x509.load_pem_x509_certificate(CERTIFICATES.certificate)

SIGNED = """
@ MX 10 mx
@ MX 20 mx.plain.example.
mx A 127.0.0.1
mx AAAA ::1
alias CNAME mx
out CNAME mx.plain.example.
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
long TXT {long}
""".format(long=" ".join(f'"{letter * 250}"' for letter in "abcdefghij"))


class SignedTests(TestCase):
    """What the server says of its answers is handed on where it is trusted."""

    def setUp(self) -> None:
        self.zones = SignedZones(
            {"signed.example": SIGNED},
            {"plain.example": "@ MX 10 mx\nmx A 127.0.0.1\nin CNAME mx.signed.example."},
            {"forged.example": "@ MX 10 mx\nmx A 127.0.0.1"},
        )
        self.addCleanup(self.zones.stop)
        self.resolver = self.asking(True)

    def asking(self, dnssec: bool) -> NamesResolver:
        """A resolver that asks the server."""
        resolver = NamesResolver(reactor, [("127.0.0.1", self.zones.port)], dnssec)
        self.addCleanup(resolver.close)
        return resolver

    async def test_signed_answers_are_known(self) -> None:
        """Records, what is missing for sure, and aliases as far as all of them are signed."""
        for name, kind, secure in (
            ("signed.example", "MX", True),
            ("mx.signed.example", "A", True),
            ("_25._tcp.mx.signed.example", "TLSA", True),
            ("mx.signed.example", "TXT", True),
            ("alias.signed.example", "A", True),
            ("plain.example", "MX", False),
            ("mx.plain.example", "A", False),
            ("out.signed.example", "A", False),
            ("in.plain.example", "A", False),
        ):
            found = await self.resolver.answer(name, kind)
            self.assertEqual((name, kind, found.secure), (name, kind, secure))
        found = await self.resolver.answer("alias.signed.example", "A")
        self.assertEqual(found.name, "mx.signed.example")

    async def test_nobody_is_believed_who_is_not_trusted(self) -> None:
        """Without the setting nothing is signed, whatever the server says."""
        found = await self.asking(False).answer("signed.example", "MX")
        self.assertEqual((len(found.records), found.secure), (2, False))

    async def test_forged_answers_are_none(self) -> None:
        """What does not fit its signature is not had at all."""
        self.assertTrue((await self.resolver.answer("forged.example", "MX")).secure)
        with self.assertRaises(NoAnswer):
            await self.resolver.answer("mx.forged.example", "A")

    async def test_missing_names(self) -> None:
        """Below a signed zone."""
        with self.assertRaises(NoSuchName):
            await self.resolver.answer("_26._tcp.mx.signed.example", "TLSA")

    async def test_long_answers_come_by_tcp(self) -> None:
        """With their signatures they do not fit a datagram."""
        found = await self.resolver.answer("long.signed.example", "TXT")
        self.assertTrue(found.secure)
        self.assertEqual(await self.resolver.texts("long.signed.example"), [b"".join(c.encode() * 250 for c in "abcdefghij")])


async def nothing_to_do() -> None:
    """Before the last octet."""


class DaneTests(TestCase):
    """A relay as its configuration builds it, on real sockets, with certificates that real signed zones name."""

    def setUp(self) -> None:
        self.far = memory_site(tls=CERTIFICATES, domain="signed.example", hostname="mx.signed.example")
        self.far.add_user("x", "secret")
        site = self.far.site
        site.clock, site.deadlines, site.reactor = reactor, Deadlines(reactor), reactor
        factory = SmtpFactory(site, "smtp", ConnectionCount(100, 100), Settings(error_delay=0.0), Role.MX)
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        number = self.port.getHost().port
        right, wrong = record_of(CERTIFICATE, 3, 1), "3 1 1 " + "00" * 32
        records = f"""
@ MX 10 mx
mx A 127.0.0.1
alias CNAME mx
out CNAME mx.plain.example.
*.right MX 10 mx
*.wrong MX 10 bad
*.alias MX 10 alias
*.out MX 10 out
bad A 127.0.0.1
_{number}._tcp.mx TLSA {right}
_{number}._tcp.bad TLSA {wrong}
_{number}._tcp.out TLSA {wrong}
"""
        plain = f"@ MX 10 mx\nmx A 127.0.0.1\n_{number}._tcp.mx TLSA {wrong}\n*.led MX 10 bad.signed.example."
        forged = "@ MX 10 mx\nmx A 127.0.0.1"
        self.zones = SignedZones({"signed.example": records}, {"plain.example": plain}, {"forged.example": forged})
        self.addCleanup(self.zones.stop)

    def built(self, **settings: Any) -> Relay:
        """The relay of some settings."""
        known = {
            "enabled": True,
            "dns_servers": (f"127.0.0.1:{self.zones.port}",),
            "dnssec": True,
            "mta_sts": False,
            "port": self.port.getHost().port,
            "private_networks": ("127.0.0.0/8", "::1/128"),
            "idle": 0.0,
        }
        workers = InlineWorkers()
        databases = Databases(Path(self.mktemp()), workers, workers)
        configuration = Configuration(relay=RelaySettings(**{**known, **settings}))
        relay = build_relay(reactor, configuration, Counters(), workers, databases)
        assert relay is not None
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.close()))
        return relay

    async def carry(self, relay: Relay, domain: str) -> tuple[str, str]:
        """What becomes of one mail."""
        recipient, envelope = elsewhere(f"x@{domain}"), Envelope(SpoolId("one"), ANN, ())
        (verdict,) = await relay.carry(relay.destination(envelope, recipient), envelope, [recipient], BODY, nothing_to_do)
        return verdict.fate.value, verdict.status

    async def test_what_signed_zones_name(self) -> None:
        """Right and wrong certificates, aliases within and across zones, and zones without signatures."""
        for domain, expected in (
            ("signed.example", ("done", "2.0.0")),
            # Those get to the host, which does not know the domain.
            ("a.right.signed.example", ("never", "5.7.1")),
            ("a.alias.signed.example", ("never", "5.7.1")),
            ("plain.example", ("never", "5.7.1")),
            ("a.led.plain.example", ("never", "5.7.1")),
            ("a.wrong.signed.example", ("later", "4.7.5")),
            ("a.out.signed.example", ("later", "4.7.5")),
            ("forged.example", ("later", "4.4.3")),
            ("nothing.signed.example", ("never", "5.1.2")),
        ):
            self.assertEqual(await self.carry(self.built(), domain), expected, domain)

    async def test_without_trust(self) -> None:
        """No record counts, whatever the server says of it."""
        relay = self.built(dnssec=False)
        self.assertEqual(await self.carry(relay, "a.wrong.signed.example"), ("never", "5.7.1"))
