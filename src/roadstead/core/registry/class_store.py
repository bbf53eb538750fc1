"""The SQL of where devices lie: what is above them, and which of them speak for others."""

from collections.abc import Sequence

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId


async def select_parents(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, DeviceId]:
    """The parents of these devices, of their parents, and so on; those that have none are left out."""
    sql = """
        WITH RECURSIVE above (id, parent_id) AS (
            SELECT id, parent_id FROM device WHERE tenant_id = %s AND id = ANY(%s)
            UNION SELECT device.id, device.parent_id FROM above JOIN device ON device.tenant_id = %s
                AND device.id = above.parent_id
        )
        SELECT id, parent_id FROM above WHERE parent_id IS NOT NULL
    """
    rows = await tx.rows(sql, tx.tenant, list(device_ids), tx.tenant)
    return {row[0]: row[1] for row in rows}


async def select_gateways(tx: Tx, device_ids: Sequence[DeviceId]) -> list[DeviceId]:
    """Those of the devices that speak for others."""
    sql = """
        SELECT wanted.id FROM unnest(%s::uuid[]) AS wanted (id)
        WHERE EXISTS (SELECT FROM device WHERE device.tenant_id = %s AND device.gateway_id = wanted.id)
    """
    return [row[0] for row in await tx.rows(sql, list(device_ids), tx.tenant)]
