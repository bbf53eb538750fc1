"""/v1/timeseries: series of a tenant's own, and their points."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.kernel import time
from roadstead.kernel.ids import new_id
from roadstead.kernel.time import spell_instant
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.reporting import DAY, NOON, told
from tests.people import last_actions

PLACE = {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"], "additionalProperties": True}


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def add(client: Client, kind: Any = "number", **fields: Any) -> str:
    """The id of a series."""
    data_type = kind if isinstance(kind, dict) else {"type": kind}
    made = await client.data("createTimeseries", json={"name": "load", "dataType": data_type} | fields)
    id_: str = made["id"]
    return id_


async def put(client: Client, series: str, *points: tuple[float, Any]) -> None:
    """Points so many minutes after noon."""
    data = [{"time": spell_instant(NOON + timedelta(minutes=minute)), "value": value} for minute, value in points]
    await client.data("addPoints", json={"data": data}, timeseriesId=series)


async def frames(client: Client, series: str, aggregation: str, **params: Any) -> Any:
    """Times and values of a page of frames."""
    asked = {"aggregation": aggregation, **DAY} | params
    answer = await client.ask("getAggregatedPoints", params=asked, timeseriesId=series)
    assert answer.status_code == 200, answer.text
    return told(answer.json()["data"])


async def test_a_series_is_made_read_changed_listed_and_deleted(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    made = await client.data(
        "createTimeseries", json={"name": "load", "dataType": PLACE, "metadata": {"site": "A", "floor": 2}}
    )
    id_ = made["id"]
    assert made == {"id": id_, "name": "load", "dataType": PLACE, "metadata": {"site": "A", "floor": 2}}
    assert await client.data("getTimeseries", timeseriesId=id_) == made
    other = await add(client)

    changed = await client.data("updateTimeseries", json={"metadata": {"site": "B"}}, timeseriesId=id_)
    assert changed == made | {"metadata": {"site": "B"}}
    changed = await client.data(
        "updateTimeseries", json={"name": "l", "dataType": {"type": "string"}}, timeseriesId=id_
    )
    assert changed == {"id": id_, "name": "l", "dataType": {"type": "string"}, "metadata": {"site": "B"}}
    page = (await client.ask("listTimeseries")).json()
    assert [series["id"] for series in page["data"]] == [other, id_]
    assert page["meta"] == {"page": 0, "pageSize": 20, "itemsTotal": 2, "pagesTotal": 1}

    for operation in ("getTimeseries", "updateTimeseries", "deleteTimeseries", "getLastPoints", "deletePoints"):
        failure = await stranger.failure(operation, json={"name": "x"}, timeseriesId=id_)
        assert failure == (404, "TIMESERIES_RESOURCE_NOT_FOUND")
    assert (await stranger.ask("listTimeseries")).json()["data"] == []
    assert (await client.ask("deleteTimeseries", timeseriesId=id_)).status_code == 204
    assert (await client.failure("getTimeseries", timeseriesId=id_))[0] == 404
    assert "timeseries.delete" in await last_actions(acme, 1)


async def test_a_list_is_filtered_by_ids_and_by_members_of_metadata(acme: Tenant) -> None:
    client = await Client.of(acme)
    one = await add(client, metadata={"site": "A", "floor": 1, "tags": ["x", "y"]})
    two = await add(client, metadata={"site": "A", "floor": 2})
    await add(client)

    async def found(**body: Any) -> set[str]:
        return {series["id"] for series in (await client.ask("listTimeseries", json=body)).json()["data"]}

    assert await found(metadata={"site": "A"}) == {one, two}
    assert await found(metadata={"site": "A", "floor": 2}) == {two}
    assert await found(metadata={"tags": ["x"]}) == set()
    assert await found(metadata={"tags": ["x", "y"]}) == {one}
    assert await found(timeseriesIds=[two, str(new_id())]) == {two}
    assert await found(timeseriesIds=[two], metadata={"floor": 1}) == set()
    assert (await client.failure("listTimeseries", json={"name": "load"}))[0] == 400
    page = await client.ask("listTimeseries", params={"page": 1, "pageSize": 2})
    assert [len(page.json()["data"]), page.json()["meta"]["pagesTotal"]] == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        {"dataType": {"type": "number"}},
        {"name": "", "dataType": {"type": "number"}},
        {"name": "load"},
        {"name": "load", "dataType": {"type": "array"}},
        {"name": "load", "dataType": {"type": "number", "minimum": 3}},
        {"name": "load", "dataType": {"type": "object", "properties": {"a": {"type": "no such type"}}}},
        {"name": "load", "dataType": {"type": "number"}, "metadata": {}},
        {"name": "lo\0ad", "dataType": {"type": "number"}},
        {"name": "load", "dataType": {"type": "number"}, "metadata": {"a": "\0"}},
    ],
)
async def test_a_series_that_cannot_be_is_refused(acme: Tenant, body: Any) -> None:
    client = await Client.of(acme)

    assert await client.failure("createTimeseries", json=body) == (400, "TIMESERIES_VALIDATION")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("number", [1.5, -3, 2**53 + 1]),
        ("integer", [1, 2**62 + 1, -7]),
        ("boolean", [True, False, True]),
        ("string", ["open", "", "true", "halb zu ½"]),
        (PLACE, [{"lat": 1.5}, {"lat": 2, "note": {"deep": ["a", None, "\0"]}}]),
    ],
)
async def test_points_come_back_newest_first_as_they_were_added(acme: Tenant, kind: Any, sent: list[Any]) -> None:
    client = await Client.of(acme)
    series = await add(client, kind)
    start = time.now() - timedelta(minutes=30)
    data = [
        {"value": value, "time": spell_instant(start + timedelta(minutes=index))} for index, value in enumerate(sent)
    ]
    old = {"value": sent[0], "time": spell_instant(start - timedelta(hours=1))}

    answer = await client.ask("addPoints", json={"data": [old, *data]}, timeseriesId=series)
    found = await client.data("getLastPoints", timeseriesId=series)

    assert answer.status_code == 201
    assert [point["value"] for point in answer.json()["data"]] == [sent[0], *sent]
    assert [point["value"] for point in found] == sent[::-1]
    if kind != "number":  # JSON has one kind of them.
        assert [type(point["value"]) for point in found] == [type(value) for value in sent[::-1]]


async def test_a_point_without_a_time_is_of_now_and_none_is_lost(acme: Tenant) -> None:
    client = await Client.of(acme)
    series = await add(client)
    before = time.now()

    added = await client.data(
        "addPoints", json={"data": [{"value": 1}, {"value": 2}, {"value": 3}]}, timeseriesId=series
    )

    found = await client.data("getLastPoints", timeseriesId=series)
    assert [point["value"] for point in found] == [3, 2, 1]
    assert found == added[::-1]
    newest = time.parse_instant(found[0]["time"])
    assert newest is not None
    assert before <= newest <= time.now()


async def test_of_two_points_of_one_time_the_later_counts(acme: Tenant) -> None:
    client = await Client.of(acme)
    series = await add(client)
    await put(client, series, (0, 1), (0, 2))
    assert await frames(client, series, "sum") == [("2024-05-01T00:00:00.000Z", 2)]
    await put(client, series, (0, 3))
    assert await frames(client, series, "sum") == [("2024-05-01T00:00:00.000Z", 3)]


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("number", [{"value": "1"}]),
        ("number", [{"value": 1}, {"value": None}]),
        ("integer", [{"value": 1.5}]),
        ("integer", [{"value": 2**63}]),
        ("boolean", [{"value": 0}]),
        ("string", [{"value": 1}]),
        (PLACE, [{"value": {}}]),
        (PLACE, [{"value": {"lat": "north"}}]),
        ("number", [{"time": "2024-05-01T00:00:00Z"}]),
        ("number", [{"value": 1, "time": "2024-05-01T00:00:00"}]),
        ("number", [{"value": 1, "time": "1969-05-01T00:00:00Z"}]),
        ("number", []),
    ],
)
async def test_points_that_do_not_fit_are_refused_together(acme: Tenant, kind: Any, points: list[Any]) -> None:
    client = await Client.of(acme)
    series = await add(client, kind)

    failure = await client.failure("addPoints", json={"data": points}, timeseriesId=series)

    assert failure == (400, "TIMESERIES_VALIDATION")
    assert await client.data("getLastPoints", timeseriesId=series) == []


async def test_frames_are_paged_newest_first(acme: Tenant) -> None:
    client = await Client.of(acme)
    series = await add(client, "integer")
    await put(client, series, *[(minute, minute) for minute in range(60)], (600, 1_000))

    assert await frames(client, series, "max", frameSize="15m", pageSize=3) == [
        ("2024-05-01T22:00:00.000Z", 1_000),
        ("2024-05-01T12:45:00.000Z", 59),
        ("2024-05-01T12:30:00.000Z", 44),
    ]
    assert await frames(client, series, "count", frameSize="15m", pageSize=3, page=1) == [
        ("2024-05-01T12:15:00.000Z", 15),
        ("2024-05-01T12:00:00.000Z", 15),
    ]
    asked = {"aggregation": "sum", "frameSize": "15m", "pageSize": 0, **DAY}
    answer = (await client.ask("getAggregatedPoints", params=asked, timeseriesId=series)).json()
    assert answer == {"data": [], "meta": {"page": 0, "pageSize": 0, "itemsTotal": 5, "pagesTotal": 0}}
    assert await frames(client, series, "diff") == [("2024-05-01T00:00:00.000Z", 1_000)]


async def test_what_is_no_number_can_only_be_counted(acme: Tenant) -> None:
    client = await Client.of(acme)
    places = await add(client, PLACE)
    await put(client, places, (0, {"lat": 1}), (1, {"lat": 2}))
    switches = await add(client, "boolean")
    await put(client, switches, (0, True), (1, False))

    assert await frames(client, places, "count", frameSize="1h") == [("2024-05-01T12:00:00.000Z", 2)]
    assert await frames(client, switches, "mean", frameSize="1h") == [("2024-05-01T12:00:00.000Z", 0.5)]
    params = {"aggregation": "mean", **DAY}
    failure = await client.failure("getAggregatedPoints", params=params, timeseriesId=places)
    assert failure == (400, "TIMESERIES_VALIDATION")
    failure = await client.failure("getAggregatedPoints", params={"aggregation": "sum"}, timeseriesId=switches)
    assert failure == (400, "TIMESERIES_VALIDATION")


async def test_points_are_deleted_in_a_span_or_all_and_those_of_others_stay(acme: Tenant) -> None:
    client = await Client.of(acme)
    series, other = await add(client), await add(client)
    for one in (series, other):
        await put(client, one, (0, 1), (1, 2), (2, 4))

    span = {"startTime": "2024-05-01T12:01:00Z", "endTime": "2024-05-01T12:02:00Z"}
    assert (await client.ask("deletePoints", params=span, timeseriesId=series)).status_code == 204
    assert await frames(client, series, "sum") == [("2024-05-01T00:00:00.000Z", 5)]
    await client.ask("deletePoints", timeseriesId=series)
    assert await frames(client, series, "count") == []
    assert await frames(client, other, "sum") == [("2024-05-01T00:00:00.000Z", 7)]


async def test_points_from_before_a_change_of_type_are_told_as_they_were(acme: Tenant) -> None:
    client = await Client.of(acme)
    series = await add(client, "number")
    await client.data("addPoints", json={"data": [{"value": 1.5}]}, timeseriesId=series)
    await client.data("updateTimeseries", json={"dataType": PLACE}, timeseriesId=series)
    await client.data("addPoints", json={"data": [{"value": {"lat": 2}}]}, timeseriesId=series)

    found = await client.data("getLastPoints", timeseriesId=series)

    assert [point["value"] for point in found] == [{"lat": 2}, 1.5]
