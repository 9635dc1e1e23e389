"""The resolver against a real DNS server on this machine: records, aliases, missing names, servers that do not answer."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns, server
from twisted.names.common import ResolverBase
from twisted.names.error import AuthoritativeDomainError
from twisted.trial.unittest import TestCase

from launcelot.relay import resolver as module
from launcelot.relay.resolver import Exchange, NamesResolver, NoAnswer, NoSuchName

reactor: Any = the_reactor


def record(name: str, payload: Any) -> Any:
    """One record."""
    return dns.RRHeader(name.encode(), payload.TYPE, dns.IN, 60, payload, auth=True)


RECORDS: dict[str, list[Any]] = {
    "far.example": [dns.Record_MX(20, b"B.far.example"), dns.Record_MX(10, b"a.far.example")],
    "null.example": [dns.Record_MX(0, b"")],
    "a.far.example": [dns.Record_A("192.0.2.1"), dns.Record_AAAA("2001:db8::1")],
    "alias.example": [dns.Record_CNAME(b"other.example")],
    "other.example": [dns.Record_CNAME(b"far.example")],
    "round.example": [dns.Record_CNAME(b"about.example")],
    "about.example": [dns.Record_CNAME(b"round.example")],
    "dangling.example": [dns.Record_CNAME(b"nowhere.example")],
    "empty.example": [],
}


class Zone(ResolverBase):
    """Answers from the table, with an alias alone where one is asked for something else."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Any) -> Deferred[Any]:
        self.asked += 1
        text = name.decode().lower()
        found: Deferred[Any] = Deferred()
        if text == "broken.example":
            found.errback(RuntimeError())
        elif text not in RECORDS:
            found.errback(AuthoritativeDomainError(name))
        else:
            found.callback(([record(text, one) for one in RECORDS[text] if one.TYPE in (type, dns.CNAME)], [], []))
        return found


class ResolverTests(TestCase):
    """On real sockets."""

    def setUp(self) -> None:
        self.zone = Zone()
        factory = server.DNSServerFactory(clients=[self.zone])
        self.port = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.resolver = NamesResolver(reactor, [("127.0.0.1", self.port.getHost().port)])
        self.addCleanup(self.resolver.close)

    async def test_records(self) -> None:
        """Exchangers, addresses with IPv6 first, and nothing where a name has none."""
        found = await self.resolver.exchanges("far.example")
        self.assertEqual(sorted(found, key=str), [Exchange(10, "a.far.example"), Exchange(20, "b.far.example")])
        self.assertEqual(await self.resolver.exchanges("null.example"), [Exchange(0, "")])
        self.assertEqual(await self.resolver.addresses("a.far.example"), ["2001:db8::1", "192.0.2.1"])
        self.assertEqual(await self.resolver.exchanges("empty.example"), [])
        self.assertEqual(await self.resolver.addresses("empty.example"), [])

    async def test_aliases_are_followed(self) -> None:
        """Also when the server names one at a time; in a circle they end."""
        self.assertEqual(len(await self.resolver.exchanges("alias.example")), 2)
        self.assertEqual(await self.resolver.exchanges("round.example"), [])

    async def test_names_that_are_not(self) -> None:
        """For sure, or because the server has a fault."""
        for name, kind in (("nowhere.example", NoSuchName), ("dangling.example", NoSuchName), ("broken.example", NoAnswer)):
            for question in (self.resolver.exchanges, self.resolver.addresses):
                try:
                    await question(name)
                except (NoSuchName, NoAnswer) as error:
                    self.assertIsInstance(error, kind)
                else:
                    self.fail(name)
        self.flushLoggedErrors(RuntimeError)

    async def test_answers_are_kept(self) -> None:
        """For a while nobody is asked again."""
        for _ in range(5):
            await self.resolver.exchanges("far.example")
        self.assertEqual(self.zone.asked, 1)

    async def test_server_that_cannot_be_reached(self) -> None:
        """The next one is asked; without one there is no answer, at once, and not for ever."""
        nowhere = ("255.255.255.255", 53)
        resolver = NamesResolver(reactor, [nowhere, ("127.0.0.1", self.port.getHost().port)])
        self.addCleanup(resolver.close)
        self.assertEqual(await resolver.addresses("a.far.example"), ["2001:db8::1", "192.0.2.1"])
        alone = NamesResolver(reactor, [nowhere])
        self.addCleanup(alone.close)
        for _ in range(2):
            with self.assertRaises(NoAnswer):
                await alone.exchanges("far.example")

    async def test_answers_of_others(self) -> None:
        """Neither from another socket nor to another question is an answer taken."""
        self.patch(module, "TIMEOUTS", (0.3,))

        class Liar(DatagramProtocol):
            """Answers from elsewhere, and then another question."""

            def datagramReceived(self, datagram: bytes, addr: Any) -> None:
                message = dns.Message()
                message.fromStr(datagram)
                message.answer, message.answers = 1, [record("far.example", dns.Record_MX(1, b"evil.example"))]
                other.transport.write(message.toStr(), addr)
                message.queries = [dns.Query(b"other.example", dns.MX)]
                if self.confuses:
                    liar.write(message.toStr(), addr)

            confuses = False

        self_made: Any = Liar()
        other: Any = DatagramProtocol()
        reactor.listenUDP(0, other, interface="127.0.0.1")
        self.addCleanup(lambda: other.transport.stopListening())
        liar = reactor.listenUDP(0, self_made, interface="127.0.0.1")
        self.addCleanup(liar.stopListening)
        resolver = NamesResolver(reactor, [("127.0.0.1", liar.getHost().port)])
        self.addCleanup(resolver.close)
        for confuses in (False, True):
            self_made.confuses = confuses
            with self.assertRaises(NoAnswer):
                await resolver.exchanges("far.example")

    async def test_server_that_does_not_answer(self) -> None:
        """C13: given up in time."""
        self.patch(module, "TIMEOUTS", (0.05, 0.05))
        silent = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
        self.addCleanup(silent.stopListening)
        resolver = NamesResolver(reactor, [("127.0.0.1", silent.getHost().port)])
        self.addCleanup(resolver.close)
        try:
            await resolver.exchanges("far.example")
        except NoAnswer:
            return
        self.fail("answered")


