"""Maintenance windows: over midnight, and on the days on which clocks are changed."""

from datetime import UTC, datetime, timedelta

import pytest

from roadstead.core.firmware import Window

NIGHT = Window(start="22:00", end="05:00", time_zone="Europe/Berlin")


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "is_open", "changes"),
    [
        ("2026-01-10T20:59", False, "2026-01-10T21:00"),
        ("2026-01-10T21:00", True, "2026-01-11T04:00"),
        ("2026-01-11T03:59", True, "2026-01-11T04:00"),
        ("2026-01-11T04:00", False, "2026-01-11T21:00"),
        # Clocks go forward in this night, and back in that: the window ends at five by the clocks.
        ("2026-03-28T22:00", True, "2026-03-29T03:00"),
        ("2026-10-24T22:00", True, "2026-10-25T04:00"),
    ],
)
def test_a_window_opens_and_closes_by_the_clocks_of_its_zone(instant: str, is_open: bool, changes: str) -> None:
    assert NIGHT.is_open(at(instant)) is is_open
    assert (NIGHT.closes_at(at(instant)) if is_open else NIGHT.opens_at(at(instant))) == at(changes)


def test_a_window_within_a_day_is_open_from_its_start_until_before_its_end() -> None:
    noon = Window(start="12:00", end="12:30")
    begin = at("2026-01-10T12:00")
    assert [noon.is_open(begin + timedelta(minutes=minutes)) for minutes in (-1, 0, 29, 30)] == [
        False,
        True,
        True,
        False,
    ]


def test_what_is_no_window_is_named() -> None:
    wrong = Window(start="24:00", end="7:00", time_zone="Mars/Base")
    assert [problem.pointer for problem in wrong.check("/window")] == [
        "/window/start", "/window/end", "/window/timeZone"
    ]  # fmt: skip
    assert [problem.pointer for problem in Window(start="07:00", end="07:00").check("/window")] == ["/window/end"]
