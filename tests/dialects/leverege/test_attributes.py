"""/attribute."""

from typing import Any

import pytest

from roadstead.core import registry, types
from roadstead.core.registry import DeviceDraft
from roadstead.core.types import Section
from roadstead.kernel.ids import TypeId, parse_base62
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.dialects.leverege.contract import CONTRACT, Client
from tests.dialects.leverege.world import add_blueprint


async def add_device(tenant: Tenant, blueprint: dict[str, Any], name: str = "one") -> registry.Device:
    """A device of a blueprint, as the native API makes them."""
    type_id = parse_base62(blueprint["id"])
    assert type_id is not None
    async with tenant.work() as work:
        return await registry.create_device(work, DeviceDraft(name=name, type_id=TypeId(type_id)))


async def sensors_of(tenant: Tenant, device: registry.Device) -> dict[str, str]:
    """The types of a device's sensors by path, as the native API shows them."""
    async with tenant.work() as work:
        found = await registry.list_sensors(work, device_id=device.id, page=PageQuery(limit=100))
        return {sensor.path: sensor.value_type.value for sensor in found.items}


async def test_an_attribute_that_is_added_is_a_sensor_of_devices_there_and_to_come(acme: Tenant) -> None:
    client = await Client.of(acme)
    blueprint = await add_blueprint(client, "tag", {"path": "battery", "type": "percent"})
    device = await add_device(acme, blueprint)
    assert await sensors_of(acme, device) == {"battery": "DOUBLE"}

    sent = {"path": "air/co2", "type": "int", "units": "ppm", "tags": ["is:hidden"], "metadata": {"a": 1}}
    made = await client.data("attribute.create", json=sent, blueprintId="tag")
    assert {name: made[name] for name in sent} == sent
    assert (made["blueprintId"], made["parentPath"]) == (blueprint["id"], "air")
    assert await client.data("attribute.get", attributeId=made["id"]) == made
    both = {"battery": "DOUBLE", "air.co2": "BIGINT"}
    assert await sensors_of(acme, device) == await sensors_of(acme, await add_device(acme, blueprint, "two")) == both
    listed = await client.data("attribute.list", blueprintId="tag")
    assert [each["path"] for each in listed["items"]] == ["battery", "air/co2"]


async def test_every_type_of_the_contract_is_taken_and_becomes_what_holds_its_values(acme: Tenant) -> None:
    client = await Client.of(acme)
    names = [name for name in CONTRACT["attribute_types"] if name.isalpha() and not name.endswith("elationship")]
    attributes = [{"path": name, "type": name} for name in names]
    blueprint = await add_blueprint(client, "everything", *attributes, {"path": "w", "type": "power", "units": "W"})
    assert [each["type"] for each in blueprint["attributes"]] == [*names, "power"]
    sensors = await sensors_of(acme, await add_device(acme, blueprint))
    texts = {"string", "ip", "enum", "resourceEnum", "geoJson", "shape", "array"}
    numbers = {"number", "percent", "w", "geoPoint.lat", "geoPoint.lon"}
    numbers |= set(names) - texts - {"int", "integer", "boolean", "timestamp", "geoPoint", "object"}
    wanted = dict.fromkeys(texts, "TEXT") | dict.fromkeys(numbers, "DOUBLE") | {"boolean": "BOOLEAN"}
    assert sensors == wanted | {"int": "BIGINT", "integer": "BIGINT"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"path": ""}, "path"),
        ({"path": "a//b"}, "path"),
        ({"path": "required/x"}, "path"),
        ({"path": "/".join("a" * 21)}, "path"),
        ({"path": "x" * 256}, "path"),
        ({"path": "a\0b"}, "path"),
        ({"type": "colour"}, "type"),
        ({"type": "parentRelationship"}, "type"),
        ({"type": 3}, "type"),
        ({"relationshipType": "oneToOne"}, "type"),
        ({"forwardData": True}, "type"),
        ({"type": "relationship", "targetBlueprintId": "tag"}, "relationshipType"),
        ({"type": "relationship", "relationshipType": "someToSome"}, "relationshipType"),
        ({"type": "relationship", "relationshipType": "oneToOne"}, "targetBlueprintId"),
        ({"type": "relationship", "relationshipType": "oneToOne", "targetBlueprintId": "x"}, "targetBlueprintId"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"name": "\0"}, "name"),
        ({"type": "enum", "metadata": {"values": []}}, "metadata"),
        ({"type": "enum", "metadata": {"values": [{"a": 1}]}}, "metadata"),
        ({"type": "enum", "metadata": {"values": "a"}}, "metadata"),
    ],
)
async def test_what_is_wrong_with_an_attribute_is_named(acme: Tenant, wrong: dict[str, Any], named: str) -> None:
    client = await Client.of(acme)
    await add_blueprint(client, "tag")
    answer = await client.ask("attribute.create", json={"path": "a", "type": "int"} | wrong, blueprintId="tag")
    assert (answer.status_code, answer.json()["message"].startswith(named)) == (400, True), answer.text
    assert (await client.data("attribute.list", blueprintId="tag"))["items"] == []


async def test_paths_are_taken_once_and_nothing_lies_within_a_value(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_blueprint(
        client,
        "tag",
        {"path": "air", "type": "object"},
        {"path": "position", "type": "geoPoint"},
        {"path": "battery/level", "type": "percent"},
    )
    for path, type_ in (("air", "int"), ("battery/level/x", "int"), ("battery", "int"), ("air", "object")):
        assert await client.failure("attribute.create", json={"path": path, "type": type_}, blueprintId="tag") == 409
    for path in ("air/co2", "position/accuracy", "battery/volt", 'some "name" here'):
        await client.data("attribute.create", json={"path": path, "type": "number"}, blueprintId="tag")
    blueprint = await client.data("blueprint.get", blueprintId="tag")
    sensors = await sensors_of(acme, await add_device(acme, blueprint))
    assert set(sensors) == {
        "air.co2",
        "position.lat",
        "position.lon",
        "position.accuracy",
        "battery.level",
        "battery.volt",
        'some "name" here',
    }


async def test_path_type_and_units_stay_and_the_rest_changes(acme: Tenant) -> None:
    client = await Client.of(acme)
    level = {"path": "level", "type": "length", "units": "m", "tags": ["is:name"]}
    [made] = (await add_blueprint(client, "tank", level))["attributes"]
    steps = [{"op": "replace", "path": "name", "value": "Level"}, {"op": "remove", "path": "tags"}]
    changed = await client.data("attribute.update", json=steps, attributeId=made["id"])
    assert (changed["name"], "tags" in changed) == ("Level", False)
    for name, value in (("path", "depth"), ("type", "number"), ("units", "ft"), ("units", None)):
        answer = await client.ask("attribute.update", json={name: value}, attributeId=made["id"])
        assert (answer.status_code, answer.json()["message"].startswith(name)) == (400, True), answer.text
    assert await client.failure("attribute.update", json={"forwardData": True}, attributeId=made["id"]) == 400
    assert await client.data("attribute.update", json=made | {"name": "Level"}, attributeId=made["id"]) == {
        **changed,
        "tags": ["is:name"],
    }


async def test_an_enum_takes_the_values_that_its_metadata_tells(acme: Tenant) -> None:
    client = await Client.of(acme)
    state = {"path": "state", "type": "enum", "metadata": {"values": ["on", "off"], "icon": "x"}}
    blueprint = await add_blueprint(client, "lamp", state)
    [made] = blueprint["attributes"]
    assert made["metadata"] == state["metadata"]
    device = await add_device(acme, blueprint)
    assert await sensors_of(acme, device) == {"state": "TEXT"}
    for values, problems in ((["on", "off"], 1), (["on", "off", "dim"], 0)):
        step = {"op": "replace", "path": "metadata/values", "value": values}
        await client.data("attribute.update", json=[step], attributeId=made["id"])
        async with acme.work() as work:
            schema = (await types.load_device_type(work, device.type_id or TypeId(device.id))).compiled()
        assert len(schema.problems(Section.ATTRIBUTES, {"state": "dim"}, partial=True)) == problems


async def test_a_relationship_makes_the_attribute_on_its_other_end_and_goes_with_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    tag = await add_blueprint(client, "tag", {"path": "asset", "type": "string"})
    asset = await add_blueprint(client, "asset")
    room = await add_blueprint(client, "room")
    for parent, path, kind in ((asset, "tag", "oneToOne"), (room, "tags", "oneToMany"), (room, "seen", "manyToMany")):
        sent = {"path": path, "type": "relationship", "relationshipType": kind, "targetBlueprintId": tag["id"]}
        made = await client.data("attribute.create", json=sent | {"forwardData": True}, blueprintId=parent["id"])
        assert {name: made[name] for name in sent} == sent
        assert (made["forwardData"], made["isCollection"]) == (True, kind != "oneToOne")
    inside = {"path": "tag/x", "type": "int"}
    assert await client.failure("attribute.create", json=inside, blueprintId="asset") == 409

    ends = (await client.data("attribute.list", blueprintId="tag"))["items"][1:]
    told = [(each["path"], each["type"], each["sourceBlueprintId"], each["relationshipType"]) for each in ends]
    assert told == [
        ("assetTag", "parentRelationship", asset["id"], "oneToOne"),
        ("room", "parentRelationship", room["id"], "oneToMany"),
        ("roomSeen", "parentRelationship", room["id"], "manyToMany"),
    ]
    await client.data("attribute.delete", attributeId=ends[2]["id"])
    [tags] = (await client.data("attribute.list", blueprintId="room"))["items"]
    await client.data("attribute.delete", attributeId=tags["id"])
    left = (await client.data("attribute.list", blueprintId="tag"))["items"]
    assert [each["path"] for each in left] == ["asset", "assetTag"]

    assert (
        await client.failure("attribute.update", json={"targetBlueprintId": room["id"]}, attributeId=tags["id"]) == 404
    )
    await client.data("blueprint.delete", blueprintId="asset")
    assert [each["path"] for each in (await client.data("attribute.list", blueprintId="tag"))["items"]] == ["asset"]


async def test_a_blueprint_may_be_its_own_child(acme: Tenant) -> None:
    client = await Client.of(acme)
    sent = {"path": "parts", "type": "relationship", "relationshipType": "oneToMany", "targetBlueprintId": "part"}
    made = await add_blueprint(client, "part", sent)
    assert {each["path"]: each["type"] for each in made["attributes"]} == {
        "parts": "relationship",
        "part": "parentRelationship",
    }
    await client.data("blueprint.delete", blueprintId="part")


async def test_an_attribute_goes_and_its_sensors_stay(acme: Tenant) -> None:
    client = await Client.of(acme)
    blueprint = await add_blueprint(client, "tag", {"path": "battery", "type": "percent"})
    device = await add_device(acme, blueprint)
    [made] = blueprint["attributes"]
    gone = await client.data("attribute.delete", attributeId=made["id"])
    assert gone == {"id": made["id"], "status": 200, "deleted": True}
    assert (await client.data("attribute.list", blueprintId="tag"))["items"] == []
    assert await sensors_of(acme, device) == {"battery": "DOUBLE"}
    assert await client.failure("attribute.delete", attributeId=made["id"]) == 404


async def test_attributes_of_others_are_not_there(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    [made] = (await add_blueprint(client, "tag", {"path": "battery", "type": "percent"}))["attributes"]
    for operation, body in (("attribute.get", None), ("attribute.update", {"name": "x"}), ("attribute.delete", None)):
        assert await stranger.failure(operation, json=body, attributeId=made["id"]) == 404, operation
        assert await client.failure(operation, json=body, attributeId="nothing") == 404, operation
    sent = {
        "path": "t",
        "type": "relationship",
        "relationshipType": "oneToOne",
        "targetBlueprintId": made["blueprintId"],
    }
    await add_blueprint(stranger, "asset")
    assert await stranger.failure("attribute.create", json=sent, blueprintId="asset") == 400
