"""Through which device another one is told things: the nearest above it that can come in by itself.

For the system duty only: devices of all tenants together.
"""

from collections.abc import Sequence

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, TenantId

Place = tuple[TenantId, DeviceId]

_MOST_LEVELS = 8
_COMES_ITSELF = """
    EXISTS (SELECT FROM certificate c WHERE c.tenant_id = d.tenant_id AND c.device_id = d.id AND c.revoked_at IS NULL
        AND c.withheld IS NULL AND c.not_after > now() AND (c.superseded_at IS NULL OR c.superseded_at > now()))
"""


async def find_carriers(tx: Tx, devices: Sequence[Place]) -> dict[DeviceId, DeviceId]:
    """Who speaks for these devices, of those that have no good certificate and a gateway that has one."""
    sql = f"""
        WITH RECURSIVE up AS (
            SELECT d.tenant_id, d.id AS device_id, d.id, d.gateway_id, {_COMES_ITSELF} AS comes, 0 AS level
            FROM unnest(%s::int[], %s::uuid[]) AS w (tenant_id, id) JOIN device d USING (tenant_id, id)
            UNION ALL
            SELECT d.tenant_id, up.device_id, d.id, d.gateway_id, {_COMES_ITSELF}, up.level + 1
            FROM up JOIN device d ON d.tenant_id = up.tenant_id AND d.id = up.gateway_id
            WHERE NOT up.comes AND up.level < %s
        )
        SELECT device_id, id FROM up WHERE comes AND level > 0
    """
    tenants, ids = [tenant for tenant, _ in devices], [device for _, device in devices]
    rows = await tx.rows(sql, tenants, ids, _MOST_LEVELS)
    return {DeviceId(device): DeviceId(carrier) for device, carrier in rows}


async def find_carried(tx: Tx, carriers: Sequence[Place]) -> dict[DeviceId, DeviceId]:
    """All devices that these speak for, with who does it."""
    sql = f"""
        WITH RECURSIVE down AS (
            SELECT w.tenant_id, w.id AS carrier_id, w.id, 0 AS level
            FROM unnest(%s::int[], %s::uuid[]) AS w (tenant_id, id)
            UNION ALL
            SELECT d.tenant_id, down.carrier_id, d.id, down.level + 1
            FROM down JOIN device d ON d.tenant_id = down.tenant_id AND d.gateway_id = down.id
            WHERE down.level < %s AND NOT {_COMES_ITSELF}
        )
        SELECT id, carrier_id FROM down WHERE level > 0
    """
    tenants, ids = [tenant for tenant, _ in carriers], [device for _, device in carriers]
    rows = await tx.rows(sql, tenants, ids, _MOST_LEVELS)
    return {DeviceId(device): DeviceId(carrier) for device, carrier in rows}


async def find_aliases(tx: Tx, devices: Sequence[Place]) -> dict[DeviceId, list[str]]:
    """What else these devices are called, as far as they are called anything."""
    sql = """
        SELECT a.device_id, array_agg(a.alias ORDER BY a.position)
        FROM unnest(%s::int[], %s::uuid[]) AS w (tenant_id, device_id) JOIN device_alias a USING (tenant_id, device_id)
        GROUP BY a.device_id
    """
    rows = await tx.rows(sql, [tenant for tenant, _ in devices], [device for _, device in devices])
    return {DeviceId(device): aliases for device, aliases in rows}
