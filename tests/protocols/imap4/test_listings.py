"""Texts of listings, made for many messages at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.dates import format_internal
from launcelot.protocols.imap4.commands.listings import _remembered, date_texts, listing_of
from launcelot.protocols.imap4.grammar.fetch import Attribute, Binary, Section

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.integers(-(10**10), 10**11)


def plainly(seconds: int, zone: int) -> bytes:
    """One at a time."""
    return format_internal((BEGIN + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=zone))))


class DateTests(SynchronousTestCase):
    """INTERNALDATE and SAVEDATE."""

    @given(st.lists(st.tuples(SECONDS, st.integers(-1_439, 1_439)), min_size=1, max_size=5))
    def test_dates_in_zones_of_their_own(self, moments: list[tuple[int, int]]) -> None:
        """Before 1970 and long after, east and west: as one alone is written."""
        seconds, zones = zip(*moments, strict=True)
        self.assertEqual(list(date_texts(seconds, zones)), [plainly(*one) for one in moments])

    @given(st.lists(SECONDS, min_size=1, max_size=5), st.integers(-1_439, 1_439))
    def test_dates_in_one_zone(self, seconds: list[int], zone: int) -> None:
        """Likewise."""
        self.assertEqual(list(date_texts(seconds, [zone] * len(seconds))), [plainly(one, zone) for one in seconds])


class ListingTests(SynchronousTestCase):
    """What can be listed."""

    def test_what_marks_messages_is_no_listing(self) -> None:
        """Octets without PEEK are one only where nothing can be marked, and parts never."""
        whole = Section(b"BODY[]")
        self.assertIsNone(listing_of((Attribute.UID, whole), False))
        self.assertIsNotNone(listing_of((Attribute.UID, whole), True))
        self.assertIsNotNone(listing_of((Section(b"BODY[]", peek=True),), False))
        self.assertIsNone(listing_of((Section(b"BODY[1]", (1,), peek=True),), True))
        self.assertIsNone(listing_of((Section(b"BODY[HEADER.FIELDS (to)]", (), "HEADER", (b"to",)),), False))
        self.assertIsNotNone(listing_of((Section(b"BODY[HEADER.FIELDS (to)]", (), "HEADER", (b"to",), peek=True),), False))

    def test_long_items_are_not_remembered(self) -> None:
        """What a client has asked for once stays in memory only where it is short."""
        names = tuple(b"x%d" % number for number in range(200))
        label = b"BODY[HEADER.FIELDS (%b)]" % b" ".join(names)
        before = _remembered.cache_info()
        self.assertIsNotNone(listing_of((Section(label, (), "HEADER", names, peek=True),), False))
        self.assertIsNone(listing_of((Binary(b"BINARY[%b]" % (b"1." * 200), (1,)),), False))
        self.assertEqual(_remembered.cache_info(), before)
