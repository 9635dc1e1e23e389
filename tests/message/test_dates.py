"""Dates of headers and of IMAP."""

from __future__ import annotations

import email.utils
from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.message.dates import (
    FIRST_YEAR,
    LAST_YEAR,
    format_date,
    format_internal,
    parse_date,
    parse_internal,
    parse_search_date,
)
from tests.bounded import linear, many


def zone(minutes: int) -> timezone:
    """The zone that many minutes east."""
    return timezone(timedelta(minutes=minutes))


def instants() -> st.SearchStrategy[datetime]:
    """Aware instants of whole seconds that a header can hold."""
    return st.builds(
        lambda when, minutes: when.replace(microsecond=0, tzinfo=zone(minutes)),
        st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 12, 31)),  # noqa: DTZ001
        st.integers(-23 * 60, 23 * 60),
    )


class HeaderDateTests(SynchronousTestCase):
    """RFC 5322 section 3.3 and its obsolete forms."""

    def test_forms(self) -> None:
        """Right ones, obsolete ones and what real mail has."""
        pacific = zone(-420)
        for text, expected in [
            (b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)", datetime(1996, 7, 17, 2, 23, 25, tzinfo=pacific)),
            (b"17 Jul 1996 02:23:25 -0700", datetime(1996, 7, 17, 2, 23, 25, tzinfo=pacific)),
            (b" wed,  17  JUL  1996  02:23:25  -0700", datetime(1996, 7, 17, 2, 23, 25, tzinfo=pacific)),
            (b"Wed, 17 Jul 1996 02:23 -0700", datetime(1996, 7, 17, 2, 23, tzinfo=pacific)),
            (b"21 Nov 97 09:55:06 GMT", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"21 Nov 26 09:55:06 EST", datetime(2026, 11, 21, 9, 55, 6, tzinfo=zone(-300))),
            (b"21 Nov 103 09:55:06 PDT", datetime(2003, 11, 21, 9, 55, 6, tzinfo=pacific)),
            (b"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", datetime(1997, 11, 21, 9, 55, 6, tzinfo=zone(-360))),
            (b"Fri, 21 Nov 1997 09:55:06 A", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri, 21 Nov 1997 09:55:06 -0000", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri, 21 Nov 1997 09:55:06 +9999", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri, 21 Nov 1997 09:55:06 XYZ", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri, 21 Nov 1997 09:55:06", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri, 21 Nov 1997 09:55:60 +0000", datetime(1997, 11, 21, 9, 55, 59, tzinfo=UTC)),
            (b"Fri, 21 Nov 1997 25:61:00 +0100", datetime(1997, 11, 21, tzinfo=zone(60))),
            (b"Fri, 21 Nov 1997", datetime(1997, 11, 21, tzinfo=UTC)),
            (b"21-Nov-1997 09:55:06 +0000", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Friday, 21 November 1997 09:55:06 +0000", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri Nov 21 09:55:06 1997", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
            (b"Fri Nov 21 09:55:06 EST 1997", datetime(1997, 11, 21, 9, 55, 6, tzinfo=zone(-300))),
            (b"Fri, 21 Nov 1997 09:55:06 +0530", datetime(1997, 11, 21, 9, 55, 6, tzinfo=zone(330))),
        ]:
            found = parse_date(text)
            self.assertEqual(found, expected, text)
            assert found is not None
            self.assertEqual(found.utcoffset(), expected.utcoffset(), text)

    def test_hopeless(self) -> None:
        """No date, no such day, or a year nobody can mean."""
        for text in (
            b"", b"now", b"31 Feb 2026 00:00:00 +0000", b"1 Foo 2026", b"0 Jan 2026", b"1 Jan 0001 00:00:00 +1400",
            b"31 Dec 9999 23:59:59 -1400", b"\xff\xff", b"2026-11-20", b"1 Jan", b" " * 300 + b"1 Jan 2026",
        ):  # fmt: skip
            self.assertIsNone(parse_date(text), text)

    @given(instants())
    def test_round_trip(self, when: datetime) -> None:
        """What is written is read back, zone and all, and the standard library reads the same."""
        text = format_date(when)
        found = parse_date(text.encode())
        assert found is not None
        self.assertEqual((found, found.utcoffset()), (when, when.utcoffset()))
        self.assertEqual(email.utils.parsedate_to_datetime(text), when)

    @given(st.binary(max_size=60))
    def test_any_octets(self, text: bytes) -> None:
        """No octets raise, and every instant can change its zone."""
        for value in (
            text,
            b"Fri, 21 Nov 1997 " + text,
            b"21 Nov 1997 09:55:06 " + text,
            text + b" 1997 09:55:06 -0600",
        ):
            found = parse_date(value)
            if found is not None:
                found.astimezone(UTC)

    def test_bounded(self) -> None:
        """Long fields cost nothing."""
        for piece in (b" ", b"(", b"()", b"1", b"1 ", b"a", b"-", b"Fri, "):
            with linear(piece):
                parse_date(many(piece))

    def test_naive_is_refused(self) -> None:
        """A date without zone is a mistake of the caller."""
        with self.assertRaises(ValueError):
            format_date(datetime(2026, 1, 1))  # noqa: DTZ001


class InternalDateTests(SynchronousTestCase):
    """``date-time`` of RFC 3501 section 9."""

    def test_example_of_the_rfc(self) -> None:
        """The form of section 2.3.3."""
        when = parse_internal(b'"17-Jul-1996 02:44:25 -0700"')
        self.assertEqual(when, datetime(1996, 7, 17, 2, 44, 25, tzinfo=zone(-420)))
        self.assertEqual(format_internal(when), b'"17-Jul-1996 02:44:25 -0700"')

    def test_day_of_one_digit(self) -> None:
        """It is preceded by a blank; imapflow forgets that in the first nine days of a month."""
        self.assertEqual(format_internal(datetime(2026, 2, 1, tzinfo=UTC)), b'" 1-Feb-2026 00:00:00 +0000"')
        for text in (b'" 1-Feb-2026 00:00:00 +0000"', b'"1-Feb-2026 00:00:00 +0000"', b"01-Feb-2026 00:00:00 +0000"):
            self.assertEqual(parse_internal(text), datetime(2026, 2, 1, tzinfo=UTC))

    @given(instants())
    def test_round_trip(self, when: datetime) -> None:
        """With and without quotes."""
        text = format_internal(when)
        self.assertEqual(parse_internal(text), when)
        self.assertEqual(parse_internal(text[1:-1]), when)

    def test_refused(self) -> None:
        """Every prefix, every wrong number, every other form."""
        right = b'"17-Jul-1996 02:44:25 -0700"'
        bad = [right[:end] for end in range(len(right))]
        for old, new in [
            (b"17", b"32"), (b"17", b"00"), (b"17", b"0"), (b"17", b""), (b"17", b"  7"), (b"Jul", b"Jly"), (b"1996", b"96"),
            (b"1996", b"0001"), (b"1996", b"9999"), (b"02:", b"24:"), (b":44", b":60"), (b":25", b":61"),
            (b"-0700", b"-2400"), (b"-0700", b"-0760"), (b"-0700", b"PDT"), (b" 02", b"T02"),
        ]:  # fmt: skip
            bad.append(right.replace(old, new, 1))
        for text in bad:
            with self.assertRaises(Invalid, msg=text):
                parse_internal(text)


class SearchDateTests(SynchronousTestCase):
    """``date`` of RFC 3501 section 9."""

    def test_forms(self) -> None:
        """With and without quotes and leading zero."""
        for text in (b"1-Feb-1994", b'"1-Feb-1994"', b"01-FEB-1994"):
            self.assertEqual(parse_search_date(text), date(1994, 2, 1))

    def test_refused(self) -> None:
        """All else."""
        for text in (
            b"",
            b'"',
            b"1-Feb-94",
            b"30-Feb-1994",
            b"1-Foo-1994",
            b"1 Feb 1994",
            b"1-Feb-1994 ",
            b"1-Feb-0000",
            b" 1-Feb-1994",
        ):
            with self.assertRaises(Invalid, msg=text):
                parse_search_date(text)
