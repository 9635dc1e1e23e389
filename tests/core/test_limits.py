"""Limits on connections and failures."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core import limits
from launcelot.core.limits import ConnectionCount, FailureWindow, source_of


class SourceTests(SynchronousTestCase):
    """Who counts as one."""

    def test_ipv4_address_is_itself(self) -> None:
        """Also when it comes mapped into IPv6."""
        for host in ("192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201"):
            self.assertEqual(source_of(host), "192.0.2.1")

    def test_ipv6_network_is_one_source(self) -> None:
        """The /64, in any spelling and with any zone; the next is another."""
        for host in ("2001:db8::1", "2001:DB8:0:0:ffff::", "2001:db8::1%eth0"):
            self.assertEqual(source_of(host), "2001:db8::/64")
        self.assertNotEqual(source_of("2001:db8:0:1::1"), source_of("2001:db8::1"))

    def test_name_is_itself(self) -> None:
        """Unix sockets and what cannot be read."""
        for host in ("", "unix", "/run/socket", "300.1.1.1", "192.0.2.1 "):
            self.assertEqual(source_of(host), host)


class ConnectionTests(SynchronousTestCase):
    """How many connections there are."""

    def test_each_source_has_its_limit(self) -> None:
        """Past it others are still admitted."""
        count = ConnectionCount(total=10, per_source=2)
        self.assertEqual([count.admit("a") for _ in range(3)], [True, True, False])
        self.assertTrue(count.admit("b"))
        self.assertEqual(count.open, 3)

    def test_all_together_have_a_limit(self) -> None:
        """Whoever comes past it is refused and not counted."""
        count = ConnectionCount(total=2, per_source=2)
        self.assertEqual([count.admit(source) for source in "abc"], [True, True, False])
        count.release("a")
        self.assertTrue(count.admit("c"))

    def test_release_makes_room(self) -> None:
        """For the same source; nothing is kept of a source without connections."""
        count = ConnectionCount(total=10, per_source=1)
        for number in range(1_000):
            self.assertTrue(count.admit(f"s{number}"))
            self.assertFalse(count.admit(f"s{number}"))
            count.release(f"s{number}")
        self.assertEqual((count.open, count._by_source), (0, {}))

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
    def test_counts_are_those_of_a_plain_list(self, events: list[tuple[bool, str]]) -> None:
        """Whatever comes and goes."""
        count = ConnectionCount(total=5, per_source=3)
        present: list[str] = []
        for comes, source in events:
            if comes:
                fits = len(present) < 5 and present.count(source) < 3
                self.assertEqual(count.admit(source), fits)
                present += [source] * fits
            elif source in present:
                count.release(source)
                present.remove(source)
            self.assertEqual((count.open, count._by_source), (len(present), dict(Counter(present))))


class FailureTests(SynchronousTestCase):
    """How often something failed lately."""

    def test_limit_blocks(self) -> None:
        """At the limit, not before; other keys are free."""
        window = FailureWindow(limit=3, window=60)
        for number in range(3):
            self.assertFalse(window.blocked("a", 0))
            self.assertEqual(window.count("a", 0), number)
            window.fail("a", 0)
        self.assertTrue(window.blocked("a", 0))
        self.assertFalse(window.blocked("b", 0))

    def test_failures_pass(self) -> None:
        """Each when the window has passed it, to the second."""
        window = FailureWindow(limit=2, window=60)
        window.fail("a", 0)
        window.fail("a", 30)
        self.assertTrue(window.blocked("a", 59.9))
        self.assertFalse(window.blocked("a", 60))
        self.assertEqual(window.count("a", 60), 1)
        window.fail("a", 60)
        self.assertTrue(window.blocked("a", 89.9))
        self.assertFalse(window.blocked("a", 90))
        self.assertEqual(window.count("a", 500), 0)
        self.assertEqual(len(window._failures), 0)

    def test_success_forgets(self) -> None:
        """Also for a key that never failed."""
        window = FailureWindow(limit=1, window=60)
        window.fail("a", 0)
        window.forget("a")
        window.forget("b")
        self.assertFalse(window.blocked("a", 0))

    def test_memory_is_bounded(self) -> None:
        """Many failures of one key and of many keys; the key longest untouched is forgotten first."""
        window = FailureWindow(limit=5, window=60, keys=100)
        for number in range(1_000):
            window.fail("steady", number / 1_000)
            window.fail(number, number / 1_000)
        self.assertEqual(len(window._failures), 100)
        self.assertTrue(all(len(times) <= 5 for times in window._failures.values()))
        self.assertTrue(window.blocked("steady", 1))
        self.assertEqual([window.count(number, 1) for number in (0, 900, 901, 999)], [0, 0, 1, 1])

    def test_latest_failures_are_the_ones_that_count(self) -> None:
        """Past the limit old ones make room for new ones, so going on failing prolongs the block."""
        window = FailureWindow(limit=2, window=60)
        for now in (0, 10, 20):
            window.fail("a", now)
        self.assertTrue(window.blocked("a", 69))
        self.assertFalse(window.blocked("a", 70))


class LoopbackTests(SynchronousTestCase):
    """Who may send a password in clear where only this machine may."""

    def test_addresses_of_this_machine(self) -> None:
        """IPv4, IPv6, IPv4 wrapped in IPv6, zones and Unix sockets."""
        for host in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "::1%lo", "unix"):
            self.assertTrue(limits.is_loopback(host), host)

    def test_all_others(self) -> None:
        """Other addresses and names, whatever they look like."""
        for host in ("128.0.0.1", "::2", "::ffff:10.0.0.1", "localhost", "", "0.0.0.0", "127.0.0.1.example"):
            self.assertFalse(limits.is_loopback(host), host)
