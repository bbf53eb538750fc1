"""The life of an export in the hands of workers. Every step is a row; a step taken twice does no harm."""

from datetime import datetime, timedelta
from uuid import UUID

from roadstead.core import files
from roadstead.core.exports import store
from roadstead.core.exports.model import KEPT, MOST_TRIES, PATIENCE, REMEMBERED, ExportStatus, Job
from roadstead.core.messages import ExportChanged, encode_fact
from roadstead.core.ports import Blobs
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.ids import ExportId, TenantId, new_id

LEASE = timedelta(seconds=60)
"""An export whose worker has said nothing for so long is given to another."""
_NEXT_TRY = timedelta(seconds=10)


async def claim_job(tx: Tx) -> Job | None:
    """An export to work on, for as long as `renew_job` is called in time; None when none waits."""
    now = time.now()
    job = await store.claim_job(tx, now, new_id(), now + LEASE)
    if job is not None:
        _tell(tx, job.tenant_id, job.export.id, ExportStatus.RUNNING)
    return job


async def renew_job(tx: Tx, job: Job, *, readings: int) -> bool:
    """Say that it is worked on. False: drop it, it was cancelled or given to somebody else."""
    return await store.renew_lease(tx, job, time.now() + LEASE, readings)


async def finish_job(tx: Tx, job: Job, *, size_bytes: int, readings: int) -> bool:
    """Its file is stored. False: nobody waits for it any more, so the file has to go."""
    now = time.now()
    done = await store.finish_job(tx, job, at=now, expires_at=now + KEPT, size_bytes=size_bytes, readings=readings)
    if done:
        _tell(tx, job.tenant_id, job.export.id, ExportStatus.READY)
    return done


async def is_in_use(tx: Tx, job: Job) -> bool:
    """Whether the file of this try is the one that the export has."""
    return await store.has_file_of(tx, job)


async def interrupt_job(tx: Tx, job: Job, *, after: timedelta = timedelta()) -> None:
    """It could not be made now, for no fault of its own: let it be tried again, but not for ever."""
    now = time.now()
    if now > job.export.created_at + PATIENCE:
        await fail_job(tx, job, "it could not be made within a day, because parts of the platform were away")
    elif await store.give_back(tx, job, now + after, uncounted=True):
        _tell(tx, job.tenant_id, job.export.id, ExportStatus.PENDING)


async def retry_job(tx: Tx, job: Job, error: str) -> None:
    """A try went wrong: there is another, or this was the last."""
    if job.tries >= MOST_TRIES:
        await fail_job(tx, job, error)
    elif await store.give_back(tx, job, time.now() + _NEXT_TRY, uncounted=False):
        _tell(tx, job.tenant_id, job.export.id, ExportStatus.PENDING)


async def fail_job(tx: Tx, job: Job, error: str) -> None:
    """It cannot be made; `error` is for whoever asked for it."""
    now = time.now()
    if await store.fail_job(tx, job, at=now, forget_at=now + REMEMBERED, error=error):
        _tell(tx, job.tenant_id, job.export.id, ExportStatus.FAILED)


async def delete_files(blobs: Blobs, organization: UUID, export_id: ExportId) -> None:
    """Delete what all tries at an export have written, those included whose workers died."""
    async for blob in blobs.list(files.blob_key(organization, f"{export_id}/")):
        await blobs.delete(blob.key)


async def sweep_exports(tx: Tx, blobs: Blobs, *, most: int = 100) -> int:
    """Do what is due: files expire, records are forgotten, exports that killed their workers fail; says how many."""
    now = time.now()
    due = await store.lock_due(tx, now, most)
    for export in due:
        await delete_files(blobs, export.organization_id, export.id)
        match export.status:
            case ExportStatus.READY:
                await _end(tx, export, ExportStatus.EXPIRED, now)
            case ExportStatus.PENDING | ExportStatus.RUNNING:
                await _end(tx, export, ExportStatus.FAILED, now, f"it was tried {MOST_TRIES} times and never finished")
            case _:
                await store.delete_export(tx, export.tenant_id, export.id)
    return len(due)


async def _end(tx: Tx, export: store.DueExport, status: ExportStatus, now: datetime, error: str | None = None) -> None:
    await store.end_export(tx, export, status, at=now, forget_at=now + REMEMBERED, error=error)
    _tell(tx, export.tenant_id, export.id, status)


def _tell(tx: Tx, tenant: TenantId, export_id: ExportId, status: ExportStatus) -> None:
    tx.emit(tenant, time.now(), encode_fact(ExportChanged(export_id, status)))
