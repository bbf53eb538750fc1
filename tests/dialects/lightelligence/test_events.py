"""Events that devices have told of."""

from datetime import datetime, timedelta

import pytest_asyncio

from roadstead.kernel import time
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.reports import event, take
from tests.dialects.native.fleet import ok


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


async def add_sensor(client: Client) -> str:
    """A ceiling sensor."""
    return str((await add_device(client, await add_type(client)))["id"])


async def test_the_events_of_the_last_hour_are_listed_newest_first(client: Client, acme: Tenant) -> None:
    device, other = await add_sensor(client), await add_sensor(client)
    now = time.now()
    await take(
        acme,
        event(acme, device, "crowded", {"people": 40}, at=now - timedelta(minutes=59)),
        event(acme, device, "crowded", {"people": 50}, at=now - timedelta(minutes=61)),
        event(acme, device, "tampered"),
        event(acme, device, "burnt"),
        event(acme, other, "tampered"),
    )
    listed = await client.data("listLastEvents", deviceId=device)
    assert [(one["type"], one.get("value")) for one in listed] == [("tampered", None), ("crowded", {"people": 40})]
    assert datetime.fromisoformat(listed[1]["createdAt"]) == now - timedelta(minutes=59)

    asked = {"eventTypes": "crowded,burnt"}
    listed = await client.data("listLastEvents", deviceId=device, params=asked)
    assert [one["type"] for one in listed] == ["crowded"]
    answer = await client.http.get(f"/v1/devices/{device}/events", params=asked)
    assert answer.json()["data"] == listed


async def test_an_event_is_read_natively_and_the_other_way_round(client: Client, acme: Tenant) -> None:
    device = await add_sensor(client)
    await take(acme, event(acme, device, "crowded", {"people": 40}))
    (native,) = ok(await acme.api.get(f"/api/v1/devices/{device}/events"))["items"]
    assert (native["type"], native["source"], native["data"]) == ("crowded", "DEVICE", {"people": 40})
    for type_ in ("door_opened", "door.opened"):
        body = {"type": type_, "severity": "INFO", "message": "by hand", "deviceId": device, "data": {"by": "hand"}}
        ok(await acme.api.post("/api/v1/events", json=body))
    listed = await client.data("listLastEvents", deviceId=device)
    # A type with a dot cannot be spelled here.
    assert {one["type"]: one["value"] for one in listed} == {"crowded": {"people": 40}, "door_opened": {"by": "hand"}}


async def test_events_of_a_device_of_others_are_not_there_and_types_are_words(client: Client, globex: Tenant) -> None:
    theirs = await add_sensor(await Client.of(globex))
    assert await client.failure("listLastEvents", deviceId=theirs) == (404, "DEVICE_RESOURCE_NOT_FOUND")
    ours = await add_sensor(client)
    asked = {"eventTypes": "a*"}
    assert await client.failure("listLastEvents", deviceId=ours, params=asked) == (400, "DEVICE_VALIDATION")
