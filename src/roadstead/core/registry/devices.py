"""What can be done with devices."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from roadstead.core import types
from roadstead.core.messages import (
    DeviceChanged,
    DeviceCreated,
    DeviceStatusChanged,
    SensorsChanged,
    SessionsRevoked,
)
from roadstead.core.operation import operation
from roadstead.core.registry import alias_store, device_store
from roadstead.core.registry.checks import merge, merge_location
from roadstead.core.registry.classes import check_class, leaves_gateway, settle_repeated
from roadstead.core.registry.components import equip_device
from roadstead.core.registry.device_store import Tree
from roadstead.core.registry.device_types import describe_sensors
from roadstead.core.registry.model import (
    MAX_NAME,
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
from roadstead.core.types import DeviceProfile, TypeOrigin
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, And, Filter, In
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
    """Devices that a filter is true for (fields: `search.py`), sorted by name, called, createdAt, updatedAt, lastSeenAt
    or status.
    """
    return await device_store.list_devices(work.tx, await resolve(work, where), sort, page)


@operation(Grant.DEVICES_READ)
async def count_devices(work: Work, where: Filter = EVERYTHING) -> int:
    """How many devices a filter is true for."""
    return await device_store.count_devices(work.tx, await resolve(work, where))


@operation(Grant.DEVICES_READ)
async def list_tag_keys(work: Work) -> list[str]:
    """The keys of tags that devices have, each once."""
    return await device_store.select_tag_keys(work.tx)


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


@operation(Grant.DEVICES_READ)
async def find_device(work: Work, device_id: DeviceId) -> Device | None:
    """One device, if it is there."""
    return await device_store.select_device(work.tx, device_id)


@operation(Grant.DEVICES_READ)
async def find_device_in_network(work: Work, network_id: str, key: str, value: str) -> Device | None:
    """The device that a network calls so, if there is one."""
    device_id = await alias_store.select_named_in_network(work.tx, network_id, key, value)
    return await load_device(work, device_id) if device_id is not None else None


async def load_device_ids(work: Work, where: Filter, *, limit: int) -> list[DeviceId]:
    """The first so many devices, by name, that a filter is true for, without asking for rights."""
    return await device_store.select_ids(work.tx, await resolve(work, where), limit=limit)


async def pick_devices(work: Work, where: Filter, device_ids: Sequence[DeviceId]) -> set[DeviceId]:
    """Those of these devices that a filter is true for, without asking for rights."""
    chosen = And((In(("id",), tuple(device_ids)), await resolve(work, where)))
    return set(await device_store.select_ids(work.tx, chosen, limit=len(device_ids)))


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

    Its name is free in its space, its external id and its aliases in the tenant. Its type, too, gives it sensors.
    Nothing has been written when this raises.
    """
    space = await load_space(work, draft.space_id) if draft.space_id else await load_default_space(work)
    called = draft.title
    draft, type_ = await _settle_type(work, draft, None)
    draft = await _named(work, draft, space.id, besides=None)
    draft.check()
    profile = await types.find_device_profile(work, draft.profile, "/deviceProfile") if draft.profile else None
    await _check_neighbours(work, draft, None)
    await _check_free(work, draft, space.id, besides=None)

    now = work.now()
    device = Device(
        id=DeviceId(new_id()),
        space_id=space.id,
        ordinal=0,
        name=draft.name,
        title=draft.title,
        external_id=draft.external_id or None,
        serial_number=draft.serial_number or None,
        status=DeviceStatus.ACTIVE if draft.virtual else DeviceStatus.PENDING,
        online=False,
        virtual=draft.virtual,
        profile_id=profile.id if profile else None,
        profile=profile.reference if profile else None,
        type_id=draft.type_id,
        site_id=draft.site_id,
        parent_id=draft.parent_id,
        gateway_id=draft.gateway_id,
        aliases=draft.aliases,
        network_id=draft.network_id,
        network_aliases=draft.network_aliases,
        purpose=draft.purpose,
        device_class=draft.device_class,
        system_interval=draft.system_interval,
        communication_interval=draft.communication_interval,
        location=draft.location,
        tags=draft.tags,
        repeated_tags=draft.repeated_tags,
        metadata=draft.metadata,
        notes=draft.notes,
        firmware_version=None,
        hardware_id=None,
        last_seen_at=None,
        connected_at=None,
        disconnected_at=None,
        activated_at=now if draft.virtual else None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    ordinal = await device_store.insert_device(work.tx, device)
    if ordinal is None and called is not None:
        # Somebody else has just taken what it is called.
        device = msgspec.structs.replace(device, name=mark_name(called), title=called)
        ordinal = await device_store.insert_device(work.tx, device)
    if ordinal is None:
        raise Conflict.taken("device", "name", device.name)
    device = msgspec.structs.replace(device, ordinal=ordinal)
    if draft.aliases and not await alias_store.replace_aliases(work.tx, device.id, draft.aliases):
        raise _alias_taken(draft.aliases[0])
    await _name_in_networks(work, device, {})
    if profile is not None:
        await equip_device(work, device, profile)
    if type_ is not None:
        await describe_sensors(work, type_, [device.id])
    work.record("device.create", device.id, after=device)
    work.emit(DeviceCreated(device.id))
    return device


@operation(Grant.DEVICES_WRITE)
async def change_device(work: Work, device_id: DeviceId, change: DeviceChange, *, expected: int | None) -> Device:
    """Change some fields; tags, metadata and notes are merged. `expected` is the version the caller has seen."""
    before = await _lock(work, device_id, expected)
    sent = change.sent()
    for name in ("tags", "metadata", "notes", "network_aliases"):
        patch = getattr(change, name)
        if patch is not UNSET:
            sent[name] = merge(getattr(before, name), patch)
    if "network_aliases" in sent:
        sent["network_aliases"] = {network: keys for network, keys in sent["network_aliases"].items() if keys}
    if change.location is not UNSET:
        sent["location"] = merge_location(before.location, change.location)
    is_called_anew = change.title is not UNSET and change.title != (before.title or before.name)
    if not is_called_anew:
        # Whoever gives it another name means what people call it.
        sent["title"] = before.title if sent.get("name", before.name) == before.name else None
    fields = {name: sent.get(name, getattr(before, name)) for name in DeviceDraft.__struct_fields__}
    draft = DeviceDraft(**fields)
    if change.gateway_id is UNSET and leaves_gateway(before, draft):
        draft = msgspec.structs.replace(draft, gateway_id=None)
    if change.repeated_tags is UNSET:
        draft = msgspec.structs.replace(
            draft, repeated_tags=settle_repeated(before.tags, draft.tags, before.repeated_tags)
        )
    if is_called_anew:
        draft = await _named(work, draft, before.space_id, besides=before.id)
    return await _write(work, before, draft)


@operation(Grant.DEVICES_WRITE)
async def replace_device(work: Work, device_id: DeviceId, draft: DeviceDraft, *, expected: int | None) -> Device:
    """Change all fields; what the draft leaves out goes back to its default.

    It keeps its space, its notes, and what belongs to its type.
    """
    before = await _lock(work, device_id, expected)
    kept = {name: getattr(before, name) for name in _KEPT}
    title = before.title if draft.name == before.name else None
    repeated = settle_repeated(before.tags, draft.tags, before.repeated_tags)
    return await _write(work, before, msgspec.structs.replace(draft, title=title, repeated_tags=repeated, **kept))


_KEPT = (
    "notes",
    "type_id",
    "gateway_id",
    "aliases",
    "network_id",
    "network_aliases",
    "purpose",
    "device_class",
    "system_interval",
    "communication_interval",
)


async def _write(work: Work, before: Device, draft: DeviceDraft) -> Device:
    draft, type_ = await _settle_type(work, draft, before)
    draft.check()
    profile: DeviceProfile | None = None
    if draft.profile is not None and draft.profile != before.profile:
        profile = await types.find_device_profile(work, draft.profile, "/deviceProfile")
    if draft.parent_id is not None and draft.parent_id != before.parent_id:
        await device_store.lock_tree(work.tx, "device")
        if await device_store.is_below(work.tx, Tree.PARENT, draft.parent_id, before.id):
            raise Invalid.field("/parentDeviceId", "is the device itself or below it")
    await _check_neighbours(work, draft, before)
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
    if after.aliases != before.aliases and not await alias_store.replace_aliases(work.tx, after.id, after.aliases):
        raise _alias_taken(after.aliases[0])
    await _name_in_networks(work, after, before.network_aliases)
    if profile is not None and after.profile_id != before.profile_id:
        await equip_device(work, after, profile)
        work.emit(SensorsChanged(after.id))
    if type_ is not None:
        await describe_sensors(work, type_, [after.id])
    work.record("device.update", after.id, before=before, after=after)
    work.emit(DeviceChanged(after.id))
    return after


async def _lock(work: Work, device_id: DeviceId, expected: int | None) -> Device:
    device = await device_store.lock_device(work.tx, device_id)
    if device is None:
        raise NotFound("device", device_id)
    check_version(device.version, expected)
    return device


async def _settle_type(
    work: Work, draft: DeviceDraft, before: Device | None
) -> tuple[DeviceDraft, types.DeviceType | None]:
    """The draft with a type that can be written, and that type when it is new to the device."""
    if draft.type_id is None or (before is not None and draft.type_id == before.type_id):
        return draft, None
    type_ = await types.find_device_type(work, draft.type_id, "/deviceTypeId")
    match type_.origin:
        case TypeOrigin.DEFINED:
            return draft, type_
        case TypeOrigin.PROFILE:
            return msgspec.structs.replace(draft, type_id=None, profile=type_.model), None
    return msgspec.structs.replace(draft, type_id=None, profile=None), None


async def _named(work: Work, draft: DeviceDraft, space_id: SpaceId, *, besides: DeviceId | None) -> DeviceDraft:
    """With a name that is made from the title: the same if it can be, and then it needs no title."""
    title = draft.title
    if title is None:
        return draft
    draft = msgspec.structs.replace(draft, name=mark_name(title))
    draft.check()
    if len(title) <= MAX_NAME and not await device_store.is_name_taken(work.tx, space_id, title, besides):
        return msgspec.structs.replace(draft, name=title, title=None)
    return draft


def mark_name(title: str) -> str:
    """A name made from what people call it that nobody else has."""
    mark = f" ({secrets.token_hex(4)})"
    return title[: MAX_NAME - len(mark)] + mark


async def _check_neighbours(work: Work, draft: DeviceDraft, before: Device | None) -> None:
    await check_site(work, draft.site_id)
    await check_class(work, draft, before)
    if draft.parent_id is not None and await device_store.select_device(work.tx, draft.parent_id) is None:
        raise Invalid.field("/parentDeviceId", "there is no such device")
    if draft.gateway_id is None or (before is not None and draft.gateway_id == before.gateway_id):
        return
    if await device_store.select_device(work.tx, draft.gateway_id) is None:
        raise Conflict(f"connectedBy: there is no device {draft.gateway_id}")
    if before is not None:
        await device_store.lock_tree(work.tx, "gateway")
        if await device_store.is_below(work.tx, Tree.GATEWAY, draft.gateway_id, before.id):
            raise Invalid.field("/connectedBy", "is the device itself or connected by it")


async def _check_free(work: Work, draft: DeviceDraft, space_id: SpaceId, *, besides: DeviceId | None) -> None:
    if await device_store.is_name_taken(work.tx, space_id, draft.name, besides):
        raise Conflict.taken("device", "name", draft.name)
    if draft.external_id and await device_store.is_external_id_taken(work.tx, draft.external_id, besides):
        raise Conflict.taken("device", "externalId", draft.external_id)
    if draft.aliases:
        taken = await alias_store.find_taken_alias(work.tx, draft.aliases, besides)
        if taken is not None:
            raise _alias_taken(taken)
    if draft.network_aliases:
        taken = await alias_store.find_taken_network_alias(work.tx, draft.network_aliases, besides)
        if taken is not None:
            raise _network_alias_taken(taken)


async def _name_in_networks(work: Work, device: Device, before: Mapping[str, Mapping[str, str]]) -> None:
    wanted = device.network_aliases
    if wanted != before and not await alias_store.replace_network_aliases(work.tx, device.id, wanted):
        raise _network_alias_taken(next(value for keys in wanted.values() for value in keys.values()))


def _network_alias_taken(value: str) -> Conflict:
    return Conflict.taken("device", "networkAliases", value)


def _alias_taken(alias: str) -> Conflict:
    return Conflict.taken("device", "alias", alias)


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
