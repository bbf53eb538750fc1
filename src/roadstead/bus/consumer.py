"""Reads a stream that is worked off: batches in order, and what was acknowledged is truncated away.

The place to go on at is the stream itself: whatever is still in it has not been acknowledged. So a process that died
is followed by one that sees the same packs at once and in the same order; there is no redelivery timer to wait for,
and no state on the server beside the stream that could be lost.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import nats.js.errors
import structlog

from roadstead.bus.connection import Bus
from roadstead.bus.reader import OLDEST, Pack, Reader
from roadstead.bus.streams import truncate
from roadstead.kernel.errors import Unavailable

log = structlog.get_logger()


class Batch:
    """Some packs that follow each other. Acknowledge it when everything it led to is safe, and not before."""

    def __init__(self, consumer: "Consumer", packs: list[Pack]) -> None:
        self.packs = packs
        self.done = False
        self._consumer = consumer

    async def ack(self) -> None:
        """It will not come again, once all batches before it are acknowledged too.

        Never fails: when the log cannot be told now it is told later, and a crash in between means once more.
        """
        self.done = True
        await self._consumer._truncate()


class Consumer:
    """The only one who works off a stream, or one subject of it. Two of them would both get everything."""

    def __init__(self, bus: Bus, stream: str, *, subject: str | None = None) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._reader = Reader(bus, stream, subject=subject, start=OLDEST)
        self._open: deque[Batch] = deque()
        self._acknowledged = 0
        self._truncated = 0
        self._late = False

    async def batches(
        self, *, most: int, most_bytes: int, wait_s: float, busy_bytes: int = 1 << 20, busy_wait_s: float = 0
    ) -> AsyncIterator[Batch]:
        """Batches of packs in order, for ever: as soon as there are `most` packs or `most_bytes` bytes in one, or
        `wait_s` after its first pack came; `busy_wait_s` when there are `busy_bytes` by then, since what comes so fast
        is cheaper in larger batches. The next may be taken before the one before is acknowledged.
        """
        loop = asyncio.get_running_loop()
        while True:
            first = await self._reader.next(1.0)
            if first is None:
                await self._truncate()
                continue
            if first.gap:
                # Truncation is ours alone, so this is another stream than the one we knew.
                log.error("log was replaced or truncated by others", stream=self._stream, sequence=first.sequence)
                self._acknowledged = self._truncated = 0
            packs, size, began_at = [first], len(first.payload), loop.time()
            while len(packs) < most and size < most_bytes:
                left_s = began_at + (wait_s if size < busy_bytes else max(wait_s, busy_wait_s)) - loop.time()
                pack = await self._reader.next(left_s) if left_s > 0 else None
                if pack is None:
                    break
                packs.append(pack)
                size += len(pack.payload)
            batch = Batch(self, packs)
            self._open.append(batch)
            yield batch

    async def close(self) -> None:
        """Stop reading; what is not acknowledged comes again."""
        await self._truncate()
        await self._reader.close()

    async def _truncate(self) -> None:
        while self._open and self._open[0].done:
            self._acknowledged = self._open.popleft().packs[-1].sequence
        target = self._acknowledged
        if target <= self._truncated:
            return
        try:
            await truncate(self._bus, self._stream, below=target + 1, subject=self._subject)
        except (Unavailable, nats.js.errors.APIError) as error:
            if not self._late:
                log.warning("log not truncated yet", stream=self._stream, sequence=target, reason=str(error))
            self._late = True
        else:
            self._late = False
            self._truncated = max(self._truncated, target)
