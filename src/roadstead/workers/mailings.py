"""Follows events for those who want mail about them."""

from collections.abc import Sequence

import structlog

from roadstead.bus import Bus
from roadstead.core import mailings
from roadstead.core.messages import AnyFact, EventRaised
from roadstead.core.ports import Ports
from roadstead.db import Database, Tx
from roadstead.kernel.ids import TenantId
from roadstead.workers.facts import FactFollower
from roadstead.workers.turns import Turn

log = structlog.get_logger()

PROJECTION = "mailings"
"""Its name in the table of projections: events up to here have led to the mail they lead to."""


class MailingWorker:
    """Has mail sent about events, once for each event and mailing."""

    def __init__(self, bus: Bus, database: Database, ports: Ports, turn: Turn) -> None:
        """`database` has the system duty."""
        self._ports = ports
        self._follower = FactFollower(bus, database, turn, PROJECTION, self._take, wanted=[EventRaised])

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        await self._follower.run()

    async def _take(self, tx: Tx, facts: Sequence[tuple[TenantId, AnyFact]], *, lost: bool) -> None:
        if lost:
            log.error("facts expired before mailings had heard them")
        await mailings.follow_events(tx, self._ports, facts)
