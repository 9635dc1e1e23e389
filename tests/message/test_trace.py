"""Trace fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.address import parse_mailbox
from launcelot.message.headers import collect
from launcelot.message.trace import LINE, MAX_WORD, count_received, fold, received, return_path
from tests.bounded import linear

WHEN = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)


class ReceivedTests(SynchronousTestCase):
    """``Received`` of RFC 5321 section 4.4."""

    def test_full_form(self) -> None:
        """All clauses in the order of the grammar, folded."""
        self.assertEqual(
            received(
                helo="client.example",
                source="192.0.2.1",
                source_name="host.example",
                by="mx.example.org",
                protocol="ESMTPSA",
                identifier="0abc",
                recipient=parse_mailbox("a@b.c"),
                date=WHEN,
                tls="TLSv1.3 TLS_AES_256",
            ),  # fmt: skip
            b"Received: from client.example (host.example [192.0.2.1]) by mx.example.org\r\n"
            b"\twith ESMTPSA (TLSv1.3 TLS_AES_256) id 0abc for <a@b.c>;\r\n"
            b"\tFri, 20 Nov 2026 10:00:00 +0000\r\n",
        )

    def test_short_form(self) -> None:
        """Without what is not known or must not be told."""
        self.assertEqual(
            received(helo="[::1]", source="::1", by="mx", protocol="SMTP", identifier="1", date=WHEN),
            b"Received: from [::1] ([IPv6:::1]) by mx with SMTP id 1;\r\n\tFri, 20 Nov 2026 10:00:00 +0000\r\n",
        )

    def test_sources(self) -> None:
        """Addresses are literals; anything else is a harmless comment."""
        for source, expected in [
            ("192.0.2.1", b"([192.0.2.1])"),
            ("2001:DB8::1", b"([IPv6:2001:db8::1])"),
            ("fe80::1%eth0", b"([IPv6:fe80::1])"),
            ("/run/lmtp.sock", b"(/run/lmtp.sock)"),
            ("", b"(unknown)"),
            ("x) by evil (", b"(x? by evil ?)"),
        ]:
            found = received(helo="h", source=source, by="b", protocol="SMTP", identifier="1", date=WHEN)
            self.assertIn(b" " + expected + b" ", found.replace(b"\r\n\t", b" "))

    @given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
    def test_no_peer_can_forge_a_field(self, helo: str, source: str, name: str) -> None:
        """Cases S11 and G01: whatever the peer says, there is one ASCII field with one date and one clause of each kind."""
        found = received(
            helo=helo, source=source, source_name=name, by="b", protocol="SMTP", identifier="1", date=WHEN, tls=name
        )
        self.assertEqual(list(collect(found)), [b"received"])
        self.assertTrue(found.isascii())
        self.assertIsNone(re.search(rb"[^ -~\r\n\t]|\r(?!\n)|(?<!\r)\n|\n(?!\t|\Z)", found))
        self.assertEqual((found.count(b"("), found.count(b")"), found.count(b";")), (1 + bool(name), 1 + bool(name), 1))

    def test_long_words_are_cut(self) -> None:
        """No line grows past RFC 5322's 998 octets."""
        found = received(
            helo="h" * 5000, source="s" * 5000, by="b", protocol="SMTP", identifier="1", date=WHEN, tls="t" * 5000
        )
        self.assertLess(max(map(len, found.split(b"\r\n"))), 998)
        self.assertIn(b"from " + b"h" * MAX_WORD + b"\r\n", found)

    def test_international_recipient(self) -> None:
        """RFC 6531: in UTF-8."""
        found = received(
            helo="h",
            source="::1",
            by="b",
            protocol="UTF8SMTP",
            identifier="1",
            date=WHEN,
            recipient=parse_mailbox("ü@b"),
        )
        self.assertIn("for <ü@b>;".encode(), found)


class ReturnPathTests(SynchronousTestCase):
    """``Return-Path``."""

    def test_forms(self) -> None:
        """The null path, a plain and a quoted address."""
        self.assertEqual(return_path(None), b"Return-Path: <>\r\n")
        self.assertEqual(return_path(parse_mailbox("a@b")), b"Return-Path: <a@b>\r\n")
        self.assertEqual(return_path(parse_mailbox('"a b"@c')), b'Return-Path: <"a b"@c>\r\n')


class FoldTests(SynchronousTestCase):
    """Folding."""

    @given(st.lists(st.text(alphabet="ab", min_size=1, max_size=40), max_size=20))
    def test_lines_stay_short_and_nothing_is_lost(self, pieces: list[str]) -> None:
        """Lines within the limit, and unfolding gives the pieces back."""
        found = fold("X:", pieces)
        self.assertLessEqual(max(map(len, found.split(b"\r\n"))), LINE)
        self.assertEqual(found.decode().replace("\r\n\t", " "), " ".join(["X:", *pieces]) + "\r\n")

    def test_line_breaks_are_refused(self) -> None:
        """CR or LF in a piece or the name is a bug of the caller."""
        for name, piece in (("X:", "a\r"), ("X:", "a\nb"), ("X\r\nY:", "a")):
            with self.assertRaises(ValueError):
                fold(name, [piece])


class CountTests(SynchronousTestCase):
    """Loop detection."""

    def test_count(self) -> None:
        """Fields of the header only, in any case, not their folded lines."""
        data = b"Received: a\r\n received: no\r\nRECEIVED : b\r\nX-Received: no\r\nreceived:\r\n\r\nReceived: no\r\n"
        self.assertEqual(count_received(data), 3)
        self.assertEqual(count_received(b""), 0)
        self.assertEqual(count_received(b"received: x"), 1)

    def test_case_s15(self) -> None:
        """101 hops are 101."""
        self.assertEqual(count_received(b"Received: x\r\n" * 101 + b"\r\n"), 101)

    def test_bounded(self) -> None:
        """A header of 10 MB is looked at once."""
        for data in (b"Received: x\r\n" * 700_000, b"x" * 10_000_000, b"\n" * 10_000_000, b"received\r\n" * 900_000):
            with linear(data[:20]):
                count_received(data)
