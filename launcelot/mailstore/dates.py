"""Dates of messages as every store keeps them: whole seconds, in a zone of whole minutes.  RFC 9051 section 2.3.3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone


def whole(moment: datetime) -> datetime:
    """The moment without fractions of a second; one that names no zone counts as UTC."""
    return moment.replace(microsecond=0, tzinfo=_zone(zone_of(moment)))


def zone_of(moment: datetime) -> int:
    """Minutes east of UTC."""
    return (moment.utcoffset() or timedelta()) // timedelta(minutes=1)


def seconds_of(moment: datetime) -> int:
    """Seconds since 1970; negative before."""
    return (moment - _EPOCH) // timedelta(seconds=1)


def moment_of(seconds: int, minutes: int = 0) -> datetime:
    """
    The moment at ``seconds`` since 1970 in a zone.

    :param minutes: the zone's distance from UTC, eastward.
    """
    # Counted in local time, because the last hours of the year 9999 may lie in the year 10000 in UTC.
    local = _LOCAL_EPOCH + timedelta(seconds=seconds + 60 * minutes)
    return local.replace(tzinfo=_zone(minutes))


def _zone(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes)) if minutes else UTC


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH = _EPOCH.replace(tzinfo=None)
