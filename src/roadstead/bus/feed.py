"""Several readers of one stream in one process: what comes is fetched once for all of them."""

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

from roadstead.bus.connection import Bus
from roadstead.bus.reader import NEW, OLDEST, Pack, Reader, Start
from roadstead.bus.streams import stream_state
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.waiting import happens

_MOST_BYTES = 4 << 20
_AT_ONCE_BYTES = 1 << 20
_PAUSE_S = 0.2


class Follower:
    """Reads one stream like `Reader`; all followers of a stream over one connection share what comes.

    One that is further behind than what is kept for the others reads alone until it has caught up. The pace is that of
    the fastest.
    """

    def __init__(self, bus: Bus, stream: str, *, start: Start = OLDEST, most_bytes: int = _MOST_BYTES) -> None:
        """`most_bytes`: of packs that are kept for others; the first follower of a stream decides."""
        self._bus = bus
        self._stream = stream
        self._start = start
        self._most_bytes = most_bytes
        self._next = start.sequence
        """Sequence of the next pack; None until known."""
        self._is_sure = False
        """The stream itself has told us what comes next; else it may be a place that it does not have any more."""
        self._feed: _Feed | None = None
        self._place: int | None = None
        """Of the next pack in the feed; None while it reads alone."""
        self._alone: Reader | None = None
        self._arrived = asyncio.Event()

    @property
    def position(self) -> int | None:
        """Sequence of the last pack that was handed out; before that, one less than the start, when it is known."""
        return None if self._next is None else self._next - 1

    async def open(self) -> None:
        """Begin now instead of with the first `next`: from here on no pack is missed. `Unavailable` without NATS."""
        if self._feed is None:
            self._feed = _Feed.join(self._bus, self._stream, self._most_bytes)
        if self._next is None and self._start.new:
            self._next = (await stream_state(self._bus, self._stream)).last_sequence + 1
            self._is_sure = True
        await self._feed.open()

    async def next(self, timeout_s: float | None = None) -> Pack | None:
        """The next pack, or None when there is none within `timeout_s`. Waits while NATS is away."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while True:
            feed = await self._opened(deadline)
            if feed is None:
                return None
            left_s = None if deadline is None else max(deadline - loop.time(), 0)
            if not await self._is_together(feed):
                return await self._next_alone(left_s)
            pack = self._take(feed)
            if pack is not None:
                return pack
            if left_s == 0:
                return None
            if self._place is None or self._place >= feed.first:
                await feed.wait(self._arrived, left_s)

    async def packs(self) -> AsyncIterator[Pack]:
        """All packs, for ever."""
        while True:
            pack = await self.next()
            if pack is not None:
                yield pack

    async def close(self) -> None:
        """Stop reading."""
        feed, self._feed, self._place = self._feed, None, None
        alone, self._alone = self._alone, None
        if alone is not None:
            await alone.close()
        if feed is not None:
            await feed.leave()

    async def _opened(self, deadline: float | None) -> "_Feed | None":
        """The feed, once it can be read; None when it is too late for that."""
        loop = asyncio.get_running_loop()
        while self._feed is None or not self._feed.is_open or (self._next is None and self._start.new):
            try:
                await self.open()
            except Unavailable:
                left_s = _PAUSE_S if deadline is None else deadline - loop.time()
                if left_s <= 0:
                    return None
                await asyncio.sleep(min(left_s, _PAUSE_S))
        return self._feed

    async def _is_together(self, feed: "_Feed") -> bool:
        """Whether the feed has what comes next for us; from then on we read there."""
        if self._place is not None and self._place < feed.first:
            self._place, self._is_sure = None, False
        if self._place is None:
            self._place = None if self._next is None else feed.find(self._next, is_sure=self._is_sure)
            alone, self._alone = (self._alone, None) if self._place is not None else (None, self._alone)
            if alone is not None:
                await alone.close()
        return self._place is not None

    def _take(self, feed: "_Feed") -> Pack | None:
        while self._place is not None and (pack := feed.packs.get(self._place)) is not None:
            self._place += 1
            # The feed may be behind the end of the stream, and we want what comes after it.
            if pack.gap or self._next is None or pack.sequence >= self._next:
                self._next = pack.sequence + 1
                return pack
        return None

    async def _next_alone(self, timeout_s: float | None) -> Pack | None:
        if self._alone is None:
            start = self._start if self._next is None else Start(sequence=self._next)
            self._alone = Reader(self._bus, self._stream, start=start)
        pack = await self._alone.next(timeout_s)
        if pack is not None:
            self._next, self._is_sure = pack.sequence + 1, True
        return pack


class _Feed:
    """What came last on a stream. It fetches more when somebody waits for it."""

    def __init__(self, bus: Bus, stream: str, most_bytes: int) -> None:
        self._key = bus, stream
        self._reader = Reader(bus, stream, start=NEW)
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._followers = 0
        self._waiting: set[asyncio.Event] = set()
        self._fetching: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self.is_open = False
        self.packs: dict[int, Pack] = {}
        """By their place: the number of packs that came before them."""
        self.first = 0
        """Place of the oldest one that is kept, or of the next one to come."""

    @classmethod
    def join(cls, bus: Bus, stream: str, most_bytes: int) -> "_Feed":
        """That of the stream, with a follower more."""
        feeds = _feeds.setdefault(bus, {})
        feed = feeds.get(stream)
        if feed is None:
            feed = feeds[stream] = cls(bus, stream, most_bytes)
        feed._followers += 1
        return feed

    async def leave(self) -> None:
        """A follower less; the last one closes it."""
        self._followers -= 1
        if self._followers:
            return
        bus, stream = self._key
        del _feeds[bus][stream]
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._reader.close()

    async def open(self) -> None:
        """From here on no pack is missed. `Unavailable` without NATS."""
        async with self._opening:
            if not self.is_open:
                await self._reader.open()
                self.is_open = True

    def find(self, sequence: int, *, is_sure: bool) -> int | None:
        """Place of the first pack from a sequence on; None when there may be packs between that are not kept.

        What is not sure to be in the stream, or next in it, is found only where the feed has been already.
        """
        following = (self._reader.position or 0) + 1
        oldest = self.packs[self.first].sequence if self.packs else following
        if sequence < oldest or (sequence > following and not is_sure):
            return None
        return next((place for place, pack in self.packs.items() if pack.sequence >= sequence), self._end)

    async def wait(self, arrived: asyncio.Event, timeout_s: float | None) -> None:
        """Until more has come, or the time is over; `arrived` belongs to the caller."""
        arrived.clear()
        self._waiting.add(arrived)
        if self._fetching is None or self._fetching.done():
            if self._fetching is not None:
                self._fetching.result()
            self._fetching = asyncio.create_task(self._fetch(), name=f"feed of {self._key[1]}")
        try:
            await (arrived.wait() if timeout_s is None else happens(arrived, timeout_s))
        finally:
            self._waiting.discard(arrived)

    @property
    def _end(self) -> int:
        return self.first + len(self.packs)

    async def _fetch(self) -> None:
        """For as long as somebody waits."""
        try:
            while self._waiting:
                pack = await self._reader.next()
                fetched_bytes = 0
                while pack is not None:
                    self._keep(pack)
                    fetched_bytes += len(pack.payload)
                    pack = await self._reader.next(0) if fetched_bytes < _AT_ONCE_BYTES else None
                self._wake()
        except BaseException:
            self._wake()
            raise

    def _wake(self) -> None:
        for arrived in self._waiting:
            arrived.set()
        self._waiting.clear()

    def _keep(self, pack: Pack) -> None:
        last = self.packs.get(self._end - 1)
        if last is not None and pack.sequence <= last.sequence:
            # The stream was made anew: what came before has nothing to do with what comes now.
            self.first = self._end
            self.packs.clear()
            self._size_bytes = 0
        self.packs[self._end] = pack
        self._size_bytes += len(pack.payload)
        while self._size_bytes > self._most_bytes and len(self.packs) > 1:
            self._size_bytes -= len(self.packs.pop(self.first).payload)
            self.first += 1


_feeds: WeakKeyDictionary[Bus, dict[str, _Feed]] = WeakKeyDictionary()
