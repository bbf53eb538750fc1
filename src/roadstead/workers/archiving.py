"""Looks which days of which spaces are due for the archive."""

import asyncio

import structlog

from roadstead.core import archives
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()


class ArchiveClock:
    """Has a job begun for each space with days that are old enough. Several do no harm: a space has one job at once."""

    def __init__(self, database: Database, ports: Ports, *, every_s: float = 300.0) -> None:
        self._database = database
        self._ports = ports
        self._every_s = every_s

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        while True:
            try:
                await self.tick()
            except Unavailable as error:
                log.warning("archives wait", reason=str(error))
            await asyncio.sleep(self._every_s)

    async def tick(self) -> None:
        """Everything that is due."""
        count = 1
        while count:
            async with self._database.tx() as tx:
                count = await archives.queue_due_archives(tx, self._ports)
