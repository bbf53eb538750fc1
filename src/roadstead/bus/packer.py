"""Packs many small items into few messages on the log, and says of each item when it is safe there.

One stream message costs one fsync. A pack of some milliseconds makes that cheap enough for every device message.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from roadstead.bus.connection import Bus
from roadstead.bus.publisher import Publisher
from roadstead.kernel.errors import TooLarge, Unavailable

log = structlog.get_logger()

T = TypeVar("T")
PackReport = Callable[[int, int, float, bool], None]
"""Told of each pack: items, bytes as estimated, seconds from publishing to the answer, and whether it was stored."""

_ENVELOPE_BYTES = 512
"""Room for subject, headers and the array around the items."""
_ROOM = 0.75
"""`full` ends when this share of the bound is left."""
_STUCK_S = 3.0
"""A log that has not answered for so long is not given more by those who would wait for it."""
_FRESH_S = 1.0
_READY_WITHIN_S = 2.0


class Waiter(Protocol):
    """Somebody who answers for items and wants to know what became of them."""

    def stored(self, tokens: list[int]) -> None:
        """These items are on the log. Called once for each pack that held some."""

    def failed(self, tokens: list[int]) -> None:
        """These items may not be on the log: whoever sent them should send them again."""


class Account(Protocol):
    """Somebody who counts how much of theirs is on its way."""

    def settled(self, size: int) -> None:
        """So many bytes are on its way no longer, whatever became of them."""


class _Bin(Generic[T]):
    """Items that will leave together."""

    __slots__ = ("accounts", "is_settled", "items", "size", "waiting")

    def __init__(self) -> None:
        self.items: list[T] = []
        self.waiting: dict[Waiter, list[int]] = {}
        self.accounts: dict[Account, int] = {}
        self.size = 0
        self.is_settled = False


class Packer(Generic[T]):
    """Collects items for `interval_s` or until `pack_bytes` are there, and publishes them as one message.

    Items of one shard leave in the order in which they were added. `size_of` must never answer less than the bytes an
    item takes in its pack: packs are closed by it, so that none outgrows the server's limit.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        encode: Callable[[Sequence[T]], bytes],
        size_of: Callable[[T], int],
        subject: str = "uplink",
        shard_of: Callable[[T], int] | None = None,
        shards: int = 1,
        interval_s: float = 0.01,
        pack_bytes: int = 1_000_000,
        max_unacknowledged_bytes: int = 33_554_432,
        max_in_flight: int = 16,
        give_up_s: float = 30.0,
        report: PackReport | None = None,
    ) -> None:
        self._bus = bus
        self._publisher = Publisher(bus, give_up_s=give_up_s)
        self._encode = encode
        self._size_of = size_of
        self._subjects = [f"{subject}.{shard}" for shard in range(shards)]
        self._shard_of = shard_of if shards > 1 else None
        self._bins: list[_Bin[T]] = [_Bin() for _ in range(shards)]
        self._interval_s = interval_s
        self._pack_bytes = pack_bytes
        self._bound = max_unacknowledged_bytes
        self._max_in_flight = max_in_flight
        self._report = report
        self._name = secrets.token_hex(8)
        self._packs = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._hoping: list[Callable[[], None]] = []
        self._slowed: list[Callable[[], None]] = []
        self._closed = False
        self._newest: _Bin[T] | None = None
        """What was sent last."""
        self._stored_at = float("-inf")
        """Loop time at which the log last said that it has taken something."""
        self._stored_sequence = 0
        """The highest of what it has taken."""
        self._trying: asyncio.Task[None] | None = None
        self.unacknowledged_bytes = 0
        """What is collected or in flight, by `size_of`."""
        self.full = False
        """The bound is reached: stop reading from whoever sends. What has been read already can still be added."""
        self.behind = False
        """Too much waits on the log: whoever has sent something waits before they send more."""

    async def start(self) -> None:
        """Once, before anything is added."""
        await self._publisher.start()

    def add(self, item: T, waiter: Waiter | None, token: int) -> None:
        """Take an item; `waiter` is told what became of `token`. One that can never fit fails alone, soon."""
        size = self._size_of(item)
        shard = 0 if self._shard_of is None else self._shard_of(item)
        bin_ = self._bins[shard]
        if bin_.size + size > self._pack_bytes:
            if size + _ENVELOPE_BYTES > self._bus.max_payload:
                log.warning("item too large for the log", size_bytes=size)
                if waiter is not None:
                    self._loop.call_soon(waiter.failed, [token])
                return
            bin_ = self._send(shard)
        bin_.items.append(item)
        bin_.size += size
        if waiter is not None:
            tokens = bin_.waiting.get(waiter)
            if tokens is None:
                bin_.waiting[waiter] = [token]
            else:
                tokens.append(token)
        self.unacknowledged_bytes += size
        if self.unacknowledged_bytes >= self._bound:
            self.full = True
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval_s, self._flush)

    def charge(self, account: Account, size: int) -> None:
        """Tell `account` when what was added last has been answered; `size` is the caller's own count of bytes."""
        bin_ = next((one for one in self._bins if one.items), self._newest)
        if bin_ is None or bin_.is_settled:
            self._loop.call_soon(account.settled, size)
        else:
            bin_.accounts[account] = bin_.accounts.get(account, 0) + size

    async def put(self, *items: T) -> int:
        """Take items and wait until all are on the log; the sequence in the stream by which they are.

        `Unavailable` when some may not be there, when the packer is full or behind, or at once when the log has not
        answered to others for seconds; `TooLarge` for an item that never fits.
        """
        if self.full or self._closed:
            raise Unavailable("The log cannot keep up at the moment")
        if self.behind:
            raise Unavailable("More comes in than can be stored at the moment")
        if self._publisher.waiting_s > _STUCK_S:
            raise Unavailable("The log does not answer at the moment")
        limit = self._bus.max_payload - _ENVELOPE_BYTES
        if any(self._size_of(item) > limit for item in items):
            raise TooLarge(f"A message may have {limit} bytes")
        if not items:
            return self._stored_sequence
        waiter = _Put(self._loop, len(items))
        for item in items:
            self.add(item, waiter, 1)
        await waiter.future
        return self._stored_sequence

    async def ready(self) -> None:
        """Raises `Unavailable` unless the log has just taken a pack, or takes an empty one within two seconds.

        Nothing less tells: a log whose disk was full answers every question and refuses every pack.
        """
        if self._loop.time() - self._stored_at < _FRESH_S:
            return
        if self._trying is None or self._trying.done():
            self._trying = self._loop.create_task(self._try(), name="packer tries the log")
            self._trying.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever asked is told
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await asyncio.shield(self._trying)
        except TimeoutError as error:
            raise Unavailable("The log takes nothing at the moment") from error

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, as soon as the packer is not full any more."""
        if self.full:
            self._hoping.append(callback)
        else:
            self._loop.call_soon(callback)

    def when_caught_up(self, callback: Callable[[], None]) -> None:
        """Call once, as soon as the packer is not behind any more."""
        if self.behind:
            self._slowed.append(callback)
        else:
            self._loop.call_soon(callback)

    def slow_down(self) -> None:
        """See `behind`."""
        self.behind = True

    def go_on(self) -> None:
        """The log has room again."""
        self.behind = False
        slowed, self._slowed = self._slowed, []
        for callback in slowed:
            self._loop.call_soon(callback)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Send what is there and wait for the answers, but not for ever; the rest fails."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for shard in range(len(self._bins)):
            self._send(shard)
        await self._publisher.close(timeout_s)
        if self._trying is not None:
            await asyncio.gather(self._trying, return_exceptions=True)

    async def _try(self) -> None:
        self._packs += 1
        message_id = f"{self._name}-{self._packs}"
        await self._publisher.put(self._subjects[0], self._encode([]), message_id=message_id)
        self._stored_at = self._loop.time()

    # --- packs -------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._timer = None
        if self._publisher.in_flight >= self._max_in_flight:
            return  # The next answer brings us back; meanwhile the packs grow.
        for shard in range(len(self._bins)):
            self._send(shard)

    def _send(self, shard: int) -> _Bin[T]:
        """Publish the shard's pack, if there is one, and answer the empty bin that takes its place."""
        full = self._bins[shard]
        if not full.items:
            return full
        empty = self._bins[shard] = _Bin()
        self._newest = full
        self._packs += 1
        started = time.perf_counter()
        try:
            payload = self._encode(full.items)
        except Exception:
            log.exception("pack cannot be encoded")
            self._loop.call_soon(self._settle, full, started, None)
            return empty
        self._publisher.publish(
            self._subjects[shard],
            payload,
            message_id=f"{self._name}-{self._packs}",
            done=lambda sequence: self._settle(full, started, sequence),
        )
        return empty

    def _settle(self, bin_: _Bin[T], started: float, sequence: int | None) -> None:
        if self._report is not None:
            self._report(len(bin_.items), bin_.size, time.perf_counter() - started, sequence is not None)
        if sequence is not None:
            self._stored_at = self._loop.time()
            self._stored_sequence = max(sequence, self._stored_sequence)
        for waiter, tokens in bin_.waiting.items():
            try:
                if sequence is None:
                    waiter.failed(tokens)
                else:
                    waiter.stored(tokens)
            except Exception:
                log.exception("waiter failed")
        bin_.is_settled = True
        for account, size in bin_.accounts.items():
            account.settled(size)
        self.unacknowledged_bytes -= bin_.size
        if self.full and self.unacknowledged_bytes <= self._bound * _ROOM:
            self.full = False
            hoping, self._hoping = self._hoping, []
            for callback in hoping:
                self._loop.call_soon(callback)
        if self._timer is None and not self._closed and any(waiting.items for waiting in self._bins):
            self._timer = self._loop.call_later(0, self._flush)


class _Put:
    """Waits for all items of one `put`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, left: int) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self._left = left

    def stored(self, tokens: list[int]) -> None:
        self._left -= len(tokens)
        if self._left == 0 and not self.future.done():
            self.future.set_result(None)

    def failed(self, tokens: list[int]) -> None:
        if not self.future.done():
            self.future.set_exception(Unavailable("The log did not take the message"))
