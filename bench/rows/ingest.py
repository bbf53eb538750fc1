"""Ingest: a thousand devices report over MQTT with QoS 1, as fast as they are acknowledged."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Literal

import httpx
import msgspec

from bench.context import Context
from bench.devices import Fleet, make_fleet
from bench.limits.points import insert_rate
from bench.limits.process import running_limit
from bench.load.crew import Crew, Sum
from bench.load.messages import FIELDS, VALUES
from bench.load.plan import MqttPlan
from bench.platform import Platform, running_platform
from bench.processes import cpu_seconds, shares
from bench.result import Figure, Limit, Result, average, costs
from bench.rows.listeners import SUBSCRIBERS, listener_plan
from bench.store import Check, await_empty_log, check, sizes
from roadstead.adapters.clickhouse import HttpTransport

DEVICES = 1_000
_IN_FLIGHT = 10
_BACKLOG_BYTES = 32 << 20
"""A second or so of messages: then the doors follow the store, and what is acknowledged is what is stored."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One measured stretch."""

    load: Sum
    stored: float
    """Points a second that reached the store meanwhile."""
    heard: float
    """Events a second that live subscribers got."""
    cpu: dict[str, float]


async def run_ingest(context: Context) -> Result:
    """Acknowledged and stored messages a second of 1,000 devices with five readings a message; PUBACK latency."""
    return await _measure_ingest(context, "ingest", "items", message_goal=100_000)


async def run_ingest_structured(context: Context) -> Result:
    """The same values as one object, checked against the profile of its component."""
    return await _measure_ingest(context, "ingest-structured", "object", message_goal=100_000)


async def run_ingest_full(context: Context) -> Result:
    """Ingest with an alert rule for each device, while 20 programs listen to the live stream."""
    return await _measure_ingest(context, "ingest-full", "items", message_goal=40_000, subscribers=SUBSCRIBERS)


async def _measure_ingest(
    context: Context, row: str, shape: Literal["items", "object"], *, message_goal: int, subscribers: int = 0
) -> Result:
    settings = {"MQTT_PROCESSES": context.gateways, "LIMITS_BACKLOG_BYTES": _BACKLOG_BYTES}
    async with running_platform(context.directory, **settings) as platform:
        fleet = await make_fleet(platform, DEVICES)
        if subscribers:
            await _make_rules(platform, fleet)
        store = platform.open_store()
        plans = plans_for(context, fleet, platform.ports["MQTT"], shape=shape)
        async with _audience(platform, plans, subscribers) as audience:
            runs, outcome = await _load_and_measure(context, platform, plans, store, audience)
        drained_s = await await_empty_log(platform)
        found = await check(store, fleet.tenant, fleet.devices, outcome.acknowledged, plans[0].base_ms)
        limit_points = await insert_rate(store, fleet.devices, plans[0].base_ms, seconds=context.seconds / 2)
        await store.close()
    limit_front = await _front_rate(context, plans_for(context, fleet, 0, shape=shape))
    figures = [
        Figure(
            name="acknowledged", unit="messages/s", runs=[run.load.rate for run in runs], goal=f">= {message_goal}"
        ),
        Figure(
            name="stored meanwhile", unit="points/s", runs=[run.stored for run in runs],
            goal=f">= {message_goal * VALUES}",
        ),
        Figure(name="PUBACK p50", unit="ms", runs=[run.load.latency_ms(0.5) for run in runs]),
        Figure(name="PUBACK p99", unit="ms", runs=[run.load.latency_ms(0.99) for run in runs], goal="<= 250"),
        Figure(name="backlog at the end", unit="s", runs=[drained_s]),
        Figure(name="acknowledged and not there", unit="points", runs=[found.expected - found.found], goal="<= 0"),
    ]  # fmt: skip
    if subscribers:
        figures.append(Figure(name="events heard", unit="events/s", runs=[run.heard for run in runs]))
    return Result(
        row=row,
        figures=figures,
        limits=[
            Limit(name="answered by a bare front", figure="acknowledged", unit="messages/s", value=limit_front),
            Limit(
                name="inserted straight into the store", figure="stored meanwhile", unit="points/s", value=limit_points
            ),
        ],
        cpu=average([run.cpu for run in runs]),
        costs=_costs(runs),
        notes=[
            *verdict(found, outcome),
            *(
                [f"{subscribers} subscribers, one device each; a rule for each device, about one of its values"]
                if subscribers
                else []
            ),
        ],
    )


def plans_for(context: Context, fleet: Fleet, port: int, **changes: object) -> list[MqttPlan]:
    """A plan for each generator process."""
    base_ms = int(time.time()) * 1000
    common = {"host": "127.0.0.1", "port": port, "key": fleet.key, "base_ms": base_ms, "window": _IN_FLIGHT} | changes
    return [MqttPlan(devices=devices, **common) for devices in fleet.split(context.generators)]  # type: ignore[arg-type]


async def _make_rules(platform: Platform, fleet: Fleet) -> None:
    """One for each device that looks at every value of a sensor, and never fires."""
    base = f"http://127.0.0.1:{platform.ports['HTTP']}/api/v1"
    async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {fleet.key}"}) as program:
        for device in fleet.devices:
            rule = {
                "name": f"rule of {device.id}",
                "severity": "WARNING",
                "scope": {"deviceIds": [device.id], "field": FIELDS[0]},
                "condition": {"type": "VALUE", "operator": "GT", "value": 900},
            }
            (await program.post("/alert-rules", json=rule)).raise_for_status()


@contextlib.asynccontextmanager
async def _audience(platform: Platform, plans: list[MqttPlan], subscribers: int) -> AsyncIterator[Crew | None]:
    """Programs that follow one device each."""
    if not subscribers:
        yield None
        return
    plan = listener_plan(plans, platform.ports["HTTP"], plans[0].key)
    first_devices = [devices[:1] for devices in plan.subscriptions]
    async with Crew([msgspec.structs.replace(plan, subscriptions=first_devices)]) as audience:
        await audience.begin()
        yield audience
        await audience.stop()


async def _load_and_measure(
    context: Context, platform: Platform, plans: list[MqttPlan], store: HttpTransport, audience: Crew | None
) -> tuple[list[Run], Sum]:
    """Warm-up, the measured runs, and the end: what was acknowledged of each device."""
    async with Crew(plans) as crew:
        roles = platform.roles | {"generator": crew.pids} | ({"listeners": audience.pids} if audience else {})
        await crew.begin()
        await crew.measure(context.warm_up_s)
        runs = []
        for _ in range(context.runs):
            if audience:
                await audience.mark()
            before, cpu_before = await sizes(store), cpu_seconds(roles)
            load = await crew.measure(context.seconds)
            after, cpu_after = await sizes(store), cpu_seconds(roles)
            runs.append(
                Run(
                    load=load,
                    stored=(after.points - before.points) / load.seconds,
                    heard=(await audience.mark()).rate if audience else 0.0,
                    cpu=shares(cpu_before, cpu_after, load.seconds),
                )
            )
        return runs, await crew.stop()


async def _front_rate(context: Context, plans: list[MqttPlan]) -> float:
    """Messages a second when a bare front answers the same packets."""
    async with (
        running_limit("front") as front,
        Crew([msgspec.structs.replace(plan, port=front.port) for plan in plans]) as crew,
    ):
        await crew.begin()
        await crew.measure(context.warm_up_s)
        rate = (await crew.measure(context.seconds)).rate
        await crew.stop()
    return rate


def verdict(found: Check, outcome: Sum) -> list[str]:
    """What became of what was acknowledged, in words."""
    notes = [
        f"{sum(outcome.acknowledged):,} messages acknowledged, {found.found:,} of their {found.expected:,} points there"
    ]
    if found.beyond:
        notes.append(f"{found.beyond:,} points of messages that were not acknowledged")
    if outcome.failed:
        notes.append(f"{outcome.failed:,} messages failed: {outcome.problem}")
    return notes


def _costs(runs: list[Run]) -> dict[str, float]:
    """Those who work behind the log are measured by what was stored meanwhile, the others by what was acknowledged."""
    acknowledged = sum(run.load.rate for run in runs) / len(runs)
    stored = sum(run.stored for run in runs) / len(runs) / VALUES
    behind = {"store": stored, "worker": stored, "postgres": stored}
    return costs(average([run.cpu for run in runs]), behind, acknowledged)
