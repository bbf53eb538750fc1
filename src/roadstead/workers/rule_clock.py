"""Up to when it is known what devices have said: rules must not take our own delays for their silence."""

import asyncio

from roadstead.bus import ACCEPTED, UPLINK, Bus, last_sequence, waiting_since
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable

_EVERY_S = 0.25


class RuleClock:
    """Looks at the logs now and then. While a log cannot be read, or the store does not work off what came in, it
    stands still."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.known_until = 0
        """Ms since 1970: everything that came before this was on ACCEPTED ..."""
        self.sequence = 0
        """... by this message."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                now = time.now()
                since = await waiting_since(self._bus, UPLINK)
                sequence = await last_sequence(self._bus, ACCEPTED)
            except Unavailable:
                pass
            else:
                self.known_until = time.to_millis(now if since is None else min(since, now))
                self.sequence = sequence
            await asyncio.sleep(_EVERY_S)
