"""Commands: from a program to a device and back."""

from bench.context import Context
from bench.devices import make_fleet
from bench.load.crew import Crew
from bench.load.plan import CommandPlan
from bench.platform import running_platform
from bench.processes import cpu_seconds, shares
from bench.result import Figure, Result, average
from roadstead.app import administer

_DEVICES = 300
_RATE = 300.0


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
            rate=_RATE,
        )
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
            end = await crew.stop()
    failed = sum(run.failed for run in [*runs, end])
    return Result(
        row="commands",
        figures=[
            Figure(name="to the device and back p50", unit="ms", runs=[run.latency_ms(0.5) for run in runs]),
            Figure(
                name="to the device and back p99", unit="ms", runs=[run.latency_ms(0.99) for run in runs], goal="<= 50"
            ),
            Figure(name="commands", unit="commands/s", runs=[run.rate for run in runs]),
        ],
        cpu=average(cpu),
        notes=[
            f"{_RATE:.0f} a second over {len(fleet.devices)} devices; each tenth is waited for with GET and wait",
            *([f"{failed} failed: {next(run.problem for run in [*runs, end] if run.problem)}"] if failed else []),
        ],
    )
