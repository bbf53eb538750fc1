"""Reads a stream in order from any place, without a gap or a repeat, also across lost connections."""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from roadstead.bus.connection import Bus, Subscription
from roadstead.bus.streams import stream_state
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.waiting import happens

log = structlog.get_logger()

_PULL_PACKS = 256
_PULL_BYTES = 8 << 20
_EXPIRES_S = 30.0
_HEARTBEAT_S = 5.0
_FORGET_AFTER_S = 60.0
_PAUSE_S = 0.2


class Start(msgspec.Struct, frozen=True):
    """Where reading begins: at a sequence, at a time, with what comes from now on, or (all absent) at the oldest."""

    sequence: int | None = None
    time: datetime | None = None
    new: bool = False


OLDEST = Start()
NEW = Start(new=True)


class Pack(msgspec.Struct, frozen=True, gc=False):
    """One message of a stream."""

    sequence: int
    stored_at: int
    """When the stream took it, ms since 1970."""
    subject: str
    payload: bytes
    gap: bool = False
    """Messages before this one were asked for and are no longer there."""


class Reader:
    """Reads one stream (or the messages of one subject in it) by itself, as fast as it is asked for packs.

    At most about `_PULL_BYTES` wait in memory. When NATS is away, reading waits and goes on where it was. When the
    stream has lost what would come next (expired, or the whole stream was made anew), reading goes on with the oldest
    there is, and the pack says `gap`. Gaps in the middle are only seen when the whole stream is read.
    """

    def __init__(self, bus: Bus, stream: str, *, subject: str | None = None, start: Start = OLDEST) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._start = start
        self._next: int | None = start.sequence
        """Sequence of the next message; None until known."""
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._inbound: Subscription | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._consumer = ""
        self._connection = 0
        self._delivered = 0
        """How many messages the consumer of the moment has sent."""
        self._pull = 0
        self._pull_left = 0
        self._heard_at = 0.0
        self._ready: deque[Pack] = deque()
        self._arrived = asyncio.Event()
        self._gap_ahead = False
        self.gap = False
        """What the start asked for is not all there any more. Known after `open`, or with the first pack."""

    @property
    def position(self) -> int | None:
        """Sequence of the last message that was handed out; before that, one less than the start, when it is known."""
        following = self._ready[0].sequence if self._ready else self._next
        return None if following is None else following - 1

    async def open(self) -> None:
        """Begin now instead of with the first `next`: from here on no message is missed. `Unavailable` without NATS."""
        if self._inbound is None:
            self._inbound = await self._bus.subscribe(f"{self._inbox}.*", self._on_message)
            self._stop_listening = self._bus.listen(self._arrived.set)
        if not self._consumer:
            await self._begin()

    async def next(self, timeout_s: float | None = None) -> Pack | None:
        """The next pack, or None when there is none within `timeout_s`. Waits while NATS is away."""
        if self._ready:
            return self._ready.popleft()
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while not self._ready:
            left_s = _HEARTBEAT_S if deadline is None else min(deadline - loop.time(), _HEARTBEAT_S)
            if left_s <= 0:
                return None
            try:
                await self._keep_asking()
            except Unavailable as error:
                log.debug("reader waits", stream=self._stream, reason=str(error))
                with contextlib.suppress(Unavailable):
                    await self._bus.connected(min(left_s, 1.0))
                await asyncio.sleep(min(left_s, _PAUSE_S))
                continue
            self._arrived.clear()
            if not self._ready and self._is_well():
                await happens(self._arrived, left_s)
        return self._ready.popleft()

    async def packs(self) -> AsyncIterator[Pack]:
        """All packs, for ever."""
        while True:
            pack = await self.next()
            if pack is not None:
                yield pack

    async def close(self) -> None:
        """Stop reading."""
        if self._stop_listening is not None:
            self._stop_listening()
        if self._inbound is not None:
            await self._inbound.close()
            self._inbound = None
        consumer, self._consumer = self._consumer, ""
        if consumer and self._bus.is_connected and self._connection == self._bus.connection:
            with contextlib.suppress(Unavailable, nats.errors.Error):
                async with self._bus.asking() as jetstream:
                    await jetstream.delete_consumer(self._stream, consumer)

    # --- the consumer on the server ----------------------------------------------------------------------------------

    def _is_well(self) -> bool:
        return bool(self._consumer) and self._connection == self._bus.connection and self._bus.is_connected

    async def _keep_asking(self) -> None:
        """Make sure that there is a consumer of ours on the server and that it knows what we want."""
        await self.open()
        now = asyncio.get_running_loop().time()
        if not self._is_well():
            await self._begin()
        elif self._pull_left > 0 and now - self._heard_at > 2.5 * _HEARTBEAT_S:
            log.warning("reader hears nothing", stream=self._stream)
            await self._begin()
        if self._pull_left <= 0:
            await self._ask()

    async def _begin(self) -> None:
        """A new consumer that starts where we are."""
        self._consumer = ""
        self._pull_left = 0
        connection = self._bus.connection
        state = await stream_state(self._bus, self._stream)
        if self._next is None and self._start.new:
            self._next = state.last_sequence + 1
        if self._next is not None and not state.first_sequence <= self._next <= state.last_sequence + 1:
            self.gap = self._gap_ahead = True
            self._next = state.first_sequence
        consumer = f"reader-{secrets.token_hex(8)}"
        config = ConsumerConfig(
            name=consumer,
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.ALL,
            filter_subject=self._subject,
            inactive_threshold=_FORGET_AFTER_S,
            mem_storage=True,
            num_replicas=1,
        )
        if self._next is not None:
            config = config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self._next)
        elif self._start.time is not None:
            start = self._start.time.astimezone(UTC)
            config = config.evolve(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=start)
        self._delivered = 0
        try:
            async with self._bus.asking() as jetstream:
                await jetstream.add_consumer(self._stream, config)
        except nats.js.errors.APIError as error:
            raise Unavailable(f"The log cannot be read: {error.description}") from error
        self._connection = connection
        self._consumer = consumer

    async def _ask(self) -> None:
        self._pull += 1
        self._pull_left = _PULL_PACKS
        self._heard_at = asyncio.get_running_loop().time()
        wanted = {
            "batch": _PULL_PACKS,
            "max_bytes": max(_PULL_BYTES, self._bus.max_payload + 4096),
            "expires": int(_EXPIRES_S * 1e9),
            "idle_heartbeat": int(_HEARTBEAT_S * 1e9),
        }
        try:
            await self._bus.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
                msgspec.json.encode(wanted),
                reply=f"{self._inbox}.{self._pull}",
            )
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("The log cannot be read") from error

    # --- what it sends -----------------------------------------------------------------------------------------------

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if message.reply.startswith("$JS.ACK."):
            self._on_pack(message)
        elif message.subject == f"{self._inbox}.{self._pull}":
            self._on_status((message.headers or {}).get("Status", ""), (message.headers or {}).get("Description", ""))

    def _on_pack(self, message: Msg) -> None:
        # $JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivered>.<time in ns>.<pending>; newer servers may put the
        # domain and a hash of the account before the stream, and a random word at the end.
        words = message.reply.split(".")
        first = 2 if len(words) == 9 else 4
        if words[first + 1] != self._consumer:
            return
        sequence, delivered = int(words[first + 3]), int(words[first + 4])
        self._delivered += 1
        if delivered != self._delivered:
            # Something was lost on the way to us: begin again behind the last one that came.
            log.warning("reader lost packs", stream=self._stream, expected=self._delivered, got=delivered)
            self._consumer = ""
            self._arrived.set()
            return
        skipped = self._next is not None and self._subject is None and sequence != self._next
        gap, self._gap_ahead = skipped or self._gap_ahead, False
        self._pull_left -= 1
        self._next = sequence + 1
        self._ready.append(Pack(sequence, int(words[first + 5]) // 1_000_000, message.subject, message.data, gap))
        self._arrived.set()

    def _on_status(self, status: str, description: str) -> None:
        if status == "100":
            return
        self._pull_left = 0
        ended = status in ("404", "408") or description.startswith(("Batch Completed", "Message Size Exceeds MaxBytes"))
        if not ended:
            # The consumer is gone, or its server is: make another one.
            self._consumer = ""
        self._arrived.set()
