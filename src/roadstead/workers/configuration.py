"""Keeps the documents of devices right: follows what changes, and works it off batch by batch."""

import asyncio
import time
from collections.abc import Sequence

import structlog

from roadstead.bus import Bus
from roadstead.core import configuration
from roadstead.core.configuration import Batch
from roadstead.core.messages import AnyFact
from roadstead.core.ports import Ports
from roadstead.db import Database, Tx
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId
from roadstead.kernel.waiting import happens
from roadstead.workers.facts import FactFollower
from roadstead.workers.turns import Turn

log = structlog.get_logger()

_LOOK_ANYWAY_S = 1.0
_TIDY_EVERY_S = 5.0
_MOST, _FEWEST = 500, 10
_PAUSE_S = 0.5


class ConfigurationFacts:
    """Marks what facts call for."""

    def __init__(self, bus: Bus, database: Database, turn: Turn, news: asyncio.Event) -> None:
        """`news` is set when there is something to work off."""
        self._follower = FactFollower(
            bus, database, turn, "configuration", self._take, wanted=configuration.NOTED, done=news.set
        )

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        await self._follower.run()

    async def _take(self, tx: Tx, facts: Sequence[tuple[TenantId, AnyFact]], *, lost: bool) -> None:
        if lost:
            log.warning("facts were lost: all documents are worked out anew")
            await configuration.sweep_everything(tx)
        await configuration.note_facts(tx, facts)


class ConfigurationWorker:
    """Works out documents, a batch of devices in each transaction. Several share the work.

    What a batch has to do lies in rows that it holds while it is at it, and goes with what it has done: one that dies
    leaves everything as it was before the batch. A batch that takes too long is tried again smaller; a sweep that fails
    lets others pass and is tried again later.
    """

    def __init__(self, database: Database, ports: Ports, news: asyncio.Event) -> None:
        """`news` is set when there may be something to do; it is looked for every second anyway."""
        self._database = database
        self._ports = ports
        self._news = news
        self._most = _MOST
        self._tenant = 0
        self._tidied_at = 0.0

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        while True:
            self._news.clear()
            try:
                busy = await self.work_once()
            except Unavailable as error:
                self._most = max(self._most // 4, _FEWEST)
                log.warning("documents wait", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            self._most = min(self._most * 2, _MOST)
            if not busy:
                await happens(self._news, _LOOK_ANYWAY_S)

    async def work_once(self) -> bool:
        """One batch of marks and one of a sweep; whether there was any."""
        marked = await self._work_marks()
        swept = await self._work_sweep()
        if time.monotonic() - self._tidied_at > _TIDY_EVERY_S:
            self._tidied_at = time.monotonic()
            async with self._database.tx() as tx:
                await configuration.tidy_tallies(tx)
            async with self._database.tx() as tx:
                await configuration.sweep_waste(tx, self._ports.blobs)
        return marked is not None or swept is not None

    async def _work_marks(self) -> Batch | None:
        async with self._database.tx() as tx:
            done = await configuration.work_marks(tx, self._ports, after=self._tenant, most=self._most)
        if done is None:
            return None
        self._tenant, batch = done
        return batch

    async def _work_sweep(self) -> Batch | None:
        sweep = None
        try:
            async with self._database.tx() as tx:
                sweep = await configuration.lock_sweep(tx)
                if sweep is None:
                    return None
                batch = await configuration.work_sweep(tx, self._ports, sweep, most=self._most)
        except Unavailable:
            if sweep is not None:
                async with self._database.tx() as tx:
                    await configuration.postpone(tx, sweep)
            raise
        log.info("documents worked out", tenant=sweep.tenant_id, examined=batch.examined, changed=batch.changed)
        return batch
