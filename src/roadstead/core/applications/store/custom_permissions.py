"""The SQL of permissions that applications bring along."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.core.applications.model import CustomPermission
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = "id, application_id, alias, category, name, description, created_at, updated_at"
_OWN = Listing(columns=_COLUMNS, source="custom_permission")
_OFFERED = Listing(columns=_COLUMNS, source="offered_custom_permissions()")
_NEWEST_FIRST = [SortKey("created_at", descending=True, cast="timestamptz")]


async def insert_permission(tx: Tx, tenant: TenantId, permission: CustomPermission) -> bool:
    """False when the application already has one with this alias."""
    sql = f"""
        INSERT INTO custom_permission (tenant_id, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, application_id, alias) DO NOTHING
    """
    return bool(
        await tx.run(
            sql,
            tenant,
            permission.id,
            permission.application_id,
            permission.alias,
            permission.category,
            permission.name,
            permission.description,
            permission.created_at,
            permission.updated_at,
        )
    )


async def page_permissions(tx: Tx, tenant: TenantId, application_id: UUID, query: PageQuery) -> Page[CustomPermission]:
    """Those of a developer's application, newest first."""
    where = [Condition("tenant_id = %s AND application_id = %s", (tenant, application_id))]
    return await _OWN.page(tx, CustomPermission, where, _NEWEST_FIRST, query)


async def page_offered_permissions(tx: Tx, application_id: UUID, query: PageQuery) -> Page[CustomPermission]:
    """Those of an application that this tenant has installed, newest first."""
    where = [Condition("application_id = %s", (application_id,))]
    return await _OFFERED.page(tx, CustomPermission, where, _NEWEST_FIRST, query)


async def select_offered_permissions(tx: Tx, wanted: Sequence[UUID]) -> list[CustomPermission]:
    """Those among some that an application brings along which this tenant has installed."""
    sql = f"SELECT {_COLUMNS} FROM offered_custom_permissions() WHERE id = ANY (%s) ORDER BY alias, id"
    return await tx.all(CustomPermission, sql, list(wanted))


async def select_permission(
    tx: Tx, tenant: TenantId, application_id: UUID, permission_id: UUID
) -> CustomPermission | None:
    """One of a developer's application."""
    sql = f"SELECT {_COLUMNS} FROM custom_permission WHERE tenant_id = %s AND application_id = %s AND id = %s"
    return await tx.one(CustomPermission, sql, tenant, application_id, permission_id)


async def update_permission(tx: Tx, tenant: TenantId, permission: CustomPermission) -> None:
    """What can be changed about one."""
    sql = """
        UPDATE custom_permission SET category = %s, description = %s, updated_at = %s WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, permission.category, permission.description, permission.updated_at, tenant, permission.id)


async def delete_permission(tx: Tx, tenant: TenantId, permission_id: UUID) -> None:
    """Nothing of it is left."""
    await tx.run("DELETE FROM custom_permission WHERE tenant_id = %s AND id = %s", tenant, permission_id)
