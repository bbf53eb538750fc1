"""The SQL of what a tenant has installed, or could."""

from datetime import datetime
from uuid import UUID

from roadstead.core.applications.model import Consent, Installation, OfferedApplication
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

# Both halves look at this tenant only: the function by itself, the table by its row policy and by name.
_OFFERED = Listing(
    columns="""
        a.id, a.name, a.teaser_description, a.url, a.client_permissions, a.user_permissions, a.availability,
        a.installed_at, a.status
    """,
    source="offered_applications() a",
    tie="a.id",
)
_INSTALLATION = """
    SELECT i.application_id, i.client_permissions, i.user_permissions, i.created_at, i.updated_at, a.status
    FROM application_installation i JOIN offered_applications() a ON a.id = i.application_id
    WHERE i.tenant_id = %s AND i.application_id = %s
"""


async def page_offered(tx: Tx, query: PageQuery, *, installed: bool | None) -> Page[OfferedApplication]:
    """What this tenant may install or has, in order of creation; None: both."""
    where = [] if installed is None else [Condition("(a.installed_at IS NOT NULL) = %s", (installed,))]
    return await _OFFERED.page(tx, OfferedApplication, where, [SortKey("a.created_at", cast="timestamptz")], query)


async def select_offered(tx: Tx, application_id: UUID) -> OfferedApplication | None:
    """One that this tenant may install or has."""
    sql = f"SELECT {_OFFERED.columns} FROM {_OFFERED.source} WHERE a.id = %s"
    return await tx.one(OfferedApplication, sql, application_id)


async def select_installation(tx: Tx, tenant: TenantId, application_id: UUID) -> Installation | None:
    """What a tenant has consented to."""
    return await tx.one(Installation, _INSTALLATION, tenant, application_id)


async def insert_installation(
    tx: Tx, tenant: TenantId, application: OfferedApplication, consent: Consent, at: datetime
) -> bool:
    """False when it is installed already."""
    sql = """
        INSERT INTO application_installation (tenant_id, application_id, application_name, client_permissions,
                                              user_permissions, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, application_id) DO NOTHING
    """
    return bool(await tx.run(sql, tenant, application.id, application.name, *_lists(consent), at, at))


async def update_installation(
    tx: Tx, tenant: TenantId, application: OfferedApplication, consent: Consent, at: datetime
) -> None:
    """A consent in place of the former one."""
    sql = """
        UPDATE application_installation
        SET application_name = %s, client_permissions = %s, user_permissions = %s, updated_at = %s
        WHERE tenant_id = %s AND application_id = %s
    """
    await tx.run(sql, application.name, *_lists(consent), at, tenant, application.id)


async def delete_installation(tx: Tx, tenant: TenantId, application_id: UUID) -> None:
    """Nothing of it is left."""
    sql = "DELETE FROM application_installation WHERE tenant_id = %s AND application_id = %s"
    await tx.run(sql, tenant, application_id)


def _lists(consent: Consent) -> tuple[list[str], list[str]]:
    return [str(one) for one in consent.client_permissions], [str(one) for one in consent.user_permissions]
