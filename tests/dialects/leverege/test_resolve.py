"""`resolveOnWrite`: what has resolved is read and found by everybody."""

from typing import Any

import msgspec
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Accepted, Reading
from roadstead.core.telemetry import Patches, copy_line, merge_state
from roadstead.kernel import ids, time
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.world import add_blueprint, add_object, add_system

__all__ = ["data_path"]

RESOLVED = {"resolved": True, "pending": []}


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    client = await Client.of(acme)
    await add_system(client, "main")
    await add_blueprint(client, "boat", {"path": "status", "type": "string"}, {"path": "speed", "type": "number"})
    return client


async def find(client: Client, **wanted: Any) -> list[str]:
    """The names of the boats that search finds."""
    conditions = [{"type": "equals", "field": f"data/{name}", "value": value} for name, value in wanted.items()]
    body = {"filter": {"type": "logical", "operator": "and", "conditions": conditions}}
    answer = await client.http.post("/v1/interface/main/boat.search", json=body)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_others_find_what_has_resolved_and_no_longer_what_was_taken_away(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    other = await Client.of(acme)
    assert await find(other, status="active") == []
    made = await add_object(client, "main/boat", name="Brant", data={"status": "active"}, resolveOnWrite=True)
    assert made["resolveOnWrite"] == RESOLVED
    assert await find(other, status="active") == ["Brant"]
    said = {"writers": ["timescale", "rt"], "maxWaitTime": 10_000}
    for data, found in (
        ({"status": "idle", "speed": 3.5}, []),
        ([{"path": "status", "value": "active"}], ["Brant"]),
        ({"status": None}, []),
    ):
        changed = await client.data(
            "device.update",
            json={"data": data},
            params={"resolveOnWrite": msgspec.json.encode(said).decode()},
            deviceId=made["id"],
        )
        assert changed["resolveOnWrite"] == RESOLVED
        assert await find(other, status="active") == found
        read = await other.data("device.get", deviceId=made["id"])
        assert (read["data"], read["dataMetadata"]) == (changed["data"], changed["dataMetadata"])
    assert (await other.data("device.get", deviceId=made["id"]))["data"] == {"speed": 3.5}
    assert await find(other, speed=3.5) == ["Brant"]


async def test_a_device_whose_clock_is_ahead_does_not_keep_what_was_written(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    made = await add_object(client, "main/boat", name="Brant", data={"speed": 1}, resolveOnWrite=True)
    device = ids.parse_base62(made["id"])
    assert device is not None
    ahead = time.to_millis(time.now()) + 240_000
    patches = Patches()
    patches.add(
        Accepted.of(acme.tenant_id, ids.to_bytes(device), "native", "readings", ahead, [Reading("speed", ahead, 9.0)])
    )
    async with acme.edge.system_database.tx() as tx:
        await merge_state(tx, [copy_line(key, patch, seen=False) for key, patch in patches.items()])
    params = {"resolveOnWrite": "true"}
    for value, data in ((2, {"speed": 2}), (None, {})):
        body = [{"path": "speed", "value": value}]
        written = await client.data("device.set-value", json=body, params=params, deviceId=made["id"])
        assert written["data"] == data
        assert (await client.data("device.get", deviceId=made["id"]))["data"] == data


async def test_without_data_there_is_nothing_to_wait_for(client: Client) -> None:
    made = await add_object(client, "main/boat", name="Brant")
    body = {"name": "Curlew", "resolveOnWrite": {"writers": ["rt"]}}
    answer = await client.data("device.update", json=body, deviceId=made["id"])
    assert (answer["name"], answer["resolveOnWrite"]) == ("Curlew", RESOLVED)
