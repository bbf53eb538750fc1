"""The SQL of live streams: what paths and devices are called outside, and whether what is listened to exists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import ValueType
from roadstead.core.streams.model import OccurrenceEvent, Position
from roadstead.db import Tx
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, SensorId, SiteId, TenantId


class KnownDevice(msgspec.Struct):
    """What a listener can be told about a device."""

    channels: dict[str, tuple[SensorId, ValueType]]
    """By path."""
    sites: frozenset[UUID]
    """The site it stands in and all above that."""
    strange: set[str]
    """Paths that were heard of and are no sensors."""


async def select_known(tx: Tx, tenant: TenantId, devices: Sequence[bytes]) -> dict[bytes, KnownDevice]:
    """What there is of these devices (the 12 bytes of their ids)."""
    wanted = [ids.from_bytes(device) for device in devices]
    known = {
        ids.to_bytes(id_): KnownDevice({}, frozenset(lineage or ()), set())
        for id_, lineage in await tx.rows(
            """
            SELECT d.id, t.lineage FROM device d
            LEFT JOIN site t ON t.tenant_id = d.tenant_id AND t.id = d.site_id
            WHERE d.tenant_id = %s AND d.id = ANY (%s)
            """,
            tenant,
            wanted,
        )
    }
    sql = "SELECT device_id, path, id, value_type FROM sensor WHERE tenant_id = %s AND device_id = ANY (%s)"
    for device, path, id_, value_type in await tx.rows(sql, tenant, wanted):
        if (found := known.get(ids.to_bytes(device))) is not None:
            found.channels[path] = (SensorId(id_), ValueType(value_type))
    return known


class KnownType(msgspec.Struct, frozen=True):
    """What the type of a device says of its values."""

    id: UUID
    version: int
    sections: dict[str, dict[str, Any]]


async def select_types(tx: Tx, tenant: TenantId, devices: Sequence[bytes]) -> dict[bytes, KnownType]:
    """The types of those of these devices that have one."""
    sql = """
        SELECT d.id AS device_id, t.id, t.version, t.sections
        FROM device d JOIN device_type t ON t.tenant_id = d.tenant_id AND t.id = d.type_id
        WHERE d.tenant_id = %s AND d.id = ANY (%s)
    """
    found, types = await tx.keyed(KnownType, sql, tenant, [ids.from_bytes(device) for device in devices])
    return dict(zip(map(ids.to_bytes, found), types, strict=True))


async def select_organization(tx: Tx, tenant: TenantId) -> UUID:
    """The public id of a tenant."""
    organization: UUID = await tx.value("SELECT public_id FROM tenant WHERE tenant_id = %s", tenant)
    return organization


async def select_occurrence(tx: Tx, tenant: TenantId, event_id: UUID) -> OccurrenceEvent | None:
    """What an event about a device says."""
    sql = """
        SELECT device_id, type, occurred_at AS at, data FROM event
        WHERE tenant_id = %s AND id = %s AND device_id IS NOT NULL
    """
    return await tx.one(OccurrenceEvent, sql, tenant, event_id)


async def select_devices(tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId]) -> set[DeviceId]:
    """Those of these devices that exist."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND id = ANY (%s)"
    return {DeviceId(id_) for (id_,) in await tx.rows(sql, tenant, list(device_ids))}


async def select_devices_of(tx: Tx, tenant: TenantId, sensor_ids: Sequence[SensorId]) -> dict[SensorId, DeviceId]:
    """The devices of those of these sensors that exist."""
    sql = "SELECT id, device_id FROM sensor WHERE tenant_id = %s AND id = ANY (%s)"
    return dict(await tx.rows(sql, tenant, list(sensor_ids)))


async def has_site(tx: Tx, tenant: TenantId, site_id: SiteId) -> bool:
    """Whether there is such a site."""
    return bool(await tx.value("SELECT EXISTS (SELECT FROM site WHERE tenant_id = %s AND id = %s)", tenant, site_id))


# --- tickets and buffers ---------------------------------------------------------------------------------------------


async def insert_ticket(tx: Tx, token_hash: bytes, sealed: bytes, expires_at: datetime) -> None:
    """What somebody may open once."""
    sql = "INSERT INTO stream_ticket (tenant_id, token_hash, sealed, expires_at) VALUES (%s, %s, %s, %s)"
    await tx.run(sql, tx.tenant, token_hash, sealed, expires_at)


async def take_ticket(tx: Tx, token_hash: bytes, at: datetime) -> bytes | None:
    """What is sealed in a ticket that is still good. It is gone with that."""
    sql = "DELETE FROM stream_ticket WHERE token_hash = %s AND expires_at > %s RETURNING sealed"
    row = await tx.row(sql, token_hash, at)
    return None if row is None else bytes(row[0])


async def has_ticket(tx: Tx, token_hash: bytes, at: datetime) -> bool:
    """Whether there is a ticket that is still good."""
    sql = "SELECT EXISTS (SELECT FROM stream_ticket WHERE token_hash = %s AND expires_at > %s)"
    return bool(await tx.value(sql, token_hash, at))


async def select_buffer(tx: Tx, name: str, since: datetime) -> Position | None:
    """Up to where a buffer was read by whoever has not been away since before an instant."""
    sql = """
        SELECT epoch, accepted, index, facts, fact_index FROM stream_buffer
        WHERE tenant_id = %s AND name = %s AND seen_at >= %s
    """
    return await tx.one(Position, sql, tx.tenant, name, since)


async def upsert_buffer(tx: Tx, name: str, position: Position, at: datetime) -> None:
    """Up to here it was read."""
    sql = """
        INSERT INTO stream_buffer (tenant_id, name, epoch, accepted, index, facts, fact_index, seen_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, name) DO UPDATE SET
            epoch = EXCLUDED.epoch, accepted = EXCLUDED.accepted, index = EXCLUDED.index, facts = EXCLUDED.facts,
            fact_index = EXCLUDED.fact_index, seen_at = EXCLUDED.seen_at
    """
    await tx.run(sql, tx.tenant, name, *msgspec.structs.astuple(position), at)
