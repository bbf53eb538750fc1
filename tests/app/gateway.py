"""A gateway for tests, and devices that connect to it."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from prometheus_client import CollectorRegistry

from roadstead.app.gateway import run_gateway
from roadstead.app.parts import Parts
from roadstead.bus import Reader, connect
from roadstead.core.messages import Uplink
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.ids import DeviceId
from roadstead.settings import (
    HttpSettings,
    LosantSettings,
    MqttSettings,
    MqttsSettings,
    MqttWebsocketSettings,
    Settings,
)
from roadstead.supervisor.servers import Servers
from tests.conftest import Tenant
from tests.core.provisioning.devices import exchange, key_pem, make_key, register, request_for


class Running(msgspec.Struct):
    """One gateway process."""

    name: str
    plain: int
    tls: int
    websocket: int
    told: asyncio.Event
    task: asyncio.Task[None]


@asynccontextmanager
async def running_gateway(
    servers: Servers,
    tenant_database: Database,
    system_database: Database,
    ports: Ports,
    *,
    losant: LosantSettings | None = None,
) -> AsyncIterator[Running]:
    """A gateway with a bus connection of its own."""
    plain, tls, websocket = free_ports(3)
    settings = Settings(
        http=HttpSettings(),
        mqtt=MqttSettings(host="127.0.0.1", port=plain),
        mqtts=MqttsSettings(port=tls),
        mqtt_websocket=MqttWebsocketSettings(port=websocket),
        losant=losant or LosantSettings(),
    )
    own_bus = await connect(servers.nats_url, name="gateway")
    parts = Parts(settings, tenant_database, system_database, own_bus, ports)
    told, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run_gateway(parts, told, ready.set, registry=CollectorRegistry()))
    before = await leases(system_database)
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    (name,) = await leases(system_database) - before
    yield Running(name, plain, tls, websocket, told, task)
    told.set()
    await task
    await own_bus.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


async def until(condition: Callable[[], Any], *, timeout_s: float = 5.0) -> None:
    """Wait for something that another thread brings about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


class Device:
    """A paho client that connects once and remembers what happened."""

    def __init__(self, client_id: str, *, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> None:
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        self.answer: Any = None
        self.end: Any = None
        self.ended_at = 0.0
        self.granted: list[Any] = []
        self.published: dict[int, Any] = {}
        self._connected, self._ended = threading.Event(), threading.Event()
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_subscribe

    def use_certificate(self, directory: Path, certificate: str, key: bytes, authorities: str | None) -> "Device":
        """TLS with a client certificate; the server must show one of `authorities` (None: any)."""
        chain = directory / f"{id(self)}.pem"
        chain.write_bytes(certificate.encode() + key)
        context = ssl.create_default_context(cadata=authorities)
        if authorities is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(chain)
        self.client.tls_set_context(context)
        return self

    def use_key(self, device_id: object, key: str) -> "Device":
        """User name and password."""
        self.client.username_pw_set(str(device_id), key)
        return self

    async def connect(self, port: int) -> "Device":
        """Returns when the gateway has answered or hung up."""
        await asyncio.to_thread(self.client.connect, "localhost", port)
        self.client.loop_start()
        await until(lambda: self._connected.is_set() or self._ended.is_set())
        return self

    @property
    def is_in(self) -> bool:
        """Whether it was let in and is still there."""
        return self.answer is not None and not self.answer.is_failure and not self._ended.is_set()

    async def publish(self, topic: str, payload: bytes) -> Any:
        """QoS 1; the reason code of the acknowledgement."""
        info = self.client.publish(topic, payload, qos=1)
        await until(lambda: info.mid in self.published or self._ended.is_set())
        return self.published.get(info.mid)

    async def subscribe(self, topic: str) -> Any:
        """The reason code of the acknowledgement."""
        self.granted.clear()
        self.client.subscribe(topic, qos=1)
        await until(lambda: self.granted or self._ended.is_set())
        return self.granted[0]

    async def cut_off(self, *, within_s: float) -> float:
        """When it was cut off."""
        await until(self._ended.is_set, timeout_s=within_s)
        return self.ended_at

    async def close(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.answer = reason
        self._connected.set()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.end, self.ended_at = reason, time.monotonic()
        self._ended.set()

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.published[mid] = reason

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        self.granted.extend(reasons)


async def enrolled(tenant: Tenant, name: str, directory: Path) -> tuple[DeviceId, Device]:
    """A device with its certificate, not connected yet."""
    token = await register(tenant, name)
    key = make_key()
    provisioned = await exchange(tenant, token.text, request_for(key))
    device = Device(str(token.device_id))
    device.use_certificate(directory, provisioned.certificate, key_pem(key), provisioned.authorities)
    return token.device_id, device


async def leases(database: Database) -> set[str]:
    """Gateways that say they live."""
    async with database.tx() as tx:
        return {name for (name,) in await tx.rows("SELECT gateway FROM gateway_lease")}


def topic_of(tenant: Tenant, device_id: DeviceId, kind: str = "readings") -> str:
    """Contract section 6."""
    place = f"{tenant.organization_id}/{device_id}"
    return f"v1/readings/{place}" if kind == "readings" else f"v1/gateways/{place}/{kind}"


async def read_uplinks(reader: Reader, count: int) -> list[Uplink]:
    """The next messages of devices on the log, without the door's own notices."""
    found: list[Uplink] = []
    while len(found) < count:
        pack = await reader.next(5)
        assert pack is not None, "nothing reached the log"
        found += [
            uplink for uplink in msgspec.msgpack.decode(pack.payload, type=list[Uplink]) if uplink.dialect != "session"
        ]
    return found
