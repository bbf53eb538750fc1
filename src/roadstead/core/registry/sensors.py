"""What can be done with sensors, and how they follow the profile of their component."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from roadstead.core.messages import SensorsChanged, ValueType
from roadstead.core.operation import operation
from roadstead.core.ports import Series
from roadstead.core.registry import component_store, device_store, sensor_store
from roadstead.core.registry.checks import merge
from roadstead.core.registry.model import Component, Sensor, SensorChange, SensorDraft
from roadstead.core.types import SensorProfile, SensorTemplate
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import And, Filter, Or, equals, starts_with
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.DEVICES_READ)
async def list_sensors(
    work: Work,
    *,
    device_id: DeviceId | None = None,
    component_id: ComponentId | None = None,
    value_type: ValueType | None = None,
    active: bool | None = None,
    text: str | None = None,
    sort: str | None = None,
    page: PageQuery,
) -> Page[Sensor]:
    """Sensors, sorted by `name`, `createdAt` or `lastReadingAt`. `text` begins the name or the key, in any case."""
    parts: list[Filter] = [
        equals(name, value)
        for name, value in (
            ("deviceId", device_id),
            ("componentId", component_id),
            ("valueType", value_type),
            ("active", active),
        )
        if value is not None
    ]
    if text:
        parts.append(Or((starts_with("nameLower", text.lower()), starts_with("keyLower", text.lower()))))
    return await sensor_store.list_sensors(work.tx, And(tuple(parts)), sort, page)


@operation(Grant.DEVICES_READ)
async def get_sensor(work: Work, sensor_id: SensorId) -> Sensor:
    """One sensor, with its latest value."""
    sensor = await sensor_store.select_sensor(work.tx, sensor_id)
    if sensor is None:
        raise NotFound("sensor", sensor_id)
    return sensor


@operation(Grant.DEVICES_WRITE)
async def create_sensor(work: Work, draft: SensorDraft) -> Sensor:
    """Describe a sensor before it reports. Its key is free on its component, or on its device when it has none."""
    draft.check()
    device_id, component = await _home(work, draft)
    now = work.now()
    sensor = Sensor(
        id=SensorId(new_id()),
        device_id=device_id,
        component_id=component.id if component else None,
        key=draft.key,
        path=_path(component, draft.key),
        name=draft.name or draft.key,
        value_type=draft.value_type,
        unit=draft.unit,
        field=None,
        min=draft.min,
        max=draft.max,
        metadata=draft.metadata,
        active=True,
        latest=None,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await sensor_store.insert_sensors(work.tx, [sensor]):
        raise Conflict.taken("sensor", "key", sensor.key)
    work.record("sensor.create", sensor.id, after=sensor)
    work.emit(SensorsChanged(device_id))
    return sensor


@operation(Grant.DEVICES_WRITE)
async def change_sensor(work: Work, sensor_id: SensorId, change: SensorChange, *, expected: int | None) -> Sensor:
    """Change some fields; metadata is merged. The value type is fixed once there are readings."""
    before = await _lock(work, sensor_id, expected)
    sent = change.sent()
    if change.metadata is not UNSET:
        sent["metadata"] = merge(before.metadata, change.metadata)
    fields = {name: sent.get(name, getattr(before, name)) for name in SensorDraft.__struct_fields__}
    return await _write(work, before, SensorDraft(**fields))


@operation(Grant.DEVICES_WRITE)
async def replace_sensor(work: Work, sensor_id: SensorId, draft: SensorDraft, *, expected: int | None) -> Sensor:
    """Change all fields; what the draft leaves out goes back to its default. Its home and key must be what they are."""
    return await _write(work, await _lock(work, sensor_id, expected), draft)


@operation(Grant.DEVICES_WRITE)
async def delete_sensor(work: Work, sensor_id: SensorId, *, purge: bool, expected: int | None) -> None:
    """Delete a sensor; with `purge` its readings go with it, without it `Conflict` when there are any."""
    sensor = await _lock(work, sensor_id, expected)
    if not purge and await has_readings(work, sensor):
        raise Conflict("the sensor has readings; say purge=true to delete them with it", code="in-use")
    await sensor_store.delete_sensors(work.tx, sensor.device_id, [sensor])
    work.record("sensor.delete", sensor_id, before=sensor)
    work.emit(SensorsChanged(sensor.device_id))
    if purge:
        # Last, because this cannot be taken back.
        await work.ports.telemetry.delete(work.tenant_id, sensor.device_id, sensor.path, None)


async def has_readings(work: Work, sensor: Sensor) -> bool:
    """Whether the sensor ever reported a value that is still kept."""
    if sensor.latest is not None:
        return True
    return await work.ports.telemetry.count(work.tenant_id, Series(sensor.device_id, sensor.path)) > 0


async def _home(work: Work, draft: SensorDraft) -> tuple[DeviceId, Component | None]:
    """The device and the component a sensor shall be on."""
    component = None
    if draft.component_id is not None:
        component = await component_store.lock_component(work.tx, draft.component_id)
        if component is None:
            raise Invalid.field("/componentId", "there is no such component")
        if draft.device_id not in (None, component.device_id):
            raise Invalid.field("/componentId", "is a component of another device")
    device_id = component.device_id if component else draft.device_id
    device = await device_store.lock_device(work.tx, device_id) if device_id else None
    if device is None:
        raise Invalid.field("/deviceId", "there is no such device")
    return device.id, component


async def _lock(work: Work, sensor_id: SensorId, expected: int | None) -> Sensor:
    sensor = await sensor_store.lock_sensor(work.tx, sensor_id)
    if sensor is None:
        raise NotFound("sensor", sensor_id)
    check_version(sensor.version, expected)
    return sensor


async def _write(work: Work, before: Sensor, draft: SensorDraft) -> Sensor:
    draft.check()
    for name, pointer in (("device_id", "/deviceId"), ("component_id", "/componentId"), ("key", "/key")):
        sent = getattr(draft, name)
        if sent is not None and sent != getattr(before, name):
            raise Invalid.field(pointer, "cannot be changed: readings are filed under it", code="immutable")
    if draft.value_type is not before.value_type and await has_readings(work, before):
        raise Invalid.field("/valueType", f"is {before.value_type} since the first reading", code="immutable")
    after = msgspec.structs.replace(
        before,
        name=draft.name or draft.key,
        value_type=draft.value_type,
        unit=draft.unit,
        min=draft.min,
        max=draft.max,
        metadata=draft.metadata,
        updated_at=work.now(),
        version=before.version + 1,
    )
    await sensor_store.update_sensors(work.tx, [after])
    work.record("sensor.update", after.id, before=before, after=after)
    work.emit(SensorsChanged(after.device_id))
    return after


def _path(component: Component | None, key: str) -> str:
    return key if component is None else f"{component.key}/{key}"


# --- following the profile -------------------------------------------------------------------------------------------


async def bind_sensors(work: Work, device_id: DeviceId, components: Sequence[tuple[Component, SensorProfile]]) -> None:
    """Bring the sensors of components in line with their profiles.

    Each field has its sensor afterwards; sensors of fields that are gone are inactive; those that nobody described
    by a field stay. Raises `Conflict` when a sensor with readings would have to change its type.
    """
    there = {sensor.path: sensor for sensor in await sensor_store.select_device_sensors(work.tx, device_id)}
    now = work.now()
    new, changed = [], []
    for component, profile in components:
        templates = {_path(component, template.key): template for template in profile.sensors()}
        for path, template in templates.items():
            known = there.get(path)
            if known is None:
                new.append(_sensor(component, path, template, now))
            elif (bound := await _bind(work, known, component, template)) != known:
                changed.append(msgspec.structs.replace(bound, updated_at=now, version=known.version + 1))
        changed += [
            msgspec.structs.replace(sensor, active=False, updated_at=now, version=sensor.version + 1)
            for sensor in there.values()
            if sensor.component_id == component.id and sensor.field and sensor.active and sensor.path not in templates
        ]
    if new:
        await sensor_store.insert_sensors(work.tx, new)
    if changed:
        await sensor_store.update_sensors(work.tx, changed)


async def _bind(work: Work, sensor: Sensor, component: Component, template: SensorTemplate) -> Sensor:
    if template.value_type is not sensor.value_type and await has_readings(work, sensor):
        raise Conflict(
            f"sensor '{sensor.path}' holds {sensor.value_type} readings, where the profile has {template.value_type}",
            code="profile-mismatch",
        )
    return msgspec.structs.replace(
        sensor,
        component_id=component.id,
        value_type=template.value_type,
        unit=template.unit,
        field=template.field,
        min=template.min,
        max=template.max,
        active=True,
    )


def _sensor(component: Component, path: str, template: SensorTemplate, now: datetime) -> Sensor:
    return Sensor(
        id=SensorId(new_id()),
        device_id=component.device_id,
        component_id=component.id,
        key=template.key,
        path=path,
        name=template.name,
        value_type=template.value_type,
        unit=template.unit,
        field=template.field,
        min=template.min,
        max=template.max,
        metadata={},
        active=True,
        latest=None,
        created_at=now,
        updated_at=now,
        version=1,
    )
