"""The SQL of components."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from roadstead.core.registry.model import Component
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import ComponentId, DeviceId
from roadstead.kernel.page import Page, PageQuery

_COMPONENTS = Listing(
    columns="""
        component.id, component.device_id, component.key, component.name, component.sensor_profile_id,
        profile.key || '@' || profile.major || '.' || profile.minor AS sensor_profile, component.tags,
        component.metadata, component.created_at, component.updated_at, component.version
    """,
    source="""
        component
        JOIN sensor_profile profile ON profile.tenant_id = component.tenant_id
            AND profile.id = component.sensor_profile_id
    """,
    tie="component.id",
)
_FIELDS: Fields = {
    "deviceId": Column("component.device_id", ColumnType.ID),
    "sensorProfileId": Column("component.sensor_profile_id", ColumnType.ID),
    "nameLower": Column("component.name_lower"),
    "keyLower": Column("component.key_lower"),
}
_SORT = {
    "name": SortKey("component.name"),
    "createdAt": SortKey("component.created_at", cast="timestamptz"),
}
_BY_ID = "WHERE component.tenant_id = %s AND component.id = %s"


async def select_component(tx: Tx, component_id: ComponentId) -> Component | None:
    """One component."""
    sql = f"SELECT {_COMPONENTS.columns} FROM {_COMPONENTS.source} {_BY_ID}"
    return await tx.one(Component, sql, tx.tenant, component_id)


async def lock_component(tx: Tx, component_id: ComponentId) -> Component | None:
    """One component, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_COMPONENTS.columns} FROM {_COMPONENTS.source} {_BY_ID} FOR NO KEY UPDATE OF component"
    return await tx.one(Component, sql, tx.tenant, component_id)


async def select_components(tx: Tx, device_ids: Sequence[DeviceId]) -> list[Component]:
    """All components of the devices, by device and key."""
    sql = f"""
        SELECT {_COMPONENTS.columns} FROM {_COMPONENTS.source}
        WHERE component.tenant_id = %s AND component.device_id = ANY(%s) ORDER BY component.device_id, component.key
    """
    return await tx.all(Component, sql, tx.tenant, list(device_ids))


async def list_components(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Component]:
    """Components that the filter is true for."""
    conditions = [Condition("component.tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]
    return await _COMPONENTS.page(tx, Component, conditions, parse_sort(sort, _SORT, "name"), page)


async def insert_components(tx: Tx, components: Sequence[Component]) -> bool:
    """False when a key was taken; those that were free are there then."""
    sql = """
        INSERT INTO component (tenant_id, id, device_id, key, name, sensor_profile_id, tags, metadata, created_at,
                               updated_at)
        SELECT %s, id, device_id, key, name, sensor_profile_id, tags, metadata, created_at, created_at
        FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::jsonb[], %s::jsonb[],
                    %s::timestamptz[])
            AS made (id, device_id, key, name, sensor_profile_id, tags, metadata, created_at)
        ON CONFLICT (tenant_id, device_id, key) DO NOTHING
    """
    columns: tuple[list[Any], ...] = (
        [component.id for component in components],
        [component.device_id for component in components],
        [component.key for component in components],
        [component.name for component in components],
        [component.sensor_profile_id for component in components],
        [Jsonb(component.tags) for component in components],
        [Jsonb(component.metadata) for component in components],
        [component.created_at for component in components],
    )
    return await tx.run(sql, tx.tenant, *columns) == len(components)


async def update_component(tx: Tx, component: Component) -> None:
    """Everything about it that can change."""
    sql = """
        UPDATE component SET name = %s, sensor_profile_id = %s, tags = %s, metadata = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(
        sql,
        component.name,
        component.sensor_profile_id,
        Jsonb(component.tags),
        Jsonb(component.metadata),
        component.updated_at,
        component.version,
        tx.tenant,
        component.id,
    )


async def delete_component(tx: Tx, component_id: ComponentId) -> None:
    """Forget a component; its sensors stay, without it."""
    await tx.run("DELETE FROM component WHERE tenant_id = %s AND id = %s", tx.tenant, component_id)
