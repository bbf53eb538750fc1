"""Reads through the API: one device, raw points, buckets of one series and of a hundred."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from bench.context import Context
from bench.devices import Fleet, make_fleet
from bench.histogram import Histogram
from bench.limits.process import running_limit
from bench.load.crew import Crew, Sum
from bench.load.messages import COMPONENT, FIELDS, VALUES
from bench.load.plan import Call, HttpPlan
from bench.platform import Platform, running_platform
from bench.processes import cpu_seconds, shares
from bench.result import Figure, Limit, Result, average, costs
from roadstead.adapters.clickhouse import ClickHouseStore, HttpTransport
from roadstead.app import administer
from roadstead.core.ports import Function, Series, Span
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.time import Duration

_DEVICES = 1_000
_CALLERS = 8
_LEAST = 20
"""Answers that a run needs before its percentiles mean something."""
_DAYS = 30
_SERIES = 100
_ALL_SERIES = 1_000
_POINTS = 43_200
"""Of each series: one a minute for thirty days, 43.2 million in all."""
_HOUR = Duration(0, 0, 3_600_000)
_FUNCTIONS = ("avg", "min", "max", "count")


async def run_get_device(context: Context) -> Result:
    """GET of one device with an API key: requests a second, and how long one takes."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, context.scaled(_DEVICES))
        calls = [Call(f"/api/v1/devices/{device.id}") for device in fleet.devices]
        plan = HttpPlan(host="127.0.0.1", port=platform.ports["HTTP"], calls=calls, key=fleet.key, connections=_CALLERS)
        runs, cpu = await measure_calls(context, platform, plan)
        environment = {"BENCH_DATABASE_URL": platform.settings.database_url, "BENCH_TENANT": str(fleet.tenant)}
        async with running_limit("web", environment=environment) as web:
            calls = [Call(f"/devices/{device.id}") for device in fleet.devices]
            bare = msgspec.structs.replace(plan, port=web.port, calls=calls, key="")
            bare_roles = {"api": [web.pid]}
            [limit], bare_cpu = await measure_calls(
                msgspec.structs.replace(context, runs=1), platform, bare, bare_roles
            )
    spent = costs(average(cpu), {}, sum(run.rate for run in runs) / len(runs))
    least = costs(bare_cpu[0], {}, limit.rate)
    return Result(
        row="get-device",
        figures=[
            Figure(name="requests", unit="requests/s", runs=[run.rate for run in runs]),
            Figure(name="of a bare route", unit="%", runs=[100 * run.rate / limit.rate for run in runs], goal=">= 50"),
            Figure(name="processor time, of a bare route", unit="%", runs=[100 * least["api"] / spent["api"]]),
            Figure(name="p50", unit="ms", runs=[run.latency_ms(0.5) for run in runs]),
            Figure(name="p99", unit="ms", runs=[run.latency_ms(0.99) for run in runs], goal="<= 20"),
        ],
        limits=[Limit(name="a bare route with one SELECT", figure="requests", unit="requests/s", value=limit.rate)],
        cpu=average(cpu),
        costs=spent,
        cost_of="request",
        notes=[f"{_CALLERS} connections, one request in flight on each", *_failures(runs)],
    )


async def run_reads(context: Context) -> Result:
    """2,000 raw points; 30 days by hour of one series and of a hundred; among 43 million points."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, _ALL_SERIES // VALUES)
        transport = platform.open_store()
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        points = context.scaled(_POINTS)
        span = Span(end - timedelta(days=_DAYS), end)
        await fill(transport, fleet, span, points)
        sensors = (await _sensor_ids(platform, fleet))[:_SERIES]
        store = ClickHouseStore(transport)
        series = [
            Series(DeviceId(UUID(device.id)), f"{COMPONENT}/{name}") for device in fleet.devices for name in FIELDS
        ][:_SERIES]
        recent = Span(end - timedelta(days=_DAYS) * 2_000 / points, end)
        base = f"/api/v1/readings/sensor/{sensors[0]}"

        async def by_hour(number: int) -> None:
            await store.buckets(
                fleet.tenant, series[:number], span, interval=_HOUR, time_zone="UTC",
                functions=[Function(name) for name in _FUNCTIONS],
            )  # fmt: skip

        rows = [
            await _read(
                context, platform, fleet, "2,000 raw points", "<= 30",
                Call(f"{base}?{_query(recent)}&limit=2000"),
                lambda: store.points(fleet.tenant, series[:1], recent, limit=2_001),
            ),
            await _read(
                context, platform, fleet, "30 days by hour, 1 series", "<= 20",
                Call(f"{base}/aggregated?{_query(span)}&interval=PT1H&fn={','.join(_FUNCTIONS)}"),
                lambda: by_hour(1),
            ),
            await _read(
                context, platform, fleet, f"30 days by hour, {_SERIES} series", "<= 200",
                Call("/api/v1/readings/batch", _batch(sensors, span)),
                lambda: by_hour(_SERIES),
            ),
        ]  # fmt: skip
        await transport.close()
    return Result(
        row="reads",
        figures=[figure for figures, _, _ in rows for figure in figures],
        limits=[limit for _, limit, _ in rows],
        notes=[
            f"{points * _ALL_SERIES:,} points in all, one request at a time",
            *(note for _, _, notes in rows for note in notes),
        ],
    )


Reading = tuple[list[Figure], Limit, list[str]]


async def _read(
    context: Context,
    platform: Platform,
    fleet: Fleet,
    name: str,
    goal: str,
    call: Call,
    straight: Callable[[], Awaitable[object]],
) -> Reading:
    """One kind of read through the API, and straight at the store."""
    plan = HttpPlan(host="127.0.0.1", port=platform.ports["HTTP"], calls=[call], key=fleet.key, connections=1)
    runs, _ = await measure_calls(context, platform, plan)
    histogram = Histogram()
    until = time.perf_counter() + context.seconds / 2
    while time.perf_counter() < until:
        began = time.perf_counter()
        await straight()
        histogram.add(int((time.perf_counter() - began) * 1e6))
    figures = [
        Figure(name=f"{name}, p95", unit="ms", runs=[run.latency_ms(0.95) for run in runs], goal=goal),
        Figure(name=f"{name}, p50", unit="ms", runs=[run.latency_ms(0.5) for run in runs]),
    ]
    straight_ms = histogram.percentile(0.5) / 1000
    limit = Limit(name="asked straight of the store", figure=f"{name}, p50", unit="ms", value=straight_ms)
    return figures, limit, _failures(runs)


async def measure_calls(
    context: Context, platform: Platform, plan: HttpPlan, served_by: dict[str, list[int]] | None = None
) -> tuple[list[Sum], list[dict[str, float]]]:
    """Runs and processor shares of programs that call the API; `served_by`: processes that stand for roles of it."""
    runs, cpu = [], []
    async with Crew([plan]) as crew:
        roles = platform.roles | (served_by or {}) | {"generator": crew.pids}
        await crew.begin()
        await crew.measure(context.warm_up_s)
        for _ in range(context.runs):
            before = cpu_seconds(roles)
            runs.append(await crew.measure(context.seconds, least=_LEAST))
            cpu.append(shares(before, cpu_seconds(roles), runs[-1].seconds))
        await crew.stop()
    return runs, cpu


async def fill(transport: HttpTransport, fleet: Fleet, span: Span, points: int) -> None:
    """Noisy curves with two decimals, made by the store itself, a device at a time."""
    assert span.start is not None and span.end is not None
    start = round(span.start.timestamp() * 1000)
    step = round((span.end - span.start).total_seconds() * 1000) // points
    fields = [(30 + 10 * position, f"{COMPONENT}/{name}") for position, name in enumerate(FIELDS)]
    for device in fleet.devices:
        await transport.command(
            f"""
            INSERT INTO point (tenant, device, path, at, number, text, meta, received)
            SELECT {int(fleet.tenant)}, toFixedString(unhex('{ids.to_bytes(UUID(device.id)).hex()}'), 12),
                   field.2, fromUnixTimestamp64Milli({start} + number * {step}, 'UTC') AS at,
                   round(field.1 + 8 * sin(number / 500) + randCanonical(number), 2), '', '', at
            FROM (SELECT number, arrayJoin({fields}) AS field FROM numbers({points}))
            """,
            {},
        )


async def _sensor_ids(platform: Platform, fleet: Fleet) -> list[str]:
    """In the order of devices and fields."""
    sql = "SELECT device_id::text, key, id::text FROM sensor WHERE tenant_id = %s"
    async with administer(platform.settings) as entry:
        found = {(device, key): sensor for device, key, sensor in await entry.tx.rows(sql, fleet.tenant)}
    return [found[device.id, name] for device in fleet.devices for name in FIELDS]


def _query(span: Span) -> str:
    assert span.start is not None and span.end is not None
    return f"from={_spell(span.start)}&to={_spell(span.end)}"


def _batch(sensors: list[str], span: Span) -> str:
    assert span.start is not None and span.end is not None
    body = {
        "sensorIds": sensors, "mode": "aggregated", "from": _spell(span.start), "to": _spell(span.end),
        "interval": "PT1H", "fn": list(_FUNCTIONS),
    }  # fmt: skip
    return msgspec.json.encode(body).decode()


def _spell(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _failures(runs: list[Sum]) -> list[str]:
    failed = [run for run in runs if run.failed]
    return [f"{failed[0].failed} requests failed: {failed[0].problem}"] if failed else []
