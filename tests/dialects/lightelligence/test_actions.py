"""Actions over HTTP: which ones a type takes, and that they are commands of the platform."""

from typing import Any

import pytest
import pytest_asyncio

from roadstead.core import commands
from roadstead.core.commands import Command, CommandSource
from roadstead.core.downlinks import Downlink, Hearer, Manners
from roadstead.core.messages import CommandChanged, DownlinkQueued
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import DeviceId, new_id, parse_uuid
from tests.configuration import facts_of
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import SENSOR_SCHEMA, add_device, add_type
from tests.dialects.native.fleet import ok

BLINK = {"action": "blink", "payload": {"seconds": 5}}
QUIET = Manners(answers=False, remembers=True, carries=True)


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


async def commands_of(tenant: Tenant, device_id: str) -> Any:
    """The commands of a device as the native API shows them, newest first."""
    return ok(await tenant.api.get(f"/api/v1/devices/{device_id}/commands"))["items"]


async def claim(tenant: Tenant, device_id: str, session: str = "s/1") -> list[Downlink]:
    """What a session of the device gets."""
    device = DeviceId(parse_uuid(device_id) or new_id())
    async with tenant.edge.system_database.tx() as tx:
        return await CommandSource().claim(tx, [Hearer(tenant.tenant_id, device, session, QUIET)], most=50)


async def arrive(tenant: Tenant, downlinks: list[Downlink]) -> None:
    """The device has acknowledged them."""
    async with tenant.edge.system_database.tx() as tx:
        await CommandSource().note_arrived(tx, downlinks)


async def expire(tenant: Tenant) -> None:
    """A day passes."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(
            """
            UPDATE command SET due_at = due_at - interval '24 hours 1 second',
                expires_at = expires_at - interval '24 hours 1 second'
            WHERE tenant_id = %s AND due_at IS NOT NULL
            """,
            tenant.tenant_id,
        )
        await commands.expire_due(tx, 1_000)


async def test_an_action_is_a_command_that_succeeds_when_it_arrives(acme: Tenant, client: Client) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    triggered = await client.data("triggerAction", deviceId=device, json={**BLINK, "description": "extra"})

    (command,) = await commands_of(acme, device)
    assert (command["id"], command["type"], command["params"]) == (triggered["actionId"], "blink", {"seconds": 5})
    assert command["status"] == "PENDING"
    assert DownlinkQueued("command", [DeviceId(parse_uuid(device) or new_id())]) in await facts_of(acme)

    (downlink,) = await claim(acme, device)
    assert isinstance(downlink.body, Command)
    assert (downlink.body.type, downlink.body.payload) == ("blink", {"seconds": 5})
    await arrive(acme, [downlink])
    (done,) = await commands_of(acme, device)
    assert done["status"] == "SUCCESS"
    assert done["deliveredAt"] == done["completedAt"]
    statuses = [fact.status for fact in await facts_of(acme) if isinstance(fact, CommandChanged)]
    assert statuses == ["PENDING", "SENT", "SUCCESS"]
    await expire(acme)
    assert (await commands_of(acme, device))[0]["status"] == "SUCCESS"


async def test_what_has_not_arrived_comes_again_and_waits_a_day(acme: Tenant, client: Client) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    await client.data("triggerAction", deviceId=device, json=BLINK)
    (first,) = await claim(acme, device, "s/1")
    assert await claim(acme, device, "s/1") == []
    (again,) = await claim(acme, device, "s/2")
    assert again.id == first.id
    await expire(acme)
    (command,) = await commands_of(acme, device)
    assert (command["status"], command["error"]) == ("TIMEOUT", "the device could not be reached in time")
    assert await claim(acme, device, "s/3") == []


async def test_a_command_of_the_native_api_ends_alike_in_a_session_that_cannot_answer(
    acme: Tenant, client: Client
) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE device SET status = 'ACTIVE' WHERE tenant_id = %s AND id = %s", acme.tenant_id, device)
    ok(await acme.api.post(f"/api/v1/devices/{device}/commands", json={"type": "REBOOT", "timeoutSeconds": 1}))
    ok(await acme.api.post(f"/api/v1/devices/{device}/commands", json={"type": "blink", "params": {"seconds": 1}}))
    downlinks = await claim(acme, device)
    assert len(downlinks) == 2
    await arrive(acme, downlinks)
    assert {command["status"] for command in await commands_of(acme, device)} == {"SUCCESS"}


@pytest.mark.parametrize(
    "body",
    [
        {"action": "jump", "payload": {}},
        {"action": "blink", "payload": {}},
        {"action": "blink", "payload": {"seconds": "5"}},
        {"action": "blink", "payload": 5},
        {"action": "required", "payload": {}},
        {"action": "", "payload": {}},
        {"action": "blink"},
        {"payload": {"seconds": 5}},
        {"action": "blink", "payload": {"seconds": 5, "text": "\0"}},
        {"action": "blink", "payload": {"seconds": 5, "text": "x" * 70_000}},
    ],
    ids=["unknown", "lacks", "text", "no object", "reserved", "nameless", "no payload", "no action", "NUL", "long"],
)
async def test_what_the_type_does_not_take_is_refused(acme: Tenant, client: Client, body: Any) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    assert await client.failure("triggerAction", deviceId=device, json=body) == (400, "DEVICE_VALIDATION")
    assert await commands_of(acme, device) == []


async def test_a_payload_is_whatever_the_schema_says(acme: Tenant, client: Client) -> None:
    type_ = await add_type(client, schema={"actions": {"say": {"type": "string"}, "additionalProperties": True}})
    device = (await add_device(client, type_))["id"]
    await client.data("triggerAction", deviceId=device, json={"action": "say", "payload": "hello"})
    await client.data("triggerAction", deviceId=device, json={"action": "anything", "payload": [1]})
    refused = {"action": "say", "payload": 5}
    assert await client.failure("triggerAction", deviceId=device, json=refused) == (400, "DEVICE_VALIDATION")
    assert [command["type"] for command in await commands_of(acme, device)] == ["anything", "say"]


async def test_many_are_told_by_filter_and_only_those_whose_types_take_it(
    acme: Tenant, globex: Tenant, client: Client
) -> None:
    lamps = await add_type(client)
    deaf = await add_type(client, name="Deaf", schema={**SENSOR_SCHEMA, "actions": {}})
    strict = {"blink": {"type": "object", "properties": {"seconds": {"maximum": 3}}}}
    short = await add_type(client, name="Short", schema={"actions": strict})
    tags = {"tags": ["hall"]}
    told = [(await add_device(client, lamps, name=f"lamp {number}", **tags))["id"] for number in range(2)]
    spared = [
        (await add_device(client, deaf, name="deaf", **tags))["id"],
        (await add_device(client, short, name="short", **tags))["id"],
        (await add_device(client, lamps, name="elsewhere"))["id"],
    ]
    other = await Client.of(globex)
    theirs = (await add_device(other, await add_type(other), name="theirs", **tags))["id"]

    answer = await client.ask("triggerBulkAction", json={**BLINK, "deviceFilter": {"deviceTag": ["HA*"]}})
    assert answer.status_code == 204
    assert [[one["type"] for one in await commands_of(acme, device)] for device in told] == [["blink"]] * 2
    assert [await commands_of(acme, device) for device in spared] == [[]] * 3
    assert await commands_of(globex, theirs) == []
    queued = [fact for fact in await facts_of(acme) if isinstance(fact, DownlinkQueued) and fact.kind == "command"]
    assert [sorted(map(str, fact.device_ids)) for fact in queued] == [sorted(told)]

    assert (await client.ask("triggerBulkAction", json={**BLINK, "deviceFilter": {"deviceId": [theirs]}})).is_success
    for body in (BLINK, {**BLINK, "deviceFilter": {"colour": "red"}}, {"action": "blink", "deviceFilter": {}}):
        assert await client.failure("triggerBulkAction", json=body) == (400, "DEVICE_VALIDATION")


async def test_nobody_tells_devices_of_others_or_without_the_permission(
    acme: Tenant, globex: Tenant, client: Client
) -> None:
    device = (await add_device(client, await add_type(client)))["id"]
    other = await Client.of(globex)
    missing = (404, "DEVICE_RESOURCE_NOT_FOUND")
    assert await other.failure("triggerAction", deviceId=device, json=BLINK) == missing
    assert await other.failure("triggerAction", deviceId=new_id(), json=BLINK) == missing
    assert await other.failure("triggerAction", deviceId="lamp", json=BLINK) == (400, "DEVICE_VALIDATION")
    assert await Client(acme).failure("triggerAction", deviceId=device, json=BLINK) == (401, "ID_UNAUTHORIZED")
    await (await Client.of(acme, Role.MEMBER)).data("triggerAction", deviceId=device, json=BLINK)
