"""The SQL of background jobs, as far as it is not that of all jobs that make files."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.files import JobClaim
from roadstead.core.jobs.model import BackgroundJob, Told
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SpaceId, TenantId
from roadstead.kernel.page import Page, PageQuery

_NAMES = BackgroundJob.__struct_fields__
_COLUMNS = ", ".join(_NAMES)
_JOBS = Listing(columns=_COLUMNS, source="background_job")
_ENDS = "('READY', 'FAILED', 'EXPIRED')"

# How a status is named to programs; `db/filters.py` compares with it.
_STATUS = """CASE status WHEN 'PENDING' THEN 'queued' WHEN 'RUNNING' THEN 'inProgress' WHEN 'FAILED' THEN 'failed'
             ELSE 'completed' END"""
FIELDS: Fields = {
    "id": Column("id", ColumnType.ID),
    "name": Column("name"),
    "status": Column(f"({_STATUS})"),
    "resourceId": Column("resource_id", ColumnType.ID),
    "resourceType": Column("resource_type"),
    "queuedAt": Column("created_at", ColumnType.INSTANT),
    "startedAt": Column("started_at", ColumnType.INSTANT),
    "completedAt": Column("completed_at", ColumnType.INSTANT),
}
"""What jobs can be searched by."""
SORTS: Mapping[str, SortKey] = {
    "name": SortKey("name"),
    "status": SortKey(f"({_STATUS})"),
    "resourceType": SortKey("resource_type"),
    "queuedAt": SortKey("created_at", cast="timestamptz"),
    "startedAt": SortKey("coalesce(started_at, 'infinity')", cast="timestamptz"),
    "completedAt": SortKey("coalesce(completed_at, 'infinity')", cast="timestamptz"),
}
"""What jobs can be sorted by."""


async def insert_job(tx: Tx, tenant: TenantId, job: BackgroundJob) -> bool:
    """Add one that may begin at once. False: another of its kind that wants to be alone is under way."""
    marks = ", ".join(["%s"] * (len(_NAMES) + 3))
    values = [Jsonb(value) if isinstance(value, dict) else value for value in msgspec.structs.astuple(job)]
    sql = f"""
        INSERT INTO background_job (tenant_id, due_at, notice_due_at, {_COLUMNS}) VALUES ({marks})
        ON CONFLICT (tenant_id, kind, resource_id) WHERE alone AND status IN ('PENDING', 'RUNNING') DO NOTHING
        RETURNING id
    """
    notice_due_at = job.created_at if job.email or job.callback_url else None
    return await tx.row(sql, tenant, job.created_at, notice_due_at, *values) is not None


async def count_under_way(tx: Tx, tenant: TenantId, space_id: SpaceId) -> int:
    """Jobs of a space that are neither done nor given up."""
    sql = """
        SELECT count(*) FROM background_job WHERE tenant_id = %s AND space_id = %s AND status IN ('PENDING', 'RUNNING')
    """
    return int(await tx.value(sql, tenant, space_id))


async def select_job(tx: Tx, tenant: TenantId, job_id: UUID) -> BackgroundJob | None:
    """One job."""
    return await tx.one(
        BackgroundJob, f"SELECT {_COLUMNS} FROM background_job WHERE tenant_id = %s AND id = %s", tenant, job_id
    )


async def page_jobs(
    tx: Tx, tenant: TenantId, space_id: SpaceId, where: Filter | None, sort: Sequence[SortKey], page: PageQuery
) -> Page[BackgroundJob]:
    """Jobs of a space that a filter is true for."""
    conditions = [Condition("tenant_id = %s AND space_id = %s", (tenant, space_id))]
    if where is not None:
        conditions.append(compile_filter(where, FIELDS))
    return await _JOBS.page(tx, BackgroundJob, conditions, sort, page)


async def update_total(tx: Tx, claim: JobClaim, total: int) -> None:
    """Say how far it has to go."""
    sql = "UPDATE background_job SET total = %s WHERE tenant_id = %s AND id = %s AND lease = %s"
    await tx.run(sql, total, claim.tenant_id, claim.id, claim.lease)


async def update_output(tx: Tx, claim: JobClaim, output: Mapping[str, Any]) -> None:
    """What came of it."""
    sql = "UPDATE background_job SET output = %s WHERE tenant_id = %s AND id = %s AND lease = %s"
    await tx.run(sql, Jsonb(output), claim.tenant_id, claim.id, claim.lease)


async def claim_notice(tx: Tx, *, at: datetime, until: datetime) -> Told | None:
    """A job that is over and of which somebody has to be told; for everybody else not before `until`."""
    sql = f"""
        UPDATE background_job SET notice_due_at = %s, notice_tries = notice_tries + 1
        WHERE (tenant_id, id) = (
            SELECT tenant_id, id FROM background_job WHERE notice_due_at <= %s AND status IN {_ENDS}
            ORDER BY notice_due_at LIMIT 1 FOR UPDATE SKIP LOCKED
        )
        RETURNING tenant_id, id, notice_tries
    """
    row = await tx.row(sql, until, at)
    if row is None:
        return None
    tenant, job_id, tries = row
    job = await select_job(tx, tenant, job_id)
    organization = await tx.value("SELECT public_id FROM tenant WHERE tenant_id = %s", tenant)
    return None if job is None else Told(tenant_id=tenant, organization_id=organization, tries=tries, job=job)


async def settle_notice(tx: Tx, tenant: TenantId, job_id: UUID, due_at: datetime | None) -> None:
    """Whoever has to be told will be at `due_at`, or need not be told any more."""
    await tx.run(
        "UPDATE background_job SET notice_due_at = %s WHERE tenant_id = %s AND id = %s", due_at, tenant, job_id
    )
