"""Has systems say, again and again, what the devices below them come to."""

import asyncio
from collections.abc import Mapping, Sequence

import psycopg
import structlog

from roadstead.core import systems
from roadstead.core.systems import Due, Place, Said
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.workers.timers import Uplinks

log = structlog.get_logger()

_AT_A_TIME, _OF_TENANT = 100, 50


class _TooSlow(Exception):
    """The database has taken too long over these systems, and is there."""


class SystemWorker:
    """Takes turns of one transaction each, in which the rows of its systems are locked. Several share the work.

    What a turn says is on the log before it is over: who dies in between gives the systems back at once, and they say
    it once more, of the same instant, so that the store keeps one.
    """

    def __init__(self, database: Database, uplinks: Uplinks, *, every_s: float = 0.5) -> None:
        """`database` has the system duty."""
        self._database = database
        self._uplinks = uplinks
        self._every_s = every_s
        self._at_a_time = _AT_A_TIME

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        while True:
            try:
                count = await self.look()
            except Unavailable as error:
                log.warning("systems wait", reason=str(error))
                count = 0
            if not count:
                await asyncio.sleep(self._every_s)

    async def look(self) -> int:
        """One turn of systems that are due; says how many. One that cannot be worked out does not stop the others."""
        try:
            count = await self._take_turn(self._at_a_time)
        except Unavailable:
            raise
        except Exception as error:
            if self._at_a_time > 1:
                self._at_a_time = 1  # until it is found which one it is
                return 1
            log.error("a system could not be worked out", exc_info=error)
            count = await self._pass_over()
            self._at_a_time = _AT_A_TIME
            return count
        if not count:
            self._at_a_time = _AT_A_TIME
        return count

    async def _take_turn(self, most: int) -> int:
        async with self._database.tx() as tx:
            now = time.now()
            due = await systems.take_due(tx, now, most=most, most_of_tenant=_OF_TENANT)
            if due:
                said = await self._work_out(tx, due)
                await self._uplinks.put(*systems.spell_said(due, said, now))
                await systems.settle(tx, due, said, now)
        return len(due)

    async def _work_out(self, tx: Tx, due: Sequence[Due]) -> Mapping[Place, Sequence[Said]]:
        try:
            return await systems.work_out(tx, due)
        except psycopg.errors.QueryCanceled as error:
            raise _TooSlow from error

    async def _pass_over(self) -> int:
        """The one that is due first says nothing this time."""
        async with self._database.tx() as tx:
            now = time.now()
            due = await systems.take_due(tx, now, most=1, most_of_tenant=1)
            if due:
                await systems.settle(tx, due, {}, now)
        return len(due)
