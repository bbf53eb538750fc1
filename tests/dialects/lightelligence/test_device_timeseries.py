"""What was kept of a path of a device: the last hour, frames, deleting."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Value, ValueType
from roadstead.kernel import time
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.reporting import DAY, NOON, minutes, report, told
from tests.dialects.native.fleet import ok
from tests.fleet import add_device as add_native
from tests.fleet import add_sensor

PEOPLE, CO2 = "$.attributes.people", "$.attributes.air.co2"


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def sensor(client: Client, **fields: Any) -> str:
    """The id of a device of the contract's example type."""
    device: str = (await add_device(client, await add_type(client, **fields)))["id"]
    return device


async def frames(client: Client, device: str, path: str, aggregation: str, size: str | None = None) -> Any:
    """Times and values of the frames of a day."""
    params = {"path": path, "aggregation": aggregation, **DAY} | ({"frameSize": size} if size else {})
    return told(await client.data("getAggregatedTimeseries", params=params, deviceId=device))


async def test_the_last_hour_is_told_newest_first_and_as_exactly_as_it_was_measured(
    acme: Tenant, globex: Tenant
) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    device = await sensor(client)
    now = time.now().replace(microsecond=0)
    points = [
        (now - timedelta(minutes=61), 1),
        (now - timedelta(minutes=3), 2),
        (now - timedelta(minutes=2) + timedelta(milliseconds=500), 3),
        (now - timedelta(minutes=1) + timedelta(milliseconds=45), 4),
    ]
    await report(acme, device, "people", points)

    found = await client.data("getLastTimeseries", params={"path": PEOPLE}, deviceId=device)

    stem = "%Y-%m-%dT%H:%M:%S"
    assert told(found) == [
        (points[3][0].strftime(stem) + ".045Z", 4),
        (points[2][0].strftime(stem) + ".5Z", 3),
        (points[1][0].strftime(stem) + "Z", 2),
    ]
    failure = await stranger.failure("getLastTimeseries", params={"path": PEOPLE}, deviceId=device)
    assert failure == (404, "TIMESERIES_DEVICE")


@pytest.mark.parametrize(
    ("path", "told_path", "sent"),
    [
        ("people", PEOPLE, [2**60 + 1, 0, 7]),
        ("air.co2", CO2, [412.25, -0.5, 3.0]),
        ("zones[0]", "$.attributes.zones[0]", [True, False, True]),
        ("configuration/interval", "$.configuration.interval", [60, 30, 10]),
    ],
)
async def test_values_are_those_of_the_native_api(acme: Tenant, path: str, told_path: str, sent: list[Value]) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    start = time.now() - timedelta(minutes=10)
    await report(acme, device, path, minutes(sent, start=start))

    found = await client.data("getLastTimeseries", params={"path": told_path}, deviceId=device)

    params = {"from": time.spell_instant(start), "order": "desc"}
    native = ok(await acme.api.get(f"/api/v1/readings/device/{device}", params=params))["items"]
    assert [point["value"] for point in found] == sent[::-1] == [item["value"] for item in native]
    assert [type(point["value"]) for point in found] == [type(value) for value in sent]


async def test_a_path_that_no_rule_keeps_is_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await sensor(client)

    for path in ("$.attributes.air.voc", "$.attributes.nothing", "$.events.crowded", "people", "$.attributes.zones[*]"):
        params = {"path": path, "aggregation": "count", **DAY}
        failure = await client.failure("getLastTimeseries", params={"path": path}, deviceId=device)
        assert failure == (400, "TIMESERIES_BADREQUEST")
        failure = await client.failure("getAggregatedTimeseries", params=params, deviceId=device)
        assert failure == (400, "AGGREGATEDTIMESERIES_BAD_REQUEST")
        failure = await client.failure("deleteTimeseriesData", params={"path": path}, deviceId=device)
        assert failure == (400, "TIMESERIES_BADREQUEST")
    assert await client.data("getLastTimeseries", params={"path": CO2}, deviceId=device) == []


async def test_sensors_of_native_devices_are_all_kept_also_those_of_components(acme: Tenant) -> None:
    client = await Client.of(acme)
    database = acme.edge.system_database
    pump = await add_native(database, acme.tenant_id)
    for path in ("pressure", "motor/temperature"):
        await add_sensor(database, acme.tenant_id, pump, path, ValueType.DOUBLE)
        await report(acme, str(pump), path, minutes([1.5, 2.5]))

    for path in ("$.attributes.pressure", "$.attributes.motor.temperature"):
        assert await frames(client, str(pump), path, "sum") == [("2024-05-01T00:00:00.000Z", 4)]


@pytest.mark.parametrize(
    ("aggregation", "first", "second"),
    [
        ("min", 1, 5),
        ("max", 9, 5),
        ("mean", 4, 5),
        ("sum", 12, 5),
        ("count", 3, 1),
        ("diff", 8, 0),
        ("first", 1, 5),
        ("last", 9, 5),
    ],
)
async def test_frames_boil_their_points_down(acme: Tenant, aggregation: str, first: float, second: float) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    await report(acme, device, "people", [*minutes([1, 2, 9]), (NOON + timedelta(hours=2), 5)])

    assert await frames(client, device, PEOPLE, aggregation, "1h") == [
        ("2024-05-01T14:00:00.000Z", second),
        ("2024-05-01T12:00:00.000Z", first),
    ]


@pytest.mark.parametrize(("size", "starts"), [("1m", 60), ("5m", 12), ("30m", 2), ("1h", 1), ("1d", 1)])
async def test_frames_begin_at_multiples_of_their_size_in_utc(acme: Tenant, size: str, starts: int) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    await report(acme, device, "air.co2", minutes([1.0] * 60))

    found = await frames(client, device, CO2, "count", size)

    assert len(found) == starts
    assert sum(count for _, count in found) == 60
    assert found[-1][0] == ("2024-05-01T00:00:00.000Z" if size == "1d" else "2024-05-01T12:00:00.000Z")
    assert found == sorted(found, reverse=True)


async def test_a_span_takes_its_start_and_leaves_its_end(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    await report(acme, device, "people", minutes([1, 2, 3, 4]))
    params = {
        "path": PEOPLE,
        "aggregation": "count",
        "startTime": "2024-05-01T12:01:00Z",
        "endTime": "2024-05-01T12:03:00Z",
    }

    found = await client.data("getAggregatedTimeseries", params=params, deviceId=device)

    assert told(found) == [("2024-05-01T12:01:00.000Z", 2)]


async def test_a_span_may_reach_to_the_ends_of_time(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    await report(acme, device, "people", minutes([1, 2]))
    params = {"path": PEOPLE, "aggregation": "sum", "frameSize": "1d"}

    async def found(start: str, end: str) -> Any:
        asked = params | {"startTime": start, "endTime": end}
        return told(await client.data("getAggregatedTimeseries", params=asked, deviceId=device))

    assert await found("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z") == [("2024-05-01T00:00:00.000Z", 3)]
    assert await found("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z") == []


async def test_without_a_point_the_one_frame_is_null_and_others_are_left_out(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await sensor(client)

    assert await frames(client, device, PEOPLE, "mean") == [("2024-05-01T00:00:00.000Z", None)]
    assert await frames(client, device, PEOPLE, "mean", "1h") == []


async def test_booleans_are_numbers_and_text_can_only_be_counted(acme: Tenant) -> None:
    client = await Client.of(acme)
    rules = [{"path": path, "reportTo": ["timeseries"]} for path in ("$.attributes.zones[0]", "$.configuration.led")]
    device = await sensor(client, reportingRules=rules)
    await report(acme, device, "zones[0]", minutes([False, True, True, True]))
    await report(acme, device, "configuration/led", minutes(["on", "off"]))

    zone, led, day = "$.attributes.zones[0]", "$.configuration.led", "2024-05-01T00:00:00.000Z"
    assert await frames(client, device, zone, "mean", "1d") == [(day, 0.75)]
    assert await frames(client, device, zone, "first", "1d") == [(day, 0)]
    assert await frames(client, device, zone, "diff", "1d") == [(day, 1)]
    assert await frames(client, device, led, "count", "1d") == [(day, 2)]
    params = {"path": led, "aggregation": "max", **DAY}
    assert (await client.failure("getAggregatedTimeseries", params=params, deviceId=device))[0] == 400


async def test_more_than_4000_frames_are_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    await report(acme, device, "people", minutes([1] * 4_001))
    params: dict[str, str] = {"path": PEOPLE, "aggregation": "sum", "frameSize": "1m"}
    span = {"startTime": "1999-01-01T00:00:00Z", "endTime": "2030-01-01T00:00:00Z"}

    failure = await client.failure("getAggregatedTimeseries", params=params | span, deviceId=device)
    assert failure == (400, "AGGREGATEDTIMESERIES_BAD_REQUEST")
    span["startTime"] = "2024-05-01T12:01:00Z"
    found = await client.data("getAggregatedTimeseries", params=params | span, deviceId=device)
    assert len(found) == 4_000
    whole = await client.data(
        "getAggregatedTimeseries", params={"path": PEOPLE, "aggregation": "sum"} | span, deviceId=device
    )
    assert told(whole) == [("2024-05-01T12:01:00.000Z", 4_000)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"startTime": "yesterday"},
        {"endTime": None},
        {"startTime": DAY["endTime"], "endTime": DAY["startTime"]},
        {"frameSize": "15m"},
        {"aggregation": "median"},
        {"aggregation": None},
        {"path": None},
    ],
)
async def test_what_cannot_be_answered_is_refused(acme: Tenant, wrong: dict[str, str | None]) -> None:
    client = await Client.of(acme)
    device = await sensor(client)
    params = {"path": PEOPLE, "aggregation": "sum", "limit": "3", **DAY} | wrong

    sent = {name: value for name, value in params.items() if value is not None}
    failure = await client.failure("getAggregatedTimeseries", params=sent, deviceId=device)
    assert failure == (400, "AGGREGATEDTIMESERIES_BAD_REQUEST")


async def test_a_path_is_deleted_in_a_span_or_altogether_and_for_every_api(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    device = await sensor(client)
    await report(acme, device, "people", minutes([1, 2, 3, 4]))
    await report(acme, device, "air.co2", minutes([1.0]))
    params = {"path": PEOPLE, "startTime": "2024-05-01T12:01:00Z", "endTime": "2024-05-01T12:03:00Z"}

    failure = await stranger.failure("deleteTimeseriesData", params={"path": PEOPLE}, deviceId=device)
    assert failure == (404, "TIMESERIES_DEVICE")
    assert (await client.ask("deleteTimeseriesData", params=params, deviceId=device)).status_code == 204
    assert await frames(client, device, PEOPLE, "sum") == [("2024-05-01T00:00:00.000Z", 5)]
    span = {"from": DAY["startTime"], "to": DAY["endTime"]}
    native = ok(await acme.api.get(f"/api/v1/readings/device/{device}", params=span))["items"]
    assert sorted(item["value"] for item in native) == [1, 1.0, 4]

    await client.ask("deleteTimeseriesData", params={"path": PEOPLE}, deviceId=device)
    assert await frames(client, device, PEOPLE, "count") == [("2024-05-01T00:00:00.000Z", None)]
    assert await frames(client, device, CO2, "count") == [("2024-05-01T00:00:00.000Z", 1)]


async def test_values_of_several_types_come_back_as_they_were_reported(acme: Tenant) -> None:
    client = await Client.of(acme)
    rules = [{"path": "$.attributes.code", "reportTo": ["timeseries"]}]
    device = await sensor(client, schema={"attributes": {"code": {"type": ["number", "string"]}}}, reportingRules=rules)
    start = time.now() - timedelta(minutes=10)
    await report(acme, device, "code", minutes(['"E7"', "7", "2.5"], start=start))

    found = await client.data("getLastTimeseries", params={"path": "$.attributes.code"}, deviceId=device)

    assert [point["value"] for point in found] == [2.5, 7, "E7"]


async def test_without_a_token_nothing_is_told(acme: Tenant) -> None:
    device = await sensor(await Client.of(acme))

    answer = await Client(acme).ask("getLastTimeseries", params={"path": PEOPLE}, deviceId=device)
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "TIMESERIES_UNAUTHORIZED")
    params = {"path": PEOPLE, "aggregation": "sum", **DAY}
    answer = await Client(acme).ask("getAggregatedTimeseries", params=params, deviceId=device)
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "AGGREGATEDTIMESERIES_UNAUTHORIZED")
