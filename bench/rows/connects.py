"""Connections: how fast devices come in with their certificates, and what it costs to keep them."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.context import Context
from bench.devices import Certified, Fleet, certify, make_fleet, sign_server
from bench.limits.process import running_limit
from bench.load.crew import Crew, Sum
from bench.load.plan import ConnectPlan, MqttPlan
from bench.platform import Platform, running_platform
from bench.processes import cpu_seconds, memory_mb, shares
from bench.result import Figure, Limit, Result, average, costs

_VISITORS = 1_000
_IDLE = 10_000
_STORM = 5_000
_HOST = "localhost"
_SETTLE_S = 2.0


async def run_connects(context: Context) -> Result:
    """mTLS connections a second: handshake, certificate, CONNECT, CONNACK, and away."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, context.scaled(_VISITORS))
        certified = await certify(platform, fleet)
        runs: list[Sum] = []
        cpu: list[dict[str, float]] = []
        async with Crew(_visitors(context, certified, platform.ports["MQTTS"], certified.authority)) as crew:
            roles = platform.roles | {"generator": crew.pids}
            await crew.begin()
            await crew.measure(context.warm_up_s)
            for _ in range(context.runs):
                before = cpu_seconds(roles)
                runs.append(await crew.measure(context.seconds))
                cpu.append(shares(before, cpu_seconds(roles), runs[-1].seconds))
            end = await crew.stop()
    bare = await _bare_rate(context, certified)
    failed = sum(run.failed for run in runs)
    return Result(
        row="connects",
        figures=[
            Figure(name="mTLS connects", unit="connects/s", runs=[run.rate for run in runs], goal=">= 1000"),
            Figure(name="connect to CONNACK p50", unit="ms", runs=[run.latency_ms(0.5) for run in runs]),
            Figure(name="connect to CONNACK p99", unit="ms", runs=[run.latency_ms(0.99) for run in runs]),
        ],
        limits=[Limit(name="a bare TLS server", figure="mTLS connects", unit="connects/s", value=bare)],
        cpu=average(cpu),
        costs=costs(average(cpu), {}, sum(run.rate for run in runs) / len(runs)),
        cost_of="connection",
        notes=[f"{failed} failed: {next(run.problem for run in [*runs, end] if run.problem)}"] if failed else [],
    )


async def run_idle_connections(context: Context) -> Result:
    """Memory of the gateway for 10,000 connected devices that say nothing, plain and with mTLS."""
    count = context.scaled(_IDLE)
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, count)
        certified = await certify(platform, fleet)
        plain = await _idle_mb(context, platform, _idlers(context, fleet, platform.ports["MQTT"], ""))
    async with running_platform(context.directory) as platform:  # a fresh one: memory once taken is not given back
        fleet = await make_fleet(platform, count)
        certified = await certify(platform, fleet)
        plans = _idlers(context, certified.fleet, platform.ports["MQTTS"], certified.authority)
        secure = await _idle_mb(context, platform, plans)
    return Result(
        row="idle-connections",
        figures=[
            Figure(name="plain, for 10,000", unit="MB", runs=[plain * _IDLE / count], goal="<= 100"),
            Figure(name="mTLS, for 10,000", unit="MB", runs=[secure * _IDLE / count], goal="<= 450"),
        ],
        notes=[f"measured with {count:,} connections: what the gateway has more than before the first"],
    )


async def run_storm(context: Context) -> Result:
    """5,000 devices with certificates that all come at the same moment: until the last of them is in."""
    count = context.scaled(_STORM)
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, count)
        certified = await certify(platform, fleet)
        plans = [
            msgspec.structs.replace(plan, at_once=len(plan.devices))
            for plan in _idlers(context, certified.fleet, platform.ports["MQTTS"], certified.authority)
        ]
        runs: list[Sum] = []
        cpu: list[dict[str, float]] = []
        for _ in range(context.runs):
            before = cpu_seconds(platform.roles)
            async with Crew(plans) as crew:
                runs.append(crew.opened)
                cpu.append(shares(before, cpu_seconds(platform.roles), crew.opened.seconds))
            await asyncio.sleep(_SETTLE_S)
    return Result(
        row="storm",
        figures=[
            Figure(name="all are in after", unit="s", runs=[run.seconds for run in runs]),
            Figure(name="half of them within", unit="s", runs=[run.latency_ms(0.5) / 1000 for run in runs]),
            Figure(name="connects", unit="connects/s", runs=[run.rate for run in runs]),
        ],
        cpu=average(cpu),
        costs=costs(average(cpu), {}, sum(run.rate for run in runs) / len(runs)),
        cost_of="connection",
        notes=[f"{count:,} devices; one that is refused or not let in in time fails the row"],
    )


def _visitors(context: Context, certified: Certified, port: int, authority: str) -> list[ConnectPlan]:
    return [
        ConnectPlan(host=_HOST, port=port, devices=devices, authority=authority)
        for devices in certified.fleet.split(context.generators)
    ]


def _idlers(context: Context, fleet: Fleet, port: int, authority: str) -> list[MqttPlan]:
    return [
        MqttPlan(
            host=_HOST, port=port, devices=devices, authority=authority, key="" if authority else fleet.key, pace="idle"
        )
        for devices in fleet.split(context.generators)
    ]


async def _idle_mb(context: Context, platform: Platform, plans: list[MqttPlan]) -> float:
    before = memory_mb(platform.roles)["gateway"]
    async with Crew(plans):
        await asyncio.sleep(_SETTLE_S)
        return memory_mb(platform.roles)["gateway"] - before


async def _bare_rate(context: Context, certified: Certified) -> float:
    """The same visitors at a server that checks certificates against one authority, as the standard library does."""
    with _server_files(certified) as (files, authority):
        async with (
            running_limit("front", *files) as front,
            Crew(_visitors(context, certified, front.port, authority)) as crew,
        ):
            await crew.begin()
            await crew.measure(context.warm_up_s)
            rate = (await crew.measure(context.seconds)).rate
            await crew.stop()
    return rate


@contextlib.contextmanager
def _server_files(certified: Certified) -> Iterator[tuple[list[str], str]]:
    """Certificate, key and the authority of the visitors, as files; and the PEM that visitors trust."""
    certificate, key = sign_server(_HOST)
    with tempfile.TemporaryDirectory() as directory:
        contents = {"server.crt": certificate, "server.key": key, "clients.crt": certified.issuer}
        for name, text in contents.items():
            (Path(directory) / name).write_text(text)
        yield [str(Path(directory) / name) for name in contents], certificate
