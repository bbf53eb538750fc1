"""Trying again what was refused, many at a time."""

import asyncio

import pytest

from roadstead.core import diagnostics
from roadstead.core.diagnostics import QuarantineQuery
from roadstead.core.ports import RefusalReason
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Forbidden, Invalid
from roadstead.kernel.ids import DeviceId, from_bytes, new_id, to_bytes
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.fleet import add_device


async def refuse_many(tenant: Tenant, count: int) -> DeviceId:
    """So many readings of one device that would be taken by now."""
    device = await add_device(tenant.edge.system_database, tenant.tenant_id)
    ids = [from_bytes(to_bytes(new_id())[:8] + number.to_bytes(4, "big")) for number in range(count)]
    sql = """
        INSERT INTO quarantine (tenant_id, id, device_id, reason, detail, dialect, channel, payload, source,
                                received_at, expires_at)
        SELECT %s, id, %s, 'OUT_OF_RANGE', 'was too much', 'native', 'readings',
               convert_to(format('{"sensorId": "one", "timestamp": "2026-01-01T00:00:00Z", "value": %%s}', n), 'UTF8'),
               'MQTT', now(), now() + interval '1 day'
        FROM unnest(%s::uuid[]) WITH ORDINALITY AS given (id, n)
    """
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(sql, tenant.tenant_id, device, ids)
    return DeviceId(device)


async def test_a_filter_takes_a_thousand_at_a_time_and_says_how_many_are_left(acme: Tenant) -> None:
    device = await refuse_many(acme, 1_005)
    query = QuarantineQuery(device_id=device)

    async with acme.work() as work:
        first = await diagnostics.replay_entries(work, acme.edge.intake, query=query)
    async with acme.work() as work:
        rest = await diagnostics.replay_entries(work, acme.edge.intake, query=query)

    assert (len(first.uplinks), first.remaining) == (1_000, 5)
    assert (len(rest.uplinks), rest.remaining) == (5, 0)


async def test_what_fails_again_stays_with_its_new_reason(acme: Tenant) -> None:
    device = await refuse_many(acme, 2)
    sql = """
        UPDATE quarantine SET payload = 'nonsense'
        WHERE id = (SELECT id FROM quarantine WHERE device_id = %s LIMIT 1)
    """
    async with acme.edge.system_database.tx() as tx:
        await tx.run(sql, device)

    async with acme.work() as work:
        done = await diagnostics.replay_entries(work, acme.edge.intake, query=QuarantineQuery(device_id=device))
    async with acme.work() as work:
        [left] = (await diagnostics.list_entries(work, QuarantineQuery(), PageQuery())).items

    assert len(done.uplinks) == 1
    assert (left.reason, left.attempts) == (RefusalReason.MALFORMED, 2)


async def test_two_who_replay_the_same_at_once_publish_it_once(acme: Tenant) -> None:
    device = await refuse_many(acme, 3)

    async def replay() -> int:
        async with acme.work() as work:
            query = QuarantineQuery(device_id=device)
            return len((await diagnostics.replay_entries(work, acme.edge.intake, query=query)).uplinks)

    assert sorted(await asyncio.gather(replay(), replay())) == [0, 3]


async def test_a_replay_that_is_not_committed_changes_nothing(acme: Tenant) -> None:
    device = await refuse_many(acme, 3)
    query = QuarantineQuery(device_id=device)

    with pytest.raises(RuntimeError, match="the log is away"):
        async with acme.work() as work:
            await diagnostics.replay_entries(work, acme.edge.intake, query=query)
            raise RuntimeError("the log is away")

    async with acme.work() as work:
        assert (await diagnostics.get_statistics(work, query)).total == 3


async def test_only_administrators_replay_and_nobody_without_saying_what(acme: Tenant) -> None:
    async with acme.work(Role.MEMBER) as work:
        with pytest.raises(Forbidden):
            await diagnostics.replay_entries(work, acme.edge.intake, query=QuarantineQuery())
    async with acme.work() as work:
        with pytest.raises(Invalid, match="either ids or a filter"):
            await diagnostics.replay_entries(work, acme.edge.intake)
