"""Devices that go, and come back."""

import asyncio
from typing import Any

import pytest

from roadstead.core import commands, contents, registry
from roadstead.core.commands import CommandDraft
from roadstead.core.registry import Device, DeviceChange, DeviceDraft, SpaceDraft
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.filter import EVERYTHING, equals
from tests.conftest import Tenant


async def test_what_comes_back_makes_no_circle(acme: Tenant) -> None:
    async with acme.work() as work:
        top = await registry.create_device(work, DeviceDraft(name="top"))
        middle = await registry.create_device(work, DeviceDraft(name="middle", parent_id=top.id))
        below = await registry.create_device(work, DeviceDraft(name="below", parent_id=middle.id))
        await registry.discard_device(work, middle.id)
        await registry.change_device(work, top.id, DeviceChange(parent_id=below.id), expected=None)
        await registry.restore_device(work, middle.id)
        parents = {each.id: each.parent_id for each in (top, middle, below)}
        for each in (top, middle, below):
            parents[each.id] = (await registry.get_device(work, each.id)).parent_id
        assert parents == {top.id: below.id, middle.id: top.id, below.id: None}


async def test_a_deleted_device_comes_back_once_and_only_where_it_was(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump", network_aliases={"lora": {"eui": "1"}}))
        await registry.delete_device(work, device.id, purge=False, expected=None)
        assert await registry.pick_deleted_devices(work, equals("called", "pump"), limit=10) == [device.id]
        other = await registry.create_device(work, DeviceDraft(name="other", network_aliases={"lora": {"eui": "1"}}))
    async with globex.work() as work:
        assert await registry.pick_deleted_devices(work, EVERYTHING, limit=10) == []
        with pytest.raises(NotFound):
            await registry.restore_device(work, device.id)
    async with acme.work() as work:
        back = await registry.restore_device(work, device.id)
        assert (back.name, back.ordinal, back.network_aliases) == ("pump", device.ordinal, {})
        assert (await registry.get_device(work, other.id)).network_aliases == {"lora": {"eui": "1"}}
        with pytest.raises(NotFound):
            await registry.restore_device(work, device.id)


async def test_what_was_purged_does_not_come_back(acme: Tenant) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
        await registry.delete_device(work, device.id, purge=True, expected=None)
        with pytest.raises(NotFound):
            await registry.restore_device(work, device.id)


async def test_a_command_to_a_device_that_is_deleted_in_the_same_instant_is_refused(acme: Tenant) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump", virtual=True))
        await work.tx.run("UPDATE device SET status = 'ACTIVE' WHERE id = %s", device.id)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        async with acme.work() as work:
            await commands.create_command(work, device.id, CommandDraft(type="REBOOT", payload={}))
            async with acme.work() as other:
                await deleted(other, device)


def deleted(work: Work, device: Device) -> Any:
    """It may come back, with its readings."""
    return registry.delete_device(work, device.id, purge=False, expected=None)


def discarded(work: Work, device: Device) -> Any:
    """It may come back."""
    return registry.discard_device(work, device.id)


def gone_with_its_space(work: Work, device: Device) -> Any:
    """It does not come back."""
    return contents.delete_space_with_contents(work, device.space_id)


@pytest.mark.parametrize("end", [deleted, discarded, gone_with_its_space])
async def test_a_device_can_be_deleted_while_what_it_reports_is_written(
    acme: Tenant, system_database: Database, end: Any
) -> None:
    async with acme.work() as work:
        space = await registry.create_space(work, SpaceDraft(name="plant"))
        device = await registry.create_device(work, DeviceDraft(name="pump", space_id=space.id))

    async def delete() -> None:
        async with acme.work() as work:
            await end(work, device)

    # As the projection of states does it: first the state, then the device that is seen with it.
    async with system_database.tx() as tx, system_database.tx() as watch:
        await tx.run("UPDATE device_state SET newest_at = 1 WHERE device_id = %s", device.id)
        deleting = asyncio.create_task(delete())
        me = await tx.value("SELECT pg_backend_pid()")
        waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)))"
        while not await watch.value(waits, me):
            assert not deleting.done()
        await tx.run("UPDATE device SET status = 'ACTIVE' WHERE id = %s", device.id)
    await deleting
    async with acme.work() as work:
        with pytest.raises(NotFound):
            await registry.get_device(work, device.id)
