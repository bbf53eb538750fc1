"""The SQL of the door: who an OAuth client is, and where its application can work."""

from uuid import UUID

import msgspec

from roadstead.core.applications.model import Client, InstallationStatus, InstallingTenant
from roadstead.core.identity import Permission
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_WORKING = """
    application a
    JOIN tenant d ON d.tenant_id = a.tenant_id
    JOIN application_installation i ON i.application_id = a.id
    JOIN tenant t ON t.tenant_id = i.tenant_id
    JOIN allowed_tenant w
        ON w.tenant_id = a.tenant_id AND w.application_id = a.id AND w.organization_id = t.public_id
"""
_IF_WORKING = "a.active AND a.deleted_at IS NULL AND d.status = 'ACTIVE'"
_TENANTS = Listing(columns="t.public_id AS organization_id, t.name", source=_WORKING, tie="t.public_id")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What an application may do in a tenant: what it asks for today and was consented to."""

    tenant_id: TenantId
    status: str
    """Of the organization."""
    client_permissions: list[Permission]
    user_permissions: list[Permission]


class _Reach(msgspec.Struct, frozen=True):
    organization_id: UUID
    status: InstallationStatus


async def select_client(tx: Tx, client_id: UUID) -> Client | None:
    """An OAuth client by its id, of an application that was not deleted."""
    sql = """
        SELECT client_id AS id, 'CONFIDENTIAL' AS kind, id AS application_id, name, redirect_uris, secret_hash
        FROM application WHERE client_id = %s AND deleted_at IS NULL
        UNION ALL
        SELECT public_client_id, 'PUBLIC', id, name, redirect_uris, NULL
        FROM application WHERE public_client_id = %s AND deleted_at IS NULL
    """
    return await tx.one(Client, sql, client_id, client_id)


async def select_access(tx: Tx, application_id: UUID, organization_id: UUID) -> Access | None:
    """None where it is not installed or may not work."""
    sql = f"""
        SELECT t.tenant_id, t.status,
               ARRAY(SELECT unnest(a.client_permissions) INTERSECT SELECT unnest(i.client_permissions))
                   AS client_permissions,
               ARRAY(SELECT unnest(a.user_permissions) INTERSECT SELECT unnest(i.user_permissions))
                   AS user_permissions
        FROM {_WORKING} WHERE a.id = %s AND t.public_id = %s AND {_IF_WORKING}
    """
    return await tx.one(Access, sql, application_id, organization_id)


async def select_reach(tx: Tx, application_id: UUID) -> dict[UUID, InstallationStatus]:
    """Where it can work, by the organization's public id, and whether the consent is about what it asks for today."""
    sql = f"""
        SELECT t.public_id AS organization_id, installation_status(a, i) AS status
        FROM {_WORKING} WHERE a.id = %s AND {_IF_WORKING}
    """
    return {each.organization_id: each.status for each in await tx.all(_Reach, sql, application_id)}


async def page_working_tenants(tx: Tx, application_id: UUID, query: PageQuery) -> Page[InstallingTenant]:
    """Where it can work, the first to install it first."""
    where = [Condition("a.id = %s", (application_id,)), Condition(f"{_IF_WORKING} AND t.status = 'ACTIVE'")]
    return await _TENANTS.page(tx, InstallingTenant, where, [SortKey("i.created_at", cast="timestamptz")], query)
