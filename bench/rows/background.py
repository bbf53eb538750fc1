"""What the platform does by itself for a long time: a very large export, a configuration for a very large group."""

import asyncio
import shutil
import tempfile
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet

from bench.context import Context
from bench.devices import Fleet, make_fleet, register_devices
from bench.load.messages import FIELDS, VALUES
from bench.platform import Platform, running_platform
from bench.processes import cpu_seconds, memory_mb, shares
from bench.result import Figure, Result, costs
from bench.rows.reads import fill
from roadstead.app import administer
from roadstead.core.ports import Span

_READINGS = 5_000_000
_EXPORTED = 200
_DAYS = 30
_BOUND = 20_000
_SAMPLE_S = 0.5
_CEILING_MB = 500


async def run_export(context: Context) -> Result:
    """5 million readings of 200 devices of a site as Parquet: until the file is there, and the worker's memory."""
    points = max(context.scaled(_READINGS) // (_EXPORTED * VALUES), 1)
    expected = points * _EXPORTED * VALUES
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, _EXPORTED)
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        span = Span(end - timedelta(days=_DAYS), end)
        store = platform.open_store()
        await fill(store, fleet, span, points)
        await store.close()
        async with _program(platform, fleet) as program:
            site = (await _ask(program, "POST", "/sites", {"name": "All of them"}))["id"]
            async with administer(platform.settings) as entry:
                await entry.tx.run("UPDATE device SET site_id = %s WHERE tenant_id = %s", site, fleet.tenant)
            idle_mb, before = memory_mb(platform.roles), cpu_seconds(platform.roles)
            began = time.perf_counter()
            asked = {"scopeType": "SITE", "scopeId": site, "includes": ["READINGS"], "format": "PARQUET"}
            asked |= {"from": (end - timedelta(days=_DAYS)).isoformat(), "to": end.isoformat()}
            export = await _ask(program, "POST", "/exports", asked)
            peak_mb = 0.0
            while export["status"] in ("PENDING", "RUNNING"):
                await asyncio.sleep(_SAMPLE_S)
                peak_mb = max(peak_mb, memory_mb(platform.roles)["worker"])
                export = await _ask(program, "GET", f"/exports/{export['id']}")
            seconds = time.perf_counter() - began
            cpu = shares(before, cpu_seconds(platform.roles), seconds)
            found, size_mb = await _count(program, export, context.directory)
    return Result(
        row="export",
        figures=[
            Figure(name="readings that are not in the file", unit="readings", runs=[expected - found], goal="<= 0"),
            Figure(name="peak memory, worker", unit="MB", runs=[peak_mb], goal=f"<= {_CEILING_MB}"),
            Figure(name="memory before, worker", unit="MB", runs=[idle_mb["worker"]]),
            Figure(name="from the request to the file", unit="s", runs=[seconds]),
            Figure(name="readings", unit="readings/s", runs=[found / seconds]),
            Figure(name="size of the file", unit="MB", runs=[size_mb]),
        ],
        cpu=cpu,
        costs=costs(cpu, {}, expected / seconds),
        cost_of="reading",
        notes=[f"{expected:,} readings of {_EXPORTED} devices; the export is {export['status']}"],
    )


async def run_configuration(context: Context) -> Result:
    """A configuration bound to a group of 20,000 devices: until each has its document, and again when it changes."""
    count = context.scaled(_BOUND)
    async with running_platform(context.directory) as platform:
        fleet = await register_devices(platform, count)
        async with _program(platform, fleet) as program:
            selector = {"expressions": [{"key": "line", "operator": "EXISTS"}]}
            group = await _ask(program, "POST", "/device-groups", {"name": "lines", "selector": selector})
            before, began = cpu_seconds(platform.roles), time.perf_counter()
            first_s = await _bind(program, group["id"], {"intervalSeconds": 60})
            cpu = shares(before, cpu_seconds(platform.roles), time.perf_counter() - began)
            second_s = await _bind(program, group["id"], {"intervalSeconds": 5})
        async with administer(platform.settings) as entry:
            sql = "SELECT count(DISTINCT device_id) FROM config_entry WHERE tenant_id = %s"
            found = await entry.tx.value(sql, fleet.tenant)
    return Result(
        row="configuration",
        figures=[
            Figure(name="devices without a document", unit="devices", runs=[count - found], goal="<= 0"),
            Figure(name="bound until all have it", unit="s", runs=[first_s]),
            Figure(name="changed until all have it", unit="s", runs=[second_s]),
            Figure(name="documents", unit="documents/s", runs=[count / first_s]),
        ],
        cpu=cpu,
        costs=costs(cpu, {}, count / first_s),
        cost_of="document",
        notes=[f"{count:,} devices in one group"],
    )


async def _bind(program: httpx.AsyncClient, group: str, content: dict[str, int]) -> float:
    artefact = await _ask(program, "POST", "/config-artefacts", {"name": "sampling", "content": content})
    began = time.perf_counter()
    wanted = {"targetType": "DEVICE_GROUP", "targetId": group, "configArtefactId": artefact["id"]}
    binding = await _ask(program, "PUT", "/desired-state-bindings", wanted)
    while not binding["settled"]:
        await asyncio.sleep(_SAMPLE_S / 5)
        binding = await _ask(program, "GET", f"/desired-state-bindings/{binding['id']}")
    return time.perf_counter() - began


def _program(platform: Platform, fleet: Fleet) -> httpx.AsyncClient:
    base = f"http://127.0.0.1:{platform.ports['HTTP']}/api/v1"
    return httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {fleet.key}"}, timeout=60)


async def _ask(program: httpx.AsyncClient, method: str, path: str, body: object = None) -> dict[str, Any]:
    answer = await program.request(method, path, json=body)
    if answer.is_error:
        raise ValueError(f"{method} {path}: {answer.text[:500]}")
    found: dict[str, Any] = answer.json()
    return found


async def _count(program: httpx.AsyncClient, export: dict[str, Any], root: Path) -> tuple[int, float]:
    """How many readings are in the file, and how large it is in MB."""
    with tempfile.TemporaryDirectory(prefix="roadstead-bench-", dir=root) as directory:
        file, table = Path(directory) / "export.zip", Path(directory) / "readings.parquet"
        with file.open("wb") as target:
            async with program.stream("GET", str(export["downloadUrl"])) as answer:
                async for part in answer.aiter_bytes():
                    target.write(part)
        with zipfile.ZipFile(file) as archive, archive.open("readings.parquet") as source, table.open("wb") as target:
            shutil.copyfileobj(source, target)
        found = pyarrow.parquet.ParquetFile(table).metadata
        groups = [found.row_group(number) for number in range(found.num_row_groups)]
        columns = [group.column(place) for group in groups for place in range(group.num_columns)]
        values = [column for column in columns if column.path_in_schema in FIELDS]
        readings = sum(column.num_values - column.statistics.null_count for column in values)
        return readings, file.stat().st_size / 1e6
