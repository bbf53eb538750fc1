"""/blueprint."""

from typing import Any

from roadstead.core import registry
from roadstead.core.registry import DeviceDraft
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.world import add_blueprint, add_system, project_of
from tests.dialects.lightelligence.contract import Client as Lightelligence
from tests.dialects.lightelligence.fleet import SENSOR_SCHEMA, add_device, add_type

TEMPERATURE: dict[str, Any] = {"path": "air/temperature", "type": "temperature", "units": "C", "name": "Temperature"}
POSITION: dict[str, Any] = {"path": "position", "type": "geoPoint", "tags": ["is:geoPosition"]}


async def test_a_blueprint_comes_back_as_it_was_made_and_belongs_to_one_project(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    made = await add_blueprint(
        client, "airSensor", TEMPERATURE, POSITION, desc="measures", metadata={"icon": "air"}, tags=["hidden"]
    )
    assert (made["alias"], made["desc"], made["type"]) == ("airSensor", "measures", "device")
    assert (made["metadata"], made["tags"], made["projectId"]) == ({"icon": "air"}, ["hidden"], project_of(client))
    for each, sent in zip(made["attributes"], (TEMPERATURE, POSITION), strict=True):
        assert {name: each[name] for name in sent} == sent
    assert await client.data("blueprint.get", blueprintId=made["id"]) == made
    assert await client.data("blueprint.get", blueprintId="airSensor") == made

    assert (await stranger.data("blueprint.list", projectId=project_of(stranger)))["items"] == []
    assert await stranger.failure("blueprint.list", projectId=project_of(client)) == 404
    for operation, body in (
        ("blueprint.get", None),
        ("blueprint.update", {"name": "x"}),
        ("blueprint.delete", None),
        ("attribute.list", None),
        ("attribute.create", {"path": "x", "type": "int"}),
    ):
        assert await stranger.failure(operation, json=body, blueprintId=made["id"]) == 404, operation
    await add_blueprint(stranger, "airSensor")


async def test_a_blueprint_is_a_device_type_of_the_other_dialects(acme: Tenant) -> None:
    client, other = await Client.of(acme), await Lightelligence.of(acme)
    made = await add_blueprint(client, "airSensor", TEMPERATURE, POSITION, name="Air sensor")
    [type_] = await other.data("listDeviceTypes")
    assert type_["name"] == "Air sensor"
    attributes = type_["schema"]["attributes"]
    assert attributes["air"]["properties"]["temperature"] == {"type": "number", "unit": "C", "title": "Temperature"}
    assert set(attributes["position"]["properties"]) == {"lat", "lon"}

    renamed = await client.data("blueprint.update", json={"name": "Air", "desc": "x"}, blueprintId=made["id"])
    [type_] = await other.data("listDeviceTypes")
    assert (renamed["name"], type_["name"], type_["description"]) == ("Air", "Air", "x")
    schema = {"attributes": {"air": {"type": "string"}}}
    refused = await other.failure("updateDeviceType", json={"schema": schema}, deviceTypeId=type_["id"])
    assert refused == (409, "DEVICE_CONNECTEDBY_CONFLICT")
    answer = await other.ask("updateDeviceType", json={"name": "Air two"}, deviceTypeId=type_["id"])
    assert answer.status_code == 200
    assert (await client.data("blueprint.get", blueprintId=made["id"]))["name"] == "Air two"


async def test_types_made_elsewhere_are_blueprints_to_read(acme: Tenant) -> None:
    client, other = await Client.of(acme), await Lightelligence.of(acme)
    await add_type(other, name="Ceiling sensor", schema=SENSOR_SCHEMA)
    async with acme.work() as work:
        await registry.create_device(work, DeviceDraft(name="plain"))
    listed = await client.data("blueprint.list", params={"children": "attribute"}, projectId=project_of(client))
    shown = {each["name"]: each for each in listed["items"]}
    ceiling, plain = shown["Ceiling sensor"], shown["Devices without a type"]
    types = {"people": "integer", "air/co2": "number", "air/voc": "number"}
    assert {each["path"]: each["type"] for each in ceiling["attributes"]} == types
    assert await client.data("blueprint.get", blueprintId=ceiling["id"]) == ceiling
    assert plain["attributes"] == []
    for name in (ceiling["id"], plain["id"]):
        assert await client.failure("blueprint.update", json={"name": "x"}, blueprintId=name) in (400, 403)
        assert await client.failure("blueprint.delete", blueprintId=name) == 403
        assert await client.failure("attribute.create", json={"path": "x", "type": "int"}, blueprintId=name) == 403


async def test_an_alias_is_camel_case_unique_and_made_from_the_name_when_none_is_told(acme: Tenant) -> None:
    client = await Client.of(acme)
    project = project_of(client)
    first = await client.data("blueprint.create", json={"name": "Air sensor 2"}, projectId=project)
    second = await client.data("blueprint.create", json={"name": "Air sensor 2"}, projectId=project)
    assert (first["alias"], second["alias"]) == ("airSensor2", "airSensor22")

    answer = await client.ask("blueprint.create", json={"name": "x", "alias": "airSensor2"}, projectId=project)
    assert (answer.status_code, "airSensor2" in answer.text) == (409, True)
    assert await client.failure("blueprint.update", json={"alias": "airSensor2"}, blueprintId=second["id"]) == 409
    for alias in ("AirSensor", "air-sensor", "", "air sensor", "a" * 101):
        assert await client.failure("blueprint.create", json={"name": "x", "alias": alias}, projectId=project) == 400
    changed = await client.data("blueprint.update", json={"alias": "air"}, blueprintId="airSensor22")
    assert (changed["alias"], (await client.data("blueprint.get", blueprintId="air"))["id"]) == ("air", second["id"])


async def test_a_header_is_changed_by_steps_or_by_a_partial_object(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add_blueprint(client, "tag", metadata={"icon": "a", "strings": {"namePlural": "tags"}})
    steps = [
        {"op": "replace", "path": "metadata/icon", "value": "b"},
        {"op": "add", "path": "metadata/deep/er", "value": 1},
        {"op": "remove", "path": "metadata/strings"},
        {"op": "replace", "path": "type", "value": "group"},
    ]
    changed = await client.data("blueprint.update", json=steps, blueprintId=made["id"])
    assert (changed["metadata"], changed["type"]) == ({"icon": "b", "deep": {"er": 1}}, "group")
    changed = await client.data("blueprint.update", json={"metadata": {"icon": None}}, blueprintId=made["id"])
    assert changed["metadata"] == {"deep": {"er": 1}}
    changes: list[Any] = [
        {"name": ""},
        {"type": "thing"},
        {"alias": None},
        {"metadata": 3},
        {"messageRouteId": "x"},
        {"attributes": []},
        [{"op": "move", "path": "name"}],
        [{"op": "add", "path": "name/x", "value": 1}],
        [{"op": "add", "path": "colour", "value": "red"}],
        {"desc": "\0"},
        {"metadata": {"x": "\0"}},
    ]
    for wrong in changes:
        assert await client.failure("blueprint.update", json=wrong, blueprintId=made["id"]) == 400, wrong
    assert await client.data("blueprint.get", blueprintId=made["id"]) == changed


async def test_a_blueprint_with_devices_stays(acme: Tenant) -> None:
    client, other = await Client.of(acme), await Lightelligence.of(acme)
    made = await add_blueprint(client, "tag", {"path": "battery", "type": "percent"})
    [type_] = await other.data("listDeviceTypes")
    device = await add_device(other, type_)
    assert await client.failure("blueprint.delete", blueprintId=made["id"]) == 409
    await other.ask("deleteDevice", deviceId=device["id"])
    assert await client.data("blueprint.delete", blueprintId="tag") == {
        "id": made["id"],
        "status": 200,
        "deleted": True,
    }
    assert await client.failure("blueprint.get", blueprintId=made["id"]) == 404
    assert await other.data("listDeviceTypes") == []


async def test_lists_are_cut_searched_and_sorted(acme: Tenant) -> None:
    client = await Client.of(acme)
    for alias in ("tag", "room", "tagReader"):
        await add_blueprint(client, alias)

    async def names(**params: Any) -> list[str]:
        listed = await client.data("blueprint.list", params=params, projectId=project_of(client))
        assert listed["count"] == len(listed["items"])
        return [each["alias"] for each in listed["items"]]

    assert await names() == ["tag", "room", "tagReader"]
    assert await names(perPage=2) == ["tag", "room"]
    assert await names(perPage=2, startIndex=1) == ["room", "tagReader"]
    assert await names(perPage=2, page=1) == await names(start=2) == ["tagReader"]
    assert await names(search="TAG") == ["tag", "tagReader"]
    assert await names(sort="-name") == ["tagReader", "tag", "room"]
    assert await names(sort='[{"field": "name", "order": "asc"}]') == ["room", "tag", "tagReader"]
    listed = await client.data("blueprint.list", params={"perPage": 1, "test": "true"}, projectId=project_of(client))
    assert (listed["count"], listed["total"], listed["perPage"], listed["startIndex"]) == (1, 3, 1, 0)
    for wrong in ({"perPage": "many"}, {"perPage": 10_001}, {"startIndex": -1}, {"sort": "[{"}, {"sort": "age"}):
        assert await client.failure("blueprint.list", params=wrong, projectId=project_of(client)) == 400, wrong


async def test_the_blueprint_behind_an_interface_path_is_told(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add_blueprint(client, "tag", {"path": "battery", "type": "percent"})
    system = await add_system(client, "north")
    told = await client.data("interface.model", systemId=system["id"], blueprint="tag")
    assert told == made == await client.data("interface.model", systemId="north", blueprint=made["id"])
    assert await client.failure("interface.model", systemId="south", blueprint="tag") == 404
    assert await client.failure("interface.model", systemId="north", blueprint="tags") == 404


async def test_what_a_generator_of_documents_reads_is_there(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_blueprint(client, "reading", TEMPERATURE)
    sensor = await add_blueprint(client, "sensor", POSITION)
    relation = {
        "path": "readings",
        "type": "relationship",
        "relationshipType": "oneToMany",
        "targetBlueprintId": "reading",
    }
    await client.data("attribute.create", json=relation, blueprintId=sensor["id"])
    project = await client.data("project.get", projectId=project_of(client))
    assert project["id"] == project_of(client)
    listed = await client.data("blueprint.list", params={"children": "attribute"}, projectId=project["id"])
    found = {each["alias"]: {one["path"] for one in each["attributes"]} for each in listed["items"]}
    assert found == {"reading": {"air/temperature", "sensor"}, "sensor": {"position", "readings"}}
    bare = await client.data("blueprint.list", projectId=project["id"])
    assert all("attributes" not in each for each in bare["items"])
