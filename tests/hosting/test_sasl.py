"""One exchange from its first message to an account, whatever protocol carries it."""

from __future__ import annotations

from collections.abc import Collection

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.core import scram
from launcelot.core.errors import BadCredentials, LimitReached
from launcelot.core.sasl import Challenge, SaslError
from launcelot.hosting.login import FAILURE_WINDOW, FAILURES, Logins
from launcelot.hosting.proving import Prover
from launcelot.hosting.sasl import EVERY, Exchange, Peer, Proved, begin, offered
from tests.hosting.test_login import HERE, THERE, LoginTestCase


def prover(name: str, password: str, offers: Collection[bytes] = (scram.NAME,)) -> Prover:
    """A client on a connection without TLS."""
    found = Prover.choose(name, password, None, offers)
    if found is None:
        raise AssertionError("no mechanism")
    return found


class SaslCase(LoginTestCase):
    """Exchanges with the accounts of :class:`LoginTestCase`."""

    def begin(self, mechanism: bytes = scram.NAME, source: str = HERE, secure: bool = False) -> Exchange:  # type: ignore[override]
        """A new exchange."""
        exchange = begin(self.logins, mechanism, Peer(source, "imap", secure, {"tls-exporter": b"octets"}.get))
        if exchange is None:
            raise AssertionError("mechanism is not known")
        return exchange

    def step(self, exchange: Exchange, response: bytes | None) -> Challenge | Proved | Failure:
        """One step, with every hash computed."""
        ended: list[Challenge | Proved | Failure] = []
        Deferred.fromCoroutine(exchange.step(response)).addBoth(ended.append)
        self.perform()
        return ended[0]

    def challenge(self, exchange: Exchange, response: bytes | None) -> bytes:
        """One step that leads to a challenge."""
        found = self.step(exchange, response)
        self.assertIsInstance(found, Challenge)
        return found.data  # type: ignore[union-attr]

    def prove(self, name: str, password: str, source: str = HERE) -> Challenge | Proved | Failure:
        """The step behind the proof."""
        client, exchange = prover(name, password), self.begin(source=source)
        terms = self.challenge(exchange, client.first)
        return self.step(exchange, self.successResultOf(Deferred.fromCoroutine(client.respond(terms))))

    def refused(self, found: object, kind: type[Exception]) -> None:
        """A step that failed."""
        self.assertIsInstance(found, Failure)
        self.assertIs(found.type, kind)  # type: ignore[attr-defined]


class ScramTests(SaslCase):
    """SCRAM, without TLS and as if inside."""

    def test_whole_exchange(self) -> None:
        """With and without an initial response; the account comes behind the server's proof."""
        for initial in (True, False):
            client, exchange = prover("ann", "right"), self.begin()
            if not initial:
                self.assertEqual(self.challenge(exchange, None), b"")
            terms = self.challenge(exchange, client.first)
            proof = self.successResultOf(Deferred.fromCoroutine(client.respond(terms)))
            self.assertFalse(client.proved)
            signature = self.challenge(exchange, proof)
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(client.respond(signature))), b"")
            self.assertTrue(client.proved)
            found = self.step(exchange, b"")
            self.assertIsInstance(found, Proved)
            self.assertEqual((found.account.name, found.may_act), ("ann", True))  # type: ignore[union-attr]
        self.assertEqual(self.counters.value("logins.imap.succeeded"), 2)

    def test_no_password_is_hashed(self) -> None:
        """What a log-in costs the server is a few digests."""
        client, exchange = prover("ann", "right"), self.begin()
        terms = self.successResultOf(Deferred.fromCoroutine(exchange.step(client.first)))
        proof = self.successResultOf(Deferred.fromCoroutine(client.respond(terms.data)))  # type: ignore[union-attr]
        self.successResultOf(Deferred.fromCoroutine(exchange.step(proof)))
        self.assertEqual(self.perform(), 0)

    def test_wrong_passwords_and_unknown_names_end_alike(self) -> None:
        """At the same step, in the same words."""
        for name in ("ann", "nobody", "ann@example.org", "impossible\u00e9 name"):
            self.refused(self.prove(name, "wrong"), BadCredentials)
        self.assertEqual(self.counters.value("logins.imap.failed"), 4)

    def test_failures_count_with_those_of_passwords(self) -> None:
        """Past the limit even the right proof is refused from there, and taken from elsewhere."""
        for _ in range(FAILURES // 2):
            self.refused(self.prove("ann.smith@example.org", "wrong"), BadCredentials)
        self.logins_fail(FAILURES - FAILURES // 2)
        self.refused(self.prove("ann", "right"), LimitReached)
        self.assertEqual(self.counters.value("logins.imap.blocked"), 1)
        self.assertIsInstance(self.prove("ann", "right", THERE), Challenge)
        self.clock.advance(FAILURE_WINDOW + 1)
        self.assertIsInstance(self.prove("ann", "right"), Challenge)

    def logins_fail(self, times: int) -> None:
        """Wrong passwords of ann."""
        for _ in range(times):
            asked = Deferred.fromCoroutine(self.logins.by_password("ann", "wrong", HERE, "pop3"))
            self.perform()
            self.failureResultOf(asked, BadCredentials)

    def test_password_changed_meanwhile(self) -> None:
        """A proof of the old one is wrong, as is one for an account that was disabled or removed."""
        changes = (
            lambda: self.directory.set_password("ann", "new"),
            lambda: self.directory.change("ann", enabled=False),
            lambda: self.directory.remove("ann"),
        )
        password = "right"
        for change in changes:
            client, exchange = prover("ann", password), self.begin()
            terms = self.challenge(exchange, client.first)
            self.done(change())
            proof = self.successResultOf(Deferred.fromCoroutine(client.respond(terms)))
            self.refused(self.step(exchange, proof), BadCredentials)
            password = "new"

    def test_what_is_no_proof_counts_for_nothing(self) -> None:
        """Malformed messages tell nothing about a password."""
        for message in (b"", b"n,,n=ann", b"\xff" * 100):
            self.refused(self.step(self.begin(), message), SaslError)
        client, exchange = prover("ann", "right"), self.begin()
        self.challenge(exchange, client.first)
        self.refused(self.step(exchange, b"c=biws,r=x,p=eA=="), SaslError)
        self.assertEqual(self.counters.value("logins.imap.failed"), 0)

    def test_replayed_proof(self) -> None:
        """What was overheard is of no use in another exchange."""
        client, exchange = prover("ann", "right"), self.begin()
        proof = self.successResultOf(Deferred.fromCoroutine(client.respond(self.challenge(exchange, client.first))))
        self.assertIsInstance(self.step(exchange, proof), Challenge)
        again = self.begin()
        self.challenge(again, client.first)
        self.refused(self.step(again, proof), SaslError)

    def test_nothing_may_follow_the_server_s_proof(self) -> None:
        """But an empty response; nor may an exchange be left open in the middle."""
        client, exchange = prover("ann", "right"), self.begin()
        proof = self.successResultOf(Deferred.fromCoroutine(client.respond(self.challenge(exchange, client.first))))
        self.challenge(exchange, proof)
        self.refused(self.step(exchange, b"more"), SaslError)

    def test_acting_for_others(self) -> None:
        """Nobody may; everybody may name himself, by name or address."""
        for authorize, may in (("", True), ("ANN", True), ("ann.smith@example.org", True), ("bob", False)):
            found = Proved(self.done(self.directory.account("ann")), "ann", authorize)
            self.assertEqual(found.may_act, may)


class OfferTests(SaslCase):
    """What is offered, and that it is known."""

    def test_offers(self) -> None:
        """Best first; nothing where no password may come; -PLUS inside TLS only."""
        self.assertEqual(offered(self.logins, False, True), ())
        without_tokens = tuple(one for one in EVERY if one != b"OAUTHBEARER")
        self.assertEqual(offered(self.logins, True, True), without_tokens)
        self.assertEqual(offered(self.logins, True, False), without_tokens[1:])

    def test_offered_mechanisms_are_known_and_no_others(self) -> None:
        """In both circumstances."""
        for secure in (False, True):
            peer = Peer(HERE, "imap", secure, lambda kind: None)
            known = [name for name in (*EVERY, b"CRAM-MD5", b"") if begin(self.logins, name, peer) is not None]
            self.assertEqual(tuple(known), offered(self.logins, True, secure))

    def test_checkers_know_passwords_only(self) -> None:
        """Where they are asked there is no SCRAM, as it would fail for those whom only they know."""
        logins = Logins(
            self.directory, self.counters, self.clock.seconds, [InMemoryUsernamePasswordDatabaseDontUse(ann=b"x")]
        )
        self.assertEqual(offered(logins, True, True), (b"PLAIN", b"LOGIN"))
        self.assertIsNone(begin(logins, scram.NAME, Peer(HERE, "imap", True, lambda kind: None)))


class ProverTests(SaslCase):
    """The client's side."""

    def test_choice(self) -> None:
        """The best there is, or nothing."""
        self.assertEqual(prover("ann", "x", (scram.PLUS, scram.NAME)).mechanism, scram.NAME)
        self.assertIsNone(Prover.choose("ann", "x", None, (b"PLAIN", scram.PLUS)))
        self.assertIsNone(Prover.choose("a\0b", "x", None, (scram.NAME,)))

    def test_server_that_asks_on(self) -> None:
        """Behind its proof there is nothing to ask."""
        client, exchange = prover("ann", "right"), self.begin()
        proof = self.successResultOf(Deferred.fromCoroutine(client.respond(self.challenge(exchange, client.first))))
        signature = self.challenge(exchange, proof)
        self.successResultOf(Deferred.fromCoroutine(client.respond(signature)))
        self.failureResultOf(Deferred.fromCoroutine(client.respond(signature)), SaslError)

    def test_server_that_does_not_know_the_password(self) -> None:
        """Its proof does not fit, whatever it says."""
        client, exchange = prover("ann", "right"), self.begin()
        self.successResultOf(Deferred.fromCoroutine(client.respond(self.challenge(exchange, client.first))))
        self.failureResultOf(Deferred.fromCoroutine(client.respond(b"v=" + b"A" * 43 + b"=")), scram.Untrusted)
        self.assertFalse(client.proved)

    def test_password_is_hashed_by_workers(self) -> None:
        """Where some are handed in."""
        client = Prover("ann", "right", None, False, self.workers)
        asked = Deferred.fromCoroutine(client.respond(self.challenge(self.begin(), client.first)))
        self.assertNoResult(asked)
        self.workers.perform()
        self.successResultOf(asked)
