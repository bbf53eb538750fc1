"""A tenant that begins to search finds everything, also what was being written at that moment."""

from uuid import UUID

import pytest
import pytest_asyncio

from roadstead.core.messages import Accepted, Reading
from roadstead.core.telemetry import (
    Patches,
    await_searchable,
    copy_line,
    index_next,
    make_searchable,
    merge_state,
    searching,
)
from roadstead.db import Database, Tx
from roadstead.kernel import ids
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId
from tests.conftest import Tenant
from tests.fleet import add_device


@pytest_asyncio.fixture(autouse=True)
async def small_steps(monkeypatch: pytest.MonkeyPatch, system_database: Database) -> None:
    """Two devices are many, and other tests have left nothing to do."""
    monkeypatch.setattr(searching, "_AT_ONCE", 2)
    async with system_database.tx() as tx:
        await tx.run("UPDATE searched_tenant SET settled = true")


async def test_few_devices_can_be_searched_at_once(acme: Tenant, system_database: Database) -> None:
    pump = await add_device(system_database, acme.tenant_id)
    async with system_database.tx() as tx:
        await report(tx, acme.tenant_id, pump)
    async with acme.work() as work:
        await await_searchable(work)
    assert await indexed(acme) == {pump}


async def test_many_devices_are_indexed_in_steps_and_searches_wait_for_the_last(
    acme: Tenant, globex: Tenant, system_database: Database
) -> None:
    ours = {await add_device(system_database, acme.tenant_id) for _ in range(5)}
    theirs = await add_device(system_database, globex.tenant_id)
    async with system_database.tx() as tx:
        await report(tx, acme.tenant_id, *ours)
    async with system_database.tx() as tx:
        await report(tx, globex.tenant_id, theirs)
    steps = 0
    while True:
        try:
            async with acme.work() as work:
                await await_searchable(work)
            break
        except Unavailable:
            steps += await step(system_database)
    assert steps == 4  # one to begin, three of two devices at most
    assert await indexed(acme) == ours
    assert await indexed(globex) == set()


async def test_what_was_being_written_when_a_tenant_became_searched_is_found(
    acme: Tenant, system_database: Database
) -> None:
    early, late = sorted([await add_device(system_database, acme.tenant_id) for _ in range(2)])
    async with system_database.tx() as tx:
        await report(tx, acme.tenant_id, late)
    async with system_database.tx() as writing:
        await report(writing, acme.tenant_id, early)  # Nobody searches yet, so its values are not written with it.
        async with acme.work() as work:
            assert await make_searchable(work)
        assert await step(system_database)
        assert not await step(system_database)
    assert await step(system_database)
    assert await indexed(acme) == {early, late}


async def report(tx: Tx, tenant: TenantId, *devices: UUID) -> None:
    """The devices have said something, and their states are written in this transaction."""
    found = Patches()
    for device in devices:
        found.add(Accepted.of(tenant, ids.to_bytes(device), "x", "data", 1, [Reading("speed", 1, 7.5)]))
    await merge_state(tx, [copy_line(key, patch, seen=False) for key, patch in found.items()])


async def step(database: Database) -> bool:
    """One step of the worker."""
    async with database.tx() as tx:
        return await index_next(tx)


async def indexed(tenant: Tenant) -> set[UUID]:
    """The devices whose values are searched."""
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        return {device for (device,) in await tx.rows("SELECT DISTINCT device_id FROM device_value")}
