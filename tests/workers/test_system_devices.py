"""Workers that have systems say what the devices below them come to: side by side, and those that die."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roadstead.core import systems, tenancy
from roadstead.core.messages import Uplink
from roadstead.core.systems import store
from roadstead.core.work import Entry
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import to_bytes
from roadstead.workers.system_devices import SystemWorker
from tests.conftest import Tenant
from tests.core.systems.plant import Log, Turns, add, add_system, let_pass, say, sensor_id, timers
from tests.workers.conftest import running


@pytest.fixture
def turns(system_database: Database) -> Turns:
    """A worker."""
    return Turns(system_database)


async def add_plants(tenant: Tenant, count: int) -> dict[str, float]:
    """Systems with a device each; what they will say."""
    said = {}
    for number in range(count):
        async with tenant.work() as work:
            system = await add_system(work, f"plant {number}")
            pump = await add(work, f"pump {number}", system)
        await say(tenant, pump, a=float(number))
        said[await sensor_id(tenant, system)] = float(number)
    return said


async def test_workers_beside_each_other_have_each_system_speak_once(
    acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    wanted = {tenant: await add_plants(tenant, 12) for tenant in (acme, globex)}
    for tenant in wanted:
        await let_pass(tenant)
    workers = [Turns(system_database) for _ in range(4)]
    await asyncio.gather(*(worker.settled() for worker in workers))
    for tenant, said in wanted.items():
        heard = [item for worker in workers for item in worker.log.heard(tenant)]
        assert len(heard) == 12
        assert {item["sensorId"]: item["value"] for item in heard} == said


class Dying(Log):
    """The worker is gone when the log has taken what it said, or before."""

    def __init__(self, *, takes: bool) -> None:
        super().__init__()
        self.takes = takes

    async def put(self, *items: Uplink) -> None:
        """See `Uplinks.put`."""
        if self.takes:
            await super().put(*items)
        raise asyncio.CancelledError


@pytest.mark.parametrize("takes", [True, False])
async def test_a_worker_that_dies_gives_its_systems_to_the_next_one_which_says_the_same_of_the_same_instant(
    acme: Tenant, system_database: Database, turns: Turns, takes: bool
) -> None:
    said = await add_plants(acme, 2)
    await let_pass(acme)
    dying = Dying(takes=takes)
    with pytest.raises(asyncio.CancelledError):
        await SystemWorker(system_database, dying).look()
    await turns.settled()
    again = turns.log.heard(acme)
    assert {item["sensorId"]: item["value"] for item in again} == said
    assert sorted(map(str, dying.heard(acme))) == (sorted(map(str, again)) if takes else [])
    await turns.settled()
    assert turns.log.heard(acme) == again


async def test_while_the_log_is_away_nothing_is_settled(acme: Tenant, system_database: Database) -> None:
    class Away(Log):
        open = False
        asked = asyncio.Event()

        async def put(self, *items: Uplink) -> None:
            self.asked.set()
            if not self.open:
                raise Unavailable("The log does not answer at the moment")
            await super().put(*items)

    said = await add_plants(acme, 1)
    await let_pass(acme)
    away = Away()
    async with running(SystemWorker(system_database, away, every_s=0.01).run()), asyncio.timeout(10):
        await away.asked.wait()
        assert [left.total_seconds() <= 0 for _, _, left in (await timers(acme)).values()] == [True]
        away.open = True
        while not away.heard(acme):
            await asyncio.sleep(0.005)
    assert [item["value"] for item in away.heard(acme)] == list(said.values())


async def test_a_system_waits_for_those_below_it_that_another_worker_has(
    acme: Tenant, system_database: Database, turns: Turns
) -> None:
    async with acme.work() as work:
        top = await add_system(work, "top")
        below = await add_system(work, "below", top)
        pump = await add(work, "pump", below)
    await say(acme, pump, a=5.0)
    await let_pass(acme)
    async with system_database.tx() as tx:
        due = await systems.take_due(tx, time.now(), most=1_000, most_of_tenant=1_000)
        assert [each.device_id for each in due if each.tenant_id == acme.tenant_id] == [below.id]
        await turns.settled()
        assert turns.log.heard(acme) == []
    await turns.settled()
    assert [item["sensorId"] for item in turns.log.heard(acme)] == [
        await sensor_id(acme, below),
        await sensor_id(acme, top),
    ]


async def fail(tx: Tx) -> None:
    """A defect of ours."""
    raise RuntimeError("broken")


async def take_too_long(tx: Tx) -> None:
    """More than the database has time for."""
    await tx.run("SET LOCAL statement_timeout = 10")
    await tx.rows("SELECT pg_sleep(10)")


@pytest.mark.parametrize("happen", [fail, take_too_long])
async def test_a_system_that_cannot_be_worked_out_does_not_stop_the_others(
    acme: Tenant, turns: Turns, monkeypatch: pytest.MonkeyPatch, happen: Callable[[Tx], Awaitable[None]]
) -> None:
    said = await add_plants(acme, 3)
    broken = next(iter(said))
    plain = store.aggregate

    async def aggregate(tx: Tx, wanted: Any) -> Any:
        if any(str(target.sensor_id) == broken for target, _ in wanted):
            await happen(tx)
        return await plain(tx, wanted)

    monkeypatch.setattr(store, "aggregate", aggregate)
    heard = {item["sensorId"]: item["value"] for item in await turns(acme)}
    assert heard == {sensor: value for sensor, value in said.items() if sensor != broken}
    monkeypatch.undo()
    assert len(await turns(acme)) == 3


async def test_a_suspended_organization_says_nothing_until_it_is_restored(acme: Tenant, turns: Turns) -> None:
    async def change(operation: Any) -> None:
        async with acme.edge.system_database.tx() as tx:
            await operation(Entry(tx, acme.edge.ports, address="", request_id=""), acme.slug)

    await add_plants(acme, 1)
    await change(tenancy.suspend_organization)
    assert await turns(acme) == []
    await change(tenancy.restore_organization)
    await turns.settled()
    assert len(turns.log.heard(acme)) == 1


async def test_one_organization_cannot_take_all_places(acme: Tenant, globex: Tenant, system_database: Database) -> None:
    await add_plants(acme, 5)
    await let_pass(acme, 100)
    await add_plants(globex, 1)
    await let_pass(globex)
    async with system_database.tx() as tx:
        due = await systems.take_due(tx, time.now(), most=1_000, most_of_tenant=3)
    counts = [sum(each.tenant_id == tenant.tenant_id for each in due) for tenant in (acme, globex)]
    assert counts == [3, 1]


async def test_what_is_said_is_said_by_the_system_itself(acme: Tenant, turns: Turns) -> None:
    async with acme.work() as work:
        system = await add_system(work, "plant")
        pump = await add(work, "pump", system)
    await say(acme, pump, a=5.0)
    await turns(acme)
    (uplink,) = [each for each in turns.log.uplinks if each.tenant == acme.tenant_id]
    assert (uplink.device, uplink.dialect, uplink.channel) == (to_bytes(system.id), "native", "readings")
