"""The SQL of systems that anybody may read."""

from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.access.model import HeldRole, PermissionName, ResourceType
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId


class PublicSystem(msgspec.Struct, frozen=True):
    """A system that anybody may read."""

    tenant_id: TenantId
    organization_id: UUID
    status: str
    """Of the organization."""
    held: HeldRole


async def replace_public_role(tx: Tx, tenant: TenantId, space: UUID, role: int | None, at: datetime) -> None:
    """The role of everybody in a system; None: they have none."""
    await tx.run("DELETE FROM public_role WHERE tenant_id = %s AND space_id = %s", tenant, space)
    if role is not None:
        sql = "INSERT INTO public_role (tenant_id, space_id, role_number, created_at) VALUES (%s, %s, %s, %s)"
        await tx.run(sql, tenant, space, role, at)


async def select_public_roles(tx: Tx, tenant: TenantId) -> dict[UUID, str]:
    """Names of roles by system."""
    sql = """
        SELECT p.space_id, r.name FROM public_role p
        JOIN access_role r ON r.tenant_id = p.tenant_id AND r.number = p.role_number WHERE p.tenant_id = %s
    """
    return dict(await tx.rows(sql, tenant))


async def select_public_systems(tx: Tx, id_: UUID | None, alias: str) -> list[PublicSystem]:
    """Those with this id or alias, of all tenants; two at most."""
    sql = """
        SELECT t.tenant_id, t.public_id, t.status, s.id, array_agg(m.module), array_agg(m.name)
        FROM public_role p
        JOIN space s ON s.tenant_id = p.tenant_id AND s.id = p.space_id
        JOIN tenant t ON t.tenant_id = p.tenant_id
        LEFT JOIN access_role_permission m ON m.tenant_id = p.tenant_id AND m.role_number = p.role_number
        WHERE s.id = %s OR s.alias = %s GROUP BY 1, 2, 3, 4 LIMIT 2
    """
    found = []
    for tenant, organization, status, space, modules, names in await tx.rows(sql, id_, alias):
        permissions = [PermissionName(*pair) for pair in zip(modules, names, strict=True) if pair[0] is not None]
        held = HeldRole(resource_type=ResourceType.SYSTEM, resource_id=space, everything=False, permissions=permissions)
        found.append(PublicSystem(TenantId(tenant), organization, status, held))
    return found
