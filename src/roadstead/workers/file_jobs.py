"""Works on jobs that make files: takes on what waits, accompanies it, and sweeps what has had its time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

import structlog

from roadstead.core.files import CannotBeMade, FileJobs, JobClaim
from roadstead.core.ports import Blobs
from roadstead.db import Database, Tx
from roadstead.kernel.errors import RoadsteadError, Unavailable
from roadstead.workers.patience import patiently

log = structlog.get_logger()

T = TypeVar("T")

LOOK_EVERY_S = 1.0
RENEW_EVERY_S = 5.0
_AT_ONCE = 2
_SWEEP_EVERY_S = 10.0
_WAIT = timedelta(seconds=10)
_GOODBYE_S = 5.0

Sweep = Callable[[Tx, Blobs], Awaitable[int]]
"""Does some of what is due, and says how much."""


class Making(Protocol):
    """One try at one job."""

    @property
    def readings(self) -> int:
        """How many are written so far."""

    async def run(self) -> None:
        """Write the file, store it, say so. Raises `CannotBeMade` when trying again will not help."""

    async def drop(self) -> None:
        """Delete what may have been stored, unless it was finished at the last moment."""


class FileWorker:
    """Works on a few jobs of one kind at a time; other workers work on others.

    A job is a row with a lease. A worker that dies loses it after a minute, and another begins under a name of its own,
    so that neither spoils what the other has written; what is recorded as finished it may go on with. The row becomes
    READY after its file is durable; what a worker leaves behind by dying in between is deleted by the next try, or when
    the record goes.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        jobs: FileJobs,
        begin: Callable[[JobClaim], Making],
        *,
        besides: Sequence[Sweep] = (),
        look_every_s: float = LOOK_EVERY_S,
        renew_every_s: float = RENEW_EVERY_S,
    ) -> None:
        """`besides`: what else is swept."""
        self._database = database
        self._blobs = blobs
        self._jobs = jobs
        self._begin = begin
        self._sweeps: Sequence[Sweep] = (jobs.sweep, *besides)
        self._look_every_s = look_every_s
        self._renew_every_s = renew_every_s

    async def run(self) -> None:
        """Until cancelled; what it is at then is given back."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            if not await self.work_once():
                await asyncio.sleep(self._look_every_s)

    async def work_once(self) -> bool:
        """Make one file, if a job waits; says whether one did."""
        claiming = asyncio.create_task(self._write(self._jobs.claim), name="claim of a file")
        try:
            # Once it is committed the job is ours, whether we still hear of it or not.
            job = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await self._give_back(claiming)
            raise
        if job is None:
            return False
        making = self._begin(job)
        task = asyncio.create_task(making.run(), name=f"file of job {job.id}")
        try:
            if await self._accompany(task, making, job):
                task.result()
        except CannotBeMade as error:
            reason = str(error)
            await self._write(lambda tx: self._jobs.fail(tx, job, reason))
        except Unavailable as error:
            log.warning("job waits", job=str(job.id), reason=str(error))
            await self._write(lambda tx: self._jobs.interrupt(tx, job, after=_WAIT))
        except Exception as error:
            log.exception("job went wrong", job=str(job.id), tries=job.tries)
            reason = str(error) if isinstance(error, RoadsteadError) else "something went wrong on our side"
            await self._write(lambda tx: self._jobs.retry(tx, job, reason))
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task], timeout=_GOODBYE_S)
            await self._give_back(claiming)
            raise
        return True

    async def _give_back(self, claiming: asyncio.Task[JobClaim | None]) -> None:
        """Somebody else may begin with what was claimed at once; if that cannot be said, when the lease is over."""
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(_GOODBYE_S):
                job = await claiming
                if job is not None:
                    async with self._database.tx() as tx:
                        await self._jobs.interrupt(tx, job)

    async def _accompany(self, task: asyncio.Task[None], making: Making, job: JobClaim) -> bool:
        """Renew the lease until it is made. False: somebody has cancelled it, or another worker has it."""
        while not (await asyncio.wait([task], timeout=self._renew_every_s))[0]:
            try:
                async with self._database.tx() as tx:
                    ours = await self._jobs.renew(tx, job, readings=making.readings)
            except Unavailable:
                continue  # If it is lost meanwhile, the end of it will say so.
            if not ours:
                task.cancel()
                await asyncio.wait([task])
                await making.drop()
                log.info("job dropped", job=str(job.id))
                return False
        return True

    async def _write(self, deed: Callable[[Tx], Awaitable[T]]) -> T:
        async def attempt() -> T:
            async with self._database.tx() as tx:
                return await deed(tx)

        return await patiently("database", attempt)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                log.warning("sweeping waits", reason=str(error))
            await asyncio.sleep(_SWEEP_EVERY_S)

    async def sweep(self) -> None:
        """Everything that is due."""
        for deed in self._sweeps:
            count = 1
            while count:
                async with self._database.tx() as tx:
                    count = await deed(tx, self._blobs)
