"""Overload: far more than the platform can take, from devices that wait for their PUBACKs and others."""

import asyncio
import time

import msgspec

from bench.context import Context
from bench.devices import found_tenant, make_fleet
from bench.load.crew import Crew, Sum
from bench.load.plan import MqttPlan
from bench.platform import Platform, running_platform
from bench.processes import memory_mb
from bench.result import Figure, Result
from bench.rows.ingest import verdict
from bench.store import await_empty_log, check

_POLITE, _RUDE = 1_000, 200
_QUIET, _QUIET_RATE = 20, 200.0
_WINDOW = 200
_SAMPLE_S = 0.5
_CEILING_MB = {"gateway": 400, "store": 1_600, "worker": 500, "nats": 600, "api": 300, "postgres": 600}


async def run_overload(context: Context) -> Result:
    """Far too much, with QoS 1 and as QoS 0 floods: memory stays bounded, what is acknowledged is there."""
    length_s = context.seconds * context.runs
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, _POLITE + _RUDE)
        polite, rude = fleet.devices[:_POLITE], fleet.devices[_POLITE:]
        plan = MqttPlan(
            host="127.0.0.1", port=platform.ports["MQTT"], devices=polite, key=fleet.key, window=_WINDOW,
            base_ms=int(time.time()) * 1000,
        )  # fmt: skip
        flood = msgspec.structs.replace(plan, devices=rude, pace="flood", qos=0)
        async with Crew([plan]) as crew, Crew([flood]) as mob:
            await crew.begin()
            await mob.begin()
            peaks = await _watch(platform, length_s)
            load, flooded = await crew.mark(), await mob.stop()
            end = await crew.stop()
        drained_s = await await_empty_log(platform)
        store = platform.open_store()
        found = await check(store, fleet.tenant, polite, end.acknowledged, plan.base_ms)
        await store.close()
    return Result(
        row="overload",
        figures=[
            Figure(name="acknowledged and not there", unit="points", runs=[found.expected - found.found], goal="<= 0"),
            *(
                Figure(name=f"peak memory, {role}", unit="MB", runs=[mb], goal=f"<= {_CEILING_MB[role]}")
                for role, mb in peaks.items()
                if role in _CEILING_MB
            ),
            Figure(name="acknowledged QoS 1", unit="messages/s", runs=[load.rate]),
            Figure(name="PUBACK p99", unit="ms", runs=[load.latency_ms(0.99)]),
            Figure(name="taken of the QoS 0 flood", unit="messages/s", runs=[flooded.sent / flooded.seconds]),
            Figure(name="recovered after", unit="s", runs=[drained_s]),
        ],
        notes=[*verdict(found, end), *_failures(load), f"{length_s:.0f} s; the design asks for 10 minutes"],
    )


async def run_fairness(context: Context) -> Result:
    """How long devices of one organization wait for their PUBACKs while another one sends as much as it can."""
    async with running_platform(context.directory) as platform:
        flooding = await make_fleet(platform, _POLITE + _RUDE)
        quiet = await make_fleet(platform, _QUIET, await found_tenant(platform, "Quiet"))
        plan = MqttPlan(
            host="127.0.0.1", port=platform.ports["MQTT"], devices=quiet.devices, key=quiet.key, pace="open",
            rate=_QUIET_RATE, base_ms=int(time.time()) * 1000,
        )  # fmt: skip
        eager = msgspec.structs.replace(
            plan, devices=flooding.devices[:_POLITE], key=flooding.key, pace="closed", window=_WINDOW
        )
        flood = msgspec.structs.replace(eager, devices=flooding.devices[_POLITE:], pace="flood", qos=0)
        async with Crew([plan]) as crew, Crew([eager]) as others, Crew([flood]) as mob:
            await crew.begin()
            await crew.measure(context.warm_up_s)
            alone = await crew.measure(context.seconds)
            await others.begin()
            await mob.begin()
            await crew.measure(context.warm_up_s)
            await others.mark()
            runs = [await crew.measure(context.seconds) for _ in range(context.runs)]
            beside = await others.mark()
            await mob.stop()
            await others.stop()
            end = await crew.stop()
        await await_empty_log(platform)
    return Result(
        row="fairness",
        figures=[
            Figure(name="PUBACK p50 beside a flood", unit="ms", runs=[run.latency_ms(0.5) for run in runs]),
            Figure(
                name="PUBACK p99 beside a flood", unit="ms", runs=[run.latency_ms(0.99) for run in runs], goal="<= 250"
            ),
            Figure(name="acknowledged of what is due", unit="%", runs=[100 * run.rate / _QUIET_RATE for run in runs]),
            Figure(name="PUBACK p99 without it", unit="ms", runs=[alone.latency_ms(0.99)]),
            Figure(name="acknowledged QoS 1 of the flood", unit="messages/s", runs=[beside.rate]),
            Figure(name="its PUBACK p99", unit="ms", runs=[beside.latency_ms(0.99)]),
        ],
        notes=_failures(end),
    )


async def _watch(platform: Platform, seconds: float) -> dict[str, float]:
    """The most memory that each role had."""
    roles, peaks = platform.roles, dict[str, float]()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for role, mb in memory_mb(roles).items():
            peaks[role] = max(peaks.get(role, 0.0), mb)
        await asyncio.sleep(_SAMPLE_S)
    return peaks


def _failures(load: Sum) -> list[str]:
    return [f"{load.failed} failed under load: {load.problem}"] if load.failed else []
