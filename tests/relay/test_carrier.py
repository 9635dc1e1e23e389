"""The relay against next hops that do everything wrong, and against our own server."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, fail

from launcelot.core.counters import Counters
from launcelot.core.errors import TryLater
from launcelot.core.limits import ConnectionCount
from launcelot.message.address import Address
from launcelot.protocols.smtp import commands as smtp_commands
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.relay import dane
from launcelot.relay.policies import MIGRATIONS, Policies
from launcelot.relay.resolver import NoAnswer
from launcelot.relay.tlsa import Tlsa, record_of
from launcelot.spool.interface import Envelope, SpoolId
from launcelot.testing.certificates import Certificates
from launcelot.testing.site import memory_site
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from tests.relay.support import BODY, CUT, HopFactory, RelayCase, elsewhere

X, Y, Z = (elsewhere(f"{name}@far.example") for name in "xyz")
DONE, LATER = ("done", "2.0.0"), "later"


class HandingOverTests(RelayCase):
    """One transaction."""

    def test_a_mail_goes_over(self) -> None:
        """To several at once, octet for octet, with who said what."""
        verdicts = self.verdicts(X, Y)
        said = [(one.fate.value, one.host, one.diagnostic) for one in verdicts]
        self.assertEqual(said, [("done", "mx.far.example", "250 2.0.0 taken")] * 2)
        ((envelope, message),) = self.hop.got
        self.assertEqual(message, BODY)
        self.assertEqual(envelope[0], b"MAIL FROM:<ann@test> SIZE=%d" % len(BODY))
        self.assertEqual(envelope[1:], [b"RCPT TO:<x@far.example>", b"RCPT TO:<y@far.example>"])
        self.assertEqual(self.hop.heard[0], b"EHLO us.example")

    def test_each_recipient_has_its_reply(self) -> None:
        """4xx later, 5xx never; 552 of old servers for too many is later."""
        self.hop.script["RCPT"] = [b"250 ok", b"450 4.2.1 later", b"550 5.1.1 nobody", b"552 Too many recipients"]
        verdicts = self.verdicts(X, Y, Z, elsewhere("w@far.example"))
        self.assertEqual(
            [(one.fate.value, one.status) for one in verdicts],
            [DONE, (LATER, "4.2.1"), ("never", "5.1.1"), (LATER, "4.0.0")],
        )
        self.assertEqual(verdicts[2].diagnostic, "550 5.1.1 nobody")
        self.assertIn("mx.far.example[127.0.0.1]", verdicts[2].text)

    def test_refusals_of_each_stage(self) -> None:
        """Sender, DATA and message, for now and for good."""
        for stage in ("MAIL", "DATA", "END"):
            for said, fate in ((b"451 4.3.0 no", (LATER, "4.3.0")), (b"554 5.7.1 no", ("never", "5.7.1"))):
                self.hop.script[stage] = [said]
                self.assertEqual(self.carry(X, Y), [fate, fate], stage)
        self.assertEqual(self.hop.got, [])

    def test_reply_that_would_do_something_to_a_terminal(self) -> None:
        """Control characters of a host are not kept, nor more than 500 characters."""
        self.hop.script["RCPT"] = [b"550 \x1b[2J" + b"x" * 900]
        (verdict,) = self.verdicts(X)
        self.assertNotIn("\x1b", verdict.text + verdict.diagnostic)
        self.assertLessEqual(len(verdict.diagnostic), 500)

    def test_cut_at_every_stage(self) -> None:
        """Later; unsure only behind the final dot."""
        for stage in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"):
            self.relay = self.make()
            self.hop.script[stage] = [CUT]
            (verdict,) = self.verdicts(X)
            self.assertEqual((verdict.fate.value, verdict.unsure), (LATER, stage == "END"), stage)

    def test_the_end_waits_until_it_is_marked(self) -> None:
        """No octet of the final dot leaves before; what cannot be marked is not sent; what is refused before is not marked."""
        waits: Deferred[None] = Deferred()

        async def last() -> None:
            await waits

        self.last = last  # type: ignore[method-assign]
        carrying = self.carrying(X)
        self.assertNoResult(carrying)
        self.assertEqual((self.hop.heard[-1], self.hop.got), (b"DATA", []))
        waits.callback(None)
        self.world.network.pump()
        self.assertEqual(self.successResultOf(carrying)[0].fate.value, "done")
        waits = fail(TryLater("the disk is full"))
        self.failureResultOf(self.carrying(X), TryLater)
        self.assertEqual(len(self.hop.got), 1)
        del self.last
        self.hop.script["RCPT"] = [b"450 4.2.1 later"]
        self.assertEqual(self.carry(X), [(LATER, "4.2.1")])
        self.assertEqual(self.marked, 0)

    def test_host_that_answers_before_the_end(self) -> None:
        """It is not sent the end: a refusal counts, what is positive does not, and a connection that is gone leaves no doubt."""
        for said, verdict in (
            (b"552 5.3.4 too much", ("never", "5.3.4")),
            (b"421 4.3.2 stopping", (LATER, "4.3.2")),
            (b"250 2.0.0 taken", (LATER, "4.4.2")),
            (CUT, (LATER, "4.4.2")),
        ):
            self.relay = self.make()
            waits: Deferred[None] = Deferred()

            async def last(waits: Deferred[None] = waits) -> None:
                await waits

            self.last = last  # type: ignore[method-assign]
            carrying = self.carrying(X)
            transport: Any = self.hop.last.transport
            if said is CUT:
                transport.abortConnection()
            else:
                self.hop.last.sendLine(said)
            self.world.network.pump()
            waits.callback(None)
            self.world.network.pump()
            (one,) = self.successResultOf(carrying)
            self.assertEqual((one.fate.value, one.status, one.unsure), (*verdict, False), said)
            self.assertEqual(self.hop.got, [])
            self.assertEqual(self.links.count, 0)

    def test_silence_behind_the_final_dot(self) -> None:
        """Ten minutes, then unsure."""
        self.hop.script["END"] = [None]
        carrying = self.carrying(X)
        self.world.advance(595, 5)
        self.assertNoResult(carrying)
        (verdict,) = self.until(carrying, 20)
        self.assertTrue(verdict.unsure)

    def test_mail_that_goes_in_circles(self) -> None:
        """Too many Received fields: given back without asking anybody."""
        self.assertEqual(self.carry(X, body=b"Received: by a\r\n" * 101 + BODY), [("never", "5.4.6")])
        self.assertEqual(self.hop.connections, 0)

    def test_host_that_is_us(self) -> None:
        """A loop the DNS does not show is seen by the name in the greeting."""
        self.hop.script["EHLO"] = [b"250 US.example hello"]
        self.assertEqual(self.carry(X), [("never", "5.4.6")])

    def test_notices_are_passed_on(self) -> None:
        """Where DSN is offered the next host is told and answers for the rest; elsewhere we do."""
        one = elsewhere("x@far.example", "SUCCESS", "rfc822;x@far.example")
        (verdict,) = self.verdicts(one, returned="HDRS", envelope_id="e=1")
        self.assertTrue(verdict.passed_on)
        self.assertIn(b"RET=HDRS ENVID=e+3D1", self.hop.got[0][0][0])
        self.assertIn(b"NOTIFY=SUCCESS ORCPT=rfc822;x@far.example", self.hop.got[0][0][1])
        self.relay = self.make()
        self.hop.extensions = (b"PIPELINING",)
        (verdict,) = self.verdicts(one)
        self.assertFalse(verdict.passed_on)

    def test_host_without_8bitmime(self) -> None:
        """Parts with 8-bit octets become base64; everything else stays."""
        self.hop.extensions = (b"PIPELINING",)
        text = "Grüße\r\n".encode()
        body = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" + (
            b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text
        )
        self.assertEqual(self.carry(X, body=body), [DONE])
        received = message_from_bytes(self.hop.got[0][1])
        self.assertTrue(self.hop.got[0][1].isascii())
        self.assertEqual(received.get_payload(decode=True), text)
        self.assertEqual(received["Subject"], "x")

    def test_8bit_header_cannot_be_recoded(self) -> None:
        """Given back with 5.6.3; the connection serves on."""
        self.hop.extensions = (b"PIPELINING",)
        self.assertEqual(self.carry(X, body=b"Subject: \xff\r\n\r\nx\r\n"), [("never", "5.6.3")])
        self.assertEqual(self.carry(X), [DONE])
        self.assertEqual(self.hop.connections, 1)

    def test_host_without_smtputf8(self) -> None:
        """Given back; but mail that was given with SMTPUTF8 and needs none goes."""
        self.hop.extensions = (b"PIPELINING", b"8BITMIME")
        header = "Subject: ü\r\n\r\nx\r\n".encode()
        self.assertEqual(self.carry(X, body=header, utf8=True), [("never", "5.6.7")])
        self.assertEqual(self.carry(elsewhere("ü@far.example")), [("never", "5.6.7")])
        self.assertEqual(self.carry(X, utf8=True), [DONE])

    def test_host_that_takes_less(self) -> None:
        """SIZE: given back before anything is sent."""
        self.hop.extensions = (b"PIPELINING", b"SIZE 10")
        self.assertEqual(self.carry(X), [("never", "5.3.4")])
        self.assertNotIn(b"DATA", self.hop.heard)

    def test_large_message_with_slow_reader(self) -> None:
        """Three MiB arrive whole."""
        body = b"Subject: x\r\n\r\n" + (b"." * 70 + b"\r\n") * 45_000
        self.hop.extensions = (b"PIPELINING",)
        self.assertEqual(self.carry(X, body=body), [DONE])
        self.assertEqual(self.hop.got[0][1], body)


class ConnectionTests(RelayCase):
    """Making, keeping and losing connections."""

    def test_connection_is_used_again_and_closed_when_idle(self) -> None:
        """Ten mails over one; QUIT after three seconds without one."""
        for _ in range(10):
            self.assertEqual(self.carry(X), [DONE])
        self.assertEqual((self.hop.connections, self.hop.open), (1, 1))
        self.world.advance(4)
        self.assertEqual((self.hop.heard[-1], self.hop.open, self.links.count), (b"QUIT", 0, 0))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_so_many_messages_and_no_more(self) -> None:
        """Then another connection."""
        self.relay = self.make(messages_per_connection=2)
        for _ in range(5):
            self.carry(X)
        self.assertEqual(self.hop.connections, 3)

    def test_kept_connection_that_died(self) -> None:
        """The mail goes over a fresh one at once, whether it ends before, with 421, or in the middle."""
        for stage, said in (("MAIL", CUT), ("MAIL", b"421 4.3.2 bye"), ("RCPT", CUT), ("DATA", CUT)):
            self.relay = self.make()
            self.assertEqual(self.carry(X), [DONE])
            self.hop.script[stage] = [said]
            self.assertEqual(self.carry(X), [DONE], (stage, said))
        self.relay = self.make()
        self.carry(X)
        self.hop.script["END"] = [CUT]
        (verdict,) = self.verdicts(X)
        self.assertTrue(verdict.unsure)

    def test_next_host_when_one_does_not_answer(self) -> None:
        """In the order of preference; refused greetings count as well; the trail says which were passed over."""
        other = HopFactory()
        self.world.network.listen(self.port, other, "127.0.0.2")
        self.world.network.pump()
        self.resolver.mx = {"far.example": [(10, "dead.far.example"), (15, "mx.far.example"), (20, "two.far.example")]}
        self.resolver.hosts = {
            "mx.far.example": "127.0.0.1",
            "two.far.example": "127.0.0.2",
            "dead.far.example": "127.0.0.9",
        }
        self.hop.script["GREETING"] = [b"554 no"]
        self.assertEqual(self.carry(X), [DONE])
        self.assertEqual((len(self.hop.got), len(other.got)), (0, 1))
        self.assertEqual([(one[0], one[1]) for one in self.noted], [("one", "passed over")] * 2)
        self.assertIn("dead.far.example", self.noted[0][2])

    def test_destination_that_is_down(self) -> None:
        """Nobody is asked again for a minute; what comes is put off at once with the reason."""
        self.resolver.hosts = {"mx.far.example": "127.0.0.9"}
        for _ in range(5):
            self.assertEqual(self.carry(X), [(LATER, "4.4.1")])
        self.assertEqual(self.resolver.asked.count("MX far.example"), 1)
        self.resolver.hosts = {"mx.far.example": "127.0.0.1"}
        self.world.advance(61)
        self.assertEqual(self.carry(X), [DONE])

    def test_dns(self) -> None:
        """What it says decides: never, or later."""
        self.assertEqual(self.carry(elsewhere("x@gone.example")), [("never", "5.1.2")])
        self.resolver.mx = {"slow.example": NoAnswer("late"), "null.example": [(0, "")]}
        self.assertEqual(self.carry(elsewhere("x@slow.example")), [(LATER, "4.4.3")])
        self.assertEqual(self.carry(elsewhere("x@null.example")), [("never", "5.1.10")])

    def test_stopping(self) -> None:
        """Idle connections say goodbye, a transaction has five seconds, nothing new begins."""
        self.carry(X)
        self.hop.script["END"] = [None]
        carrying = self.carrying(X)
        closing = Deferred.fromCoroutine(self.relay.close())
        self.world.advance(4)
        self.assertNoResult(closing)
        self.world.advance(2)
        self.successResultOf(closing)
        self.assertTrue(self.successResultOf(carrying)[0].unsure)
        self.assertEqual(self.carry(X), [(LATER, "4.3.2")])
        self.assertEqual((self.hop.open, self.world.clock.getDelayedCalls()), (0, []))


class RouteTests(RelayCase):
    """Hosts of the configuration."""

    def test_smarthost(self) -> None:
        """Everything goes there, in one connection, and the DNS is not asked."""
        self.relay = self.make(f"* 127.0.0.1:{self.port}", port=25)
        for domain in ("a.example", "b.example"):
            self.assertEqual(self.carry(elsewhere(f"x@{domain}")), [DONE])
        self.assertEqual((self.hop.connections, self.resolver.asked), (1, []))

    def test_limits(self) -> None:
        """A route's own number of connections, or the usual; two with a destination that has not answered, or not lately."""
        self.relay = self.make(f"a.example 127.0.0.1:{self.port} connections=17", f"b.example 127.0.0.1:{self.port + 1}")
        for domain, limit in (("a.example", 17), ("b.example", 5), ("far.example", 2)):
            destination = self.relay.destination(Envelope(SpoolId("one"), None, ()), elsewhere(f"x@{domain}"))
            self.assertEqual(self.relay.limit(destination), limit)
        self.assertEqual(self.carry(X), [DONE])
        self.assertEqual(self.relay.limit("far.example"), 5)
        self.world.advance(10)
        self.resolver.hosts = {"mx.far.example": "127.0.0.9"}
        self.assertEqual(self.carry(X), [(LATER, "4.4.1")])
        self.assertEqual(self.relay.limit("far.example"), 2)


CERTIFICATES = Certificates("mx.far.example", "far.example")


CERTIFICATE = x509.load_pem_x509_certificate(CERTIFICATES.certificate)


class TlsTests(RelayCase):
    """Policies, against our own server with a certificate."""

    tls = CERTIFICATES

    def setUp(self) -> None:
        super().setUp()
        self.far = memory_site(tls=self.tls, domain="far.example", hostname="mx.far.example")
        self.far.add_user("x", "secret")
        self.far.clock, self.far.network = self.world.clock, self.world.network
        self.far.site.clock = self.world.clock
        count = ConnectionCount(100, 100)
        self.server = SmtpFactory(self.far.site, "smtp", count, Settings(error_delay=0.0), Role.MX)
        self.port = self.listen(self.server)
        self.relay = self.make()
        self.authority = self.mktemp()
        with open(self.authority, "wb") as file:
            file.write(CERTIFICATES.certificate)

    def received(self) -> list[bytes]:
        """The messages in x's mailbox."""

        async def read() -> list[bytes]:
            account = await self.far.site.accounts.account("x")
            mailbox = await (await self.far.site.mail.mail(account.id)).mailbox("INBOX")
            return [await mailbox.read(state.uid, 0, 1 << 20) for state in await mailbox.states()]

        return self.world.result(read())

    def test_opportunistic(self) -> None:
        """TLS with a certificate nobody vouches for is better than none."""
        self.assertEqual(self.carry(X), [DONE])
        self.assertIn(b"with ESMTPS", self.received()[0])

    def test_none(self) -> None:
        """In clear where the route says so."""
        self.relay = self.make("far.example mx tls=none")
        self.assertEqual(self.carry(X), [DONE])
        self.assertIn(b"with ESMTP ", self.received()[0].replace(b"\r\n\t", b" "))

    def test_verified(self) -> None:
        """The certificate must be for the host, from an authority that is trusted."""
        self.relay = self.make("far.example mx tls=verified", ca_file=self.authority)
        self.assertEqual(self.carry(X), [DONE])
        self.relay = self.make("far.example mx tls=verified")
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.resolver.mx = {"far.example": "other.far.example"}
        self.resolver.hosts = {"other.far.example": "127.0.0.1"}
        self.relay = self.make("far.example mx tls=verified", ca_file=self.authority)
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.assertEqual(len(self.received()), 1)

    def test_required_where_there_is_none(self) -> None:
        """Mail waits rather than going in clear."""
        self.far.site.tls = None
        self.relay = self.make("far.example mx tls=required")
        self.assertEqual(self.carry(X), [(LATER, "4.7.10")])
        self.relay = self.make()
        self.assertEqual(self.carry(X), [DONE])

    def test_opportunistic_where_tls_fails(self) -> None:
        """A server that offers it and cannot do it gets the mail in clear."""
        hop = HopFactory()
        hop.extensions = (b"PIPELINING", b"STARTTLS")
        hop.script["STARTTLS"] = [b"454 4.7.0 not now"]
        self.port = self.listen(hop)
        self.relay = self.make()
        self.assertEqual(self.carry(X), [DONE])
        self.assertEqual((hop.connections, len(hop.got)), (2, 1))

    def name(self, *records: Tlsa) -> None:
        """Have the DNS say, with signatures, what certificate the host has."""
        self.resolver.signed = {"far.example", "mx.far.example"}
        octets = [bytes([one.usage, one.selector, one.matching]) + one.data for one in records]
        self.resolver.tlsa = {f"_{self.port}._tcp.mx.far.example": octets}

    def demand(self, mode: str, *hosts: str) -> None:
        """Have far.example demand something by MTA-STS."""
        workers = InlineWorkers()
        database = Database(Path(self.mktemp()), MIGRATIONS, workers, workers)
        self.successResultOf(database.open())
        self.addCleanup(database.close)

        async def fetch(domain: str) -> str:
            return "\n".join(["version: STSv1", f"mode: {mode}", "max_age: 86400", *(f"mx: {one}" for one in hosts)])

        self.resolver.txt = {"_mta-sts.far.example": "v=STSv1; id=1"}
        self.policies = Policies(self.resolver, fetch, database, lambda: 1_000_000.0, Counters())

    def test_dane(self) -> None:
        """The certificate that is named is the one that counts, and without it mail waits; as a route may demand, too."""
        right = record_of(CERTIFICATE, 3, 1)
        wrong = Tlsa(3, 1, 1, bytes(32))
        for route in ((), ("far.example mx tls=required",), ("far.example mx tls=dane",)):
            for records, expected in (((right,), DONE), ((wrong, right), DONE), ((wrong,), (LATER, "4.7.5"))):
                self.name(*records)
                self.relay = self.make(*route)
                self.assertEqual(self.carry(X), [expected], (route, records))
        self.assertEqual(len(self.received()), 6)

    def test_dane_by_authority(self) -> None:
        """The certificate must be for the host then, or for the domain."""
        for host, recipient, expected in (
            ("mx.far.example", X, DONE),
            ("other.example", X, DONE),
            ("other.example", elsewhere("x@third.example"), (LATER, "4.7.5")),
        ):
            domain = recipient.address.domain
            self.name(record_of(CERTIFICATE, 2, 0))
            self.resolver.mx, self.resolver.hosts = {domain: host}, {host: "127.0.0.1"}
            self.resolver.signed = {domain, host}
            self.resolver.tlsa = {f"_{self.port}._tcp.{host}": next(iter(self.resolver.tlsa.values()))}
            self.relay = self.make()
            self.assertEqual(self.carry(recipient), [expected])

    def test_dane_never_in_clear(self) -> None:
        """A host whose TLSA records are signed and that offers no TLS gets nothing, whether they can be used or not."""
        self.far.site.tls = None
        for record, status in ((record_of(CERTIFICATE, 3, 1), "4.7.5"), (Tlsa(0, 0, 1, bytes(32)), "4.7.10")):
            self.name(record)
            self.relay = self.make()
            self.assertEqual(self.carry(X), [(LATER, status)])

    def test_dane_with_a_certificate_that_nobody_understands(self) -> None:
        """What goes wrong while it is looked at, known or not, is no permission to go on; what is not known is logged."""
        for error in (ValueError("odd"), RuntimeError("a bug")):

            def broken(*_: object, error: Exception = error) -> None:
                raise error

            self.patch(dane, "verify", broken)
            self.name(record_of(CERTIFICATE, 3, 1))
            self.relay = self.make()
            self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.assertEqual(self.received(), [])
        self.assertEqual([str(one.value) for one in self.flushLoggedErrors()], ["a bug"])

    def test_dane_with_records_that_cannot_be_used(self) -> None:
        """TLS with whoever is there; a route that wants DANE is not content with that."""
        self.name(Tlsa(0, 0, 1, bytes(32)), Tlsa(3, 1, 9, b"x"))
        self.relay = self.make()
        self.assertEqual(self.carry(X), [DONE])
        self.relay = self.make("* mx tls=dane")
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])

    def test_dane_only_where_all_is_signed(self) -> None:
        """Records that lead to the host by an answer without a signature prove nothing, and are not even asked for."""
        for signed in ((), ("far.example",), ("mx.far.example",)):
            self.name(Tlsa(3, 1, 1, bytes(32)))
            self.resolver.signed = signed
            self.relay = self.make()
            self.assertEqual(self.carry(X), [DONE])
            self.relay = self.make("* mx tls=dane")
            self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.assertFalse([one for one in self.resolver.asked if one.startswith("TLSA")])

    def test_dane_when_the_dns_does_not_say(self) -> None:
        """An answer that was forged or is not there is no permission to go on."""
        self.name()
        self.resolver.tlsa = {f"_{self.port}._tcp.mx.far.example": NoAnswer("forged")}
        self.relay = self.make()
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.assertEqual(self.received(), [])

    def test_dane_of_a_host_that_a_route_names(self) -> None:
        """With tls=dane its name alone counts, whose the recipient is does not."""
        self.name(record_of(CERTIFICATE, 2, 0))
        route = f"* mx.far.example:{self.port} tls=dane"
        self.relay = self.make(route)
        self.assertEqual(self.carry(X), [DONE])
        self.resolver.tlsa = {}
        self.relay = self.make(route)
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.resolver.hosts = {}
        self.relay = self.make(route)
        self.assertEqual(self.carry(X), [(LATER, "4.4.4")])

    def test_mta_sts(self) -> None:
        """Enforced: hosts of the policy, with a certificate of an authority that is trusted; in other modes as without."""
        for mode, host, trusted, expected in (
            ("enforce", "mx.far.example", True, DONE),
            ("enforce", "*.far.example", True, DONE),
            ("enforce", "mx.far.example", False, (LATER, "4.7.5")),
            ("enforce", "mx.other.example", True, (LATER, "4.7.5")),
            ("testing", "mx.other.example", False, DONE),
            ("none", "mx.other.example", False, DONE),
        ):
            self.demand(mode, host)
            self.relay = self.make(ca_file=self.authority if trusted else "")
            self.assertEqual(self.carry(X), [expected], (mode, host, trusted))

    def test_mta_sts_never_in_clear(self) -> None:
        """And a host that is not in the policy does not keep mail from one that is."""
        self.demand("enforce", "mx.far.example")
        self.resolver.mx = {"far.example": [(5, "evil.example"), (10, "mx.far.example")]}
        self.resolver.hosts = {"evil.example": "127.0.0.1", "mx.far.example": "127.0.0.1"}
        self.relay = self.make(ca_file=self.authority)
        (verdict,) = self.verdicts(X)
        self.assertEqual((verdict.fate.value, verdict.host), ("done", "mx.far.example"))
        self.far.site.tls = None
        self.relay = self.make(ca_file=self.authority)
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])

    def test_mta_sts_where_the_route_says_otherwise(self) -> None:
        """What the configuration names goes before; a host that it names is nobody's MX."""
        self.demand("enforce", "mx.other.example")
        for route in ("* mx tls=none", f"* 127.0.0.1:{self.port}"):
            self.relay = self.make(route)
            self.assertEqual(self.carry(X), [DONE], route)

    def test_dane_goes_before_mta_sts(self) -> None:
        """RFC 8461 section 2: neither does the policy excuse a certificate, nor forbid one."""
        self.demand("enforce", "mx.other.example")
        self.name(record_of(CERTIFICATE, 3, 1))
        self.relay = self.make()
        self.assertEqual(self.carry(X), [DONE])
        self.demand("enforce", "mx.far.example")
        self.name(Tlsa(3, 1, 1, bytes(32)))
        self.relay = self.make(ca_file=self.authority)
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        # Records that cannot be used leave the policy in force.
        self.name(Tlsa(0, 0, 1, bytes(32)))
        self.relay = self.make()
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])

    def test_requiretls(self) -> None:
        """RFC 8689: signed or named by a policy, verified, and offered; otherwise it comes back, and nothing is sent."""
        cases: list[tuple[str, Any, str, tuple[str, str]]] = [
            ("signed and named", lambda: self.name(record_of(CERTIFICATE, 3, 1)), "", DONE),
            ("by a policy", lambda: self.demand("enforce", "mx.far.example"), self.authority, DONE),
            ("by a policy that is tried", lambda: self.demand("testing", "mx.far.example"), self.authority, DONE),
            ("signed, verified", lambda: setattr(self.resolver, "signed", {"far.example"}), self.authority, DONE),
            ("nobody says so", lambda: None, self.authority, ("never", "5.7.10")),
            ("a policy that does not", lambda: self.demand("testing", "mx.other.example"), self.authority, ("never", "5.7.10")),
            ("another certificate", lambda: self.name(Tlsa(3, 1, 1, bytes(32))), self.authority, ("never", "5.7.10")),
            ("nobody trusts it", lambda: setattr(self.resolver, "signed", {"far.example"}), "", ("never", "5.7.10")),
        ]
        for what, prepare, authority, expected in cases:
            self.policies, self.resolver.signed, self.resolver.tlsa, self.resolver.txt = None, (), {}, {}
            prepare()
            self.relay = self.make(ca_file=authority)
            self.assertEqual(self.carry(X, require_tls=True), [expected], what)
            self.assertEqual(self.carry(X, require_tls=True), [expected], what)
        self.assertEqual(len(self.received()), 8)

    def test_requiretls_by_a_route(self) -> None:
        """A host that the configuration names is known; in clear it does not go there."""
        for options, expected in (("tls=verified", DONE), ("", DONE), ("tls=none", ("never", "5.7.10"))):
            self.resolver.hosts = {"mx.far.example": "127.0.0.1"}
            self.relay = self.make(f"* 127.0.0.1:{self.port} {options}", ca_file=self.address_authority())
            self.assertEqual(self.carry(X, require_tls=True), [expected], options)

    def address_authority(self) -> str:
        """Of a certificate that the server has from now on, for its address."""
        certificates = Certificates("127.0.0.1")
        self.far.site.tls = lambda: certificates.server
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(certificates.certificate)
        return str(path)

    def test_requiretls_where_it_is_not_offered(self) -> None:
        """5.7.30; another host of the domain that does offer it gets the mail; what cannot be reached now waits."""
        self.name(record_of(CERTIFICATE, 3, 1))
        offers = smtp_commands.offers
        self.patch(smtp_commands, "offers", lambda session: [one for one in offers(session) if one != "REQUIRETLS"])
        self.relay = self.make()
        self.assertEqual(self.carry(X, require_tls=True), [("never", "5.7.30")])
        self.assertEqual(self.carry(X), [DONE])
        self.patch(smtp_commands, "offers", offers)
        self.resolver.mx = {"far.example": [(5, "dead.example"), (10, "mx.far.example")]}
        self.resolver.hosts = {"dead.example": "127.0.0.9", "mx.far.example": "127.0.0.1"}
        self.resolver.signed = {*self.resolver.signed, "dead.example"}
        self.relay = self.make()
        self.assertEqual(self.carry(X, require_tls=True), [DONE])
        self.resolver.mx = {"far.example": "dead.example"}
        self.relay = self.make()
        self.assertEqual(self.carry(X, require_tls=True), [(LATER, "4.4.1")])

    def test_requiretls_takes_no_connection_that_shows_less(self) -> None:
        """One that is kept from a mail without is passed over; one of its own is used again."""
        self.resolver.signed = {"far.example"}
        self.relay = self.make(ca_file=self.authority)
        self.assertEqual(self.carry(X), [DONE])
        self.assertEqual(self.links.count, 1)
        self.assertEqual(self.carry(X, require_tls=True), [DONE])
        self.assertEqual(self.carry(X, require_tls=True), [DONE])
        self.assertEqual(self.links.count, 2)

    def test_requiretls_and_notices(self) -> None:
        """A notice about such a mail goes without rather than not at all; with where that can be had.  RFC 8689 section 5."""
        seen: list[Any] = []
        mail = smtp_commands.COMMANDS[b"MAIL"]

        async def keep(session: Any, given: Any) -> Any:
            seen.append((given.require_tls, given.returned))
            return await mail.run(session, given)

        table = {**smtp_commands.COMMANDS, b"MAIL": replace(mail, run=keep)}
        self.patch(smtp_commands, "COMMANDS", table)
        self.relay = self.make(ca_file=self.authority)
        self.assertEqual(self.carry(X, sender=None, require_tls=True), [DONE])
        self.resolver.signed = {"far.example", "mx.far.example"}
        self.name(record_of(CERTIFICATE, 3, 1))
        self.relay = self.make(ca_file=self.authority)
        self.assertEqual(self.carry(X, sender=None, require_tls=True), [DONE])
        self.assertEqual(self.carry(X, require_tls=True, returned="FULL"), [DONE])
        self.assertEqual([one for one, _ in seen], [False, True, True])

    def test_tls_is_optional(self) -> None:
        """What the domain demands is left out, what the route demands is not; and nobody else gets such a connection."""
        self.demand("enforce", "mx.other.example")
        self.name(Tlsa(3, 1, 1, bytes(32)))
        self.relay = self.make()
        self.assertEqual(self.carry(X, tls_optional=True), [DONE])
        self.assertEqual(self.links.count, 0)
        self.assertEqual(self.carry(X), [(LATER, "4.7.5")])
        self.assertEqual(self.carry(X, tls_optional=True), [DONE])
        self.far.site.tls = None
        self.relay = self.make("* mx tls=required")
        self.assertEqual(self.carry(X, tls_optional=True), [(LATER, "4.7.10")])
        self.relay = self.make()
        self.assertEqual(self.carry(X, tls_optional=True), [DONE])

    def test_login(self) -> None:
        """With the password of a file, over verified TLS; without the file nothing is sent; a wrong one waits."""
        count = ConnectionCount(100, 100)
        submission = SmtpFactory(
            self.far.site, "submission", count, Settings(error_delay=0.0, check_from_header=False), Role.SUBMISSION
        )
        port = self.listen(submission)
        password = self.mktemp()
        self.resolver.hosts = {}
        route = f"* 127.0.0.1:{port} tls=none user=x password_file={password}"
        self.relay = self.make(route)
        sender = Address("x", "far.example")
        self.assertEqual(self.carry(X, sender=sender), [(LATER, "4.4.2")])
        self.flushLoggedErrors()
        for secret, expected in (("wrong", (LATER, "4.7.8")), ("secret\n", DONE)):
            with open(password, "w") as file:
                file.write(secret)
            self.relay = self.make(route)
            self.assertEqual(self.carry(X, sender=sender), [expected])
        self.assertIn(b"with ESMTPA", self.received()[0])
