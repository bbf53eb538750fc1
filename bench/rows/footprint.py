"""What the platform takes: time to start, memory, disk."""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from bench.context import Context
from bench.devices import make_fleet
from bench.limits.points import insert_rate
from bench.load.crew import Crew
from bench.load.plan import Device, MqttPlan
from bench.platform import Platform, running_platform, start_platform
from bench.processes import memory_mb
from bench.result import Figure, Limit, Result
from bench.store import sizes
from roadstead.supervisor.servers import EmbeddedServers

_QUIET_S = 10.0
_DISK_DEVICES = 1_000


async def run_startup(context: Context) -> Result:
    """From an empty directory to the first telemetry that is acknowledged, by way of the public API alone."""
    started, ready = [], []
    for _ in range(context.runs):
        with TemporaryDirectory(prefix="roadstead-bench-", dir=context.directory) as directory:
            began = time.perf_counter()
            platform = await start_platform(Path(directory) / "data")
            try:
                ready.append(time.perf_counter() - began)
                await _report_once(platform)
                started.append(time.perf_counter() - began)
            finally:
                await platform.stop()
    return Result(
        row="startup",
        figures=[
            Figure(name="first telemetry accepted", unit="s", runs=started, goal="<= 10"),
            Figure(name="says that it is ready", unit="s", runs=ready),
        ],
        limits=[
            Limit(
                name="PostgreSQL and NATS alone",
                figure="says that it is ready",
                unit="s",
                value=await _servers_s(context),
            )
        ],
    )


async def run_idle_memory(context: Context) -> Result:
    """Memory of all processes together when nothing happens, ten seconds after the start."""
    async with running_platform(context.directory) as platform:
        await asyncio.sleep(_QUIET_S)
        memory = memory_mb(platform.roles)
    spelled = ", ".join(f"{role} {mb:.0f}" for role, mb in sorted(memory.items(), key=lambda item: -item[1]))
    return Result(
        row="idle-memory",
        figures=[Figure(name="proportional set size", unit="MB", runs=[sum(memory.values())], goal="<= 900")],
        notes=[spelled],
    )


async def run_disk(context: Context) -> Result:
    """Bytes a point in the store, for noisy values with two decimals."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, _DISK_DEVICES)
        store = platform.open_store()
        base_ms = int(time.time() - 3600) * 1000
        await insert_rate(store, fleet.devices, base_ms, seconds=context.seconds)
        fresh = await sizes(store)
        await store.command("OPTIMIZE TABLE point FINAL", {})
        merged = await sizes(store)
        await store.close()
    return Result(
        row="disk",
        figures=[
            Figure(name="merged", unit="bytes/point", runs=[merged.size_bytes / merged.points], goal="<= 10"),
            Figure(name="as inserted", unit="bytes/point", runs=[fresh.size_bytes / fresh.points]),
        ],
        limits=[
            Limit(
                name="the values alone", figure="merged", unit="bytes/point", value=merged.number_bytes / merged.points
            )
        ],
        notes=[f"{merged.points:,} points of {_DISK_DEVICES * 5:,} series"],
    )


async def _report_once(platform: Platform) -> None:
    credentials = platform.credentials
    headers = {"Authorization": f"Bearer {credentials['apiKey']}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{platform.ports['HTTP']}", headers=headers) as api:
        answer = await api.post("/api/v1/devices", json={"name": "first"})
        answer.raise_for_status()
    device = Device(answer.json()["id"], f"v1/readings/{credentials['organizationId']}/{answer.json()['id']}")
    plan = MqttPlan(
        host="127.0.0.1", port=platform.ports["MQTT"], devices=[device], key=credentials["apiKey"], window=1,
        base_ms=int(time.time()) * 1000,
    )  # fmt: skip
    async with Crew([plan]) as crew:
        await crew.begin()
        while not (await crew.mark()).done:
            await asyncio.sleep(0.005)
        await crew.stop()


async def _servers_s(context: Context) -> float:
    with TemporaryDirectory(prefix="roadstead-bench-", dir=context.directory) as directory:
        began = time.perf_counter()
        async with EmbeddedServers(Path(directory) / "data"):
            return time.perf_counter() - began
