"""/devices."""

from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import SENSOR_SCHEMA, add_device, add_type
from tests.dialects.native.fleet import add_device as add_native
from tests.dialects.native.fleet import add_profiles, ok, set_state
from tests.fleet import sensors_of

NOWHERE = "6b014cf4-9c1e-8b3a-8000-0004d2a1b3c5"


async def native(tenant: Tenant, device_id: str) -> Any:
    """The same device as the native API shows it."""
    return ok(await tenant.api.get(f"/api/v1/devices/{device_id}"))


async def test_a_device_comes_back_as_it_was_made_and_belongs_to_one_tenant(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    type_ = await add_type(client)
    gateway = await add_device(client, type_, name="Gateway")
    info = {
        "name": "Sensor in room 3",
        "deviceTypeId": type_["id"],
        "description": "",
        "installationTimestamp": "2020-01-07T08:15:00.000Z",
        "tags": ["Room-3", "south"],
        "connectedBy": gateway["id"],
        "location": "Room 3",
        "aliases": ["06-00-00-00-00-01", "sensor-3"],
        "coordinates": {"x": 1, "y": 2.5},
        "communicationInterval": 60,
    }
    told = {"interval": 30, "led": "auto"}
    sent = {"info": info, "configuration": told, "custom": {"owner": {"name": "Ada"}, "none": None}, "attributes": {}}
    made = await client.data("createDevice", json=sent)

    assert made["info"].pop("creationTimestamp")
    assert made["info"] == info | {"tags": ["room-3", "south"]}
    assert (made["configuration"], made["custom"]) == (sent["configuration"], sent["custom"])
    shown = await client.data("getDevice", deviceId=made["id"])
    assert (shown["configuration"], shown["custom"]) == (sent["configuration"], sent["custom"])
    listed = await client.data("listDevices")
    assert [each["info"]["name"] for each in listed] == ["Sensor in room 3", "Gateway"]
    assert listed[0].keys() == {"id", "info"}
    assert await client.data("listDeviceTags") == [{"name": "room-3"}, {"name": "south"}]

    assert await stranger.data("listDevices") == []
    assert await stranger.data("listDeviceTags") == []
    for operation, body in (("getDevice", None), ("updateDevice", {"info": {"name": "x"}}), ("deleteDevice", None)):
        answer = await stranger.failure(operation, json=body, deviceId=made["id"])
        assert answer == (404, "DEVICE_RESOURCE_NOT_FOUND"), operation


async def test_a_device_with_little_said_has_tags_all_the_same(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    made = await add_device(client, type_, name="Bare", communicationInterval=None, tags=None, coordinates=None)
    assert made["info"].pop("creationTimestamp")
    assert made["info"] == {"name": "Bare", "deviceTypeId": type_["id"], "tags": [], "aliases": []}
    assert (made["configuration"], made["custom"]) == ({}, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": None},
        {"name": "x" * 256},
        {"deviceTypeId": NOWHERE},
        {"deviceTypeId": "lamp"},
        {"description": "x" * 513},
        {"installationTimestamp": "yesterday"},
        {"installationTimestamp": "2020-01-07T08:15:00"},
        {"tags": ["room 3"]},
        {"tags": ["x" * 257]},
        {"tags": ["a", "a"]},
        {"tags": "a"},
        {"connectedBy": "gateway"},
        {"location": "x" * 256},
        {"aliases": ["x" * 256]},
        {"aliases": ["a", "a"]},
        {"coordinates": {"x": "far"}},
        {"communicationInterval": 172_801},
        {"communicationInterval": -1},
    ],
)
async def test_what_is_wrong_with_a_device_is_refused(acme: Tenant, wrong: dict[str, Any]) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    there = await add_device(client, type_)
    body = {"info": {"name": "Sensor", "deviceTypeId": type_["id"]} | wrong}
    assert await client.failure("createDevice", json=body) == (400, "DEVICE_VALIDATION")
    answer = await client.failure("updateDevice", json={"info": wrong}, deviceId=there["id"])
    assert answer == (400, "DEVICE_VALIDATION")
    assert await client.data("getDevice", deviceId=there["id"]) == there


@pytest.mark.parametrize(
    "wrong",
    [
        {"info": {"name": "a\0"}},
        {"info": {"description": "a\0"}},
        {"info": {"location": "a\0"}},
        {"info": {"aliases": ["a\0"]}},
        {"custom": {"a": ["\0"]}},
        {"custom": {"a": "x" * 17_000}},
        {"custom": []},
        {"info": []},
        {"configuration": 3},
    ],
)
async def test_what_cannot_be_kept_is_refused(acme: Tenant, wrong: dict[str, Any]) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    there = await add_device(client, type_)
    body: dict[str, Any] = {"info": {"name": "Sensor", "deviceTypeId": type_["id"]}} | wrong
    if isinstance(body["info"], dict):
        body["info"] = {"name": "Sensor", "deviceTypeId": type_["id"]} | body["info"]
    assert await client.failure("createDevice", json=body) == (400, "DEVICE_VALIDATION")
    assert await client.failure("updateDevice", json=wrong, deviceId=there["id"]) == (400, "DEVICE_VALIDATION")


async def test_the_type_of_another_tenant_is_none(acme: Tenant, globex: Tenant) -> None:
    theirs = await add_type(await Client.of(globex))
    body = {"info": {"name": "Sensor", "deviceTypeId": theirs["id"]}}
    assert await (await Client.of(acme)).failure("createDevice", json=body) == (400, "DEVICE_VALIDATION")


async def test_a_name_may_be_anothers_and_longer_than_names_are_elsewhere(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    first, second = [await add_device(client, type_, name="Sensor") for _ in range(2)]
    long = await add_device(client, type_, name="x" * 255)

    assert [each["info"]["name"] for each in await client.data("listDevices", params={"name": "sensor"})] == [
        "Sensor"
    ] * 2
    assert (await client.data("getDevice", deviceId=long["id"]))["info"]["name"] == "x" * 255
    names = [(await native(acme, device["id"]))["name"] for device in (first, second, long)]
    assert names[0] == "Sensor" and len(set(names)) == 3 and all(len(name) <= 120 for name in names)

    # A name that is given natively is the name everywhere.
    ok(await acme.api.patch(f"/api/v1/devices/{second['id']}", json={"name": "Other"}))
    assert (await client.data("getDevice", deviceId=second["id"]))["info"]["name"] == "Other"
    changed = await client.data("updateDevice", json={"info": {"name": "Sensor"}}, deviceId=second["id"])
    assert changed["info"]["name"] == "Sensor"
    before = await native(acme, second["id"])
    same = await client.data("updateDevice", json={"info": changed["info"]}, deviceId=second["id"])
    assert same["info"] == changed["info"]
    assert (await native(acme, second["id"]))["name"] == before["name"]


async def test_a_change_is_merged_and_null_removes(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    made = await add_device(
        client,
        type_,
        tags=["a", "b"],
        aliases=["one"],
        location="here",
        description="d",
        coordinates={"x": 1.0, "y": 2.0, "z": 3.0},
        communicationInterval=60,
        installationTimestamp="2020-01-07T08:15:00Z",
        custom={"a": {"b": 1, "c": 2}, "list": [1, 2]},
        configuration={"interval": 30, "led": "on"},
    )
    changed = await client.data(
        "updateDevice",
        json={
            "id": NOWHERE,
            "info": {"location": None, "coordinates": {"y": None, "z": 4}, "creationTimestamp": "2001-01-01T00:00:00Z"},
            "tags": ["B", "new"],
            "custom": {"a": {"b": None}, "list": [3]},
            "configuration": {"led": None},
        },
        deviceId=made["id"],
    )
    info = {name: value for name, value in made["info"].items() if name != "location"}
    assert changed == made | {
        "info": info | {"coordinates": {"x": 1.0, "z": 4}, "tags": ["b", "new"]},
        "custom": {"a": {"c": 2}, "list": [3]},
        "configuration": {"interval": 30},
    }
    assert await client.data("getDevice", deviceId=made["id"]) == changed

    names = ("description", "installationTimestamp", "tags", "aliases", "coordinates", "communicationInterval")
    bare = await client.data(
        "updateDevice",
        json={"info": dict.fromkeys(names), "custom": None, "configuration": None},
        deviceId=made["id"],
    )
    assert bare["info"].keys() == {"name", "deviceTypeId", "creationTimestamp", "tags", "aliases"}
    assert (bare["info"]["tags"], bare["info"]["aliases"]) == ([], [])
    assert (bare["custom"], bare["configuration"]) == ({}, {})


async def test_a_configuration_fits_the_type_as_a_whole(acme: Tenant) -> None:
    client = await Client.of(acme)
    section = SENSOR_SCHEMA["configuration"] | {"required": ["interval"]}
    type_ = await add_type(client, schema={"configuration": section})
    device = await add_device(client, type_)
    for wrong in ({"led": "on"}, {"interval": 1}, {"interval": "30"}, {"interval": 30, "lid": "on"}):
        body = {"info": {"name": "x", "deviceTypeId": type_["id"]}, "configuration": wrong}
        assert await client.failure("createDevice", json=body) == (400, "DEVICE_VALIDATION"), wrong
        answer = await client.failure("updateDevice", json={"configuration": wrong}, deviceId=device["id"])
        assert answer == (400, "DEVICE_VALIDATION"), wrong
    changed = await client.data("updateDevice", json={"configuration": {"interval": 30}}, deviceId=device["id"])
    assert changed["configuration"] == {"interval": 30}
    # What is required is there already: a change need not say it again.
    assert await client.data("updateDevice", json={"configuration": {}}, deviceId=device["id"]) == changed
    changed = await client.data("updateDevice", json={"configuration": {"led": "on"}}, deviceId=device["id"])
    assert changed["configuration"] == {"interval": 30, "led": "on"}
    answer = await client.failure("updateDevice", json={"configuration": {"interval": None}}, deviceId=device["id"])
    assert answer == (400, "DEVICE_VALIDATION")
    bare = await client.data("updateDevice", json={"configuration": None}, deviceId=device["id"])
    assert bare["configuration"] == {}
    assert (await add_device(client, type_, configuration={}))["configuration"] == {}


async def test_another_type_must_take_the_configuration(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_, strict = await add_type(client), await add_type(client, name="Strict", schema={})
    device = await add_device(client, type_, configuration={"led": "on"})
    change = {"info": {"deviceTypeId": strict["id"]}}
    assert await client.failure("updateDevice", json=change, deviceId=device["id"]) == (400, "DEVICE_VALIDATION")
    assert await client.data("getDevice", deviceId=device["id"]) == device

    changed = await client.data("updateDevice", json=change | {"configuration": None}, deviceId=device["id"])
    assert (changed["info"]["deviceTypeId"], changed["configuration"]) == (strict["id"], {})


async def test_tags_are_as_long_as_the_contract_has_them(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await add_device(client, await add_type(client), tags=["x" * 256])
    assert device["info"]["tags"] == ["x" * 256]
    assert await client.data("listDeviceTags") == [{"name": "x" * 256}]
    ok(await acme.api.patch(f"/api/v1/devices/{device['id']}", json={"serialNumber": "SN-1"}))
    bare = await add_native(acme, "bare")
    change = {"info": {"tags": ["x" * 65]}}
    assert await client.failure("updateDevice", json=change, deviceId=bare["id"]) == (400, "DEVICE_VALIDATION")


async def test_an_alias_is_taken_once_per_tenant(acme: Tenant, globex: Tenant) -> None:
    client, other = await Client.of(acme), await Client.of(globex)
    type_ = await add_type(client)
    first = await add_device(client, type_, aliases=["one", "two"])
    second = await add_device(client, type_)
    body = {"info": {"name": "x", "deviceTypeId": type_["id"], "aliases": ["three", "two"]}}
    assert await client.failure("createDevice", json=body) == (409, "DEVICE_CONFLICT")
    answer = await client.failure("updateDevice", json={"info": {"aliases": ["one"]}}, deviceId=second["id"])
    assert answer == (409, "DEVICE_CONFLICT")
    assert (await add_device(other, await add_type(other), aliases=["one"]))["info"]["aliases"] == ["one"]

    await client.data("updateDevice", json={"info": {"aliases": ["two"]}}, deviceId=first["id"])
    changed = await client.data("updateDevice", json={"info": {"aliases": ["one", "six"]}}, deviceId=second["id"])
    assert changed["info"]["aliases"] == ["one", "six"]


async def test_a_gateway_is_a_device_of_the_tenant_and_of_no_circle(acme: Tenant, globex: Tenant) -> None:
    client, other = await Client.of(acme), await Client.of(globex)
    type_ = await add_type(client)
    foreign = await add_device(other, await add_type(other))
    gateway = await add_device(client, type_, name="Gateway")
    child = await add_device(client, type_, name="Child", connectedBy=gateway["id"])
    for unknown in (NOWHERE, foreign["id"]):
        body = {"info": {"name": "x", "deviceTypeId": type_["id"], "connectedBy": unknown}}
        assert await client.failure("createDevice", json=body) == (409, "DEVICE_CONNECTEDBY_CONFLICT")
    for device, by in ((gateway, gateway), (gateway, child)):
        change = {"info": {"connectedBy": by["id"]}}
        assert await client.failure("updateDevice", json=change, deviceId=device["id"]) == (400, "DEVICE_VALIDATION")

    assert await client.failure("deleteDevice", deviceId=gateway["id"]) == (409, "DEVICE_CONNECTEDBY_CONFLICT")
    assert (await acme.api.delete(f"/api/v1/devices/{gateway['id']}")).status_code == 409
    freed = await client.data("updateDevice", json={"info": {"connectedBy": None}}, deviceId=child["id"])
    assert "connectedBy" not in freed["info"]
    assert (await client.ask("deleteDevice", deviceId=gateway["id"])).status_code == 204
    assert await client.failure("getDevice", deviceId=gateway["id"]) == (404, "DEVICE_RESOURCE_NOT_FOUND")


async def test_what_a_type_describes_has_its_sensor_before_it_reports(acme: Tenant) -> None:
    client = await Client.of(acme)
    schema: dict[str, Any] = {
        "attributes": {
            "people": {"type": "integer"},
            "air": {"type": "object", "properties": {"co2": {"type": "number"}}},
            "zones": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
            "history": {"type": "array", "items": {"type": "number"}},
            "any": {},
        },
        "configuration": {"led": {"type": "string"}},
    }
    type_ = await add_type(client, schema=schema)
    device = await add_device(client, type_)
    described = {
        "air.co2": "DOUBLE",
        "any": "TEXT",
        "configuration/led": "TEXT",
        "people": "BIGINT",
        "zones[0]": "BOOLEAN",
        "zones[1]": "BOOLEAN",
    }
    database = acme.edge.system_database
    assert await sensors_of(database, device["id"]) == described
    listed = ok(await acme.api.get(f"/api/v1/devices/{device['id']}/sensors"))["items"]
    assert {each["key"] for each in listed} == {path.rpartition("/")[2] for path in described}

    schema["attributes"]["lux"] = {"type": "number"}
    await client.data("updateDeviceType", json={"schema": schema}, deviceTypeId=type_["id"])
    assert await sensors_of(database, device["id"]) == described | {"lux": "DOUBLE"}


async def test_a_value_that_was_reported_keeps_its_type(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client, schema={"attributes": {"a": {"type": "integer"}, "b": {"type": "integer"}}})
    device = await add_device(client, type_)
    await set_state(acme, device["id"], '{"b": [3, 1000, 1000]}')

    async def change(a: str, b: str) -> int:
        schema = {"attributes": {"a": {"type": a}, "b": {"type": b}}}
        return (await client.ask("updateDeviceType", json={"schema": schema}, deviceTypeId=type_["id"])).status_code

    assert await change("integer", "string") == 409
    assert await client.data("getDeviceType", deviceTypeId=type_["id"]) == type_
    assert await change("string", "number") == 200
    assert await sensors_of(acme.edge.system_database, device["id"]) == {"a": "TEXT", "b": "DOUBLE"}


async def test_a_device_made_here_is_one_of_the_native_api_and_keeps_what_it_has(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    made = await add_device(
        client,
        type_,
        name="Lamp",
        tags=["room-3"],
        aliases=["one"],
        location="here",
        communicationInterval=0,
        custom={"a": 1},
    )
    path = f"/api/v1/devices/{made['id']}"
    shown = await native(acme, made["id"])
    assert (shown["name"], shown["tags"], shown["metadata"], shown["status"]) == (
        "Lamp",
        {"room-3": ""},
        {"a": 1},
        "PENDING",
    )
    assert [each["id"] for each in ok(await acme.api.get("/api/v1/devices", params={"tag": "room-3"}))["items"]]

    ok(await acme.api.patch(path, json={"tags": {"line": "7", "not shown": "x"}, "metadata": {"b": 2}}))
    ok(await acme.api.put(path, json={**_body(await native(acme, made["id"])), "serialNumber": "SN-1"}))
    both = await client.data("getDevice", deviceId=made["id"])
    assert sorted(both["info"].pop("tags")) == ["line", "room-3"]
    assert both["custom"] == {"a": 1, "b": 2}
    made["info"].pop("tags")
    assert both["info"] == made["info"]

    changed = await client.data("updateDevice", json={"tags": ["line"]}, deviceId=made["id"])
    assert changed["info"]["tags"] == ["line"]
    assert (await native(acme, made["id"]))["tags"] == {"line": "7", "not shown": "x"}


def _body(device: dict[str, Any]) -> dict[str, Any]:
    """What a program that reads a device and puts it back sends."""
    return {name: device[name] for name in ("name", "tags", "metadata")}


async def test_a_native_device_is_one_here_with_the_type_of_its_profile(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_profiles(acme)
    bare = await add_native(acme, "bare", tags={"zone": "north"})
    pump = await add_native(acme, "pump", deviceProfile="pump@1.0")

    shown = {each["info"]["name"]: each["info"] for each in await client.data("listDevices")}
    assert shown["bare"]["deviceTypeId"] == str(acme.organization_id)
    assert shown["bare"]["tags"] == ["zone"]
    type_id = shown["pump"]["deviceTypeId"]
    assert (await client.data("getDeviceType", deviceTypeId=type_id))["model"] == "pump@1.0"

    changed = await client.data("updateDevice", json={"info": {"name": "P", "location": "x"}}, deviceId=pump["id"])
    assert changed["info"]["location"] == "x"
    shown_there = await native(acme, pump["id"])
    assert (shown_there["name"], shown_there["deviceProfile"]) == ("P", "pump@1.0")
    # Whoever makes a device of such a type makes one of the profile.
    made = await add_device(client, type_id, name="second pump")
    assert (await native(acme, made["id"]))["deviceProfile"] == "pump@1.0"
    assert made["info"]["deviceTypeId"] == type_id
    plain = await client.data(
        "updateDevice", json={"info": {"deviceTypeId": str(acme.organization_id)}}, deviceId=made["id"]
    )
    assert plain["info"]["deviceTypeId"] == str(acme.organization_id)
    assert (await client.data("updateDevice", json={"configuration": {"any": 1}}, deviceId=bare["id"]))["configuration"]


async def test_a_deleted_device_is_gone_everywhere(acme: Tenant) -> None:
    client = await Client.of(acme)
    device = await add_device(client, await add_type(client), aliases=["one"], configuration={"led": "on"})
    answer = await client.ask("deleteDevice", deviceId=device["id"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert await client.failure("deleteDevice", deviceId=device["id"]) == (404, "DEVICE_RESOURCE_NOT_FOUND")
    assert (await acme.api.get(f"/api/v1/devices/{device['id']}")).status_code == 404
    assert (await client.data("listDeviceTags"), await client.data("listDevices")) == ([], [])
