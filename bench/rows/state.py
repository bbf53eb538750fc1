"""How old the latest values are that the API shows, while very many devices report."""

import asyncio
import time
from uuid import UUID

from bench.context import Context
from bench.devices import Fleet, make_fleet
from bench.load.crew import Crew
from bench.load.messages import VALUES
from bench.load.plan import UplinkPlan, due_at
from bench.platform import running_platform
from bench.processes import cpu_seconds, shares
from bench.result import Figure, Result, average, costs
from bench.store import sizes
from roadstead.app import administer
from roadstead.core.work import Entry

_RATE = 40_000.0
_SAMPLED = 200
_LOOK_EVERY_S = 0.1
_FRESH_S = 1.0
_SHORTEST_WARM_UP_S, _LONGEST_WARM_UP_S = 5.0, 60.0


async def run_state(context: Context) -> Result:
    """Freshness of the latest state while 40,000 devices report every second, 200,000 points in all."""
    count = context.scaled(int(_RATE))
    async with running_platform(context.directory) as platform:
        fleet = await make_fleet(platform, count)
        plan = UplinkPlan(
            nats_url=platform.settings.nats_url,
            tenant=fleet.tenant,
            device_ids=[device.id for device in fleet.devices],
            rate=float(count),
            base_ms=int(time.time()) * 1000,
        )
        store = platform.open_store()
        async with Crew([plan]) as crew, administer(platform.settings) as entry:
            roles = platform.roles | {"generator": crew.pids}
            began_at = await crew.begin()
            fresh_after_s = await _warm_up(entry, fleet, plan, began_at)
            worst, typical, rates, stored, cpu = [], [], [], [], []
            for _ in range(context.runs):
                await crew.mark()
                before, points_before, at = cpu_seconds(roles), (await sizes(store)).points, time.perf_counter()
                ages = await _ages(entry, fleet, plan, began_at, context.seconds)
                seconds = time.perf_counter() - at
                cpu.append(shares(before, cpu_seconds(roles), seconds))
                stored.append(((await sizes(store)).points - points_before) / seconds)
                rates.append((await crew.mark()).rate)
                typical.append(ages[len(ages) // 2])
                worst.append(ages[-1])
            await crew.stop()
        await store.close()
    return Result(
        row="state",
        figures=[
            Figure(name="oldest value not shown yet, at worst", unit="s", runs=worst, goal="<= 1"),
            Figure(name="the same, median over time", unit="s", runs=typical),
            Figure(name="fresh after the first messages", unit="s", runs=[fresh_after_s]),
            Figure(name="devices", unit="devices/s", runs=rates, goal=">= 40000"),
            Figure(name="stored meanwhile", unit="points/s", runs=stored, goal=">= 200000"),
        ],
        cpu=average(cpu),
        costs=costs(average(cpu), {}, sum(rates) / len(rates)),
        notes=[f"messages of {VALUES} values put on the log without a gateway; {_SAMPLED} devices looked at"],
    )


async def _warm_up(entry: Entry, fleet: Fleet, plan: UplinkPlan, began_at: float) -> float:
    """Until what all have said for the first time is worked off: the store does not know any device yet, and each
    needs a row. Says how long that took, or how long it was waited for.
    """
    await asyncio.sleep(_SHORTEST_WARM_UP_S)
    while (seconds := time.perf_counter() - began_at) < _LONGEST_WARM_UP_S:
        if (await _ages(entry, fleet, plan, began_at, _LOOK_EVERY_S))[-1] <= _FRESH_S:
            break
    return seconds


async def _ages(entry: Entry, fleet: Fleet, plan: UplinkPlan, began_at: float, seconds: float) -> list[float]:
    """At each look, how long the longest waiting message of the sampled devices has been due; sorted."""
    devices = len(fleet.devices)
    step = max(devices // _SAMPLED, 1)
    places = {UUID(fleet.devices[place].id): place for place in range(0, devices, step)}
    until, ages = time.perf_counter() + seconds, []
    sql = "SELECT device_id, newest_at FROM device_state WHERE tenant_id = %s AND device_id = ANY(%s)"
    while time.perf_counter() < until:
        looked_at = time.perf_counter()
        rows = await entry.tx.rows(sql, fleet.tenant, list(places))
        newest = {device: newest_at - plan.base_ms for device, newest_at in rows}
        waiting = [
            looked_at - due_at(began_at, plan.rate, devices, place, newest.get(device, -1) + 1)
            for device, place in places.items()
        ]
        ages.append(max(*waiting, 0.0))
        await asyncio.sleep(_LOOK_EVERY_S)
    return sorted(ages)
