"""What can be done with quarantined payloads."""

from datetime import datetime
from uuid import UUID

from roadstead.core import registry
from roadstead.core.diagnostics import store
from roadstead.core.diagnostics.model import (
    Line,
    QuarantineEntry,
    QuarantineQuery,
    QuarantineStatistics,
    Tally,
)
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import Page, PageQuery

_MOST_LINES = 1_000


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


@operation(Grant.QUARANTINE_READ)
async def list_lines(work: Work, device_id: DeviceId, *, since: datetime) -> list[Line]:
    """What went wrong with what a device sent, and when it came and went; newest first, at most 1,000 lines.

    Everything that is wrong with one message has a line of its own.
    """
    await registry.load_device(work, device_id)
    lines = await store.select_refusals(work.tx, work.tenant_id, device_id, since=since, most=_MOST_LINES)
    lines += await store.select_connections(work.tx, work.tenant_id, device_id, since=since, most=_MOST_LINES)
    return sorted(lines, key=lambda line: line.at, reverse=True)[:_MOST_LINES]


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
