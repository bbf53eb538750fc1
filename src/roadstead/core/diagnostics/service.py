"""What can be done with quarantined payloads."""

from uuid import UUID

from roadstead.core.diagnostics import store
from roadstead.core.diagnostics.model import (
    QuarantineEntry,
    QuarantineQuery,
    QuarantineStatistics,
    Tally,
)
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.QUARANTINE_READ)
async def list_entries(work: Work, query: QuarantineQuery, page: PageQuery) -> Page[QuarantineEntry]:
    """Refused payloads, newest first."""
    return await store.page_entries(work.tx, work.tenant_id, query, page)


@operation(Grant.QUARANTINE_READ)
async def get_entry(work: Work, entry_id: UUID) -> QuarantineEntry:
    """One of them."""
    entry = await store.select_entry(work.tx, work.tenant_id, entry_id)
    if entry is None:
        raise NotFound("quarantine entry", entry_id)
    return entry


@operation(Grant.QUARANTINE_READ)
async def get_statistics(work: Work, query: QuarantineQuery) -> QuarantineStatistics:
    """Counts by reason and device."""
    return await store.select_statistics(work.tx, work.tenant_id, query)


@operation(Grant.QUARANTINE_WRITE)
async def discard_entry(work: Work, entry_id: UUID) -> None:
    """Forget one."""
    if not await store.delete_entries(work.tx, work.tenant_id, [entry_id]):
        raise NotFound("quarantine entry", entry_id)
    work.record("quarantine.delete", entry_id)


@operation(Grant.QUARANTINE_WRITE)
async def discard_entries(work: Work, query: QuarantineQuery) -> int:
    """Forget all that are meant; says how many. Raises `Invalid` when that would be all there are."""
    if query.is_empty:
        detail = "one of reason, deviceId, before is needed: nobody empties quarantine by mistake"
        raise Invalid.field("reason", detail, code="filter-required", place="query")
    discarded = await store.delete_matching(work.tx, work.tenant_id, query)
    work.record("quarantine.purge", after=Tally(discarded=discarded))
    return discarded
