"""Reads of the Losant dialect: a page of a thousand devices by an advanced query, and curves of a hundred devices."""

import time
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec
import psycopg

from bench.context import Context
from bench.devices import Fleet, make_fleet
from bench.load.messages import COMPONENT, FIELDS
from bench.load.plan import Call, HttpPlan
from bench.platform import Platform, running_platform
from bench.result import Figure, Result
from bench.rows.reads import measure_calls
from roadstead.app import administer
from roadstead.kernel import ids

_DEVICES = 100_000
_PAGE = 1_000
_CURVES = 100
_DAY_MS = 86_400_000
_RESOLUTION_MS = 300_000

_QUERIES = {
    "a tag": {"tags": {"line": "7"}},
    "a tag and no system": {"$and": [{"tags": {"line": "7"}}, {"deviceClass": {"$ne": "system"}}]},
    "one of two": {"$or": [{"tags": {"line": "7"}}, {"name": {"$startsWith": "bench-0000"}}]},
    "nearly all": {"name": {"$ne": "bench-000001"}},
}


async def run_losant(context: Context) -> Result:
    """1,000 of 100,000 devices by advanced queries, and 100 devices x 24 h in steps of 5 min, in the Losant dialect."""
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, context.scaled(_DEVICES))
        await _tag(platform, fleet)
        base = await _application(platform)
        end = int(time.time() * 1000)
        asked = msgspec.structs.replace(fleet, devices=fleet.devices[:_CURVES])
        await _fill(platform, asked, end)
        body = {
            "deviceIds": [ids.to_hex24(UUID(device.id)) for device in asked.devices],
            "attributes": [f"{COMPONENT}_{FIELDS[0]}"],
            "end": end,
            "duration": _DAY_MS,
            "resolution": _RESOLUTION_MS,
        }
        calls = {
            f"{_PAGE:,} devices, {name}": (Call(f"{base}/devices?perPage={_PAGE}&query={_spell(query)}"), 150)
            for name, query in _QUERIES.items()
        }
        told = msgspec.json.encode(body).decode()
        calls[f"curves of {_CURVES} devices"] = (Call(f"{base}/data/time-series-query", told), 60)
        figures, notes = [], []
        for name, (call, most) in calls.items():
            plan = HttpPlan(host="127.0.0.1", port=platform.ports["HTTP"], calls=[call], key=fleet.key, connections=1)
            runs, _ = await measure_calls(context, platform, plan)
            figures += [
                Figure(name=f"{name}, p50", unit="ms", runs=[run.latency_ms(0.5) for run in runs], goal=f"<= {most}"),
                Figure(name=f"{name}, p95", unit="ms", runs=[run.latency_ms(0.95) for run in runs]),
            ]
            notes += [f"{run.failed} requests failed: {run.problem}" for run in runs if run.failed]
    return Result(
        row="losant",
        figures=figures,
        notes=[f"{len(fleet.devices):,} devices with {len(FIELDS)} attributes; one request at a time", *notes],
    )


async def _tag(platform: Platform, fleet: Fleet) -> None:
    sql = """
        UPDATE device SET tags = jsonb_build_object('line', (ordinal %% 100)::text)
        WHERE tenant_id = %s AND id = ANY (%s)
    """
    for start in range(0, len(fleet.devices), _PAGE):
        part = [UUID(device.id) for device in fleet.devices[start : start + _PAGE]]
        async with administer(platform.settings) as entry:
            await entry.tx.run(sql, fleet.tenant, part)
    async with await psycopg.AsyncConnection.connect(platform.settings.database_url, autocommit=True) as connection:
        await connection.execute("ANALYZE")


async def _application(platform: Platform) -> str:
    url = f"http://127.0.0.1:{platform.ports['HTTP']}/losant/applications"
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {platform.credentials['apiKey']}"}) as client:
        answer = await client.get(url)
        answer.raise_for_status()
        (application,) = answer.json()["items"]
    return f"/losant/applications/{application['id']}"


async def _fill(platform: Platform, fleet: Fleet, end: int) -> None:
    """A point a minute for a day, of each device."""
    transport = platform.open_store()
    for device in fleet.devices:
        await transport.command(
            f"""
            INSERT INTO point (tenant, device, path, at, number, text, meta, received)
            SELECT {int(fleet.tenant)}, toFixedString(unhex('{ids.to_bytes(UUID(device.id)).hex()}'), 12),
                   '{COMPONENT}/{FIELDS[0]}', fromUnixTimestamp64Milli({end - _DAY_MS} + number * 60000, 'UTC') AS at,
                   round(40 + 8 * sin(number / 50), 2), '', '', at
            FROM numbers(1440)
            """,
            {},
        )
    await transport.command("OPTIMIZE TABLE point FINAL", {})
    await transport.close()


def _spell(query: object) -> str:
    return quote(msgspec.json.encode(query).decode())
