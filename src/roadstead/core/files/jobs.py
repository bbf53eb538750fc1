"""The life of a job that makes a file, in the hands of workers. Every step is a row; one taken twice does no harm."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from roadstead.core.files import job_store as store
from roadstead.core.files.model import DueJob, JobClaim
from roadstead.core.files.service import blob_key
from roadstead.core.ports import Blobs
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.ids import TenantId, new_id

LEASE = timedelta(seconds=60)
"""A job whose worker has said nothing for so long is given to another."""
MOST_TRIES = 3
"""So often a worker may die over one job."""
PATIENCE = timedelta(hours=24)
"""A job that cannot be done for so long, because servers are away, is given up."""
_NEXT_TRY = timedelta(seconds=10)


class FileJobs:
    """Jobs of one room: rows of one table, each with a state, a lease and a timer.

    The table has, as `export_job` does: tenant_id, id, status (PENDING, RUNNING, READY, FAILED, EXPIRED), tries, lease,
    created_at, started_at, completed_at, expires_at, due_at, size_bytes, reading_count, error. `kept` is how long a
    file is there, `remembered` how long a job is known after its end; `tell` hears of every new state.
    """

    def __init__(
        self,
        table: str,
        *,
        kept: timedelta,
        remembered: timedelta,
        tell: Callable[[Tx, TenantId, UUID, str], None] = lambda *_: None,
    ) -> None:
        self._table = table
        self._kept = kept
        self._remembered = remembered
        self._tell = tell

    async def claim(self, tx: Tx) -> JobClaim | None:
        """A job to work on, for as long as `renew` is called in time; None when none waits."""
        now = time.now()
        job = await store.claim_job(tx, self._table, at=now, lease=new_id(), until=now + LEASE, most_tries=MOST_TRIES)
        if job is not None:
            self._tell(tx, job.tenant_id, job.id, "RUNNING")
        return job

    async def renew(self, tx: Tx, job: JobClaim, *, readings: int) -> bool:
        """Say that it is worked on. False: drop it, it was cancelled or given to somebody else."""
        return await store.renew_lease(tx, self._table, job, time.now() + LEASE, readings)

    async def advance(self, tx: Tx, job: JobClaim, *, readings: int) -> bool:
        """The same when part of it is done for good: whoever dies from now on dies over the rest."""
        return await store.advance_job(tx, self._table, job, time.now() + LEASE, readings)

    async def finish(self, tx: Tx, job: JobClaim, *, size_bytes: int, readings: int) -> bool:
        """Its file is stored. False: nobody waits for it any more, so the file has to go."""
        now = time.now()
        done = await store.finish_job(
            tx, self._table, job, at=now, expires_at=now + self._kept, size_bytes=size_bytes, readings=readings
        )
        if done:
            self._tell(tx, job.tenant_id, job.id, "READY")
        return done

    async def is_in_use(self, tx: Tx, job: JobClaim) -> bool:
        """Whether the file of this try is the one that the job has."""
        return await store.has_file_of(tx, self._table, job)

    async def interrupt(self, tx: Tx, job: JobClaim, *, after: timedelta = timedelta()) -> None:
        """It could not be done now, for no fault of its own: let it be tried again, but not for ever."""
        now = time.now()
        if now > job.created_at + PATIENCE:
            await self.fail(tx, job, "it could not be made within a day, because parts of the platform were away")
        else:
            await self._give_back(tx, job, now + after, uncounted=True)

    async def retry(self, tx: Tx, job: JobClaim, error: str) -> None:
        """A try went wrong: there is another, or this was the last."""
        if not await self._give_back(tx, job, time.now() + _NEXT_TRY, uncounted=False):
            await self.fail(tx, job, error)

    async def fail(self, tx: Tx, job: JobClaim, error: str) -> None:
        """It cannot be done; `error` is for whoever asked for it."""
        now = time.now()
        if await store.fail_job(tx, self._table, job, at=now, forget_at=now + self._remembered, error=error):
            self._tell(tx, job.tenant_id, job.id, "FAILED")

    async def sweep(self, tx: Tx, blobs: Blobs, *, most: int = 100) -> int:
        """Do what is due: files expire, records are forgotten, jobs that killed their workers fail; says how many."""
        due = await store.lock_due(tx, self._table, at=time.now(), most_tries=MOST_TRIES, most=most)
        for job in due:
            await delete_files(blobs, job.organization_id, job.id)
            match job.status:
                case "READY":
                    await self._end(tx, job, "EXPIRED")
                case "PENDING" | "RUNNING":
                    await self._end(tx, job, "FAILED", f"it was tried {MOST_TRIES} times and never finished")
                case _:
                    await store.delete_job(tx, self._table, job)
        return len(due)

    async def _give_back(self, tx: Tx, job: JobClaim, due_at: datetime, *, uncounted: bool) -> bool:
        given = await store.give_back(tx, self._table, job, due_at, uncounted=uncounted, most_tries=MOST_TRIES)
        if given:
            self._tell(tx, job.tenant_id, job.id, "PENDING")
        return given

    async def _end(self, tx: Tx, job: DueJob, status: str, error: str | None = None) -> None:
        now = time.now()
        await store.end_job(tx, self._table, job, status, at=now, forget_at=now + self._remembered, error=error)
        self._tell(tx, job.tenant_id, job.id, status)


async def delete_files(blobs: Blobs, organization: UUID, job_id: UUID) -> None:
    """Delete what all tries at a job have written, those included whose workers died."""
    async for blob in blobs.list(blob_key(organization, f"{job_id}/")):
        await blobs.delete(blob.key)
