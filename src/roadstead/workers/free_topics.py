"""Carries messages on free topics between processes, over the bus; each space has a subject of its own."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from roadstead.bus import Bus, Subscription
from roadstead.core.free_topics import Done, Place, Said
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import to_bytes

log = structlog.get_logger()

_MOST_WAITING_BYTES = 8_388_608
_MOST_UNHEARD_BYTES = 8_388_608
"""Of one space, in one process, between the bus and whoever listens here; beyond that the bus drops."""
_AT_ONCE = 1_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Said).decode


class BusFreeTopics:
    """See `FreeTopics`. What is said is gathered while the bus confirms what was said before it."""

    def __init__(self, bus: Bus, *, most_waiting_bytes: int = _MOST_WAITING_BYTES) -> None:
        self._bus = bus
        self._most_bytes = most_waiting_bytes
        self._waiting: deque[tuple[str, bytes, Done | None]] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        """See `FreeTopics.full`."""
        return self._waiting_bytes >= self._most_bytes

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `FreeTopics.when_room`."""
        self._callbacks.append(callback)

    def say(self, place: Place, said: Said, done: Done | None = None) -> None:
        """See `FreeTopics.say`."""
        payload = _encode(said)
        self._waiting.append((_subject_of(place), payload, done))
        self._waiting_bytes += len(payload)
        self._news.set()

    async def listen(self, place: Place, hear: Callable[[Said], None]) -> Subscription:
        """See `FreeTopics.listen`."""

        async def deliver(_: str, payload: bytes) -> None:
            hear(_decode(payload))

        return await self._bus.on(_subject_of(place), deliver, most_bytes=_MOST_UNHEARD_BYTES)

    async def run(self) -> None:
        """Pass on what is said, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
                arrived = await self._pass_on(batch)
                self._waiting_bytes -= sum(len(payload) for _, payload, _ in batch)
                for _, _, done in batch:
                    if done is not None:
                        done(arrived)
                if not self.full:
                    callbacks, self._callbacks = self._callbacks, []
                    for callback in callbacks:
                        callback()

    async def _pass_on(self, batch: list[tuple[str, bytes, Done | None]]) -> bool:
        try:
            for subject, payload, _ in batch:
                await self._bus.nudge(subject, payload)
            await self._bus.confirm()
        except Unavailable as error:
            log.warning("messages on free topics are lost", count=len(batch), reason=str(error))
            return False
        return True


def _subject_of(place: Place) -> str:
    tenant, space_id = place
    return f"free.{tenant}.{to_bytes(space_id).hex()}"
