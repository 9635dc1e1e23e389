"""
Dates of RFC 5322 headers and of IMAP, in English whatever the locale.

Reading is lenient (obsolete zones, two-digit years, missing seconds, comments), writing is exact.  Every result is an
aware :class:`~datetime.datetime`; a zone nobody knows counts as UTC (RFC 5256 section 2.2).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

from launcelot.core.errors import Invalid

MAX_DATE = 200
"""Octets of a ``Date`` field that are looked at."""

FIRST_YEAR, LAST_YEAR = 1900, 9998
"""Years that are read (RFC 5322 section 3.3); at the edges of ``datetime`` a change of zone would overflow."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NUMBERS = {name.lower().encode(): number for number, name in enumerate(MONTHS, 1)}
_MONTH_BYTES = tuple(name.encode() for name in MONTHS)
_ZONES = {
    b"ut": 0, b"gmt": 0, b"utc": 0, b"z": 0, b"est": -300, b"edt": -240, b"cst": -360, b"cdt": -300,
    b"mst": -420, b"mdt": -360, b"pst": -480, b"pdt": -420,
}  # fmt: skip

_DATE_TIME = re.compile(
    rb"\s*(?:[A-Za-z]{1,12}\s*+[,.]?\s*+)?(?P<day>\d{1,2})"
    rb"[\s-]*+(?P<month>[A-Za-z]{3})[A-Za-z]{0,6}[\s-]*+(?P<year>\d{2,4})"
    rb"(?:[\s,]*+(?P<hour>\d{1,2})\s*+[:.]\s*+(?P<minute>\d{1,2})(?:\s*+[:.]\s*+(?P<second>\d{1,2})(?:\.\d{1,9})?)?)?"
    rb"(?:\s*+(?P<sign>[+-])(?P<offset>\d{4})|\s*+(?P<zone>[A-Za-z]{1,5}))?"
)
"""``date-time`` of RFC 5322 sections 3.3 and 4.3, with the spellings real mail has."""
_ASCTIME = re.compile(
    rb"\s*[A-Za-z]{3}\s++(?P<month>[A-Za-z]{3})\s++(?P<day>\d{1,2})"
    rb"\s++(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    rb"(?:\s++(?P<zone>[A-Za-z]{1,5}))?\s++(?P<year>\d{4})(?:\s++(?P<sign>[+-])(?P<offset>\d{4}))?"
)
"""The order of C's ``asctime``, which some programs put into ``Date``."""
_INTERNAL = re.compile(rb"([ \d]?\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
"""``date-time`` of RFC 3501 section 9, without its quotes; imapflow leaves out the blank before a day of one digit."""
_SEARCH_DATE = re.compile(rb"(\d{1,2})-([A-Za-z]{3})-(\d{4})")
"""``date-text`` of RFC 3501 section 9."""
_COMMENT = re.compile(rb"\([^()]*+\)")


def parse_date(value: bytes) -> datetime | None:
    """
    The instant of a ``Date`` field, aware, in the zone it names; None when there is no date in it.

    A missing or impossible time counts as 00:00:00 and an unknown zone as UTC (RFC 5256 section 2.2).
    """
    value = value[:MAX_DATE]
    if b"(" in value:
        value = _COMMENT.sub(b" ", value)
    found = _DATE_TIME.match(value) or _ASCTIME.match(value)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, offset, zone = found.group(
        "day", "month", "year", "hour", "minute", "second", "sign", "offset", "zone"
    )
    number = _MONTH_NUMBERS.get(month.lower())
    if number is None:
        return None
    years = int(year)
    if len(year) == 2:
        years += 2000 if years < 50 else 1900
    elif len(year) == 3:
        years += 1900
    if not FIRST_YEAR <= years <= LAST_YEAR:
        return None
    info = _zone(sign, offset, zone)
    try:
        return datetime(
            years, number, int(day), int(hour or 0), int(minute or 0), min(int(second or 0), 59), tzinfo=info
        )
    except ValueError:
        return _midnight(years, number, int(day), info)


def format_date(when: datetime) -> str:
    """
    The instant as RFC 5322 section 3.3 writes it, such as ``Wed, 17 Jul 1996 02:44:25 -0700``.

    :param when: aware.
    """
    return (
        f"{DAYS[when.weekday()]}, {when.day} {MONTHS[when.month - 1]} {when.year:04d} "
        f"{when.hour:02d}:{when.minute:02d}:{when.second:02d} {_offset_text(when)}"
    )


def format_internal(when: datetime) -> bytes:
    """
    The instant as IMAP's quoted ``date-time`` (RFC 3501 section 9), such as ``"17-Jul-1996 02:44:25 -0700"``.

    :param when: aware.
    """
    return (
        f'"{when.day:2d}-{MONTHS[when.month - 1]}-{when.year:04d} '
        f'{when.hour:02d}:{when.minute:02d}:{when.second:02d} {_offset_text(when)}"'
    ).encode("ascii")


def parse_internal(value: bytes) -> datetime:
    """
    Read IMAP's ``date-time`` with or without its quotes.  RFC 3501 section 9.

    :raises Invalid: it is none, or no such instant exists.
    """
    if len(value) > 1 and value[:1] == b'"' == value[-1:]:
        value = value[1:-1]
    found = _INTERNAL.fullmatch(value)
    number = _MONTH_NUMBERS.get(found[2].lower()) if found else None
    if found is None or number is None:
        raise Invalid("malformed date-time")
    minutes = int(found[8]) * 60 + int(found[9])
    if minutes >= 24 * 60 or int(found[9]) > 59:
        raise Invalid("no such time zone")
    if not FIRST_YEAR <= int(found[3]) <= LAST_YEAR:
        raise Invalid("no such year")
    zone = _fixed(-minutes if found[7] == b"-" else minutes)
    second = 59 if found[6] == b"60" else int(found[6])
    try:
        return datetime(int(found[3]), number, int(found[1]), int(found[4]), int(found[5]), second, tzinfo=zone)
    except ValueError:
        raise Invalid("no such date or time") from None


def parse_search_date(value: bytes) -> date:
    """
    Read the ``date`` of a SEARCH key, such as ``1-Feb-1994``, with or without quotes.  RFC 3501 section 9.

    :raises Invalid: it is none, or no such day exists.
    """
    if len(value) > 1 and value[:1] == b'"' == value[-1:]:
        value = value[1:-1]
    found = _SEARCH_DATE.fullmatch(value)
    number = _MONTH_NUMBERS.get(found[2].lower()) if found else None
    if found is None or number is None:
        raise Invalid("malformed date")
    try:
        return date(int(found[3]), number, int(found[1]))
    except ValueError:
        raise Invalid("no such day") from None


def _midnight(year: int, month: int, day: int, zone: timezone) -> datetime | None:
    """The start of the day when the time of day is impossible; None when the day is."""
    try:
        return datetime(year, month, day, tzinfo=zone)
    except ValueError:
        return None


def _zone(sign: bytes | None, offset: bytes | None, name: bytes | None) -> timezone:
    """The zone of a ``Date`` field; ``-0000`` and all that cannot be are UTC."""
    if sign and offset:
        hours, minutes = divmod(int(offset), 100)
        total = hours * 60 + minutes
        if minutes > 59 or total >= 24 * 60:
            return UTC
        return _fixed(-total if sign == b"-" else total)
    return _fixed(_ZONES.get(name.lower(), 0)) if name else UTC


def _fixed(minutes: int) -> timezone:
    """The zone that many minutes east of Greenwich."""
    return timezone(timedelta(minutes=minutes)) if minutes else UTC


def _offset_text(when: datetime) -> str:
    """``+hhmm``; raises ValueError for a naive datetime."""
    if when.tzinfo is UTC:
        return "+0000"
    offset = when.utcoffset()
    if offset is None:
        raise ValueError("a date without zone cannot be written")
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
