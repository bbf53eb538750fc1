"""Alert rules: what they cost for each message, and how far behind they are."""

import asyncio
import random
import time
from collections.abc import Sequence
from statistics import median
from typing import cast
from uuid import UUID

from prometheus_client import CollectorRegistry
from psycopg.types.json import Jsonb

from bench.context import Context
from bench.result import Figure, Limit, Result
from roadstead.bus import ACCEPTED, Bus, Publisher, connect, ensure_streams, last_sequence, plan_streams
from roadstead.core.messages import Accepted, Reading, decode_accepted, encode_accepted
from roadstead.core.ports import Ports
from roadstead.db import Database, Duty, migrate
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId, new_id
from roadstead.supervisor.servers import EmbeddedServers
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import RuleMetrics
from roadstead.workers.rules import RuleWorker

RULES = 10_000
RATE = 20_000.0
VALUES = 5
_PACK = 200
_FIRING = 0.0005
"""Of the values, so many are over the threshold."""


async def run_rules(context: Context) -> Result:
    """10,000 rules, one for each device, at 20,000 messages a second of five values; one in 2,000 values fires."""
    devices = context.scaled(RULES)
    async with EmbeddedServers(context.directory / "rules") as servers:
        migrate(servers.database_url)
        database = await Database(servers.database_url, Duty.SYSTEM, size=4).open()
        bus = await connect(servers.nats_url, name="bench")
        await ensure_streams(bus, plan_streams())
        try:
            tenant, fleet = await _make_fleet(database, devices)
            return await _measure(context, database, bus, tenant, fleet)
        finally:
            await bus.close()
            await database.close()


async def _measure(context: Context, database: Database, bus: Bus, tenant: TenantId, fleet: Sequence[UUID]) -> Result:
    publisher = Publisher(bus)
    await publisher.start()
    source = _Source(publisher, tenant, fleet, context.scaled(int(RATE)))
    sending_s = await _cost_of_sending(source)
    metrics = RuleMetrics(CollectorRegistry())
    worker = asyncio.create_task(RuleWorker(bus, database, cast(Ports, None), AcceptedPacks(), metrics=metrics).run())
    try:
        await _begun(database)
        await source.run(max(context.warm_up_s, 2 * len(fleet) / source.rate))
        await _caught_up(database, bus)
        costs, lags, reading = [], [], []
        for _ in range(context.runs):
            before = time.process_time()
            ages = asyncio.create_task(_ages(database, bus, context.seconds))
            sent = await source.run(context.seconds)
            lags.append(_share(await ages, 0.99))
            await _caught_up(database, bus)
            costs.append(((time.process_time() - before) / sent - sending_s) * 1e6)
            reading.append(source.cost_of_reading() * 1e6)
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await publisher.close()
    figure = "processor time for each message"
    return Result(
        row="rules",
        figures=[
            Figure(name=figure, unit="µs", runs=costs, goal=f"<= {1e6 / RATE:.0f}"),
            Figure(name="behind the log, p99", unit="s", runs=lags, goal="<= 1"),
        ],
        limits=[Limit(name="only reading it off the log's pack", figure=figure, unit="µs", value=median(reading))],
        notes=[
            f"{len(fleet)} rules on as many devices, {source.rate} messages a second of {VALUES} values put on the log",
            "of the process that evaluates, with its transactions; making and sending the messages is subtracted",
        ],
    )


async def _cost_of_sending(source: "_Source") -> float:
    """Processor seconds for each message, when nobody evaluates."""
    before = time.process_time()
    sent = await source.run(2.0)
    return (time.process_time() - before) / sent


class _Source:
    """Puts accepted messages on the log, at a rate."""

    def __init__(self, publisher: Publisher, tenant: TenantId, fleet: Sequence[UUID], rate: int) -> None:
        self._publisher = publisher
        self._tenant = tenant
        self._devices = [ids.to_bytes(device) for device in fleet]
        self._next = 0
        self._last = b""
        self.rate = rate

    async def run(self, seconds: float) -> int:
        """For so long; says how many messages."""
        began, sent = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            while sent < self.rate * passed:
                self._last = self._pack()
                await self._publisher.put("accepted.0", self._last, message_id=str(new_id()))
                sent += _PACK
            await asyncio.sleep(0.002)
        return sent

    def cost_of_reading(self) -> float:
        """Processor seconds for each message, when its pack is decoded and nothing else."""
        at, rounds = time.process_time(), 200
        for _ in range(rounds):
            for message in decode_accepted(self._last):
                _ = message.readings
        return (time.process_time() - at) / rounds / _PACK

    def _pack(self) -> bytes:
        now, messages = int(time.time() * 1_000), []
        for _ in range(_PACK):
            device = self._devices[self._next % len(self._devices)]
            self._next += 1
            values = [90.0 if random.random() < _FIRING else 20.0 for _ in range(VALUES)]
            readings = [Reading(f"v{number}", now, value) for number, value in enumerate(values)]
            messages.append(Accepted.of(self._tenant, device, "native", "readings", now, readings))
        return encode_accepted(messages)


async def _make_fleet(database: Database, count: int) -> tuple[TenantId, list[UUID]]:
    """An organization whose devices have five sensors each, and a rule."""
    devices = [new_id() for _ in range(count)]
    condition = Jsonb({"type": "VALUE", "operator": "GT", "value": 80, "hysteresis": 5})
    async with database.tx() as tx:
        tenant = await tx.value(
            """
            INSERT INTO tenant (public_id, name, slug, created_at, updated_at)
            VALUES (%s, 'Bench', 'bench', now(), now()) RETURNING tenant_id
            """,
            new_id(),
        )
        space = new_id()
        sql = "INSERT INTO space (tenant_id, id, name, is_default, created_at) VALUES (%s, %s, 'All', true, now())"
        await tx.run(sql, tenant, space)
        await tx.run(
            """
            INSERT INTO device (tenant_id, id, space_id, ordinal, name, status, created_at, updated_at)
            SELECT %s, id, %s, place, 'device ' || place, 'ACTIVE', now(), now()
            FROM unnest(%s::uuid[]) WITH ORDINALITY AS made (id, place)
            """,
            tenant, space, devices,
        )  # fmt: skip
        await tx.run(
            """
            INSERT INTO sensor (tenant_id, id, device_id, key, path, name, value_type, created_at, updated_at)
            SELECT %s, made.id, made.device_id, made.path, made.path, made.path, 'DOUBLE', now(), now()
            FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS made (id, device_id, path)
            """,
            tenant,
            [new_id() for _ in range(count * VALUES)],
            [device for device in devices for _ in range(VALUES)],
            [f"v{number}" for _ in devices for number in range(VALUES)],
        )
        await tx.run(
            """
            INSERT INTO alert_rule (tenant_id, id, name, enabled, severity, scope, condition, cooldown_s, auto_resolve,
                                    channel_ids, tags, created_at, updated_at)
            SELECT %s, made.id, 'rule ' || made.device_id, true, 'WARNING',
                   jsonb_build_object('deviceIds', ARRAY[made.device_id], 'field', 'v0'), %s, 60, true, '{}', '{}',
                   now(), now()
            FROM unnest(%s::uuid[], %s::uuid[]) AS made (id, device_id)
            """,
            tenant, condition, [new_id() for _ in devices], devices,
        )  # fmt: skip
    return TenantId(tenant), devices


async def _ages(database: Database, bus: Bus, seconds: float) -> list[float]:
    """How long after a message was on the log its place was written down."""
    until, ages = time.perf_counter() + seconds, []
    while time.perf_counter() < until:
        at = time.perf_counter()
        wanted = await last_sequence(bus, ACCEPTED)
        while await _position(database) < wanted:
            await asyncio.sleep(0.01)
        ages.append(time.perf_counter() - at)
    return ages


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def _position(database: Database) -> int:
    async with database.tx() as tx:
        return int(await tx.value("SELECT position FROM projection WHERE name = 'rules'") or 0)


async def _begun(database: Database) -> None:
    while True:
        async with database.tx() as tx:
            if await tx.value("SELECT EXISTS (SELECT FROM projection WHERE name = 'rules')"):
                return
        await asyncio.sleep(0.05)


async def _caught_up(database: Database, bus: Bus) -> None:
    wanted = await last_sequence(bus, ACCEPTED)
    while await _position(database) < wanted:
        await asyncio.sleep(0.05)
