"""Follows the facts of the core, each taken up once, whatever happens to this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Protocol

import structlog

from roadstead.bus import FACTS, Bus, Follower, Pack, Start
from roadstead.core import telemetry
from roadstead.core.messages import AnyFact, Fact
from roadstead.db import Database, Tx
from roadstead.kernel.ids import TenantId
from roadstead.workers.fact_packs import facts_in
from roadstead.workers.patience import patiently
from roadstead.workers.turns import Turn

log = structlog.get_logger()

_MOST_BYTES = 262_144
"""Of the packs that are taken up together, about."""
_IDLE_S = 1.0
_NOTE_EVERY_S = 1.0
"""A place behind facts that concern nobody: after a crash they are passed over once more."""
_REMEMBERED = 10_000


class TakeFacts(Protocol):
    """Takes up what facts mean, in a transaction."""

    def __call__(self, tx: Tx, facts: Sequence[tuple[TenantId, AnyFact]], *, lost: bool) -> Awaitable[None]:
        """`lost`: there were others before these that nobody can tell any more."""


class FactFollower:
    """Reads FACTS in batches. Its place there is written with what was taken up: a crash loses and doubles none.

    One worker works at a time; others wait in reserve. Whoever still works when it is another's turn finds the place
    moved, and begins there.
    """

    def __init__(
        self,
        bus: Bus,
        database: Database,
        turn: Turn,
        name: str,
        take: TakeFacts,
        *,
        wanted: Collection[type[Fact]],
        gather_s: float = 0.02,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`name`: of the place in FACTS, in the table of projections.

        `wanted`: the facts that concern it. `gather_s`: how long they may wait for others. `done` is called after each
        commit.
        """
        self._bus = bus
        self._database = database
        self._turn = turn
        self._name = name
        self._take = take
        self._wanted = tuple(wanted)
        self._gather_s = gather_s
        self._done = done
        self._position = 0
        """Up to where facts are taken up."""
        self._noted = 0
        self._noted_at = 0.0
        self._recent: dict[int, None] = {}
        """Ids of facts that were taken up, the oldest first."""

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        while True:
            async with self._turn.taken() as lost:
                following = asyncio.create_task(self._follow(), name=f"facts for {self._name}")
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
        self._position = self._noted = await patiently("database", self._select_position)
        self._recent.clear()
        reader = Follower(self._bus, FACTS, start=Start(sequence=self._position + 1))
        await reader.open()
        try:
            while True:
                packs = await self._gather(reader)
                lost = any(pack.gap for pack in packs)
                facts = [
                    (message.tenant, fact)
                    for pack in packs
                    for message, fact in facts_in(pack)
                    if isinstance(fact, self._wanted) and self._is_new(message.id)
                ]
                if packs:
                    self._position = packs[-1].sequence
                is_due = self._position > self._noted and time.monotonic() - self._noted_at > _NOTE_EVERY_S
                if facts or lost or is_due:
                    if not await patiently("database", partial(self._note, facts, lost=lost)):
                        return
                    if facts or lost:
                        self._done()
        finally:
            await reader.close()

    def _is_new(self, id_: int) -> bool:
        """Whether a fact was not among the last ones: after a crash of the database some are told once more."""
        if id_ in self._recent:
            return False
        self._recent[id_] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        return True

    async def _gather(self, reader: Follower) -> list[Pack]:
        packs: list[Pack] = []
        size_bytes = 0
        until = time.monotonic() + _IDLE_S
        while size_bytes < _MOST_BYTES:
            pack = await reader.next(max(until - time.monotonic(), 0))
            if pack is None:
                break
            if not packs:
                until = time.monotonic() + self._gather_s
            packs.append(pack)
            size_bytes += len(pack.payload)
        return packs

    async def _note(self, facts: Sequence[tuple[TenantId, AnyFact]], *, lost: bool) -> bool:
        async with self._database.tx() as tx:
            if await telemetry.lock_position(tx, self._name) != self._noted:
                return False
            if facts or lost:
                await self._take(tx, facts, lost=lost)
            await telemetry.update_position(tx, self._name, self._position)
        self._noted, self._noted_at = self._position, time.monotonic()
        return True

    async def _select_position(self) -> int:
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, self._name)
