"""Makes what devices have reported searchable, for tenants that begin to search."""

import asyncio

import structlog

from roadstead.core import telemetry
from roadstead.db import Database
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()


class SearchIndexer:
    """Takes steps of one short transaction each, in which nobody waits long for a state. Several share the work."""

    def __init__(self, database: Database, *, every_s: float = 0.5) -> None:
        self._database = database
        self._every_s = every_s

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        while True:
            try:
                async with self._database.tx() as tx:
                    went_on = await telemetry.index_next(tx)
            except Unavailable as error:
                log.warning("indexing for searches waits", reason=str(error))
                went_on = False
            if not went_on:
                await asyncio.sleep(self._every_s)
