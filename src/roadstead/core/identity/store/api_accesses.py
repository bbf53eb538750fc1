"""The SQL of API access."""

from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.identity.api_access_model import AccessLimits, ApiAccess
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId

_COLUMNS = "id, name, permissions, scopes, enabled, created_by, created_at, updated_at, last_used_at"


class KnownApiAccess(msgspec.Struct, frozen=True, kw_only=True):
    """One that somebody claims to have, with what decides whether it is good."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    id: UUID
    name: str
    secret: bytes
    permissions: AccessLimits
    scopes: list[str]
    enabled: bool
    last_used_at: datetime | None


async def select_known_access(tx: Tx, access: UUID) -> KnownApiAccess | None:
    """By its id, over all tenants."""
    sql = """
        SELECT a.tenant_id, t.public_id AS organization_id, t.status, a.id, a.name, a.secret, a.permissions, a.scopes,
               a.enabled, a.last_used_at
        FROM api_access a JOIN tenant t USING (tenant_id) WHERE a.id = %s
    """
    return await tx.one(KnownApiAccess, sql, access)


async def touch_access(tx: Tx, tenant: TenantId, access: UUID, at: datetime) -> None:
    """Note that it was used. Whoever finds somebody else noting the same lets them."""
    sql = """
        UPDATE api_access SET last_used_at = %s WHERE id IN (
            SELECT id FROM api_access WHERE tenant_id = %s AND id = %s FOR UPDATE SKIP LOCKED
        )
    """
    await tx.run(sql, at, tenant, access)


async def select_accesses(tx: Tx, tenant: TenantId) -> list[ApiAccess]:
    """All of a tenant, by name."""
    sql = f"SELECT {_COLUMNS} FROM api_access WHERE tenant_id = %s ORDER BY name, id"
    return await tx.all(ApiAccess, sql, tenant)


async def select_access(tx: Tx, tenant: TenantId, access: UUID) -> ApiAccess | None:
    """One of them."""
    return await tx.one(
        ApiAccess, f"SELECT {_COLUMNS} FROM api_access WHERE tenant_id = %s AND id = %s", tenant, access
    )


async def insert_access(tx: Tx, tenant: TenantId, access: ApiAccess, secret: bytes) -> None:
    """Add one; the secret is sealed."""
    sql = """
        INSERT INTO api_access (tenant_id, id, name, secret, permissions, scopes, enabled, created_by, created_at,
                                updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    values = (access.id, access.name, secret, _json(access), access.scopes, access.enabled, access.created_by)
    await tx.run(sql, tenant, *values, access.created_at, access.updated_at)


async def update_access(tx: Tx, tenant: TenantId, access: ApiAccess) -> None:
    """Name, permissions and whether it is good, as they shall be."""
    sql = """
        UPDATE api_access SET name = %s, permissions = %s, enabled = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, access.name, _json(access), access.enabled, access.updated_at, tenant, access.id)


async def delete_access(tx: Tx, tenant: TenantId, access: UUID) -> None:
    """Away with it."""
    await tx.run("DELETE FROM api_access WHERE tenant_id = %s AND id = %s", tenant, access)


def _json(access: ApiAccess) -> Jsonb:
    return Jsonb(msgspec.to_builtins(access.permissions))
