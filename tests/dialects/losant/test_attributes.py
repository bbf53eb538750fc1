"""Attributes of a device: one by one, and what becomes of their history."""

import msgspec
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client as LightelligenceClient
from tests.dialects.losant.contract import Client
from tests.dialects.losant.kept import points_of, put_points, uuid_of
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import add_profiles, ok


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """The routes, with a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def test_an_attribute_is_added_read_changed_and_deleted(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["speed"])
    place = {"applicationId": application, "deviceId": device}
    draft = {
        "name": "total",
        "dataType": "number",
        "description": "of all below",
        "attributeTags": {"unit": "kW"},
        "system": {"aggregation": "SUM", "childAttributes": [{"name": "power", "mode": "all"}]},
    }
    made = await client.data("deviceAttributes.post", **place, json=draft)
    assert {name: made[name] for name in draft} == draft
    assert (made["deviceId"], made["applicationId"], made["_type"]) == (device, application, "deviceAttribute")
    assert await client.data("deviceAttribute.get", **place, name="total") == made | {
        "_links": {"self": {"href": f"/applications/{application}/devices/{device}/attributes/total"}}
    }
    listed = await client.data("deviceAttributes.get", **place)
    assert [each["name"] for each in listed["items"]] == ["speed", "total"]
    assert (listed["count"], listed["totalCount"], listed["deviceId"]) == (2, 2, device)
    listed = await client.data("deviceAttributes.get", **place, params={"sortDirection": "desc", "filter": "T*"})
    assert [each["name"] for each in listed["items"]] == ["total"]
    changed = await client.data("deviceAttribute.patch", **place, name="total", json={"description": "", "system": {}})
    assert (changed["description"], changed["system"], changed["attributeTags"]) == ("", {}, {"unit": "kW"})
    for action, body in (("get", None), ("patch", {"description": "x"}), ("delete", None)):
        failure = await stranger.failure(f"deviceAttribute.{action}", **place, name="total", json=body)
        assert failure == (404, "NotFound")
    assert await client.data("deviceAttribute.delete", **place, name="total") == {"success": True}
    answer = await client.ask("deviceAttribute.delete", **place, name="total")
    assert (answer.status_code, answer.json()["message"]) == (404, "Attribute was not found")


async def test_what_an_attribute_has_wrong_is_named(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["speed"])
    place = {"applicationId": application, "deviceId": device}
    for body, name in (
        ({"name": "a.b", "dataType": "number"}, "name"),
        ({"name": "a", "dataType": "timestamp"}, "dataType"),
        ({"name": "a"}, "dataType"),
        ({"name": "a", "dataType": "blob", "contentType": "x" * 65}, "contentType"),
        ({"name": "a", "dataType": "string", "attributeTags": {"k": ""}}, "attributeTags"),
        ({"name": "a", "dataType": "string", "colour": "red"}, "colour"),
    ):
        answer = await client.ask("deviceAttributes.post", **place, json=body)
        assert (answer.status_code, answer.json()["type"]) == (400, "Validation"), body
        assert name in answer.json()["message"]
    again = {"name": "speed", "dataType": "string"}
    assert (await client.failure("deviceAttributes.post", **place, json=again))[0] == 409
    many = [{"name": f"a{number}", "dataType": "number"} for number in range(256)]
    changed = await client.data("device.patch", **place, json={"attributes": many})
    assert len(changed["attributes"]) == 256
    assert await client.failure("deviceAttributes.post", **place, json=again) == (400, "Validation")
    twice = [{"name": "a", "dataType": "number"}, {"name": "a", "dataType": "string"}]
    assert await client.failure("device.patch", **place, json={"attributes": twice}) == (400, "Validation")
    longest = {"name": "n" * 255, "dataType": "number"}
    changed = await client.data("device.patch", **place, json={"attributes": [longest]})
    assert changed["attributes"][0]["name"] == "n" * 255


async def test_another_type_loses_the_history_and_nothing_else_does(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["speed", "load", "gone"])
    place = {"applicationId": application, "deviceId": device}
    for path in ("speed", "load", "gone"):
        await put_points(acme, device, path, [1.0, 2.0])
    attributes = [
        {"name": "speed", "dataType": "string"},
        {"name": "load", "dataType": "number", "description": "as before"},
    ]
    await client.data("device.patch", **place, json={"attributes": attributes})
    assert await points_of(acme, device, "speed") == []
    assert await points_of(acme, device, "load") == [1.0, 2.0]
    assert await points_of(acme, device, "gone") == []
    sensors = ok(await acme.api.get("/api/v1/sensors", params={"deviceId": str(uuid_of(device))}))["items"]
    assert {each["key"]: (each["valueType"], "lastReadingAt" in each) for each in sensors} == {
        "speed": ("TEXT", False),
        "load": ("DOUBLE", True),
    }


async def test_a_renamed_attribute_keeps_its_history_and_its_old_name_is_free(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["speed", "load"])
    place = {"applicationId": application, "deviceId": device}
    await put_points(acme, device, "speed", [1.0])
    changed = await client.data("deviceAttribute.patch", **place, name="speed", json={"name": "pace"})
    assert changed["name"] == "pace"
    assert await points_of(acme, device, "speed") == [1.0]
    failure = await client.failure("deviceAttribute.patch", **place, name="pace", json={"name": "load"})
    assert failure[0] == 409
    await client.data("deviceAttributes.post", **place, json={"name": "speed", "dataType": "boolean"})
    shown = await client.data("device.get", **place)
    assert [(each["name"], each["dataType"]) for each in shown["attributes"]] == [
        ("load", "number"),
        ("pace", "number"),
        ("speed", "boolean"),
    ]
    assert await points_of(acme, device, "speed") == [1.0]


async def test_what_a_profile_describes_cannot_be_taken_away(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_profiles(acme)
    native = ok(await acme.api.post("/api/v1/devices", json={"name": "pump", "deviceProfile": "pump@1.0"}))
    [application] = [each["id"] for each in (await client.data("applications.get"))["items"]]
    [shown] = (await client.data("devices.get", applicationId=application))["items"]
    names = [each["name"] for each in shown["attributes"]]
    assert "motor_rpm" in names and "motor_starts" in names
    place = {"applicationId": application, "deviceId": shown["id"]}
    assert (await client.failure("deviceAttribute.delete", **place, name="motor_rpm"))[0] == 409
    assert (await client.failure("device.patch", **place, json={"attributes": []}))[0] == 409
    attributes = [*shown["attributes"], {"name": "extra", "dataType": "gps"}]
    await client.data("device.patch", **place, json={"attributes": attributes})
    sensors = ok(await acme.api.get("/api/v1/sensors", params={"deviceId": native["id"]}))["items"]
    assert {each["key"] for each in sensors if each.get("componentId") is None} == {"extra"}


async def test_lightelligence_shows_what_an_attribute_has_said(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, attributes=["0temp", "on-off"])
    await put_points(acme, device, "0temp", [20.5])
    other = await LightelligenceClient.of(acme)
    shown = await other.data("getDeviceState", deviceId=str(uuid_of(device)))
    assert shown["attributes"] == {"0temp": 20.5}
