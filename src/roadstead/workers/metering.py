"""Counts messages: those of devices, from what was accepted, and what facts are about."""

import time

import structlog

from roadstead.bus import ACCEPTED, Bus, Follower, Start
from roadstead.core import metering, telemetry
from roadstead.core.metering import Counts
from roadstead.db import Database
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.facts import FactFollower
from roadstead.workers.patience import patiently
from roadstead.workers.turns import Turn

log = structlog.get_logger()

PROJECTION = "metering"
FACTS_PROJECTION = "metering of facts"

_MOST_CELLS = 100_000
_IDLE_S = 1.0


def facts_counter(bus: Bus, database: Database, turn: Turn) -> FactFollower:
    """Counts commands and events."""
    return FactFollower(
        bus, database, turn, FACTS_PROJECTION, metering.count_facts, wanted=metering.COUNTED, gather_s=1.0
    )


class PayloadCounter:
    """Projects the ACCEPTED stream into counts.

    What is counted is added in the transaction that moves the position, and only from where the position was when it
    was read: so nothing is counted twice, after a crash or when two of these run side by side.
    """

    def __init__(self, bus: Bus, database: Database, packs: AcceptedPacks, *, gather_s: float = 10.0) -> None:
        self._bus = bus
        self._packs = packs
        self._database = database
        self._gather_s = gather_s
        """How long counts are gathered: the longer, the fewer rows are written."""

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for; somebody else's progress is taken up."""
        while True:
            await self._follow(await patiently("database", self._select_position))

    async def _follow(self, position: int) -> None:
        """Count on from a position; returns when somebody else has."""
        reader = Follower(self._bus, ACCEPTED, start=Start(sequence=position + 1))
        counts, reached, since = Counts(), position, time.monotonic()
        try:
            while True:
                pack = await reader.next(_IDLE_S if not counts else min(_IDLE_S, self._gather_s))
                if pack is not None:
                    if pack.gap:
                        log.error("messages expired before they were counted", sequence=pack.sequence)
                    counts.add_messages(self._packs.messages_of(pack))
                    reached = pack.sequence
                is_due = time.monotonic() - since >= self._gather_s or len(counts) >= _MOST_CELLS
                if reached > position and is_due:
                    before, after, found = position, reached, counts
                    if not await patiently("database", lambda: self._write(before, after, found)):  # noqa: B023
                        return
                    counts, position, since = Counts(), reached, time.monotonic()
        finally:
            await reader.close()

    async def _write(self, before: int, after: int, counts: Counts) -> bool:
        async with self._database.tx() as tx:
            if await telemetry.lock_position(tx, PROJECTION) != before:
                return False
            await metering.add_counts(tx, counts)
            await telemetry.update_position(tx, PROJECTION, after)
        return True

    async def _select_position(self) -> int:
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, PROJECTION)
