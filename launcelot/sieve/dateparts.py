"""The parts of a date that scripts can ask for.  RFC 5260 section 4.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from launcelot.message.dates import format_date, parse_date

_ZONE = re.compile(r"([+-])([0-9]{2})([0-9]{2})")
_MODIFIED_JULIAN = date(1858, 11, 17).toordinal()


def parse_zone(text: str) -> tzinfo | None:
    """``+hhmm`` or ``-hhmm``; None for what is none."""
    found = _ZONE.fullmatch(text)
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)


def date_in(value: bytes) -> datetime | None:
    """The date of a header field: all of it, or what stands behind its last semicolon."""
    return parse_date(value) or parse_date(value.rpartition(b";")[2])


def shifted(when: datetime, zone: tzinfo | None) -> datetime | None:
    """The same moment in another zone; None where the calendar ends."""
    try:
        return when.astimezone(zone)
    except OverflowError:
        return None


def _offset(when: datetime) -> str:
    minutes = int((when.utcoffset() or timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _iso(when: datetime) -> str:
    zone = _offset(when)
    return when.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")


DATE_PARTS: Mapping[str, Callable[[datetime], str]] = {
    "year": lambda when: f"{when.year:04d}",
    "month": lambda when: f"{when.month:02d}",
    "day": lambda when: f"{when.day:02d}",
    "date": lambda when: when.date().isoformat(),
    "julian": lambda when: str(when.astimezone(UTC).toordinal() - _MODIFIED_JULIAN),
    "hour": lambda when: f"{when.hour:02d}",
    "minute": lambda when: f"{when.minute:02d}",
    "second": lambda when: f"{when.second:02d}",
    "time": lambda when: when.strftime("%H:%M:%S"),
    "iso8601": _iso,
    "std11": format_date,
    "zone": _offset,
    "weekday": lambda when: str(when.isoweekday() % 7),
}
"""By name, in lower case."""
