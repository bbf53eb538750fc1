"""Makes exports: takes on what waits, writes the file, and sweeps what has had its time."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, TypeVar

import structlog

from roadstead.core import exports, files
from roadstead.core.exports import Content, Job, NotExportable
from roadstead.core.ports import Ports, Span
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.errors import RoadsteadError, Unavailable
from roadstead.workers.bundle import Sheet, TableFormat, write_bundle
from roadstead.workers.export_manifest import Manifest
from roadstead.workers.export_tables import ANNOTATIONS, ReadingsTable, describe_annotations, no_annotations
from roadstead.workers.patience import patiently

log = structlog.get_logger()

T = TypeVar("T")

_AT_ONCE = 2
_LOOK_EVERY_S = 1.0
_RENEW_EVERY_S = 5.0
_SWEEP_EVERY_S = 10.0
_WAIT = timedelta(seconds=10)
_GOODBYE_S = 5.0
_PIECE_BYTES = 4_194_304


class ExportWorker:
    """Works on a few exports at a time; other workers work on others.

    An export is a row with a lease. A worker that dies loses it after a minute, and another begins anew under a name of
    its own, so that neither spoils what the other has written. The row becomes READY after its file is durable; what a
    worker leaves behind by dying in between is deleted by the next try, or when the record goes.
    """

    def __init__(
        self,
        database: Database,
        ports: Ports,
        scratch: Path,
        *,
        look_every_s: float = _LOOK_EVERY_S,
        renew_every_s: float = _RENEW_EVERY_S,
    ) -> None:
        """`scratch`: a folder with room for a whole file, which is put together there."""
        self._database = database
        self._ports = ports
        self._scratch = scratch
        self._look_every_s = look_every_s
        self._renew_every_s = renew_every_s

    async def run(self) -> None:
        """Until cancelled; what it is at then is given back."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            if not await self.work_once():
                await asyncio.sleep(self._look_every_s)

    async def work_once(self) -> bool:
        """Make one export, if one waits; says whether one did."""
        job = await self._write(exports.claim_job)
        if job is None:
            return False
        making = _Making(self._database, self._ports, self._scratch, job)
        task = asyncio.create_task(making.run(), name=f"export {job.export.id}")
        try:
            if await self._accompany(task, making):
                task.result()
        except NotExportable as error:
            reason = str(error)
            await self._write(lambda tx: exports.fail_job(tx, job, reason))
        except Unavailable as error:
            log.warning("export waits", export=str(job.export.id), reason=str(error))
            await self._write(lambda tx: exports.interrupt_job(tx, job, after=_WAIT))
        except Exception as error:
            log.exception("export went wrong", export=str(job.export.id), tries=job.tries)
            reason = str(error) if isinstance(error, RoadsteadError) else "something went wrong on our side"
            await self._write(lambda tx: exports.retry_job(tx, job, reason))
        except asyncio.CancelledError:
            task.cancel()
            with contextlib.suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(_GOODBYE_S):
                    await asyncio.wait([task])
                    async with self._database.tx() as tx:
                        await exports.interrupt_job(tx, job)
            raise
        return True

    async def _accompany(self, task: asyncio.Task[None], making: "_Making") -> bool:
        """Renew the lease until it is made. False: somebody has cancelled it, or another worker has it."""
        while not (await asyncio.wait([task], timeout=self._renew_every_s))[0]:
            try:
                async with self._database.tx() as tx:
                    ours = await exports.renew_job(tx, making.job, readings=making.readings)
            except Unavailable:
                continue  # If it is lost meanwhile, the end of it will say so.
            if not ours:
                task.cancel()
                await asyncio.wait([task])
                await making.drop()
                log.info("export dropped", export=str(making.job.export.id))
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
        for deed in (exports.sweep_exports, files.sweep_uploads):
            count = 1
            while count:
                async with self._database.tx() as tx:
                    count = await deed(tx, self._ports.blobs)


class _Making:
    """One try at one export."""

    def __init__(self, database: Database, ports: Ports, scratch: Path, job: Job) -> None:
        self.job = job
        self._database = database
        self._ports = ports
        self._scratch = scratch
        self._key = files.blob_key(job.organization_id, job.export.file_name)
        self._table: ReadingsTable | None = None

    @property
    def readings(self) -> int:
        """How many are written so far."""
        return self._table.readings if self._table else 0

    async def run(self) -> None:
        """Write the file, store it, say so."""
        job, blobs = self.job, self._ports.blobs
        await exports.delete_files(blobs, job.organization_id, job.export.id)
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            await self._write(file)
            stored = await blobs.put(self._key, _read(file))
        async with self._database.tx() as tx:
            wanted = await exports.finish_job(tx, job, size_bytes=stored.size_bytes, readings=self.readings)
        if not wanted:
            await self.drop()
            log.info("export came too late", export=str(job.export.id))

    async def drop(self) -> None:
        """Delete what may have been stored, unless it was finished at the last moment."""
        async with self._database.tx() as tx:
            if await exports.is_in_use(tx, self.job):
                return
        await self._ports.blobs.delete(self._key)

    async def _write(self, file: BinaryIO) -> None:
        job, export = self.job, self.job.export
        scope = await exports.load_scope(self._database, job)
        # What is measured while this runs is for another export: a table has an end.
        span = Span(export.from_at, max(min(export.to_at, time.now()), export.from_at))
        sheets, tables = [], {}
        format_ = TableFormat(export.format)
        if Content.READINGS in export.includes:
            self._table = readings = ReadingsTable(scope.fields)
            strands = exports.iterate_strands(self._database, job)
            batches = readings.batches(self._ports.telemetry, job.tenant_id, strands, span)
            sheets.append(Sheet("readings", readings.schema, batches))
            tables["readings" + format_.suffix] = readings.describe
        if Content.ANNOTATIONS in export.includes:
            sheets.append(Sheet("annotations", ANNOTATIONS, no_annotations()))
            tables["annotations" + format_.suffix] = describe_annotations
        manifest = Manifest(job, scope.name, span, tables, lambda: self.readings)
        await write_bundle(file, sheets, format_, manifest.spell)


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece
