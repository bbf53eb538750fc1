"""Devices that come back."""

import pytest

from roadstead.core import registry
from roadstead.core.registry import DeviceChange, DeviceDraft
from roadstead.kernel.errors import NotFound
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
