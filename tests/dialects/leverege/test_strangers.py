"""What anybody reads of a system without a token: nothing, until a role says how far."""

from typing import Any

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.rights import add_role
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of

BOAT: dict[str, Any] = {"systemId": "main", "blueprint": "boat"}


async def fleet(tenant: Tenant) -> tuple[Client, dict[str, Any], Any]:
    """A client, a boat of the system `main`, and a role that reads boats."""
    client = await Client.of(tenant)
    await add_system(client, "main")
    boats = await add_blueprint(client, "boat", {"path": "status", "type": "string"})
    boat = await add_object(client, "main/boat", name="Brant")
    permissions = [{"module": boats["id"], "name": name} for name in ("read", "list", "readData")]
    return client, boat, await add_role(client, *permissions)


async def test_a_system_is_read_without_a_token_as_far_as_its_public_role_says(acme: Tenant, globex: Tenant) -> None:
    owner, boat, role = await fleet(acme)
    anybody = Client(acme)
    assert await anybody.failure("interface.get", **BOAT, objId=boat["id"]) == 401
    told = await owner.data("system.update", json={"publicRole": role["name"]}, systemId="main")
    assert told["publicRole"] == role["name"]
    assert (await anybody.data("interface.get", **BOAT, objId=boat["id"]))["name"] == "Brant"
    assert (await anybody.data("interface.list", **BOAT))["count"] == 1

    # Nothing else, and nowhere else.
    await add_blueprint(owner, "dock", {"path": "status", "type": "string"})
    dock = await add_object(owner, "main/dock", name="East")
    assert await anybody.failure("interface.get", systemId="main", blueprint="dock", objId=dock["id"]) in (403, 404)
    assert await anybody.failure("interface.update", json={"name": "Mine"}, **BOAT, objId=boat["id"]) == 401
    assert await anybody.failure("interface.search", json={}, **BOAT) == 401
    assert await anybody.failure("system.get", systemId="main") == 401
    await add_system(owner, "yard")
    assert await anybody.failure("interface.list", systemId="yard", blueprint="boat") == 401

    # Of two systems of one name neither is meant; the id tells them apart.
    theirs, _, their_role = await fleet(globex)
    await theirs.data("system.update", json={"publicRole": their_role["name"]}, systemId="main")
    assert await anybody.failure("interface.get", **BOAT, objId=boat["id"]) == 401
    by_id = BOAT | {"systemId": told["id"]}
    assert (await anybody.data("interface.get", **by_id, objId=boat["id"]))["name"] == "Brant"
    await owner.data("system.update", json={"publicRole": None}, systemId="main")
    assert await anybody.failure("interface.get", **by_id, objId=boat["id"]) == 401


async def test_strangers_are_never_let_do_more_than_read(acme: Tenant) -> None:
    owner, boat, role = await fleet(acme)
    admin = await owner.ask("system.update", json={"publicRole": "admin"}, systemId="main")
    assert (admin.status_code, "publicRole" in admin.json()["message"]) == (400, True)
    writer = await add_role(owner, {"module": "device", "name": "delete"})
    refused = await owner.ask("system.update", json={"publicRole": writer["name"]}, systemId="main")
    assert (refused.status_code, "device.delete" in refused.json()["message"]) == (400, True)

    await owner.data("system.update", json={"publicRole": role["name"]}, systemId="main")
    everything = {"module": "device", "name": "delete"}
    await owner.data("role.add-permissions", json={"permissions": [everything]}, roleId=role["id"])
    assert await Client(acme).failure("interface.delete", **BOAT, objId=boat["id"]) == 401
    shown = await owner.data("system.list", projectId=project_of(owner))
    assert {each["id"] for each in shown["items"] if "publicRole" in each} == {
        each["id"] for each in shown["items"] if each.get("alias") == "main"
    }
