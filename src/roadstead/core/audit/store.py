"""The SQL of the audit log; entries are written with the commit of what they tell (see db/tx.py)."""

from roadstead.core.audit.model import AuditEntry, AuditFilter
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_LISTING = Listing(
    columns="id, at, actor_type, actor_id, actor_name, action, resource_type, resource_id, changes, request_id, "
    "address, client_id",
    source="audit_log",
)
_NEWEST_FIRST = [SortKey("at", descending=True, cast="timestamptz")]


async def page_entries(tx: Tx, tenant: TenantId, wanted: AuditFilter, query: PageQuery) -> Page[AuditEntry]:
    """Entries of an organization, newest first."""
    where = [Condition("tenant_id = %s", (tenant,))]
    if wanted.actor_ids:
        where.append(Condition("actor_id = ANY (%s)", (list(wanted.actor_ids),)))
    if wanted.actions:
        either = " OR ".join(["starts_with(action, %s)"] * len(wanted.actions))
        where.append(Condition(either, tuple(wanted.actions)))
    if wanted.resource_types:
        where.append(Condition("resource_type = ANY (%s)", (list(wanted.resource_types),)))
    if wanted.resource_ids:
        where.append(Condition("resource_id = ANY (%s)", (list(wanted.resource_ids),)))
    if wanted.start is not None:
        where.append(Condition("at >= %s", (wanted.start,)))
    if wanted.end is not None:
        where.append(Condition("at < %s", (wanted.end,)))
    return await _LISTING.page(tx, AuditEntry, where, _NEWEST_FIRST, query)
