"""Where time buckets begin: multiples of a clock interval in UTC, or of a calendar interval in a time zone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from roadstead.kernel.time import EPOCH, Duration

_MONDAY = date(1970, 1, 5)
_FIRST = date(1970, 1, 1)


def bucket_starts(start: datetime, interval: Duration, zone: ZoneInfo) -> Iterator[datetime]:
    """The start (UTC) of the bucket that `start` lies in, and of every one after it, for ever.

    Clock intervals (`PT24H` too) count from 1970 in UTC. Days count from 1970-01-01 on the local calendar, whole weeks
    from a Monday, months and years from January 1970; a bucket begins at local midnight, or when the day begins where
    the clock skips midnight.
    """
    if not interval.is_calendar:
        step = timedelta(milliseconds=interval.millis)
        at = start - (start - EPOCH) % step
        while True:
            yield at
            at += step
    last: datetime | None = None
    for day in _days(start.astimezone(zone).date(), interval):
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        # A day that a place left out, by moving across the date line, begins and ends at the same instant.
        if midnight != last:
            yield midnight
        last = midnight


def _days(day: date, interval: Duration) -> Iterator[date]:
    """The first day of the bucket that `day` lies in, and of every one after it."""
    if interval.months:
        month = (day.year - _FIRST.year) * 12 + day.month - 1
        month -= month % interval.months
        while True:
            yield date(_FIRST.year + month // 12, month % 12 + 1, 1)
            month += interval.months
    origin = _MONDAY if interval.days % 7 == 0 else _FIRST
    day -= timedelta((day - origin).days % interval.days)
    while True:
        yield day
        day += timedelta(interval.days)
