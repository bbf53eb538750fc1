"""What can be done with groups of devices."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from roadstead.core.operation import operation
from roadstead.core.registry import device_store, group_store
from roadstead.core.registry.checks import merge
from roadstead.core.registry.group_model import DeviceGroup, DeviceGroupChange, DeviceGroupDraft, TagSelector
from roadstead.core.registry.model import Device
from roadstead.core.registry.search import resolve, selected
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, contains
from roadstead.kernel.ids import GroupId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.DEVICES_READ)
async def list_groups(work: Work, *, text: str | None, sort: str | None, page: PageQuery) -> Page[DeviceGroup]:
    """Groups, sorted by `name` or `createdAt`. `text` is part of the name, in any case."""
    where = contains("name", text) if text else EVERYTHING
    return await group_store.list_groups(work.tx, where, sort, page)


@operation(Grant.DEVICES_READ)
async def get_group(work: Work, group_id: GroupId) -> DeviceGroup:
    """One group."""
    return await load_group(work, group_id)


@operation(Grant.DEVICES_READ)
async def count_members(work: Work, groups: Sequence[DeviceGroup]) -> list[int]:
    """How many devices each of the groups has at present."""
    return [
        await device_store.count_devices(work.tx, await resolve(work, selected(group.selector))) for group in groups
    ]


@operation(Grant.DEVICES_READ)
async def list_members(work: Work, group_id: GroupId, page: PageQuery) -> Page[Device]:
    """The devices that meet the group's selector at present, by name."""
    group = await load_group(work, group_id)
    return await device_store.list_devices(work.tx, await resolve(work, selected(group.selector)), None, page)


@operation(Grant.DEVICES_READ)
async def preview_members(work: Work, selector: TagSelector, *, limit: int) -> Page[Device]:
    """The first devices, by name, that a selector would take, and how many there are in all."""
    selector.check("/selector")
    where = await resolve(work, selected(selector))
    return await device_store.list_devices(work.tx, where, None, PageQuery(limit=limit, include_total=True))


@operation(Grant.DEVICES_WRITE)
async def create_group(work: Work, draft: DeviceGroupDraft) -> DeviceGroup:
    """Add a group; its name is free."""
    draft.check()
    now = work.now()
    group = DeviceGroup(
        id=GroupId(new_id()),
        name=draft.name,
        description=draft.description,
        selector=draft.selector,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await group_store.insert_group(work.tx, group):
        raise Conflict.taken("device group", "name", group.name)
    work.record("device-group.create", group.id, after=group)
    return group


@operation(Grant.DEVICES_WRITE)
async def change_group(
    work: Work, group_id: GroupId, change: DeviceGroupChange, *, expected: int | None
) -> DeviceGroup:
    """Change some fields."""
    before = await _lock(work, group_id, expected)
    fields = {name: getattr(before, name) for name in DeviceGroupDraft.__struct_fields__} | change.sent()
    if change.selector is not UNSET:
        fields["selector"] = _merge_selector(before.selector, change.selector)
    return await _write(work, before, DeviceGroupDraft(**fields))


@operation(Grant.DEVICES_WRITE)
async def replace_group(work: Work, group_id: GroupId, draft: DeviceGroupDraft, *, expected: int | None) -> DeviceGroup:
    """Change all fields; what the draft leaves out goes back to its default."""
    return await _write(work, await _lock(work, group_id, expected), draft)


@operation(Grant.DEVICES_WRITE)
async def delete_group(work: Work, group_id: GroupId, *, expected: int | None) -> None:
    """Delete a group; its devices stay."""
    group = await _lock(work, group_id, expected)
    await group_store.delete_group(work.tx, group_id)
    work.record("device-group.delete", group_id, before=group)


async def load_group(work: Work, group_id: GroupId) -> DeviceGroup:
    """One group, without asking for rights."""
    group = await group_store.select_group(work.tx, group_id)
    if group is None:
        raise NotFound("device group", group_id)
    return group


def _merge_selector(old: TagSelector, patch: Mapping[str, Any]) -> TagSelector:
    try:
        return msgspec.convert(merge(msgspec.to_builtins(old), patch), TagSelector)
    except msgspec.ValidationError as error:
        raise Invalid.field("/selector", str(error)) from error


async def _lock(work: Work, group_id: GroupId, expected: int | None) -> DeviceGroup:
    group = await group_store.lock_group(work.tx, group_id)
    if group is None:
        raise NotFound("device group", group_id)
    check_version(group.version, expected)
    return group


async def _write(work: Work, before: DeviceGroup, draft: DeviceGroupDraft) -> DeviceGroup:
    draft.check()
    if await group_store.is_name_taken(work.tx, draft.name, before.id):
        raise Conflict.taken("device group", "name", draft.name)
    after = msgspec.structs.replace(
        before,
        name=draft.name,
        description=draft.description,
        selector=draft.selector,
        updated_at=work.now(),
        version=before.version + 1,
    )
    if not await group_store.update_group(work.tx, after):
        raise Conflict.taken("device group", "name", draft.name)
    work.record("device-group.update", after.id, before=before, after=after)
    return after
