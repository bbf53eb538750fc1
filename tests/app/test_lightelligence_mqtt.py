"""Devices of the Lightelligence dialect at the gateway: whatever certificate and client id they have chosen."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from paho.mqtt.enums import MQTTProtocolVersion

from roadstead.bus import NEW, UPLINK, Bus, Reader
from roadstead.core import provisioning
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.ids import DeviceId, to_bytes
from roadstead.supervisor.servers import Servers
from tests.app.gateway import Device, Running, read_uplinks, running_gateway, until
from tests.conftest import Tenant
from tests.core.provisioning.devices import key_pem, make_key, self_signed
from tests.fleet import add_device

MIB = 1_048_576


@pytest_asyncio.fixture(scope="module")
async def gateway(
    servers: Servers, bus: Bus, tenant_database: Database, system_database: Database, ports: Ports
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


class OltDevice(Device):
    """A client as the sample programs of the original have it."""

    def __init__(self, directory: Path, certificate: str, key: bytes, client_id: str = "smartkicker") -> None:
        super().__init__(client_id, version=MQTTProtocolVersion.MQTTv311)
        chain = directory / f"{id(self)}.pem"
        chain.write_bytes(certificate.encode() + key)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["mqttv311"])
        context.load_cert_chain(chain)
        self.client.tls_set_context(context)

    async def send(self, topic: str, body: object, *, qos: int = 1, retain: bool = False) -> None:
        """Returns when it is acknowledged, or written for QoS 0."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        info = self.client.publish(topic, payload, qos=qos, retain=retain)
        await until(lambda: info.mid in self.published or self._ended.is_set())

    @property
    def protocol(self) -> Any:
        """What was agreed on in the handshake."""
        socket = self.client.socket()
        return socket.selected_alpn_protocol() if isinstance(socket, ssl.SSLSocket) else None


async def enrolled(tenant: Tenant, directory: Path) -> tuple[DeviceId, OltDevice]:
    """A device with a certificate that it gave itself, not connected yet."""
    device_id = DeviceId(await add_device(tenant.edge.system_database, tenant.tenant_id))
    key = make_key()
    certificate = self_signed(key)
    async with tenant.work() as work:
        await provisioning.register_certificate(work, device_id, certificate, dialect="lightelligence")
    return device_id, OltDevice(directory, certificate, key_pem(key))


async def test_what_devices_report_is_on_the_log_though_all_of_them_have_one_client_id(
    acme: Tenant, globex: Tenant, gateway: Running, arriving: Reader, tmp_path: Path
) -> None:
    first_id, first = await enrolled(acme, tmp_path)
    second_id, second = await enrolled(globex, tmp_path)
    for device in (first, second):
        await device.connect(gateway.tls)
        assert device.is_in
        assert device.protocol == "mqttv311"
    body = {"type": "attributes", "value": {"people": 4}}
    await first.send("data-ingest", body, qos=0)
    await first.send("event-ingest", {"type": "crowded"}, retain=True)
    await second.send("data-ingest", body, retain=True)
    uplinks = await read_uplinks(arriving, 3)
    assert [(one.tenant, one.device, one.dialect, one.channel) for one in uplinks] == [
        (acme.tenant_id, to_bytes(first_id), "lightelligence", "data-ingest"),
        (acme.tenant_id, to_bytes(first_id), "lightelligence", "event-ingest"),
        (globex.tenant_id, to_bytes(second_id), "lightelligence", "data-ingest"),
    ]
    assert json.loads(uplinks[0].payload) == body
    assert first.is_in
    assert second.is_in
    for device in (first, second):
        await device.close()


async def test_a_message_may_have_a_mebibyte(acme: Tenant, gateway: Running, arriving: Reader, tmp_path: Path) -> None:
    _, device = await enrolled(acme, tmp_path)
    await device.connect(gateway.tls)
    await device.send("data-ingest", b"x" * MIB)
    (uplink,) = await read_uplinks(arriving, 1)
    assert len(uplink.payload) == MIB
    assert device.is_in
    await device.close()


async def test_a_device_hears_its_own_topics_and_those_of_devices_it_connects(
    acme: Tenant, gateway: Running, tmp_path: Path
) -> None:
    device_id, device = await enrolled(acme, tmp_path)
    child, stranger = [await add_device(acme.edge.system_database, acme.tenant_id) for _ in range(2)]
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE device SET gateway_id = %s WHERE id = %s", device_id, child)
    await device.connect(gateway.tls)
    granted = {}
    for topic in (
        f"devices/{device_id}/configuration",
        f"devices/{device_id}/#",
        f"devices/{child}/actions",
        f"devices/{stranger}/actions",
        "data-ingest",
    ):
        granted[topic.replace(str(device_id), "own").replace(str(child), "child")] = (
            await device.subscribe(topic)
        ).value
    assert list(granted.values()) == [1, 1, 1, 0x80, 0x80], granted
    assert device.is_in
    await device.close()


async def test_a_message_to_another_topic_is_dropped_and_the_device_stays(
    acme: Tenant, gateway: Running, arriving: Reader, tmp_path: Path
) -> None:
    _, device = await enrolled(acme, tmp_path)
    await device.connect(gateway.tls)
    await device.send("v1/readings/somebody", {})
    await device.send("data-ingest", {"type": "attributes", "value": {}})
    (uplink,) = await read_uplinks(arriving, 1)
    assert uplink.channel == "data-ingest"
    assert device.is_in
    await device.close()


async def test_a_certificate_that_is_not_registered_stays_outside(gateway: Running, tmp_path: Path) -> None:
    key = make_key()
    device = OltDevice(tmp_path, self_signed(key), key_pem(key))
    await device.connect(gateway.tls)
    assert not device.is_in
    await device.close()
