"""What every telemetry store must do."""

import asyncio
import math

import pytest

from roadstead.adapters.clickhouse import ClickHouseStore, Transport
from roadstead.adapters.clickhouse.queries import Query
from roadstead.adapters.clickhouse.reader import rows
from roadstead.adapters.clickhouse.transport import StatementFailed
from roadstead.core.messages import Accepted, Reading
from roadstead.core.ports import PointPosition, Series
from roadstead.kernel.errors import TooLarge
from roadstead.kernel.ids import DeviceId, TenantId, new_id, to_bytes
from roadstead.kernel.time import now, to_millis
from tests.adapters.conftest import Owner, instant, millis, span

DAY = span("2026-01-10", "2026-01-11")


async def test_a_point_comes_back_as_it_was_written(store: ClickHouseStore, acme: Owner, globex: Owner) -> None:
    await acme.write("t", ("2026-01-10 12:00:00.123", 21.5), received="2026-01-10 12:00:01", meta='{"q":"good"}')

    [point] = await store.points(acme.id, [acme.series("t")], DAY, limit=10)
    assert (point.device, point.path, point.number, point.text, point.meta) == (
        acme.device, "t", 21.5, "", '{"q":"good"}',
    )  # fmt: skip
    assert point.at == millis("2026-01-10 12:00:00.123")
    assert point.received == millis("2026-01-10 12:00:01")
    assert await globex.read("t", DAY) == []


async def test_a_boolean_is_a_number_with_a_word(store: ClickHouseStore, acme: Owner) -> None:
    await acme.write("door", ("2026-01-10 08:00", True), ("2026-01-10 09:00", False))

    points = await store.points(acme.id, [acme.series("door")], DAY, limit=10)
    assert [(point.number, point.text) for point in points] == [(1.0, "true"), (0.0, "false")]


async def test_an_integer_too_long_for_a_float_keeps_its_digits(store: ClickHouseStore, acme: Owner) -> None:
    values = [2**53, 2**53 + 1, -(2**63), 10**400]
    await acme.write("n", *((f"2026-01-10 0{hour}:00", value) for hour, value in enumerate(values)))

    points = await store.points(acme.id, [acme.series("n")], DAY, limit=10)
    assert [(point.number, point.text) for point in points] == [
        (float(2**53), ""),
        (float(2**53 + 1), str(2**53 + 1)),
        (float(-(2**63)), str(-(2**63))),
        (None, str(10**400)),
    ]


async def test_a_number_that_is_none_is_text_and_poisons_no_average(store: ClickHouseStore, acme: Owner) -> None:
    await acme.write("n", ("2026-01-10 01:00", math.nan), ("2026-01-10 02:00", math.inf), ("2026-01-10 03:00", 4.0))

    assert await acme.read("n", DAY) == ["nan", "inf", 4.0]
    assert (await store.statistics(acme.id, acme.series("n"), DAY)).avg == 4.0


@pytest.mark.parametrize(
    "text", ["", "plain", "it's \\ \t \n \r", "{tenant:UInt32}", "') OR 1=1 --", "Ωμέγα 🚢", "\\N", "null"]
)
async def test_any_text_is_a_value_and_a_path(acme: Owner, globex: Owner, text: str) -> None:
    await acme.write(f"p{text}", ("2026-01-10 08:00", text))
    await globex.write(f"p{text}", ("2026-01-10 08:00", "theirs"))

    assert await acme.read(f"p{text}", DAY) == [text]


async def test_half_a_character_stops_no_batch(acme: Owner) -> None:
    await acme.write("t", ("2026-01-10 08:00", "broken \ud800"), ("2026-01-10 09:00", "whole"))

    assert await acme.read("t", DAY) == ["broken ?", "whole"]


async def test_the_same_point_twice_is_one_point(store: ClickHouseStore, acme: Owner) -> None:
    for _ in range(3):
        await acme.write("t", ("2026-01-10 08:00", 1.0), ("2026-01-10 09:00", 2.0))

    assert await acme.read("t", DAY) == [1.0, 2.0]
    assert await store.count(acme.id, acme.series("t")) == 2
    assert (await store.statistics(acme.id, acme.series("t"), DAY)).sum == 3.0


async def test_what_was_received_last_counts_whatever_the_order_of_writing(
    store: ClickHouseStore, acme: Owner, globex: Owner
) -> None:
    at = "2026-01-10 08:00"
    await acme.write("t", (at, 2.0), received="2026-01-12")
    await acme.write("t", (at, 1.0), received="2026-01-11")
    await acme.write("t", (at, "corrected"), received="2026-01-13")
    await globex.write("t", (at, 9.0), received="2026-01-14")

    assert await acme.read("t", DAY) == ["corrected"]
    [newest] = await store.latest(acme.id, [acme.series("t")])
    assert newest.text == "corrected"
    assert (await store.statistics(acme.id, acme.series("t"), DAY)).avg is None


async def test_pages_meet_without_a_gap_in_both_directions(store: ClickHouseStore, acme: Owner) -> None:
    for path in ("a", "b", "c"):
        await acme.write(path, *((millis("2026-01-10 08:00") + second * 1000, float(second)) for second in range(5)))
    series = [acme.series(path) for path in ("a", "c")]

    for descending in (False, True):
        whole = await store.points(acme.id, series, DAY, limit=100, descending=descending)
        paged, after = [], None
        while page := await store.points(acme.id, series, DAY, limit=3, descending=descending, after=after):
            paged += page
            after = PointPosition(page[-1].at, page[-1].path)
        assert paged == whole
        keys = [(point.at, point.path) for point in whole]
        assert keys == sorted(keys, reverse=descending)
        assert len(keys) == 10


async def test_a_span_begins_with_its_start_and_ends_before_its_end(acme: Owner) -> None:
    await acme.write("t", *((f"2026-01-{day:02} 00:00", float(day)) for day in range(9, 13)))

    assert await acme.read("t", DAY) == [10.0]
    assert await acme.read("t", span("2026-01-11", "2026-01-10")) == []


async def test_points_of_two_devices_have_no_common_page(store: ClickHouseStore, acme: Owner) -> None:
    with pytest.raises(ValueError, match="several devices"):
        await store.points(acme.id, [acme.series("t"), Series(DeviceId(new_id()), "t")], DAY, limit=1)


async def test_the_platforms_own_paths_show_only_to_who_asks(store: ClickHouseStore, acme: Owner) -> None:
    for path in ("engine/oil", "engine/rpm", "door", "$health/rssi"):
        await acme.write(path, ("2026-01-10 08:00", 1.0))

    async def paths(prefix: str) -> list[str]:
        points = await store.device_points(acme.id, acme.device, DAY, prefix=prefix, limit=10)
        return [point.path for point in points]

    assert await paths("") == ["door", "engine/oil", "engine/rpm"]
    assert await paths("engine/") == ["engine/oil", "engine/rpm"]
    assert await paths("$") == ["$health/rssi"]
    assert await paths("%") == []


async def test_the_newest_point_is_found_however_old_it_is(store: ClickHouseStore, acme: Owner, globex: Owner) -> None:
    today = to_millis(now())
    ages = {"future": -60_000, "now": 1000, "week": 7 * 86_400_000, "years": 2000 * 86_400_000}
    for path, age in ages.items():
        await acme.write(path, (today - age - 5, 1.0), (today - age, 2.0))
    await globex.write("now", (today, 3.0))

    series = [acme.series(path) for path in (*ages, "never")]
    newest = await store.latest(acme.id, series)
    assert [(point.path, point.at, point.number) for point in newest] == [
        (path, today - age, 2.0) for path, age in ages.items()
    ]


async def test_the_newest_points_of_many_devices_come_at_once(store: ClickHouseStore, acme: Owner) -> None:
    columns = store.columns()
    series = []
    for number in range(50):
        device = DeviceId(new_id())
        at = millis("2026-01-10 08:00")
        readings = [Reading("a", at, float(number)), Reading("b", at, "text"), Reading(f"c{number % 3}", at, True)]
        columns.add(acme.id, to_bytes(device), at, readings)
        series += [Series(device, "a"), Series(device, f"c{number % 3}")]
    await store.insert(columns)

    newest = await store.latest(acme.id, series)
    assert [Series(point.device, point.path) for point in newest] == series
    assert [point.number for point in newest[::2]] == [float(number) for number in range(50)]
    same_path = await store.latest(acme.id, [one for one in series if one.path == "a"])
    assert same_path == newest[::2]


async def test_thinning_keeps_the_ends_and_the_spike(store: ClickHouseStore, acme: Owner, globex: Owner) -> None:
    first = millis("2026-01-10")
    values = [float(minute % 3) for minute in range(1000)]
    values[777] = 500.0
    points = [(first + minute * 60_000, value) for minute, value in enumerate(values)]
    await acme.write("t", *points, ("2026-01-10 12:00:30", "no number"))
    await acme.write("t", (first + 777 * 60_000, 400.0), received="2026-02-01")
    await globex.write("t", (first + 500 * 60_000, 9999.0))

    kept = await store.thinned(acme.id, acme.series("t"), DAY, most=20)
    assert len(kept) == 20
    assert [kept[0].at, kept[-1].at] == [points[0][0], points[-1][0]]
    assert max(point.number or 0 for point in kept) == 400.0
    assert all(point.number is not None for point in kept)
    assert len(await store.thinned(acme.id, acme.series("t"), DAY, most=5000)) == 1000
    assert [len(await store.thinned(acme.id, acme.series("t"), DAY, most=most)) for most in (1, 2)] == [1, 2]
    assert await store.thinned(acme.id, acme.series("never"), DAY, most=5) == []


async def test_statistics_of_numbers(store: ClickHouseStore, acme: Owner, globex: Owner) -> None:
    await acme.write("t", *((f"2026-01-10 0{hour}:00", value) for hour, value in enumerate([4.0, 1.0, 3.0, 2.0])))
    await globex.write("t", ("2026-01-10 05:00", 100.0))

    found = await store.statistics(acme.id, acme.series("t"), DAY)
    assert (found.count, found.min, found.max, found.avg, found.sum, found.median) == (4, 1.0, 4.0, 2.5, 10.0, 2.5)
    assert found.stddev == pytest.approx(1.2909944487)
    assert found.p95 == pytest.approx(3.85)
    assert found.first is not None and found.last is not None
    assert (found.first.number, found.last.number, found.distinct) == (4.0, 2.0, [])
    assert (await store.statistics(acme.id, acme.series("never"), DAY)).count == 0


async def test_statistics_of_texts_name_the_most_frequent(store: ClickHouseStore, acme: Owner) -> None:
    first = millis("2026-01-10")
    await acme.write("mode", *((first + number, f"m{number % 25:02}") for number in range(60)), (first + 99, ""))

    found = await store.statistics(acme.id, acme.series("mode"), DAY)
    assert (found.count, found.avg, len(found.distinct)) == (61, None, 20)
    assert found.distinct[:11] == [*((f"m{number:02}", 3) for number in range(10)), ("m10", 2)]
    await acme.write("door", ("2026-01-10 08:00", True), ("2026-01-10 09:00", False), ("2026-01-10 10:00", True))
    assert (await store.statistics(acme.id, acme.series("door"), DAY)).distinct == [("true", 2), ("false", 1)]


async def test_what_is_deleted_is_gone_and_nothing_else(store: ClickHouseStore, acme: Owner, globex: Owner) -> None:
    for owner in (acme, globex):
        for path in ("a", "b"):
            await owner.write(path, *((f"2026-01-10 0{hour}:00", float(hour)) for hour in range(4)))
        await owner.write("a", ("2026-01-10 01:00", 1.5), received="2026-02-01")

    middle = span("2026-01-10 01:00", "2026-01-10 03:00")
    assert await store.delete(acme.id, acme.device, "a", middle) == 2
    assert await acme.read("a", DAY) == [0.0, 3.0]
    assert await acme.read("b", DAY) == [0.0, 1.0, 2.0, 3.0]
    assert await store.delete(acme.id, acme.device, "a", middle) == 0
    assert await store.delete(acme.id, acme.device, None, None) == 6
    assert await store.device_points(acme.id, acme.device, DAY, limit=10) == []
    assert await store.latest(acme.id, [acme.series("a")]) == []
    assert await globex.read("a", DAY) == [0.0, 1.5, 2.0, 3.0]


async def test_what_was_deleted_does_not_return_with_a_replay(
    store: ClickHouseStore, acme: Owner, globex: Owner
) -> None:
    before = to_millis(now()) - 1000
    point = ("2026-01-10 08:00", 1.0)
    for owner in (acme, globex):
        await owner.write("t", point, received=before)
    assert await store.delete(acme.id, acme.device, "t", None) == 1

    for owner in (acme, globex):
        await owner.write("t", point, ("2026-01-10 09:00", 2.0), received=before)
    assert await acme.read("t", DAY) == []
    assert await globex.read("t", DAY) == [1.0, 2.0]
    await acme.write("t", ("2026-01-10 08:00", 3.0), received=to_millis(now()) + 1000)
    assert await acme.read("t", DAY) == [3.0]


async def test_retention_takes_one_tenants_old_points(store: ClickHouseStore, acme: Owner, globex: Owner) -> None:
    for owner in (acme, globex):
        await owner.write("t", *((f"2025-{month:02}-15", float(month)) for month in range(1, 13)))

    await store.delete_before(acme.id, instant("2025-07-15"))
    year = span("2025-01-01", "2026-01-01")
    while len(await acme.read("t", year)) > 6:
        await asyncio.sleep(0.01)
    assert await acme.read("t", year) == [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]
    assert len(await globex.read("t", year)) == 12


async def test_a_batch_may_reach_over_a_century(store: ClickHouseStore, acme: Owner) -> None:
    await acme.write("t", *((f"{year}-02-28", float(year)) for year in range(1950, 2070)))

    assert await store.count(acme.id, acme.series("t")) == 120
    [newest] = await store.latest(acme.id, [acme.series("t")])
    assert newest.number == 2069.0


async def test_an_empty_batch_is_no_work(store: ClickHouseStore, acme: Owner) -> None:
    columns = store.columns()
    columns.add(acme.id, to_bytes(acme.device), 0, [])
    await store.insert(columns)
    assert await store.count(acme.id, acme.series("t")) == 0


async def test_each_batch_and_the_table_are_measured(transport: Transport) -> None:
    told: list[tuple[int, float]] = []
    store = ClickHouseStore(transport, on_insert=lambda points, seconds: told.append((points, seconds)))
    await Owner(store).write("t", ("2026-01-10 08:00", 1.0), ("2026-01-10 09:00", 1.0))

    assert [points for points, _ in told] == [2]
    assert told[0][1] > 0
    sizes = await store.sizes()
    assert sizes.parts > 0
    assert sizes.points >= 2
    assert sizes.size_bytes > 0


@pytest.mark.parametrize("source", ["point_of", "point_of(tenant = {tenant:UInt32})", "point_of()"])
async def test_without_a_tenant_there_is_no_query(transport: Transport, acme: Owner, source: str) -> None:
    await acme.write("t", ("2026-01-10 08:00", 1.0))
    with pytest.raises(StatementFailed):
        await transport.query(f"SELECT number FROM {source}", {})


async def test_a_read_can_change_nothing(transport: Transport, acme: Owner) -> None:
    await acme.write("t", ("2026-01-10 08:00", 1.0))
    for statement in ("DELETE FROM point WHERE 1", "DROP TABLE point", "INSERT INTO point (tenant) VALUES (1)"):
        with pytest.raises(StatementFailed, match="READONLY"):
            await transport.query(statement, {})
    assert await acme.read("t", DAY) == [1.0]


async def test_a_query_that_takes_too_much_says_so(transport: Transport) -> None:
    greedy = Query("SELECT length(groupArray(number)) FROM numbers(1000000000)", {})
    with pytest.raises(TooLarge):
        await rows(transport, greedy, tuple[int])


async def test_the_store_is_ready_once_it_has_its_tables(store: ClickHouseStore) -> None:
    await store.prepare()
    await store.ready()


async def test_another_stores_columns_are_refused(store: ClickHouseStore) -> None:
    class Foreign:
        count = 1

        def add(self, tenant: TenantId, device: bytes, received: int, readings: object) -> None:
            """Never called."""

        def add_message(self, message: Accepted) -> None:
            """Never called."""

    with pytest.raises(TypeError):
        await store.insert(Foreign())


async def test_many_may_write_and_read_at_once(store: ClickHouseStore, acme: Owner) -> None:
    await asyncio.gather(*(acme.write("t", (f"2026-01-10 08:{minute:02}", 1.0)) for minute in range(10)))
    answers = await asyncio.gather(*(store.count(acme.id, acme.series("t")) for _ in range(30)))
    assert answers == [10] * 30
