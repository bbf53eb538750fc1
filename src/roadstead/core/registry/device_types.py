"""How devices follow their types: the sensors that a type describes are there before they report."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from roadstead.core import types
from roadstead.core.messages import SensorsChanged, ValueType
from roadstead.core.operation import operation
from roadstead.core.registry import device_store, sensor_store
from roadstead.core.registry.model import Sensor
from roadstead.core.types import DeviceType, DeviceTypeChange, TypeOrigin
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict
from roadstead.kernel.filter import equals
from roadstead.kernel.ids import DeviceId, SensorId, TypeId, new_id

_AT_ONCE = 500
"""Devices whose sensors are looked at together."""


@operation(Grant.PROFILES_WRITE)
async def change_device_type(work: Work, type_id: TypeId, change: DeviceTypeChange) -> DeviceType:
    """Change a type; what is sent takes the place of what was there as a whole. Its devices get the sensors they lack.

    `Conflict` (`profile-mismatch`) when a value that one of them has reported would have to change its type, or when
    the schema of one that was made as a blueprint would be another than that of its attributes.
    """
    if change.sections is not UNSET:
        await types.check_sections_are_free(work, type_id, change.sections)
    return await follow_device_type(work, type_id, change)


async def follow_device_type(work: Work, type_id: TypeId, change: DeviceTypeChange) -> DeviceType:
    """`change_device_type`, without asking for rights, for whoever makes the sections from something else."""
    before, after = await types.rewrite_device_type(work, type_id, change)
    if after.sections == before.sections:
        return after
    last: tuple[str, DeviceId] | None = None
    where = equals("kindId", type_id)
    while found := await device_store.walk_devices(work.tx, where, after=last, most=_AT_ONCE):
        await describe_sensors(work, after, [device_id for _, device_id in found])
        last = found[-1]
    return after


async def describe_sensors(work: Work, type_: DeviceType, device_ids: Sequence[DeviceId]) -> None:
    """Give devices the sensors that their type describes; others stay as they are. Without asking for rights."""
    wanted = {path: leaf.value_type for path, leaf in type_.compiled().leaves()}
    if type_.origin is not TypeOrigin.DEFINED or not wanted:
        return
    unlike = await sensor_store.select_unlike(work.tx, device_ids, wanted)
    changed = [_retyped(work, sensor, wanted[sensor.path]) for sensor in unlike]
    missing = await sensor_store.select_missing(work.tx, device_ids, list(wanted))
    new = [_sensor(work, device_id, path, wanted[path]) for device_id, path in missing]
    if new:
        await sensor_store.insert_sensors(work.tx, new)
    if changed:
        await sensor_store.update_sensors(work.tx, changed)
    for device_id in dict.fromkeys(sensor.device_id for sensor in [*new, *changed]):
        work.emit(SensorsChanged(device_id))


def _retyped(work: Work, sensor: Sensor, value_type: ValueType) -> Sensor:
    widened = sensor.value_type is ValueType.BIGINT and value_type is ValueType.DOUBLE
    if sensor.latest is not None and sensor.value_type is not value_type and not widened:
        raise Conflict(
            f"device {sensor.device_id} has reported '{sensor.path}' as {sensor.value_type}; "
            f"the schema would have {value_type} there",
            code="profile-mismatch",
        )
    return msgspec.structs.replace(
        sensor,
        value_type=value_type,
        min=sensor.min if types.is_number(value_type) else None,
        max=sensor.max if types.is_number(value_type) else None,
        active=True,
        updated_at=work.now(),
        version=sensor.version + 1,
    )


def _sensor(work: Work, device_id: DeviceId, path: str, value_type: ValueType) -> Sensor:
    now = work.now()
    return Sensor(
        id=SensorId(new_id()),
        device_id=device_id,
        component_id=None,
        key=path.rpartition("/")[2],
        path=path,
        name=path,
        value_type=value_type,
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
