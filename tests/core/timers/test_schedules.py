"""When timers are due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from roadstead.core.timers import Once, Repeating, Schedule, Scheduled, Solar
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import to_millis

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 27, 12, tzinfo=UTC)


def times(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The next ones, if each is done at once."""
    schedule.check(NOW)
    found: list[datetime] = []
    at = schedule.first(after)
    while at is not None and len(found) < count:
        found.append(at)
        at = schedule.next(at, at)
    return found


def local(found: list[datetime]) -> list[str]:
    """As clocks in Berlin show it."""
    return [at.astimezone(BERLIN).strftime("%m-%d %H:%M") for at in found]


def test_a_single_time_comes_after_its_delay_or_at_its_instant_and_never_again() -> None:
    assert times(Once(delay_ms=1), NOW, 5) == [NOW + timedelta(milliseconds=1)]
    instant = NOW + timedelta(days=3)
    assert times(Once(at_ms=to_millis(instant)), NOW, 5) == [instant]
    assert Once(at_ms=1).first(NOW) == NOW


def test_a_repeating_timer_keeps_its_grid_and_makes_nothing_up_for() -> None:
    timer = Repeating(delay_ms=10_000)
    assert times(timer, NOW, 2) == [NOW + timedelta(seconds=10), NOW + timedelta(seconds=20)]
    assert times(Repeating(delay_ms=10_000, run_immediately=True), NOW, 1) == [NOW]
    assert timer.next(NOW, NOW + timedelta(seconds=9)) == NOW + timedelta(seconds=10)
    assert timer.next(NOW, NOW + timedelta(hours=1, seconds=3)) == NOW + timedelta(hours=1, seconds=10)


def test_cron_follows_the_clocks_of_its_time_zone() -> None:
    morning = Scheduled(cron="30 7 * * *", time_zone="Europe/Berlin")
    assert local(times(morning, NOW, 4)) == ["03-28 07:30", "03-29 07:30", "03-30 07:30", "03-31 07:30"]
    found = times(morning, NOW, 2)
    assert found[1] - found[0] == timedelta(hours=23)


def test_a_time_that_does_not_exist_comes_right_after_and_one_that_comes_twice_is_done_once() -> None:
    night = Scheduled(cron="30 2 * * *", time_zone="Europe/Berlin")
    assert local(times(night, NOW, 3)) == ["03-28 02:30", "03-29 03:00", "03-30 02:30"]
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert local(times(night, before, 2)) == ["10-25 02:30", "10-26 02:30"]
    # Between the two of them it has been done already.
    assert local(times(night, datetime(2026, 10, 25, 1, 5, tzinfo=UTC), 1)) == ["10-26 02:30"]
    with_seconds = Scheduled(cron="0 30 2 * * *", time_zone="Europe/Berlin")
    assert times(with_seconds, before, 2) == times(night, before, 2)


def test_what_comes_every_quarter_of_an_hour_comes_in_both_hours_of_the_night_of_a_change() -> None:
    found = times(
        Scheduled(cron="*/15 * * * *", time_zone="Europe/Berlin"), datetime(2026, 10, 24, 23, 50, tzinfo=UTC), 12
    )
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=15)}


def test_cron_may_have_seconds() -> None:
    found = times(Scheduled(cron="*/20 * * * * *"), NOW, 3)
    assert [at.second for at in found] == [20, 40, 0]


def test_what_was_missed_by_cron_comes_once() -> None:
    every_minute = Scheduled(cron="* * * * *")
    late = NOW + timedelta(hours=5, seconds=20)
    assert every_minute.next(NOW, late) == NOW + timedelta(hours=5, minutes=1)


def test_the_sun_rises_and_sets_where_almanacs_say() -> None:
    midsummer = datetime(2026, 6, 21, 0, tzinfo=UTC)
    place = {"latitude": 52.52, "longitude": 13.405, "time_zone": "Europe/Berlin"}
    rise = times(Solar(**place), midsummer, 2)  # type: ignore[arg-type]
    assert abs(rise[0] - datetime(2026, 6, 21, 2, 43, tzinfo=UTC)) < timedelta(minutes=3)
    assert rise[1] - rise[0] < timedelta(hours=24, minutes=5)
    fall = times(Solar(**place, from_sunrise=False, offset_ms=-3_600_000), midsummer, 1)  # type: ignore[arg-type]
    assert abs(fall[0] - datetime(2026, 6, 21, 18, 33, tzinfo=UTC)) < timedelta(minutes=3)


def test_the_days_of_the_sun_are_those_of_a_calendar_whose_clock_does_not_count() -> None:
    mondays = Solar(latitude=52.52, longitude=13.405, cron="17 4 * * 1", time_zone="Europe/Berlin")
    assert {at.astimezone(BERLIN).weekday() for at in times(mondays, NOW, 5)} == {0}


def test_where_the_sun_stays_down_for_months_the_timer_waits_for_it() -> None:
    tromso = Solar(latitude=69.65, longitude=18.96, time_zone="Europe/Oslo")
    first = tromso.first(datetime(2026, 12, 10, tzinfo=UTC))
    assert first is not None
    assert datetime(2027, 1, 10, tzinfo=UTC) < first < datetime(2027, 1, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "member"),
    [
        (Once(), "timer/delay"),
        (Once(delay_ms=1, at_ms=1), "timer/delay"),
        (Once(delay_ms=-1), "timer/delay"),
        (Once(delay_ms=367 * 86_400_000), "timer/delay"),
        (Once(at_ms=9_999_999_999_999), "timer/when"),
        (Repeating(delay_ms=999), "timer/delay"),
        (Scheduled(cron="* * * *"), "timer/cron"),
        (Scheduled(cron="0 0 30 2 *"), "timer/cron"),
        (Scheduled(cron="61 * * * *"), "timer/cron"),
        (Scheduled(cron="0," * 101 + "0 * * * *"), "timer/cron"),
        (Scheduled(cron="* * * * *", time_zone="Europe/Nowhere"), "timer/timezone"),
        (Solar(latitude=91, longitude=0), "timer/latitude"),
        (Solar(latitude=0, longitude=181), "timer/longitude"),
        (Solar(latitude=0, longitude=0, offset_ms=43_200_001), "timer/offset"),
        (Solar(latitude=90, longitude=0, cron="0 0 1 1 *"), "timer"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_by_the_name_of_its_member(schedule: Schedule, member: str) -> None:
    with pytest.raises(Invalid, match=f"^{member}: "):
        schedule.check(NOW)
