"""Time buckets: calendars, clocks that change, and every function against an oracle."""

import math
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from roadstead.adapters.chdb import ChdbEngine, EngineTransport
from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Reading, Value
from roadstead.core.ports import Bucket, Function, Series, Span
from roadstead.kernel.errors import Invalid, TooLarge
from roadstead.kernel.ids import DeviceId, new_id, to_bytes
from roadstead.kernel.time import Duration, from_millis, parse_duration, spell_instant
from tests.adapters import oracle
from tests.adapters.conftest import Owner, instant, millis, span

HOUR = 3_600_000


def every(text: str) -> Duration:
    """An interval."""
    found = parse_duration(text)
    assert found is not None
    return found


async def read(
    owner: Owner, path: str, asked: Span, interval: str, *functions: Function, zone: str = "UTC"
) -> list[Bucket]:
    """Buckets of one series of an owner."""
    return await owner.store.buckets(
        owner.id, [owner.series(path)], asked, interval=every(interval), time_zone=zone, functions=functions
    )


def starts(buckets: list[Bucket]) -> list[str]:
    """Where they begin."""
    return [spell_instant(bucket.start) for bucket in buckets]


@pytest.mark.parametrize(
    ("begins", "ends", "hours"),
    [("2026-03-28 23:00", "2026-03-29 22:00", 23), ("2026-10-24 22:00", "2026-10-25 23:00", 25)],
)
async def test_a_local_day_has_the_hours_that_its_clock_gives_it(
    acme: Owner, globex: Owner, begins: str, ends: str, hours: int
) -> None:
    first = millis(begins)
    await acme.write("t", *((first + hour * HOUR, float(hour)) for hour in range(-1, hours + 1)))
    await globex.write("t", (first, 1000.0))

    around = Span(from_millis(first - 5 * HOUR), from_millis(first + 30 * HOUR))
    before, day, after = await read(acme, "t", around, "P1D", Function.COUNT, Function.MAX, zone="Europe/Berlin")
    assert (day.start, day.values) == (instant(begins), {Function.COUNT: hours, Function.MAX: hours - 1.0})
    assert after.start == instant(ends)
    assert [before.values[Function.COUNT], after.values[Function.COUNT]] == [1, 1]


async def test_hours_are_hours_of_utc_also_where_half_hours_are_off(acme: Owner) -> None:
    await acme.write("t", *((f"2026-10-25 {hour:02}:30", float(hour)) for hour in range(4)))

    found = await read(acme, "t", span("2026-10-25", "2026-10-26"), "PT1H", Function.LAST, zone="Asia/Kolkata")
    assert starts(found) == [f"2026-10-25T{hour:02}:00:00Z" for hour in range(4)]


@pytest.mark.parametrize(
    ("interval", "zone", "expected"),
    [
        ("P1D", "UTC", ["2028-02-28T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"]),
        ("P1W", "UTC", ["2028-02-28T00:00:00Z"]),
        ("P2W", "UTC", ["2028-02-28T00:00:00Z"]),
        ("P10D", "UTC", ["2028-02-26T00:00:00Z"]),
        ("P1M", "UTC", ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"]),
        ("P1M", "America/New_York", ["2028-02-01T05:00:00Z", "2028-03-01T05:00:00Z"]),
        ("P3M", "UTC", ["2028-01-01T00:00:00Z"]),
        ("P1Y", "Asia/Tokyo", ["2027-12-31T15:00:00Z"]),
        ("P2Y", "UTC", ["2028-01-01T00:00:00Z"]),
        ("PT36H", "Europe/Berlin", ["2028-02-27T12:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T12:00:00Z"]),
    ],
)
async def test_calendar_units_begin_where_the_calendar_says(
    acme: Owner, interval: str, zone: str, expected: list[str]
) -> None:
    await acme.write("t", ("2028-02-28 12:00", 1.0), ("2028-02-29 12:00", 2.0), ("2028-03-01 12:00", 3.0))

    assert starts(await read(acme, "t", span("2028-01-15", "2028-12-31"), interval, Function.COUNT, zone=zone)) == (
        expected
    )


async def test_a_day_begins_when_the_clock_skips_midnight(acme: Owner) -> None:
    """Santiago went from 23:59:59 to 01:00 on 2026-09-06, and Apia left out 2011-12-30."""
    await acme.write("t", ("2026-09-06 03:30", 1.0), ("2026-09-06 04:30", 2.0))
    found = await read(acme, "t", span("2026-09-01", "2026-09-10"), "P1D", Function.LAST, zone="America/Santiago")
    assert starts(found) == ["2026-09-05T04:00:00Z", "2026-09-06T04:00:00Z"]

    await acme.write("s", ("2011-12-30 09:59", 1.0), ("2011-12-30 10:01", 2.0))
    found = await read(acme, "s", span("2011-12-25", "2012-01-05"), "P1D", Function.LAST, zone="Pacific/Apia")
    assert starts(found) == ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"]


async def test_a_value_holds_until_the_next_and_from_before_the_span(acme: Owner, globex: Owner) -> None:
    await acme.write("door", ("2026-01-01 12:00", True), ("2026-01-10 09:15", False), ("2026-01-10 09:45", True))
    await globex.write("door", ("2026-01-10 09:00", False))

    found = await read(
        acme, "door", span("2026-01-10 08:00", "2026-01-10 11:30"), "PT1H",
        Function.DURATION_TRUE, Function.TIME_WEIGHTED_AVG, Function.COUNT,
    )  # fmt: skip
    assert starts(found) == [f"2026-01-10T{hour}:00:00Z" for hour in ("08", "09", "10", "11")]
    assert [bucket.values[Function.DURATION_TRUE] for bucket in found] == [3600, 1800, 3600, 1800]
    assert [bucket.values[Function.TIME_WEIGHTED_AVG] for bucket in found] == [1, 0.5, 1, 1]
    assert [bucket.values[Function.COUNT] for bucket in found] == [0, 2, 0, 0]


async def test_no_value_holds_into_the_future(acme: Owner) -> None:
    store = ClickHouseStore(acme.store._transport, clock=lambda: instant("2026-01-10 10:30"))
    await acme.write("door", ("2026-01-10 10:00", True), ("2026-01-10 11:00", True))

    found = await store.buckets(
        acme.id, [acme.series("door")], span("2026-01-10", "2026-01-11"),
        interval=every("P1D"), time_zone="UTC", functions=[Function.DURATION_TRUE],
    )  # fmt: skip
    assert [bucket.values for bucket in found] == [{Function.DURATION_TRUE: 1800}]


async def test_words_have_a_first_a_last_and_a_mode(acme: Owner) -> None:
    words = ["idle", "run", "run", "idle", "off"]
    await acme.write("mode", *((f"2026-01-10 08:{minute:02}", word) for minute, word in enumerate(words)))

    [bucket] = await read(acme, "mode", span("2026-01-10", "2026-01-11"), "P1D", *Function)
    numbers = dict.fromkeys(Function)
    assert bucket.values == numbers | {
        Function.COUNT: 5, Function.FIRST: "idle", Function.LAST: "off", Function.MODE: "idle",
    }  # fmt: skip


async def test_many_series_come_in_the_order_asked_for(acme: Owner, globex: Owner) -> None:
    other = DeviceId(new_id())
    columns = acme.store.columns()
    at = millis("2026-01-10 08:00")
    for device in (acme.device, other):
        for path in ("a", "b"):
            columns.add(acme.id, to_bytes(device), at, [Reading(path, at, 1.0), Reading(path, at + HOUR, 2.0)])
    columns.add(globex.id, to_bytes(other), at, [Reading("a", at, 50.0)])
    await acme.store.insert(columns)

    series = [Series(other, "b"), Series(acme.device, "a"), Series(other, "never"), Series(other, "a")]
    found = await acme.store.buckets(
        acme.id, series, span("2026-01-10", "2026-01-11"),
        interval=every("PT1H"), time_zone="UTC", functions=[Function.SUM, Function.TIME_WEIGHTED_AVG],
    )  # fmt: skip
    counted = [(bucket.series, bucket.values[Function.SUM]) for bucket in found if bucket.values[Function.SUM]]
    assert counted == [(one, value) for one in series if one.path != "never" for value in (1.0, 2.0)]


async def test_without_an_interval_the_span_is_one_bucket(acme: Owner, globex: Owner) -> None:
    await acme.write("t", ("2026-01-01 00:00", 1.0), ("2026-06-01 12:30", 2.0), ("2026-09-01", 4.0))
    await globex.write("t", ("2026-06-01", 1000.0))
    asked = span("2026-01-01 00:00", "2026-09-01")

    found = await acme.store.buckets(
        acme.id,
        [acme.series("t"), acme.series("nothing")],
        asked,
        interval=None,
        time_zone="UTC",
        functions=[Function.SUM, Function.LAST],
    )

    assert found == [Bucket(acme.series("t"), asked.start, {Function.SUM: 3.0, Function.LAST: 2.0})]


async def test_fifty_years_of_days_are_the_most(acme: Owner) -> None:
    await acme.write("t", ("1975-01-01", 1.0), ("2023-01-01", 2.0))

    found = await read(acme, "t", span("1971-01-01", "2025-01-01"), "P1D", Function.LAST, zone="Europe/Berlin")
    assert starts(found) == ["1974-12-31T23:00:00Z", "2022-12-31T23:00:00Z"]
    with pytest.raises(TooLarge):
        await read(acme, "t", span("1900-01-01", "2025-01-01"), "P1D", Function.LAST)
    with pytest.raises(TooLarge):
        await read(acme, "t", span("2020-01-01", "2025-01-01"), "PT1M", Function.DURATION_TRUE)


@pytest.mark.parametrize("interval", ["PT0S", "P1DT1H", "P1M1D", "P200Y"])
async def test_what_is_no_interval_is_refused(acme: Owner, interval: str) -> None:
    with pytest.raises(Invalid, match="interval"):
        await read(acme, "t", span("2026-01-01", "2026-01-02"), interval, Function.AVG)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../../etc/passwd", "/etc/localtime"])
async def test_what_is_no_time_zone_is_refused(acme: Owner, zone: str) -> None:
    with pytest.raises(Invalid, match="timeZone"):
        await read(acme, "t", span("2026-01-01", "2026-01-02"), "P1D", Function.AVG, zone=zone)


SPRING = millis("2026-03-25")
numbers = some.integers(-3, 3).map(float) | some.floats(-1e6, 1e6).map(lambda number: round(number, 3))
values = numbers | some.booleans() | some.sampled_from(["on", "off", ""])
points = some.lists(
    some.builds(
        oracle.Point,
        at=some.integers(SPRING // 60_000, SPRING // 60_000 + 10 * 1440).map(lambda minute: minute * 60_000),
        value=values,
        received=some.integers(1, 10**6),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda point: (point.at, point.received),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=points,
    offset=some.integers(0, 5 * 1440),
    length=some.integers(1, 8 * 1440),
    unclosed=some.integers(-1440, 1440),
    interval=some.sampled_from(["PT10M", "PT1H", "PT7H", "P1D", "P2D", "P1W", "P1M"]),
    zone=some.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
async def test_every_function_agrees_with_the_oracle(
    engine: ChdbEngine,
    points: list[oracle.Point],
    offset: int,
    length: int,
    unclosed: int,
    interval: str,
    zone: str,
) -> None:
    start = SPRING + offset * 60_000
    end = start + length * 60_000
    present = end + unclosed * 60_000
    store = ClickHouseStore(EngineTransport(engine), clock=lambda: from_millis(present))
    await store.prepare()
    owner = Owner(store)
    columns = store.columns()
    for point in points:
        columns.add(owner.id, to_bytes(owner.device), point.received, [Reading("x", point.at, point.value)])
    await store.insert(columns)

    found = await store.buckets(
        owner.id, [owner.series("x")], Span(from_millis(start), from_millis(end)),
        interval=every(interval), time_zone=zone, functions=list(Function),
    )  # fmt: skip
    expected = oracle.buckets(points, start, end, present, every(interval), ZoneInfo(zone))
    assert [bucket.start for bucket in found] == [from_millis(begin) for begin in sorted(expected)]
    for bucket, begin in zip(found, sorted(expected), strict=True):
        for function, value in expected[begin].items():
            assert _alike(bucket.values[function], value), (function, bucket.start, bucket.values[function], value)


def _alike(one: Value | None, other: Value | None) -> bool:
    if isinstance(one, str) or isinstance(other, str) or one is None or other is None:
        return one == other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
