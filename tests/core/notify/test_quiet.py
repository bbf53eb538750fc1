"""Quiet hours by the clock on the wall, and where the clock is put forward or back."""

from datetime import UTC, datetime

import pytest

from roadstead.core.notify import QuietHours

NIGHT = QuietHours(start="22:00", end="07:00", time_zone="Europe/Berlin")


def at(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-05-01T21:59:59+02:00", None),
        ("2026-05-01T22:00:00+02:00", "2026-05-02T07:00:00+02:00"),
        ("2026-05-02T00:00:00+02:00", "2026-05-02T07:00:00+02:00"),
        ("2026-05-02T06:59:59+02:00", "2026-05-02T07:00:00+02:00"),
        ("2026-05-02T07:00:00+02:00", None),
        # The night in which summer time begins, and the one in which it ends.
        ("2026-03-28T22:30:00+01:00", "2026-03-29T07:00:00+02:00"),
        ("2026-10-24T22:30:00+02:00", "2026-10-25T07:00:00+01:00"),
    ],
)
def test_a_night_ends_by_the_clock_on_the_wall(now: str, end: str | None) -> None:
    assert NIGHT.end_at(at(now)) == (None if end is None else at(end))


def test_a_span_of_the_same_day_ends_on_that_day() -> None:
    noon = QuietHours(start="12:00", end="13:30", time_zone="Asia/Kolkata")
    assert noon.end_at(at("2026-05-01T13:00:00+05:30")) == at("2026-05-01T13:30:00+05:30")
    assert noon.end_at(at("2026-05-01T13:30:00+05:30")) is None
    assert noon.end_at(at("2026-05-01T00:30:00+05:30")) is None


def test_an_end_that_the_clock_leaves_out_comes_as_long_after_the_gap() -> None:
    hours = QuietHours(start="22:00", end="02:30", time_zone="Europe/Berlin")
    assert hours.end_at(at("2026-03-29T00:00:00+01:00")) == at("2026-03-29T03:30:00+02:00")


def test_of_times_that_come_twice_the_first_begins_and_the_second_ends() -> None:
    ends_twice = QuietHours(start="22:00", end="02:30", time_zone="Europe/Berlin")
    for now in ("2026-10-25T02:10:00+02:00", "2026-10-25T02:40:00+02:00", "2026-10-25T02:10:00+01:00"):
        assert ends_twice.end_at(at(now)) == at("2026-10-25T02:30:00+01:00")
    assert ends_twice.end_at(at("2026-10-25T02:30:00+01:00")) is None

    begins_twice = QuietHours(start="02:30", end="04:00", time_zone="Europe/Berlin")
    for now in ("2026-10-25T02:30:00+02:00", "2026-10-25T02:10:00+01:00"):
        assert begins_twice.end_at(at(now)) == at("2026-10-25T04:00:00+01:00")
    assert begins_twice.end_at(at("2026-10-25T02:29:00+02:00")) is None
