"""What can be done with the audit log: read it."""

from roadstead.core.audit import store
from roadstead.core.audit.model import AuditEntry, AuditFilter
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.AUDIT_READ)
async def list_entries(work: Work, wanted: AuditFilter, query: PageQuery) -> Page[AuditEntry]:
    """Who changed what, newest first."""
    return await store.page_entries(work.tx, work.tenant_id, wanted, query)
