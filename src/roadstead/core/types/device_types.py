"""What can be done with device types.

Every version of a device profile is shown as one, and all devices that have neither as one more; these are read only.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.core.messages import DeviceTypeChanged
from roadstead.core.operation import operation
from roadstead.core.types import device_type_store, store
from roadstead.core.types.derived_types import OPEN_SECTIONS, profile_sections
from roadstead.core.types.device_type_model import DeviceType, DeviceTypeChange, DeviceTypeDraft, TypeOrigin
from roadstead.core.types.model import DeviceProfile
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, Filter
from roadstead.kernel.ids import ProfileId, TypeId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.PROFILES_READ)
async def list_device_types(work: Work, where: Filter = EVERYTHING, *, page: PageQuery) -> Page[DeviceType]:
    """Types that a filter on `id`, `name` and `category` is true for, newest first; those that show profiles too.

    That of devices without a type is among them when there are such devices.
    """
    found = await device_type_store.list_types(work.tx, where, page)
    return msgspec.structs.replace(found, items=await _complete(work, found.items))


@operation(Grant.PROFILES_READ)
async def get_device_type(work: Work, type_id: TypeId) -> DeviceType:
    """One type."""
    return await load_device_type(work, type_id)


@operation(Grant.PROFILES_READ)
async def list_categories(work: Work) -> list[str]:
    """The categories that types have, each once."""
    return await device_type_store.select_categories(work.tx)


@operation(Grant.PROFILES_WRITE)
async def create_device_type(work: Work, draft: DeviceTypeDraft) -> DeviceType:
    """Add a type. Its name need not be its alone."""
    draft.check()
    now = work.now()
    fields = {name: getattr(draft, name) for name in DeviceTypeDraft.__struct_fields__}
    type_ = DeviceType(
        id=TypeId(new_id()), origin=TypeOrigin.DEFINED, created_at=now, updated_at=now, version=1, **fields
    )
    await device_type_store.insert_type(work.tx, type_)
    work.record("device-type.create", type_.id, after=type_)
    return type_


@operation(Grant.PROFILES_WRITE)
async def delete_device_type(work: Work, type_id: TypeId) -> None:
    """Delete a type that no device has; `Conflict` (`in-use`) for another."""
    type_ = await _lock(work, type_id)
    if await device_type_store.is_type_used(work.tx, type_id) or not await device_type_store.delete_type(
        work.tx, type_id
    ):
        raise Conflict(f"device type '{type_.name}' is in use", code="in-use")
    work.record("device-type.delete", type_id, before=type_)


# --- for the rooms above ---------------------------------------------------------------------------------------------


async def rewrite_device_type(work: Work, type_id: TypeId, change: DeviceTypeChange) -> tuple[DeviceType, DeviceType]:
    """The type before and after a change, without asking for rights: `registry.change_device_type` does."""
    before = await _lock(work, type_id)
    fields = {name: getattr(before, name) for name in DeviceTypeDraft.__struct_fields__} | change.sent()
    draft = DeviceTypeDraft(**fields)
    draft.check()
    after = msgspec.structs.replace(before, **fields, updated_at=work.now(), version=before.version + 1)
    await device_type_store.update_type(work.tx, after)
    work.record("device-type.update", type_id, before=before, after=after)
    work.emit(DeviceTypeChanged(type_id))
    return before, after


async def load_device_type(work: Work, type_id: TypeId) -> DeviceType:
    """One type, without asking for rights."""
    found = (await load_device_types(work, [type_id])).get(type_id)
    if found is None:
        raise NotFound("device type", type_id)
    return found


async def load_device_types(work: Work, type_ids: Sequence[TypeId]) -> dict[TypeId, DeviceType]:
    """Those of the types that are there, without asking for rights."""
    found = await device_type_store.select_types(work.tx, list(type_ids))
    return {type_.id: type_ for type_ in await _complete(work, found)}


async def find_device_type(work: Work, type_id: TypeId, pointer: str) -> DeviceType:
    """One type; `Invalid` at the pointer when it is not there."""
    found = (await load_device_types(work, [type_id])).get(type_id)
    if found is None:
        raise Invalid.field(pointer, "there is no such device type")
    return found


async def device_type_ids(work: Work, where: Filter) -> list[TypeId]:
    """The ids of all types that a filter on `id`, `name` and `category` is true for. For filters."""
    return await device_type_store.select_type_ids(work.tx, where)


async def _lock(work: Work, type_id: TypeId) -> DeviceType:
    type_ = await device_type_store.lock_type(work.tx, type_id)
    if type_ is not None:
        return type_
    shown = await load_device_type(work, type_id)
    raise Forbidden(f"device type '{shown.name}' follows from how its devices are made and cannot be changed")


async def _complete(work: Work, found: Sequence[DeviceType]) -> list[DeviceType]:
    """With the sections of those that show something else."""
    profile_ids = [ProfileId(type_.id) for type_ in found if type_.origin is TypeOrigin.PROFILE]
    sections: dict[TypeId, dict[str, dict[str, Any]]] = {}
    if profile_ids:
        profiles = await store.select_profiles(work.tx, DeviceProfile, profile_ids)
        keys = {one.sensor_profile.rpartition("@")[0] for profile in profiles for one in profile.components}
        parts = {one.reference: one for one in await device_type_store.select_sensor_profiles(work.tx, sorted(keys))}
        sections = {TypeId(profile.id): profile_sections(profile, parts) for profile in profiles}
    return [
        type_
        if type_.origin is TypeOrigin.DEFINED
        else msgspec.structs.replace(type_, sections=sections.get(type_.id, OPEN_SECTIONS))
        for type_ in found
    ]
