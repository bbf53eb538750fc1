"""What can be done with devices."""

from typing import Any

import msgspec
from msgspec import UNSET

from roadstead.core import types
from roadstead.core.messages import (
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    DeviceStatusChanged,
    SensorsChanged,
    SessionsRevoked,
)
from roadstead.core.operation import operation
from roadstead.core.registry import device_store
from roadstead.core.registry.checks import merge, merge_location
from roadstead.core.registry.components import equip_device
from roadstead.core.registry.model import (
    OPERATOR_STATUSES,
    Device,
    DeviceChange,
    DeviceDraft,
    DeviceLine,
    DeviceStatus,
    GroupBy,
)
from roadstead.core.registry.search import resolve
from roadstead.core.registry.sites import check_site
from roadstead.core.registry.spaces import load_default_space, load_space
from roadstead.core.types import DeviceProfile
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, Filter
from roadstead.kernel.ids import DeviceId, SpaceId, new_id
from roadstead.kernel.page import Page, PageQuery


class DeviceStats(msgspec.Struct, frozen=True):
    """How many devices there are, and how many of each kind, most first; a key is None for those that have none."""

    total: int
    groups: list[tuple[str | None, int]]


# --- looking up ------------------------------------------------------------------------------------------------------


@operation(Grant.DEVICES_READ)
async def list_devices(
    work: Work, where: Filter = EVERYTHING, *, sort: str | None = None, page: PageQuery
) -> Page[Device]:
    """Devices that a filter is true for (fields: `search.py`), sorted by name, createdAt, lastSeenAt or status."""
    return await device_store.list_devices(work.tx, await resolve(work, where), sort, page)


@operation(Grant.DEVICES_READ)
async def count_devices(work: Work, where: Filter = EVERYTHING) -> int:
    """How many devices a filter is true for."""
    return await device_store.count_devices(work.tx, await resolve(work, where))


@operation(Grant.DEVICES_READ)
async def get_device_stats(work: Work, where: Filter, *, group_by: GroupBy) -> DeviceStats:
    """How many devices there are of each kind."""
    groups = await device_store.count_by(work.tx, await resolve(work, where), group_by)
    return DeviceStats(sum(count for _, count in groups), groups)


@operation(Grant.DEVICES_READ)
async def get_device(work: Work, device_id: DeviceId, *, within: SpaceId | None = None) -> Device:
    """One device; `NotFound` when it is in another space than `within`."""
    device = await load_device(work, device_id)
    if within is not None and device.space_id != within:
        raise NotFound("device", device_id)
    return device


async def load_device(work: Work, device_id: DeviceId) -> Device:
    """One device, without asking for rights."""
    device = await device_store.select_device(work.tx, device_id)
    if device is None:
        raise NotFound("device", device_id)
    return device


async def load_device_ids(work: Work, where: Filter, *, limit: int) -> list[DeviceId]:
    """The first so many devices, by name, that a filter is true for, without asking for rights."""
    return await device_store.select_ids(work.tx, await resolve(work, where), limit=limit)


async def load_device_lines(work: Work, where: Filter, *, limit: int | None = None) -> list[DeviceLine]:
    """What kind devices are that a filter is true for, and what they run; by name, without asking for rights."""
    return await device_store.select_lines(work.tx, await resolve(work, where), limit=limit)


# --- making and changing ---------------------------------------------------------------------------------------------


@operation(Grant.DEVICES_WRITE)
async def create_device(work: Work, draft: DeviceDraft) -> Device:
    """Add a device: ACTIVE when it is virtual, else PENDING until it is seen. See `add_device`."""
    return await add_device(work, draft)


async def add_device(work: Work, draft: DeviceDraft) -> Device:
    """Add a device with the components and sensors of its profile, without asking for rights.

    Its name is free in its space, its external id in the tenant. Nothing has been written when this raises.
    """
    draft.check()
    space = await load_space(work, draft.space_id) if draft.space_id else await load_default_space(work)
    profile = await types.find_device_profile(work, draft.profile, "/deviceProfile") if draft.profile else None
    await _check_neighbours(work, draft)
    await _check_free(work, draft, space.id, besides=None)

    now = work.now()
    device = Device(
        id=DeviceId(new_id()),
        space_id=space.id,
        ordinal=0,
        name=draft.name,
        external_id=draft.external_id or None,
        serial_number=draft.serial_number or None,
        status=DeviceStatus.ACTIVE if draft.virtual else DeviceStatus.PENDING,
        online=False,
        virtual=draft.virtual,
        profile_id=profile.id if profile else None,
        profile=profile.reference if profile else None,
        site_id=draft.site_id,
        parent_id=draft.parent_id,
        location=draft.location,
        tags=draft.tags,
        metadata=draft.metadata,
        notes=draft.notes,
        firmware_version=None,
        hardware_id=None,
        last_seen_at=None,
        activated_at=now if draft.virtual else None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    ordinal = await device_store.insert_device(work.tx, device)
    if ordinal is None:
        raise Conflict.taken("device", "name", device.name)
    device = msgspec.structs.replace(device, ordinal=ordinal)
    if profile is not None:
        await equip_device(work, device, profile)
    work.record("device.create", device.id, after=device)
    work.emit(DeviceCreated(device.id))
    return device


@operation(Grant.DEVICES_WRITE)
async def change_device(work: Work, device_id: DeviceId, change: DeviceChange, *, expected: int | None) -> Device:
    """Change some fields; tags, metadata and notes are merged. `expected` is the version the caller has seen."""
    before = await _lock(work, device_id, expected)
    sent = change.sent()
    for name in ("tags", "metadata", "notes"):
        patch = getattr(change, name)
        if patch is not UNSET:
            sent[name] = merge(getattr(before, name), patch)
    if change.location is not UNSET:
        sent["location"] = merge_location(before.location, change.location)
    fields = {name: sent.get(name, getattr(before, name)) for name in DeviceDraft.__struct_fields__}
    return await _write(work, before, DeviceDraft(**fields))


@operation(Grant.DEVICES_WRITE)
async def replace_device(work: Work, device_id: DeviceId, draft: DeviceDraft, *, expected: int | None) -> Device:
    """Change all fields; what the draft leaves out goes back to its default. It keeps its space and its notes."""
    before = await _lock(work, device_id, expected)
    return await _write(work, before, msgspec.structs.replace(draft, notes=before.notes))


async def _write(work: Work, before: Device, draft: DeviceDraft) -> Device:
    draft.check()
    profile: DeviceProfile | None = None
    if draft.profile is not None and draft.profile != before.profile:
        profile = await types.find_device_profile(work, draft.profile, "/deviceProfile")
    if draft.parent_id is not None and draft.parent_id != before.parent_id:
        await device_store.lock_tree(work.tx, "device")
        if await device_store.is_below(work.tx, draft.parent_id, before.id):
            raise Invalid.field("/parentDeviceId", "is the device itself or below it")
    await _check_neighbours(work, draft)
    await _check_free(work, draft, before.space_id, besides=before.id)

    fields: dict[str, Any] = {name: getattr(draft, name) for name in DeviceDraft.__struct_fields__}
    fields |= {
        "space_id": before.space_id,
        "external_id": draft.external_id or None,
        "serial_number": draft.serial_number or None,
        "profile_id": profile.id if profile else before.profile_id if draft.profile else None,
        "profile": profile.reference if profile else before.profile if draft.profile else None,
        "updated_at": work.now(),
        "version": before.version + 1,
    }
    after = msgspec.structs.replace(before, **fields)
    if not await device_store.update_device(work.tx, after):
        raise Conflict.taken("device", "name", after.name)
    if profile is not None and after.profile_id != before.profile_id:
        await equip_device(work, after, profile)
        work.emit(SensorsChanged(after.id))
    work.record("device.update", after.id, before=before, after=after)
    work.emit(DeviceChanged(after.id))
    return after


async def _lock(work: Work, device_id: DeviceId, expected: int | None) -> Device:
    device = await device_store.lock_device(work.tx, device_id)
    if device is None:
        raise NotFound("device", device_id)
    check_version(device.version, expected)
    return device


async def _check_neighbours(work: Work, draft: DeviceDraft) -> None:
    await check_site(work, draft.site_id)
    if draft.parent_id is not None and await device_store.select_device(work.tx, draft.parent_id) is None:
        raise Invalid.field("/parentDeviceId", "there is no such device")


async def _check_free(work: Work, draft: DeviceDraft, space_id: SpaceId, *, besides: DeviceId | None) -> None:
    if await device_store.is_name_taken(work.tx, space_id, draft.name, besides):
        raise Conflict.taken("device", "name", draft.name)
    if draft.external_id and await device_store.is_external_id_taken(work.tx, draft.external_id, besides):
        raise Conflict.taken("device", "externalId", draft.external_id)


@operation(Grant.DEVICES_WRITE)
async def delete_device(work: Work, device_id: DeviceId, *, purge: bool, expected: int | None) -> None:
    """Delete a device and cut its sessions; its certificates are revoked. With `purge` its readings go as well."""
    device = await _lock(work, device_id, expected)
    await device_store.delete_device(work.tx, device_id, work.now())
    work.record("device.delete", device_id, before=device)
    work.emit(SessionsRevoked(device_id, None, "the device was deleted"))
    work.emit(DeviceDeleted(device_id, purge))


# --- status ----------------------------------------------------------------------------------------------------------


@operation(Grant.DEVICES_WRITE)
async def set_device_status(work: Work, device_id: DeviceId, status: DeviceStatus, *, reason: str | None) -> Device:
    """An operator's word: ACTIVE, INACTIVE or MAINTENANCE. `Conflict` while it is PENDING.

    INACTIVE cuts the sessions of the device.
    """
    if status not in OPERATOR_STATUSES:
        raise Invalid.field("/status", f"is one of {', '.join(sorted(OPERATOR_STATUSES))}")
    before = await _lock(work, device_id, None)
    if before.status is DeviceStatus.PENDING:
        raise Conflict("the device has not been seen yet", code="invalid-state")
    after = await _set_status(work, before, status, reason)
    if status is DeviceStatus.INACTIVE:
        work.emit(SessionsRevoked(device_id, None, reason or "the device is inactive"))
    return after


async def await_check_in(work: Work, device_id: DeviceId) -> Device:
    """The device is PENDING again until it is seen: it gets a new credential. Without asking for rights."""
    before = await _lock(work, device_id, None)
    if before.status is DeviceStatus.PENDING:
        return before
    return await _set_status(work, before, DeviceStatus.PENDING, None)


async def note_hardware(
    work: Work, device_id: DeviceId, *, hardware_id: str | None, firmware_version: str | None
) -> None:
    """What a device says it is; what it does not say stays. Without asking for rights."""
    if hardware_id is not None or firmware_version is not None:
        await device_store.update_hardware(
            work.tx, device_id, hardware_id=hardware_id, firmware_version=firmware_version
        )


class _StatusAudit(msgspec.Struct, frozen=True):
    status: DeviceStatus
    reason: str | None = None


async def _set_status(work: Work, before: Device, status: DeviceStatus, reason: str | None) -> Device:
    now = work.now()
    activated_at = before.activated_at or (now if status is DeviceStatus.ACTIVE else None)
    after = msgspec.structs.replace(
        before, status=status, activated_at=activated_at, updated_at=now, version=before.version + 1
    )
    await device_store.update_status(work.tx, after)
    work.record(
        "device.set-status", after.id, before=_StatusAudit(before.status), after=_StatusAudit(after.status, reason)
    )
    work.emit(DeviceStatusChanged(after.id, after.status, after.online))
    return after
