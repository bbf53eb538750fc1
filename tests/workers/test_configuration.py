"""The workers that keep documents right, beside a real bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from roadstead.bus import Bus, Publisher
from roadstead.db import Database
from roadstead.workers.configuration import ConfigurationFacts, ConfigurationWorker
from roadstead.workers.outbox import OutboxRelay
from roadstead.workers.turns import Turn
from tests.configuration import add_artefact, bind, desired
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, ok
from tests.workers.conftest import running


@asynccontextmanager
async def at_work(bus: Bus, database: Database, database_url: str, tenant: Tenant) -> AsyncIterator[None]:
    """Facts are relayed and followed, documents worked out, as in the worker role."""
    publisher = Publisher(bus)
    await publisher.start()
    news = asyncio.Event()
    async with AsyncExitStack() as exits:
        exits.push_async_callback(publisher.close)
        for job in (
            OutboxRelay(database, database_url, publisher).run(),
            ConfigurationFacts(bus, database, Turn(database_url, "configuration"), news).run(),
            ConfigurationWorker(database, tenant.edge.ports, news).run(),
        ):
            await exits.enter_async_context(running(job))
        yield


async def reach(tenant: Tenant, device: Any, content: dict[tuple[str, str], Any]) -> None:
    """The device shall have this, soon."""
    async with asyncio.timeout(10):
        while await desired(tenant, device) != content:
            await asyncio.sleep(0.02)


async def test_what_changes_while_no_worker_is_there_is_worked_out_by_the_next_one(
    bus: Bus, system_database: Database, database_url: str, acme: Tenant
) -> None:
    device = await add_device(acme, "pump-1")
    group = {"name": "g", "selector": {"matchTags": {"line": "north"}}}
    group = ok(await acme.api.post("/api/v1/device-groups", json=group))
    await bind(acme, await add_artefact(acme, "network", 1), "DEVICE_GROUP", group)
    place = f"/api/v1/devices/{device['id']}"

    async with at_work(bus, system_database, database_url, acme):
        ok(await acme.api.patch(place, json={"tags": {"line": "north"}}))
        await reach(acme, device, {("", "network"): 1})
    ok(await acme.api.patch(place, json={"tags": {"line": "south"}}))
    async with at_work(bus, system_database, database_url, acme):
        await reach(acme, device, {})
        selector = {"selector": {"matchTags": {"line": "south"}}}
        ok(await acme.api.patch(f"/api/v1/device-groups/{group['id']}", json=selector))
        await reach(acme, device, {("", "network"): 1})
