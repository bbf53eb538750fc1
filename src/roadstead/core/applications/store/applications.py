"""The SQL of applications as their developer sees them, and of whom they may serve."""

from datetime import datetime
from uuid import UUID

import psycopg

from roadstead.core.applications.model import AllowedTenant, Application
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = """
    id, name, teaser_description, url, active, redirect_uris, client_permissions, user_permissions, client_id,
    public_client_id, (SELECT count(*) FROM installing_tenants(application.id)) AS installations, created_at,
    updated_at, version
"""
_APPLICATIONS = Listing(columns=_COLUMNS, source="application")
_ALLOWED = Listing(
    columns="w.organization_id, t.name, w.comment, w.created_at",
    source="allowed_tenant w LEFT JOIN installing_tenants(w.application_id) t USING (organization_id)",
    tie="w.organization_id",
)


async def insert_application(tx: Tx, tenant: TenantId, application: Application, secret_hash: bytes) -> bool:
    """False when the tenant already has an application of this name."""
    sql = """
        INSERT INTO application (tenant_id, id, name, teaser_description, url, redirect_uris, client_permissions,
                                 user_permissions, client_id, secret_hash, public_client_id, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, name) WHERE deleted_at IS NULL DO NOTHING
    """
    return bool(
        await tx.run(
            sql,
            tenant,
            application.id,
            application.name,
            application.teaser_description,
            application.url,
            application.redirect_uris,
            [str(one) for one in application.client_permissions],
            [str(one) for one in application.user_permissions],
            application.client_id,
            secret_hash,
            application.public_client_id,
            application.created_at,
            application.updated_at,
        )
    )


async def page_applications(tx: Tx, tenant: TenantId, query: PageQuery) -> Page[Application]:
    """Those of a developer, newest first."""
    where = [Condition("tenant_id = %s AND deleted_at IS NULL", (tenant,))]
    newest_first = [SortKey("created_at", descending=True, cast="timestamptz")]
    return await _APPLICATIONS.page(tx, Application, where, newest_first, query)


async def select_application(tx: Tx, tenant: TenantId, application_id: UUID) -> Application | None:
    """One of a developer."""
    sql = f"SELECT {_COLUMNS} FROM application WHERE tenant_id = %s AND id = %s AND deleted_at IS NULL"
    return await tx.one(Application, sql, tenant, application_id)


async def select_application_of_client(tx: Tx, tenant: TenantId, client_id: UUID) -> Application | None:
    """The application of a developer that has this OAuth client."""
    sql = f"""
        SELECT {_COLUMNS} FROM application
        WHERE tenant_id = %s AND (client_id = %s OR public_client_id = %s) AND deleted_at IS NULL
    """
    return await tx.one(Application, sql, tenant, client_id, client_id)


async def update_application(tx: Tx, tenant: TenantId, application: Application) -> Application | None:
    """As it is now, or None when somebody else has changed it since that version.

    Raises `Conflict` when its name is taken; the transaction is of no more use then.
    """
    sql = f"""
        UPDATE application SET name = %s, teaser_description = %s, url = %s, active = %s, redirect_uris = %s,
                               client_permissions = %s, user_permissions = %s, public_client_id = %s, updated_at = %s,
                               version = version + 1
        WHERE tenant_id = %s AND id = %s AND version = %s AND deleted_at IS NULL RETURNING {_COLUMNS}
    """
    try:
        return await tx.one(
            Application,
            sql,
            application.name,
            application.teaser_description,
            application.url,
            application.active,
            application.redirect_uris,
            [str(one) for one in application.client_permissions],
            [str(one) for one in application.user_permissions],
            application.public_client_id,
            application.updated_at,
            tenant,
            application.id,
            application.version,
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict.taken("application", "name", application.name) from error


async def replace_secret(tx: Tx, tenant: TenantId, application_id: UUID, secret_hash: bytes) -> None:
    """The former one is not good any more."""
    sql = "UPDATE application SET secret_hash = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, secret_hash, tenant, application_id)


async def delete_application(tx: Tx, tenant: TenantId, application_id: UUID, at: datetime) -> None:
    """Its name is free again, and what it brought along is gone. The row stays: who has installed it is told so."""
    await tx.run("DELETE FROM custom_permission WHERE tenant_id = %s AND application_id = %s", tenant, application_id)
    sql = "UPDATE application SET deleted_at = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, at, tenant, application_id)


async def put_allowed_tenant(
    tx: Tx, tenant: TenantId, application_id: UUID, organization_id: UUID, *, comment: str, at: datetime
) -> None:
    """Allow an organization, or change the comment on one that is allowed."""
    sql = """
        INSERT INTO allowed_tenant (tenant_id, application_id, organization_id, comment, created_at)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, application_id, organization_id) DO UPDATE SET comment = excluded.comment
    """
    await tx.run(sql, tenant, application_id, organization_id, comment, at)


async def page_allowed_tenants(tx: Tx, tenant: TenantId, application_id: UUID, query: PageQuery) -> Page[AllowedTenant]:
    """Who may install an application, the first to be allowed first."""
    where = [Condition("w.tenant_id = %s AND w.application_id = %s", (tenant, application_id))]
    return await _ALLOWED.page(tx, AllowedTenant, where, [SortKey("w.created_at", cast="timestamptz")], query)


async def select_allowed_tenant(
    tx: Tx, tenant: TenantId, application_id: UUID, organization_id: UUID
) -> AllowedTenant | None:
    """One that may install an application."""
    sql = f"""
        SELECT {_ALLOWED.columns} FROM {_ALLOWED.source}
        WHERE w.tenant_id = %s AND w.application_id = %s AND w.organization_id = %s
    """
    return await tx.one(AllowedTenant, sql, tenant, application_id, organization_id)


async def delete_allowed_tenant(tx: Tx, tenant: TenantId, application_id: UUID, organization_id: UUID) -> bool:
    """False when it was not allowed."""
    sql = "DELETE FROM allowed_tenant WHERE tenant_id = %s AND application_id = %s AND organization_id = %s"
    return bool(await tx.run(sql, tenant, application_id, organization_id))
