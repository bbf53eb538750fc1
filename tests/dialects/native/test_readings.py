"""/readings: what comes back is what was reported, in its type; what cannot be answered is refused by name."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Accepted, Reading, Value, ValueType
from roadstead.core.telemetry import Patches, copy_line, merge_state
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import new_id
from roadstead.kernel.time import to_millis
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok, problem
from tests.fleet import add_component, add_device, add_sensor

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = {"from": "2024-05-01T00:00:00Z", "to": "2024-05-02T00:00:00Z"}


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def report(tenant: Tenant, device: UUID, *readings: Reading) -> None:
    """As if the device had reported these, and everything behind the door had done its work."""
    store = tenant.edge.ports.telemetry
    received = to_millis(NOON) + 1_000
    columns = store.columns()
    columns.add(tenant.tenant_id, ids.to_bytes(device), received, readings)
    await store.insert(columns)
    patches = Patches()
    patches.add(Accepted.of(tenant.tenant_id, ids.to_bytes(device), "native", "readings", received, readings))
    async with tenant.edge.system_database.tx() as tx:
        await merge_state(tx, [copy_line(key, patch, seen=True) for key, patch in patches.items()])


def at(minutes: float) -> int:
    """So many minutes after noon, in ms."""
    return to_millis(NOON + timedelta(minutes=minutes))


async def sensor(tenant: Tenant, path: str, value_type: ValueType, values: Sequence[Value] = ()) -> tuple[UUID, str]:
    """A device with one sensor that reported a value each minute from noon on; their ids."""
    device = await add_device(tenant.edge.system_database, tenant.tenant_id)
    id_ = await add_sensor(tenant.edge.system_database, tenant.tenant_id, device, path, value_type)
    await report(tenant, device, *[Reading(path, at(minute), value) for minute, value in enumerate(values)])
    return device, str(id_)


async def read(tenant: Tenant, path: str, **params: Any) -> Any:
    """A successful answer."""
    return ok(await tenant.api.get(f"/api/v1/readings/{path}", params=params))


def values(page: Any) -> list[Any]:
    """The values of a page of readings."""
    return [item["value"] for item in page["items"]]


@pytest.mark.parametrize(
    ("value_type", "sent"),
    [
        (ValueType.DOUBLE, [21.5, -0.25, 3.0]),
        (ValueType.BIGINT, [9_007_199_254_740_993, -(2**63), 7]),
        (ValueType.BOOLEAN, [True, False, True]),
        (ValueType.TEXT, ["open", "", "halb zu ½"]),
    ],
)
async def test_values_come_back_exactly_and_in_the_type_of_their_sensor(
    acme: Tenant, value_type: ValueType, sent: list[Value]
) -> None:
    _, id_ = await sensor(acme, "one", value_type, sent)

    page = await read(acme, f"sensor/{id_}", **DAY)
    newest = await read(acme, f"sensor/{id_}/latest")

    assert values(page) == sent
    assert [type(value) for value in values(page)] == [type(value) for value in sent]
    assert {item["valueType"] for item in page["items"]} == {value_type}
    assert page["items"][1]["timestamp"] == "2024-05-01T12:01:00Z"
    assert (newest["value"], newest["receivedAt"]) == (sent[-1], "2024-05-01T12:00:01Z")


async def test_raw_readings_page_in_both_orders_without_losing_any(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.BIGINT, list(range(25)))

    for order, expected in (("asc", list(range(25))), ("desc", list(range(24, -1, -1)))):
        collected, cursor = [], None
        while True:
            params = {**DAY, "limit": 10, "order": order} | ({"cursor": cursor} if cursor else {})
            page = await read(acme, f"sensor/{id_}", **params)
            collected += values(page)
            cursor = page.get("nextCursor")
            if cursor is None:
                break
        assert collected == expected


async def test_metadata_comes_back_with_its_reading(acme: Tenant) -> None:
    device, id_ = await sensor(acme, "one", ValueType.DOUBLE)
    await report(acme, device, Reading("one", at(0), 1.0, '{"quality":"good"}'))

    assert (await read(acme, f"sensor/{id_}", **DAY))["items"][0]["metadata"] == {"quality": "good"}
    assert (await read(acme, f"sensor/{id_}/latest"))["metadata"] == {"quality": "good"}


async def test_a_window_is_the_time_before_its_end(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.BIGINT, list(range(60)))

    page = await read(acme, f"sensor/{id_}/window", duration="PT10M", end="2024-05-01T12:30:00Z")

    assert values(page) == list(range(20, 30))


async def test_a_thinned_curve_keeps_its_peak(acme: Tenant) -> None:
    curve: list[Value] = [float(minute % 3) for minute in range(600)]
    curve[300] = 1_000.0
    _, id_ = await sensor(acme, "one", ValueType.DOUBLE, curve)

    page = await read(acme, f"sensor/{id_}", **DAY, thin=50)

    assert len(page["items"]) <= 50
    assert 1_000.0 in values(page)
    assert "nextCursor" not in page


async def test_buckets_have_a_column_for_each_function(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.DOUBLE, [float(minute) for minute in range(120)])

    series = await read(acme, f"sensor/{id_}/aggregated", **DAY, interval="PT1H", fn="avg,min,max,sum,count,first,last")

    assert series["points"] == [
        {"bucket": "2024-05-01T12:00:00Z", "avg": 29.5, "min": 0, "max": 59, "sum": 1770, "count": 60, "first": 0,
         "last": 59},
        {"bucket": "2024-05-01T13:00:00Z", "avg": 89.5, "min": 60, "max": 119, "sum": 5370, "count": 60, "first": 60,
         "last": 119},
    ]  # fmt: skip
    assert (series["sensorId"], series["interval"], series["timeZone"]) == (id_, "PT1H", "UTC")


async def test_what_a_switch_is_asked_for_comes_back_as_a_boolean(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.BOOLEAN, [True, True, False])

    series = await read(
        acme, f"sensor/{id_}/aggregated", **DAY, interval="P1D", fn="count,first,last,mode,durationTrue"
    )

    [point] = series["points"]
    assert point["durationTrue"] == 120
    assert (point["count"], point["first"], point["last"], point["mode"]) == (3, True, False, True)


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("none", [(0, 10.0, 1), (3, 40.0, 1)]),
        ("null", [(0, 10.0, 1), (1, None, 0), (2, None, 0), (3, 40.0, 1), (4, None, 0)]),
        ("previous", [(0, 10.0, 1), (1, 10.0, 0), (2, 10.0, 0), (3, 40.0, 1), (4, 40.0, 0)]),
        ("linear", [(0, 10.0, 1), (1, 20.0, 0), (2, 30.0, 0), (3, 40.0, 1), (4, None, 0)]),
        ("zero", [(0, 10.0, 1), (1, 0, 0), (2, 0, 0), (3, 40.0, 1), (4, 0, 0)]),
    ],
)
async def test_empty_buckets_are_filled_as_asked(
    acme: Tenant, fill: str, expected: list[tuple[int, float | None, int]]
) -> None:
    device, id_ = await sensor(acme, "one", ValueType.DOUBLE)
    await report(acme, device, Reading("one", at(5), 10.0), Reading("one", at(185), 40.0))

    span = {"from": "2024-05-01T12:00:00Z", "to": "2024-05-01T17:00:00Z"}
    series = await read(acme, f"sensor/{id_}/aggregated", **span, interval="PT1H", fn="avg,count", fill=fill)

    hours = [(int(point["bucket"][11:13]) - 12, point["avg"], point["count"]) for point in series["points"]]
    assert hours == expected


async def test_days_are_local_days_also_when_the_clock_changes(acme: Tenant) -> None:
    device, id_ = await sensor(acme, "one", ValueType.DOUBLE)
    # Berlin, 31 March 2024: the day has 23 hours, from 23:00 UTC on the 30th.
    night = to_millis(datetime(2024, 3, 30, 23, tzinfo=UTC))
    await report(acme, device, *[Reading("one", night + hour * 3_600_000, 1.0) for hour in range(48)])

    span = {"from": "2024-03-30T23:00:00Z", "to": "2024-04-02T00:00:00Z"}
    series = await read(
        acme, f"sensor/{id_}/aggregated", **span, interval="P1D", fn="count", timeZone="Europe/Berlin", fill="null"
    )

    assert [(point["bucket"], point["count"]) for point in series["points"]] == [
        ("2024-03-30T23:00:00Z", 23),
        ("2024-03-31T22:00:00Z", 24),
        ("2024-04-01T22:00:00Z", 1),
    ]


async def test_auto_chooses_the_shortest_interval_that_gives_few_enough_points(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.DOUBLE, [1.0])
    week = {"from": "2024-05-01T00:00:00Z", "to": "2024-05-08T00:00:00Z"}

    fine = await read(acme, f"sensor/{id_}/aggregated", **week, interval="auto")
    coarse = await read(acme, f"sensor/{id_}/aggregated", **week, interval="auto", maxPoints=7)

    assert (fine["interval"], coarse["interval"]) == ("PT30M", "P1D")


async def test_statistics_say_what_fits_the_type(acme: Tenant) -> None:
    _, number = await sensor(acme, "one", ValueType.DOUBLE, [1.0, 2.0, 3.0, 6.0])
    _, switch = await sensor(acme, "one", ValueType.BOOLEAN, [True, True, True, False])
    _, text = await sensor(acme, "one", ValueType.TEXT, ["open", "shut", "open"])

    of_number = await read(acme, f"sensor/{number}/stats", **DAY)
    of_switch = await read(acme, f"sensor/{switch}/stats", **DAY)
    of_text = await read(acme, f"sensor/{text}/stats", **DAY)

    assert (of_number["count"], of_number["avg"], of_number["median"], of_number["max"]) == (4, 3, 2.5, 6)
    assert (of_number["first"]["value"], of_number["last"]["value"]) == (1, 6)
    assert of_number["from"] == "2024-05-01T00:00:00Z"
    assert of_switch["trueRatio"] == 0.75
    assert "avg" not in of_switch
    assert of_text["distinct"] == [{"value": "open", "count": 2}, {"value": "shut", "count": 1}]


@pytest.mark.parametrize(
    ("path", "params", "fields"),
    [
        ("sensor/{id}", {"from": "2024-05-02T00:00:00Z", "to": "2024-05-01T00:00:00Z"}, ["from"]),
        ("sensor/{id}", {"from": "yesterday"}, ["from"]),
        ("sensor/{id}", {"from": "2024-05-01T00:00:00"}, ["from"]),
        ("sensor/{id}", {"limit": 10_001}, ["limit"]),
        ("sensor/{id}", {"order": "up"}, ["order"]),
        ("sensor/{id}", {"cursor": "nonsense"}, ["cursor"]),
        ("sensor/{id}", {"colour": "red"}, ["colour"]),
        ("sensor/{id}/window", {}, ["duration"]),
        ("sensor/{id}/window", {"duration": "P367D"}, ["duration"]),
        ("sensor/{id}/aggregated", {}, ["interval"]),
        ("sensor/{id}/aggregated", {"interval": "PT10S"}, ["interval"]),
        ("sensor/{id}/aggregated", {"interval": "P1DT1H"}, ["interval"]),
        ("sensor/{id}/aggregated", {"interval": "PT1M", "from": "2024-01-01T00:00:00Z"}, ["interval"]),
        ("sensor/{id}/aggregated", {"interval": "PT1H", "maxPoints": 10}, ["maxPoints"]),
        ("sensor/{id}/aggregated", {"interval": "auto", "maxPoints": 5_001}, ["maxPoints"]),
        ("sensor/{id}/aggregated", {"interval": "PT1H", "fn": "avg,average"}, ["fn"]),
        ("sensor/{id}/aggregated", {"interval": "PT1H", "fn": "durationTrue"}, ["fn"]),
        ("sensor/{id}/aggregated", {"interval": "PT1H", "fill": "guess"}, ["fill"]),
        ("sensor/{id}/aggregated", {"interval": "P1D", "timeZone": "Mars/Olympus"}, ["timeZone"]),
        ("sensor/{id}/stats", {"from": "2010-01-01T00:00:00Z"}, ["from"]),
        ("latest", {}, ["sensorId"]),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_parameter_named(
    acme: Tenant, path: str, params: dict[str, Any], fields: list[str]
) -> None:
    _, id_ = await sensor(acme, "one", ValueType.DOUBLE)

    answer = await acme.api.get(f"/api/v1/readings/{path.format(id=id_)}", params=params)

    assert problem(answer) == (422, "validation-failed", fields)


@pytest.mark.parametrize(
    "function", ["avg", "min", "sum", "stddev", "median", "p95", "rate", "delta", "timeWeightedAvg"]
)
async def test_functions_of_numbers_do_not_fit_text(acme: Tenant, function: str) -> None:
    _, id_ = await sensor(acme, "one", ValueType.TEXT, ["open"])

    answer = await acme.api.get(
        f"/api/v1/readings/sensor/{id_}/aggregated", params={**DAY, "interval": "PT1H", "fn": function}
    )

    assert problem(answer) == (422, "validation-failed", ["fn"])


async def test_what_a_plot_cannot_show_is_not_thinned(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.TEXT, ["open"])

    of_text = await acme.api.get(f"/api/v1/readings/sensor/{id_}", params={**DAY, "thin": 10})
    both = await acme.api.get(f"/api/v1/readings/sensor/{id_}", params={**DAY, "thin": 10, "limit": 5})

    assert problem(of_text) == (422, "validation-failed", ["thin"])
    assert problem(both)[:2] == (400, "invalid-request")


async def test_the_newest_of_a_set_are_told_together(acme: Tenant, globex: Tenant) -> None:
    device, one = await sensor(acme, "one", ValueType.DOUBLE, [1.0, 2.0])
    two = str(await add_sensor(acme.edge.system_database, acme.tenant_id, device, "two", ValueType.TEXT))
    silent = str(await add_sensor(acme.edge.system_database, acme.tenant_id, device, "three", ValueType.TEXT))
    await report(acme, device, Reading("two", at(1), "on"))
    _, foreign = await sensor(globex, "one", ValueType.DOUBLE, [9.0])

    of_device = await read(acme, "latest", deviceId=str(device))
    of_sensors = await read(acme, "latest", sensorId=[one, two, silent, foreign, "no-id"])

    assert [(item["sensorId"], item["value"]) for item in of_device["items"]] == [(one, 2), (two, "on")]
    assert of_sensors == of_device


async def test_the_newest_of_a_site_are_those_of_all_devices_in_it_and_below(acme: Tenant) -> None:
    top = ok(await acme.api.post("/api/v1/sites", json={"name": "Harbour"}))["id"]
    below = ok(await acme.api.post("/api/v1/sites", json={"name": "Pier", "parentId": top}))["id"]
    device, one = await sensor(acme, "one", ValueType.DOUBLE, [1.0])
    await sensor(acme, "one", ValueType.DOUBLE, [2.0])
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE device SET site_id = %s WHERE id = %s", UUID(below), device)

    assert [item["sensorId"] for item in (await read(acme, "latest", siteId=top))["items"]] == [one]


async def test_a_batch_answers_for_each_sensor(acme: Tenant, globex: Tenant) -> None:
    _, number = await sensor(acme, "one", ValueType.DOUBLE, [1.0, 3.0])
    _, text = await sensor(acme, "one", ValueType.TEXT, ["a", "b"])
    _, foreign = await sensor(globex, "one", ValueType.DOUBLE, [9.0])
    body = {"sensorIds": [number, text, foreign], **DAY}

    raw = await acme.api.post("/api/v1/readings/batch", json=body | {"mode": "raw", "limit": 1})
    stats = await acme.api.post("/api/v1/readings/batch", json=body | {"mode": "stats"})
    latest = await acme.api.post("/api/v1/readings/batch", json=body | {"mode": "latest"})
    buckets = await acme.api.post("/api/v1/readings/batch", json=body | {"interval": "PT1H", "fn": ["avg", "count"]})
    fine = await acme.api.post("/api/v1/readings/batch", json=body | {"sensorIds": [number], "interval": "PT1H"})

    assert {answer.status_code for answer in (raw, stats, latest, buckets)} == {207}
    assert [values({"items": one.get("readings", [])}) for one in raw.json()["series"]] == [[1], ["a"], []]
    assert [one["stats"]["count"] for one in stats.json()["series"][:2]] == [2, 2]
    assert [one["latest"]["value"] for one in latest.json()["series"][:2]] == [3, "b"]
    first, second, third = buckets.json()["series"]
    assert first["points"] == [{"bucket": "2024-05-01T12:00:00Z", "avg": 2, "count": 2}]
    [wrong] = second["error"]["errors"]
    assert (wrong["code"], wrong["pointer"]) == ("function-does-not-fit", "/fn")
    assert (third["error"]["status"], third["sensorId"]) == (404, foreign)
    assert (fine.status_code, len(fine.json()["series"])) == (200, 1)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"sensorIds": []}, ["/sensorIds"]),
        ({"mode": "guess"}, ["/mode"]),
        ({"interval": None}, ["/interval"]),
        ({"interval": "soon"}, ["/interval"]),
        ({"mode": "raw", "limit": 10_001}, ["/limit"]),
        ({"from": "soon"}, ["/from"]),
        ({"colour": "red"}, ["/colour"]),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused_with_the_field_named(
    acme: Tenant, change: dict[str, Any], fields: list[str]
) -> None:
    _, id_ = await sensor(acme, "one", ValueType.DOUBLE)

    answer = await acme.api.post("/api/v1/readings/batch", json={"sensorIds": [id_], "interval": "PT1H"} | change)

    assert (answer.status_code, problem(answer)[2]) == (422, fields)


async def test_readings_of_a_device_come_in_order_of_time(acme: Tenant) -> None:
    device, one = await sensor(acme, "one", ValueType.DOUBLE, [1.0, 2.0])
    two = str(await add_sensor(acme.edge.system_database, acme.tenant_id, device, "two", ValueType.TEXT))
    await report(acme, device, Reading("two", at(0.5), "on"), Reading("$health/uptimeSeconds", at(0.7), 5))

    page = await read(acme, f"device/{device}", **DAY)
    first = await read(acme, f"device/{device}", **DAY, limit=2)
    rest = await read(acme, f"device/{device}", **DAY, limit=2, cursor=first["nextCursor"])

    assert [(item["sensorId"], item["value"]) for item in page["items"]] == [(one, 1), (two, "on"), (one, 2)]
    assert first["items"] + rest["items"] == page["items"]


async def test_rows_of_a_component_have_its_fields_in_json_csv_and_ndjson(acme: Tenant) -> None:
    database, tenant = acme.edge.system_database, acme.tenant_id
    device = await add_device(database, tenant)
    component = await add_component(database, tenant, device, "motor", [])
    for key, value_type in (("rpm", ValueType.DOUBLE), ("note", ValueType.TEXT), ("starts", ValueType.BIGINT)):
        await add_sensor(database, tenant, device, f"motor/{key}", value_type, component_id=component)
    rows = [
        Reading("motor/rpm", at(0), 900.5),
        Reading("motor/starts", at(0), 3),
        Reading("motor/note", at(1), 'a, "b"'),
    ]
    await report(acme, device, *rows, Reading("motor/rpm", at(2), 950.0))

    page = await read(acme, f"component/{component}", **DAY)
    cut = await acme.api.get(f"/api/v1/readings/component/{component}", params={**DAY, "format": "csv", "limit": 2})
    rest = await acme.api.get(
        f"/api/v1/readings/component/{component}",
        params={**DAY, "format": "ndjson", "cursor": cut.headers["x-next-cursor"]},
    )

    assert page["items"] == [
        {"timestamp": "2024-05-01T12:00:00Z", "rpm": 900.5, "starts": 3},
        {"timestamp": "2024-05-01T12:01:00Z", "note": 'a, "b"'},
        {"timestamp": "2024-05-01T12:02:00Z", "rpm": 950},
    ]
    assert cut.headers["content-type"].startswith("text/csv")
    assert cut.text == (
        "timestamp,note,rpm,starts\r\n"
        "2024-05-01T12:00:00Z,,900.5,3\r\n"
        '2024-05-01T12:01:00Z,"a, ""b""",,\r\n'
    )  # fmt: skip
    assert rest.headers["content-type"].startswith("application/x-ndjson")
    assert [msgspec.json.decode(line) for line in rest.content.splitlines()] == page["items"][2:]


async def test_a_purged_range_is_gone_from_everywhere_and_the_newest_is_what_is_left(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.BIGINT, [1, 2, 3, 4])
    span = {"from": "2024-05-01T12:02:00Z", "to": "2024-05-02T00:00:00Z"}

    incomplete = await acme.api.delete(f"/api/v1/readings/sensor/{id_}", params={"from": span["from"]})
    purged = ok(await acme.api.delete(f"/api/v1/readings/sensor/{id_}", params=span))

    assert problem(incomplete) == (422, "validation-failed", ["to"])
    assert purged == {"deleted": 2}
    assert values(await read(acme, f"sensor/{id_}", **DAY)) == [1, 2]
    assert (await read(acme, f"sensor/{id_}/latest"))["value"] == 2
    entries = ok(await acme.api.get("/api/v1/audit-log", params={"action": "reading.purge"}))["items"]
    assert [entry["resourceId"] for entry in entries] == [id_]

    ok(await acme.api.delete(f"/api/v1/readings/sensor/{id_}", params=DAY))
    assert (await acme.api.get(f"/api/v1/readings/sensor/{id_}/latest")).status_code == 404


async def test_only_those_who_may_purge_do(acme: Tenant) -> None:
    _, id_ = await sensor(acme, "one", ValueType.BIGINT, [1])
    reader = acme.client(await acme.add_key([Grant.READINGS_READ]))

    answer = await reader.delete(f"/api/v1/readings/sensor/{id_}", params=DAY)

    assert problem(answer)[:2] == (403, "scope-missing")
    assert values(await read(acme, f"sensor/{id_}", **DAY)) == [1]


@pytest.mark.parametrize(
    "path",
    [
        "sensor/{sensor}",
        "sensor/{sensor}/window?duration=PT1H",
        "sensor/{sensor}/aggregated?interval=PT1H",
        "sensor/{sensor}/stats",
        "sensor/{sensor}/latest",
        "device/{device}",
        "component/{unknown}",
        "latest?deviceId={device}",
        "latest?componentId={unknown}",
        "latest?siteId={unknown}",
    ],
)
async def test_what_belongs_to_others_does_not_exist(acme: Tenant, globex: Tenant, path: str) -> None:
    device, id_ = await sensor(globex, "one", ValueType.DOUBLE, [1.0])

    answer = await acme.api.get("/api/v1/readings/" + path.format(sensor=id_, device=device, unknown=new_id()))

    assert problem(answer)[:2] == (404, "not-found")
