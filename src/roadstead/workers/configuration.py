"""Keeps the documents of devices right: follows what changes, and works it off batch by batch."""

import asyncio
import time
from functools import partial

import msgspec
import structlog

from roadstead.bus import FACTS, Bus, Pack, Reader, Start
from roadstead.core import configuration, telemetry
from roadstead.core.configuration import Batch
from roadstead.core.messages import AnyFact, FactMessage, decode_fact
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId
from roadstead.kernel.waiting import happens
from roadstead.workers.patience import patiently
from roadstead.workers.turns import Turn

log = structlog.get_logger()

_NAME = "configuration"
"""Of its place in FACTS, in the table of projections."""
_MOST_FACTS = 1_000
_GATHER_S = 0.02
_IDLE_S = 1.0
_LOOK_ANYWAY_S = 1.0
_TIDY_EVERY_S = 5.0
_MOST, _FEWEST = 500, 10
_PAUSE_S = 0.5

_message = msgspec.msgpack.Decoder(FactMessage).decode


class ConfigurationFacts:
    """Marks what facts call for. Its place in the stream is written with the marks: a crash loses and doubles none.

    One worker works at a time; others wait in reserve.
    """

    def __init__(self, bus: Bus, database: Database, turn: Turn, news: asyncio.Event) -> None:
        """`news` is set when there is something to work off."""
        self._bus = bus
        self._database = database
        self._turn = turn
        self._news = news

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        while True:
            async with self._turn.taken() as lost:
                following = asyncio.create_task(self._follow(), name="configuration facts")
                losing = asyncio.create_task(lost.wait())
                try:
                    await asyncio.wait([following, losing], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    following.cancel()
                    losing.cancel()
                    await asyncio.gather(following, losing, return_exceptions=True)
                if not following.cancelled():
                    following.result()

    async def _follow(self) -> None:
        position = await patiently("database", self._select_position)
        reader = Reader(self._bus, FACTS, start=Start(sequence=position + 1))
        await reader.open()
        try:
            while True:
                packs = await self._gather(reader)
                if packs:
                    await patiently("database", partial(self._note, packs))
                    self._news.set()
        finally:
            await reader.close()

    async def _gather(self, reader: Reader) -> list[Pack]:
        packs: list[Pack] = []
        until = time.monotonic() + _IDLE_S
        while len(packs) < _MOST_FACTS:
            pack = await reader.next(max(until - time.monotonic(), 0))
            if pack is None:
                break
            if not packs:
                until = time.monotonic() + _GATHER_S
            packs.append(pack)
        return packs

    async def _note(self, packs: list[Pack]) -> None:
        facts: list[tuple[TenantId, AnyFact]] = []
        lost = any(pack.gap for pack in packs)
        for pack in packs:
            try:
                message = _message(pack.payload)
                facts.append((message.tenant, decode_fact(message.fact)))
            except msgspec.DecodeError as error:
                log.warning("fact not understood", sequence=pack.sequence, reason=str(error))
        async with self._database.tx() as tx:
            if lost:
                log.warning("facts were lost: all documents are worked out anew")
                await configuration.sweep_everything(tx)
            await configuration.note_facts(tx, facts)
            await telemetry.update_position(tx, _NAME, packs[-1].sequence)

    async def _select_position(self) -> int:
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, _NAME)


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
