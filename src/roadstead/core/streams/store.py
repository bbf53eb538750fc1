"""The SQL of live streams: what paths and devices are called outside, and whether what is listened to exists."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from roadstead.core.messages import ValueType
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
