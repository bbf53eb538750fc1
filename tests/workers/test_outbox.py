"""Facts of the core on their way to the log."""

import asyncio
from uuid import UUID

import pytest

from roadstead.bus import FACTS, Bus, Publisher, Reader
from roadstead.core.messages import DeviceChanged, decode_fact, decode_facts, encode_fact
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId, TenantId, new_id
from roadstead.workers import outbox
from roadstead.workers.outbox import OutboxRelay
from tests.conftest import Tenant
from tests.workers.conftest import running


async def test_what_waits_leaves_together_in_the_order_of_its_commits(
    own_bus: Bus, system_database: Database, database_url: str, acme: Tenant, globex: Tenant
) -> None:
    told = await commit(system_database, acme.tenant_id, globex.tenant_id, acme.tenant_id)
    packs = await carried(own_bus, system_database, database_url, 3)
    assert [[(tenant, device) for tenant, device in pack] for pack in packs] == [told]


async def test_a_pack_is_no_larger_than_a_message_of_the_log_may_be(
    own_bus: Bus, system_database: Database, database_url: str, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await commit(system_database, *[acme.tenant_id] * 5)
    size = len(encode_fact(DeviceChanged(DeviceId(new_id()))))
    monkeypatch.setattr(outbox, "_MOST_BYTES", 2 * size)
    packs = await carried(own_bus, system_database, database_url, 5)
    assert packs == [told[:2], told[2:4], told[4:]]


async def commit(database: Database, *tenants: TenantId) -> list[tuple[TenantId, UUID]]:
    """A fact of each of these, in this order; what other tests left is away."""
    told = [(tenant, new_id()) for tenant in tenants]
    async with database.tx() as tx:
        await tx.run("DELETE FROM outbox")
        for tenant, device in told:
            tx.emit(tenant, time.now(), encode_fact(DeviceChanged(DeviceId(device))))
    return told


async def carried(bus: Bus, database: Database, url: str, count: int) -> list[list[tuple[TenantId, UUID]]]:
    """What comes on the log, message by message, until it is so much."""
    publisher, reader = Publisher(bus), Reader(bus, FACTS)
    await publisher.start()
    await reader.open()
    packs: list[list[tuple[TenantId, UUID]]] = []
    try:
        async with running(OutboxRelay(database, url, publisher).run()), asyncio.timeout(20):
            while sum(map(len, packs)) < count:
                pack = await reader.next(1.0)
                if pack is not None:
                    facts = [(message.tenant, decode_fact(message.fact)) for message in decode_facts(pack.payload)]
                    packs.append(
                        [(tenant, fact.device_id) for tenant, fact in facts if isinstance(fact, DeviceChanged)]
                    )
    finally:
        await reader.close()
        await publisher.close()
    return packs
