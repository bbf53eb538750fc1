"""Devices of the Losant dialect at the gateway: who comes in, and which topics are whose."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.bus import NEW, UPLINK, Bus, Publisher, Reader
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.ids import parse_hex24, to_bytes
from roadstead.settings import LosantSettings
from roadstead.supervisor.servers import Servers
from roadstead.workers.outbox import OutboxRelay
from tests.app.gateway import Running, read_uplinks, running_gateway, until
from tests.app.losant import Application, LosantDevice, close_all
from tests.conftest import Tenant

BAD_CREDENTIALS, NOT_AUTHORIZED = 134, 135


@pytest_asyncio.fixture(scope="module")
async def _relay(bus: Bus, system_database: Database, database_url: str) -> AsyncIterator[None]:
    """Carries facts to the stream, as the worker role does."""
    publisher = Publisher(bus)
    await publisher.start()
    relay = asyncio.create_task(OutboxRelay(system_database, database_url, publisher).run())
    yield
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await publisher.close()


@pytest_asyncio.fixture(scope="module")
async def gateway(
    servers: Servers, bus: Bus, _relay: None, tenant_database: Database, system_database: Database, ports: Ports
) -> AsyncIterator[Running]:
    """A gateway process."""
    async with running_gateway(servers, tenant_database, system_database, ports) as running:
        yield running


@pytest_asyncio.fixture
async def arriving(bus: Bus) -> AsyncIterator[Reader]:
    """What reaches the log from now on."""
    reader = Reader(bus, UPLINK, start=NEW)
    await reader.open()
    yield reader
    await reader.close()


def raw(device_id: str) -> bytes:
    """The 12 bytes of an id."""
    id_ = parse_hex24(device_id)
    assert id_ is not None
    return to_bytes(id_)


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
async def test_a_device_comes_in_with_an_access_key_and_its_state_is_on_the_log(
    acme: Tenant, gateway: Running, arriving: Reader, version: MQTTProtocolVersion
) -> None:
    application = await Application.of(acme)
    device = LosantDevice(await application.add_device(), application.key, version=version)
    await device.connect(gateway.plain)
    state = json.dumps({"data": {"temperature": 21}}).encode()
    for qos in (0, 1):
        await device.say(f"losant/{device.id}/state", state, qos=qos, retain=True)
    found = await read_uplinks(arriving, 2)
    expected = (acme.tenant_id, raw(device.id), "losant", "state", state)
    assert [(one.tenant, one.device, one.dialect, one.channel, one.payload) for one in found] == [expected] * 2
    assert device.is_in
    await device.close()


async def test_what_is_wrong_with_a_credential_is_told_as_the_vendor_does(
    acme: Tenant, globex: Tenant, gateway: Running
) -> None:
    application, foreign = await Application.of(acme), await Application.of(globex)
    device_id = await application.add_device()
    elsewhere = await application.add_key(addressFilterType="whitelist", addresses=["192.0.2.0/24"])
    for_another = await application.add_key(deviceTags=[{"key": "kind", "value": "pump"}])
    for key, code in (
        ({**application.key, "secret": "wrong"}, BAD_CREDENTIALS),
        ({**application.key, "key": "nobody"}, BAD_CREDENTIALS),
        (foreign.key, BAD_CREDENTIALS),
        (for_another, BAD_CREDENTIALS),
        (elsewhere, NOT_AUTHORIZED),
    ):
        device = LosantDevice(device_id, key)
        await device.connect(gateway.plain)
        assert not device.is_in
        assert device.answer.value == code
        await device.close()


async def test_a_key_lets_in_the_devices_that_have_its_tag(acme: Tenant, gateway: Running) -> None:
    application = await Application.of(acme)
    key = await application.add_key(deviceTags=[{"key": "kind", "value": "pump"}])
    device = await application.connected(gateway.plain, key=key, tags=[{"key": "kind", "value": "pump"}])
    assert device.is_in
    await device.close()


async def test_one_session_of_a_device_ousts_the_one_before(acme: Tenant, gateway: Running) -> None:
    application = await Application.of(acme)
    first = await application.connected(gateway.plain)
    second = LosantDevice(first.id, application.key)
    await second.connect(gateway.plain)
    assert await first.is_out()
    assert second.is_in
    await close_all(first, second)


@pytest.mark.parametrize("change", [{"status": "inactive"}, {"filterType": "none"}, None])
async def test_sessions_of_a_key_are_cut_when_it_is_withdrawn_or_has_other_rules(
    acme: Tenant, gateway: Running, change: dict[str, str] | None
) -> None:
    application = await Application.of(acme)
    key = await application.add_key()
    cut, stays = await application.connected(gateway.plain, key=key), await application.connected(gateway.plain)
    if change is None:
        place = {"applicationId": application.id, "applicationKeyId": key["id"]}
        await application.client.data("applicationKey.delete", **place)
    else:
        await application.change_key(key, **change)
    assert await cut.is_out()
    assert stays.is_in
    await close_all(cut, stays)


@pytest.mark.parametrize(
    "topic",
    [
        "losant/{other}/state",
        "/losant/{own}/state",
        "losant/{own}/command",
        "losant/{own}/anything",
        "losant/not-a-device/state",
        "$SYS/broker",
    ],
)
async def test_a_message_to_a_topic_with_a_meaning_that_is_not_its_own_ends_the_connection(
    acme: Tenant, gateway: Running, topic: str
) -> None:
    application = await Application.of(acme)
    device = await application.connected(gateway.plain)
    other = await application.add_device()
    await device.say(topic.format(own=device.id, other=other), b"{}")
    assert await device.is_out()
    await device.close()


@pytest.mark.parametrize("topic", ["losant/{other}/command", "losant/{own}/state", "losant/+/command", "losant/#"])
async def test_who_listens_to_a_topic_with_a_meaning_that_is_not_theirs_is_cut_off(
    acme: Tenant, gateway: Running, topic: str
) -> None:
    application = await Application.of(acme)
    device = await application.connected(gateway.plain)
    other = await application.add_device()
    assert not await device.try_to_listen(topic.format(own=device.id, other=other))
    await device.close()


async def test_agents_may_listen_and_greet(acme: Tenant, gateway: Running, arriving: Reader) -> None:
    application = await Application.of(acme)
    device = await application.connected(gateway.plain)
    await device.listen(f"losant/{device.id}/toAgent/#", f"losant/{device.id}/command")
    await device.say(f"losant/{device.id}/fromAgent/hello", json.dumps({"service": "embeddedWorkflowAgent"}))
    await device.say(f"losant/{device.id}/state", b"{}")
    (found,) = await read_uplinks(arriving, 1)
    assert found.channel == "state"
    assert device.is_in
    await device.close()


async def test_a_gateway_speaks_for_its_peripherals_also_for_those_that_came_later(
    acme: Tenant, gateway: Running, arriving: Reader
) -> None:
    application = await Application.of(acme)
    device = await application.connected(gateway.plain, deviceClass="gateway")
    own = await application.add_device(deviceClass="peripheral", gatewayId=device.id)
    anyones = await application.add_device(deviceClass="peripheral")
    for peripheral in (own, anyones, own):
        await device.say(f"losant/{peripheral}/state", json.dumps({"data": {"of": peripheral}}))
        await device.listen(f"losant/{peripheral}/command")
    found = await read_uplinks(arriving, 3)
    assert [one.device for one in found] == [raw(own), raw(anyones), raw(own)]
    assert [json.loads(one.payload)["data"]["of"] for one in found] == [own, anyones, own]
    assert device.is_in
    await device.close()


async def test_a_gateway_hears_the_commands_of_its_peripherals_on_their_topics(acme: Tenant, gateway: Running) -> None:
    application = await Application.of(acme)
    device = await application.connected(gateway.plain, deviceClass="gateway")
    peripherals = [
        await application.add_device(deviceClass="peripheral", gatewayId=device.id),
        await application.add_device(deviceClass="peripheral"),
    ]

    async def command(device_id: str, name: str) -> None:
        place = {"applicationId": application.id, "deviceId": device_id}
        await application.client.data("device.sendCommand", json={"name": name}, **place)

    await command(peripherals[0], "before")
    await command(peripherals[1], "before")
    for peripheral in peripherals:
        await device.listen(f"losant/{peripheral}/command")
    await until(lambda: len(device.heard) == 2)
    for peripheral in peripherals:
        await command(peripheral, "after")
    await until(lambda: len(device.heard) == 4)
    heard = [(topic, json.loads(payload)["name"]) for topic, payload in device.heard]
    assert sorted(heard) == sorted(
        (f"losant/{peripheral}/command", name) for peripheral in peripherals for name in ("before", "after")
    )
    await device.close()


async def test_a_gateway_does_not_speak_for_what_is_anothers(acme: Tenant, globex: Tenant, gateway: Running) -> None:
    application, beside, foreign = [await Application.of(tenant) for tenant in (acme, acme, globex)]
    other = await application.add_device(deviceClass="gateway")
    strangers = [
        await application.add_device(deviceClass="peripheral", gatewayId=other),
        await application.add_device(),
        await beside.add_device(deviceClass="peripheral"),
        await foreign.add_device(deviceClass="peripheral"),
    ]
    for stranger in strangers:
        device = await application.connected(gateway.plain, deviceClass="gateway")
        await device.say(f"losant/{stranger}/state", b"{}")
        assert await device.is_out()
        again = await application.connected(gateway.plain, deviceClass="gateway")
        assert not await again.try_to_listen(f"losant/{stranger}/command")
        await close_all(device, again)
    plain = await application.connected(gateway.plain)
    await plain.say(f"losant/{await application.add_device(deviceClass='peripheral')}/state", b"{}")
    assert await plain.is_out()
    await plain.close()


async def test_a_gateway_that_lost_a_peripheral_neither_speaks_nor_listens_for_it(
    acme: Tenant, gateway: Running
) -> None:
    application = await Application.of(acme)
    listener = await application.connected(gateway.plain, deviceClass="gateway")
    peripheral = await application.add_device(deviceClass="peripheral", gatewayId=listener.id)
    await listener.listen(f"losant/{peripheral}/command")
    await listener.say(f"losant/{peripheral}/state", b"{}")
    place = {"applicationId": application.id, "deviceId": peripheral}
    await application.client.data("device.patch", json={"name": "still mine"}, **place)
    await listener.say(f"losant/{peripheral}/state", b"{}")
    assert listener.is_in
    other = await application.add_device(deviceClass="gateway")
    await application.client.data("device.patch", json={"gatewayId": other}, **place)
    assert await listener.is_out()
    again = LosantDevice(listener.id, application.key)
    await again.connect(gateway.plain)
    await again.say(f"losant/{peripheral}/state", b"{}")
    assert await again.is_out()
    await close_all(listener, again)


async def test_a_message_of_more_than_256_kib_and_qos_2_end_the_connection(
    acme: Tenant, gateway: Running, arriving: Reader
) -> None:
    application = await Application.of(acme)
    device = await application.connected(gateway.plain)
    await device.say(f"losant/{device.id}/state", b"x" * 262_144)
    (found,) = await read_uplinks(arriving, 1)
    assert len(found.payload) == 262_144
    await device.say(f"losant/{device.id}/state", b"x" * 270_000)
    assert await device.is_out()
    other = await application.connected(gateway.plain)
    await other.say("chat/room", b"{}", qos=2)
    assert await other.is_out()
    await close_all(device, other)


async def test_no_session_is_kept(acme: Tenant, gateway: Running) -> None:
    application = await Application.of(acme)
    listener, speaker = await application.connected(gateway.plain), await application.connected(gateway.plain)
    keeping = LosantDevice(await application.add_device(), application.key)
    keeping.client._clean_session = False
    await keeping.connect(gateway.plain)
    await keeping.listen("chat/#")
    await keeping.close()
    await listener.listen("chat/#")
    await speaker.say("chat/a", b"while it was away")
    await listener.hears(("chat/a", b"while it was away"))
    again = LosantDevice(keeping.id, application.key)
    again.client._clean_session = False
    await again.connect(gateway.plain)
    await speaker.say("chat/a", b"nobody told it")
    await until(lambda: len(listener.heard) == 2)
    assert again.heard == []
    await close_all(listener, speaker, again)


async def test_who_says_too_much_is_cut_off_and_for_a_gateway_each_peripheral_counts(
    acme: Tenant,
    servers: Servers,
    tenant_database: Database,
    system_database: Database,
    ports: Ports,
) -> None:
    rates = LosantSettings(device_messages=3, device_messages_s=60)
    async with running_gateway(servers, tenant_database, system_database, ports, losant=rates) as slow:
        application = await Application.of(acme)
        device = await application.connected(slow.plain)
        for _ in range(3):
            await device.say(f"losant/{device.id}/state", b"{}")
        assert device.is_in
        await device.say("chat/room", b"{}")
        assert await device.is_out()
        again = LosantDevice(device.id, application.key)
        await again.connect(slow.plain)
        await again.say(f"losant/{device.id}/state", b"{}")
        assert await again.is_out()

        gateway = await application.connected(slow.plain, deviceClass="gateway")
        for _ in range(3):
            peripheral = await application.add_device(deviceClass="peripheral")
            for _ in range(3):
                await gateway.say(f"losant/{peripheral}/state", b"{}")
        assert gateway.is_in

        listener, speakers = await application.connected(slow.plain), []
        await listener.listen("chat/#")
        for _ in range(2):
            speakers.append(await application.connected(slow.plain))
            for number in range(2):
                await speakers[-1].say("chat/room", str(number))
        assert await listener.is_out()
        assert len(listener.heard) == 3
        assert all(speaker.is_in for speaker in speakers)
        await close_all(device, again, gateway, listener, *speakers)
