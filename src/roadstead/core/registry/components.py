"""What can be done with components, and how profiles make them."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from roadstead.core import types
from roadstead.core.messages import SensorsChanged
from roadstead.core.operation import operation
from roadstead.core.registry import component_store, device_store, sensor_store
from roadstead.core.registry.checks import merge
from roadstead.core.registry.model import Component, ComponentChange, ComponentDraft, Device
from roadstead.core.registry.sensors import bind_sensors
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import And, Filter, In, Or, starts_with
from roadstead.kernel.ids import ComponentId, DeviceId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.DEVICES_READ)
async def list_components(
    work: Work,
    *,
    device_ids: Sequence[DeviceId] | None = None,
    sensor_profile: str | None = None,
    text: str | None = None,
    sort: str | None = None,
    page: PageQuery,
) -> Page[Component]:
    """Components, sorted by `name` or `createdAt`, of one of the devices, or of all.

    `sensor_profile` is `key` (any version) or `key@major.minor`; `text` begins the name or the key, in any case.
    """
    parts: list[Filter] = []
    if device_ids is not None:
        parts.append(In(("deviceId",), tuple(device_ids)))
    if sensor_profile is not None:
        parts.append(In(("sensorProfileId",), tuple(await types.sensor_profile_ids(work, sensor_profile))))
    if text:
        parts.append(Or((starts_with("nameLower", text.lower()), starts_with("keyLower", text.lower()))))
    return await component_store.list_components(work.tx, And(tuple(parts)), sort, page)


@operation(Grant.DEVICES_READ)
async def get_component(work: Work, component_id: ComponentId) -> Component:
    """One component."""
    return await load_component(work, component_id)


@operation(Grant.DEVICES_WRITE)
async def create_component(work: Work, draft: ComponentDraft) -> Component:
    """Add a component to a device, with the sensors its profile describes. Its key is free there."""
    draft.check()
    device = await device_store.lock_device(work.tx, draft.device_id)
    if device is None:
        raise Invalid.field("/deviceId", "there is no such device")
    profile = await types.find_sensor_profile(work, draft.sensor_profile, "/sensorProfile")
    now = work.now()
    component = Component(
        id=ComponentId(new_id()),
        device_id=device.id,
        key=draft.key,
        name=draft.name,
        sensor_profile_id=profile.id,
        sensor_profile=profile.reference,
        tags=draft.tags,
        metadata=draft.metadata,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await component_store.insert_components(work.tx, [component]):
        raise Conflict.taken("component", "key", component.key)
    await bind_sensors(work, device.id, [(component, profile)])
    work.record("component.create", component.id, after=component)
    work.emit(SensorsChanged(device.id))
    return component


@operation(Grant.DEVICES_WRITE)
async def change_component(
    work: Work, component_id: ComponentId, change: ComponentChange, *, expected: int | None
) -> Component:
    """Change some fields; tags and metadata are merged. With another profile, its sensors follow."""
    before = await _lock(work, component_id, expected)
    sent = change.sent()
    if change.tags is not UNSET:
        sent["tags"] = merge(before.tags, change.tags)
    if change.metadata is not UNSET:
        sent["metadata"] = merge(before.metadata, change.metadata)
    fields = {name: sent.get(name, getattr(before, name)) for name in ComponentDraft.__struct_fields__}
    return await _write(work, before, ComponentDraft(**fields))


@operation(Grant.DEVICES_WRITE)
async def replace_component(
    work: Work, component_id: ComponentId, draft: ComponentDraft, *, expected: int | None
) -> Component:
    """Change all fields; what the draft leaves out goes back to its default. Device and key must be what they are."""
    return await _write(work, await _lock(work, component_id, expected), draft)


@operation(Grant.DEVICES_WRITE)
async def delete_component(work: Work, component_id: ComponentId, *, expected: int | None) -> None:
    """Delete a component that the device's profile does not require. Its sensors become inactive; readings stay."""
    component = await _lock(work, component_id, expected)
    device = await device_store.select_device(work.tx, component.device_id)
    if device is not None and device.profile_id is not None:
        profile = await types.load_device_profile(work, device.profile_id)
        if any(template.required and template.key == component.key for template in profile.components):
            raise Conflict(f"the device's profile {profile.reference} requires this component", code="in-use")
    await sensor_store.retire_sensors(work.tx, component_id, work.now())
    await component_store.delete_component(work.tx, component_id)
    work.record("component.delete", component_id, before=component)
    work.emit(SensorsChanged(component.device_id))


async def _lock(work: Work, component_id: ComponentId, expected: int | None) -> Component:
    component = await component_store.lock_component(work.tx, component_id)
    if component is None:
        raise NotFound("component", component_id)
    check_version(component.version, expected)
    return component


async def _write(work: Work, before: Component, draft: ComponentDraft) -> Component:
    draft.check()
    for name, pointer in (("device_id", "/deviceId"), ("key", "/key")):
        if getattr(draft, name) != getattr(before, name):
            raise Invalid.field(pointer, "cannot be changed: readings are filed under it", code="immutable")
    profile = await types.find_sensor_profile(work, draft.sensor_profile, "/sensorProfile")
    after = msgspec.structs.replace(
        before,
        name=draft.name,
        sensor_profile_id=profile.id,
        sensor_profile=profile.reference,
        tags=draft.tags,
        metadata=draft.metadata,
        updated_at=work.now(),
        version=before.version + 1,
    )
    await component_store.update_component(work.tx, after)
    if after.sensor_profile_id != before.sensor_profile_id:
        await bind_sensors(work, after.device_id, [(after, profile)])
        work.emit(SensorsChanged(after.device_id))
    work.record("component.update", after.id, before=before, after=after)
    return after


# --- for neighbours and the rooms above ------------------------------------------------------------------------------


async def load_component(work: Work, component_id: ComponentId) -> Component:
    """One component, without asking for rights."""
    component = await component_store.select_component(work.tx, component_id)
    if component is None:
        raise NotFound("component", component_id)
    return component


async def load_components(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, list[Component]]:
    """The components of each of the devices, by key, without asking for rights."""
    found: dict[DeviceId, list[Component]] = {device_id: [] for device_id in device_ids}
    for component in await component_store.select_components(work.tx, device_ids):
        found[component.device_id].append(component)
    return found


async def equip_device(work: Work, device: Device, profile: types.DeviceProfile) -> None:
    """Give a device the components of its profile, with their sensors.

    Those it has already are bound to the profile's versions; `Conflict` when one is bound to a profile of another key.
    Others stay as they are.
    """
    there = {component.key: component for component in (await load_components(work, [device.id]))[device.id]}
    missing, bound = [], []
    for index, template in enumerate(profile.components):
        pointer = f"/components/{index}/sensorProfile"
        sensor_profile = await types.find_sensor_profile(work, template.sensor_profile, pointer)
        component = there.get(template.key)
        if component is None:
            component = Component(
                id=ComponentId(new_id()),
                device_id=device.id,
                key=template.key,
                name=template.name,
                sensor_profile_id=sensor_profile.id,
                sensor_profile=sensor_profile.reference,
                tags={},
                metadata={},
                created_at=device.updated_at,
                updated_at=device.updated_at,
                version=1,
            )
            missing.append(component)
        elif component.sensor_profile_id == sensor_profile.id:
            continue
        elif component.sensor_profile.rpartition("@")[0] != sensor_profile.key:
            raise Conflict(
                f"component '{component.key}' is bound to {component.sensor_profile}, "
                f"where {profile.reference} has {sensor_profile.reference}",
                code="profile-mismatch",
            )
        else:
            component = msgspec.structs.replace(
                component,
                sensor_profile_id=sensor_profile.id,
                sensor_profile=sensor_profile.reference,
                updated_at=device.updated_at,
                version=component.version + 1,
            )
            await component_store.update_component(work.tx, component)
        bound.append((component, sensor_profile))
    if missing:
        await component_store.insert_components(work.tx, missing)
    if bound:
        await bind_sensors(work, device.id, bound)
