"""What went wrong with devices, and when they came and went."""

from datetime import timedelta

import pytest_asyncio

from roadstead.core import telemetry
from roadstead.core.messages import CONNECTED, DISCONNECTED, SessionNotice
from roadstead.core.telemetry import Presences
from roadstead.kernel import ids, time
from roadstead.kernel.ids import parse_uuid
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.lightelligence.reports import report, take

NOBODY = "5cbfe22c-4a5a-8b71-8000-000d3aa97f44"


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


async def add_sensor(client: Client) -> str:
    """A ceiling sensor."""
    return str((await add_device(client, await add_type(client)))["id"])


async def connect(tenant: Tenant, device: str, *, minutes_ago: int) -> None:
    """The device was there for a second; twice, because notices may come again."""
    id_ = parse_uuid(device)
    assert id_ is not None
    at = time.to_millis(time.now() - timedelta(minutes=minutes_ago))
    for _ in range(2):
        presences = Presences()
        presences.add(tenant.tenant_id, ids.to_bytes(id_), at, CONNECTED, SessionNotice("gateway", 1))
        ended = SessionNotice("gateway", 1, "keep-alive")
        presences.add(tenant.tenant_id, ids.to_bytes(id_), at + 1_000, DISCONNECTED, ended)
        async with tenant.edge.system_database.tx() as tx:
            await telemetry.update_presence(tx, presences)


async def test_the_lines_of_the_last_hour_are_listed_newest_first(client: Client, acme: Tenant) -> None:
    device = await add_sensor(client)
    await connect(acme, device, minutes_ago=61)
    await connect(acme, device, minutes_ago=30)
    await take(acme, report(acme, device, {"people": "many", "dogs": 1}))
    lines = await client.data("listLastDiagnostics", deviceId=device)
    assert [line["message"].partition(": ")[0] for line in lines] == [
        "attributes.people",
        "attributes.dogs is not declared in the device type",
        "Device disconnected",
        "Device connected",
    ]
    assert {(line["deviceId"], line["tenantId"]) for line in lines} == {(device, str(acme.organization_id))}


async def test_a_message_for_a_device_that_is_not_there_is_the_senders_trouble(client: Client, acme: Tenant) -> None:
    sender, child = await add_sensor(client), await add_sensor(client)
    await take(
        acme,
        report(acme, sender, {"people": 1}, alias="nobody"),
        report(acme, sender, {"people": -1}, deviceId=child),
    )
    (ours,) = await client.data("listLastDiagnostics", deviceId=sender)
    assert ours["message"] == "there is no device nobody"
    (theirs,) = await client.data("listLastDiagnostics", deviceId=child)
    assert theirs["message"].startswith("attributes.people: ")


async def test_diagnostics_of_a_device_of_others_are_not_there(client: Client, acme: Tenant, globex: Tenant) -> None:
    theirs = await add_sensor(await Client.of(globex))
    await take(globex, report(globex, theirs, {"dogs": 1}))
    for stranger in (theirs, NOBODY):
        assert await client.failure("listLastDiagnostics", deviceId=stranger) == (
            404,
            "DEVICEDIAGNOSTICS_RESOURCE_NOT_FOUND",
        )
