"""The resolver against unbound: what is signed, what is not, what was forged, and what is too long for a datagram."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.trial.unittest import TestCase

from launcelot.relay.resolver import NamesResolver, NoAnswer, NoSuchName
from tests.relay.zones import SignedZones

reactor: Any = the_reactor

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
