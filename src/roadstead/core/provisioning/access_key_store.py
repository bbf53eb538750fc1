"""The SQL of access keys."""

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.provisioning.access_key_model import AccessKey
from roadstead.core.provisioning.model import Candidate
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.db.filters import Column, ColumnType, Fields, Rows, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, KeyId, SpaceId, TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = (
    "k.id, k.space_id, k.key, k.status, k.name, k.description, k.device_ids, k.device_tags, k.topic_filter, "
    "k.publish_topics, k.hear_topics, k.address_filter, k.addresses, k.created_by, k.created_by_kind, k.created_at, "
    "k.updated_by, k.updated_by_kind, k.updated_at"
)
_LISTING = Listing(_COLUMNS, "access_key k", tie="k.id")


def _each_text(column: str) -> Rows:
    return Rows(f"unnest({column}) AS one (value) WHERE true", (), Column("one.value"))


def _each_tag(column: str, *keys: str) -> Rows:
    return Rows("jsonb_to_recordset(k.device_tags) AS one (key text, value text) WHERE true", keys, Column(column))


_FIELDS: Fields = {
    "id": Column("k.id", ColumnType.ID),
    "createdAt": Column("k.created_at", ColumnType.INSTANT),
    "updatedAt": Column("k.updated_at", ColumnType.INSTANT),
    "status": Column("k.status"),
    "deviceIds": Rows("unnest(k.device_ids) AS one (value) WHERE true", (), Column("one.value", ColumnType.ID)),
    "tags": _each_tag("one.value", "one.key"),
    "tagKey": _each_tag("one.key"),
    "tagValue": _each_tag("one.value"),
    "key": Column("k.key"),
    "name": Column("k.name"),
    "description": Column("k.description"),
    "topicFilter": Column("k.topic_filter"),
    "publishTopics": _each_text("k.publish_topics"),
    "hearTopics": _each_text("k.hear_topics"),
    "addressFilter": Column("k.address_filter"),
    "addresses": _each_text("k.addresses"),
}
_SORTS = {
    "id": SortKey("k.id", cast="uuid"),
    "createdAt": SortKey("k.created_at", cast="timestamptz"),
    "updatedAt": SortKey("k.updated_at", cast="timestamptz"),
    "status": SortKey("k.status"),
    "key": SortKey("k.key"),
    "name": SortKey("lower(coalesce(k.name, ''))"),
}
SORT_FIELDS = tuple(_SORTS)


class HeldAccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key that somebody shows."""

    tenant_id: TenantId
    space_id: SpaceId
    id: KeyId
    secret_hash: bytes


async def select_access_keys(
    tx: Tx, tenant: TenantId, space_id: SpaceId, where: Filter, sort: str, query: PageQuery, *, descending: bool
) -> Page[AccessKey]:
    """Keys of a space that a filter is true for."""
    conditions = [Condition("k.tenant_id = %s AND k.space_id = %s", (tenant, space_id)), compile_filter(where, _FIELDS)]
    order = [msgspec.structs.replace(_SORTS[sort], descending=descending)]
    return await _LISTING.page(tx, AccessKey, conditions, order, query)


async def select_access_key(tx: Tx, tenant: TenantId, space_id: SpaceId, id_: KeyId) -> AccessKey | None:
    """One key of a space."""
    sql = f"SELECT {_COLUMNS} FROM access_key k WHERE k.tenant_id = %s AND k.space_id = %s AND k.id = %s"
    return await tx.one(AccessKey, sql, tenant, space_id, id_)


async def lock_access_key(tx: Tx, tenant: TenantId, space_id: SpaceId, id_: KeyId) -> AccessKey | None:
    """The same, and nobody else changes it until the transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM access_key k WHERE k.tenant_id = %s AND k.space_id = %s AND k.id = %s FOR UPDATE"
    return await tx.one(AccessKey, sql, tenant, space_id, id_)


async def insert_access_key(tx: Tx, tenant: TenantId, key: AccessKey, secret_hash: bytes) -> None:
    """Add a key."""
    values = _values(key) | {"tenant_id": tenant, "secret_hash": secret_hash}
    sql = f"INSERT INTO access_key ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})"
    await tx.run(sql, *values.values())


async def update_access_key(tx: Tx, tenant: TenantId, key: AccessKey) -> None:
    """Replace what can change."""
    values = _values(key)
    sql = f"""
        UPDATE access_key SET {", ".join(f"{name} = %s" for name in values)} WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, *values.values(), tenant, key.id)


async def delete_access_key(tx: Tx, tenant: TenantId, id_: KeyId) -> None:
    """Remove it."""
    await tx.run("DELETE FROM access_key WHERE tenant_id = %s AND id = %s", tenant, id_)


async def select_held_key(tx: Tx, key: str) -> HeldAccessKey | None:
    """What is known of a key that somebody shows, whoever's it is."""
    return await tx.one(
        HeldAccessKey, "SELECT tenant_id, space_id, id, secret_hash FROM access_key WHERE key = %s", key
    )


async def select_access_key_of(tx: Tx, tenant: TenantId, id_: KeyId) -> AccessKey | None:
    """One key of whatever space."""
    return await tx.one(
        AccessKey, f"SELECT {_COLUMNS} FROM access_key k WHERE k.tenant_id = %s AND k.id = %s", tenant, id_
    )


async def select_candidate(tx: Tx, tenant: TenantId, space_id: SpaceId, device_id: DeviceId) -> Candidate | None:
    """A device of a space that wants to come in."""
    sql = """
        SELECT d.tenant_id, o.public_id AS organization_id, o.status AS organization_status, d.id AS device_id,
               d.name AS device_name, d.status AS device_status
        FROM device d JOIN tenant o ON o.tenant_id = d.tenant_id
        WHERE d.tenant_id = %s AND d.space_id = %s AND d.id = %s
    """
    return await tx.one(Candidate, sql, tenant, space_id, device_id)


async def select_tags(tx: Tx, tenant: TenantId, device_id: DeviceId) -> list[tuple[str, str]]:
    """Keys and values of the tags of a device."""
    sql = "SELECT key, value FROM device_tag WHERE tenant_id = %s AND device_id = %s"
    return [(key, value) for key, value in await tx.rows(sql, tenant, device_id)]


async def speaks_for(tx: Tx, tenant: TenantId, speaker: DeviceId, device_id: DeviceId) -> bool:
    """Whether a device may speak for another one of its space: its gateway, or any gateway when it has none."""
    sql = """
        SELECT d.gateway_id = s.id OR (
            d.gateway_id IS NULL AND d.device_class = 'peripheral' AND coalesce(
                s.device_class IN ('gateway', 'edgeCompute'),
                EXISTS (SELECT FROM device p WHERE p.tenant_id = s.tenant_id AND p.gateway_id = s.id)
            )
        )
        FROM device d JOIN device s ON s.tenant_id = d.tenant_id AND s.space_id = d.space_id
        WHERE d.tenant_id = %s AND d.id = %s AND s.id = %s AND d.status <> 'INACTIVE'
    """
    return bool(await tx.value(sql, tenant, device_id, speaker))


async def select_devices(tx: Tx, tenant: TenantId, space_id: SpaceId, device_ids: Sequence[DeviceId]) -> set[DeviceId]:
    """Those of these devices that are in a space."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND space_id = %s AND id = ANY(%s)"
    return {DeviceId(id_) for (id_,) in await tx.rows(sql, tenant, space_id, list(device_ids))}


def _values(key: AccessKey) -> dict[str, Any]:
    values = msgspec.structs.asdict(key)
    lists = {name: list(values[name]) for name in ("device_ids", "publish_topics", "hear_topics", "addresses")}
    return values | lists | {"device_tags": Jsonb(msgspec.to_builtins(key.device_tags))}
