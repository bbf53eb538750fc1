"""Latency at a steady, small load: what a device and a listener wait for."""

import time

import msgspec

from bench.context import Context
from bench.devices import make_fleet
from bench.limits.process import running_limit
from bench.load.crew import Crew, Sum
from bench.load.messages import VALUES
from bench.load.plan import MqttPlan
from bench.platform import running_platform
from bench.processes import cpu_seconds, shares
from bench.result import Figure, Limit, Result, average, costs
from bench.rows.ingest import DEVICES, plans_for
from bench.rows.listeners import SUBSCRIBERS, listener_plan

_QUIET_RATE = 1_000.0
_LIVE_RATE = 5_000.0
_CROWD, _FOLLOWED, _CROWD_RATE = 1_000, 10, 4.0


async def run_puback(context: Context) -> Result:
    """How long a device waits for its PUBACK at 1,000 messages a second."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, DEVICES)
        rate = _QUIET_RATE / context.generators
        async with Crew(plans_for(context, fleet, platform.ports["MQTT"], pace="open", rate=rate)) as crew:
            roles = platform.roles | {"generator": crew.pids}
            await crew.begin()
            await crew.measure(context.warm_up_s)
            runs, cpu = [], []
            for _ in range(context.runs):
                before = cpu_seconds(roles)
                run = await crew.measure(context.seconds)
                cpu.append(shares(before, cpu_seconds(roles), run.seconds))
                runs.append(run)
            end = await crew.stop()
    bare = await _bare_latency(context, plans_for(context, fleet, 0, pace="open", rate=rate))
    return Result(
        row="puback",
        figures=[
            _percentile("PUBACK p50", runs, 0.5, "<= 15"),
            _percentile("PUBACK p99", runs, 0.99, "<= 40"),
            Figure(name="rate", unit="messages/s", runs=[run.rate for run in runs]),
        ],
        limits=[Limit(name="a bare front's own p50", figure="PUBACK p50", unit="ms", value=bare)],
        cpu=average(cpu),
        costs=costs(average(cpu), {}, sum(run.rate for run in runs) / len(runs)),
        notes=[f"{end.failed} messages failed: {end.problem}"] if end.failed else [],
    )


async def run_live(context: Context) -> Result:
    """From a device's message to WebSocket subscribers, 5,000 messages a second, every one heard by somebody."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, DEVICES)
        rate = _LIVE_RATE / context.generators
        plans = plans_for(context, fleet, platform.ports["MQTT"], pace="open", rate=rate)
        listeners = listener_plan(plans, platform.ports["HTTP"], fleet.key)
        async with Crew(plans) as crew, Crew([listeners]) as audience:
            roles = platform.roles | {"generator": crew.pids, "listeners": audience.pids}
            at = time.perf_counter() + 0.5
            await audience.begin(at)
            await crew.begin(at)
            await crew.measure(context.warm_up_s + 0.5)
            runs, cpu, rates = [], [], []
            for _ in range(context.runs):
                before = cpu_seconds(roles)
                await crew.mark()
                heard = await audience.measure(context.seconds)
                rates.append((await crew.mark()).rate)
                cpu.append(shares(before, cpu_seconds(roles), heard.seconds))
                runs.append(heard)
            await crew.stop()
            end = await audience.stop()
    return Result(
        row="live",
        figures=[
            _percentile("device to subscriber p50", runs, 0.5),
            _percentile("device to subscriber p99", runs, 0.99, "<= 300"),
            Figure(name="messages", unit="messages/s", runs=rates),
            Figure(name="events heard", unit="events/s", runs=[run.rate for run in runs]),
        ],
        cpu=average(cpu),
        costs=costs(average(cpu), {}, sum(rates) / len(rates)),
        notes=[
            f"{SUBSCRIBERS} subscribers, each with {DEVICES // SUBSCRIBERS} devices of its own; an event a reading",
            *([f"{end.failed} streams failed: {end.problem}"] if end.failed else []),
        ],
    )


async def run_crowd(context: Context) -> Result:
    """1,000 WebSocket subscribers that all follow the same ten devices: each event goes to every one of them."""
    count = context.scaled(_CROWD)
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, _FOLLOWED)
        plans = [
            msgspec.structs.replace(plan, rate=_CROWD_RATE)
            for plan in plans_for(context, fleet, platform.ports["MQTT"], pace="open", rate=1.0)[:1]
        ]
        followed = [device.id for device in plans[0].devices]
        whole = listener_plan(plans, platform.ports["HTTP"], fleet.key)
        size = -(-count // context.generators)
        listeners = [
            msgspec.structs.replace(whole, subscriptions=[followed] * min(size, count - start))
            for start in range(0, count, size)
        ]
        async with Crew(listeners) as audience, Crew(plans) as crew:
            roles = platform.roles | {"generator": crew.pids, "listeners": audience.pids}
            at = time.perf_counter() + 0.5
            await audience.begin(at)
            await crew.begin(at)
            await crew.measure(context.warm_up_s + 0.5)
            runs, cpu = [], []
            for _ in range(context.runs):
                before = cpu_seconds(roles)
                heard = await audience.measure(context.seconds)
                cpu.append(shares(before, cpu_seconds(roles), heard.seconds))
                runs.append(heard)
            await crew.stop()
            end = await audience.stop()
    return Result(
        row="crowd",
        figures=[
            _percentile("device to subscriber p50", runs, 0.5),
            _percentile("device to subscriber p99", runs, 0.99),
            Figure(name="events heard", unit="events/s", runs=[run.rate for run in runs]),
        ],
        cpu=average(cpu),
        costs=costs(average(cpu), {}, sum(run.rate for run in runs) / len(runs)),
        cost_of="event heard",
        notes=[
            f"{count:,} subscribers; {_CROWD_RATE:.0f} messages of {VALUES} readings a second",
            *([f"{end.failed} streams failed: {end.problem}"] if end.failed else []),
        ],
    )


async def _bare_latency(context: Context, plans: list[MqttPlan]) -> float:
    """p50 in ms when a bare front answers at once."""
    async with (
        running_limit("front") as front,
        Crew([msgspec.structs.replace(plan, port=front.port) for plan in plans]) as crew,
    ):
        await crew.begin()
        await crew.measure(context.warm_up_s)
        bare = await crew.measure(context.seconds / 2)
        await crew.stop()
    return bare.latency_ms(0.5)


def _percentile(name: str, runs: list[Sum], share: float, goal: str = "") -> Figure:
    return Figure(name=name, unit="ms", runs=[run.latency_ms(share) for run in runs], goal=goal)
