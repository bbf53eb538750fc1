"""Events of devices: made, listed, acknowledged, and the same events in the native API."""

from typing import Any

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.kernel.ids import parse_base62
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.rights import add_user
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of
from tests.dialects.native.fleet import ok


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def fleet(client: Client) -> str:
    """The id of a boat in the system `main`."""
    await add_blueprint(client, "boat", {"path": "speed", "type": "number"})
    await add_system(client, "main")
    boat: str = (await add_object(client, "main/boat", name="Ada"))["id"]
    return boat


async def tell(client: Client, device: str, **event: Any) -> dict[str, Any]:
    """An event that was made."""
    made: dict[str, Any] = await client.data("device.event-create", json=event, deviceId=device)
    return made


async def test_an_event_is_the_same_in_the_native_api_and_so_is_its_acknowledgement(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)

    made = await tell(client, boat, type="leak", time="2024-05-01T12:00:00Z", data={"litres": 3})
    event_id = parse_base62(made["id"])
    native = ok(await acme.api.get(f"/api/v1/events/{event_id}"))
    assert (made["type"], made["time"], made["data"]) == ("leak", "2024-05-01T12:00:00.000Z", {"litres": 3})
    assert (made["deviceId"], made["acked"]) == (boat, False)
    assert (native["type"], native["data"]) == ("leak", {"litres": 3})
    assert native["lifecycle"]["status"] == "ACTIVE"

    body = {"data": {"by": "phone"}}
    acked = await client.data("device.event-ack", json=body, deviceId=boat, eventId=made["id"])
    again = await client.data("device.event-ack", json={}, deviceId=boat, eventId=made["id"])
    native = ok(await acme.api.get(f"/api/v1/events/{event_id}"))
    assert acked["acked"] is True
    assert acked["ack"]["data"] == {"by": "phone"}
    assert acked["ack"]["userId"] == made["userId"]
    assert again == acked
    assert native["lifecycle"]["status"] == "ACKNOWLEDGED"
    assert parse_base62(acked["ack"]["userId"]) is not None
    assert native["lifecycle"]["acknowledgedBy"] == str(parse_base62(acked["ack"]["userId"]))


async def test_an_event_of_the_native_api_is_listed_and_acknowledged_here_though_it_needs_no_work(
    acme: Tenant,
) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    body = {"type": "door", "message": "Door open", "deviceId": str(parse_base62(boat))}
    native = ok(await acme.api.post("/api/v1/events", json=body))

    (listed,) = (await client.data("device.event-list", deviceId=boat))["items"]
    acked = await client.data("device.event-ack", json={}, deviceId=boat, eventId=listed["id"])

    assert (listed["type"], listed["message"], listed["acked"]) == ("door", "Door open", False)
    assert acked["acked"] is True
    after = ok(await acme.api.get(f"/api/v1/events/{native['id']}"))
    assert after.get("lifecycle") is None


async def test_an_acknowledgement_made_natively_shows_here(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    made = await tell(client, boat, type="leak")
    ok(await acme.api.post(f"/api/v1/events/{parse_base62(made['id'])}/acknowledge"))

    params = {"acked": "true"}
    (found,) = (await client.data("device.event-list", params=params, deviceId=boat))["items"]

    assert found["id"] == made["id"]
    assert "time" in found["ack"]
    assert (await client.data("device.event-list", params={"acked": "false"}, deviceId=boat))["items"] == []


async def test_an_event_that_is_resolved_is_not_acknowledged_any_more(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    made = await tell(client, boat, type="leak")
    ok(await acme.api.post(f"/api/v1/events/{parse_base62(made['id'])}/resolve"))

    assert await client.failure("device.event-ack", json={}, deviceId=boat, eventId=made["id"]) == 409


async def test_events_are_found_by_what_they_say_in_pages_and_by_path(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    for litres in range(4):
        await tell(client, boat, type="leak", time=1_714_564_800_000 + litres, data={"how": {"much": litres}})
    await tell(client, boat, type="fire", time=1_714_564_800_000, data={"how": {"much": 9}})
    query = {
        "start": "2024-05-01T12:00:00Z",
        "where": [["$event.type", "=", "leak"], ["how/much", ">", 0]],
        "order": [["$time", "ASC"]],
        "paths": ["$time", ["$event.how.much", "litres"], "$event.type", ["$ack.userId", "by"]],
        "perPage": 2,
        "startIndex": 1,
    }

    found = await client.data("device.event-list", params={"query": msgspec.json.encode(query).decode()}, deviceId=boat)

    assert {name: found[name] for name in ("count", "total", "perPage", "startIndex")} == {
        "count": 2,
        "total": 3,
        "perPage": 2,
        "startIndex": 1,
    }
    assert [row["litres"] for row in found["items"]] == [2, 3]
    assert found["items"][0] == {
        "$time": "2024-05-01T12:00:00.002Z",
        "litres": 2,
        "$event.type": "leak",
        "by": None,
    }


async def test_a_scope_is_a_project_a_system_a_blueprint_or_an_object(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    boat = await fleet(client)
    other = (await add_object(client, "main/boat", name="Bob"))["id"]
    await add_system(client, "second")
    far = (await add_object(client, "second/boat", name="Cy"))["id"]
    foreign = await fleet(stranger)
    for device in (boat, other, far):
        await tell(client, device, type="leak")
    await tell(stranger, foreign, type="leak")

    async def devices(operation: str, **names: str) -> set[str]:
        found = await client.data(operation, json={"start": 0}, **names)
        for item in found["items"]:
            check_value(operation, "Event", item)
        return {item["deviceId"] for item in found["items"]}

    assert await devices("project.device-events", projectId=project_of(client)) == {boat, other, far}
    assert await devices("system.device-events", systemId="main") == {boat, other}
    assert await devices("interface.events", systemId="main", blueprint="boat") == {boat, other}
    assert await devices("interface.obj-events", systemId="main", blueprint="boat", objId=other) == {other}
    assert await client.failure("device.event-list", deviceId=foreign) == 404
    assert await client.failure("device.event-create", json={"type": "x"}, deviceId=foreign) == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"group": ["a"]}, "group"),
        ({"paths": [["$time", "t", {"function": "UNIX_MILLIS"}]]}, "paths[0]"),
        ({"where": [["$event.type", "LIKE", "x"]]}, "LIKE"),
        ({"where": [["$event.id", "=", "nobody"]]}, "nobody"),
        ({"where": [["$nothing", "=", 1]]}, "$nothing"),
        ({"order": ["how/much"]}, "how/much"),
    ],
)
async def test_what_is_not_known_is_refused_by_its_name(acme: Tenant, query: dict[str, Any], named: str) -> None:
    client = await Client.of(acme)
    await fleet(client)

    answer = await client.ask("system.device-events", json=query, systemId="main")

    assert answer.status_code == 400
    assert named in answer.json()["message"]


async def test_only_events_of_the_device_are_acknowledged_on_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    other = (await add_object(client, "main/boat", name="Bob"))["id"]
    made = await tell(client, boat, type="leak")

    assert await client.failure("device.event-ack", json={}, deviceId=other, eventId=made["id"]) == 404
    assert await client.failure("device.event-ack", json={}, deviceId=boat, eventId=boat) == 404
    assert await client.failure("device.event-create", json={"time": "soon"}, deviceId=boat) == 400


async def test_who_may_only_read_events_does_not_acknowledge_them(acme: Tenant) -> None:
    owner = await Client.of(acme)
    boat = await fleet(owner)
    made = await tell(owner, boat, type="leak")
    _, reader = await add_user(owner, "device.read", "device.readEvents")
    _, keeper = await add_user(owner, "device.read", "device.updateEvents")
    _, stranger = await add_user(owner, "device.read")

    assert (await reader.data("device.event-list", deviceId=boat))["total"] == 1
    assert await reader.failure("device.event-ack", json={}, deviceId=boat, eventId=made["id"]) == 403
    assert (await keeper.data("device.event-ack", json={}, deviceId=boat, eventId=made["id"]))["acked"] is True
    assert await stranger.failure("device.event-list", deviceId=boat) == 403
    assert await stranger.failure("project.device-events", projectId=project_of(owner)) == 403


async def test_a_group_has_the_events_of_its_members(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_system(client, "main")
    tag = await add_blueprint(client, "tag", {"path": "level", "type": "number"})
    tags = {"path": "tags", "type": "relationship", "relationshipType": "oneToMany", "targetBlueprintId": tag["id"]}
    await add_blueprint(client, "asset", tags)
    pump, van = [(await add_object(client, "main/asset", name=name))["id"] for name in ("Pump", "Van")]
    for parent in (pump, van):
        await tell(client, (await add_object(client, f"main/asset/{parent}/tags"))["id"], type=f"of-{parent}")

    names = {"systemId": "main", "blueprint": "asset", "objId": pump, "rel": "tags"}
    found = await client.data("interface.group-events", **names)

    assert [event["type"] for event in found["items"]] == [f"of-{pump}"]
    answer = await client.http.post(f"/v1/interface/main/asset/{van}/tags/events", json={"start": 0})
    assert [event["type"] for event in answer.json()["items"]] == [f"of-{van}"]
