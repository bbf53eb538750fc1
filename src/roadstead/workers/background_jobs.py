"""Works on background jobs, and tells people of their end."""

from collections.abc import Mapping

import structlog

from roadstead.core import files, jobs
from roadstead.core.files import CannotBeMade, JobClaim
from roadstead.core.jobs import Handler, RunningJob
from roadstead.core.ports import Blobs, Ports
from roadstead.db import Database, Tx
from roadstead.workers.file_jobs import LOOK_EVERY_S, RENEW_EVERY_S, FileWorker

log = structlog.get_logger()


def background_worker(
    database: Database,
    ports: Ports,
    handlers: Mapping[str, Handler],
    *,
    look_every_s: float = LOOK_EVERY_S,
    renew_every_s: float = RENEW_EVERY_S,
) -> FileWorker:
    """Works on background jobs. `handlers`: by kind. `database` has the system duty.

    Who wants to be told of the end of a job is told when it sweeps, some seconds later: a slow server of somebody else
    must not keep a place in which jobs are done.
    """

    async def tell_one(_: Tx, __: Blobs) -> int:
        return await _tell_one(database, ports)

    return FileWorker(
        database,
        ports.blobs,
        jobs.JOBS,
        lambda claim: _Making(database, ports, handlers, claim),
        besides=(tell_one,),
        look_every_s=look_every_s,
        renew_every_s=renew_every_s,
    )


async def _tell_one(database: Database, ports: Ports) -> int:
    """Tell of one job that is over, if there is one; the lease is committed before, the outcome after."""
    async with database.tx() as tx:
        told = await jobs.claim_notice(tx)
    if told is None:
        return 0
    error: str | None
    try:
        error = await jobs.tell(ports, told)
    except Exception as surprise:
        # A defect of ours must not keep others from being told.
        error = repr(surprise)
    if error is not None:
        log.warning("end of a job could not be told", job=str(told.job.id), tries=told.tries, reason=error)
    async with database.tx() as tx:
        await jobs.settle_notice(tx, told, error)
    return 1


class _Making:
    """One try at one job."""

    def __init__(self, database: Database, ports: Ports, handlers: Mapping[str, Handler], claim: JobClaim) -> None:
        self._claim = claim
        self._database = database
        self._ports = ports
        self._handlers = handlers
        self._running: RunningJob | None = None

    @property
    def readings(self) -> int:
        """How far it is."""
        return self._running.completed if self._running else 0

    async def run(self) -> None:
        """Do it, then say so."""
        self._running = running = await jobs.begin_job(self._database, self._ports, self._claim)
        handler = self._handlers.get(running.job.kind)
        if handler is None:
            raise CannotBeMade(f"nobody here knows how to do '{running.job.kind}'")
        output = await handler(running)
        async with self._database.tx() as tx:
            done = await jobs.finish_job(tx, running, output)
        if not done:
            await self.drop()
            log.info("job came too late", job=str(self._claim.id))

    async def drop(self) -> None:
        """Delete what this try may have stored, unless it was finished at the last moment."""
        async with self._database.tx() as tx:
            if await jobs.JOBS.is_in_use(tx, self._claim):
                return
        prefix = files.blob_key(self._claim.organization_id, f"{self._claim.id}/{self._claim.lease}/")
        async for blob in self._ports.blobs.list(prefix):
            await self._ports.blobs.delete(blob.key)
