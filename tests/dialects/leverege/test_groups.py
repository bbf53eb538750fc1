"""Groups: the children of a device by a relation."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.rights import add_user
from tests.dialects.leverege.world import add_blueprint, add_object, add_system

__all__ = ["data_path"]

KINDS = {"tags": "oneToMany", "tag": "oneToOne", "owners": "manyToMany", "depot": "manyToOne"}


async def site(tenant: Tenant) -> Client:
    """A client whose blueprint `asset` has relations of all kinds with `tag`, and one with itself."""
    client = await Client.of(tenant)
    await add_system(client, "main")
    tag = await add_blueprint(client, "tag", {"path": "uniqueDeviceId", "type": "string"})
    relations = [
        {"path": path, "type": "relationship", "relationshipType": kind, "targetBlueprintId": tag["id"]}
        for path, kind in KINDS.items()
    ]
    await add_blueprint(client, "asset", {"path": "status", "type": "string"}, *relations)
    return client


def group(parent: dict[str, Any], relation: str, **names: str) -> dict[str, Any]:
    return {"systemId": "main", "blueprint": "asset", "objId": parent["id"], "rel": relation, **names}


async def members(client: Client, parent: dict[str, Any], relation: str, **params: Any) -> list[str]:
    """The ids of the children."""
    found = await client.data("interface.group-list", params=params, **group(parent, relation))
    for item in found["items"]:
        check_value("item", "Device", item)
    return [item["id"] for item in found["items"]]


async def test_a_child_is_made_listed_read_changed_and_unlinked(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await site(acme), await site(globex)
    pump, van = [await add_object(client, "main/asset", name=name) for name in ("Pump", "Van")]
    sent = {"name": "T1", "networkAliases": {"ble": {"deviceId": "t1"}}, "data": {"uniqueDeviceId": "ZSD-TAG1"}}
    made = await client.data("interface.group-create", json=sent, **group(pump, "tags"))
    assert (made["name"], made["data"]) == ("T1", {"uniqueDeviceId": "ZSD-TAG1"})
    child = group(pump, "tags", childId=made["id"])

    assert await members(client, pump, "tags") == [made["id"]]
    assert await members(client, van, "tags") == []
    assert (await client.data("interface.group-get", **child))["name"] == "T1"
    changed = await client.data("interface.group-update", json={"name": "T2", "data": {"level": 3}}, **child)
    assert (changed["name"], changed["data"]["level"]) == ("T2", 3)
    asked = {"networkId": "ble", "aliasKey": "deviceId", "value": "t1"}
    assert (await client.data("interface.group-by-network-alias", params=asked, **group(pump, "tags")))["name"] == "T2"
    assert await client.failure("interface.group-by-network-alias", params=asked, **group(van, "tags")) == 404
    assert await client.failure("interface.group-get", **group(van, "tags", childId=made["id"])) == 404
    assert await client.failure("interface.group-get", **group(pump, "wheels", childId=made["id"])) == 404
    for operation in ("interface.group-get", "interface.group-remove"):
        assert await stranger.failure(operation, **child) == 404

    gone = await client.data("interface.group-remove", **child)
    assert (gone["id"], gone["parentId"], gone["deviceRemoved"]) == (made["id"], pump["id"], False)
    assert await client.failure("interface.group-remove", **child) == 404
    assert (await client.data("device.get", deviceId=made["id"]))["name"] == "T2"


async def test_a_child_is_deleted_with_its_relation_when_that_is_said(acme: Tenant) -> None:
    client = await site(acme)
    pump = await add_object(client, "main/asset", name="Pump")
    made = await add_object(client, f"main/asset/{pump['id']}/tags", name="T1")
    child = group(pump, "tags", childId=made["id"])
    assert await client.failure("interface.group-remove", json={"deleteDevice": "maybe"}, **child) == 400
    gone = await client.data("interface.group-remove", json={"deleteDevice": "force"}, **child)
    assert gone["deviceRemoved"] is True
    assert await client.failure("device.get", deviceId=made["id"]) == 404


@pytest.mark.usefixtures("data_path")
async def test_a_one_to_one_child_is_the_answer_itself_and_part_of_the_data_of_its_parent(acme: Tenant) -> None:
    client = await site(acme)
    pump = await add_object(client, "main/asset", name="Pump", data={"status": "on"})
    names = group(pump, "tag")
    assert await client.failure("interface.group-list", **names) == 404
    sent = {"name": "T", "data": {"uniqueDeviceId": "1"}, "resolveOnWrite": True}
    made = await client.data("interface.group-create", json=sent, **names)
    assert made["resolveOnWrite"]["resolved"]

    found = await client.data("interface.get", **names)
    assert found["data"]["tag"] == {"id": made["id"], "data": {"uniqueDeviceId": "1"}}
    plain = await client.data("interface.get", params={"children": "false"}, **names)
    assert "tag" not in plain["data"]
    only = (await client.http.get(f"/v1/interface/main/asset/{pump['id']}/tag")).json()
    assert only["id"] == made["id"]
    listed = await client.data("interface.list", systemId="main", blueprint="asset")
    assert listed["items"][0]["data"]["tag"]["id"] == made["id"]
    listed = await client.data("interface.list", params={"children": "false"}, systemId="main", blueprint="asset")
    assert "tag" not in listed["items"][0]["data"]

    assert await client.failure("interface.group-create", json={"name": "U"}, **names) == 409
    gone = await client.data("interface.one-unlink", **names)
    assert (gone["id"], gone["parentId"]) == (made["id"], pump["id"])
    assert await client.failure("interface.one-unlink", **names) == 404
    assert await client.failure("interface.one-unlink", **group(pump, "tags")) == 400


async def test_relations_are_as_few_as_their_kind_says_and_force_makes_room(acme: Tenant) -> None:
    client = await site(acme)
    pump, van = [await add_object(client, "main/asset", name=name) for name in ("Pump", "Van")]
    one, two = [await add_object(client, "main/tag", name=name) for name in ("1", "2")]

    async def link(parent: dict[str, Any], relation: str, child: dict[str, Any], **more: Any) -> int:
        names = group(parent, relation)
        answer = await client.ask("interface.group-create", json={"id": child["id"], **more}, **names)
        return answer.status_code

    # A child has one parent.
    assert [await link(pump, "tags", one), await link(pump, "tags", two), await link(pump, "tags", one)] == [200] * 3
    assert await link(van, "tags", one) == 409
    assert await link(van, "tags", one, force=True) == 200
    assert (await members(client, pump, "tags"), await members(client, van, "tags")) == ([two["id"]], [one["id"]])
    # Both have one.
    assert [await link(pump, "tag", one), await link(van, "tag", one), await link(pump, "tag", two)] == [200, 409, 409]
    assert await link(van, "tag", one, force=True) == 200
    assert await client.failure("interface.one-unlink", **group(pump, "tag")) == 404
    assert await link(van, "tag", two, force=True) == 200
    assert (await client.data("interface.get", **group(van, "tag")))["data"]["tag"]["id"] == two["id"]
    # A parent has one child.
    assert [await link(pump, "depot", one), await link(van, "depot", one), await link(van, "depot", two)] == [
        200,
        200,
        409,
    ]
    assert await link(van, "depot", two, force=True) == 200
    assert (await members(client, pump, "depot"), await members(client, van, "depot")) == ([one["id"]], [two["id"]])
    # Neither has.
    for parent in (pump, van):
        assert [await link(parent, "owners", one), await link(parent, "owners", two)] == [200, 200]
    assert len(await members(client, pump, "owners")) == len(await members(client, van, "owners")) == 2


async def test_links_that_are_made_at_once_leave_one_parent(acme: Tenant) -> None:
    client = await site(acme)
    assets = [await add_object(client, "main/asset", name=str(number)) for number in range(6)]
    tag = await add_object(client, "main/tag", name="T")

    async def link(asset: dict[str, Any], relation: str, force: bool) -> int:
        body = {"id": tag["id"], "force": force}
        return (await client.ask("interface.group-create", json=body, **group(asset, relation))).status_code

    for relation in ("tags", "tag"):
        statuses = await asyncio.gather(*(link(asset, relation, False) for asset in assets))
        assert sorted(statuses) == [200] + [409] * 5
        statuses = await asyncio.gather(*(link(asset, relation, True) for asset in assets))
        assert statuses == [200] * 6
        holders = [asset for asset in assets if await holds(client, asset, relation, tag["id"])]
        assert len(holders) == 1


async def holds(client: Client, asset: dict[str, Any], relation: str, child_id: str) -> bool:
    answer = await client.http.get(f"/v1/interface/main/asset/{asset['id']}/{relation}/{child_id}")
    return answer.status_code == 200


@pytest.mark.parametrize("kind", ["wrong blueprint", "another system", "itself", "no id", "not there"])
async def test_only_devices_of_the_right_blueprint_and_system_are_linked(
    acme: Tenant, globex: Tenant, kind: str
) -> None:
    client, stranger = await site(acme), await site(globex)
    await add_system(client, "other")
    pump = await add_object(client, "main/asset", name="Pump")
    child = {
        "wrong blueprint": (await add_object(client, "main/asset", name="Van"))["id"],
        "another system": (await add_object(client, "other/tag", name="T"))["id"],
        "itself": pump["id"],
        "no id": "tag-1",
        "not there": (await add_object(stranger, "main/tag", name="T"))["id"],
    }[kind]
    expected = 400 if kind in ("wrong blueprint", "itself") else 404
    assert await client.failure("interface.group-create", json={"id": child}, **group(pump, "tags")) == expected


async def test_paths_go_through_four_groups_and_each_must_hold_the_next(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_system(client, "main")
    below = await add_blueprint(client, "dispenser")
    for alias, relation in (
        ("room", "dispensers"),
        ("floor", "rooms"),
        ("building", "floors"),
        ("hospital", "buildings"),
    ):
        link = {
            "path": relation,
            "type": "relationship",
            "relationshipType": "oneToMany",
            "targetBlueprintId": below["id"],
        }
        below = await add_blueprint(client, alias, link)
    ends = []
    for number in "12":
        path = "main/hospital"
        for relation in ("buildings", "floors", "rooms", "dispensers"):
            path += f"/{(await add_object(client, path, name=f'H{number}'))['id']}/{relation}"
        ends.append((path, (await add_object(client, path, name=f"D{number}"))["id"]))
    (first, one), (second, two) = ends

    async def named(path: str) -> list[str]:
        found = (await client.http.get(f"/v1/interface/{path}", params={"sort": "name"})).json()
        return [item["name"] for item in found["items"]]

    assert await named(first) == ["D1"]
    assert (await client.http.get(f"/v1/interface/{first}/{one}")).json()["name"] == "D1"
    assert (await client.http.get(f"/v1/interface/{first}/{two}")).status_code == 404
    crossed = "/".join([*first.split("/")[:4], *second.split("/")[4:]])
    assert (await client.http.get(f"/v1/interface/{crossed}")).status_code == 404

    steps = first.split("/")
    assert await named("main/hospital/*/buildings/*/floors/*/rooms/*/dispensers") == ["D1", "D2"]
    assert await named("/".join([*steps[:4], "*", "floors", "*", "rooms", "*", "dispensers"])) == ["D1"]
    assert await named(f"main/hospital/*/buildings/{steps[4]}/floors") == ["H1"]
    assert await named(f"{first}/*") == ["D1"]
    created = await client.http.post("/v1/interface/main/hospital/*/buildings", json={"name": "x"})
    assert created.status_code == 400


async def test_what_somebody_may_do_in_groups_follows_from_their_roles(acme: Tenant) -> None:
    client = await site(acme)
    pump, van = [await add_object(client, "main/asset", name=name, data={"status": "on"}) for name in ("Pump", "Van")]
    tag = await add_object(client, f"main/asset/{pump['id']}/tags", name="T")
    _, nobody = await add_user(client)
    _, reader = await add_user(client, "device.read", "device.list", on=pump["id"])
    _, linker = await add_user(client, "system.read", "device.read", "device.createRelationship")

    assert await nobody.failure("interface.list", systemId="main", blueprint="asset") == 403
    assert await nobody.failure("interface.get", **group(pump, "tags")) == 404
    listed = await reader.data("interface.list", systemId="main", blueprint="asset")
    assert [(item["id"], item["data"], item["dataMetadata"]) for item in listed["items"]] == [(pump["id"], {}, {})]
    assert await reader.failure("interface.get", **group(van, "tags")) == 404
    assert await reader.failure("interface.update", json={"name": "x"}, **group(pump, "tags")) == 403
    assert await reader.failure("interface.update", json={"data": {"status": "off"}}, **group(pump, "tags")) == 403
    assert await reader.failure("interface.delete", **group(pump, "tags")) == 403
    assert await reader.failure("interface.rsrc-put", json={"type": "x"}, rsrcPath="p/a", **group(pump, "tags")) == 403

    await linker.data("interface.group-create", json={"id": tag["id"], "force": True}, **group(van, "tags"))
    assert await linker.failure("interface.group-create", json={"name": "new"}, **group(van, "tags")) == 403
    assert await linker.failure("interface.group-remove", **group(van, "tags", childId=tag["id"])) == 403
    assert await members(client, van, "tags") == [tag["id"]]
