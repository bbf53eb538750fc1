"""A very large registry: one device, pages of a list, filters, and a start."""

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.context import Context
from bench.devices import Fleet, register_devices
from bench.load.crew import Sum
from bench.load.plan import Call, HttpPlan
from bench.platform import Platform, start_platform
from bench.result import Figure, Result
from bench.rows.reads import measure_calls

_DEVICES = 1_000_000
_CALLERS = 4
_VARIETY = 200
"""So many different calls of a kind: answers shall not all come from the same page of the database."""


async def run_registry(context: Context) -> Result:
    """Reads of the API among 1,000,000 registered devices: one, pages of the list, filters. And a start with them."""
    count = context.scaled(_DEVICES)
    with TemporaryDirectory(prefix="roadstead-bench-", dir=context.directory) as directory:
        platform, _ = await _start(Path(directory))
        await platform.stop()
        platform, empty_s = await _start(Path(directory))
        try:
            fleet = await register_devices(platform, count)
            figures, notes = await _read(context, platform, fleet)
        finally:
            await platform.stop()
        platform, full_s = await _start(Path(directory))
        await platform.stop()
    figures.append(Figure(name="started again with them", unit="s", runs=[full_s]))
    figures.append(Figure(name="started again without", unit="s", runs=[empty_s]))
    return Result(row="registry", figures=figures, notes=notes)


async def _start(directory: Path) -> tuple[Platform, float]:
    began = time.perf_counter()
    platform = await start_platform(directory / "data")
    return platform, time.perf_counter() - began


async def _read(context: Context, platform: Platform, fleet: Fleet) -> tuple[list[Figure], list[str]]:
    count = len(fleet.devices)
    numbers = [random.Random(count).randrange(1, count + 1) for _ in range(_VARIETY)]
    kinds = {
        "one device": [f"/{fleet.devices[number - 1].id}" for number in numbers],
        "first page by name": ["?limit=50"],
        "first page, newest first": ["?limit=50&sort=-createdAt"],
        "by external id": [f"?externalId=ext-{number}" for number in numbers],
        "by words of the name": [f"?q=bench-{number:08}" for number in numbers],
        "by tag, one in 1,000": [f"?tag=line:{number % 1000}&limit=50" for number in numbers],
        "by status, one in 100": ["?status=MAINTENANCE&limit=50"],
        "counted": ["?limit=1&includeTotal=true"],
    }
    figures, notes = [], [f"{count:,} devices, {_CALLERS} requests at a time"]
    for name, queries in kinds.items():
        runs = await _measure(context, platform, fleet.key, queries)
        goal = "<= 20" if name == "one device" else ""
        figures.append(Figure(name=f"{name}, p99", unit="ms", runs=[run.latency_ms(0.99) for run in runs], goal=goal))
        notes += [f"{name}: {run.failed} failed: {run.problem}" for run in runs if run.failed]
    return figures, notes


async def _measure(context: Context, platform: Platform, key: str, queries: list[str]) -> list[Sum]:
    calls = [Call(f"/api/v1/devices{query}") for query in queries]
    plan = HttpPlan(host="127.0.0.1", port=platform.ports["HTTP"], calls=calls, key=key, connections=_CALLERS)
    runs, _ = await measure_calls(context, platform, plan)
    return runs
