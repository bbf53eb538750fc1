"""What is in the scope of an export: which columns, and where their values lie."""

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby

import msgspec

from roadstead.core.exports import store
from roadstead.core.exports.model import MOST_FIELDS, Export, Job, Plan, ScopedDevice, ScopedSensor
from roadstead.core.files import CannotBeMade
from roadstead.core.ports import RowColumn
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId, TenantId

_DEVICES_AT_ONCE = 500


class Strand(msgspec.Struct, frozen=True):
    """Devices whose sensors on a component of one key (or on the device itself) are alike: rows of one form."""

    devices: Mapping[DeviceId, str]
    """With their names."""
    component_key: str | None
    columns: Sequence[RowColumn]


class StrandPage(msgspec.Struct, frozen=True):
    """The strands of some hundred devices."""

    strands: list[Strand]
    last: DeviceId
    """Of the devices, in order of their ids."""


async def make_plan(tx: Tx, tenant: TenantId, export: Export) -> Plan:
    """What the export is about now. Raises `CannotBeMade` when it is gone, or has too many kinds of values."""
    name = await store.find_name(tx, tenant, export.scope_type, export.scope_id)
    if name is None:
        raise CannotBeMade(f"the {export.scope_type.lower()} has been deleted")
    fields = await store.select_fields(tx, tenant, export.scope_type, export.scope_id, MOST_FIELDS + 1)
    if len(fields) > MOST_FIELDS:
        raise CannotBeMade(f"there are more than {MOST_FIELDS} different fields; export parts of it")
    # What is measured while it is made is for another export: a table has an end.
    until = max(min(export.to_at, time.now()), export.from_at)
    return Plan(scope_name=name, fields=fields, until=until)


async def iterate_strands(database: Database, job: Job, after: DeviceId | None) -> AsyncIterator[StrandPage]:
    """All that is in the scope beyond a device; no transaction is open while the caller works."""
    export = job.export
    where = (job.tenant_id, export.scope_type, export.scope_id)
    while True:
        async with database.tx(job.tenant_id) as tx:
            devices = await store.select_devices(tx, *where, after=after, most=_DEVICES_AT_ONCE)
            sensors = await store.select_sensors(tx, *where, [device.id for device in devices])
        if devices:
            yield StrandPage(_alike(devices, sensors), after := devices[-1].id)
        if len(devices) < _DEVICES_AT_ONCE:
            return


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
