"""Makes exports: writes their files."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

import structlog

from roadstead.core import exports, files
from roadstead.core.exports import Content, Job, Piece
from roadstead.core.files import JobClaim
from roadstead.core.ports import BlobInfo, Ports
from roadstead.db import Database
from roadstead.workers.bundle import Sheet, TableFormat, write_bundle
from roadstead.workers.export_manifest import Manifest
from roadstead.workers.export_pieces import Gathering, Superseded, piece_key
from roadstead.workers.export_tables import ANNOTATIONS, ReadingsTable, describe_annotations, no_annotations
from roadstead.workers.file_jobs import LOOK_EVERY_S, RENEW_EVERY_S, FileWorker

log = structlog.get_logger()

_AT_ONCE_BYTES = 4_194_304


class ExportWorker(FileWorker):
    """Makes exports; a file is put together in a scratch folder with room for a whole one.

    Sweeps uploads as well, and pieces of exports that are over.
    """

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
            besides=[files.sweep_uploads, exports.sweep_pieces],
            look_every_s=look_every_s,
            renew_every_s=renew_every_s,
        )
        self._scratch = scratch

    async def run(self) -> None:
        """Until cancelled; what it is at then is given back."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        await super().run()


class _Making:
    """One try at one export: gathers what earlier tries have not, then makes the file of it all."""

    def __init__(self, database: Database, ports: Ports, scratch: Path, claim: JobClaim) -> None:
        self._claim = claim
        self._database = database
        self._ports = ports
        self._scratch = scratch
        self._key = files.blob_key(claim.organization_id, exports.file_name(claim.id, claim.lease))
        self._gathering: Gathering | None = None

    @property
    def readings(self) -> int:
        """How many are gathered so far."""
        return self._gathering.readings if self._gathering else 0

    async def run(self) -> None:
        """Gather, write the file, store it, say so."""
        job = await self._begin()
        if job is None:
            return
        try:
            stored, readings = await self._make(job)
        except Superseded:
            wanted = False
        else:
            async with self._database.tx() as tx:
                wanted = await exports.JOBS.finish(tx, job, size_bytes=stored.size_bytes, readings=readings)
        if not wanted:
            await self.drop()
            log.info("export came too late", export=str(job.id))

    async def drop(self) -> None:
        """Delete what may have been stored, but for what somebody uses: pieces, and a file finished at the last moment.

        Pieces of an export that is over are swept.
        """
        claim = self._claim
        async with self._database.tx() as tx:
            if await exports.JOBS.is_in_use(tx, claim):
                return
            pieces = await exports.list_pieces(tx, claim)
        await self._delete([blob.key async for blob in self._blobs(f"{claim.id}/{claim.lease}/")], pieces)

    async def _begin(self) -> Job | None:
        """The export, with what is finished of it; what else earlier tries have left behind is deleted."""
        claim = self._claim
        found = [blob.key async for blob in self._blobs(f"{claim.id}/")]
        async with self._database.tx(claim.tenant_id) as tx:
            job = await exports.begin_export(tx, claim)
        if job is not None:
            # All of these were there while the export was ours, so they are not of a worker that has it after us.
            await self._delete(found, job.pieces)
            if job.pieces:
                log.info("export goes on", export=str(job.id), readings=sum(piece.readings for piece in job.pieces))
        return job

    async def _delete(self, keys: Sequence[str], pieces: Sequence[Piece]) -> None:
        kept = {piece_key(self._claim, piece) for piece in pieces}
        for key in keys:
            if key not in kept:
                await self._ports.blobs.delete(key)

    def _blobs(self, area: str) -> AsyncIterator[BlobInfo]:
        return self._ports.blobs.list(files.blob_key(self._claim.organization_id, area))

    async def _make(self, job: Job) -> tuple[BlobInfo, int]:
        """The file that was stored, and how many readings are in it."""
        sheets, tables = [], {}
        format_ = TableFormat(job.export.format)
        readings = ReadingsTable(job.plan.fields)
        if Content.READINGS in job.export.includes:
            self._gathering = gathering = Gathering(self._database, self._ports, job)
            await gathering.run()
            sheets.append(Sheet("readings", readings.schema, readings.batches(gathering.answers())))
            tables["readings" + format_.suffix] = readings.describe
        if Content.ANNOTATIONS in job.export.includes:
            sheets.append(Sheet("annotations", ANNOTATIONS, no_annotations()))
            tables["annotations" + format_.suffix] = describe_annotations
        manifest = Manifest(job, tables, lambda: readings.readings)
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            await write_bundle(file, sheets, format_, manifest.spell)
            return await self._ports.blobs.put(self._key, _read(file)), readings.readings


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, _AT_ONCE_BYTES):
        yield piece
