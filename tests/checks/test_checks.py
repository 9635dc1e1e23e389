"""Checks by themselves: order, time, reverse names, lists, greylisting, rates, headers, and what is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.dnsbl import Lists, parse_zone
from launcelot.checks.interface import ACCEPT, Action, Case, Check, Result, Verdict
from launcelot.checks.iprev import ReverseName
from launcelot.checks.names import NoAnswer, ScriptedNames
from launcelot.checks.remembering import KNOWN_FOR, MIGRATIONS, WAITS_FOR, Greylisting, Rates
from launcelot.checks.results import goes_into_junk, without_forged, written
from launcelot.checks.running import Checks
from launcelot.checks.sanity import fault
from launcelot.core.counters import Counters
from launcelot.message.address import Address
from launcelot.workers.databases import Databases
from launcelot.workers.memory import InlineWorkers

EVE = Address("eve", "example.org")
ANN = Address("ann", "test")


def case(source: str = "192.0.2.3", now: float = 0.0, sender: Address | None = EVE) -> Case:
    """A mail from eve."""
    return Case(source, "mx.example.org", sender, "here.test", now)


class Fixed(Check):
    """Says what it was told to say."""

    def __init__(self, name: str, verdict: Any) -> None:
        self.name = name
        self.verdict = verdict
        self.asked = 0

    async def sender(self, case: Case) -> Verdict:
        """Its verdict, or what it is waiting for."""
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        found: Verdict = await self.verdict if isinstance(self.verdict, Deferred) else self.verdict
        return found


class RunningTests(SynchronousTestCase):
    """Order, time, and bugs."""

    def run_all(self, *checks: Check) -> tuple[Case, Deferred[Verdict]]:
        """Ask them at MAIL."""
        self.clock, self.counters, one = Clock(), Counters(), case()
        return one, Deferred.fromCoroutine(Checks(checks, self.clock, self.counters).sender(one))

    def test_the_first_refusal_decides(self) -> None:
        """Those behind it are not asked; a quarantine before it is only noted."""
        last = Fixed("c", ACCEPT)
        found, verdict = self.run_all(
            Fixed("q", Verdict(Action.QUARANTINE, "smells")), Fixed("b", Verdict(Action.DEFER, "later")), last
        )
        self.assertEqual(self.successResultOf(verdict).text, "later")
        self.assertEqual((found.quarantined, last.asked), ("q: smells", 0))
        self.assertEqual(dict(self.counters.snapshot()), {"checks.q.quarantine": 1, "checks.b.defer": 1})

    def test_a_broken_check_stops_no_mail(self) -> None:
        """It is logged and counted, and the next one is asked."""
        _, verdict = self.run_all(Fixed("a", ZeroDivisionError()), Fixed("b", Verdict(Action.REJECT, "no")))
        self.assertEqual(self.successResultOf(verdict).action, Action.REJECT)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_slow_check_is_passed_over(self) -> None:
        """After its time."""
        _, verdict = self.run_all(Fixed("a", Deferred()), Fixed("b", Verdict(Action.REJECT, "no")))
        self.clock.advance(Check.time - 1)
        self.assertNoResult(verdict)
        self.clock.advance(2)
        self.assertEqual(self.successResultOf(verdict).action, Action.REJECT)

    def test_whose_mail_is_checked(self) -> None:
        """Not that of trusted networks, nor of Unix sockets."""
        checks = Checks((), Clock(), Counters(), ("127.0.0.0/8", "2001:db8::/32"))
        found = [checks.concern(one) for one in ("192.0.2.1", "127.0.0.1", "::ffff:127.0.0.1", "2001:db8::1", "::1", "unix")]
        self.assertEqual(found, [True, False, False, False, True, False])


class NameTests(SynchronousTestCase):
    """Checks that ask the DNS."""

    def verdict(self, check: Check, one: Case) -> Verdict:
        """At MAIL."""
        return self.successResultOf(Deferred.fromCoroutine(check.sender(one)))

    def test_reverse_names(self) -> None:
        """Pass and the name, fail, and errors of the DNS; refused only where that is wanted."""
        leads_back = {"PTR 3.2.0.192.in-addr.arpa": ["lie.example", "mx.example"], "A mx.example": ["192.0.2.3"]}
        lies = {"PTR 3.2.0.192.in-addr.arpa": ["mx.example"], "A mx.example": ["192.0.2.4"]}
        fails = {"PTR 3.2.0.192.in-addr.arpa": NoAnswer("x")}
        for records, value, name, action in (
            (leads_back, "pass", "mx.example", Action.ACCEPT),
            (lies, "fail", "", Action.REJECT),
            ({}, "fail", "", Action.REJECT),
            (fails, "temperror", "", Action.DEFER),
        ):
            for refuse in (False, True):
                one = case()
                found = self.verdict(ReverseName(ScriptedNames(records), refuse), one)
                self.assertEqual((one.result("iprev"), one.source_name), (value, name))
                self.assertEqual(found.action, action if refuse else Action.ACCEPT)

    def test_lists(self) -> None:
        """Listed, not listed, broken lists; IPv6; the first that knows it decides."""
        names = ScriptedNames(
            {
                "A 3.2.0.192.bad.example": "127.0.0.2",
                "A 3.2.0.192.dead.example": NoAnswer("x"),
                "A 3.2.0.192.parked.example": "198.51.100.1",
                "A 3.2.0.192.full.example": "127.255.255.254",
                "A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bad.example": "127.0.0.3",
            }
        )
        zones = ["dead.example", "parked.example", "full.example", "bad.example quarantine", "bad.example"]
        check = Lists(names, [parse_zone(one) for one in zones])
        listed = Verdict(Action.QUARANTINE, "Your address is listed by bad.example", "5.7.1")
        self.assertEqual(self.verdict(check, case()), listed)
        self.assertEqual(self.verdict(check, case("2001:db8::1")).action, Action.QUARANTINE)
        self.assertEqual(self.verdict(check, case("192.0.2.4")), ACCEPT)
        self.assertEqual(len(names.asked), 4 + 4 + 5)
        for text in ("", "x", "a.example maybe", "a..b reject", "a b c"):
            self.assertRaises(ValueError, parse_zone, text)


class RememberingTests(SynchronousTestCase):
    """Greylisting and rates, in a real file."""

    def setUp(self) -> None:
        databases = Databases(Path(self.mktemp()), InlineWorkers(), InlineWorkers())
        self.database = databases.get("checks", MIGRATIONS)
        self.successResultOf(Deferred.fromCoroutine(databases.open()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(databases.close())))

    def grey(self, now: float, source: str = "192.0.2.3", sender: Address | None = EVE, to: Address = ANN) -> bool:
        """Whether it is taken; by an object of its own, as in another process."""
        check = Greylisting(self.database, 300)
        verdict = self.successResultOf(Deferred.fromCoroutine(check.recipient(case(source, now, sender), to)))
        return verdict.action is Action.ACCEPT

    def test_greylisting(self) -> None:
        """Too early, then taken; the network is known from then on, others are not."""
        self.assertEqual([self.grey(at) for at in (0, 1, 299, 300, 301)], [False, False, False, True, True])
        self.assertTrue(self.grey(400, "192.0.2.77", None))
        self.assertFalse(self.grey(400, "192.0.3.3"))
        self.assertFalse(self.grey(400, "2001:db8::1"))
        self.assertTrue(self.grey(800, "2001:db8::2"))

    def test_another_mail_is_not_the_same_again(self) -> None:
        """Sender and recipient count, in any case of letters."""
        self.assertFalse(self.grey(0))
        self.assertFalse(self.grey(400, to=Address("bob", "test")))
        self.assertFalse(self.grey(400, sender=Address("adam", "example.org")))
        self.assertTrue(self.grey(400, to=Address("ann", "TEST")))

    def test_what_is_not_used_is_forgotten(self) -> None:
        """Who comes again after two days is new; a known network stays as long as it sends."""
        self.assertFalse(self.grey(0))
        self.assertFalse(self.grey(WAITS_FOR + 1))
        self.assertTrue(self.grey(WAITS_FOR + 400))
        at = WAITS_FOR + 400.0
        for _ in range(3):
            at += KNOWN_FOR - 10
            self.assertTrue(self.grey(at))
        self.assertFalse(self.grey(at + KNOWN_FOR + 10))

    def test_rates(self) -> None:
        """So many an hour from each address or /64; others are not held up."""

        def arrives(now: float, source: str = "192.0.2.3") -> bool:
            check = Rates(self.database, 3)
            return self.successResultOf(Deferred.fromCoroutine(check.sender(case(source, now)))).action is Action.ACCEPT

        self.assertEqual([arrives(at) for at in (0, 10, 600, 601)], [True, True, True, False])
        self.assertTrue(arrives(601, "192.0.2.4"))
        self.assertEqual([arrives(700, f"2001:db8::{one}") for one in range(1, 5)], [True, True, True, False])
        self.assertEqual([arrives(3_700 + at) for at in (0, 1, 2)], [True, True, False])


class HeaderTests(SynchronousTestCase):
    """What a header must have, and what is written on top of it."""

    def test_faults(self) -> None:
        """No From, two, an unreadable one, and twins."""
        for head, wrong in (
            (b"From: a@b.example\r\nSubject: x\r\n\r\n", ""),
            (b"From: A <a@b.example>, c@d.example\r\nReceived: x\r\nReceived: y\r\n\r\n", ""),
            (b"Subject: x\r\n\r\n", "There is no From field"),
            (b"From: a@b.example\r\nfrom: c@d.example\r\n\r\n", "More than one From field"),
            (b"From: nobody\r\n\r\n", "The From field names nobody"),
            (b"From: \r\n\r\n", "The From field names nobody"),
            (b"From: undisclosed:;\r\n\r\n", "The From field names nobody"),
            (b"From: a@b.example\r\nMessage-ID: <a>\r\nMessage-Id: <b>\r\n\r\n", "More than one Message-id field"),
        ):
            self.assertEqual(fault(head), wrong, head)

    def test_results_are_written(self) -> None:
        """As RFC 8601 wants them; what a peer said ends nothing."""
        one = case()
        self.assertEqual(written(one), b"Authentication-Results: here.test; none\r\n")
        one.results += [
            Result("spf", "pass", (("smtp.mailfrom", "eve@example.org"),)),
            Result("iprev", "fail", (("policy.iprev", "1.2.3.4\r\nX: y; z"),), 'so "so"'),
        ]
        one.quarantined = "dnsbl: listed\r\nX: y"
        text = written(one)
        self.assertEqual(text.count(b"\r\n"), text.count(b"\r\n\t") + 2)
        unfolded = text.replace(b"\r\n\t", b" ")
        self.assertIn(b"here.test; spf=pass smtp.mailfrom=eve@example.org; iprev=fail reason=", unfolded)
        self.assertIn(b"policy.iprev=1.2.3.4??X:?y??z\r\n", unfolded)
        self.assertTrue(goes_into_junk(text + b"Received: x\r\n"))

    def test_forged_fields_go(self) -> None:
        """Those that claim to be ours, however they are spelled; all others stay, octet by octet."""
        kept = b"Subject: x\r\nAuthentication-Results: other.example;\r\n spf=pass\r\nTo: b\r\n"
        forged = (
            b"authentication-RESULTS : HERE.test; spf=pass\r\n",
            b"Authentication-Results:\r\n (c) here.test 1;\r\n dkim=pass\r\n",
            b"X-Launcelot-Junk: yes\r\n",
        )
        for one in forged:
            self.assertEqual(without_forged(one + kept + one + b"\r\n", "here.test"), kept + b"\r\n")

    def test_junk_is_believed_on_top_only(self) -> None:
        """A stranger's field below Received is nothing."""
        self.assertFalse(goes_into_junk(b"Received: x\r\nX-Launcelot-Junk: y\r\n\r\n"))
        self.assertFalse(goes_into_junk(b"Authentication-Results: h; none\r\nReceived: x\r\nX-Launcelot-Junk: y\r\n\r\n"))
        self.assertFalse(goes_into_junk(b""))
