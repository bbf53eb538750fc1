"""/v1/device, /v1/system/{systemId}/device, /v1/project/{projectId}/device."""

from typing import Any

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of
from tests.dialects.native.fleet import ok


async def world(tenant: Tenant) -> Client:
    client = await Client.of(tenant)
    await add_system(client, "main")
    await add_system(client, "other")
    await add_blueprint(client, "vehicle", {"path": "status", "type": "string"})
    return client


async def test_a_device_of_a_system_is_made_read_changed_and_deleted(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await world(acme), await world(globex)
    sent = {"name": "Van", "blueprintId": "vehicle", "metadata": {"reportLimit": 3}, "data": {"status": "active"}}
    made = await client.data("system.device-create", json=sent, systemId="main")
    assert (made["name"], made["data"]) == ("Van", {"status": "active"})
    boat = await add_object(client, "other/vehicle", name="Boat")

    listed = await client.data("system.device-list", systemId="main")
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    check_value("item", "Device", listed["items"][0])
    names = {"systemId": made["systemId"], "deviceId": made["id"]}
    assert (await client.data("system.device-get", **names))["metadata"]["reportLimit"] == 3
    steps = [{"op": "replace", "path": "metadata", "value": {"reportLimit": 9}}]
    assert (await client.data("system.device-update", json=steps, **names))["metadata"] == {"reportLimit": 9}

    wrong = names | {"deviceId": boat["id"]}
    for operation in ("system.device-get", "system.device-update", "system.device-delete"):
        assert await client.failure(operation, **wrong) == 404, operation
        assert await stranger.failure(operation, **names) == 404, operation
    gone = await client.data("system.device-delete", **names)
    assert gone == {"status": 200, "id": made["id"], "deleted": True}
    assert await client.failure("system.device-get", **names) == 404


async def test_a_device_of_a_system_needs_a_blueprint_that_is_there(acme: Tenant) -> None:
    client = await world(acme)
    for body in ({"name": "x"}, {"name": "x", "blueprintId": "boat"}, {"name": "x", "blueprintId": 5}):
        assert await client.failure("system.device-create", json=body, systemId="main") == 400
    assert await client.failure("system.device-create", json={"blueprintId": "vehicle"}, systemId="third") == 404


async def test_a_device_is_found_by_its_id_in_its_project_only(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await world(acme), await world(globex)
    made = await add_object(client, "main/vehicle", name="Van")
    assert (await client.data("device.get", deviceId=made["id"]))["name"] == "Van"
    found = await client.data("device.get-in-project", projectId=project_of(client), deviceId=made["id"])
    assert found["id"] == made["id"]
    assert await client.failure("device.get-in-project", projectId=project_of(stranger), deviceId=made["id"]) == 404
    assert await client.failure("device.get", deviceId="van") == 404
    for operation in ("device.get", "device.update", "device.delete"):
        assert await stranger.failure(operation, json={}, deviceId=made["id"]) == 404, operation
    assert (await client.data("device.delete", deviceId=made["id"]))["deleted"] is True
    assert await client.failure("device.get", deviceId=made["id"]) == 404


async def test_devices_that_were_made_by_the_native_api_are_of_blueprints_as_well(acme: Tenant) -> None:
    client = await world(acme)
    made = ok(await acme.api.post("/api/v1/devices", json={"name": "Plain", "tags": {"a": "b"}}))
    listed = (await client.http.get(f"/v1/project/{project_of(client)}/system")).json()["items"]
    default = next(each for each in listed if each.get("alias") not in ("main", "other"))
    (found,) = (await client.data("system.device-list", systemId=default["id"]))["items"]
    assert (found["name"], found["blueprintId"]) == ("Plain", project_of(client))
    renamed = await client.data("device.update", json={"name": "Fancy", "metadata": {"x": 1}}, deviceId=found["id"])
    assert renamed["name"] == "Fancy"
    native = ok(await acme.api.get(f"/api/v1/devices/{made['id']}"))
    assert (native["name"], native["metadata"], native["tags"]) == ("Fancy", {"x": 1}, {"a": "b"})


async def test_one_to_one_children_cost_no_query_each(acme: Tenant) -> None:
    client = await world(acme)
    tag = await add_blueprint(client, "tag", {"path": "code", "type": "string"})
    relation: dict[str, Any] = {
        "path": "parts/tag",
        "type": "relationship",
        "relationshipType": "oneToOne",
        "targetBlueprintId": tag["id"],
    }
    await add_blueprint(client, "asset", relation)
    for number in range(3):
        asset = await add_object(client, "main/asset", name=f"A{number}")
        await add_object(client, f"main/asset/{asset['id']}/parts%2Ftag", name=f"T{number}")
    found = await client.data("interface.list", params={"sort": "name"}, systemId="main", blueprint="asset")
    assert len({item["data"]["parts"]["tag"]["id"] for item in found["items"]}) == 3
