"""Senders that are rewritten, and back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.address import Address, parse_mailbox
from launcelot.message.srs import DAYS, LIFETIME, NotOurs, fits, is_rewritten, original, rewritten, shortened

KEY, OTHER = b"k" * 32, b"o" * 32
OURS = "here.example"
EVE = Address("eve", "far.example")


class SrsTests(SynchronousTestCase):
    """SRS0 and SRS1."""

    def refused(self, text: str, address: Address, day: int = 100, key: bytes = KEY) -> None:
        """It leads nowhere, for a reason."""
        self.assertIn(text, str(self.assertRaises(NotOurs, original, address, [key], day)))

    def test_there_and_back(self) -> None:
        """Whatever the address is, also as it is written and read."""
        for sender in (
            EVE, Address("a=b=c", "far.example"), Address("+-=", "d"), Address("quo ted@", "far.example"),
            Address("é", "bücher.example"), Address("SRS", "far.example"),
            Address("x", "[192.0.2.1]"), Address("SRS2=a=b", "far.example"),
        ):  # fmt: skip
            found = rewritten(sender, OURS, KEY, 100)
            self.assertEqual(found.domain, OURS)
            self.assertTrue(is_rewritten(found) and fits(found))
            self.assertEqual(original(parse_mailbox(str(found)), [OTHER, KEY], 100), sender)

    def test_form(self) -> None:
        """As other programs write it."""
        self.assertRegex(str(rewritten(EVE, OURS, KEY, 33)), r"\ASRS0=[A-Z2-7]{6}=BB=far\.example=eve@here\.example\Z")

    def test_case_may_change_on_the_way(self) -> None:
        """What comes back is then as it was changed."""
        found = rewritten(Address("Eve", "far.example"), OURS, KEY, 100)
        self.assertEqual(original(Address(found.local.lower(), OURS), [KEY], 100), EVE)

    def test_what_somebody_else_has_rewritten(self) -> None:
        """Goes back to whom it is from, through any number of hosts, and never grows."""
        theirs = Address("SRS0=AAAA=BB=far.example=eve", "first.example")
        ours = rewritten(theirs, OURS, KEY, 100)
        self.assertRegex(str(ours), r"\ASRS1=[A-Z2-7]{6}=first\.example==AAAA=BB=far\.example=eve@here\.example\Z")
        self.assertEqual(original(ours, [KEY], 5_000), theirs)
        for separator in "+-":
            one = Address(f"SRS0{separator}AAAA=BB=far.example=eve", "first.example")
            self.assertEqual(original(rewritten(one, OURS, KEY, 100), [KEY], 100), one)
        second = rewritten(ours, "second.example", OTHER, 100)
        self.assertEqual(original(second, [OTHER], 100), theirs)
        self.assertEqual(len(second.local), len(ours.local))

    def test_what_was_not_rewritten_here(self) -> None:
        """No character of it can be changed, nor the secret."""
        found = rewritten(EVE, OURS, KEY, 100)
        for place in range(5, len(found.local)):
            letter = "a" if found.local[place].lower() != "a" else "b"
            changed = Address(found.local[:place] + letter + found.local[place + 1 :], OURS)
            self.assertRaises(NotOurs, original, changed, [KEY], 100)
        self.refused("not rewritten here", found, key=OTHER)
        self.refused("not rewritten here", rewritten(Address("SRS0=A=B=c=d", "x.example"), OURS, KEY, 100), key=OTHER)

    def test_too_long_ago(self) -> None:
        """Also over the end of the numbers of days."""
        for day in (100, DAYS - 1, DAYS * 20 - 3):
            found = rewritten(EVE, OURS, KEY, day)
            self.assertEqual(original(found, [KEY], day + LIFETIME), EVE)
            self.refused("too long ago", found, day + LIFETIME + 1)
            self.refused("too long ago", found, day - 1)

    def test_what_is_none(self) -> None:
        """Ordinary addresses, pieces, and letters that only look right."""
        pieces = ("SRS0", "SRS0=", "SRS0=AAAAAA", "SRS0=AAAAAA=BB=c", "SRS1=AAAAAA=x", "srs0-x")
        for local in ("eve", *pieces, "SRS0=AAAAA\u017f=BB=c=d", ""):
            self.assertFalse(is_rewritten(Address(local, OURS)), local)
            self.refused("not rewritten", Address(local, OURS))

    def test_long_ones(self) -> None:
        """Do not fit; a token does, the same for the same sender."""
        long = Address("x" * 40, "a.rather.long.domain.example")
        self.assertFalse(fits(rewritten(long, OURS, KEY, 100)))
        found, token = shortened(long, OURS, KEY, 100)
        self.assertTrue(fits(found))
        self.assertEqual(original(Address(found.local.lower(), OURS), [KEY], 100), token)
        self.assertEqual(shortened(long, OURS, KEY, 100), (found, token))
        self.refused("too long ago", found, 200)
