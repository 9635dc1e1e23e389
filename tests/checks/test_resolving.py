"""The relay's resolver as what the checks ask, against a real DNS server on this machine."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.names import dns, server
from twisted.names.common import ResolverBase
from twisted.names.error import AuthoritativeDomainError
from twisted.trial.unittest import TestCase

from launcelot.app.checking import checks_of
from launcelot.app.configuration import Configuration
from launcelot.checks.interface import Case
from launcelot.checks.names import NoSuchName, reverse_of
from launcelot.checks.settings import CheckSettings
from launcelot.core.counters import Counters
from launcelot.message.address import Address
from launcelot.relay.resolver import NamesResolver
from launcelot.relay.settings import RelaySettings
from launcelot.workers.databases import Databases
from launcelot.workers.memory import InlineWorkers
from tests.relay.zones import free_pair

reactor: Any = the_reactor
LONG = base64.b64encode(bytes(range(256)) * 4)

RECORDS: dict[str, list[Any]] = {
    "e.example": [dns.Record_TXT(b"v=spf1 ip4:192.0.2.0/24", b" -all")],
    "long._domainkey.e.example": [dns.Record_TXT(*(LONG[at : at + 255] for at in range(0, len(LONG), 255)))],
    "3.2.0.192.in-addr.arpa": [dns.Record_PTR(b"MX.e.example")],
    "mx.e.example": [dns.Record_A("192.0.2.3")],
    "4.2.0.192.in-addr.arpa": [dns.Record_PTR(b"\xff\xfe.e.example")],
}


class Zone(ResolverBase):
    """Answers from the table."""

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Any) -> Deferred[Any]:
        text = name.decode().lower()
        found: Deferred[Any] = Deferred()
        if text not in RECORDS:
            found.errback(AuthoritativeDomainError(name))
        else:
            answers = [dns.RRHeader(name, one.TYPE, dns.IN, 60, one, auth=True) for one in RECORDS[text] if one.TYPE == type]
            found.callback((answers, [], []))
        return found


class ResolvingTests(TestCase):
    """On real sockets."""

    async def setUp(self) -> None:  # type: ignore[override]
        factory = server.DNSServerFactory(clients=[Zone()])
        self.port = free_pair()
        self.datagrams = reactor.listenUDP(self.port, dns.DNSDatagramProtocol(factory), "127.0.0.1")
        self.addCleanup(self.datagrams.stopListening)
        stream = reactor.listenTCP(self.port, factory, interface="127.0.0.1")
        self.addCleanup(stream.stopListening)

    async def test_texts_and_pointers(self) -> None:
        """The strings of a record are one text, a long one comes whole, names are in small letters."""
        resolver = NamesResolver(reactor, [("127.0.0.1", self.port)])
        self.addCleanup(resolver.close)
        self.assertEqual(await resolver.texts("e.example"), [b"v=spf1 ip4:192.0.2.0/24 -all"])
        self.assertEqual(await resolver.texts("long._domainkey.e.example"), [LONG])
        self.assertEqual(await resolver.pointers(reverse_of("192.0.2.3")), ["mx.e.example"])
        self.assertEqual(await resolver.texts("mx.e.example"), [])
        with self.assertRaises(NoSuchName):
            await resolver.texts("no.example")

    async def test_the_checks_of_a_configuration(self) -> None:
        """From settings to results: SPF and the reverse name of two hosts, one of which has a name that is none."""
        configuration = Configuration(
            relay=RelaySettings(dns_servers=(f"127.0.0.1:{self.port}",)), checks=CheckSettings(spf="note", reverse_name="note")
        )
        workers = InlineWorkers()
        databases = Databases(Path(self.mktemp()), workers, workers)
        checks = checks_of(reactor, configuration, databases, Counters(), workers)
        if checks is None:
            self.fail("no checks")
        self.addCleanup(checks.close)
        expected = {"192.0.2.3": ["pass", "pass"], "192.0.2.4": ["fail", "pass"], "198.51.100.1": ["fail", "fail"]}
        for source, found in expected.items():
            case = Case(source, "mx.e.example", Address("a", "e.example"), "here.test", 0.0)
            await checks.sender(case)
            self.assertEqual([one.value for one in case.results], found)
