"""What can be done with the attributes of a device: its sensors, as programs see them that give each a type."""

import re
import secrets
from collections.abc import Collection, Sequence

import msgspec
from msgspec import UNSET

from roadstead.core.messages import SensorsChanged
from roadstead.core.operation import operation
from roadstead.core.ports import Series, Span
from roadstead.core.registry import attribute_store, device_store, sensor_store
from roadstead.core.registry.attribute_model import (
    MAX_ATTRIBUTES,
    MAX_NAME,
    Attribute,
    AttributeChange,
    AttributeDraft,
    DataType,
    spell_name,
)
from roadstead.core.registry.checks import refuse
from roadstead.core.registry.model import Device, Sensor
from roadstead.core.registry.sensors import has_readings
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import DeviceId, SensorId, new_id
from roadstead.kernel.time import EPOCH

_MOST_SENSOR_NAME = 120
_NUMBERS = re.compile(r"(_[0-9]+)+\Z")
_EVER = Span(EPOCH, EPOCH.replace(year=9999))


async def find_attributes(
    work: Work, device_ids: Sequence[DeviceId], names: Collection[str] | None = None
) -> dict[DeviceId, list[Attribute]]:
    """The attributes (of these names) of each of the devices, by name, without asking for rights.

    Sensors that were not made as attributes are called by their path; of two that would be called the same, the second
    has a number.
    """
    found = await attribute_store.select_attributes(work.tx, device_ids, None if names is None else _stems(names))
    known = {device_id: _told_apart(found.get(device_id, [])) for device_id in device_ids}
    if names is None:
        return known
    return {device_id: [each for each in own if each.name in names] for device_id, own in known.items()}


@operation(Grant.DEVICES_READ)
async def list_device_attributes(work: Work, device_id: DeviceId) -> list[Attribute]:
    """The attributes of one device, by name."""
    return (await find_attributes(work, [device_id]))[device_id]


@operation(Grant.DEVICES_WRITE)
async def create_device_attributes(
    work: Work, device_id: DeviceId, drafts: Sequence[AttributeDraft], *, pointer: str = ""
) -> list[Attribute]:
    """Add attributes to a device; `Conflict` for a name that it has. `pointer` is where they are in the request."""
    device = await _lock(work, device_id)
    there = (await find_attributes(work, [device_id]))[device_id]
    _check_drafts(drafts, pointer)
    taken = {attribute.name for attribute in there}
    for draft in drafts:
        if draft.name in taken:
            raise Conflict.taken("attribute", "name", draft.name)
    _check_count(len(there) + len(drafts))
    made = await _insert(work, device, drafts)
    await _tell(work, device)
    return made


@operation(Grant.DEVICES_WRITE)
async def replace_device_attributes(
    work: Work, device_id: DeviceId, drafts: Sequence[AttributeDraft], *, pointer: str = ""
) -> None:
    """These are the attributes of a device from now on, by their names.

    Those that are gone, and those that get another type, lose their history. `Conflict` when such a one belongs to a
    component: its profile describes it.
    """
    device = await _lock(work, device_id)
    there = {attribute.name: attribute for attribute in (await find_attributes(work, [device_id]))[device_id]}
    _check_drafts(drafts, pointer)
    _check_count(len(drafts))
    wanted = {draft.name for draft in drafts}
    gone = [attribute for name, attribute in there.items() if name not in wanted]
    pairs = [(there[draft.name], _changed(there[draft.name], draft)) for draft in drafts if draft.name in there]
    new = [draft for draft in drafts if draft.name not in there]
    changed = [(before, after) for before, after in pairs if before != after]
    if not (gone or changed or new):
        return
    lost = await _delete(work, device, gone)
    lost += await _write(work, device, changed)
    await _insert(work, device, new)
    await _tell(work, device)
    await _purge(work, device, lost)


@operation(Grant.DEVICES_WRITE)
async def change_device_attribute(work: Work, device_id: DeviceId, name: str, change: AttributeChange) -> Attribute:
    """Change some fields; with another type its history is gone. `Conflict` when the new name is another's."""
    device = await _lock(work, device_id)
    there = {attribute.name: attribute for attribute in (await find_attributes(work, [device_id]))[device_id]}
    before = there.get(name)
    if before is None:
        raise NotFound("attribute", name)
    if change.name is not UNSET and change.name != name and change.name in there:
        raise Conflict.taken("attribute", "name", change.name)
    fields = {field: getattr(before, field) for field in AttributeDraft.__struct_fields__}
    draft = AttributeDraft(**(fields | change.sent()))
    refuse(draft.check())
    after = _changed(before, draft)
    if after != before:
        lost = await _write(work, device, [(before, after)])
        await _tell(work, device)
        await _purge(work, device, lost)
    return after


@operation(Grant.DEVICES_WRITE)
async def delete_device_attribute(work: Work, device_id: DeviceId, name: str) -> None:
    """Delete an attribute with its history. `Conflict` when it belongs to a component: its profile describes it."""
    device = await _lock(work, device_id)
    found = [each for each in (await find_attributes(work, [device_id]))[device_id] if each.name == name]
    if not found:
        raise NotFound("attribute", name)
    lost = await _delete(work, device, found)
    await _tell(work, device)
    await _purge(work, device, lost)


async def _lock(work: Work, device_id: DeviceId) -> Device:
    device = await device_store.lock_device(work.tx, device_id)
    if device is None:
        raise NotFound("device", device_id)
    return device


def _stems(names: Collection[str]) -> set[str] | None:
    """What the names of all sensors begin with that have a say in which of them are called so; None: anything.

    These differ from each other in numbers at the end, if at all.
    """
    # A name of full length may have been cut to make room for its number.
    if len(names) > MAX_ATTRIBUTES or any(len(name) == MAX_NAME for name in names):
        return None
    return {_NUMBERS.sub("", name) for name in names if spell_name(name) == name}


def _told_apart(attributes: list[Attribute]) -> list[Attribute]:
    taken: set[str] = set()
    found = []
    for attribute in attributes:
        name, number = attribute.name, 2
        while name in taken:
            mark = f"_{number}"
            name, number = attribute.name[: MAX_NAME - len(mark)] + mark, number + 1
        taken.add(name)
        found.append(attribute if name == attribute.name else msgspec.structs.replace(attribute, name=name))
    return found


def _check_drafts(drafts: Sequence[AttributeDraft], pointer: str) -> None:
    """Lists are named by their pointer and a number, a single one is the request itself."""
    refuse(
        [
            problem
            for index, draft in enumerate(drafts)
            for problem in draft.check(f"{pointer}/{index}" if pointer else "")
        ]
    )
    names = [draft.name for draft in drafts]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise Invalid.field(pointer, f"names '{twice}' twice")


def _check_count(count: int) -> None:
    if count > MAX_ATTRIBUTES:
        raise Invalid.field("/attributes", f"takes at most {MAX_ATTRIBUTES}")


def _changed(before: Attribute, draft: AttributeDraft) -> Attribute:
    return Attribute(**msgspec.structs.asdict(draft), path=before.path, sensor_id=before.sensor_id)


async def _insert(work: Work, device: Device, drafts: Sequence[AttributeDraft]) -> list[Attribute]:
    taken = await attribute_store.select_paths(work.tx, device.id)
    made = []
    for draft in drafts:
        # A sensor that is called otherwise by now, or is not in use, has kept its path.
        path = draft.name if draft.name not in taken else f"{draft.name}_{secrets.token_hex(4)}"
        taken.add(path)
        made.append(Attribute(**msgspec.structs.asdict(draft), path=path, sensor_id=SensorId(new_id())))
    if made:
        await sensor_store.insert_sensors(work.tx, [_sensor(work, device, attribute) for attribute in made])
        await attribute_store.upsert_attributes(work.tx, made)
    for attribute in made:
        work.record("attribute.create", attribute.sensor_id, after=attribute)
    return made


def _sensor(work: Work, device: Device, attribute: Attribute) -> Sensor:
    now = work.now()
    return Sensor(
        id=attribute.sensor_id,
        device_id=device.id,
        component_id=None,
        key=attribute.path,
        path=attribute.path,
        name=attribute.name[:_MOST_SENSOR_NAME],
        value_type=attribute.data_type.value_type,
        unit=None,
        field=None,
        min=None,
        max=None,
        metadata={},
        active=True,
        latest=None,
        created_at=now,
        updated_at=now,
        version=1,
    )


async def _write(work: Work, device: Device, pairs: Sequence[tuple[Attribute, Attribute]]) -> list[Sensor]:
    """Write attributes as they shall be; the sensors whose history is to go."""
    retyped = [after for before, after in pairs if after.data_type is not before.data_type]
    types = {attribute.sensor_id: attribute.data_type for attribute in retyped}
    lost = await _lock_own(work, retyped)
    if lost:
        await sensor_store.forget_latest(work.tx, device.id, lost)
        await sensor_store.update_sensors(work.tx, [_retyped(work, sensor, types[sensor.id]) for sensor in lost])
    await attribute_store.upsert_attributes(work.tx, [after for _, after in pairs])
    for before, after in pairs:
        work.record("attribute.update", after.sensor_id, before=before, after=after)
    return lost


def _retyped(work: Work, sensor: Sensor, data_type: DataType) -> Sensor:
    return msgspec.structs.replace(
        sensor,
        value_type=data_type.value_type,
        unit=None,
        min=None,
        max=None,
        updated_at=work.now(),
        version=sensor.version + 1,
    )


async def _delete(work: Work, device: Device, attributes: Sequence[Attribute]) -> list[Sensor]:
    sensors = await _lock_own(work, attributes)
    if sensors:
        await sensor_store.delete_sensors(work.tx, device.id, sensors)
    for sensor in sensors:
        work.record("attribute.delete", sensor.id, before=sensor)
    return sensors


async def _lock_own(work: Work, attributes: Sequence[Attribute]) -> list[Sensor]:
    """The sensors of attributes that are to go or to change their type."""
    sensors = await sensor_store.lock_sensors(work.tx, [each.sensor_id for each in attributes]) if attributes else []
    for sensor in sensors:
        if sensor.component_id is not None:
            detail = f"attributes: '{spell_name(sensor.path)}' belongs to a component, whose profile describes it"
            raise Conflict(detail, code="in-use")
    return sensors


async def _tell(work: Work, device: Device) -> None:
    await device_store.touch_device(work.tx, device.id, work.now())
    work.emit(SensorsChanged(device.id))


async def _purge(work: Work, device: Device, lost: Sequence[Sensor]) -> None:
    """Delete the readings of sensors: last, because this cannot be taken back."""
    store = work.ports.telemetry
    silent = [Series(device.id, sensor.path) for sensor in lost if sensor.latest is None]
    # Asked about together first: most have never said anything.
    spoke = silent and await store.points(work.tenant_id, silent, _EVER, limit=1)
    for sensor in lost:
        if sensor.latest is not None or (spoke and await has_readings(work, sensor)):
            await store.delete(work.tenant_id, device.id, sensor.path, None)
