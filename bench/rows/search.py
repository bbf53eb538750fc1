"""Searches by what devices have reported: every kind of filter, over one large organization."""

import asyncio
import random
import time
from collections.abc import Callable

from bench.context import Context
from bench.devices import register_devices
from bench.platform import Platform, running_platform
from bench.result import Figure, Result
from roadstead.app import administer, administer_organization
from roadstead.core import registry, telemetry, tenancy
from roadstead.core.registry import Order
from roadstead.core.work import Work
from roadstead.dialects.leverege.search_fields import Names
from roadstead.dialects.leverege.search_language import Node, read_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import PageQuery

_DEVICES = 200_000
_CALLS = 40
_FIRST_MS = 1_700_000_000_000
_LOOK_EVERY_S = 0.2

_REPORT = """
    INSERT INTO device_state (tenant_id, device_id, newest_at, body)
    SELECT d.tenant_id, d.id, 1, jsonb_build_object(
        'serial', jsonb_build_array('ZSD-TAG-' || d.n, 1, 1), 'speed', jsonb_build_array(d.n, 1, 1),
        'status', jsonb_build_array((ARRAY['active', 'idle', 'lost'])[1 + d.n % 3], 1, 1),
        'seen', jsonb_build_array(1700000000000 + d.n * 60000, 1, 1),
        'position.lat', jsonb_build_array((d.n % 180) - 90 + (d.n % 9973) / 9973.0, 1, 1),
        'position.lon', jsonb_build_array((d.n % 360) - 180 + (d.n % 8999) / 8999.0, 1, 1)
    ) FROM (SELECT tenant_id, id, row_number() OVER (ORDER BY id) AS n FROM device) d WHERE d.tenant_id = {tenant}
    ON CONFLICT (tenant_id, device_id) DO UPDATE SET body = excluded.body, newest_at = excluded.newest_at
"""

_KINDS: dict[str, Callable[[int], Node | None]] = {
    "everything": lambda n: None,
    "equals, rare": lambda n: {"type": "equals", "field": "data/serial", "value": f"ZSD-TAG-{n}"},
    "equals, one in three": lambda n: {"type": "equals", "field": "data/status", "value": "lost"},
    "number, between": lambda n: _between("data/speed", n, n + 10),
    "date, between": lambda n: _between(
        "data/seen", _FIRST_MS + n * 60_000, _FIRST_MS + (n + 10) * 60_000, isDate=True
    ),
    "exists": lambda n: {"type": "exists", "field": "data/nothing"},
    "regexp": lambda n: _expression("regexp", f"ZSD-TAG-{n}[0-9]?"),
    "queryString, beginning": lambda n: _expression("queryString", f"zsd-tag-{n}*"),
    "queryString, middle": lambda n: _expression("queryString", f"*ag-{n}*"),
    "groupedText": lambda n: {"type": "groupedText", "value": f"zsd-tag-{n}"},
    "groupedText, middle": lambda n: {"type": "groupedText", "value": f"*ag-{n}*"},
    "geoDistance": lambda n: {
        "type": "geoDistance",
        "field": "data/position",
        "lat": n % 170 - 85,
        "lon": n % 350 - 175,
        "distance": 20,
        "units": "km",
    },
    "two or-ed": lambda n: {
        "type": "logical",
        "operator": "or",
        "conditions": [
            {"type": "equals", "field": "data/serial", "value": f"ZSD-TAG-{n}"},
            _between("data/speed", n, n + 10),
        ],
    },
}


async def run_search(context: Context) -> Result:
    """The first 100 matches and their count, by every kind of filter, among 200,000 devices that have reported."""
    count = context.scaled(_DEVICES)
    async with running_platform(context.directory) as platform:
        fleet = await register_devices(platform, count)
        indexed_s = await _fill(platform, fleet.tenant)
        figures = [Figure(name="indexing all before the first search", unit="s", runs=[indexed_s])]
        for name, make in _KINDS.items():
            runs = [await _measure(platform, count, make) for _ in range(context.runs)]
            figures.append(Figure(name=f"{name}, p95", unit="ms", runs=runs))
    return Result(row="search", figures=figures, notes=[f"{count:,} devices, {_CALLS} searches a run, one at a time"])


async def _fill(platform: Platform, tenant: TenantId) -> float:
    async with administer(platform.settings) as entry:
        await entry.tx.run("SET LOCAL statement_timeout = 0")
        await entry.tx.run(_REPORT.format(tenant=int(tenant)))
    began, organization = time.perf_counter(), await _organization(platform)
    while True:
        async with administer_organization(platform.settings, organization) as work:
            if await telemetry.make_searchable(work):
                return time.perf_counter() - began
        await asyncio.sleep(_LOOK_EVERY_S)


async def _measure(platform: Platform, count: int, make: Callable[[int], Node | None]) -> float:
    numbers = random.Random(count)
    async with administer_organization(platform.settings, await _organization(platform)) as work:
        names = Names(project_id=work.actor.organization_id)
        took = sorted([await _time(work, read_filter(make(numbers.randrange(1, count)), names)) for _ in range(_CALLS)])
    return took[int(len(took) * 0.95)]


async def _time(work: Work, where: Filter) -> float:
    began = time.perf_counter()
    await registry.count_matches(work, where)
    await registry.search_devices(work, where, [Order(field=("createdAt",), descending=True)], PageQuery(limit=100))
    return (time.perf_counter() - began) * 1000


async def _organization(platform: Platform) -> tenancy.Organization:
    async with administer(platform.settings) as entry:
        return await tenancy.load_organization_named(entry, platform.credentials["organizationId"])


def _between(field: str, low: float, high: float, **more: bool) -> Node:
    return {"type": "comparison", "comparator": "[]", "field": field, "value1": low, "value2": high, **more}


def _expression(kind: str, text: str) -> Node:
    return {"type": "expression", "kind": kind, "field": "data/serial", "value": text}
