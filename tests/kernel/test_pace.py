"""So much a second, a second's worth at once."""

from roadstead.kernel.pace import Pace


def test_what_is_taken_beyond_a_second_s_worth_is_owed_until_its_time_has_passed() -> None:
    now = 100.0
    pace = Pace(10, clock=lambda: now)
    assert pace.take(10) == 0
    assert pace.owed_s == 0
    assert pace.take(5) == 0.5
    now += 0.5
    assert pace.owed_s == 0
    now += 100
    assert pace.take(11) == 0.1 or abs(pace.owed_s - 0.1) < 1e-9


def test_without_a_pace_nothing_is_owed() -> None:
    assert Pace(0).take(1e9) == 0
