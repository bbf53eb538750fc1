"""The gateway role with real devices: who comes in, where they may speak, and how soon they are out."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.bus import CONTROL, NEW, UPLINK, Bus, Publisher, Reader
from roadstead.core import identity, provisioning, registry
from roadstead.core.messages import SESSION, OrganizationChanged, SessionNotice, Uplink
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import DeviceId, to_bytes
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import now
from roadstead.supervisor.servers import Servers
from roadstead.workers.outbox import OutboxRelay
from tests.app.gateway import (
    Device,
    Running,
    enrolled,
    leases,
    read_uplinks,
    running_gateway,
    topic_of,
)
from tests.conftest import Tenant
from tests.core.provisioning.devices import exchange, key_pem, make_key, provision, register, request_for, self_signed


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
    """The gateway that most tests share."""
    async with running_gateway(servers, tenant_database, system_database, ports) as running:
        yield running


@pytest_asyncio.fixture
async def arriving(bus: Bus) -> AsyncIterator[Reader]:
    """What reaches the log from now on."""
    reader = Reader(bus, UPLINK, start=NEW)
    await reader.open()
    yield reader
    await reader.close()


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
async def test_what_a_provisioned_device_reports_is_on_the_log(
    acme: Tenant, gateway: Running, bus: Bus, arriving: Reader, tmp_path: Path, version: MQTTProtocolVersion
) -> None:
    token = await register(acme, "pump-1")
    key = make_key()
    provisioned = await exchange(acme, token.text, request_for(key))
    device = Device("", version=version)
    device.use_certificate(tmp_path, provisioned.certificate, key_pem(key), provisioned.authorities)
    await device.connect(gateway.tls)
    assert device.is_in

    # What it measures and what it answers lie on logs of their own.
    answering = Reader(bus, CONTROL, start=NEW)
    await answering.open()
    for reader, channels in (
        (arriving, {"readings", "health", "status"}),
        (answering, {"commands/response", "config/reported"}),
    ):
        for channel in channels:
            await device.publish(topic_of(acme, token.device_id, channel), json.dumps({"kind": channel}).encode())
        arrived = await read_uplinks(reader, len(channels))
        assert [(uplink.tenant, uplink.device, uplink.dialect) for uplink in arrived] == [
            (acme.tenant_id, to_bytes(token.device_id), "native")
        ] * len(channels)
        assert {uplink.channel: json.loads(uplink.payload)["kind"] for uplink in arrived} == {
            channel: channel for channel in channels
        }
    await answering.close()
    await device.close()


async def test_coming_and_going_are_told_with_the_gateway_that_saw_it(
    acme: Tenant, gateway: Running, arriving: Reader, tmp_path: Path
) -> None:
    device_id, device = await enrolled(acme, "pump-1", tmp_path)
    await device.connect(gateway.tls)
    for _ in range(3):
        await device.publish(topic_of(acme, device_id), b"{}")
    await device.close()
    notices: dict[str, SessionNotice] = {}
    while len(notices) < 2:
        pack = await arriving.next(5)
        assert pack is not None
        for uplink in msgspec.msgpack.decode(pack.payload, type=list[Uplink]):
            if uplink.device == to_bytes(device_id) and uplink.dialect == SESSION:
                notices[uplink.channel] = msgspec.msgpack.decode(uplink.payload, type=SessionNotice)
    assert list(notices) == ["connected", "disconnected"]
    assert {notice.gateway for notice in notices.values()} == {gateway.name}
    assert [(notice.received, notice.sent) for notice in notices.values()] == [(0, 0), (3, 0)]


async def test_a_device_is_cut_off_within_a_second_of_its_revocation(
    acme: Tenant, globex: Tenant, gateway: Running, tmp_path: Path
) -> None:
    device_id, device = await enrolled(acme, "pump-1", tmp_path)
    _, other = await enrolled(globex, "pump-1", tmp_path)
    await device.connect(gateway.tls)
    await other.connect(gateway.tls)
    assert device.is_in and other.is_in

    async with acme.work() as work:
        await provisioning.revoke_credentials(work, device_id, reason="stolen")
    revoked_at = time.monotonic()
    assert await device.cut_off(within_s=1.0) - revoked_at < 1.0
    assert str(device.end) == "Not authorized"
    assert other.is_in

    again = Device(str(device_id))
    again.client.tls_set_context(device.client._ssl_context)  # the same certificate once more
    await again.connect(gateway.tls)
    assert again.answer.is_failure
    await again.close()
    await other.close()


async def test_revoking_one_certificate_leaves_a_session_with_another(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    token = await register(acme, "pump-1")
    await exchange(acme, token.text)
    (issued,) = await credentials(acme, token.device_id)
    key = make_key()
    own = self_signed(key)
    async with acme.work() as work:
        registered = await provisioning.register_certificate(work, token.device_id, own)
    device = Device(str(token.device_id)).use_certificate(tmp_path, own, key_pem(key), None)
    await device.connect(gateway.tls)
    later_id, later = await enrolled(acme, "pump-2", tmp_path)
    await later.connect(gateway.tls)

    async with acme.work() as work:
        await provisioning.revoke_credentials(work, token.device_id, serial_number=issued.serial_number)
    async with acme.work() as work:
        await provisioning.revoke_credentials(work, later_id)
    await later.cut_off(within_s=1.0)  # facts come in order, so the one before has been read as well
    assert device.is_in

    async with acme.work() as work:
        await provisioning.revoke_credentials(work, token.device_id, serial_number=registered.serial_number)
    await device.cut_off(within_s=1.0)


async def credentials(tenant: Tenant, device_id: DeviceId) -> list[provisioning.Credential]:
    """Of one device."""
    async with tenant.work() as work:
        return (await provisioning.list_credentials(work, device_id, PageQuery())).items


async def test_a_device_has_no_business_on_topics_of_others(
    acme: Tenant, globex: Tenant, gateway: Running, arriving: Reader, tmp_path: Path
) -> None:
    device_id, device = await enrolled(acme, "pump-1", tmp_path)
    neighbour_id, _ = await provision(acme, "pump-2")
    stranger_id, _ = await provision(globex, "pump-1")
    await device.connect(gateway.tls)

    for topic in (
        topic_of(globex, stranger_id),
        topic_of(acme, neighbour_id),
        topic_of(globex, device_id),
        topic_of(acme, device_id, "commands"),
        topic_of(acme, device_id, "config/desired"),
        "v1/readings",
    ):
        reason = await device.publish(topic, b"{}")
        assert reason is not None and str(reason) == "Not authorized", topic
    for topic in (topic_of(globex, stranger_id, "commands"), topic_of(acme, device_id), "v1/readings/+/+"):
        assert (await device.subscribe(topic)).is_failure, topic
    assert not (await device.subscribe(topic_of(acme, device_id, "commands"))).is_failure
    assert not (await device.subscribe(topic_of(acme, device_id, "config/desired"))).is_failure

    await device.publish(topic_of(acme, device_id), b"mine")
    (arrived,) = await read_uplinks(arriving, 1)
    assert arrived.payload == b"mine"
    await device.close()


async def test_a_foreign_certificate_opens_once_it_is_registered(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    token = await register(acme, "pump-1")
    key = make_key()
    certificate = self_signed(key)
    unknown = Device("").use_certificate(tmp_path, certificate, key_pem(key), None)
    await unknown.connect(gateway.tls)
    assert str(unknown.answer) == "Not authorized"
    await unknown.close()

    async with acme.work() as work:
        await provisioning.register_certificate(work, token.device_id, certificate)
    known = Device("").use_certificate(tmp_path, certificate, key_pem(key), None)
    await known.connect(gateway.tls)
    assert known.is_in
    await known.close()


async def test_the_client_id_is_the_device_id_or_empty(acme: Tenant, gateway: Running, tmp_path: Path) -> None:
    token = await register(acme, "pump-1")
    key = make_key()
    provisioned = await exchange(acme, token.text, request_for(key))

    async def connect_as(client_id: str) -> Any:
        device = Device(client_id)
        device.use_certificate(tmp_path, provisioned.certificate, key_pem(key), provisioned.authorities)
        await device.connect(gateway.tls)
        await device.close()
        return device.answer

    assert str(await connect_as("pump-1")) == "Client identifier not valid"
    for client_id in ("", str(token.device_id), str(token.device_id).upper()):
        assert not (await connect_as(client_id)).is_failure


async def test_an_api_key_lets_a_device_in_where_there_is_no_certificate(
    acme: Tenant, globex: Tenant, gateway: Running, arriving: Reader
) -> None:
    device_id = (await register(acme, "pump-1")).device_id
    key = await acme.add_key([Grant.READINGS_WRITE])
    device = Device(str(device_id)).use_key(device_id, key)
    await device.connect(gateway.plain)
    assert device.is_in
    await device.publish(topic_of(acme, device_id), b"over plain TCP")
    (arrived,) = await read_uplinks(arriving, 1)
    assert (arrived.tenant, arrived.payload) == (acme.tenant_id, b"over plain TCP")
    await device.close()

    refused = {
        globex.key: "Bad user name or password",
        "sk_live_nonsense": "Bad user name or password",
        await acme.add_key([Grant.DEVICES_READ]): "Not authorized",
    }
    for password, reason in refused.items():
        stranger = Device("").use_key(device_id, password)
        await stranger.connect(gateway.plain)
        assert str(stranger.answer) == reason
        await stranger.close()
    nobody = Device(str(device_id))
    await nobody.connect(gateway.plain)
    assert str(nobody.answer) == "Not authorized"
    await nobody.close()


async def test_a_revoked_api_key_cuts_the_sessions_it_opened(acme: Tenant, gateway: Running) -> None:
    device_id = (await register(acme, "pump-1")).device_id
    other_id = (await register(acme, "pump-2")).device_id
    key = await acme.add_key([Grant.READINGS_WRITE])
    device = await Device("").use_key(device_id, key).connect(gateway.plain)
    other = await Device("").use_key(other_id, acme.key).connect(gateway.plain)
    assert device.is_in and other.is_in

    async with acme.work() as work:
        key_id = await work.tx.value("SELECT id FROM api_key ORDER BY created_at DESC LIMIT 1")
        await identity.revoke_key(work, key_id)
    await device.cut_off(within_s=1.0)
    assert other.is_in
    again = await Device("").use_key(device_id, key).connect(gateway.plain)
    assert str(again.answer) == "Bad user name or password"
    for one in (again, other):
        await one.close()


async def test_a_session_ends_with_the_certificate_or_key_that_opened_it(
    acme: Tenant, gateway: Running, system_database: Database, tmp_path: Path
) -> None:
    by_certificate, by_key, lasting = [(await register(acme, f"pump-{n}")).device_id for n in range(3)]
    secret = await acme.add_key([Grant.READINGS_WRITE])
    async with system_database.tx() as tx:
        sql = "UPDATE api_key SET expires_at = now() + interval '1.5 s' WHERE prefix = %s AND tenant_id = %s"
        await tx.run(sql, secret[:12], acme.tenant_id)
    key, began_at = make_key(), now()
    certificate = self_signed(key, start=began_at - timedelta(days=1), life=timedelta(days=1, seconds=3))
    async with acme.work() as work:
        await provisioning.register_certificate(work, by_certificate, certificate)

    first = await Device("").use_certificate(tmp_path, certificate, key_pem(key), None).connect(gateway.tls)
    second = await Device("").use_key(by_key, secret).connect(gateway.plain)
    other = await Device("").use_key(lasting, acme.key).connect(gateway.plain)
    assert first.is_in and second.is_in and other.is_in

    await second.cut_off(within_s=3.0)
    await first.cut_off(within_s=4.0)
    assert {str(first.end), str(second.end)} == {"Maximum connect time"}
    assert now() > began_at + timedelta(seconds=1.4)
    assert other.is_in
    for one in (first, second, other):
        await one.close()


async def test_a_device_that_is_deleted_or_whose_organization_is_suspended_is_cut_off(
    acme: Tenant, globex: Tenant, gateway: Running, system_database: Database, tmp_path: Path
) -> None:
    first_id, first = await enrolled(acme, "pump-1", tmp_path)
    _, second = await enrolled(acme, "pump-2", tmp_path)
    _, other = await enrolled(globex, "pump-1", tmp_path)
    for device in (first, second, other):
        await device.connect(gateway.tls)
        assert device.is_in

    async with acme.work() as work:
        await registry.delete_device(work, first_id, purge=False, expected=None)
    await first.cut_off(within_s=1.0)
    assert second.is_in

    async with system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", acme.tenant_id)
    async with acme.work() as work:
        work.emit(OrganizationChanged())
        await work.tx.value("SELECT 1")
    await second.cut_off(within_s=1.0)
    assert other.is_in
    await other.close()


async def test_two_gateways_share_one_truth(
    acme: Tenant,
    gateway: Running,
    servers: Servers,
    tenant_database: Database,
    system_database: Database,
    ports: Ports,
    tmp_path: Path,
) -> None:
    device_id, here = await enrolled(acme, "pump-1", tmp_path)
    await here.connect(gateway.tls)
    assert here.is_in
    async with running_gateway(servers, tenant_database, system_database, ports) as second:
        assert await leases(system_database) >= {gateway.name, second.name}
        there = Device(str(device_id))
        there.client.tls_set_context(here.client._ssl_context)
        await there.connect(second.tls)
        assert there.is_in
        await here.cut_off(within_s=1.0)
        assert str(here.end) == "Session taken over"

        async with acme.work() as work:
            await provisioning.revoke_credentials(work, device_id)
        await there.cut_off(within_s=1.0)
    assert second.name not in await leases(system_database)
    assert gateway.name in await leases(system_database)


async def test_devices_are_told_to_come_back_when_a_gateway_stops(
    acme: Tenant,
    servers: Servers,
    bus: Bus,
    tenant_database: Database,
    system_database: Database,
    ports: Ports,
    tmp_path: Path,
) -> None:
    _, device = await enrolled(acme, "pump-1", tmp_path)
    async with running_gateway(servers, tenant_database, system_database, ports) as short_lived:
        await device.connect(short_lived.tls)
        assert device.is_in
        async with system_database.tx() as tx:
            sql = "SELECT now() - heartbeat_at < interval '3 s' FROM gateway_lease WHERE gateway = %s"
            assert await tx.value(sql, short_lived.name)
    await device.cut_off(within_s=1.0)
    assert str(device.end) == "Server shutting down"
