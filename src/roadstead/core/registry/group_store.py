"""The SQL of device groups."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.registry.group_model import DeviceGroup
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import GroupId
from roadstead.kernel.page import Page, PageQuery

_GROUPS = Listing(
    columns="id, name, description, selector, created_at, updated_at, version", source="device_group", tie="id"
)
_FIELDS: Fields = {"name": Column("name")}
_SORT = {"name": SortKey("name"), "createdAt": SortKey("created_at", cast="timestamptz")}


async def select_group(tx: Tx, group_id: GroupId) -> DeviceGroup | None:
    """One group."""
    sql = f"SELECT {_GROUPS.columns} FROM device_group WHERE tenant_id = %s AND id = %s"
    return await tx.one(DeviceGroup, sql, tx.tenant, group_id)


async def lock_group(tx: Tx, group_id: GroupId) -> DeviceGroup | None:
    """One group, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_GROUPS.columns} FROM device_group WHERE tenant_id = %s AND id = %s FOR UPDATE"
    return await tx.one(DeviceGroup, sql, tx.tenant, group_id)


async def list_groups(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[DeviceGroup]:
    """Groups that the filter is true for."""
    conditions: Sequence[Condition] = [
        Condition("tenant_id = %s", (tx.tenant,)),
        compile_filter(where, _FIELDS),
    ]
    return await _GROUPS.page(tx, DeviceGroup, conditions, parse_sort(sort, _SORT, "name"), page)


async def is_name_taken(tx: Tx, name: str, besides: GroupId) -> bool:
    """Whether another group has this name."""
    holder = await tx.value("SELECT id FROM device_group WHERE tenant_id = %s AND name = %s", tx.tenant, name)
    return holder is not None and holder != besides


async def insert_group(tx: Tx, group: DeviceGroup) -> bool:
    """False when the name is taken."""
    sql = """
        INSERT INTO device_group (tenant_id, id, created_at, name, description, selector, updated_at, version)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, name) DO NOTHING
    """
    return bool(await tx.run(sql, tx.tenant, group.id, group.created_at, *_values(group)))


async def update_group(tx: Tx, group: DeviceGroup) -> bool:
    """False when the name has just been taken; the transaction is of no more use then."""
    sql = """
        UPDATE device_group SET name = %s, description = %s, selector = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    try:
        await tx.run(sql, *_values(group), tx.tenant, group.id)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def _values(group: DeviceGroup) -> tuple[Any, ...]:
    return group.name, group.description, Jsonb(group.selector), group.updated_at, group.version


async def delete_group(tx: Tx, group_id: GroupId) -> bool:
    """False when rows of rooms above refer to it; the transaction is of no more use then."""
    try:
        await tx.run("DELETE FROM device_group WHERE tenant_id = %s AND id = %s", tx.tenant, group_id)
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True
