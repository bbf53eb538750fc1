"""The gateway role: the MQTT ports, and what the rest of the platform tells their sessions."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack

import msgspec
import prometheus_client
import structlog

from roadstead.app.codecs import SPELLERS
from roadstead.app.doorkeeper import DatabaseDoorkeeper
from roadstead.app.losant_door import LosantDoor
from roadstead.app.metrics import PackMetrics
from roadstead.app.parts import Parts
from roadstead.app.running import run_until_stopped
from roadstead.app.tls import OwnCertificate, public_hosts
from roadstead.bus import FACTS, NEW, BacklogWatch, Bus, Follower, Packer, Subscription, ensure_streams, plan_streams
from roadstead.core.commands import CommandSource
from roadstead.core.configuration import ConfigurationSource
from roadstead.core.firmware import FirmwareSource
from roadstead.core.messages import (
    AnyFact,
    DeviceChanged,
    DeviceDeleted,
    DeviceStatusChanged,
    DownlinkQueued,
    KeyRevoked,
    OrganizationChanged,
    SessionsRevoked,
    Uplink,
    size_of_uplink,
)
from roadstead.db import Database
from roadstead.dialects.losant import Rates
from roadstead.gateways.mqtt.gateway import Gateway
from roadstead.gateways.mqtt.limits import Limits
from roadstead.gateways.mqtt.metrics import Metrics
from roadstead.gateways.tls import MQTT_ALPN
from roadstead.kernel import ids
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.workers.courier import Courier
from roadstead.workers.fact_packs import facts_in
from roadstead.workers.free_topics import BusFreeTopics

log = structlog.get_logger()

LEASE_S = 2.0
"""How often a gateway says that it lives. One that has not said so for a while has left its sessions behind."""

_ANSWERS_S = 0.002
"""How long answers of devices are collected: somebody waits for them."""
_ARRIVALS = "gateway.arrivals"
_MOST_ARRIVALS = 100_000


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """A device has a session in a gateway process: those in others are older, unless they are newer."""

    device: bytes
    gateway: str
    opened_at: int


class Colleagues:
    """The other gateway processes, over the bus: a device that comes to one leaves the others (`Peers`)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # Bounded: if the bus is away for long, what is forgotten are sessions whose devices have left anyway.
        self._waiting: deque[Arrival] = deque(maxlen=_MOST_ARRIVALS)
        self._news = asyncio.Event()

    def arrived(self, device: bytes, gateway: str, opened_at: int) -> None:
        """See `Peers.arrived`."""
        self._waiting.append(Arrival(device, gateway, opened_at))
        self._news.set()

    async def tell(self) -> None:
        """Send what there is to tell, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                arrivals = [self._waiting.popleft() for _ in range(min(len(self._waiting), 1_000))]
                try:
                    await self._bus.nudge(_ARRIVALS, msgspec.msgpack.encode(arrivals))
                except Unavailable:
                    self._waiting.extendleft(reversed(arrivals))
                    await self._bus.connected()

    async def hear(self, gateway: Gateway) -> Subscription:
        """From now on the gateway lets go of devices that have gone to another process."""

        async def oust(_: str, payload: bytes) -> None:
            for arrival in msgspec.msgpack.decode(payload, type=list[Arrival]):
                gateway.oust(arrival.device, arrival.gateway, arrival.opened_at)

        return await self._bus.on(_ARRIVALS, oust)


class FactReader:
    """Hears what the core says, and acts on the sessions here.

    Cuts those of devices that may no longer be connected, and wakes the courier for those that something waits for.
    """

    def __init__(self, bus: Bus, database: Database, gateway: Gateway, courier: Courier, losant: LosantDoor) -> None:
        self._losant = losant
        self._reader = Follower(bus, FACTS, start=NEW)
        self._database = database
        self._gateway = gateway
        self._courier = courier

    async def open(self) -> None:
        """Listen from now on: before the first device is let in, so that no fact falls between."""
        await self._reader.open()

    async def follow(self) -> None:
        """Until cancelled. Raises when facts were missed: only a fresh start knows then who may be connected."""
        try:
            async for pack in self._reader.packs():
                if pack.gap:
                    raise RuntimeError("facts were lost before this gateway has read them")
                for message, fact in facts_in(pack):
                    if fact is not None:
                        await self._apply(message.tenant, fact)
        finally:
            await self._reader.close()

    async def _apply(self, tenant: TenantId, fact: AnyFact) -> None:
        match fact:
            case SessionsRevoked(device_id, None, reason):
                self._gateway.kick(ids.to_bytes(device_id), reason)
            case SessionsRevoked(_, str() as fingerprint, reason):
                self._gateway.kick_fingerprint(bytes.fromhex(fingerprint), reason)
            case KeyRevoked(key_id):
                self._gateway.kick_fingerprint(key_id.bytes, "the key is not good any more, or has other rules")
            case DeviceDeleted(device_id):
                self._losant.forget(ids.to_bytes(device_id))
                self._gateway.kick(ids.to_bytes(device_id), "the device has been deleted")
            case DeviceStatusChanged(device_id, "INACTIVE"):
                self._losant.forget(ids.to_bytes(device_id))
                self._gateway.kick(ids.to_bytes(device_id), "the device is inactive")
            case OrganizationChanged():
                await self._check_organization(tenant)
            case DownlinkQueued(kind, device_ids):
                self._wake(tenant, kind, [ids.to_bytes(device_id) for device_id in device_ids])
            case DeviceChanged(device_id):
                await self._look_at(tenant, device_id)

    def _wake(self, tenant: TenantId, kind: str, devices: list[bytes]) -> None:
        away = []
        for device in devices:
            if self._gateway.find(device) is not None:
                self._courier.wake(device, kind)
                continue
            away.append(device)
            for carrier in self._gateway.find_carriers(device)[:1]:
                self._courier.wake_carried(device, carrier.key, kind)
        self._courier.wake_away(tenant, away, kind)

    async def _look_at(self, tenant: TenantId, device_id: DeviceId) -> None:
        """A device has changed: another one may speak for it now."""
        device = ids.to_bytes(device_id)
        self._losant.forget(device)
        await self._check_carriers(device_id)
        if self._gateway.find(device) is None:
            self._courier.wake_away(tenant, [device])

    async def _check_carriers(self, device_id: DeviceId) -> None:
        """Those that have subscribed to what is meant for a device, and may not speak for it any more, are cut off."""
        for carrier in self._gateway.find_carriers(ids.to_bytes(device_id)):
            try:
                speaker = DeviceId(ids.from_bytes(carrier.key))
                may_stay = await self._losant.ask(carrier.tenant, speaker, device_id)
            except Unavailable:
                may_stay = False  # it comes back and is judged then
            if not may_stay:
                self._gateway.kick(carrier.key, "it does not speak any more for a device that it has listened for")

    async def _check_organization(self, tenant: TenantId) -> None:
        try:
            async with self._database.tx() as tx:
                status = await tx.value("SELECT status FROM tenant WHERE tenant_id = %s", tenant)
        except Unavailable:
            status = "unknown"  # its devices come back and are judged one by one, when that is possible again
        if status != "ACTIVE":
            self._gateway.kick_tenant(tenant, "the organization may not work now")


class Lease:
    """Says that this gateway lives, so that others can tell its sessions from those of a dead one."""

    def __init__(self, database: Database, gateway: str) -> None:
        self._database = database
        self._gateway = gateway

    async def take(self) -> None:
        """Say so now; raises `Unavailable` when nobody can hear it."""
        sql = """
            INSERT INTO gateway_lease (gateway, heartbeat_at) VALUES (%s, now())
            ON CONFLICT (gateway) DO UPDATE SET heartbeat_at = excluded.heartbeat_at
        """
        async with self._database.tx() as tx:
            await tx.run(sql, self._gateway)

    async def keep(self) -> None:
        """Go on saying so, until cancelled."""
        while True:
            try:
                await self.take()
            except Unavailable as error:
                log.warning("the lease could not be renewed", reason=str(error))
            await asyncio.sleep(LEASE_S)

    async def end(self) -> None:
        """All sessions have ended in order."""
        try:
            async with self._database.tx() as tx:
                await tx.run("DELETE FROM gateway_lease WHERE gateway = %s", self._gateway)
        except Unavailable as error:
            log.warning("the lease could not be given back", reason=str(error))


async def run_gateway(
    parts: Parts,
    told: asyncio.Event,
    ready: Callable[[], None],
    *,
    registry: prometheus_client.CollectorRegistry = prometheus_client.REGISTRY,
) -> None:
    """Until told to stop: then what devices have sent reaches the log, and they are told to come back.

    `ready` is called once, when the ports are open. Metrics are counted in `registry`.
    """
    settings, host = parts.settings, parts.settings.mqtt.host
    async with AsyncExitStack() as exits:
        await ensure_streams(parts.bus, plan_streams(), replicas=settings.nats_replicas)
        packs = PackMetrics(registry)
        packer = Packer[Uplink](
            parts.bus,
            encode=msgspec.msgpack.Encoder().encode,
            size_of=size_of_uplink,
            interval_s=settings.mqtt.pack_ms / 1000,
            max_unacknowledged_bytes=settings.mqtt.max_unacknowledged_bytes,
            report=packs.report,
        )
        answers = Packer[Uplink](
            parts.bus,
            encode=msgspec.msgpack.Encoder().encode,
            size_of=size_of_uplink,
            subject="control",
            interval_s=_ANSWERS_S,
            max_unacknowledged_bytes=settings.mqtt.max_unacknowledged_bytes // 4,
            report=packs.report,
        )
        packs.watch(lambda: packer.unacknowledged_bytes + answers.unacknowledged_bytes)
        for way in (packer, answers):
            await way.start()
            exits.push_async_callback(way.close)

        courier = Courier(
            parts.system_database,
            [CommandSource(), ConfigurationSource(parts.ports), FirmwareSource(parts.ports)],
            SPELLERS,
        )
        metrics, colleagues = Metrics(registry), Colleagues(parts.bus)
        numbers = settings.losant
        rates = Rates(device_messages=numbers.device_messages, device_messages_s=numbers.device_messages_s)
        losant = LosantDoor(parts.system_database, parts.ports, rates)
        doorkeeper = DatabaseDoorkeeper(parts.system_database, parts.ports, losant)
        free_topics = BusFreeTopics(parts.bus)
        limits = Limits(
            packet_bytes=settings.mqtt.max_packet_bytes,
            waiting_bytes=settings.mqtt.max_unacknowledged_bytes,
            tenant_waiting_bytes=settings.mqtt.max_tenant_bytes,
            tenant_bytes_per_s=settings.limits.ingest_bytes_per_second,
        )
        gateway = Gateway(
            doorkeeper,
            packer,
            metrics,
            limits,
            answers=answers,
            peers=colleagues,
            on_hearing=courier.wake,
            on_carrying=courier.wake_carried,
            free_topics=free_topics,
        )

        # All that may end a session listens before the first one begins.
        facts = FactReader(parts.bus, parts.system_database, gateway, courier, losant)
        await facts.open()
        hearing = await colleagues.hear(gateway)
        exits.push_async_callback(hearing.close)
        certificate = OwnCertificate(parts.system_database, parts.ports, public_hosts(settings))
        tls = await certificate.open(MQTT_ALPN, on_handshake=metrics.count_handshake)
        lease = Lease(parts.system_database, gateway.name)
        await lease.take()
        exits.push_async_callback(lease.end)

        exits.push_async_callback(gateway.stop)
        await gateway.start(
            tcp=(host, settings.mqtt.port) if settings.mqtt.port else None,
            tls=(host, settings.mqtts.port, tls) if settings.mqtts.port else None,
            websocket=(host, settings.mqtt_websocket.port) if settings.mqtt_websocket.port else None,
        )
        log.info("gateway listens", gateway=gateway.name, ports=gateway.ports)
        ready()
        backlog = BacklogWatch(parts.bus, [packer], most_bytes=settings.limits.backlog_bytes)
        await run_until_stopped(
            told,
            backlog.run(),
            facts.follow(),
            courier.run(gateway),
            colleagues.tell(),
            free_topics.run(),
            lease.keep(),
            certificate.keep(tls),
        )
