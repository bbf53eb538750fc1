"""What is reported to a child is stored with its parents, where the relation says so."""

from typing import Any
from uuid import UUID

import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import DeviceTypeChanged, decode_fact
from roadstead.kernel import ids
from roadstead.kernel.ids import TypeId
from tests.bus.conftest import eventually
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.test_inbound import quarantined, resolved
from tests.dialects.leverege.test_set_value import native, write
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of

__all__ = ["data_path"]


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme, with tags in assets in rooms; what tags say is passed on, all the way up."""
    client = await Client.of(acme)
    await add_system(client, "main")
    tag = await add_blueprint(client, "tag", {"path": "battery", "type": "number"})
    one_to_one = {"type": "relationship", "relationshipType": "oneToOne", "forwardData": True}
    asset = await add_blueprint(
        client,
        "asset",
        {"path": "tag", "targetBlueprintId": tag["id"], **one_to_one},
        {"path": "label", "type": "string"},
    )
    await add_blueprint(
        client,
        "room",
        {"path": "assets", "targetBlueprintId": asset["id"], **one_to_one, "relationshipType": "oneToMany"},
        {"path": "battery", "type": "string"},
    )
    return client


async def blueprints(client: Client) -> list[dict[str, Any]]:
    """With their attributes."""
    listed = await client.data("blueprint.list", projectId=project_of(client), params={"children": "attribute"})
    found: list[dict[str, Any]] = listed["items"]
    return found


async def data_of(client: Client, device: str) -> dict[str, Any]:
    """Who wrote what of a device."""
    told: dict[str, Any] = await client.data("device.updaters", deviceId=device)
    return told


async def test_data_of_a_child_is_stored_with_all_above_it_and_not_with_what_is_below(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    room = await add_object(client, "main/room", name="r")
    asset = await add_object(client, f"main/room/{room['id']}/assets", name="a")
    tag = await add_object(client, f"main/asset/{asset['id']}/tag", name="t")
    answer = await write(client, tag["id"], ("position", {"x": 1, "y": 2}), ("list", [1, 2]))
    assert answer["resolveOnWrite"]["resolved"] is True
    for above in (asset, room):
        assert await data_of(client, above["id"]) == answer["dataMetadata"]
    assert len(await native(client, room["id"])) == 4

    answer = await write(client, tag["id"], ("position/x", None), ("list", [3]))
    assert await data_of(client, room["id"]) == answer["dataMetadata"]
    await write(client, asset["id"], ("label", "x"))
    assert "label" in await data_of(client, room["id"])
    assert "label" not in await data_of(client, tag["id"])


async def test_what_comes_through_another_door_is_passed_on_as_that_of_the_child(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    room = await add_object(client, "main/room", name="r")
    asset = await add_object(client, f"main/room/{room['id']}/assets", name="a")
    tag = await add_object(client, f"main/asset/{asset['id']}/tag", name="t")
    for number, metadata in enumerate((None, {"note": "x"})):
        item = {"deviceId": str(ids.parse_base62(tag["id"])), "sensorId": "rssi", "value": -70.5 - number}
        item |= {"timestamp": f"2026-01-01T00:00:0{number}Z"} | ({"metadata": metadata} if metadata else {})
        assert (await acme.api.post("/api/v1/readings", json=[item])).status_code < 300
        await resolved(client)
        wanted = {"rssi": {"source": {"deviceId": tag["id"]}, "updated": 1767225600000 + 1000 * number}}
        for one in (tag, asset, room):
            assert await data_of(client, one["id"]) == wanted


async def test_what_does_not_fit_the_parent_is_refused_there_and_taken_elsewhere(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    room = await add_object(client, "main/room", name="r")
    asset = await add_object(client, f"main/room/{room['id']}/assets", name="a")
    tag = await add_object(client, f"main/asset/{asset['id']}/tag", name="t")
    await write(client, tag["id"], ("battery", 0.5))
    assert "battery" in await data_of(client, asset["id"])
    assert await data_of(client, room["id"]) == {}

    async def is_kept() -> bool:
        return [one["reason"] for one in await quarantined(acme)] == ["TYPE_MISMATCH"]

    await eventually(is_kept)


async def test_whoever_checks_messages_is_told_that_a_relation_forwards_from_now_on(
    client: Client, acme: Tenant
) -> None:
    (asset,) = [one for one in await blueprints(client) if one["alias"] == "asset"]
    (tag,) = [one for one in asset["attributes"] if one["path"] == "tag"]

    async def is_told() -> int:
        async with acme.edge.system_database.tx() as tx:
            rows = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s", acme.tenant_id)
        told = DeviceTypeChanged(TypeId(ids.parse_base62(asset["id"]) or UUID(int=0)))
        return [decode_fact(bytes(fact)) for (fact,) in rows].count(told)

    before = await is_told()
    for forwards, more in ((True, 0), (False, 1), (False, 1), (True, 2)):
        await client.data("attribute.update", json={"forwardData": forwards}, attributeId=tag["id"])
        assert await is_told() == before + more, forwards
    await client.data("attribute.delete", attributeId=tag["id"])
    assert await is_told() == before + 3
