"""Commands: from a program to a device and back."""

import msgspec

from bench.context import Context
from bench.devices import make_fleet
from bench.load.crew import Crew, Sum
from bench.load.plan import CommandPlan
from bench.platform import Platform, running_platform
from bench.processes import cpu_seconds, shares
from bench.result import Figure, Result, average, costs
from roadstead.app import administer

_DEVICES = 300
_RATE, _EASY_RATE = 300.0, 100.0
"""Commands a second: as the design asks for, and so many that nothing waits for a core."""


async def run_commands(context: Context) -> Result:
    """300 commands a second: from the program's POST until it knows that the device has carried the command out."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, context.scaled(_DEVICES))
        async with administer(platform.settings) as entry:
            await entry.tx.run("UPDATE device SET status = 'ACTIVE' WHERE tenant_id = %s", fleet.tenant)
        plan = CommandPlan(
            host="127.0.0.1",
            http_port=platform.ports["HTTP"],
            mqtt_port=platform.ports["MQTT"],
            devices=fleet.devices,
            key=fleet.key,
            rate=_EASY_RATE,
        )
        easy = await _load(context, platform, plan)
        full = await _load(context, platform, msgspec.structs.replace(plan, rate=_RATE))
    runs = full.runs
    failures = [run for run in [*easy.runs, easy.end, *full.runs, full.end] if run.failed]
    return Result(
        row="commands",
        figures=[
            Figure(name="to the device and back p50", unit="ms", runs=[run.latency_ms(0.5) for run in runs]),
            Figure(
                name="to the device and back p99", unit="ms", runs=[run.latency_ms(0.99) for run in runs], goal="<= 50"
            ),
            Figure(name="commands", unit="commands/s", runs=[run.rate for run in runs]),
            Figure(
                name=f"p50 at {_EASY_RATE:.0f} a second", unit="ms", runs=[run.latency_ms(0.5) for run in easy.runs]
            ),
            Figure(
                name=f"p99 at {_EASY_RATE:.0f} a second", unit="ms", runs=[run.latency_ms(0.99) for run in easy.runs]
            ),
        ],
        cpu=full.cpu,
        costs=costs(full.cpu, {}, sum(run.rate for run in runs) / len(runs)),
        cost_of="command",
        notes=[
            f"{_RATE:.0f} a second over {len(fleet.devices)} devices; each tenth is waited for with GET and wait",
            *([f"{sum(run.failed for run in failures)} failed: {failures[0].problem}"] if failures else []),
        ],
    )


class _Loaded(msgspec.Struct):
    """What became of the commands of one rate."""

    runs: list[Sum]
    end: Sum
    cpu: dict[str, float]


async def _load(context: Context, platform: Platform, plan: CommandPlan) -> _Loaded:
    async with Crew([plan]) as crew:
        roles = platform.roles | {"generator": crew.pids}
        await crew.begin()
        await crew.measure(context.warm_up_s)
        runs, cpu = [], []
        for _ in range(context.runs):
            before = cpu_seconds(roles)
            run = await crew.measure(context.seconds)
            cpu.append(shares(before, cpu_seconds(roles), run.seconds))
            runs.append(run)
        return _Loaded(runs=runs, end=await crew.stop(), cpu=average(cpu))
