"""The SQL of jobs that make files, whose tables have the same columns for that; of all tenants."""

from datetime import datetime
from uuid import UUID

from roadstead.core.files.model import DueJob, JobClaim
from roadstead.db import Tx

# `table` is the name of a room's own table, never input.


async def claim_job(
    tx: Tx, table: str, *, at: datetime, lease: UUID, until: datetime, most_tries: int
) -> JobClaim | None:
    """Take on the job that has waited longest, of the organization with the fewest under way; None: none waits."""
    found = await tx.row(
        f"""
        SELECT e.tenant_id, e.id FROM {table} e
        WHERE e.due_at <= %s AND e.status IN ('PENDING', 'RUNNING') AND e.tries < %s
        ORDER BY (
            SELECT count(*) FROM {table} o
            WHERE o.tenant_id = e.tenant_id AND o.status = 'RUNNING' AND o.due_at > %s
        ), e.due_at
        LIMIT 1 FOR UPDATE OF e SKIP LOCKED
        """,
        at,
        most_tries,
        at,
    )
    if found is None:
        return None
    sql = f"""
        UPDATE {table} e SET status = 'RUNNING', started_at = coalesce(started_at, %s), tries = tries + 1,
                             lease = %s, due_at = %s, reading_count = 0
        FROM tenant t WHERE e.tenant_id = %s AND e.id = %s AND t.tenant_id = e.tenant_id
        RETURNING e.tenant_id, t.public_id AS organization_id, e.id, e.lease, e.tries, e.created_at
    """
    return await tx.one(JobClaim, sql, at, lease, until, *found)


async def renew_lease(tx: Tx, table: str, job: JobClaim, until: datetime, readings: int) -> bool:
    """Say that it is worked on, and how far it is. False: it is somebody else's by now, or nobody wants it any more."""
    sql = f"""
        UPDATE {table} SET due_at = %s, reading_count = %s
        WHERE tenant_id = %s AND id = %s AND lease = %s AND status = 'RUNNING'
    """
    return bool(await tx.run(sql, until, readings, job.tenant_id, job.id, job.lease))


async def advance_job(tx: Tx, table: str, job: JobClaim, until: datetime, readings: int) -> bool:
    """The same when part of it is done for good: this is the first try at the rest."""
    sql = f"""
        UPDATE {table} SET due_at = %s, reading_count = %s, tries = 1
        WHERE tenant_id = %s AND id = %s AND lease = %s AND status = 'RUNNING'
    """
    return bool(await tx.run(sql, until, readings, job.tenant_id, job.id, job.lease))


async def give_back(tx: Tx, table: str, job: JobClaim, due_at: datetime, *, uncounted: bool, most_tries: int) -> bool:
    """Let it be tried again from then on; `uncounted`: as if this try had not been. False: there were too many."""
    sql = f"""
        UPDATE {table} SET status = 'PENDING', due_at = %s, tries = tries - %s
        WHERE tenant_id = %s AND id = %s AND lease = %s AND status = 'RUNNING' AND tries - %s < %s
    """
    own = int(uncounted)
    return bool(await tx.run(sql, due_at, own, job.tenant_id, job.id, job.lease, own, most_tries))


async def finish_job(
    tx: Tx, table: str, job: JobClaim, *, at: datetime, expires_at: datetime, size_bytes: int, readings: int
) -> bool:
    """Its file is there. False: nobody waits for it any more."""
    sql = f"""
        UPDATE {table} SET status = 'READY', completed_at = %s, expires_at = %s, due_at = %s, size_bytes = %s,
                           reading_count = %s
        WHERE tenant_id = %s AND id = %s AND lease = %s AND status = 'RUNNING'
    """
    values = (at, expires_at, expires_at, size_bytes, readings)
    return bool(await tx.run(sql, *values, job.tenant_id, job.id, job.lease))


async def has_file_of(tx: Tx, table: str, job: JobClaim) -> bool:
    """Whether the file of this try is the one that the job has. Waits for whoever is changing that."""
    sql = f"SELECT id FROM {table} WHERE tenant_id = %s AND id = %s AND lease = %s AND status = 'READY' FOR UPDATE"
    return await tx.row(sql, job.tenant_id, job.id, job.lease) is not None


async def fail_job(tx: Tx, table: str, job: JobClaim, *, at: datetime, forget_at: datetime, error: str) -> bool:
    """It cannot be made."""
    sql = f"""
        UPDATE {table} SET status = 'FAILED', completed_at = %s, due_at = %s, error = %s
        WHERE tenant_id = %s AND id = %s AND lease = %s AND status = 'RUNNING'
    """
    return bool(await tx.run(sql, at, forget_at, error, job.tenant_id, job.id, job.lease))


async def lock_due(tx: Tx, table: str, *, at: datetime, most_tries: int, most: int) -> list[DueJob]:
    """Jobs that expire, may be forgotten, or were tried too often; none that another worker has in hand."""
    sql = f"""
        SELECT e.tenant_id, t.public_id AS organization_id, e.id, e.status
        FROM {table} e JOIN tenant t ON t.tenant_id = e.tenant_id
        WHERE e.due_at <= %s AND (e.status NOT IN ('PENDING', 'RUNNING') OR e.tries >= %s)
        ORDER BY e.due_at LIMIT %s FOR UPDATE OF e SKIP LOCKED
    """
    return await tx.all(DueJob, sql, at, most_tries, most)


async def end_job(
    tx: Tx, table: str, due: DueJob, status: str, *, at: datetime, forget_at: datetime, error: str | None
) -> None:
    """It has come to its end; the record stays for a while."""
    sql = f"""
        UPDATE {table} SET status = %s, completed_at = coalesce(completed_at, %s), due_at = %s, error = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, status, at, forget_at, error, due.tenant_id, due.id)


async def delete_job(tx: Tx, table: str, due: DueJob) -> None:
    """Forget it."""
    await tx.run(f"DELETE FROM {table} WHERE tenant_id = %s AND id = %s", due.tenant_id, due.id)
