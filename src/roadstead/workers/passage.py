"""Waits until what was put on the log has come where it shall be read."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from roadstead.bus import ACCEPTED, Bus, last_message
from roadstead.core import telemetry
from roadstead.core.telemetry import Stage
from roadstead.db import Database
from roadstead.kernel.errors import Unavailable
from roadstead.workers.state import PROJECTION
from roadstead.workers.store import passed_sequence, read_epoch

_POLL_S = 0.02
_SUBJECT = "accepted.0"
"""Where the store passes on what routes have put on the log."""


class LogPassage:
    """See `Passage`. The store names packs it passes on by the sequences they had, and a projection keeps how far it
    is in the transaction that shows it."""

    def __init__(self, bus: Bus, database: Database) -> None:
        """`database`: with the system duty."""
        self._bus = bus
        self._database = database
        self._epoch = ""

    async def wait(self, sequence: int, stages: Collection[Stage], timeout_s: float) -> Sequence[Stage]:
        """See `Passage.wait`. While log or database cannot be asked, nothing is known to have passed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        passed_at = 0
        while True:
            pending = list(stages)
            with contextlib.suppress(Unavailable):
                passed_at = passed_at or await self._find_passed(sequence)
                pending = [stage for stage in stages if not await self._has_passed(stage, passed_at)]
            left_s = until - loop.time()
            if not pending or left_s <= 0:
                return pending
            await asyncio.sleep(min(_POLL_S, left_s))

    async def _has_passed(self, stage: Stage, passed_at: int) -> bool:
        """The store passes on what it has stored."""
        if not passed_at or stage is Stage.STORE:
            return passed_at > 0
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, PROJECTION) >= passed_at

    async def _find_passed(self, sequence: int) -> int:
        """A sequence on ACCEPTED by which everything up to one on UPLINK is there; 0: it is not."""
        place, message_id = await last_message(self._bus, ACCEPTED, _SUBJECT)
        epoch, passed = passed_sequence(message_id)
        if epoch != self._epoch:
            self._epoch = await read_epoch(self._bus)
        return place if epoch == self._epoch and passed >= sequence else 0
