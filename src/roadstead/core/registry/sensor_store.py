"""The SQL of sensors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from roadstead.core.messages import ValueType
from roadstead.core.registry.model import Sensor
from roadstead.core.types import join_path, split_path
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId
from roadstead.kernel.page import Page, PageQuery

_SENSORS = Listing(
    columns="""
        sensor.id, sensor.device_id, sensor.component_id, sensor.key, sensor.path, sensor.name, sensor.value_type,
        sensor.unit, sensor.field, sensor.min, sensor.max, sensor.metadata, sensor.active,
        state.body -> sensor.path AS latest, sensor.created_at, sensor.updated_at, sensor.version
    """,
    source="""
        sensor
        LEFT JOIN device_state state ON state.tenant_id = sensor.tenant_id AND state.device_id = sensor.device_id
    """,
    tie="sensor.id",
)
_FIELDS: Fields = {
    "deviceId": Column("sensor.device_id", ColumnType.ID),
    "componentId": Column("sensor.component_id", ColumnType.ID),
    "valueType": Column("sensor.value_type"),
    "active": Column("sensor.active", ColumnType.BOOLEAN),
    "nameLower": Column("sensor.name_lower"),
    "keyLower": Column("sensor.key_lower"),
}
_SORT = {
    "name": SortKey("sensor.name"),
    "createdAt": SortKey("sensor.created_at", cast="timestamptz"),
    "lastReadingAt": SortKey("coalesce((state.body -> sensor.path ->> 1)::bigint, 0)", cast="bigint"),
}
_BY_ID = "WHERE sensor.tenant_id = %s AND sensor.id = %s"


async def select_sensor(tx: Tx, sensor_id: SensorId) -> Sensor | None:
    """One sensor."""
    return await tx.one(Sensor, f"SELECT {_SENSORS.columns} FROM {_SENSORS.source} {_BY_ID}", tx.tenant, sensor_id)


async def lock_sensor(tx: Tx, sensor_id: SensorId) -> Sensor | None:
    """One sensor, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_SENSORS.columns} FROM {_SENSORS.source} {_BY_ID} FOR NO KEY UPDATE OF sensor"
    return await tx.one(Sensor, sql, tx.tenant, sensor_id)


async def select_device_sensors(tx: Tx, device_id: DeviceId) -> list[Sensor]:
    """All sensors of a device, by path."""
    sql = f"""
        SELECT {_SENSORS.columns} FROM {_SENSORS.source}
        WHERE sensor.tenant_id = %s AND sensor.device_id = %s ORDER BY sensor.path
    """
    return await tx.all(Sensor, sql, tx.tenant, device_id)


async def select_unlike(tx: Tx, device_ids: Sequence[DeviceId], wanted: Mapping[str, ValueType]) -> list[Sensor]:
    """The sensors of devices at these paths that have another type, or are inactive."""
    sql = f"""
        SELECT {_SENSORS.columns} FROM {_SENSORS.source}
        JOIN unnest(%s::text[], %s::text[]) AS wanted (path, value_type) ON wanted.path = sensor.path
        WHERE sensor.tenant_id = %s AND sensor.device_id = ANY(%s)
            AND (sensor.value_type <> wanted.value_type OR NOT sensor.active)
    """
    return await tx.all(Sensor, sql, list(wanted), list(wanted.values()), tx.tenant, list(device_ids))


async def select_missing(tx: Tx, device_ids: Sequence[DeviceId], paths: Sequence[str]) -> list[tuple[DeviceId, str]]:
    """The paths at which devices have no sensor."""
    sql = """
        SELECT wanted.device_id, wanted.path
        FROM (SELECT device_id, path FROM unnest(%s::uuid[]) AS device_id, unnest(%s::text[]) AS path) wanted
        LEFT JOIN sensor ON sensor.tenant_id = %s AND sensor.device_id = wanted.device_id
            AND sensor.path = wanted.path
        WHERE sensor.id IS NULL
    """
    rows = await tx.rows(sql, list(device_ids), list(paths), tx.tenant)
    return [(device_id, path) for device_id, path in rows]


async def list_sensors(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Sensor]:
    """Sensors that the filter is true for."""
    conditions = [Condition("sensor.tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]
    return await _SENSORS.page(tx, Sensor, conditions, parse_sort(sort, _SORT, "name"), page)


async def insert_sensors(tx: Tx, sensors: Sequence[Sensor]) -> bool:
    """False when a path was taken; those that were free are there then."""
    sql = """
        INSERT INTO sensor (tenant_id, id, device_id, component_id, key, path, name, value_type, unit, field, min, max,
                            metadata, active, created_at, updated_at)
        SELECT %s, id, device_id, component_id, key, path, name, value_type, unit, field, min, max, metadata, active,
               created_at, created_at
        FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                    %s::text[], %s::float8[], %s::float8[], %s::jsonb[], %s::boolean[], %s::timestamptz[])
            AS made (id, device_id, component_id, key, path, name, value_type, unit, field, min, max, metadata, active,
                     created_at)
        ON CONFLICT (tenant_id, device_id, path) DO NOTHING
    """
    columns: tuple[list[Any], ...] = (
        [sensor.id for sensor in sensors],
        [sensor.device_id for sensor in sensors],
        [sensor.component_id for sensor in sensors],
        [sensor.key for sensor in sensors],
        [sensor.path for sensor in sensors],
        [sensor.name for sensor in sensors],
        [sensor.value_type for sensor in sensors],
        [sensor.unit for sensor in sensors],
        [sensor.field for sensor in sensors],
        [sensor.min for sensor in sensors],
        [sensor.max for sensor in sensors],
        [Jsonb(sensor.metadata) for sensor in sensors],
        [sensor.active for sensor in sensors],
        [sensor.created_at for sensor in sensors],
    )
    return await tx.run(sql, tx.tenant, *columns) == len(sensors)


async def update_sensors(tx: Tx, sensors: Sequence[Sensor]) -> None:
    """Everything about them that can change."""
    sql = """
        UPDATE sensor SET component_id = %s, name = %s, value_type = %s, unit = %s, field = %s, min = %s, max = %s,
                          metadata = %s, active = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    rows = [
        (
            sensor.component_id,
            sensor.name,
            sensor.value_type,
            sensor.unit,
            sensor.field,
            sensor.min,
            sensor.max,
            Jsonb(sensor.metadata),
            sensor.active,
            sensor.updated_at,
            sensor.version,
            tx.tenant,
            sensor.id,
        )
        for sensor in sensors
    ]
    await tx.many(sql, rows)


async def retire_sensors(tx: Tx, component_id: ComponentId, at: datetime) -> None:
    """All sensors of a component become inactive."""
    sql = """
        UPDATE sensor SET active = false, updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND component_id = %s AND active
    """
    await tx.run(sql, at, tx.tenant, component_id)


async def lock_sensors(tx: Tx, sensor_ids: Sequence[SensorId]) -> list[Sensor]:
    """Those of the sensors that there are, which nobody else changes until this transaction ends."""
    sql = f"""
        SELECT {_SENSORS.columns} FROM {_SENSORS.source}
        WHERE sensor.tenant_id = %s AND sensor.id = ANY(%s) ORDER BY sensor.id FOR NO KEY UPDATE OF sensor
    """
    return await tx.all(Sensor, sql, tx.tenant, list(sensor_ids))


async def delete_sensors(tx: Tx, device_id: DeviceId, sensors: Sequence[Sensor]) -> None:
    """Forget sensors of a device and their latest values."""
    sql = "DELETE FROM sensor WHERE tenant_id = %s AND id = ANY(%s)"
    await tx.run(sql, tx.tenant, [sensor.id for sensor in sensors])
    await forget_latest(tx, device_id, sensors)


async def forget_latest(tx: Tx, device_id: DeviceId, sensors: Sequence[Sensor]) -> None:
    """The latest values of sensors of a device are gone, for whoever reads them or searches by them."""
    forget = "UPDATE device_state SET body = body - %s::text[] WHERE tenant_id = %s AND device_id = %s"
    await tx.run(forget, [sensor.path for sensor in sensors], tx.tenant, device_id)
    unfind = "DELETE FROM device_value WHERE tenant_id = %s AND device_id = %s AND path = ANY(%s)"
    await tx.run(unfind, tx.tenant, device_id, [_lies_at(sensor.path) for sensor in sensors])


def _lies_at(path: str) -> str:
    section, steps = split_path(path)
    return join_path(section, [step for step in steps if isinstance(step, str)])
