"""Where time buckets begin, on the clock and on the calendar."""

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from roadstead.kernel.buckets import bucket_starts
from roadstead.kernel.time import parse_duration, parse_instant, spell_instant


def instant(text: str) -> datetime:
    """Read it."""
    found = parse_instant(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("start", "every", "zone", "expected"),
    [
        ("2024-05-01T10:07:00Z", "PT15M", "UTC", ["2024-05-01T10:00:00Z", "2024-05-01T10:15:00Z"]),
        ("1969-12-31T23:59:00Z", "PT24H", "Asia/Tokyo", ["1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"]),
        # 23 hours of a day in March, 25 of one in October.
        ("2024-03-31T10:00:00Z", "P1D", "Europe/Berlin", ["2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"]),
        ("2024-10-27T10:00:00Z", "P1D", "Europe/Berlin", ["2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"]),
        # Samoa had no 30th of December 2011: nothing begins twice.
        ("2011-12-29T12:00:00Z", "P1D", "Pacific/Apia", ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"]),
        ("2024-05-01T00:00:00Z", "P7D", "UTC", ["2024-04-29T00:00:00Z", "2024-05-06T00:00:00Z"]),
        ("2024-05-20T00:00:00Z", "P3M", "UTC", ["2024-04-01T00:00:00Z", "2024-07-01T00:00:00Z"]),
        ("1969-05-20T00:00:00Z", "P1Y", "UTC", ["1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]),
    ],
)
def test_buckets_begin_where_people_expect_them_to(start: str, every: str, zone: str, expected: list[str]) -> None:
    interval = parse_duration(every)
    assert interval is not None
    starts = bucket_starts(instant(start), interval, ZoneInfo(zone))
    assert [spell_instant(one) for one in islice(starts, len(expected))] == expected
