"""The SQL of devices and spaces."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.registry.model import Device, DeviceLine, GroupBy
from roadstead.core.registry.trait_fields import CONNECTION_STATUS, TRAIT_FIELDS
from roadstead.core.registry.value_fields import VALUE_FIELDS
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, Json, Place, Rows, Source, Words, compile_filter
from roadstead.kernel.filter import EVERYTHING, Filter
from roadstead.kernel.ids import DeviceId, SpaceId
from roadstead.kernel.page import Page, PageQuery

DEVICES = Listing(
    columns="""
        device.id, device.space_id, device.ordinal, device.name, device.title, device.external_id,
        device.serial_number, device.status, device.online, device.virtual, device.profile_id,
        profile.key || '@' || profile.major || '.' || profile.minor AS profile, device.type_id, device.site_id,
        device.parent_id, device.gateway_id,
        ARRAY(
            SELECT alias.alias FROM device_alias alias
            WHERE alias.tenant_id = device.tenant_id AND alias.device_id = device.id ORDER BY alias.position
        ) AS aliases,
        device.network_id, coalesce(device.purpose, 'DEVICE') AS purpose, device.device_class,
        device.system_interval,
        coalesce((
            SELECT jsonb_object_agg(network.id, network.names) FROM (
                SELECT name.network_id AS id, jsonb_object_agg(name.key, name.value) AS names
                FROM device_network_alias name
                WHERE name.tenant_id = device.tenant_id AND name.device_id = device.id GROUP BY name.network_id
            ) network
        ), '{}') AS network_aliases,
        device.communication_interval,
        CASE WHEN device.latitude IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('latitude', device.latitude,
            'longitude', device.longitude, 'altitude', device.altitude, 'label', device.location_label))
        END AS location,
        device.tags, device.repeated_tags, device.metadata, device.notes, device.firmware_version, device.hardware_id,
        nullif(greatest(device.last_seen_at, state.last_at), 'epoch') AS last_seen_at, device.connected_at,
        device.disconnected_at, device.activated_at, device.created_at, device.updated_at, device.version
    """,
    source="""
        device
        LEFT JOIN device_state state ON state.tenant_id = device.tenant_id AND state.device_id = device.id
        LEFT JOIN device_profile profile ON profile.tenant_id = device.tenant_id AND profile.id = device.profile_id
    """,
    tie="device.id",
)

DEVICE_FIELDS: Fields = {
    "id": Column("device.id", ColumnType.ID),
    "spaceId": Column("device.space_id", ColumnType.ID),
    "name": Column("device.name"),
    "externalId": Column("device.external_id"),
    "serialNumber": Column("device.serial_number"),
    "status": Column("device.status"),
    "online": Column("device.online", ColumnType.BOOLEAN),
    "virtual": Column("device.virtual", ColumnType.BOOLEAN),
    "profileId": Column("device.profile_id", ColumnType.ID),
    "kindId": Column("device.kind_id", ColumnType.ID),
    "siteId": Column("device.site_id", ColumnType.ID),
    "parentDeviceId": Column("device.parent_id", ColumnType.ID),
    "gatewayId": Column("device.gateway_id", ColumnType.ID),
    "called": Column("device.called"),
    "alias": Rows(
        "device_alias alias WHERE alias.tenant_id = device.tenant_id AND alias.device_id = device.id",
        keys=(),
        value=Column("alias.alias"),
    ),
    "networkId": Column("device.network_id"),
    "networkAlias": Rows(
        "device_network_alias name WHERE name.tenant_id = device.tenant_id AND name.device_id = device.id",
        keys=("name.network_id", "name.key"),
        value=Column("name.value"),
    ),
    "purpose": Column("coalesce(device.purpose, 'DEVICE')"),
    "relation": Rows(
        "device_relation relation WHERE relation.tenant_id = device.tenant_id AND relation.child_id = device.id",
        keys=("relation.attribute_id",),
        value=Column("relation.parent_id", ColumnType.ID),
    ),
    "firmwareVersion": Column("device.firmware_version"),
    "hardwareId": Column("device.hardware_id"),
    "lastSeenAt": Column("device.last_seen_at", ColumnType.INSTANT, absent="'epoch'"),
    "activatedAt": Column("device.activated_at", ColumnType.INSTANT),
    "createdAt": Column("device.created_at", ColumnType.INSTANT),
    "updatedAt": Column("device.updated_at", ColumnType.INSTANT),
    "location": Place("device.latitude", "device.longitude"),
    "tags": Rows(
        "device_tag tag WHERE tag.tenant_id = device.tenant_id AND tag.device_id = device.id",
        keys=("tag.key",),
        value=Column("tag.value"),
    ),
    "tagKey": Rows(
        "device_tag tag WHERE tag.tenant_id = device.tenant_id AND tag.device_id = device.id",
        keys=(),
        value=Column("tag.key"),
    ),
    "text": Words("device_word WHERE device_word.tenant_id = device.tenant_id AND device_id = device.id", "word"),
    "metadata": Json("device.metadata"),
    "notes": Json("device.notes"),
    **TRAIT_FIELDS,
    **VALUE_FIELDS,
}
"""What a filter can ask of a device. `lastSeenAt` is kept to the minute; `text`: words of name, external id, serial;
`called`: what people call it, in lower case; `kindId`: its type, else the version of its profile, else zeros;
`networkAlias` by network and key; `relation` by the id of an attribute: the parents it has in this sense.
What `trait_fields.py` and `value_fields.py` name as well."""

_SORT = {
    "name": SortKey("device.name"),
    "called": SortKey("device.called"),
    "createdAt": SortKey("device.created_at", cast="timestamptz"),
    "updatedAt": SortKey("device.updated_at", cast="timestamptz"),
    "lastSeenAt": SortKey("device.last_seen_at", cast="timestamptz"),
    "status": SortKey("device.status"),
    "connectionStatus": SortKey(CONNECTION_STATUS),
    "id": SortKey("device.id", cast="uuid"),
    "deletedAt": SortKey("device.id", cast="uuid"),  # none of these was: they are all alike
}

_GROUP_KEYS = {
    GroupBy.STATUS: "device.status",
    GroupBy.SITE: "device.site_id::text",
    GroupBy.PROFILE: "device.profile_id::text",
    GroupBy.FIRMWARE: "device.firmware_version",
}


# --- looking up ------------------------------------------------------------------------------------------------------


async def select_device(tx: Tx, device_id: DeviceId) -> Device | None:
    """One device."""
    return await tx.one(Device, f"SELECT {DEVICES.columns} FROM {DEVICES.source} {_BY_ID}", tx.tenant, device_id)


async def lock_device(tx: Tx, device_id: DeviceId) -> Device | None:
    """One device, which nobody else changes until this transaction ends."""
    sql = f"SELECT {DEVICES.columns} FROM {DEVICES.source} {_BY_ID} FOR NO KEY UPDATE OF device"
    return await tx.one(Device, sql, tx.tenant, device_id)


async def lock_states(tx: Tx, device_ids: Sequence[DeviceId]) -> None:
    """What devices are to go with, before they are locked themselves.

    The projection of states locks states first, then devices; whoever did it the other way round and it would wait for
    each other. States of several devices are locked by id, by the projection as well.
    """
    sql = "SELECT FROM device_state WHERE tenant_id = %s AND device_id = ANY (%s) ORDER BY device_id FOR UPDATE"
    await tx.run(sql, tx.tenant, list(device_ids))


_BY_ID = "WHERE device.tenant_id = %s AND device.id = %s"


async def list_devices(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Device]:
    """Devices that the filter is true for."""
    keys = parse_sort(sort, _SORT, "name")
    if keys[-1].sql == "device.status":
        # Within a status by name, as the index has it: else every page would sort all devices of the status.
        keys.append(SortKey("device.name", keys[-1].descending))
    if page.page is None:
        return await DEVICES.page(tx, Device, _conditions(tx, where), keys, page)
    # Of those that come before the page only the ids are read: the rest of a row takes long.
    listing = Listing(columns="device.id", source="device", tie="device.id")
    found = await listing.page(tx, _Found, _conditions(tx, where), keys, page)
    chosen = [
        Condition("device.tenant_id = %s AND device.id = ANY(%s)", (tx.tenant, [each.id for each in found.items]))
    ]
    shown = await DEVICES.page(tx, Device, chosen, keys, PageQuery(limit=page.limit))
    return Page(items=shown.items, total=found.total)


class _Found(msgspec.Struct, frozen=True):
    id: DeviceId


async def count_devices(tx: Tx, where: Filter) -> int:
    """How many devices the filter is true for."""
    return await DEVICES.count(tx, _conditions(tx, where))


async def select_ids(tx: Tx, where: Filter, *, limit: int) -> list[DeviceId]:
    """The first so many devices, by name, that the filter is true for."""
    conditions = _conditions(tx, where)
    sql = f"SELECT device.id FROM device WHERE {_text(conditions)} ORDER BY device.name, device.id LIMIT %s"
    return [row[0] for row in await tx.rows(sql, *_params(conditions), limit)]


async def walk_devices(
    tx: Tx, where: Filter, *, after: tuple[str, DeviceId] | None, most: int
) -> list[tuple[str, DeviceId]]:
    """The next so many devices, by name and id, that the filter is true for."""
    conditions = _conditions(tx, where)
    if after is not None:
        conditions.append(Condition("(device.name, device.id) > (%s, %s)", after))
    sql = f"""
        SELECT device.name, device.id FROM device WHERE {_text(conditions)} ORDER BY device.name, device.id LIMIT %s
    """
    return [(name, id_) for name, id_ in await tx.rows(sql, *_params(conditions), most)]


async def select_lines(tx: Tx, where: Filter, *, limit: int | None) -> list[DeviceLine]:
    """The first so many devices, by name, that the filter is true for, in a few words."""
    conditions = _conditions(tx, where)
    sql = f"""
        SELECT device.id, device.profile_id, device.firmware_version FROM device WHERE {_text(conditions)}
        ORDER BY device.name, device.id LIMIT %s
    """
    return await tx.all(DeviceLine, sql, *_params(conditions), limit)


async def count_by(tx: Tx, where: Filter, group_by: GroupBy) -> list[tuple[str | None, int]]:
    """How many devices have which value, most first; profiles as `key@major.minor`."""
    conditions = _conditions(tx, where)
    counted = f"""
        SELECT {_GROUP_KEYS[group_by]} AS key, count(*) AS count FROM device WHERE {_text(conditions)} GROUP BY 1
    """
    if group_by is GroupBy.PROFILE:
        counted = f"""
            SELECT profile.key || '@' || profile.major || '.' || profile.minor, counted.count
            FROM ({counted}) counted
            LEFT JOIN device_profile profile ON profile.id = counted.key::uuid
        """
    rows = await tx.rows(f"{counted} ORDER BY 2 DESC, 1", *_params(conditions))
    return [(row[0], row[1]) for row in rows]


def _conditions(tx: Tx, where: Filter) -> list[Condition]:
    # The row policy says the same; said here as a constant, the planner knows how many rows to expect.
    ours = Condition("device.tenant_id = %s", (tx.tenant,))
    return [ours, compile_filter(where, DEVICE_FIELDS, source=Source("device", ours))]


def _text(conditions: Sequence[Condition]) -> str:
    return " AND ".join(f"({condition.sql})" for condition in conditions)


def _params(conditions: Sequence[Condition]) -> list[Any]:
    return [param for condition in conditions for param in condition.params]


# --- changing --------------------------------------------------------------------------------------------------------


async def is_name_taken(tx: Tx, space_id: SpaceId, name: str, besides: DeviceId | None) -> bool:
    """Whether another device of the space has this name."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND space_id = %s AND name = %s"
    holder = await tx.value(sql, tx.tenant, space_id, name)
    return holder is not None and holder != besides


async def is_external_id_taken(tx: Tx, external_id: str, besides: DeviceId | None) -> bool:
    """Whether another device of the tenant has this external id."""
    holder = await tx.value("SELECT id FROM device WHERE tenant_id = %s AND external_id = %s", tx.tenant, external_id)
    return holder is not None and holder != besides


async def insert_device(tx: Tx, device: Device) -> int | None:
    """Its ordinal, or None when name or external id have just been taken. The ordinal of `device` is not looked at."""
    sql = f"""
        WITH next AS (
            INSERT INTO ordinal (tenant_id, noun, last) VALUES (%s, 'device', 1)
            ON CONFLICT (tenant_id, noun) DO UPDATE SET last = ordinal.last + 1 RETURNING last
        ), made AS (
            INSERT INTO device (tenant_id, id, space_id, ordinal, status, virtual, notes, activated_at, created_at,
                                {", ".join(_WRITABLE)})
            SELECT %s, %s, %s, last, %s, %s, %s, %s, %s, {", ".join(["%s"] * len(_WRITABLE))} FROM next
            ON CONFLICT DO NOTHING RETURNING tenant_id, id, ordinal
        ), state AS (
            INSERT INTO device_state (tenant_id, device_id) SELECT tenant_id, id FROM made
        )
        SELECT ordinal FROM made
    """
    ordinal: int | None = await tx.value(
        sql,
        tx.tenant,
        tx.tenant,
        device.id,
        device.space_id,
        device.status,
        device.virtual,
        Jsonb(device.notes),
        device.activated_at,
        device.created_at,
        *_values(device),
    )
    return ordinal


_WRITABLE = (
    "name",
    "title",
    "external_id",
    "serial_number",
    "profile_id",
    "type_id",
    "site_id",
    "parent_id",
    "gateway_id",
    "network_id",
    "purpose",
    "device_class",
    "system_interval",
    "communication_interval",
    "latitude",
    "longitude",
    "altitude",
    "location_label",
    "tags",
    "repeated_tags",
    "metadata",
    "updated_at",
)


def _values(device: Device) -> tuple[Any, ...]:
    place = device.location
    return (
        device.name,
        device.title,
        device.external_id,
        device.serial_number,
        device.profile_id,
        device.type_id,
        device.site_id,
        device.parent_id,
        device.gateway_id,
        device.network_id,
        device.purpose,
        device.device_class,
        device.system_interval,
        device.communication_interval,
        place and place.latitude,
        place and place.longitude,
        place and place.altitude,
        place and place.label,
        Jsonb(device.tags),
        Jsonb(device.repeated_tags),
        Jsonb(device.metadata),
        device.updated_at,
    )


async def update_device(tx: Tx, device: Device) -> bool:
    """False when name or external id have just been taken; the transaction is of no more use then."""
    sql = f"""
        UPDATE device SET virtual = %s, notes = %s, {", ".join(f"{column} = %s" for column in _WRITABLE)}, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    try:
        await tx.run(sql, device.virtual, Jsonb(device.notes), *_values(device), device.version, tx.tenant, device.id)
    except psycopg.errors.UniqueViolation:
        return False
    return True


async def update_status(tx: Tx, device: Device) -> None:
    """Its status, and since when it is active."""
    sql = """
        UPDATE device SET status = %s, activated_at = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, device.status, device.activated_at, device.updated_at, device.version, tx.tenant, device.id)


async def touch_device(tx: Tx, device_id: DeviceId, at: datetime) -> None:
    """Something that belongs to the device is another."""
    sql = "UPDATE device SET updated_at = %s, version = version + 1 WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, at, tx.tenant, device_id)


async def update_hardware(
    tx: Tx, device_id: DeviceId, *, hardware_id: str | None, firmware_version: str | None
) -> None:
    """What a device says it is; what it does not say stays."""
    sql = """
        UPDATE device SET hardware_id = coalesce(%s, hardware_id), firmware_version = coalesce(%s, firmware_version)
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, hardware_id, firmware_version, tx.tenant, device_id)


async def delete_device(tx: Tx, device_id: DeviceId, at: datetime) -> None:
    """Forget a device. Its certificates stay on the revocation list; devices below it stay, without a parent."""
    await tx.run(
        """
        INSERT INTO revoked_certificate (tenant_id, serial_number, revoked_at, not_after)
        SELECT tenant_id, serial_number, coalesce(revoked_at, %s), not_after FROM certificate
        WHERE tenant_id = %s AND device_id = %s AND issued_here
        ON CONFLICT DO NOTHING
        """,
        at,
        tx.tenant,
        device_id,
    )
    orphan = """
        UPDATE device SET parent_id = NULL, updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND parent_id = %s
    """
    await tx.run(orphan, at, tx.tenant, device_id)
    await tx.run("DELETE FROM device WHERE tenant_id = %s AND id = %s", tx.tenant, device_id)


class Tree(StrEnum):
    """What devices can lie below."""

    PARENT = "parent_id"
    GATEWAY = "gateway_id"


async def is_below(tx: Tx, tree: Tree, device_id: DeviceId, ancestor_id: DeviceId) -> bool:
    """Whether a device is, or has somewhere above it, another."""
    sql = f"""
        WITH RECURSIVE above (id, next) AS (
            SELECT id, {tree.value} FROM device WHERE tenant_id = %s AND id = %s
            UNION SELECT device.id, device.{tree.value} FROM above JOIN device ON device.tenant_id = %s
                AND device.id = above.next
        )
        SELECT EXISTS (SELECT FROM above WHERE id = %s)
    """
    return bool(await tx.value(sql, tx.tenant, device_id, tx.tenant, ancestor_id))


async def has_children(tx: Tx, gateway_id: DeviceId) -> bool:
    """Whether a device speaks for others."""
    sql = "SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND gateway_id = %s)"
    return bool(await tx.value(sql, tx.tenant, gateway_id))


async def select_tag_keys(tx: Tx, where: Filter = EVERYTHING) -> list[str]:
    """The keys of tags that devices have and that a filter on `tagKey` is true for, each once and in order."""
    condition = compile_filter(where, {"tagKey": Column("key")})
    # From one key to the next: an index is asked once for each, however many devices have it.
    sql = f"""
        WITH RECURSIVE known (key) AS (
            (SELECT key FROM device_tag WHERE tenant_id = %s ORDER BY key LIMIT 1)
            UNION ALL SELECT (
                SELECT tag.key FROM device_tag tag WHERE tag.tenant_id = %s AND tag.key > known.key
                ORDER BY tag.key LIMIT 1
            ) FROM known WHERE known.key IS NOT NULL
        )
        SELECT key FROM known WHERE key IS NOT NULL AND ({condition.sql}) ORDER BY key
    """
    return [row[0] for row in await tx.rows(sql, tx.tenant, tx.tenant, *condition.params)]


async def lock_tree(tx: Tx, noun: str) -> None:
    """Nobody else moves things in this tree of the tenant until the transaction ends: two moves could make a circle."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtext(%s), %s)", f"roadstead/{noun}-tree", tx.tenant)
