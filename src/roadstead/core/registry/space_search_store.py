"""The SQL of spaces of several organizations, and of how much is in them."""

from collections.abc import Sequence

from roadstead.core.registry.space_model import OwnedSpace
from roadstead.db import Condition, SortKey, Tx
from roadstead.db.filters import Column, compile_filter
from roadstead.db.listing import Listing
from roadstead.kernel.filter import Match, MatchKind
from roadstead.kernel.ids import SpaceId, TenantId
from roadstead.kernel.page import Page, PageQuery

_LISTING = Listing(
    columns="""
        space.id, space.name, space.alias, space.is_default, space.endpoint_slug, space.archive, space.notes,
        space.created_at, space.updated_at, space.tenant_id, tenant.public_id AS organization_id,
        tenant.name AS organization_name
    """,
    source="space JOIN tenant USING (tenant_id)",
    tie="space.id",
)
SORTS = {
    "name": SortKey("space.name"),
    "createdAt": SortKey("space.created_at", cast="timestamptz"),
    "updatedAt": SortKey("space.updated_at", cast="timestamptz"),
    "organizationId": SortKey("tenant.public_id", cast="uuid"),
    "id": SortKey("space.id", cast="uuid"),
}


async def page_spaces(
    tx: Tx,
    tenants: Sequence[TenantId],
    *,
    only: Sequence[SpaceId] | None,
    pattern: str | None,
    sort: SortKey,
    page: PageQuery,
) -> Page[OwnedSpace]:
    """Those of these tenants, or some of them, whose name fits a pattern with `*`, in any case."""
    where = [Condition("space.tenant_id = ANY (%s) AND space.deleted_at IS NULL", (list(tenants),))]
    if only is not None:
        where.append(Condition("space.id = ANY (%s)", (list(only),)))
    if pattern is not None:
        fits = Match(("name",), MatchKind.WILDCARD, pattern, ignore_case=True)
        where.append(compile_filter(fits, {"name": Column("space.name")}))
    return await _LISTING.page(tx, OwnedSpace, where, [sort], page)
