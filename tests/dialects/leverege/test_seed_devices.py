"""What the guide of the original shows about devices, call by call."""

from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.world import add_blueprint, add_system, project_of

__all__ = ["data_path"]


async def project(tenant: Tenant) -> Client:
    """A client in a project with boats that have geofences."""
    client = await Client.of(tenant)
    await add_system(client, "marina")
    fence = await add_blueprint(client, "geofence", {"path": "radius", "type": "number"})
    await add_blueprint(
        client,
        "boat",
        {"path": "field1", "type": "string"},
        {"path": "field2", "type": "integer"},
        {"path": "status", "type": "string"},
        {"path": "lastUpdated", "type": "timestamp"},
        {
            "path": "geofence",
            "type": "relationship",
            "relationshipType": "oneToMany",
            "targetBlueprintId": fence["id"],
        },
    )
    return client


async def create_boat(client: Client, **params: str) -> dict[str, Any]:
    """`api.interface(systemId, 'blueprintName').create({name, data})`."""
    body = {"name": "My New Device", "data": {"field1": "value1", "field2": 123}}
    names = {"systemId": "marina", "blueprint": "boat"}
    made: dict[str, Any] = await client.data("interface.create", json=body, params=params, **names)
    return made


async def test_get_a_single_device_by_id_and_with_project_context(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await project(acme), await project(globex)
    boat = await create_boat(client)
    device = await client.data("device.get", deviceId=boat["id"])
    assert (device["id"], device["name"], device["blueprintId"]) == (boat["id"], "My New Device", boat["blueprintId"])
    inside = await client.data("device.get-in-project", projectId=project_of(client), deviceId=boat["id"])
    assert inside == device
    assert await stranger.failure("device.get", deviceId=boat["id"]) == 404


async def test_create_a_standalone_device_and_read_its_metadata(acme: Tenant) -> None:
    client = await project(acme)
    boat = await create_boat(client)
    assert boat["data"] == {"field1": "value1", "field2": 123}
    for name in boat["data"]:
        told = boat["dataMetadata"][name]
        assert set(told) == {"source", "updated"} and "userId" in told["source"]
        assert isinstance(told["updated"], int)


async def test_create_a_device_as_a_child_of_another_device(acme: Tenant) -> None:
    client = await project(acme)
    boat = await create_boat(client)
    names = {"systemId": "marina", "blueprint": "boat", "objId": boat["id"], "rel": "geofence"}
    child = await client.data("interface.group-create", json={"name": "Child Device", "data": {"radius": 50}}, **names)
    assert (child["name"], child["data"]) == ("Child Device", {"radius": 50})
    listed = await client.data("interface.group-list", **names)
    assert [each["id"] for each in listed["items"]] == [child["id"]]


@pytest.mark.usefixtures("data_path")
async def test_update_device_data_and_wait_until_it_is_written(acme: Tenant) -> None:
    client = await project(acme)
    boat = await create_boat(client, resolveOnWrite="true")
    body = {"data": {"status": "inactive", "lastUpdated": 1_700_000_000_000}}
    changed = await client.data("device.update", json=body, deviceId=boat["id"])
    assert changed["data"] == {"field1": "value1", "field2": 123} | body["data"]
    waited = await client.data("device.update", json=body, params={"resolveOnWrite": "true"}, deviceId=boat["id"])
    assert waited["resolveOnWrite"] == {"resolved": True, "pending": []}
    which = '{"writers": ["rt", "timescale"], "maxWaitTime": 5000}'
    waited = await client.data("device.update", json=body, params={"resolveOnWrite": which}, deviceId=boat["id"])
    assert waited["resolveOnWrite"] == {"resolved": True, "pending": []}
    assert (await client.data("device.get", deviceId=boat["id"]))["data"]["status"] == "inactive"
