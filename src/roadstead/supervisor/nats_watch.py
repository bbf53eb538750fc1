"""Starts a NATS again that does not get over a failure by itself."""

import asyncio

import structlog

from roadstead.supervisor.datadir import LEAST_FREE_BYTES, DataDir
from roadstead.supervisor.nats import Nats
from roadstead.supervisor.processes import Supervised

log = structlog.get_logger()

_EVERY_S = 2.0
_LOOKS = 2
_PAUSE_S = 30.0


class NatsWatch:
    """Asks the server how it is, and starts it again when it is ill and there is room on its disk.

    A stream that could not be written once, for its disk was full, refuses to be written until its server is started
    anew, whatever happens to the disk. What it has acknowledged is on disk, so an end in order loses nothing.
    """

    def __init__(self, nats: Nats, supervised: Supervised, data: DataDir) -> None:
        self._nats = nats
        self._supervised = supervised
        self._data = data

    async def run(self) -> None:
        """Until cancelled."""
        ill = 0
        while True:
            await asyncio.sleep(_EVERY_S)
            illness = await self._nats.find_illness()
            ill = ill + 1 if illness else 0
            if ill == _LOOKS:
                log.error("NATS is ill", reason=illness, free_mb=self._data.free_bytes() // 2**20)
            if ill >= _LOOKS and self._data.free_bytes() >= LEAST_FREE_BYTES:
                log.warning("NATS is started anew, for there is room on its disk")
                await self._supervised.restart()
                ill = 0
                await asyncio.sleep(_PAUSE_S)
