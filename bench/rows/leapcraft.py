"""Reads of the Leapcraft dialect: the newest record of a device, and its daily means."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

from bench.context import Context
from bench.devices import Fleet, make_fleet
from bench.load.messages import COMPONENT, FIELDS
from bench.load.plan import Call, HttpPlan
from bench.platform import Platform, PlatformFailed, running_platform
from bench.result import Figure, Result
from bench.rows.reads import measure_calls
from roadstead.app import administer
from roadstead.kernel import ids

_DEVICES = 10_000
_ASKED = 200
"""So many of them are asked about, in turn."""
_DAYS = 30
_A_DAY = 96
_CALLERS = 8
_GOAL_MS = 30
_SEEN_WITHIN_S = 60


async def run_leapcraft(context: Context) -> Result:
    """`latest` and daily `averages` over 30 days of a device among 10,000 through the Leapcraft dialect."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, context.scaled(_DEVICES))
        asked = msgspec.structs.replace(fleet, devices=fleet.devices[:_ASKED])
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(days=_DAYS)
        await _fill(platform, asked, start)
        await _report(platform, asked)
        token = await _sign_in(platform)
        figures, notes = [], []
        averages = f"type=averages&resolution=daily&from={_spell(start)}&to={_spell(end)}"
        for name, query in (("latest", "type=latest"), ("averages", averages)):
            calls = [Call(f"/leapcraft/v1/telemetry/{device.id}?{query}") for device in asked.devices]
            plan = HttpPlan(host="127.0.0.1", port=platform.ports["HTTP"], calls=calls, key=token, connections=1)
            alone, _ = await measure_calls(context, platform, plan)
            runs, _ = await measure_calls(context, platform, msgspec.structs.replace(plan, connections=_CALLERS))
            figures += [
                Figure(
                    name=f"{name}, p95", unit="ms", runs=[run.latency_ms(0.95) for run in alone], goal=f"<= {_GOAL_MS}"
                ),
                Figure(name=f"{name}, p50", unit="ms", runs=[run.latency_ms(0.5) for run in alone]),
                Figure(name=f"{name}, {_CALLERS} at a time", unit="requests/s", runs=[run.rate for run in runs]),
            ]
            notes += [f"{run.failed} requests failed: {run.problem}" for run in [*alone, *runs] if run.failed]
    return Result(
        row="leapcraft",
        figures=figures,
        notes=[
            f"{len(fleet.devices):,} devices, {len(asked.devices)} of them asked about",
            f"{len(FIELDS)} metrics of each, a point every quarter of an hour for {_DAYS} days",
            *notes,
        ],
    )


async def _fill(platform: Platform, fleet: Fleet, start: datetime) -> None:
    transport = platform.open_store()
    start_ms = round(start.timestamp() * 1000)
    paths = [f"{COMPONENT}/{name}" for name in FIELDS]
    for device in fleet.devices:
        await transport.command(
            f"""
            INSERT INTO point (tenant, device, path, at, number, text, meta, received)
            SELECT {int(fleet.tenant)}, toFixedString(unhex('{ids.to_bytes(UUID(device.id)).hex()}'), 12), path,
                   fromUnixTimestamp64Milli({start_ms} + number * {86_400_000 // _A_DAY}, 'UTC') AS at,
                   round(40 + 8 * sin(number / 50), 2), '', '', at
            FROM (SELECT number, arrayJoin({paths}) AS path FROM numbers({_DAYS * _A_DAY}))
            """,
            {},
        )
    await transport.close()


async def _report(platform: Platform, fleet: Fleet) -> None:
    """Each of the devices says something, so that it has a newest record."""
    asked = [UUID(device.id) for device in fleet.devices]
    async with administer(platform.settings) as entry:
        sql = "SELECT id::text, device_id::text FROM sensor WHERE tenant_id = %s AND device_id = ANY (%s)"
        sensors = await entry.tx.rows(sql, fleet.tenant, asked)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    readings = [{"sensorId": sensor, "deviceId": device, "timestamp": now, "value": 40.5} for sensor, device in sensors]
    base = f"http://127.0.0.1:{platform.ports['HTTP']}/api/v1"
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {fleet.key}"}) as client:
        for first in range(0, len(readings), 500):
            answer = await client.post(f"{base}/readings", json=readings[first : first + 500])
            answer.raise_for_status()
    until = time.monotonic() + _SEEN_WITHIN_S
    seen = "SELECT count(DISTINCT device_id) FROM device_state WHERE tenant_id = %s AND device_id = ANY (%s)"
    while time.monotonic() < until:
        async with administer(platform.settings) as entry:
            if await entry.tx.value(seen, fleet.tenant, asked) == len(asked):
                return
        await asyncio.sleep(0.2)
    raise PlatformFailed("what devices have said did not become their state")


async def _sign_in(platform: Platform) -> str:
    url = f"http://127.0.0.1:{platform.ports['HTTP']}/leapcraft/v1/auth/client/token"
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, data={"api_key": platform.credentials["apiKey"]})
        answer.raise_for_status()
        return str(answer.json()["token"])


def _spell(instant: datetime) -> str:
    return quote(instant.strftime("%Y-%m-%dT%H:%M:%S.000"))
