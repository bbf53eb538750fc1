"""What can be done with groups of devices."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from roadstead.core.messages import GroupChanged
from roadstead.core.operation import operation
from roadstead.core.registry import device_store, group_store
from roadstead.core.registry.checks import merge
from roadstead.core.registry.group_model import DeviceGroup, DeviceGroupChange, DeviceGroupDraft, TagSelector
from roadstead.core.registry.model import Device
from roadstead.core.registry.search import resolve, selected
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, And, In, contains
from roadstead.kernel.ids import DeviceId, GroupId, new_id
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
    """Delete a group; its devices stay. `Conflict` while something is meant for the group."""
    group = await _lock(work, group_id, expected)
    if not await group_store.delete_group(work.tx, group_id):
        raise Conflict("something is bound to this group", code="in-use")
    work.record("device-group.delete", group_id, before=group)
    work.emit(GroupChanged(group_id))


async def load_group(work: Work, group_id: GroupId) -> DeviceGroup:
    """One group, without asking for rights."""
    group = await group_store.select_group(work.tx, group_id)
    if group is None:
        raise NotFound("device group", group_id)
    return group


async def find_memberships(
    work: Work, group_ids: Sequence[GroupId], among: Sequence[DeviceId]
) -> dict[GroupId, set[DeviceId]]:
    """Which of these devices are members of which of these groups at present, without asking for rights."""
    found: dict[GroupId, set[DeviceId]] = {}
    for group_id in group_ids:
        where = And((In(("id",), tuple(among)), In(("groupId",), (group_id,))))
        members = await device_store.select_ids(work.tx, await resolve(work, where), limit=len(among))
        found[group_id] = set(members)
    return found


async def walk_members(
    work: Work, group_id: GroupId, *, after: tuple[str, DeviceId] | None, most: int
) -> list[tuple[str, DeviceId]]:
    """The next members of a group by name and id; none when it is gone. Without asking for rights."""
    where = await resolve(work, In(("groupId",), (group_id,)))
    return await device_store.walk_devices(work.tx, where, after=after, most=most)


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
    if after.selector != before.selector:
        work.emit(GroupChanged(after.id))
    work.record("device-group.update", after.id, before=before, after=after)
    return after
