"""The SQL of series of devices: which types the devices are of."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, TenantId, TypeId


async def has_device(tx: Tx, tenant: TenantId, device_id: DeviceId) -> bool:
    """Whether there is such a device."""
    return bool(
        await tx.value("SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND id = %s)", tenant, device_id)
    )


async def select_types(
    tx: Tx, tenant: TenantId, device_ids: Sequence[DeviceId], organization: UUID
) -> dict[TypeId, list[DeviceId]]:
    """The types of devices with those of each: the one it has, or that which shows its profile, or none."""
    sql = """
        SELECT coalesce(type_id, profile_id, %s) AS type, array_agg(id ORDER BY id) FROM device
        WHERE tenant_id = %s AND id = ANY (%s) GROUP BY type
    """
    rows = await tx.rows(sql, organization, tenant, list(device_ids))
    return {TypeId(type_id): [DeviceId(id_) for id_ in members] for type_id, members in rows}
