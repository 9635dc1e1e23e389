"""From a domain to hosts: MX, null MX, fallbacks, loops, and whom the DNS may not lead to."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.stores import run_now
from launcelot.hosting.proxy import networks
from launcelot.relay.hosts import Finder, Unroutable
from launcelot.relay.resolver import NoAnswer, NoSuchName, ScriptedResolver
from launcelot.relay.routes import server_of

ONE, TWO, SIX = "198.51.100.1", "198.51.100.2", "2606:4700::1"
REAL_ONE, REAL_TWO = "8.8.4.1", "8.8.4.2"


class FinderTests(SynchronousTestCase):
    """RFC 5321 section 5.1."""

    def find(
        self, domain: str, mx: dict[str, Any], hosts: dict[str, Any], private: Sequence[str] = (), seed: int = 1
    ) -> list[str]:
        """Where mail goes."""
        finder = Finder(
            ScriptedResolver(mx, hosts), "Us.example", networks(private), 25, Random(seed).getrandbits
        )
        return [f"{one.host} {one.address}" for one in run_now(finder.find(domain))]

    def fails(self, status: str, *given: Any, **more: Any) -> None:
        """It goes nowhere, with a status."""
        error = self.assertRaises(Unroutable, self.find, *given, **more)
        self.assertEqual((error.status, error.temporary), (status, status[0] == "4"))

    def test_best_preference_first(self) -> None:
        """And all addresses of each."""
        mx = {"d.example": [(20, "b.example"), (10, "a.example")]}
        hosts = {"a.example": [SIX, REAL_ONE], "b.example": REAL_TWO}
        self.assertEqual(
            self.find("d.example", mx, hosts), [f"a.example {SIX}", f"a.example {REAL_ONE}", f"b.example {REAL_TWO}"]
        )

    def test_chance_among_equals(self) -> None:
        """Each comes first now and then."""
        mx = {"d.example": [(10, "a.example"), (10, "b.example")]}
        hosts = {"a.example": REAL_ONE, "b.example": REAL_TWO}
        firsts = {self.find("d.example", mx, hosts, seed=seed)[0] for seed in range(20)}
        self.assertEqual(len(firsts), 2)

    def test_domain_without_exchangers(self) -> None:
        """Its own address is its mail host."""
        self.assertEqual(self.find("d.example", {}, {"d.example": REAL_ONE}), [f"d.example {REAL_ONE}"])

    def test_null_mx(self) -> None:
        """RFC 7505: it takes no mail, for good."""
        self.fails("5.1.10", "d.example", {"d.example": [(0, "")]}, {"d.example": REAL_ONE})

    def test_names_that_do_not_exist(self) -> None:
        """The domain: for good.  One of two hosts: the other is used.  All of them: for good."""
        self.fails("5.1.2", "d.example", {}, {})
        two = {"d.example": [(10, "gone.example"), (20, "b.example")]}
        self.assertEqual(self.find("d.example", two, {"b.example": REAL_TWO}), [f"b.example {REAL_TWO}"])
        self.fails("5.4.4", "d.example", {"d.example": "gone.example"}, {})
        self.fails("5.4.4", "d.example", {"d.example": "a.example"}, {"a.example": []})

    def test_dns_that_does_not_answer(self) -> None:
        """C13: for now, even if other hosts do not exist."""
        self.fails("4.4.3", "d.example", {"d.example": NoAnswer("SERVFAIL")}, {})
        mx = {"d.example": [(10, "gone.example"), (20, "a.example")]}
        self.fails("4.4.3", "d.example", mx, {"a.example": NoAnswer("SERVFAIL"), "gone.example": NoSuchName()})

    def test_we_are_among_them(self) -> None:
        """Only better ones are used; if we are the best it goes in circles."""
        mx = {"d.example": [(10, "a.example"), (20, "us.example"), (20, "c.example"), (30, "b.example")]}
        hosts = {"a.example": REAL_ONE, "b.example": REAL_TWO, "c.example": REAL_TWO, "us.example": REAL_TWO}
        self.assertEqual(self.find("d.example", mx, hosts), [f"a.example {REAL_ONE}"])
        self.fails("5.4.6", "d.example", {"d.example": [(10, "us.example"), (10, "a.example")]}, hosts)

    def test_addresses_that_are_not_public(self) -> None:
        """Whoever writes the DNS does not reach what is behind our walls, in whatever spelling."""
        for address in (
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            ONE,
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ):
            self.fails("5.4.4", "d.example", {"d.example": "a.example"}, {"a.example": address})
        mx = {"d.example": [(10, "a.example"), (20, "b.example")]}
        self.assertEqual(
            self.find("d.example", mx, {"a.example": "127.0.0.1", "b.example": REAL_ONE}), [f"b.example {REAL_ONE}"]
        )

    def test_private_networks_that_are_named(self) -> None:
        """The configuration may open them."""
        hosts = {"a.example": ["10.1.2.3", "127.0.0.1"]}
        self.assertEqual(self.find("d.example", {"d.example": "a.example"}, hosts, ["10.0.0.0/8"]), ["a.example 10.1.2.3"])

    def test_address_literals(self) -> None:
        """They go there, if it is public."""
        self.assertEqual(self.find(f"[{REAL_ONE}]", {}, {}), [f"{REAL_ONE} {REAL_ONE}"])
        self.assertEqual(self.find("[ipv6:2606:4700::1]", {}, {}), [f"{SIX} {SIX}"])
        self.fails("5.4.4", "[127.0.0.1]", {}, {})

    def test_exchangers_that_are_addresses(self) -> None:
        """No names of hosts."""
        self.fails("5.4.4", "d.example", {"d.example": "127.0.0.1"}, {})

    def test_names_that_the_dns_cannot_have(self) -> None:
        """A domain IDNA does not know, an exchanger with octets above 127: no question is asked that cannot be."""
        self.fails("5.1.2", "\u2603\u2603.\u2603", {}, {})
        self.fails("5.4.4", "d.example", {"d.example": "b\ufffdd.example"}, {})

    def test_no_more_than_ten(self) -> None:
        """However many the DNS names."""
        hosts = {"a.example": [f"8.8.4.{n}" for n in range(50)]}
        self.assertEqual(len(self.find("d.example", {"d.example": "a.example"}, hosts)), 10)


class ServerTests(SynchronousTestCase):
    """Texts of DNS servers."""

    def test_servers(self) -> None:
        """With and without port, IPv4 and IPv6."""
        self.assertEqual(server_of("192.0.2.1"), ("192.0.2.1", 53))
        self.assertEqual(server_of("192.0.2.1:5353"), ("192.0.2.1", 5353))
        self.assertEqual(server_of("[::1]:5353"), ("::1", 5353))
        self.assertEqual(server_of("::1"), ("::1", 53))
        for text in ("", "dns.example", "192.0.2.1:0", "192.0.2.1:99999", "[::1]:x"):
            self.assertRaises(ValueError, server_of, text)
