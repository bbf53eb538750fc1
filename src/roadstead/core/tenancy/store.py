"""The SQL of organizations."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.tenancy.model import Organization, OrganizationStatus
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = "tenant_id, public_id, name, slug, settings, status, notes, created_at, updated_at, version"
_LISTING = Listing(columns=_COLUMNS, source="tenant", tie="public_id")


async def insert_organization(tx: Tx, organization: Organization) -> TenantId | None:
    """Its new number (the one it comes with is not looked at), or None when the slug is taken."""
    sql = """
        INSERT INTO tenant (public_id, name, slug, settings, status, notes, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (slug) DO NOTHING RETURNING tenant_id
    """
    number = await tx.value(
        sql,
        organization.public_id,
        organization.name,
        organization.slug,
        Jsonb(organization.settings),
        organization.status,
        Jsonb(organization.notes),
        organization.created_at,
        organization.updated_at,
    )
    return None if number is None else TenantId(number)


async def insert_default_space(tx: Tx, tenant: TenantId, space_id: UUID, created_at: datetime) -> None:
    """Every organization has one."""
    sql = "INSERT INTO space (tenant_id, id, name, is_default, created_at) VALUES (%s, %s, 'Default', true, %s)"
    await tx.run(sql, tenant, space_id, created_at)


async def select_organization(tx: Tx, tenant: TenantId) -> Organization | None:
    """The organization with this number."""
    return await tx.one(Organization, f"SELECT {_COLUMNS} FROM tenant WHERE tenant_id = %s", tenant)


async def select_organization_named(tx: Tx, slug: str, public_id: UUID | None) -> Organization | None:
    """The organization with this slug or this public id."""
    sql = f"SELECT {_COLUMNS} FROM tenant WHERE slug = %s OR public_id = %s"
    return await tx.one(Organization, sql, slug, public_id)


async def page_organizations(tx: Tx, tenants: Sequence[TenantId] | None, query: PageQuery) -> Page[Organization]:
    """Those among some, or all of the platform, by name."""
    where = [] if tenants is None else [Condition("tenant_id = ANY (%s)", (list(tenants),))]
    return await _LISTING.page(tx, Organization, where, [SortKey("name")], query)


async def update_organization(tx: Tx, organization: Organization, updated_at: datetime) -> Organization | None:
    """As it is now, or None when somebody else has changed it since that version."""
    sql = f"""
        UPDATE tenant SET name = %s, slug = %s, settings = %s, notes = %s, updated_at = %s, version = version + 1
        WHERE tenant_id = %s AND version = %s
        RETURNING {_COLUMNS}
    """
    return await tx.one(
        Organization,
        sql,
        organization.name,
        organization.slug,
        Jsonb(organization.settings),
        Jsonb(organization.notes),
        updated_at,
        organization.tenant_id,
        organization.version,
    )


async def update_status(
    tx: Tx, tenant: TenantId, status: OrganizationStatus, *, delete_at: datetime | None, updated_at: datetime
) -> Organization | None:
    """As it is now; None when there is no such organization."""
    sql = f"""
        UPDATE tenant SET status = %s, delete_at = %s, updated_at = %s, version = version + 1
        WHERE tenant_id = %s RETURNING {_COLUMNS}
    """
    return await tx.one(Organization, sql, status, delete_at, updated_at, tenant)


async def is_slug_taken(tx: Tx, slug: str) -> bool:
    """Whether any organization of the platform has it. Asked of the whole platform, so it answers yes or no only."""
    return bool(await tx.value("SELECT slug_taken(%s)", slug))


async def is_name_taken(tx: Tx, name: str, *, but: TenantId | None) -> bool:
    """Whether another organization of the platform has it. Until the end of the transaction nobody else can ask."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('roadstead.organization_name', 0))")
    return bool(await tx.value("SELECT tenant_name_taken(%s, %s)", name, but))


async def is_platform_empty(tx: Tx) -> bool:
    """Whether there is no organization at all. Callers wait for each other here, so that only one founds the first."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('roadstead.founding', 0))")
    return not await tx.value("SELECT EXISTS (SELECT FROM tenant)")
