"""The timers of commands, and the bulks that run."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from roadstead.core import commands
from roadstead.db import Database, Tx
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()

_AT_ONCE = 500


class CommandTimers:
    """Looks every `every_s`: lets commands leave whose time has come, ends those that have run out of it, and bulks.

    Each step is one transaction over rows that nobody else has locked, so several workers share the work, and one that
    dies leaves nothing half done.
    """

    def __init__(self, database: Database, *, every_s: float = 0.5) -> None:
        self._database = database
        self._every_s = every_s

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                log.warning("timers of commands wait", reason=str(error))
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Once, until nothing is due."""
        await self._until_done(lambda tx: commands.release_due(tx, _AT_ONCE))
        await self._until_done(lambda tx: commands.expire_due(tx, _AT_ONCE))
        async with self._database.tx() as tx:
            await commands.look_after_batches(tx)

    async def _until_done(self, step: Callable[[Tx], Awaitable[int]]) -> None:
        count = _AT_ONCE
        while count == _AT_ONCE:
            async with self._database.tx() as tx:
                count = await step(tx)
