"""Attributes of many devices over time, held against plain Python (contract section 11)."""

import statistics
from collections.abc import Callable
from typing import Any

import pytest

from roadstead.core.telemetry import device_curves
from roadstead.dialects.losant import data as routes
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.kernel.time import from_millis
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.kept import put_points, uuid_of
from tests.dialects.losant.world import add_application, add_device, report

__all__ = ["data_path", "edge"]

STEP = 10_000
BEGIN = 1_777_593_600_000
"""When `put_points` begins: a value a second."""
KINDS = [
    {"name": "level", "dataType": "number"},
    {"name": "open", "dataType": "boolean"},
    {"name": "mode", "dataType": "string"},
]
LEVELS = [4.0, -2.5, 8.0, 8.0, 1.0, 0.0, 3.5, 2.0, 9.0, 7.0, 6.0, 6.5, -1.0, 5.0]
OPEN = [True, True, False] * 4
MODES = ["auto", "auto", "off"] * 4

ORACLE: dict[str, Callable[[list[float]], float]] = {
    "FIRST": lambda values: values[0],
    "LAST": lambda values: values[-1],
    "COUNT": len,
    "MIN": min,
    "MAX": max,
    "MEAN": statistics.mean,
    "SUM": sum,
    "MEDIAN": statistics.median,
    "STD_DEV": statistics.stdev,
}


class Harbour:
    """Somebody with an application and two devices that have reported for some seconds."""

    def __init__(self, client: Client, application_id: str, devices: list[str]) -> None:
        self.client = client
        self.application_id = application_id
        self.devices = devices

    @classmethod
    async def of(cls, tenant: Tenant) -> "Harbour":
        """A new one."""
        client = await Client.of(tenant)
        application_id = await add_application(client)
        tags = [{"key": "dock", "value": "east"}, {"key": "dock", "value": "north"}]
        first = await add_device(client, application_id, "one", attributes=KINDS, tags=tags)
        second = await add_device(client, application_id, "two", attributes=KINDS)
        await put_points(tenant, first, "level", LEVELS)
        await put_points(tenant, first, "open", OPEN)
        await put_points(tenant, first, "mode", MODES)
        await put_points(tenant, second, "level", LEVELS[:3])
        return cls(client, application_id, [first, second])

    async def ask(self, **query: Any) -> Any:
        """A query of both devices about all of their time."""
        body = {"deviceIds": self.devices, "start": BEGIN, "end": BEGIN + 100_000} | query
        return await self.client.data("data.timeSeriesQuery", applicationId=self.application_id, json=body)

    async def fail(self, **query: Any) -> str:
        """What is said of a query that cannot be answered."""
        body = {"deviceIds": self.devices, "start": BEGIN, "end": BEGIN + 100_000} | query
        answer = await self.client.ask("data.timeSeriesQuery", applicationId=self.application_id, json=body)
        assert answer.status_code in (400, 413)
        message: str = answer.json()["message"]
        return message


def at(millis: int) -> str:
    """An instant so long after the first, as it is answered."""
    return spell_time(from_millis(BEGIN + millis))


@pytest.mark.parametrize("word", list(ORACLE))
async def test_every_aggregation_agrees_with_plain_python(edge: Any, acme: Tenant, word: str) -> None:
    harbour = await Harbour.of(acme)
    answer = await harbour.ask(aggregation=word, resolution=STEP, attributes=["level"])
    buckets = [LEVELS[:10], LEVELS[10:]]
    for device, expected in ((0, buckets), (1, [LEVELS[:3]])):
        points = answer["devices"][harbour.devices[device]]["points"]
        assert [point["time"] for point in points] == [at(number * STEP) for number in range(len(expected))]
        found = [point["data"]["level"] for point in points]
        assert found == pytest.approx([ORACLE[word](values) for values in expected])
    assert (answer["resolution"], answer["aggregation"], answer["limit"], answer["order"]) == (STEP, word, None, "asc")


async def test_truth_is_counted_as_one_and_words_only_have_ends(edge: Any, acme: Tenant) -> None:
    harbour = await Harbour.of(acme)
    first = harbour.devices[0]
    mean = (await harbour.ask(aggregation="MEAN", resolution=STEP))["devices"][first]["points"]
    assert set(mean[0]["data"]) == {"level", "open"}
    assert mean[0]["data"]["open"] == pytest.approx(0.7)
    last = (await harbour.ask(aggregation={"type": "LAST"}, resolution=STEP))["devices"][first]["points"]
    assert last[0]["data"] == {"level": 7.0, "open": True, "mode": "auto"}
    count = (await harbour.ask(aggregation="COUNT", resolution=STEP, attributes=["mode"]))["devices"][first]["points"]
    assert [point["data"] for point in count] == [{"mode": 10}, {"mode": 2}]
    assert "'mode' is no number" in await harbour.fail(aggregation="SUM", resolution=STEP, attributes=["mode"])


async def test_points_as_they_are_come_together_by_instant_in_either_order(edge: Any, acme: Tenant) -> None:
    harbour = await Harbour.of(acme)
    first, second = harbour.devices
    answer = await harbour.ask(aggregation="NONE", resolution=STEP, limit=2, order="desc")
    assert (answer["resolution"], answer["aggregation"], answer["limit"]) == (None, "NONE", 2)
    assert answer["devices"][first] == {
        "name": "one",
        "tags": {"dock": ["east", "north"]},
        "points": [{"time": at(13_000), "data": {"level": 5.0}}, {"time": at(12_000), "data": {"level": -1.0}}],
    }
    oldest = (await harbour.ask(limit=1, end=BEGIN))["devices"][first]["points"]
    assert oldest == [{"time": at(0), "data": {"level": 4.0, "open": True, "mode": "auto"}}]
    assert len((await harbour.ask())["devices"][second]["points"]) == 3


async def test_the_time_at_a_value_is_told_in_milliseconds(edge: Any, acme: Tenant) -> None:
    harbour = await Harbour.of(acme)
    first = harbour.devices[0]
    kinds: list[tuple[str, Any, list[Any]]] = [("mode", "off", MODES), ("open", False, OPEN), ("level", 8, LEVELS)]
    for name, value, changes in kinds:
        asked = {"type": "TIMEATVALUE", "options": {"value": value}}
        query = {"attributes": [name], "start": BEGIN, "end": BEGIN + 40_000, "resolution": 10_000}
        answer = await harbour.ask(aggregation=asked, **query)
        held = [point["data"][name] for point in answer["devices"][first]["points"]]
        plain = [0, 0, 0, 0]
        for second in range(40):
            now = changes[min(second, len(changes) - 1)]
            plain[second // 10] += 1000 * (now == value)
        assert held == plain
        assert answer["aggregation"] == asked
    assert "resolution" in await harbour.fail(aggregation={"type": "TIMEATVALUE", "options": {"value": 1}})


async def test_devices_are_chosen_by_id_tag_or_query_and_only_in_the_application(
    edge: Any, acme: Tenant, globex: Tenant
) -> None:
    harbour, theirs = await Harbour.of(acme), await Harbour.of(globex)
    first, second = harbour.devices
    elsewhere = await add_application(harbour.client, "Mill")
    stranger = await add_device(harbour.client, elsewhere, "three", attributes=KINDS)
    tagged = {"deviceIds": [], "deviceTags": [{"key": "dock", "value": "north"}]}
    assert list((await harbour.ask(**tagged))["devices"]) == [first]
    queried = {"deviceQuery": {"name": {"$startsWith": "t"}}}
    body = queried | {"start": BEGIN, "resolution": STEP}
    found = await harbour.client.data("data.timeSeriesQuery", applicationId=harbour.application_id, json=body)
    assert list(found["devices"]) == [second]
    assert (await harbour.ask(deviceIds=[stranger, theirs.devices[0]]))["devices"] == {}
    assert (await harbour.ask(deviceIds=[]))["devices"] == {}
    names = {"applicationId": theirs.application_id}
    assert await harbour.client.failure("data.timeSeriesQuery", json={}, **names) == (404, "NotFound")


async def test_a_query_without_times_is_about_the_last_day(data_path: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=["level"])
    await report(client, application_id, device_id, {"level": 3}, time=-90_000_000)
    await report(client, application_id, device_id, {"level": 5}, time=-1_000)
    asked = {"deviceIds": [device_id], "aggregation": "NONE"}
    answer = await client.data("data.timeSeriesQuery", applicationId=application_id, json=asked)
    assert [point["data"] for point in answer["devices"][device_id]["points"]] == [{"level": 5.0}]
    longer = asked | {"duration": 100_000_000, "order": "asc"}
    answer = await client.data("data.timeSeriesQuery", applicationId=application_id, json=longer)
    assert [point["data"]["level"] for point in answer["devices"][device_id]["points"]] == [3.0, 5.0]
    native = await acme.api.get("/api/v1/readings/latest", params={"deviceId": str(uuid_of(device_id))})
    assert [reading["value"] for reading in native.json()["items"]] == [5.0]


async def test_what_cannot_be_asked_is_named(edge: Any, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    harbour = await Harbour.of(acme)
    assert "resolution" in await harbour.fail(resolution=-1)
    assert "limit" in await harbour.fail(limit=-1)
    assert "duration" in await harbour.fail(duration=-1)
    assert "deviceQuery" in await harbour.fail(deviceQuery={"name": "one"})
    monkeypatch.setattr(routes, "_MOST_BYTES", 100)
    assert "30 MB" in await harbour.fail()
    monkeypatch.setattr(device_curves, "MOST_POINTS", 5)
    assert "more than 5 points" in await harbour.fail()
    monkeypatch.setattr(device_curves, "MOST_DEVICES", 1)
    assert "devices: may be 1" in await harbour.fail()
