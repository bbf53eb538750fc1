"""Makes files of points: reads them, has a dialect spell them, and stores what it says as it says it."""

from collections.abc import Mapping
from uuid import UUID

import structlog

from roadstead.core import files, timeseries
from roadstead.core.files import CannotBeMade, JobClaim
from roadstead.core.ports import Ports
from roadstead.core.timeseries import PointsFile, PointsReader, PointsSpeller
from roadstead.db import Database
from roadstead.kernel.ids import new_id
from roadstead.workers.file_jobs import LOOK_EVERY_S, RENEW_EVERY_S, FileWorker

log = structlog.get_logger()


def points_worker(
    database: Database,
    ports: Ports,
    spellers: Mapping[str, PointsSpeller],
    *,
    look_every_s: float = LOOK_EVERY_S,
    renew_every_s: float = RENEW_EVERY_S,
) -> FileWorker:
    """Works on files of points. `spellers`: by the form of a file."""
    return FileWorker(
        database,
        ports.blobs,
        timeseries.JOBS,
        lambda claim: _Making(database, ports, spellers, claim),
        look_every_s=look_every_s,
        renew_every_s=renew_every_s,
    )


class _Making:
    """One try at one file."""

    def __init__(
        self, database: Database, ports: Ports, spellers: Mapping[str, PointsSpeller], claim: JobClaim
    ) -> None:
        self._claim = claim
        self._database = database
        self._ports = ports
        self._spellers = spellers
        self._key = files.blob_key(claim.organization_id, timeseries.file_name(claim.id, claim.lease))
        self._reader: PointsReader | None = None

    @property
    def readings(self) -> int:
        """How many points are written so far."""
        return self._reader.readings if self._reader else 0

    async def run(self) -> None:
        """Write the file, store it, say so; what did not fit in is another file."""
        claim, blobs = self._claim, self._ports.blobs
        await files.delete_files(blobs, claim.organization_id, claim.id)
        async with self._database.tx(claim.tenant_id) as tx:
            file = await timeseries.load_points_file(tx, claim)
        spell = self._spellers.get(file.form)
        if spell is None:
            raise CannotBeMade(f"nobody here knows how to spell '{file.form}'")
        self._reader = reader = PointsReader(self._database, self._ports.telemetry, claim.tenant_id, file.wanted)
        next_id = new_id()

        def find_next() -> UUID | None:
            return next_id if reader.rest else None

        stored = await blobs.put(self._key, spell(file, reader.pieces(), find_next))
        if not await self._finish(file, next_id, reader, stored.size_bytes):
            await self.drop()
            log.info("file of points came too late", file=str(claim.id))

    async def drop(self) -> None:
        """Delete what may have been stored, unless it was finished at the last moment."""
        async with self._database.tx() as tx:
            if await timeseries.JOBS.is_in_use(tx, self._claim):
                return
        await self._ports.blobs.delete(self._key)

    async def _finish(self, file: PointsFile, next_id: UUID, reader: PointsReader, size_bytes: int) -> bool:
        claim = self._claim
        async with self._database.tx() as tx:
            done = await timeseries.JOBS.finish(tx, claim, size_bytes=size_bytes, readings=reader.readings)
            if done and reader.rest is not None:
                await timeseries.continue_points_file(tx, claim.tenant_id, file, next_id, reader.rest)
        return done
