"""The SQL of devices that were deleted and may come back.

What a device consists of is kept as its rows are, so that a column that is added later is not forgotten here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.registry.deleted_model import DeletedDevice, Snapshot
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, Json, Rows, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import Page, PageQuery

_KEPT = {
    "device": "id = %s",
    "device_state": "device_id = %s",
    "component": "device_id = %s",
    "sensor": "device_id = %s",
    "sensor_attribute": "sensor_id IN (SELECT id FROM sensor WHERE device_id = %s)",
    "device_alias": "device_id = %s",
    "device_network_alias": "device_id = %s",
    "device_value": "device_id = %s",
    "device_value_word": "device_id = %s",
}
"""Tables with what a device consists of, in the order in which it is brought back."""

_DELETED = Listing(
    columns="deleted.id, deleted.shown, deleted.device_class, deleted.ancestor_ids, deleted.deleted_at",
    source="deleted_device deleted",
    tie="deleted.id",
)
_CONNECTION_STATUS = """(
    CASE WHEN deleted.connected_at IS NOT NULL OR deleted.disconnected_at IS NOT NULL THEN 'disconnected'
    WHEN deleted.device_class IN ('peripheral', 'floating', 'system') THEN 'invalid' ELSE 'unknown' END
)"""
_FIELDS: Fields = {
    "id": Column("deleted.id", ColumnType.ID),
    "spaceId": Column("deleted.space_id", ColumnType.ID),
    "called": Column("deleted.called"),
    "shownName": Column("deleted.name"),
    "deviceClass": Column("deleted.device_class"),
    "gatewayId": Column("deleted.gateway_id", ColumnType.ID),
    "parentDeviceId": Column("deleted.parent_id", ColumnType.ID),
    "ancestorId": Rows("unnest(deleted.ancestor_ids) AS above (id) WHERE true", (), Column("above.id", ColumnType.ID)),
    "attributeName": Rows("unnest(deleted.attribute_names) AS each (name) WHERE true", (), Column("each.name")),
    "tags": Json("deleted.tags"),
    "tagKey": Rows("jsonb_object_keys(deleted.tags) AS tag (key) WHERE true", (), Column("tag.key")),
    "tagValue": Rows(
        "jsonb_each(deleted.tags) AS tag (key, list), jsonb_array_elements_text(tag.list) AS item (value) WHERE true",
        (),
        Column("item.value"),
    ),
    "connectedAt": Column("deleted.connected_at", ColumnType.INSTANT),
    "disconnectedAt": Column("deleted.disconnected_at", ColumnType.INSTANT),
    "connectionStatus": Column(_CONNECTION_STATUS),
    "createdAt": Column("deleted.created_at", ColumnType.INSTANT),
    "updatedAt": Column("deleted.updated_at", ColumnType.INSTANT),
    "deletedAt": Column("deleted.deleted_at", ColumnType.INSTANT),
}
"""What a filter can ask of a deleted device: what `device_store.DEVICE_FIELDS` calls the same, and `deletedAt`."""
_SORT = {
    "called": SortKey("deleted.called"),
    "id": SortKey("deleted.id", cast="uuid"),
    "createdAt": SortKey("deleted.created_at", cast="timestamptz"),
    "updatedAt": SortKey("deleted.updated_at", cast="timestamptz"),
    "deletedAt": SortKey("deleted.deleted_at", cast="timestamptz"),
    "connectionStatus": SortKey(_CONNECTION_STATUS),
}


async def list_deleted(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[DeletedDevice]:
    """Deleted devices that the filter is true for."""
    return await _DELETED.page(tx, DeletedDevice, _conditions(tx, where), parse_sort(sort, _SORT, "called"), page)


async def select_deleted_ids(tx: Tx, where: Filter, *, limit: int) -> list[DeviceId]:
    """The first so many, by id."""
    tenant, condition = _conditions(tx, where)
    sql = f"SELECT deleted.id FROM deleted_device deleted WHERE {tenant.sql} AND ({condition.sql}) ORDER BY 1 LIMIT %s"
    return [row[0] for row in await tx.rows(sql, *tenant.params, *condition.params, limit)]


def _conditions(tx: Tx, where: Filter) -> list[Condition]:
    return [Condition("deleted.tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]


async def select_rows(tx: Tx, device_id: DeviceId) -> dict[str, list[dict[str, Any]]]:
    """What a device consists of, by table."""
    parts = [
        f"SELECT '{table}' AS name, to_jsonb({table}) AS body FROM {table} WHERE tenant_id = %s AND {where}"
        for table, where in _KEPT.items()
    ]
    params = [param for _ in _KEPT for param in (tx.tenant, device_id)]
    found: dict[str, list[dict[str, Any]]] = {}
    for name, body in await tx.rows(" UNION ALL ".join(parts), *params):
        found.setdefault(name, []).append(body)
    return found


async def insert_deleted(tx: Tx, snapshot: Snapshot) -> None:
    """Keep a device that is about to be deleted."""
    deleted = snapshot.deleted
    device = deleted.device
    tags = {key: [value, *device.repeated_tags.get(key, ())] for key, value in device.tags.items()}
    sql = """
        INSERT INTO deleted_device (tenant_id, id, space_id, called, name, device_class, gateway_id, parent_id,
                                    ancestor_ids, tags, attribute_names, connected_at, disconnected_at,
                                    created_at, updated_at, deleted_at, purges, shown, rows, child_ids, peripheral_ids)
        VALUES (%s, %s, %s, lower(%s), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    name = device.title or device.name
    await tx.run(
        sql,
        tx.tenant,
        device.id,
        device.space_id,
        name,
        name,
        deleted.device_class,
        device.gateway_id,
        device.parent_id,
        deleted.ancestor_ids,
        Jsonb(tags),
        [attribute.name for attribute in deleted.attributes],
        device.connected_at,
        deleted.deleted_at if device.online else device.disconnected_at,
        device.created_at,
        device.updated_at,
        deleted.deleted_at,
        snapshot.purges,
        Jsonb(msgspec.to_builtins(deleted.shown)),
        Jsonb(snapshot.rows),
        snapshot.child_ids,
        snapshot.peripheral_ids,
    )


async def lock_snapshot(tx: Tx, device_id: DeviceId) -> Snapshot | None:
    """All that is kept of a deleted device, which nobody else brings back or forgets until this transaction ends."""
    sql = f"""
        SELECT to_jsonb(found) AS deleted, found.rows, found.child_ids, found.peripheral_ids, found.purges
        FROM (
            SELECT {_DELETED.columns}, deleted.rows, deleted.child_ids, deleted.peripheral_ids, deleted.purges
            FROM deleted_device deleted WHERE deleted.tenant_id = %s AND deleted.id = %s FOR UPDATE
        ) found
    """
    return await tx.one(Snapshot, sql, tx.tenant, device_id)


async def delete_snapshot(tx: Tx, device_id: DeviceId) -> None:
    """It is back, or gone for good."""
    await tx.run("DELETE FROM deleted_device WHERE tenant_id = %s AND id = %s", tx.tenant, device_id)


async def lock_due(tx: Tx, before: datetime, *, most: int) -> list[tuple[int, DeviceId, bool]]:
    """Tenant, id, and whether its readings go, of devices of all tenants that were deleted before."""
    sql = """
        SELECT tenant_id, id, purges FROM deleted_device WHERE deleted_at < %s ORDER BY deleted_at LIMIT %s
        FOR UPDATE SKIP LOCKED
    """
    return [(tenant, id_, purges) for tenant, id_, purges in await tx.rows(sql, before, most)]


async def delete_due(tx: Tx, devices: Sequence[tuple[int, DeviceId]]) -> None:
    """These are gone for good."""
    sql = "DELETE FROM deleted_device WHERE tenant_id = %s AND id = %s"
    await tx.many(sql, devices)


async def select_ids_there(tx: Tx, table: str, ids: Sequence[Any]) -> set[Any]:
    """Those of these ids that there still are in a table."""
    sql = f"SELECT id FROM {table} WHERE tenant_id = %s AND id = ANY(%s)"
    return {row[0] for row in await tx.rows(sql, tx.tenant, list(ids))} if ids else set()


async def insert_rows(tx: Tx, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Bring back what a device consists of; names that others have taken by now stay with them."""
    for table in _KEPT:
        lines = rows.get(table)
        if not lines:
            continue
        # What is generated is generated again; columns that are newer than the snapshot get their default.
        writable = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attgenerated = ''"
        known = {row[0] for row in await tx.rows(f"{writable} AND NOT attisdropped", table)}
        columns = ", ".join(name for name in lines[0] if name in known)
        sql = f"""
            INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s)
            ON CONFLICT DO NOTHING
        """
        await tx.run(sql, Jsonb(list(lines)))


async def select_children(tx: Tx, device_id: DeviceId) -> list[DeviceId]:
    """The devices that lie right below it."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND parent_id = %s ORDER BY id"
    return [row[0] for row in await tx.rows(sql, tx.tenant, device_id)]


async def release_peripherals(tx: Tx, gateway_id: DeviceId, at: datetime) -> list[DeviceId]:
    """A device speaks for no others any more; those it did speak for."""
    sql = """
        UPDATE device SET gateway_id = NULL, updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND gateway_id = %s RETURNING id
    """
    return [row[0] for row in await tx.rows(sql, at, tx.tenant, gateway_id)]


async def take_back(tx: Tx, device_id: DeviceId, snapshot: Snapshot, at: datetime) -> list[DeviceId]:
    """Those that lay below it, or that it spoke for, do so again where nobody has taken its place; which they are.

    What lies above it by now is not taken: that would be a circle.
    """
    below = f"""
        {_ABOVE.format(column="parent_id")}
        UPDATE device SET parent_id = %s, updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND id = ANY(%s) AND parent_id IS NULL AND id NOT IN (SELECT id FROM above) RETURNING id
    """
    spoken = f"""
        {_ABOVE.format(column="gateway_id")}
        UPDATE device SET gateway_id = %s, updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND id = ANY(%s) AND gateway_id IS NULL AND id NOT IN (SELECT id FROM above)
            AND (device_class IS NULL OR device_class = 'peripheral') RETURNING id
    """
    above = (tx.tenant, device_id, tx.tenant)
    children = await tx.rows(below, *above, device_id, at, tx.tenant, snapshot.child_ids)
    peripherals = await tx.rows(spoken, *above, device_id, at, tx.tenant, snapshot.peripheral_ids)
    return [row[0] for row in [*children, *peripherals]]


_ABOVE = """
    WITH RECURSIVE above (id, next) AS (
        SELECT id, {column} FROM device WHERE tenant_id = %s AND id = %s
        UNION SELECT device.id, device.{column} FROM above JOIN device ON device.tenant_id = %s
            AND device.id = above.next
    )
"""
