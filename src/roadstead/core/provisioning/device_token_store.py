"""The SQL of tokens of devices."""

from datetime import datetime

import msgspec

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, KeyId, TenantId


class DeviceToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of a device."""

    tenant_id: TenantId
    device_id: DeviceId
    access_key_id: KeyId
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None


_COLUMNS = "tenant_id, device_id, access_key_id, scopes, created_at, expires_at"


async def insert_device_token(tx: Tx, token: DeviceToken, token_hash: bytes) -> None:
    """Add a token."""
    sql = f"INSERT INTO device_token ({_COLUMNS}, token_hash) VALUES (%s, %s, %s, %s, %s, %s, %s)"
    await tx.run(sql, *msgspec.structs.astuple(token), token_hash)


async def select_good_device_token(tx: Tx, token_hash: bytes, at: datetime) -> DeviceToken | None:
    """The token, if it has not expired and its application is there, over all tenants."""
    columns = ", ".join(f"t.{name}" for name in _COLUMNS.split(", "))
    sql = f"""
        SELECT {columns} FROM device_token t
        JOIN device d ON d.tenant_id = t.tenant_id AND d.id = t.device_id
        JOIN space s ON s.tenant_id = d.tenant_id AND s.id = d.space_id AND s.deleted_at IS NULL
        WHERE t.token_hash = %s AND (t.expires_at IS NULL OR t.expires_at > %s)
    """
    return await tx.one(DeviceToken, sql, token_hash, at)


async def is_peripheral_of(tx: Tx, tenant: TenantId, gateway: DeviceId, device: DeviceId) -> bool:
    """Whether a device is connected by a gateway, or is a peripheral that any gateway of its space may connect."""
    sql = """
        SELECT EXISTS (
            SELECT FROM device p JOIN device g ON g.tenant_id = p.tenant_id AND g.space_id = p.space_id
            WHERE p.tenant_id = %s AND p.id = %s AND g.id = %s AND (p.gateway_id = g.id OR (p.gateway_id IS NULL
                AND p.device_class = 'peripheral' AND g.device_class IN ('gateway', 'edgeCompute')))
        )
    """
    return bool(await tx.value(sql, tenant, device, gateway))
