"""Makes exports: writes their files."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import structlog

from roadstead.core import exports, files
from roadstead.core.exports import Content, Job
from roadstead.core.files import JobClaim
from roadstead.core.ports import Ports, Span
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.workers.bundle import Sheet, TableFormat, write_bundle
from roadstead.workers.export_manifest import Manifest
from roadstead.workers.export_tables import ANNOTATIONS, ReadingsTable, describe_annotations, no_annotations
from roadstead.workers.file_jobs import LOOK_EVERY_S, RENEW_EVERY_S, FileWorker

log = structlog.get_logger()

_PIECE_BYTES = 4_194_304


class ExportWorker(FileWorker):
    """Makes exports; a file is put together in a scratch folder with room for a whole one. Sweeps uploads as well."""

    def __init__(
        self,
        database: Database,
        ports: Ports,
        scratch: Path,
        *,
        look_every_s: float = LOOK_EVERY_S,
        renew_every_s: float = RENEW_EVERY_S,
    ) -> None:
        super().__init__(
            database,
            ports.blobs,
            exports.JOBS,
            lambda claim: _Making(database, ports, scratch, claim),
            besides=[files.sweep_uploads],
            look_every_s=look_every_s,
            renew_every_s=renew_every_s,
        )
        self._scratch = scratch

    async def run(self) -> None:
        """Until cancelled; what it is at then is given back."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        await super().run()


class _Making:
    """One try at one export."""

    def __init__(self, database: Database, ports: Ports, scratch: Path, claim: JobClaim) -> None:
        self._claim = claim
        self._database = database
        self._ports = ports
        self._scratch = scratch
        self._key = files.blob_key(claim.organization_id, exports.file_name(claim.id, claim.lease))
        self._table: ReadingsTable | None = None

    @property
    def readings(self) -> int:
        """How many are written so far."""
        return self._table.readings if self._table else 0

    async def run(self) -> None:
        """Write the file, store it, say so."""
        claim, blobs = self._claim, self._ports.blobs
        await files.delete_files(blobs, claim.organization_id, claim.id)
        async with self._database.tx(claim.tenant_id) as tx:
            job = await exports.load_job(tx, claim)
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            await self._write(file, job)
            stored = await blobs.put(self._key, _read(file))
        async with self._database.tx() as tx:
            wanted = await exports.JOBS.finish(tx, claim, size_bytes=stored.size_bytes, readings=self.readings)
        if not wanted:
            await self.drop()
            log.info("export came too late", export=str(claim.id))

    async def drop(self) -> None:
        """Delete what may have been stored, unless it was finished at the last moment."""
        async with self._database.tx() as tx:
            if await exports.JOBS.is_in_use(tx, self._claim):
                return
        await self._ports.blobs.delete(self._key)

    async def _write(self, file: BinaryIO, job: Job) -> None:
        export = job.export
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
