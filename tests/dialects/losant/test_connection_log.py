"""When devices came and went: as their doors have seen it, and as somebody tells it of others."""

from datetime import datetime, timedelta
from typing import Any

from roadstead.core import telemetry
from roadstead.core.messages import CONNECTED, DISCONNECTED, DeviceStatusChanged, SessionNotice
from roadstead.core.telemetry import Presences
from roadstead.kernel import ids, time
from roadstead.kernel.ids import parse_hex24
from roadstead.kernel.time import to_millis
from roadstead.workers.housekeeping import Housekeeping
from tests.configuration import facts_of
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import ok


async def pump_of(client: Client) -> dict[str, str]:
    """The ids of a device and its application."""
    application_id = await add_application(client)
    return {"applicationId": application_id, "deviceId": await add_device(client, application_id)}


async def tell(client: Client, place: dict[str, str], status: str, **fields: Any) -> None:
    """Say that a device came or went."""
    body = {"status": status} | fields
    assert await client.data("device.setConnectionStatus", json=body, **place) == {"success": True}


async def log_of(client: Client, place: dict[str, str], **params: Any) -> Any:
    """What the log says, newest first."""
    return await client.data("device.getLogEntries", params={"limit": 100} | params, **place)


async def is_online(tenant: Tenant, place: dict[str, str]) -> tuple[bool, str]:
    """As the native API sees it."""
    device = ok(await tenant.api.get(f"/api/v1/devices/{parse_hex24(place['deviceId'])}"))
    return device["online"], device["status"]


async def notice(tenant: Tenant, place: dict[str, str], channel: str, received: int, *said: Any) -> None:
    """What a door says about a device."""
    device = parse_hex24(place["deviceId"])
    assert device is not None
    presences = Presences()
    presences.add(tenant.tenant_id, ids.to_bytes(device), received, channel, SessionNotice(*said))
    async with tenant.edge.system_database.tx() as tx:
        await telemetry.update_presence(tx, presences)


async def test_a_device_is_what_is_told_of_it(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    place = await pump_of(client)
    assert await log_of(client, place) == []
    await tell(client, place, "connected", ipAddress="192.0.2.7")
    assert await is_online(acme, place) == (True, "ACTIVE")
    shown = await client.data("device.get", **place)
    assert shown["connectionInfo"]["connected"] == 1
    await tell(
        client,
        place,
        "disconnected",
        disconnectReason="Connection Lost",
        messagesFromClient=3,
        messagesToClient=2,
        ipAddress="192.0.2.7",
    )
    assert await is_online(acme, place) == (False, "OFFLINE")
    changes = [fact for fact in await facts_of(acme) if isinstance(fact, DeviceStatusChanged)]
    assert [(fact.status, fact.online) for fact in changes] == [("ACTIVE", True), ("OFFLINE", False)]

    gone, came = await log_of(client, place)
    assert {**gone, "time": ""} == {
        "connected": 0,
        "time": "",
        "disconnectReason": "Connection Lost",
        "messagesFromClient": 3,
        "messagesToClient": 2,
        "ipAddress": "192.0.2.7",
    }
    assert {**came, "time": ""} == {"connected": 1, "time": "", "ipAddress": "192.0.2.7"}
    assert await client.data("device.getLogEntries", **place) == [gone]
    assert await log_of(client, place, sortDirection="asc") == [came, gone]
    assert await log_of(client, place, end=-60_000) == []

    for wrong in ({}, {"status": "lost"}, {"status": "connected", "disconnectReason": "x"}):
        assert await client.failure("device.setConnectionStatus", json=wrong, **place) == (400, "Validation")
    for action, body in (
        ("device.setConnectionStatus", {"json": {"status": "connected"}}),
        ("device.getLogEntries", {}),
    ):
        assert await stranger.failure(action, **place, **body) == (404, "NotFound")
    assert len(await log_of(client, place)) == 2


async def test_what_is_older_than_what_is_known_goes_into_the_log_alone(acme: Tenant) -> None:
    client = await Client.of(acme)
    place = await pump_of(client)
    now = to_millis(time.now())
    await tell(client, place, "connected", connectedAt=now - 1_000)
    await tell(client, place, "disconnected", connectedAt=now - 9_000, disconnectedAt=now - 8_000)
    assert await is_online(acme, place) == (True, "ACTIVE")
    assert [(entry["connected"], to_time(entry)) for entry in await log_of(client, place)] == [
        (1, now - 1_000),
        (0, now - 8_000),
        (1, now - 9_000),
    ]
    await tell(client, place, "disconnected", connectedAt=now - 9_000, disconnectedAt=now - 8_000)
    assert len(await log_of(client, place)) == 3
    await tell(client, place, "disconnected", disconnectedAt=now + 3_600_000)
    assert to_time((await log_of(client, place))[0]) < now + 60_000


def to_time(entry: dict[str, Any]) -> int:
    """In ms since 1970."""
    return to_millis(datetime.fromisoformat(entry["time"]))


async def test_sessions_are_logged_with_address_and_counts_and_take_over(acme: Tenant) -> None:
    client = await Client.of(acme)
    place = await pump_of(client)
    await tell(client, place, "connected")
    now = to_millis(time.now()) + 1_000
    await notice(acme, place, CONNECTED, now, "g1", 1, "", "[2001:db8::1]:4711")
    await notice(acme, place, DISCONNECTED, now + 1, "g1", 1, "keep-alive", "[2001:db8::1]:4711", 12, 5)
    gone, came, told = await log_of(client, place)
    assert (gone["connected"], gone["disconnectReason"]) == (0, "keep-alive")
    assert (gone["messagesFromClient"], gone["messagesToClient"], gone["ipAddress"]) == (12, 5, "2001:db8::1")
    assert (came["connected"], came["ipAddress"], "messagesFromClient" in came) == (1, "2001:db8::1", False)
    assert told["connected"] == 1
    assert await is_online(acme, place) == (False, "OFFLINE")


async def test_what_is_told_outlives_the_gateways_that_have_not_seen_it(acme: Tenant) -> None:
    client = await Client.of(acme)
    told, seen = await pump_of(client), await pump_of(client)
    await tell(client, told, "connected")
    await notice(acme, seen, CONNECTED, to_millis(time.now()), "a gateway that is dead", 1)
    async with acme.edge.system_database.tx() as tx:
        await telemetry.end_sessions_of_the_dead(tx, 10.0)
    assert (await is_online(acme, told), await is_online(acme, seen)) == ((True, "ACTIVE"), (False, "OFFLINE"))


async def test_the_log_is_kept_as_long_as_is_set(acme: Tenant) -> None:
    client = await Client.of(acme)
    place = await pump_of(client)
    now = time.now()
    for days in (9, 6):
        at = to_millis(now - timedelta(days=days))
        await tell(client, place, "disconnected", disconnectedAt=at, disconnectReason=f"{days} days ago")
    keeper = Housekeeping(
        acme.edge.system_database, acme.edge.ports.telemetry, acme.edge.ports.blobs, connection_log_days=7
    )
    await keeper.forget_connections()
    assert [entry["disconnectReason"] for entry in await log_of(client, place)] == ["6 days ago"]


async def test_a_device_is_told_of_as_often_as_the_contract_allows(acme: Tenant) -> None:
    client = await Client.of(acme)
    place = await pump_of(client)
    told = 0
    body = {"status": "connected"}
    # A place becomes free every half second: a slow machine tells a few more.
    while (answer := await client.ask("device.setConnectionStatus", json=body, **place)).status_code == 200:
        told += 1
    assert (answer.status_code, told >= 30) == (429, True)
