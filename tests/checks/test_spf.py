"""SPF: the results of RFC 7208, and records that were written to hurt."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.names import NoAnswer, ScriptedNames
from launcelot.checks.spf import check_host

HOST = "192.0.2.3"
SIX = "2001:db8::cb01"


class SpfCase(SynchronousTestCase):
    """A small zone."""

    def ask(self, records: dict[str, Any], source: str = HOST, sender: str = "strong-bad@email.example.com") -> str:
        """The result of check_host."""
        self.names = ScriptedNames(records)
        domain = sender.rpartition("@")[2]
        return self.successResultOf(
            Deferred.fromCoroutine(check_host(self.names, source, domain, sender, "mx.example.org"))
        )

    def says(self, record: str, source: str = HOST) -> str:
        """The result of one record."""
        return self.ask({"TXT e.example": record}, source, "a@e.example")


class ResultTests(SpfCase):
    """Section 2.6."""

    def test_no_record(self) -> None:
        """None: no name, no record, other texts, no domain at all."""
        self.assertEqual(self.ask({}), "none")
        self.assertEqual(self.says("v=spf10 -all"), "none")
        self.assertEqual(self.says("hello"), "none")
        self.assertEqual(self.ask({}, sender="x@localhost"), "none")
        self.assertEqual(self.ask({}, sender="x@a..b"), "none")

    def test_qualifiers(self) -> None:
        """Each has its result; without a match neutral."""
        for record, result in (
            ("+all", "pass"),
            ("-all", "fail"),
            ("~all", "softfail"),
            ("?all", "neutral"),
            ("", "neutral"),
        ):
            self.assertEqual(self.says(f"v=spf1 {record}".strip()), result, record)
        self.assertEqual(self.says("V=SPF1 -ALL"), "fail")

    def test_two_records(self) -> None:
        """permerror; section 4.5."""
        self.assertEqual(
            self.ask({"TXT e.example": ["v=spf1 +all", "v=spf1 -all", "x"]}, sender="a@e.example"), "permerror"
        )

    def test_the_dns_fails(self) -> None:
        """temperror, for the record and for what it needs."""
        self.assertEqual(self.ask({"TXT e.example": NoAnswer("x")}, sender="a@e.example"), "temperror")
        self.assertEqual(
            self.ask({"TXT e.example": "v=spf1 a -all", "A e.example": NoAnswer("x")}, sender="a@e.example"),
            "temperror",
        )


class MechanismTests(SpfCase):
    """Section 5."""

    def one(self, mechanism: str, source: str = HOST, records: dict[str, Any] | None = None) -> str:
        """pass if it matches, fail if not."""
        found = {"TXT e.example": f"v=spf1 {mechanism} -all", "A e.example": ["192.0.2.3", SIX], **(records or {})}
        return self.ask(found, source, "a@e.example")

    def test_addresses(self) -> None:
        """ip4 and ip6, with and without lengths; an IPv4 address wrapped in IPv6 is one."""
        for mechanism, source, result in (
            ("ip4:192.0.2.3", HOST, "pass"),
            ("ip4:192.0.2.0/24", HOST, "pass"),
            ("ip4:192.0.2.4", HOST, "fail"),
            ("ip4:192.0.2.0/24", "::ffff:192.0.2.3", "pass"),
            ("ip6:2001:db8::/32", SIX, "pass"),
            ("ip6:2001:db8::/32", HOST, "fail"),
            ("ip4:0.0.0.0/0", SIX, "fail"),
        ):
            self.assertEqual(self.one(mechanism, source), result, mechanism)

    def test_hosts(self) -> None:
        """a and mx, of other domains and with lengths of both kinds."""
        zone: dict[str, Any] = {
            "MX m.example": ["h1.example", "h2.example"],
            "A h1.example": "198.51.100.1",
            "A h2.example": "192.0.2.7",
            "A o.example": HOST,
        }
        for mechanism, source, result in (
            ("a", HOST, "pass"),
            ("a", SIX, "pass"),
            ("a:o.example", HOST, "pass"),
            ("a/24", "192.0.2.99", "pass"),
            ("a//64", "2001:db8::1", "pass"),
            ("a/24//128", "2001:db8::1", "fail"),
            ("mx:m.example", HOST, "fail"),
            ("mx:m.example/24", HOST, "pass"),
            ("mx:m.example", "192.0.2.7", "pass"),
            ("mx", HOST, "fail"),
        ):
            self.assertEqual(self.one(mechanism, source, records=zone), result, mechanism)

    def test_include_and_redirect(self) -> None:
        """include matches on pass only; redirect takes the other's result; neither may point to nothing."""
        for record, other, result in (
            ("include:o.example -all", "v=spf1 ip4:192.0.2.3 -all", "pass"),
            ("include:o.example ~all", "v=spf1 -all", "softfail"),
            ("include:o.example +all", "hello", "permerror"),
            ("redirect=o.example", "v=spf1 ?all", "neutral"),
            ("redirect=o.example", "hello", "permerror"),
            ("-all redirect=o.example", "v=spf1 +all", "fail"),
            ("include:o.example +all", "v=spf1 bogus", "permerror"),
        ):
            found = self.ask({"TXT e.example": f"v=spf1 {record}", "TXT o.example": other}, sender="a@e.example")
            self.assertEqual(found, result, record)

    def test_exists_and_ptr(self) -> None:
        """A name made of macros exists; a host name below the domain leads back."""
        zone: dict[str, Any] = {
            "A 3.2.0.192.list.example": "127.0.0.2",
            "PTR 3.2.0.192.in-addr.arpa": ["x.other.example", "mx.e.example"],
            "A mx.e.example": HOST,
        }
        self.assertEqual(self.one("exists:%{ir}.list.example", records=zone), "pass")
        self.assertEqual(self.one("exists:%{i}.list.example", records=zone), "fail")
        self.assertEqual(self.one("ptr", records=zone), "pass")
        self.assertEqual(self.one("ptr:other.example", records=zone), "fail")

    def test_malformed(self) -> None:
        """permerror, even behind something that matches; section 4.6."""
        for term in (
            "foo",
            "all:x.example",
            "include",
            "include:",
            "ip4",
            "ip4:1.2.3",
            "ip4:1.2.3.4/33",
            "ip6:1.2.3.4",
            "ip4:1.2.3.4/+8",
            "a/33",
            "a//129",
            "a:",
            "include:x.example/24",
            "redirect=",
            "redirect=a.example redirect=b.example",
            "-",
            "ip4:1.2.3.4/255.255.255.0",
        ):
            self.assertEqual(self.says(f"v=spf1 +all {term}"), "permerror", term)

    def test_unknown_modifiers_and_case(self) -> None:
        """Unknown modifiers are passed over; words are in any case."""
        self.assertEqual(self.says("v=spf1 moo=%{x} IP4:192.0.2.3 -ALL"), "pass")


class MacroTests(SpfCase):
    """The table of section 7.4."""

    def expanded(self, text: str, source: str = HOST) -> str:
        """What is asked for."""
        self.ask({"TXT email.example.com": f"v=spf1 exists:{text} -all"}, source)
        return self.names.asked[-1].partition(" ")[2]

    def test_the_examples(self) -> None:
        """As printed there."""
        for text, name in (
            ("%{d}.x.y", "email.example.com.x.y"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("a.%{d1}", "a.com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}.x.y", "strong-bad.x.y"),
            ("%{l-}.x.y", "strong.bad.x.y"),
            ("%{lr}.x.y", "strong-bad.x.y"),
            ("%{lr-}.x.y", "bad.strong.x.y"),
            ("%{l1r-}.x.y", "strong.x.y"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{h}", "mx.example.org"),
            ("%{o}", "email.example.com"),
        ):
            self.assertEqual(self.expanded(text), name, text)
        six = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        self.assertEqual(self.expanded("%{ir}.%{v}._spf.%{d2}", SIX), six)

    def test_malformed(self) -> None:
        """permerror."""
        for text in ("%{x}.y", "%", "%{d", "%{d0}.x", "%{c}.x", "%q.x", "%{d%{d}}"):
            self.assertEqual(self.says(f"v=spf1 exists:{text} -all"), "permerror", text)


class BombTests(SpfCase):
    """S23: records that would have us ask for ever."""

    def test_loops(self) -> None:
        """include and redirect of oneself, and of each other."""
        self.assertEqual(self.says("v=spf1 include:e.example -all"), "permerror")
        self.assertEqual(self.says("v=spf1 redirect=e.example"), "permerror")
        self.assertLess(len(self.names.asked), 15)
        circle = {"TXT e.example": "v=spf1 include:f.example", "TXT f.example": "v=spf1 include:e.example"}
        self.assertEqual(self.ask(circle, sender="a@e.example"), "permerror")

    def test_too_many_lookups(self) -> None:
        """Ten are asked, an eleventh is an error; a tree of includes counts as a whole."""
        hosts = {f"A h{number}.example": "198.51.100.1" for number in range(12)}
        for count, result in ((10, "fail"), (11, "permerror")):
            record = "v=spf1 " + " ".join(f"a:h{number}.example" for number in range(count)) + " -all"
            self.assertEqual(self.ask({"TXT e.example": record, **hosts}, sender="a@e.example"), result)
        tree = {
            f"TXT t{number}.example": " ".join(
                ["v=spf1", *(f"include:t{number * 10 + one}.example" for one in range(10))]
            )
            for number in range(200)
        }
        self.assertEqual(self.ask(tree, sender="a@t1.example"), "permerror")
        self.assertLess(len(self.names.asked), 15)

    def test_empty_answers_and_long_lists(self) -> None:
        """A third empty answer, an eleventh exchanger, a record of five thousand octets or with octets above 127."""
        self.assertEqual(self.says("v=spf1 a:x1.example a:x2.example -all"), "fail")
        self.assertEqual(self.says("v=spf1 a:x1.example a:x2.example exists:x3.example -all"), "permerror")
        many = {"TXT e.example": "v=spf1 mx -all", "MX e.example": [f"h{number}.example" for number in range(11)]}
        self.assertEqual(self.ask(many, sender="a@e.example"), "permerror")
        self.assertEqual(self.says("v=spf1 " + "ip4:192.0.2.1 " * 500 + "-all"), "permerror")
        self.assertEqual(self.says("v=spf1 \u00fc -all"), "permerror")
