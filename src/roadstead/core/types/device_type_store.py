"""The SQL of device types, and of what is shown as one."""

import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.types.device_type_model import DeviceType
from roadstead.core.types.model import SensorProfile
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.db.filters import Column, ColumnType, Fields, Rows, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import TypeId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = """
    id, origin, name, manufacturer, model, description, categories, sections, reporting_rules, slots,
    communication_interval, created_at, updated_at, version
"""
_OWN_COLUMNS = _COLUMNS.replace("origin", "'DEFINED' AS origin")
# Those that show something else have their sections worked out: here they are empty.
TYPES_SOURCE = f"""
    (
        SELECT tenant_id, {_OWN_COLUMNS} FROM device_type
        UNION ALL
        SELECT tenant_id, id, 'PROFILE', name, NULL, key || '@' || major || '.' || minor, description, '{{}}',
            '{{}}', '[]', '{{}}', NULL, created_at, created_at, 1
        FROM device_profile
        UNION ALL
        SELECT tenant_id, public_id, 'OPEN', 'Devices without a type', NULL, NULL, NULL, '{{}}', '{{}}', '[]',
            '{{}}', NULL, created_at, created_at, 1
        FROM tenant
    ) type
"""
_TYPES = Listing(columns=_COLUMNS, source=TYPES_SOURCE, tie="id")
_FIELDS: Fields = {
    "id": Column("id", ColumnType.ID),
    "name": Column("name"),
    "category": Rows("unnest(categories) AS category WHERE true", keys=(), value=Column("category")),
}
_NEWEST_FIRST = [SortKey("created_at", descending=True, cast="timestamptz")]
_NEEDED = Condition(
    """
    origin <> 'OPEN' OR EXISTS (SELECT FROM device WHERE device.tenant_id = type.tenant_id
        AND kind_id = '00000000-0000-0000-0000-000000000000')
    """
)


async def list_types(tx: Tx, where: Filter, page: PageQuery) -> Page[DeviceType]:
    """Types that the filter is true for, newest first."""
    conditions = [Condition("tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS), _NEEDED]
    return await _TYPES.page(tx, DeviceType, conditions, _NEWEST_FIRST, page)


async def select_type_ids(tx: Tx, where: Filter) -> list[TypeId]:
    """The ids of all types that the filter is true for."""
    condition = compile_filter(where, _FIELDS)
    sql = f"SELECT id FROM {_TYPES.source} WHERE tenant_id = %s AND ({condition.sql})"
    return [TypeId(row[0]) for row in await tx.rows(sql, tx.tenant, *condition.params)]


async def select_types(tx: Tx, type_ids: list[TypeId]) -> list[DeviceType]:
    """Those of the types that are there."""
    sql = f"SELECT {_COLUMNS} FROM {_TYPES.source} WHERE tenant_id = %s AND id = ANY(%s)"
    return await tx.all(DeviceType, sql, tx.tenant, type_ids)


async def lock_type(tx: Tx, type_id: TypeId) -> DeviceType | None:
    """One that was defined, which nobody else changes, or begins to refer to, until this transaction ends."""
    sql = f"SELECT {_OWN_COLUMNS} FROM device_type WHERE tenant_id = %s AND id = %s FOR UPDATE"
    return await tx.one(DeviceType, sql, tx.tenant, type_id)


async def select_categories(tx: Tx) -> list[str]:
    """Each category that a type has, once."""
    sql = "SELECT DISTINCT unnest(categories) AS category FROM device_type WHERE tenant_id = %s ORDER BY category"
    return [row[0] for row in await tx.rows(sql, tx.tenant)]


async def select_sensor_profiles(tx: Tx, keys: list[str]) -> list[SensorProfile]:
    """All versions of these keys."""
    sql = """
        SELECT id, key, major, minor, name, description, fields, config_schema, pack_id, deprecated, created_at
        FROM sensor_profile WHERE tenant_id = %s AND key = ANY(%s)
    """
    return await tx.all(SensorProfile, sql, tx.tenant, keys)


async def insert_type(tx: Tx, type_: DeviceType) -> None:
    """Add a type."""
    sql = """
        INSERT INTO device_type (tenant_id, id, created_at, name, manufacturer, model, description, categories,
                                 sections, reporting_rules, slots, communication_interval, updated_at, version)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, tx.tenant, type_.id, type_.created_at, *_values(type_))


async def update_type(tx: Tx, type_: DeviceType) -> None:
    """Everything about it that can change."""
    sql = """
        UPDATE device_type SET name = %s, manufacturer = %s, model = %s, description = %s, categories = %s,
            sections = %s, reporting_rules = %s, slots = %s, communication_interval = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, *_values(type_), tx.tenant, type_.id)


def _values(type_: DeviceType) -> tuple[object, ...]:
    return (
        type_.name,
        type_.manufacturer,
        type_.model,
        type_.description,
        type_.categories,
        Jsonb(type_.sections),
        Jsonb(type_.reporting_rules),
        Jsonb(type_.slots),
        type_.communication_interval,
        type_.updated_at,
        type_.version,
    )


async def is_type_used(tx: Tx, type_id: TypeId) -> bool:
    """Whether a device has it."""
    sql = "SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND type_id = %s)"
    return bool(await tx.value(sql, tx.tenant, type_id))


async def delete_type(tx: Tx, type_id: TypeId) -> bool:
    """False when rows of rooms above refer to it; the transaction is of no more use then."""
    try:
        await tx.run("DELETE FROM device_type WHERE tenant_id = %s AND id = %s", tx.tenant, type_id)
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True
