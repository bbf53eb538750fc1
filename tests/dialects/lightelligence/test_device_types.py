"""/device-types."""

from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import SENSOR_RULES, SENSOR_SCHEMA, add_device, add_type


async def test_a_type_comes_back_as_it_was_made_and_belongs_to_one_tenant(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    sent: dict[str, Any] = {
        "name": "Ceiling sensor CS2",
        "manufacturer": "Example Works",
        "model": "CS2",
        "description": "on the ceiling",
        "categories": ["urn:example:presence", "io:lightelligence:smart-kicker:table"],
        "communicationInterval": 300,
        "schema": SENSOR_SCHEMA | {"configuration": {"led": {"type": "string"}, "required": ["led"]}},
        "reportingRules": [*SENSOR_RULES, {"path": "$.attributes.temperature.y", "reportTo": ["flow"]}],
        "slots": {"firmware": {"name": "Main firmware"}, "boot_loader": {"name": "Boot loader"}},
    }
    made = await client.data("createDeviceType", json=sent)
    assert {name: made[name] for name in sent} == sent
    assert await client.data("getDeviceType", deviceTypeId=made["id"]) == made
    assert await client.data("listDeviceTypes") == [made]
    assert await client.data("listDeviceTypeCategories") == sorted(sent["categories"])

    assert await stranger.data("listDeviceTypes") == []
    assert await stranger.data("listDeviceTypeCategories") == []
    for operation, body in (("getDeviceType", None), ("updateDeviceType", {"name": "x"}), ("deleteDeviceType", None)):
        answer = await stranger.failure(operation, json=body, deviceTypeId=made["id"])
        assert answer == (404, "DEVICE_RESOURCE_NOT_FOUND"), operation


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": None}, "name"),
        ({"manufacturer": "x" * 256}, "manufacturer"),
        ({"schema": None}, "schema"),
        ({"schema": {"event": {"tampered": {}}}}, "schema/event"),
        ({"schema": {"attributes": []}}, "schema/attributes"),
        ({"schema": {"attributes": {"people": {"type": "count"}}}}, "schema/attributes/people"),
        ({"schema": {"attributes": {"people": 3}}}, "schema/attributes/people"),
        ({"schema": {"events": {"far": {"$ref": "http://127.0.0.1:1/schema"}}}}, "schema/events/far"),
        ({"schema": {"attributes": {"additionalProperties": {}}}}, "schema/attributes/additionalProperties"),
        ({"schema": {"actions": {"required": "blink"}}}, "schema/actions/required"),
        ({"schema": {"attributes": {"a": {"const": "\0"}}}}, "schema"),
        ({"categories": ["presence"]}, "categories/0"),
        ({"categories": ["urn:a", "urn:a"]}, "categories"),
        ({"reportingRules": [{"path": "$.events.crowded", "reportTo": ["timeseries"]}]}, "reportingRules/0/path"),
        ({"reportingRules": [{"path": "$.attributes.zones[*]", "reportTo": []}]}, "reportingRules/0/path"),
        ({"reportingRules": [{"path": "$.attributes.a", "reportTo": ["moon"]}]}, "reportingRules[0].reportTo"),
        ({"slots": {"main firmware": {"name": "x"}}}, "slots/main firmware"),
        ({"communicationInterval": -1}, "communicationInterval"),
        ({"communicationInterval": 172_801}, "communicationInterval"),
    ],
)
async def test_what_is_wrong_with_a_type_is_named(acme: Tenant, wrong: dict[str, Any], named: str) -> None:
    client = await Client.of(acme)
    there = await add_type(client)
    body = {"name": "Sensor", "schema": {}} | wrong
    for answer in (
        await client.ask("createDeviceType", json=body),
        await client.ask("updateDeviceType", json=wrong, deviceTypeId=there["id"]),
    ):
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "DEVICE_VALIDATION"), answer.text
        assert answer.json()["errorMessage"].startswith(f"{named}"), answer.text
    assert await client.data("listDeviceTypes") == [there]


async def test_keywords_that_nobody_knows_are_kept(acme: Tenant) -> None:
    client = await Client.of(acme)
    schema = {
        "attributes": {"people": {"type": "integer", "property": "urn:oma:lwm2m:ext:3302:1:5500"}},
        "events": {"goal": {"min": 0, "max": 10, "format": "integer"}, "tampered": {}},
    }
    assert (await add_type(client, schema=schema))["schema"] == schema


async def test_a_change_replaces_members_as_a_whole_and_null_removes_them(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add_type(
        client,
        manufacturer="Works",
        categories=["urn:a"],
        slots={"firmware": {"name": "Main"}},
        communicationInterval=60,
    )
    schema = {"attributes": {"lux": {"type": "number"}}}
    change = {"schema": schema, "manufacturer": None, "communicationInterval": None}
    changed = await client.data("updateDeviceType", json=change, deviceTypeId=made["id"])
    gone = {"manufacturer", "communicationInterval"}
    assert changed == {name: value for name, value in made.items() if name not in gone} | {"schema": schema}
    nothing = {"categories": None, "reportingRules": None, "slots": None}
    changed = await client.data("updateDeviceType", json=nothing, deviceTypeId=made["id"])
    assert (changed["categories"], changed["reportingRules"], changed["slots"]) == ([], [], {})
    assert await client.data("getDeviceType", deviceTypeId=made["id"]) == changed


async def test_a_type_that_a_device_has_stays(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client)
    device = await add_device(client, type_)
    assert await client.failure("deleteDeviceType", deviceTypeId=type_["id"]) == (409, "DEVICE_DEVICETYPE_IN_USE")

    await client.ask("deleteDevice", deviceId=device["id"])
    assert (await client.ask("deleteDeviceType", deviceTypeId=type_["id"])).status_code == 204
    assert await client.failure("getDeviceType", deviceTypeId=type_["id"]) == (404, "DEVICE_RESOURCE_NOT_FOUND")


async def test_types_are_found_by_name_category_and_id_in_query_or_body(acme: Tenant) -> None:
    client = await Client.of(acme)
    lamp = await add_type(client, name="Desk Lamp", categories=["urn:example:light"])
    sensor = await add_type(client, name="Ceiling sensor", categories=["urn:example:light:sensor", "urn:x"])

    async def names(params: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> list[str]:
        return [each["name"] for each in await client.data("listDeviceTypes", params=params, json=body)]

    assert await names() == ["Ceiling sensor", "Desk Lamp"]
    assert await names({"deviceTypeName": "desk lamp"}) == ["Desk Lamp"]
    assert await names({"deviceTypeName": "desk"}) == []
    assert await names({"deviceTypeName": "DESK*"}) == ["Desk Lamp"]
    assert await names({"name": "*SENS*,*lamp"}) == ["Ceiling sensor", "Desk Lamp"]
    assert await names({"deviceTypeName": "?esk*"}) == []
    assert await names({"deviceTypeCategory": "urn:example:light"}) == ["Desk Lamp"]
    assert await names({"deviceTypeCategory": "urn:x,urn:example:light"}) == ["Ceiling sensor", "Desk Lamp"]
    assert await names({"deviceTypeId": sensor["id"]}) == ["Ceiling sensor"]
    assert await names({"deviceTypeId": lamp["id"], "deviceTypeName": "Ceiling*"}) == []
    assert await names(body={"deviceTypeName": ["Ceiling*"], "deviceTypeCategory": ["urn:x"]}) == ["Ceiling sensor"]
    assert await names(body={}) == ["Ceiling sensor", "Desk Lamp"]

    for params, body in (
        ({"deviceTypeName": "a"}, {"deviceTypeName": ["a"]}),
        ({"deviceTypeId": "not-an-id"}, None),
        (None, {"deviceTypeName": []}),
        (None, {"deviceTypeNames": ["a"]}),
    ):
        assert await client.failure("listDeviceTypes", params=params, json=body) == (400, "DEVICE_VALIDATION")


async def test_pages_count_from_zero_and_tell_the_total(acme: Tenant) -> None:
    client = await Client.of(acme)
    for number in range(3):
        await add_type(client, name=f"Type {number}")
    answer = (await client.ask("listDeviceTypes", params={"page": 1, "pageSize": 2})).json()
    assert [each["name"] for each in answer["data"]] == ["Type 0"]
    assert answer["meta"] == {"page": 1, "pageSize": 2, "itemsTotal": 3, "pagesTotal": 2}
    empty = (await client.ask("listDeviceTypes", params={"pageSize": 0})).json()
    assert (empty["data"], empty["meta"]["itemsTotal"]) == ([], 3)


async def test_profiles_of_devices_are_types_that_cannot_be_changed_here(acme: Tenant, globex: Tenant) -> None:
    await acme.api.post(
        "/api/v1/sensor-profiles",
        json={
            "key": "motor",
            "profileVersion": "1.0",
            "name": "Motor",
            "fields": [
                {"name": "temperature", "valueType": "DOUBLE", "min": -40, "unit": "C"},
                {"name": "phases", "valueType": "BIGINT", "arraySize": 3},
            ],
        },
    )
    profile = (
        await acme.api.post(
            "/api/v1/device-profiles",
            json={
                "key": "pump",
                "profileVersion": "1.0",
                "name": "Pump",
                "components": [{"key": "motor", "name": "Motor", "sensorProfile": "motor@1.0"}],
                "configSchema": {"properties": {"speed": {"type": "integer"}}, "required": ["speed"]},
                "commands": [{"type": "prime", "paramsSchema": {"type": "object"}}],
            },
        )
    ).json()
    client, stranger = await Client.of(acme), await Client.of(globex)

    (shown,) = await client.data("listDeviceTypes")
    assert (shown["id"], shown["name"], shown["model"]) == (profile["id"], "Pump", "pump@1.0")
    schema = shown["schema"]
    assert schema["attributes"]["motor"]["properties"]["temperature"] == {"type": "number", "minimum": -40, "unit": "C"}
    assert schema["attributes"]["motor"]["properties"]["phases"]["items"] == {"type": "integer"}
    assert (schema["configuration"]["speed"], schema["configuration"]["required"]) == ({"type": "integer"}, ["speed"])
    assert schema["actions"]["prime"] == {"type": "object"}
    assert await client.data("getDeviceType", deviceTypeId=profile["id"]) == shown
    assert await stranger.data("listDeviceTypes") == []
    for operation, body in (("updateDeviceType", {"name": "x"}), ("deleteDeviceType", None)):
        answer = await client.failure(operation, json=body, deviceTypeId=profile["id"])
        assert answer == (403, "DEVICE_FORBIDDEN"), operation


async def test_devices_without_a_type_have_one_in_common(acme: Tenant) -> None:
    client = await Client.of(acme)
    assert await client.data("listDeviceTypes") == []
    await acme.api.post("/api/v1/devices", json={"name": "bare"})

    (open_type,) = await client.data("listDeviceTypes")
    assert open_type["id"] == str(acme.organization_id)
    assert open_type["schema"]["attributes"] == {"additionalProperties": True}
    assert await client.data("getDeviceType", deviceTypeId=open_type["id"]) == open_type
    assert await client.failure("deleteDeviceType", deviceTypeId=open_type["id"]) == (403, "DEVICE_FORBIDDEN")
