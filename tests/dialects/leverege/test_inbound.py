"""/inbound: what networks bring from devices, and messages that go the other way."""

from typing import Any

import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.bus.streams import UPLINK, last_sequence
from roadstead.core.telemetry import Stage
from roadstead.kernel import ids
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of

__all__ = ["data_path"]

NETWORK = "lora-1"


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme, with rooms in its main system."""
    client = await Client.of(acme)
    await add_system(client, "main")
    people, co2 = {"path": "people", "type": "int"}, {"path": "air/co2", "type": "number"}
    await add_blueprint(client, "room", people, co2)
    return client


async def add_network(client: Client) -> str:
    """A network whose name is its own over all tenants."""
    name = f"{NETWORK}-{client.tenant.slug}"
    body = {"networkId": name, "name": "LoRa", "aliasKeys": ["deveui"]}
    await client.data("network.create", json=body, projectId=project_of(client))
    return name


async def add_room(client: Client, network: str | None = None, value: str = "A1") -> str:
    """A room, which may be called something in a network."""
    aliases = {"networkId": network, "networkAliases": {network: {"deveui": value}}} if network else {}
    return str((await add_object(client, "main/room", name=f"room {value}", **aliases))["id"])


def report(device: str, network: str | None = None, **fields: Any) -> dict[str, Any]:
    """A message of a device."""
    named = {"networkId": network, "aliasKey": "deveui"} if network else {"networkId": None, "aliasKey": None}
    return {"type": "inboundDataEventMsg", "deviceId": device} | named | fields


async def bring(client: Client, *messages: dict[str, Any]) -> dict[str, Any]:
    """What is answered, which is not a 200."""
    answer = await client.ask("device.inbound", json=list(messages))
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def resolved(client: Client) -> None:
    """Until all that is on the log can be read."""
    edge = client.tenant.edge
    bus = edge.passage._bus  # type: ignore[attr-defined]
    assert not await edge.passage.wait(await last_sequence(bus, UPLINK), list(Stage), 10)


async def quarantined(tenant: Tenant) -> list[dict[str, Any]]:
    """What the native API says was refused."""
    answer = await tenant.api.get("/api/v1/admin/quarantine")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_what_a_network_brings_is_its_devices_at_the_time_it_says(
    client: Client, data_path: ClickHouseStore
) -> None:
    network = await add_network(client)
    device = await add_room(client, network)
    plain = await add_room(client, value="plain")
    sent = report("A1", network, time=1767225600000, data=[{"path": "people", "value": 3}])
    own = report(plain, time="2026-01-01T00:00:01Z", data={"air": {"co2": 700}})
    assert await bring(client, sent, own) == {"accepted": 2, "rejected": []}
    await resolved(client)
    people = (await client.data("device.updaters", deviceId=device))["people"]
    assert people == {"source": {"deviceId": device}, "updated": 1767225600000}
    assert (await client.data("device.updaters", deviceId=plain))["air"]["co2"]["updated"] == 1767225601000


async def test_nothing_is_dropped_in_silence(client: Client, acme: Tenant, globex: Tenant) -> None:
    network = await add_network(client)
    device = await add_room(client, network)
    told = await bring(
        client,
        report("A9", network, data={"people": 1}),
        report("A1", network, data={"people": "many"}),
        report("A1", network, data=[{"path": "", "value": 1}]),
        report("A1", network, time="soon", data={"people": 1}),
        report("A1", network, data={"people": 1}),
        report(ids.to_base62(ids.new_id()), data={"people": 1}),
    )
    assert told["accepted"] == 1
    assert [one["index"] for one in told["rejected"]] == [0, 1, 2, 3, 5]
    kept = await quarantined(acme)
    assert sorted(one["reason"] for one in kept) == [
        "MALFORMED", "MALFORMED", "TYPE_MISMATCH", "UNKNOWN_SENSOR", "UNKNOWN_SENSOR"
    ]  # fmt: skip
    of_device = str(ids.parse_base62(device))
    assert sorted(one.get("deviceId") or "" for one in kept) == ["", "", of_device, of_device, of_device]

    stranger = await Client.of(globex)
    assert len((await bring(stranger, report("A1", network, data={"people": 1}), report(device)))["rejected"]) == 2
    assert len(await quarantined(globex)) == 2
    assert await client.failure("device.inbound", json={"type": "other", "deviceId": "A1"}) == 400


async def test_an_event_of_a_device_is_an_event_of_the_platform(
    client: Client, acme: Tenant, data_path: ClickHouseStore
) -> None:
    device = await add_room(client)
    told = await bring(client, report(device, event={"type": "crowded", "people": 40}, data={"people": 40}))
    assert told == {"accepted": 1, "rejected": []}
    await resolved(client)
    answer = await acme.api.get("/api/v1/events", params={"deviceId": str(ids.parse_base62(device))})
    (event,) = answer.json()["items"]
    assert (event["type"], event["data"]) == ("crowded", {"type": "crowded", "people": 40})


async def test_a_message_to_a_device_is_a_command_that_waits_for_it(
    client: Client, acme: Tenant, globex: Tenant
) -> None:
    network = await add_network(client)
    device = await add_room(client, network)
    sent = await client.data("device.send-message", json={"message": {"led": "on"}}, deviceId=device)
    assert (sent["status"], sent["deviceId"], sent["networkId"]) == ("init", device, network)
    of_device = ids.parse_base62(device)
    answer = await acme.api.get(f"/api/v1/devices/{of_device}/commands")
    (command,) = answer.json()["items"]
    assert command["id"] == str(ids.parse_base62(sent["msgId"]))
    assert command["status"] == "PENDING"

    early = {"type": "inboundAckMsg", "msgId": sent["msgId"], "networkId": network, "aliasKey": "deveui"}
    told = await bring(client, early | {"deviceId": "A1", "status": "acked"})
    assert [one["index"] for one in told["rejected"]] == [0]
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE command SET status = 'SENT', sent_at = now() WHERE id = %s", command["id"])
    assert await bring(client, early | {"deviceId": "A1", "status": "acked", "response": {"led": "on"}}) == {
        "accepted": 1, "rejected": []
    }  # fmt: skip
    answer = await acme.api.get(f"/api/v1/devices/{of_device}/commands/{command['id']}")
    assert (answer.json()["status"], answer.json()["result"]) == ("SUCCESS", {"led": "on"})

    for body in ({}, {"message": 1}, {"message": {}, "networkId": "other"}):
        assert await client.failure("device.send-message", json=body, deviceId=device) == 400
    stranger = await Client.of(globex)
    assert await stranger.failure("device.send-message", json={"message": {}}, deviceId=device) == 404
