"""/sensors over HTTP."""

from typing import Any, cast

import msgspec
import pytest_asyncio

from roadstead.core.ports import Series, Span, TelemetryStore
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, add_profiles, names, ok, problem, set_state

SENSORS = "/api/v1/sensors"


class CountedPoints:
    """A telemetry store that knows how many points a series has, and nothing else."""

    def __init__(self) -> None:
        self.counts: dict[tuple[TenantId, str], int] = {}

    async def count(self, tenant: TenantId, series: Series) -> int:
        """How many points a series has."""
        return self.counts.get((tenant, series.path), 0)

    async def delete(self, tenant: TenantId, device: DeviceId, path: str | None, span: Span | None) -> int:
        """All of them."""
        return self.counts.pop((tenant, path or ""), 0)


@pytest_asyncio.fixture
async def points() -> CountedPoints:
    """What lies in the telemetry store."""
    return CountedPoints()


@pytest_asyncio.fixture
async def edge(edge: Edge, points: CountedPoints) -> Edge:
    """The routes, with such a telemetry store."""
    ports = msgspec.structs.replace(edge.ports, telemetry=cast(TelemetryStore, points))
    return msgspec.structs.replace(edge, ports=ports)


async def add_sensor(tenant: Tenant, device: Any, key: str, **fields: Any) -> Any:
    """A sensor of a device, as answered."""
    body = {"deviceId": device["id"], "key": key, "valueType": "DOUBLE", **fields}
    return ok(await tenant.api.post(SENSORS, json=body))


async def test_a_sensor_comes_back_as_it_was_created(acme: Tenant, globex: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    sent: dict[str, Any] = {
        "key": "oil.temp",
        "name": "Oil",
        "unit": "°C",
        "min": -20,
        "max": 120.5,
        "metadata": {"tag": "T1"},
    }
    sensor = await add_sensor(acme, device, **sent)
    assert {key: sensor[key] for key in sent} == sent
    assert (sensor["active"], sensor["valueType"], sensor["version"]) == (True, "DOUBLE", 1)
    assert not {"componentId", "field", "lastReadingAt", "latest"} & sensor.keys()
    answer = await acme.api.get(f"{SENSORS}/{sensor['id']}")
    assert (ok(answer), answer.headers["etag"]) == (sensor, '"1"')
    assert problem(await globex.api.get(f"{SENSORS}/{sensor['id']}"))[0] == 404
    assert await names(globex, SENSORS) == []


async def test_a_sensor_needs_a_home_and_a_free_key_there(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    device, other = await add_device(acme, "pump-1", deviceProfile="pump"), await add_device(acme, "pump-2")
    (component,) = ok(await acme.api.get(f"/api/v1/devices/{device['id']}/components"))["items"]
    theirs = await add_device(globex, "x")
    await add_sensor(acme, device, "a")
    whole = {"deviceId": device["id"], "key": "b", "valueType": "DOUBLE"}
    for change, expected in (
        ({"key": "a"}, (409, ["/key"])),
        ({"key": "rpm", "componentId": component["id"]}, (409, ["/key"])),
        ({"deviceId": theirs["id"]}, (422, ["/deviceId"])),
        ({"deviceId": other["id"], "componentId": component["id"]}, (422, ["/componentId"])),
        ({"componentId": "x"}, (422, ["/componentId"])),
        ({"deviceId": None}, (422, ["/deviceId"])),
        ({"key": "a/b"}, (422, ["/key"])),
        ({"key": "$health"}, (422, ["/key"])),
        ({"valueType": "BOOLEAN", "min": 1}, (422, ["/min"])),
        ({"min": 2, "max": 1}, (422, ["/max"])),
        ({"valueType": "FLOAT"}, (422, ["/valueType"])),
    ):
        assert problem(await acme.api.post(SENSORS, json=whole | change))[::2] == expected, change
    extra = ok(await acme.api.post(SENSORS, json={"componentId": component["id"], "key": "a", "valueType": "TEXT"}))
    assert (extra["deviceId"], extra["componentId"]) == (device["id"], component["id"])


async def test_a_sensor_keeps_its_home_and_key_and_its_type_once_it_has_readings(
    acme: Tenant, points: CountedPoints
) -> None:
    device = await add_device(acme, "pump-1")
    sensor = await add_sensor(acme, device, "t", unit="K", metadata={"a": 1, "b": 2})
    path = f"{SENSORS}/{sensor['id']}"

    patched = ok(await acme.api.patch(path, json={"valueType": "BIGINT", "unit": None, "metadata": {"a": None}}))
    assert (patched["valueType"], patched["metadata"], patched["version"]) == ("BIGINT", {"b": 2}, 2)
    assert "unit" not in patched
    assert problem(await acme.api.patch(path, json={"key": "u"}))[::2] == (422, ["/key"])
    points.counts[acme.tenant_id, "t"] = 1
    assert problem(await acme.api.patch(path, json={"valueType": "TEXT"}))[::2] == (422, ["/valueType"])
    assert ok(await acme.api.patch(path, json={"max": 5}))["max"] == 5
    whole = {"deviceId": device["id"], "key": "t", "valueType": "BIGINT"}
    replaced = ok(await acme.api.put(path, json=whole, headers={"if-match": '"3"'}))
    assert (replaced["name"], replaced.get("max"), replaced.get("metadata")) == ("t", None, None)
    assert problem(await acme.api.put(path, json=whole, headers={"if-match": '"3"'}))[0] == 412


async def test_a_sensor_with_readings_goes_only_with_them(acme: Tenant, points: CountedPoints) -> None:
    device = await add_device(acme, "pump-1")
    sensor = await add_sensor(acme, device, "t")
    path = f"{SENSORS}/{sensor['id']}"
    points.counts[acme.tenant_id, "t"] = 3
    await set_state(acme, device["id"], '{"t": [1, 2, 3], "u": [1, 2, 3]}')

    assert problem(await acme.api.delete(path))[:2] == (409, "in-use")
    assert (await acme.api.delete(path, params={"purge": True})).status_code == 204
    assert (await acme.api.get(path)).status_code == 404
    assert points.counts == {}
    again = await add_sensor(acme, device, "t")
    assert "lastReadingAt" not in ok(await acme.api.get(f"{SENSORS}/{again['id']}"))


async def test_the_latest_value_is_shown_on_demand(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    for key, value_type in (("n", "DOUBLE"), ("t", "TEXT"), ("b", "BOOLEAN"), ("none", "BIGINT")):
        await add_sensor(acme, device, key, valueType=value_type)
    await set_state(
        acme,
        device["id"],
        '{"n": [1.5, 1777629600000, 1777629600250], "t": ["5", 2000, 3000], "b": [true, 1000, 1000]}',
    )
    path = f"/api/v1/devices/{device['id']}/sensors"
    shown = {item["key"]: item for item in ok(await acme.api.get(path, params={"expand": "latest"}))["items"]}
    plain = {item["key"]: item for item in ok(await acme.api.get(SENSORS))["items"]}

    assert shown["n"]["latest"] == {
        "sensorId": shown["n"]["id"],
        "timestamp": "2026-05-01T10:00:00Z",
        "value": 1.5,
        "valueType": "DOUBLE",
        "receivedAt": "2026-05-01T10:00:00.250000Z",
    }
    assert (shown["t"]["latest"]["value"], shown["b"]["latest"]["value"]) == ("5", True)
    assert "latest" not in shown["none"]
    assert plain["n"]["lastReadingAt"] == "2026-05-01T10:00:00Z"
    assert not any("latest" in item for item in plain.values())
    assert await names(acme, SENSORS, sort="-lastReadingAt") == ["n", "t", "b", "none"]


async def test_sensors_are_found_by_home_type_activity_and_beginning(acme: Tenant) -> None:
    await add_profiles(acme)
    device = await add_device(acme, "pump-1", deviceProfile="pump")
    (component,) = ok(await acme.api.get(f"/api/v1/devices/{device['id']}/components"))["items"]
    other = await add_device(acme, "other")
    await add_sensor(acme, other, "x1", name="Tank level", valueType="TEXT")
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE sensor SET active = false WHERE tenant_id = %s AND key = 'starts'", acme.tenant_id)
    for params, found_names in (
        ({"deviceId": other["id"]}, ["Tank level"]),
        ({"componentId": component["id"], "sort": "-name"}, ["starts", "rpm", "phases[1]", "phases[0]"]),
        ({"deviceId": "x"}, []),
        ({"componentId": "x"}, []),
        ({"valueType": "TEXT"}, ["Tank level"]),
        ({"active": "false"}, ["starts"]),
        ({"q": "tank"}, ["Tank level"]),
        ({"q": "X1"}, ["Tank level"]),
        ({"q": "level"}, []),
        ({"q": "phases[", "active": "true"}, ["phases[0]", "phases[1]"]),
    ):
        assert await names(acme, SENSORS, **params) == found_names, params
