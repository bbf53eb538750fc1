"""Devices, components and sensors for tests of what lies below the registry's operations: plain rows."""

import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.messages import Uplink, ValueType
from roadstead.core.types import ProfileField
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.ids import TenantId, new_id


async def add_device(database: Database, tenant: TenantId, *, status: str = "PENDING") -> UUID:
    """A device in the default space of the tenant."""
    device = new_id()
    async with database.tx() as tx:
        await tx.run(
            """
            INSERT INTO device (tenant_id, id, space_id, ordinal, name, status, created_at, updated_at)
            SELECT tenant_id, %s, id, %s, %s, %s, now(), now() FROM space WHERE tenant_id = %s AND is_default
            """,
            device,
            secrets.randbelow(2**31),
            str(device),
            status,
            tenant,
        )
    return device


async def add_component(
    database: Database, tenant: TenantId, device: UUID, key: str, fields: Sequence[ProfileField]
) -> UUID:
    """A component, bound to a sensor profile of its own with these fields."""
    profile, component = new_id(), new_id()
    async with database.tx() as tx:
        await tx.run(
            """
            INSERT INTO sensor_profile (tenant_id, id, key, major, minor, name, fields, created_at)
            VALUES (%s, %s, %s, 1, 0, %s, %s, now())
            """,
            tenant,
            profile,
            f"{key}-{secrets.token_hex(4)}",
            key,
            Jsonb(list(fields)),
        )
        await tx.run(
            """
            INSERT INTO component (tenant_id, id, device_id, key, name, sensor_profile_id, created_at, updated_at)
            VALUES (%s, %s, %s, %s, %s, %s, now(), now())
            """,
            tenant,
            component,
            device,
            key,
            key,
            profile,
        )
    return component


async def add_sensor(
    database: Database, tenant: TenantId, device: UUID, path: str, value_type: ValueType, **columns: Any
) -> UUID:
    """A sensor of a device."""
    sensor = new_id()
    row = {"tenant_id": tenant, "id": sensor, "device_id": device, "path": path, "value_type": value_type.value}
    row |= {"key": path.rpartition("/")[2], "name": path} | columns
    async with database.tx() as tx:
        await tx.run(
            f"INSERT INTO sensor ({', '.join(row)}, created_at, updated_at) "
            f"VALUES ({', '.join(['%s'] * len(row))}, now(), now())",
            *row.values(),
        )
    return sensor


async def sensors_of(database: Database, device: UUID) -> dict[str, str]:
    """The value type of every sensor of a device, by path."""
    async with database.tx() as tx:
        return dict(await tx.rows("SELECT path, value_type FROM sensor WHERE device_id = %s ORDER BY path", device))


def uplink(
    tenant: TenantId,
    device: UUID,
    payload: object,
    *,
    channel: str = "readings",
    dialect: str = "native",
    received: int | None = None,
    source: str = "MQTT",
) -> Uplink:
    """A message of a device; bytes go as they are, everything else as JSON."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    now = time.to_millis(time.now()) if received is None else received
    return Uplink(tenant, ids.to_bytes(device), dialect, channel, now, body, source)


def item(ref: str, value: object, at: str = "2026-01-01T00:00:00Z", **more: object) -> dict[str, object]:
    """A reading as a device spells it."""
    return {"sensorId": ref, "timestamp": at, "value": value, **more}
