"""What is in the scope of an export: which columns, and where their values lie."""

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby

import msgspec

from roadstead.core.exports import store
from roadstead.core.exports.model import MOST_FIELDS, Field, Job, ScopedDevice, ScopedSensor
from roadstead.core.files import CannotBeMade
from roadstead.core.ports import RowColumn
from roadstead.db import Database
from roadstead.kernel.ids import DeviceId

_DEVICES_AT_ONCE = 500


class Scope(msgspec.Struct, frozen=True):
    """What an export is about, as it was when it began."""

    name: str
    fields: list[Field]
    """In order of their keys."""


class Strand(msgspec.Struct, frozen=True):
    """Devices whose sensors on a component of one key (or on the device itself) are alike: rows of one form."""

    devices: Mapping[DeviceId, str]
    """With their names."""
    component_key: str | None
    columns: Sequence[RowColumn]


async def load_scope(database: Database, job: Job) -> Scope:
    """What the export is about. Raises `CannotBeMade` when it is gone, or has too many kinds of values."""
    export = job.export
    async with database.tx(job.tenant_id) as tx:
        name = await store.find_name(tx, job.tenant_id, export.scope_type, export.scope_id)
        if name is None:
            raise CannotBeMade(f"the {export.scope_type.lower()} has been deleted")
        fields = await store.select_fields(tx, job.tenant_id, export.scope_type, export.scope_id, MOST_FIELDS + 1)
    if len(fields) > MOST_FIELDS:
        raise CannotBeMade(f"there are more than {MOST_FIELDS} different fields; export parts of it")
    return Scope(name, fields)


async def iterate_strands(database: Database, job: Job) -> AsyncIterator[Strand]:
    """All that is in the scope, some hundred devices at a time; no transaction is open while the caller works."""
    after: DeviceId | None = None
    export = job.export
    where = (job.tenant_id, export.scope_type, export.scope_id)
    while True:
        async with database.tx(job.tenant_id) as tx:
            devices = await store.select_devices(tx, *where, after=after, most=_DEVICES_AT_ONCE)
            sensors = await store.select_sensors(tx, *where, [device.id for device in devices])
        for strand in _alike(devices, sensors):
            yield strand
        if len(devices) < _DEVICES_AT_ONCE:
            return
        after = devices[-1].id


def _alike(devices: Sequence[ScopedDevice], sensors: Sequence[ScopedSensor]) -> list[Strand]:
    names = {device.id: device.name for device in devices}
    strands: dict[tuple[str | None, tuple[RowColumn, ...]], dict[DeviceId, str]] = {}
    for (device_id, component_key), group in groupby(
        sorted(sensors, key=lambda sensor: (sensor.device_id, sensor.component_key or "")),
        key=lambda sensor: (sensor.device_id, sensor.component_key),
    ):
        columns = tuple(RowColumn(sensor.path, sensor.key, sensor.value_type) for sensor in group)
        strands.setdefault((component_key, columns), {})[device_id] = names[device_id]
    return [Strand(members, component_key, columns) for (component_key, columns), members in strands.items()]
