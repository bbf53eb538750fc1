"""States of devices: what they have reported last, and whether they are heard from."""

from datetime import datetime, timedelta
from typing import Any

import pytest_asyncio

from roadstead.kernel import time
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.reports import report, take
from tests.dialects.native.fleet import ok

NOBODY = "5cbfe22c-4a5a-8b71-8000-000d3aa97f44"


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


async def test_a_device_that_never_reported_has_an_empty_state(client: Client) -> None:
    device = await add_device(client, await add_type(client, communicationInterval=60))
    state = await client.data("getDeviceState", deviceId=device["id"])
    assert state == {"configuration": {}, "attributes": {}, "status": "NOT MONITORED"}


async def test_reports_are_merged_and_older_ones_do_not_overwrite(client: Client, acme: Tenant) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    now = time.now()
    await take(
        acme,
        report(acme, device, {"people": 4, "air": {"co2": 600, "voc": 1}, "zones": [True, True, True]}, at=now),
        report(acme, device, {"air": {"co2": 700}}, at=now + timedelta(seconds=1)),
        report(acme, device, {"people": 9, "air": {"co2": 1}}, at=now - timedelta(hours=1)),
        report(acme, device, {"zones": [False, True]}, at=now + timedelta(seconds=2)),
        report(acme, device, {"led": "auto"}, "configuration"),
    )
    state = await client.data("getDeviceState", deviceId=device)
    assert state["attributes"] == {"people": 4, "air": {"co2": 700, "voc": 1}, "zones": [False, True]}
    assert state["configuration"] == {"led": "auto"}


async def test_a_report_that_is_refused_changes_nothing_but_that_the_device_was_heard(
    client: Client, acme: Tenant
) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    await take(acme, report(acme, device, {"people": "many"}))
    state = await client.data("getDeviceState", deviceId=device)
    assert state["attributes"] == {}
    assert time.now() - datetime.fromisoformat(state["lastSeen"]) < timedelta(minutes=1)


async def test_the_interval_of_the_device_or_of_its_type_says_whether_it_is_on_line(
    client: Client, acme: Tenant
) -> None:
    type_ = await add_type(client, communicationInterval=3600)
    by_type, quiet = await add_device(client, type_), await add_device(client, type_, communicationInterval=0)
    late = await add_device(client, type_, communicationInterval=1)
    devices = [made["id"] for made in (by_type, quiet, late)]
    await take(acme, *[report(acme, device, {"people": 1}) for device in devices])
    async with acme.edge.system_database.tx() as tx:
        sql = "UPDATE {} SET {} = now() - interval '2 minutes' WHERE tenant_id = %s"
        for table, column in (("device_state", "last_at"), ("device", "last_seen_at")):
            await tx.run(sql.format(table, column), acme.tenant_id)
    states = [await client.data("getDeviceState", deviceId=device) for device in devices]
    assert [state["status"] for state in states] == ["ONLINE", "NOT MONITORED", "OFFLINE"]


async def test_states_are_listed_for_the_devices_that_a_filter_means_newest_first(
    client: Client, acme: Tenant, globex: Tenant
) -> None:
    type_ = await add_type(client)
    made = [(await add_device(client, type_, name=name, tags=[name]))["id"] for name in ("one", "two", "three")]
    await add_device(await Client.of(globex), await add_type(await Client.of(globex)))
    await take(acme, report(acme, made[1], {"people": 2}))

    async def listed(**asked: Any) -> list[str]:
        return [state["deviceId"] for state in await client.data("listDeviceStates", **asked)]

    assert await listed() == made[::-1]
    assert await listed(params={"deviceTag": "one,thr*"}) == [made[2], made[0]]
    assert await listed(json={"deviceId": [made[1]]}) == [made[1]]
    assert await listed(params={"page": 1, "pageSize": 2}) == [made[0]]
    (state,) = await client.data("listDeviceStates", params={"deviceName": "two"})
    assert state["attributes"] == {"people": 2}
    answer = await client.ask("listDeviceStates", params={"deviceTag": "x"}, json={"deviceTag": ["x"]})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "DEVICESTATE_VALIDATION")


async def test_what_is_reported_here_is_read_natively_and_the_other_way_round(client: Client, acme: Tenant) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    await take(acme, report(acme, device, {"air": {"co2": 600}}))
    sensors = ok(await acme.api.get("/api/v1/sensors", params={"deviceId": device}))["items"]
    assert {"air.co2"} <= {sensor["key"] for sensor in sensors}
    latest = ok(await acme.api.get("/api/v1/readings/latest", params={"deviceId": device}))["items"]
    assert [reading["value"] for reading in latest] == [600.0]

    native = ok(await acme.api.post("/api/v1/devices", json={"name": "pump"}))["id"]
    await take(acme, report(acme, native, {"pressure": 3.5}))
    state = await client.data("getDeviceState", deviceId=native)
    assert (state["attributes"], state["status"]) == ({"pressure": 3.5}, "NOT MONITORED")


async def test_the_state_of_a_device_of_others_is_not_there(client: Client, globex: Tenant) -> None:
    theirs = await Client.of(globex)
    device = (await add_device(theirs, await add_type(theirs)))["id"]
    for stranger in (device, NOBODY):
        assert await client.failure("getDeviceState", deviceId=stranger) == (404, "DEVICESTATE_RESOURCE_NOT_FOUND")
