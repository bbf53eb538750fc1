"""Devices that go, and come back while they are kept."""

from datetime import timedelta

import msgspec
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core import registry
from roadstead.kernel.ids import DeviceId
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.kept import points_of, put_points, uuid_of
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import add_profiles, ok, problem


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """The routes, with a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def restore(tenant: Tenant, device: str) -> None:
    """Bring a device back."""
    async with tenant.work() as work:
        await registry.restore_device(work, DeviceId(uuid_of(device)))


async def test_a_deleted_device_is_gone_for_everybody_and_comes_back_as_it_was(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    application = await add_application(client)
    tags = [{"key": "floor", "value": "1"}, {"key": "floor", "value": "2"}]
    attributes = [{"name": "speed", "dataType": "number", "description": "fast"}, {"name": "at", "dataType": "gps"}]
    device = await add_device(client, application, "Pump", tags=tags, attributes=attributes, description="told")
    place = {"applicationId": application, "deviceId": device}
    await put_points(acme, device, "speed", [1.0, 2.0])
    before = await client.data("device.get", **place)

    assert await stranger.failure("device.delete", **place) == (404, "NotFound")
    assert await client.data("device.delete", **place) == {"success": True}
    assert await client.failure("device.get", **place) == (404, "NotFound")
    assert (await client.data("devices.get", applicationId=application))["totalCount"] == 0
    assert problem(await acme.api.get(f"/api/v1/devices/{uuid_of(device)}"))[0] == 404
    listed = await client.data("devices.get", applicationId=application, params={"queryDeleted": "true"})
    [kept] = listed["items"]
    assert kept["deletedAt"] >= before["lastUpdated"]
    assert {name: kept[name] for name in ("id", "name", "tags", "attributes", "description")} == {
        name: before[name] for name in ("id", "name", "tags", "attributes", "description")
    }

    await restore(acme, device)
    after = await client.data("device.get", **place)
    changing = {"lastUpdated", "_etag"}
    assert {name: each for name, each in after.items() if name not in changing} == {
        name: each for name, each in before.items() if name not in changing
    }
    assert await points_of(acme, device, "speed") == [1.0, 2.0]
    sensors = ok(await acme.api.get("/api/v1/sensors", params={"deviceId": str(uuid_of(device))}))["items"]
    assert {each["key"]: "lastReadingAt" in each for each in sensors} == {"at": False, "speed": True}
    listed = await client.data("devices.get", applicationId=application, params={"tagFilter": [{"value": "2"}]})
    assert listed["totalCount"] == 1
    listed = await client.data("devices.get", applicationId=application, params={"queryDeleted": "true"})
    assert listed["items"] == []


async def test_deleted_devices_are_found_by_what_they_were(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    application = await add_application(client)
    top = await add_device(client, application, "top", deviceClass="system")
    middle = await add_device(client, application, "middle", deviceClass="system", parentId=top)
    leaf = await add_device(client, application, "Leaf", parentId=middle, attributes=["speed"])
    tagged = await add_device(client, application, "tagged", tags=[{"key": "a", "value": "1"}])
    for device in (leaf, tagged):
        await client.data("device.delete", applicationId=application, deviceId=device)
    theirs = await add_application(stranger)
    gone = await add_device(stranger, theirs, "theirs")
    await stranger.data("device.delete", applicationId=theirs, deviceId=gone)

    async def names(**query: object) -> list[str]:
        params = {"queryDeleted": "1", "query": query, "sortField": "deletedAt"}
        listed = await client.data("devices.get", applicationId=application, params=params)
        return [each["name"] for each in listed["items"]]

    assert await names() == ["Leaf", "tagged"]
    assert await names(name={"$startsWith": "le", "$ci": True}) == ["Leaf"]
    assert await names(ancestorId=top) == ["Leaf"]
    assert await names(parentId=middle) == ["Leaf"]
    assert await names(attributeName="speed") == ["Leaf"]
    assert await names(tags={"a": "1"}) == ["tagged"]
    assert await names(tags={"$tagKey": "a", "$tagValue": "2"}) == []
    assert await names(deletedAt={"$gt": "2020-01-01T00:00:00.000Z"}, deviceClass="standalone") == ["Leaf", "tagged"]
    assert await names(connectionStatus="unknown") == ["Leaf", "tagged"]


async def test_what_lay_below_or_was_spoken_for_stays_and_is_taken_back(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    gateway = await add_device(client, application, "gateway", deviceClass="gateway")
    valve = await add_device(client, application, "valve", deviceClass="peripheral", gatewayId=gateway)
    top = await add_device(client, application, "top", deviceClass="system")
    child = await add_device(client, application, "child", parentId=top)
    moved = await add_device(client, application, "moved", parentId=top)
    for device in (gateway, top):
        await client.data("device.delete", applicationId=application, deviceId=device)
    shown = await client.data("device.get", applicationId=application, deviceId=valve)
    assert (shown["deviceClass"], "gatewayId" in shown) == ("peripheral", False)
    shown = await client.data("device.get", applicationId=application, deviceId=child)
    assert (shown["parentId"], shown["ancestorIds"]) == (None, [])
    other = await add_device(client, application, "other", deviceClass="system")
    await client.data("device.patch", applicationId=application, deviceId=moved, json={"parentId": other})
    for device in (gateway, top):
        await restore(acme, device)
    shown = await client.data("device.get", applicationId=application, deviceId=valve)
    assert shown["gatewayId"] == gateway
    shown = await client.data("device.get", applicationId=application, deviceId=child)
    assert shown["ancestorIds"] == [top]
    shown = await client.data("device.get", applicationId=application, deviceId=moved)
    assert shown["parentId"] == other


async def test_what_others_have_by_now_stays_theirs(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_profiles(acme)
    body = {"name": "pump", "externalId": "serial-1", "deviceProfile": "pump@1.0", "tags": {"line": "north"}}
    native = ok(await acme.api.post("/api/v1/devices", json=body))
    parent = ok(await acme.api.post("/api/v1/devices", json={"name": "parent"}))
    ok(await acme.api.patch(f"/api/v1/devices/{native['id']}", json={"parentDeviceId": parent["id"]}))
    ok(await acme.api.delete(f"/api/v1/devices/{native['id']}"))
    ok(await acme.api.delete(f"/api/v1/devices/{parent['id']}"))
    ok(await acme.api.post("/api/v1/devices", json={"name": "pump", "externalId": "serial-1"}))
    async with acme.work() as work:
        await registry.restore_device(work, DeviceId(msgspec.convert(native["id"], type=type(uuid_of("0" * 24)))))
    back = ok(await acme.api.get(f"/api/v1/devices/{native['id']}"))
    assert back["name"].startswith("pump (") and back["tags"] == {"line": "north"}
    assert (back.get("externalId"), back.get("parentDeviceId")) == (None, None)
    [application] = [each["id"] for each in (await client.data("applications.get"))["items"]]
    listed = await client.data("devices.get", applicationId=application)
    assert [each["name"] for each in listed["items"]] == ["pump", "pump"]
    components = ok(await acme.api.get("/api/v1/components", params={"deviceId": native["id"]}))["items"]
    assert [each["key"] for each in components] == ["motor"]


async def test_after_a_time_a_discarded_device_is_gone_for_good(acme: Tenant, store: ClickHouseStore) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    old = await add_device(client, application, "old", attributes=["speed"])
    new = await add_device(client, application, "new", attributes=["speed"])
    for device in (old, new):
        await put_points(acme, device, "speed", [1.0])
        await client.data("device.delete", applicationId=application, deviceId=device)
    database = acme.edge.system_database
    async with database.tx() as tx:
        sql = "UPDATE deleted_device SET deleted_at = deleted_at - %s WHERE tenant_id = %s AND id = %s"
        await tx.run(sql, timedelta(days=31), acme.tenant_id, uuid_of(old))
    await registry.forget_deleted(database, store, acme.edge.ports.blobs, days=30, most=100)
    assert await points_of(acme, old, "speed") == []
    assert await points_of(acme, new, "speed") == [1.0]
    listed = await client.data("devices.get", applicationId=application, params={"queryDeleted": "true"})
    assert [each["id"] for each in listed["items"]] == [new]
