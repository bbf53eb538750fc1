"""Ends the sessions of gateways that died without saying so."""

import asyncio

import structlog

from roadstead.core import telemetry
from roadstead.db import Database
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()


class GatewayWatch:
    """Looks every `every_s` which gateways still renew their lease, and believes no session of the others."""

    def __init__(self, database: Database, *, lapse_s: float = 10.0, every_s: float = 2.0) -> None:
        self._database = database
        self._lapse_s = lapse_s
        self._every_s = every_s
        self._ended: set[str] | None = None
        """Gateways whose sessions were ended here; None until we know: then any that lives may be one."""

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = self._lapse_s
        while True:
            # After a time in which nobody could write a lease, each gateway gets the chance to write one.
            await asyncio.sleep(pause_s)
            try:
                await self.look()
                pause_s = self._every_s
            except Unavailable as error:
                log.warning("gateways are not watched", reason=str(error))
                pause_s = self._lapse_s

    async def look(self) -> None:
        """Once: end the sessions of dead gateways, and resume those of gateways that were only cut off."""
        async with self._database.tx() as tx:
            living = await telemetry.select_living_gateways(tx, self._lapse_s)
            back = living if self._ended is None else living & self._ended
            resumed = await telemetry.resume_sessions(tx, back) if back else 0
            ended = await telemetry.end_sessions_of_the_dead(tx, self._lapse_s)
        self._ended = ((self._ended or set()) - back) | ended
        if ended or resumed:
            log.warning("sessions of gateways", ended_of=sorted(ended), resumed=resumed)
