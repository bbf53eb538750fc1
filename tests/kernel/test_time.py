"""Instants and durations as they are spelled."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.kernel import time
from roadstead.kernel.time import Duration


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_an_instant_survives_milliseconds(instant: datetime) -> None:
    whole = instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    assert time.from_millis(time.to_millis(instant)) == whole
    assert time.parse_instant(time.spell_instant(whole)) == whole


def test_any_offset_is_read_and_none_is_refused() -> None:
    assert time.parse_instant("2026-03-29T02:30:00+02:00") == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert time.parse_instant("2026-03-29T02:30:00") is None
    assert time.parse_instant("yesterday") is None


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT15M", Duration(months=0, days=0, millis=900_000)),
        ("P1D", Duration(months=0, days=1, millis=0)),
        ("P2W", Duration(months=0, days=14, millis=0)),
        ("P1Y2M", Duration(months=14, days=0, millis=0)),
        ("PT0.25S", Duration(months=0, days=0, millis=250)),
        ("P1DT1H", Duration(months=0, days=1, millis=3_600_000)),
    ],
)
def test_a_duration_keeps_calendar_units_apart(text: str, duration: Duration) -> None:
    assert time.parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "P1H", "1D", "P-1D", "PT1.5H", "P1D "])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert time.parse_duration(text) is None


def test_only_days_and_longer_depend_on_the_calendar() -> None:
    hours, day = time.parse_duration("PT24H"), time.parse_duration("P1D")
    assert hours and day
    assert (hours.is_calendar, day.is_calendar) == (False, True)
    assert hours.approximate() == day.approximate() == timedelta(days=1)
