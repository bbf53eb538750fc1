"""Which buckets there are, and what stands in those where nothing was reported."""

from datetime import UTC, datetime, timedelta

import pytest

from roadstead.core.messages import ValueType
from roadstead.core.ports import Bucket, Function, Series, Span
from roadstead.core.telemetry import AggregateQuery, Fill
from roadstead.core.telemetry.aggregation import choose_functions, choose_interval, complete
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, new_id

SERIES = Series(DeviceId(new_id()), "one")


def span(start: str, end: str) -> Span:
    """A range of time in UTC."""
    return Span(datetime.fromisoformat(start).replace(tzinfo=UTC), datetime.fromisoformat(end).replace(tzinfo=UTC))


def starts(start: str, end: str, interval: str, zone: str = "UTC") -> list[str]:
    """Where the buckets begin, in UTC."""
    _, found = choose_interval(AggregateQuery(span=span(start, end), interval=interval, time_zone=zone))
    return [instant.strftime("%m-%dT%H:%M") for instant in found]


def test_buckets_of_the_clock_count_from_1970_and_the_first_may_begin_before_the_range() -> None:
    assert starts("2024-05-01T10:20", "2024-05-01T11:00", "PT15M") == ["05-01T10:15", "05-01T10:30", "05-01T10:45"]
    assert starts("2024-05-01T00:00", "2024-05-02T00:00", "PT7H")[:2] == ["04-30T20:00", "05-01T03:00"]


def test_days_weeks_months_and_quarters_begin_at_local_midnight() -> None:
    assert starts("2024-03-30T00:00", "2024-04-01T22:00", "P1D", "Europe/Berlin") == [
        "03-29T23:00",
        "03-30T23:00",
        "03-31T22:00",
    ]
    assert starts("2024-05-01T00:00", "2024-05-15T00:00", "P1W") == ["04-29T00:00", "05-06T00:00", "05-13T00:00"]
    assert starts("2024-02-15T00:00", "2024-04-01T00:00", "P1M") == ["02-01T00:00", "03-01T00:00"]
    assert starts("2024-05-01T00:00", "2024-12-01T00:00", "P3M") == ["04-01T00:00", "07-01T00:00", "10-01T00:00"]


def test_a_day_that_a_place_skipped_is_no_bucket_of_its_own() -> None:
    # Samoa went from 29 to 31 December 2011 when it moved across the date line.
    found = starts("2011-12-29T10:00", "2012-01-01T10:00", "P1D", "Pacific/Apia")

    assert found == ["12-29T10:00", "12-30T10:00", "12-31T10:00"]


def test_five_thousand_buckets_are_a_full_measure() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    most = AggregateQuery(span=Span(start, start + timedelta(minutes=5_000)), interval="PT1M")
    one_more = AggregateQuery(span=Span(start, start + timedelta(minutes=5_001)), interval="PT1M")

    assert len(choose_interval(most)[1]) == 5_000
    with pytest.raises(Invalid, match="5000 buckets"):
        choose_interval(one_more)


@pytest.mark.parametrize(
    ("days", "points", "expected"),
    [(1, 500, "PT5M"), (1, 24, "PT1H"), (1, 1, "P1D"), (30, 500, "PT2H"), (365, 12, "P1M"), (3650, 19, "P1Y")],
)
def test_auto_takes_the_first_step_of_the_ladder_that_is_long_enough(days: int, points: int, expected: str) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    query = AggregateQuery(span=Span(start, start + timedelta(days=days)), interval="auto", max_points=points)

    assert choose_interval(query)[0] == expected


def test_nothing_fits_a_century_into_one_point() -> None:
    query = AggregateQuery(span=span("1970-01-01", "2070-01-01"), interval="auto", max_points=1)

    with pytest.raises(Invalid, match="maxPoints"):
        choose_interval(query)


def test_what_is_usual_depends_on_the_type() -> None:
    assert choose_functions(ValueType.BIGINT, None) == [Function.AVG, Function.MIN, Function.MAX, Function.COUNT]
    assert choose_functions(ValueType.TEXT, None) == [Function.COUNT, Function.LAST]
    assert choose_functions(ValueType.BOOLEAN, [Function.DURATION_TRUE] * 2) == [Function.DURATION_TRUE]
    with pytest.raises(Invalid, match="durationTrue"):
        choose_functions(ValueType.DOUBLE, [Function.DURATION_TRUE])


def test_values_of_a_bucket_have_the_type_of_the_sensor() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    values: dict[Function, float | str | None] = {
        Function.MIN: 1.0, Function.AVG: 2.0, Function.COUNT: 3.0, Function.LAST: 4.0,
    }  # fmt: skip

    [whole] = complete(ValueType.BIGINT, [Bucket(SERIES, start, values)], [start], list(values), Fill.NONE)
    [switch] = complete(ValueType.BOOLEAN, [Bucket(SERIES, start, values)], [start], [Function.LAST], Fill.NONE)

    assert [type(value) for value in whole.values.values()] == [int, float, int, int]
    assert switch.values == {Function.LAST: True}


def test_text_is_carried_forward_as_it_is() -> None:
    hours = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(4)]
    found = [Bucket(SERIES, hours[1], {Function.LAST: "open", Function.COUNT: 1})]

    filled = complete(ValueType.TEXT, found, hours, [Function.LAST, Function.COUNT], Fill.PREVIOUS)

    assert [bucket.values[Function.LAST] for bucket in filled] == [None, "open", "open", "open"]
    assert [bucket.values[Function.COUNT] for bucket in filled] == [0, 1, 0, 0]
