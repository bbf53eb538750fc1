"""setValue, updater, and what data looks like after it was written."""

from typing import Any

import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.ports import Span
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.rights import add_user
from tests.dialects.leverege.world import add_blueprint
from tests.fleet import add_device

__all__ = ["data_path"]

AT_ONCE = {"resolveOnWrite": '{"writers": ["rt", "timescale"]}'}
ATTRIBUTES = (
    {"path": "air/co2", "type": "number"},
    {"path": "air/quality", "type": "string"},
    {"path": "people", "type": "int"},
    {"path": "rules", "type": "array"},
    {"path": "extra", "type": "object"},
)


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


async def add_room(client: Client) -> str:
    """A device of a blueprint."""
    tenant = client.tenant
    blueprint = await add_blueprint(client, "room", *ATTRIBUTES)
    device = await add_device(tenant.edge.system_database, tenant.tenant_id)
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE device SET type_id = %s WHERE id = %s", ids.parse_base62(blueprint["id"]), device)
    return ids.to_base62(device)


async def write(client: Client, device: str, *pairs: tuple[str, Any], params: Any = AT_ONCE) -> dict[str, Any]:
    """What is answered once it can be read."""
    body = {"values": [{"path": path, "value": value} for path, value in pairs]}
    answer: dict[str, Any] = await client.data("device.set-value", json=body, params=params, deviceId=device)
    return answer


async def native(client: Client, device: str) -> dict[str, Any]:
    """Value and metadata by sensor key, as the native API tells them."""
    device_id = ids.parse_base62(device)
    answer = await client.tenant.api.get("/api/v1/readings/latest", params={"deviceId": str(device_id)})
    assert answer.status_code == 200, answer.text
    return {item["sensorId"]: item for item in answer.json()["items"]}


async def stored(store: ClickHouseStore, tenant: Tenant, device: str) -> list[tuple[str, float | None, str]]:
    """All points of a device, oldest first."""
    id_ = ids.parse_base62(device)
    assert id_ is not None
    span = Span(time.EPOCH, time.from_millis(4_000_000_000_000))
    points = await store.device_points(tenant.tenant_id, DeviceId(id_), span, limit=100)
    return [(point.path, point.number, point.text) for point in points]


async def test_what_is_written_is_answered_and_when_it_has_resolved_everybody_reads_it(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    device = await add_room(client)
    answer = await write(client, device, ("air/co2", 600), ("air", {"quality": "good"}), ("/people/", 4))
    assert answer["resolveOnWrite"] == {"resolved": True, "pending": []}
    assert answer["data"] == {"air": {"co2": 600, "quality": "good"}, "people": 4}
    user = answer["dataMetadata"]["air"]["co2"]["source"]["userId"]
    assert ids.parse_base62(user) is not None
    assert answer["dataMetadata"]["people"] == answer["dataMetadata"]["air"]["co2"]

    told = await client.data("device.updaters", deviceId=device)
    assert told == answer["dataMetadata"]
    assert await client.data("device.updaters", deviceId=device, params={"path": "air/co2"}) == {
        "air": {"co2": told["air"]["co2"]}
    }
    assert await client.data("device.updaters", deviceId=device, params={"path": "nothing/here"}) == {}
    assert sorted(await stored(data_path, acme, device)) == [
        ("air.co2", 600.0, ""),
        ("air.quality", None, "good"),
        ("people", 4.0, ""),
    ]
    sources = [one["metadata"] for one in (await native(client, device)).values()]
    assert sources == [{"source": {"userId": str(ids.parse_base62(user))}}] * 3


async def test_null_takes_a_value_away_with_all_below_and_what_is_older_does_not_bring_it_back(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    device = await add_room(client)
    await write(client, device, ("air", {"co2": 600, "quality": "good"}), ("people", 4))
    answer = await write(client, device, ("air", None), ("people", 5))
    assert answer["data"] == {"people": 5}
    assert list(answer["dataMetadata"]) == ["people"]
    assert list(await client.data("device.updaters", deviceId=device)) == ["people"]
    assert len(await native(client, device)) == 1

    again = await write(client, device, ("air", None), ("air/co2", 700), ("people", None))
    assert again["data"] == {"air": {"co2": 700}}
    assert list(await client.data("device.updaters", deviceId=device)) == ["air"]


async def test_objects_are_merged_and_lists_and_scalars_take_the_place_of_what_was_there(
    client: Client, data_path: ClickHouseStore
) -> None:
    device = await add_room(client)
    steps: list[tuple[Any, Any]] = [
        ({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}),
        ({"b": {"d": 3}}, {"a": 1, "b": {"c": 2, "d": 3}}),
        ({"b": [1, 2, 3]}, {"a": 1, "b": [1, 2, 3]}),
        ({"b": [9]}, {"a": 1, "b": [9]}),
        ({"b": "text"}, {"a": 1, "b": "text"}),
        ({"b": {"c": 5}}, {"a": 1, "b": {"c": 5}}),
        ({"b": {"c": None}}, {"a": 1}),
        ({"a": {"with space": {"deep": [{"x": 1}]}}}, {"a": {"with space": {"deep": [{"x": 1}]}}}),
        ({"a": None}, None),
    ]
    for value, wanted in steps:
        answer = await write(client, device, ("extra", value))
        assert answer["data"].get("extra") == wanted, value
        read = await client.data("device.updaters", deviceId=device)
        assert ("extra" in read) is (wanted is not None)


async def test_a_bare_list_is_as_good_and_what_does_not_fit_its_attribute_is_refused_as_a_whole(
    client: Client, acme: Tenant, globex: Tenant
) -> None:
    device = await add_room(client)
    answer = await client.data("device.set-value", json=[{"path": "people", "value": 4}], deviceId=device)
    assert answer["data"] == {"people": 4}
    assert "resolveOnWrite" not in answer
    wrong = [{"path": "air/co2", "value": 1}, {"path": "people", "value": "many"}]
    assert await client.failure("device.set-value", json=wrong, deviceId=device) == 400
    bodies: list[Any] = [
        {},
        {"values": {}},
        [{"path": "", "value": 1}],
        [{"value": 1}],
        [{"path": "x", "value": {"": 1}}],
    ]
    for body in bodies:
        assert await client.failure("device.set-value", json=body, deviceId=device) == 400, body
    stranger = await Client.of(globex)
    assert await stranger.failure("device.set-value", json=[{"path": "people", "value": 4}], deviceId=device) == 404
    assert await stranger.failure("device.updaters", deviceId=device) == 404


@pytest.mark.parametrize("said", ["yes", "{", '{"writers": ["bigquery"]}', '{"maxWaitTime": -1}', '{"writers": "rt"}'])
async def test_who_waits_for_what_there_is_not_is_refused_before_anything_is_written(client: Client, said: str) -> None:
    device = await add_room(client)
    body = [{"path": "people", "value": 4}]
    params = {"resolveOnWrite": said}
    assert await client.failure("device.set-value", json=body, params=params, deviceId=device) == 400


async def test_who_waits_in_vain_is_told_what_is_pending(client: Client) -> None:
    device = await add_room(client)
    said = {"writers": ["timescale"], "maxWaitTime": 30}
    body = {"values": [{"path": "people", "value": 4}], "resolveOnWrite": said}
    answer = await client.data("device.set-value", json=body, deviceId=device)
    assert answer["resolveOnWrite"] == {"resolved": False, "pending": ["timescale"]}


async def test_what_no_attribute_names_takes_a_right_of_its_own(client: Client, acme: Tenant) -> None:
    device = await add_room(client)
    people, other = (
        [{"path": "people", "value": 4}],
        [{"path": "air/other", "value": 4}, {"path": "people", "value": 4}],
    )
    for rights, statuses in (
        (["device.read"], (403, 403)),
        (["device.read", "device.readData", "device.updateData"], (200, 403)),
        (["device.read", "device.updateAnyData"], (200, 200)),
    ):
        _, user = await add_user(client, *rights)
        found = [
            (await user.ask("device.set-value", json=body, deviceId=device)).status_code for body in (people, other)
        ]
        assert tuple(found) == statuses, rights
        seen = (await user.ask("device.updaters", deviceId=device)).status_code
        assert seen == (200 if "device.readData" in rights else 403), rights
        told = (await user.ask("device.send-message", json={"message": {}}, deviceId=device)).status_code
        assert told == 403, rights
