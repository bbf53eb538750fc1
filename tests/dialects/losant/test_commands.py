"""Commands: sent to one device and to many, heard over MQTT, and the same as those of the other dialects."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.app.codecs import SPELLERS
from roadstead.bus import Bus
from roadstead.core import commands
from roadstead.core.commands import Action, CommandDraft, CommandId
from roadstead.core.downlinks import COMMAND, CONFIGURATION, Downlink
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId, TenantId, new_id, parse_hex24, to_hex24
from roadstead.supervisor.servers import Servers
from tests.app.commands import carrying
from tests.app.gateway import Device, Running, running_gateway, until
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import ok


@pytest_asyncio.fixture(scope="module")
async def gateway(
    servers: Servers, bus: Bus, tenant_database: Database, system_database: Database, database_url: str, ports: Ports
) -> AsyncIterator[Running]:
    """The gateway that all tests share, and who brings commands to it."""
    async with (
        carrying(bus, system_database, database_url),
        running_gateway(servers, tenant_database, system_database, ports) as running,
    ):
        yield running


class Pump:
    """A device that connects with an access key, as the vendor's clients do, and keeps what it hears."""

    def __init__(self, device_id: str, key: dict[str, Any]) -> None:
        self.id = device_id
        self.heard: list[tuple[str, Any]] = []
        self.device = Device(device_id, version=MQTTProtocolVersion.MQTTv311)
        self.device.client.username_pw_set(key["key"], key["secret"])
        self.device.client.on_message = self._on_message

    async def connect(self, gateway: Running, *others: str) -> "Pump":
        """A session that hears its own commands, and those of these devices."""
        await self.device.connect(gateway.plain)
        assert self.device.is_in
        for device_id in (self.id, *others):
            assert not (await self.device.subscribe(f"losant/{device_id}/command")).is_failure
        return self

    async def hears(self, count: int) -> list[tuple[str, Any]]:
        """What it has heard, as soon as it is so much."""
        await until(lambda: len(self.heard) >= count)
        return self.heard

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.heard.append((message.topic, json.loads(message.payload)))


async def add_key(client: Client, application_id: str, **fields: Any) -> dict[str, Any]:
    """An access key of an application, with its secret."""
    made: dict[str, Any] = await client.data("applicationKeys.post", applicationId=application_id, json=fields)
    return made


async def send(client: Client, application_id: str, device_id: str, name: str, **fields: Any) -> None:
    """Tell a device something."""
    body = {"name": name} | fields
    answer = await client.data("device.sendCommand", applicationId=application_id, deviceId=device_id, json=body)
    assert answer == {"success": True}


async def names_of(client: Client, application_id: str, device_id: str, **params: Any) -> list[str]:
    """Of the commands of a device."""
    params = {"limit": 100} | params
    found = await client.data("device.getCommand", applicationId=application_id, deviceId=device_id, params=params)
    return [command["name"] for command in found]


def uuid_of(text: str) -> DeviceId:
    """The id of a device."""
    id_ = parse_hex24(text)
    assert id_ is not None
    return DeviceId(id_)


async def native_commands(tenant: Tenant, device_id: str) -> Any:
    """As the native API shows them, newest first."""
    return ok(await tenant.api.get(f"/api/v1/devices/{uuid_of(device_id)}/commands"))["items"]


def test_a_device_hears_commands_on_its_topic_with_a_time_that_has_a_fraction() -> None:
    speller, device = SPELLERS["losant"], DeviceId(new_id())
    assert speller.topic(COMMAND, new_id(), device) == f"losant/{to_hex24(device)}/command"
    assert speller.topic(CONFIGURATION, new_id(), device) is None
    for payload in ({"seconds": 5}, [1], "on", None):
        draft = CommandDraft(type="blink", payload=payload)
        at = time.from_millis(1_464_743_391_000)
        command = draft.command(CommandId(new_id()), device, requested_by=new_id(), created_at=at)
        spelled = speller.spell(Downlink(TenantId(1), device, COMMAND, command.id, command))
        assert spelled is not None
        told = {"name": "blink", "payload": payload, "time": {"$date": "2016-06-01T01:09:51.000Z"}}
        assert json.loads(spelled.payload) == told


async def test_the_last_command_is_shown_and_more_on_demand(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    harbour = await add_application(client)
    pump = await add_device(client, harbour)
    place = {"applicationId": harbour, "deviceId": pump}
    assert await client.data("device.getCommand", **place) == []
    await send(client, harbour, pump, "first", payload={"a": [1, None]}, time={"$date": "2016-06-01T01:09:51Z"})
    await send(client, harbour, pump, "second")
    [last] = await client.data("device.getCommand", **place)
    assert (last["name"], "payload" in last) == ("second", False)
    first = (await client.data("device.getCommand", **place, params={"sortDirection": "asc"}))[0]
    assert first == {"name": "first", "payload": {"a": [1, None]}, "time": "2016-06-01T01:09:51.000Z"}
    assert await names_of(client, harbour, pump) == ["second", "first"]
    assert await names_of(client, harbour, pump, start=-60_000) == ["second", "first"]
    assert await names_of(client, harbour, pump, end=-60_000) == []
    assert await names_of(client, harbour, pump, end=60_000) == []

    assert await client.failure("device.getCommand", **place, params={"limit": "many"}) == (400, "Validation")
    for wrong in ({}, {"name": ""}, {"name": "a", "colour": "red"}, {"name": "a\0"}, {"name": "a", "payload": "\0"}):
        assert await client.failure("device.sendCommand", **place, json=wrong) == (400, "Validation")
    for action, body in (("device.sendCommand", {"json": {"name": "x"}}), ("device.getCommand", {})):
        assert await stranger.failure(action, **place, **body) == (404, "NotFound")
    assert await names_of(client, harbour, pump) == ["second", "first"]


async def test_a_device_is_told_as_often_as_the_contract_allows(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    pump, fan = await add_device(client, harbour), await add_device(client, harbour, "fan")
    place = {"applicationId": harbour, "deviceId": pump}
    sent = 0
    # A place becomes free every half second: a slow machine sends a few more.
    while (answer := await client.ask("device.sendCommand", **place, json={"name": "go"})).status_code == 200:
        sent += 1
    assert (answer.status_code, answer.json()["type"]) == (429, "RateLimited")
    assert sent >= 30
    await send(client, harbour, fan, "go")


async def test_many_are_told_by_ids_tags_or_a_query(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    harbour, quay = await add_application(client), await add_application(client, "Quay")
    tags = [{"key": "line", "value": "7"}]
    pump, fan = await add_device(client, harbour, "pump", tags=tags), await add_device(client, harbour, "fan")
    crane = await add_device(client, quay, "crane", tags=tags)
    theirs_at = await add_application(stranger)
    theirs = await add_device(stranger, theirs_at)

    async def tell(name: str, **whom: Any) -> None:
        body = {"name": name, "payload": 1} | whom
        answer = await client.data("devices.sendCommand", applicationId=harbour, json=body)
        assert answer == {"success": True}

    await tell("by id", deviceIds=[fan, crane, theirs])
    await tell("by tag", deviceTags=[{"key": "line"}])
    await tell("by either", deviceIds=[fan], deviceTags=tags)
    await tell("by query", deviceQuery={"name": {"$startsWith": "f"}})
    await tell("to nobody")
    assert await names_of(client, harbour, pump) == ["by either", "by tag"]
    assert await names_of(client, harbour, fan) == ["by query", "by either", "by id"]
    assert await names_of(client, quay, crane) == []
    assert await names_of(stranger, theirs_at, theirs) == []
    wrong = {"name": "a", "deviceQuery": {"colour": 1}}
    assert await client.failure("devices.sendCommand", applicationId=harbour, json=wrong) == (400, "Validation")


async def test_very_many_are_told_once_by_a_job(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    pump = await add_device(client, harbour)
    async with acme.edge.system_database.tx(acme.tenant_id) as tx:
        sql = """
            INSERT INTO device (tenant_id, id, space_id, ordinal, name, status, created_at, updated_at)
            SELECT tenant_id, gen_random_uuid(), space_id, 1000 + n, 'd' || n, 'ACTIVE', now(), now()
            FROM device, generate_series(1, 1000) n WHERE tenant_id = %s
        """
        await tx.run(sql, acme.tenant_id)
    body = {"name": "go", "deviceQuery": {}}
    queued = await client.data("devices.sendCommand", applicationId=harbour, json=body)
    assert await names_of(client, harbour, pump) == []
    log = await run_job(client, harbour, queued)
    assert log["output"]["sent"] == 1_001
    assert await names_of(client, harbour, pump) == ["go"]


async def test_what_is_begun_anew_tells_each_device_once(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    pump, fan = [uuid_of(await add_device(client, harbour, name)) for name in ("pump", "fan")]
    action = Action(name="go", payload=None, dialect="losant", cause=new_id())
    for told in ([pump], [pump, fan]):
        async with acme.work() as work:
            await commands.command_devices(work, told, action)
    for device in (pump, fan):
        assert await names_of(client, harbour, to_hex24(device)) == ["go"]


async def test_a_device_tells_those_of_its_key_and_nobody_else(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    pump, fan, crane = [await add_device(client, harbour, name) for name in ("pump", "fan", "crane")]
    key = await add_key(client, harbour, deviceIds=[pump, fan])
    body = {"deviceId": pump, "key": key["key"], "secret": key["secret"]}
    device = Client(acme, (await client.data("auth.authenticateDevice", json=body))["token"])
    await send(device, harbour, pump, "to itself")
    await send(device, harbour, fan, "to another")
    place = {"applicationId": harbour, "deviceId": crane}
    assert (await device.failure("device.sendCommand", json={"name": "no"}, **place))[0] in (403, 404)
    assert (await device.failure("device.getCommand", **place))[0] in (403, 404)
    await device.data("devices.sendCommand", applicationId=harbour, json={"name": "to all", "deviceQuery": {}})
    assert await names_of(device, harbour, pump) == ["to all", "to itself"]
    assert await names_of(client, harbour, fan) == ["to all", "to another"]
    assert await names_of(client, harbour, crane) == []


# --- over MQTT, and one truth ----------------------------------------------------------------------------------------


async def test_a_device_hears_its_commands_whoever_gives_them(acme: Tenant, gateway: Running) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    pump = await add_device(client, harbour)
    await send(client, harbour, pump, "missed", payload={"n": 1})  # as long as it is not there
    told = Pump(pump, await add_key(client, harbour))
    await told.connect(gateway)
    await told.hears(1)
    await send(client, harbour, pump, "open", payload=[1, 2])
    await told.hears(2)
    body = {"type": "REBOOT", "params": {}}
    ok(await acme.api.post(f"/api/v1/devices/{uuid_of(pump)}/commands", json=body))
    heard = await told.hears(3)

    topics, messages = {topic for topic, _ in heard}, [message for _, message in heard]
    assert topics == {f"losant/{pump}/command"}
    assert [(each["name"], each["payload"]) for each in messages] == [
        ("missed", {"n": 1}),
        ("open", [1, 2]),
        ("REBOOT", {}),
    ]
    assert all("." in each["time"]["$date"] and each["time"]["$date"].endswith("Z") for each in messages)
    assert await names_of(client, harbour, pump) == ["REBOOT", "open", "missed"]
    async with asyncio.timeout(5):
        while {each["status"] for each in await native_commands(acme, pump)} != {"SUCCESS"}:
            await asyncio.sleep(0.01)
    await told.device.close()


async def test_a_gateway_hears_its_peripherals_on_their_topics_and_never_on_its_own(
    acme: Tenant, gateway: Running
) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    hub = await add_device(client, harbour, "hub", deviceClass="gateway")
    probe, deaf = [
        await add_device(client, harbour, name, deviceClass="peripheral", gatewayId=hub) for name in ("probe", "deaf")
    ]
    told = Pump(hub, await add_key(client, harbour))
    await told.connect(gateway, probe)
    await send(client, harbour, deaf, "nobody hears this")
    await send(client, harbour, probe, "measure")
    await send(client, harbour, hub, "restart")
    heard = {topic: message["name"] for topic, message in await told.hears(2)}
    assert heard == {f"losant/{probe}/command": "measure", f"losant/{hub}/command": "restart"}
    assert [each["status"] for each in await native_commands(acme, deaf)] == ["PENDING"]
    await told.device.close()


async def test_a_device_of_another_dialect_is_told_from_here(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = ok(await acme.api.post("/api/v1/devices", json={"name": "native"}))
    async with acme.edge.system_database.tx() as tx:
        sql = "SELECT id FROM space WHERE tenant_id = %s AND is_default"
        home = to_hex24(await tx.value(sql, acme.tenant_id))
    device = to_hex24(UUID(made["id"]))
    await send(client, home, device, "go", payload={"n": 1})
    [command] = await native_commands(acme, device)
    assert (command["type"], command["params"], command["status"]) == ("go", {"n": 1}, "PENDING")
    await send(client, home, device, "bare")
    assert (await native_commands(acme, device))[0]["params"] == {}
