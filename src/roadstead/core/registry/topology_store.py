"""The SQL of topologies."""

from collections.abc import Sequence

from roadstead.core.registry.device_store import DEVICES
from roadstead.core.registry.model import Device
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId

_SELECT = f"SELECT {DEVICES.columns} FROM {DEVICES.source} WHERE device.tenant_id = %s"
_IN_ORDER = "ORDER BY device.address, device.id"
_HAS_SOME_BEHIND = """
    EXISTS (SELECT FROM device behind WHERE behind.tenant_id = device.tenant_id AND behind.parent_id = device.id)
"""


async def select_devices(tx: Tx, *, limit: int | None, offset: int) -> list[Device]:
    """Devices by address."""
    return await tx.all(Device, f"{_SELECT} {_IN_ORDER} LIMIT %s OFFSET %s", tx.tenant, limit, offset)


async def select_device(tx: Tx, address: str) -> Device | None:
    """The device of this address; of several that differ in spelling only, the one that is spelled just so."""
    sql = f"""
        {_SELECT} AND device.address = replace(lower(%s), ':', '')
        ORDER BY device.external_id = %s DESC NULLS LAST, device.id LIMIT 1
    """
    return await tx.one(Device, sql, tx.tenant, address, address)


async def select_ordinal(tx: Tx, ordinal: int) -> Device | None:
    """The device with this number."""
    return await tx.one(Device, f"{_SELECT} AND device.ordinal = %s", tx.tenant, ordinal)


async def select_gateways(tx: Tx) -> list[Device]:
    """Devices with others behind them."""
    return await tx.all(Device, f"{_SELECT} AND {_HAS_SOME_BEHIND} {_IN_ORDER}", tx.tenant)


async def select_behind(tx: Tx, gateway: DeviceId | None) -> list[Device]:
    """The devices right behind a gateway, or behind any."""
    if gateway is None:
        return await tx.all(Device, f"{_SELECT} AND device.parent_id IS NOT NULL {_IN_ORDER}", tx.tenant)
    return await tx.all(Device, f"{_SELECT} AND device.parent_id = %s {_IN_ORDER}", tx.tenant, gateway)


async def select_topology_ordinals(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, int]:
    """The ordinal of the gateway of each of these devices that has one or is one."""
    sql = f"""
        SELECT device.id, coalesce(parent.ordinal, device.ordinal)
        FROM device LEFT JOIN device parent ON parent.tenant_id = device.tenant_id AND parent.id = device.parent_id
        WHERE device.tenant_id = %s AND device.id = ANY(%s) AND (parent.id IS NOT NULL OR {_HAS_SOME_BEHIND})
    """
    return {DeviceId(id_): ordinal for id_, ordinal in await tx.rows(sql, tx.tenant, list(device_ids))}


async def select_addresses(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, str]:
    """External id, else id, of each of these devices that is there."""
    sql = "SELECT id, coalesce(external_id, id::text) FROM device WHERE tenant_id = %s AND id = ANY(%s)"
    return {DeviceId(id_): address for id_, address in await tx.rows(sql, tx.tenant, list(device_ids))}
