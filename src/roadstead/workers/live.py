"""Tells listeners what is said on the log: read once for each process, matched once for each filter."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from roadstead.bus import ACCEPTED, FACTS, NEW, Bus, Follower, Pack, sequence_at
from roadstead.core.ports import Ports
from roadstead.core.streams import (
    Channel,
    Channels,
    Directory,
    Event,
    Gap,
    Parcel,
    Position,
    StreamFilter,
    Told,
    TooSlow,
)
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId
from roadstead.workers.patience import patiently
from roadstead.workers.replay import Replay, open_replay
from roadstead.workers.telling import Teller, read_epoch

log = structlog.get_logger()

_PATIENCE_S = 5.0
_PACE_S, _SLOWEST_PACE_S = 0.0002, 0.25
_PLACES_STAY_S = 60.0
_NEAR = 64


class LiveMetrics:
    """Counters of the live streams of one process, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.listeners = Gauge("roadstead_live_listeners", "Listeners of live streams", registry=registry)
        self.events = Counter("roadstead_live_events", "Events made, each once for all listeners", registry=registry)
        self.cut = Counter("roadstead_live_listeners_cut", "Listeners cut off for being slow", registry=registry)
        self.lag = Gauge(
            "roadstead_live_lag_seconds", "Age of the last pack when it was told", ["stream"], registry=registry
        )


class LiveHub:
    """`streams.Live` of one process: one reader of each stream, however many listen.

    A pack is matched and handed out without a pause in between. Whoever begins to listen does so between two packs, so
    what it was told before and what comes now have neither a gap nor an overlap.
    """

    def __init__(
        self, bus: Bus, database: Database, ports: Ports, *, metrics: LiveMetrics, most_waiting: int = 16_384
    ) -> None:
        """`database` has the tenant duty; `most_waiting`: events that may wait for a listener before it is cut off."""
        self._bus = bus
        self._metrics = metrics
        self._most_waiting = most_waiting
        self._directory = Directory(database, ports)
        self._channels = Channels()
        self._audiences: dict[Channel, dict[Listener, None]] = {}
        self._channel_of: dict[tuple[TenantId, StreamFilter], Channel] = {}
        self._teller = Teller(self._directory, self._channels, Position("", 0, 0, 0))
        self._listening = asyncio.Event()
        self._count = 0

    async def run(self) -> None:
        """Until cancelled. A log or database that is away is waited for."""
        accepted, facts = (Follower(self._bus, stream, start=NEW) for stream in (ACCEPTED, FACTS))
        try:
            await patiently("log", accepted.open)
            await patiently("log", facts.open)
            epoch = await patiently("log", lambda: read_epoch(self._bus))
            self._teller.position = Position(epoch, accepted.position or 0, 0, facts.position or 0)
            self._listening.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(ACCEPTED, accepted, self._teller.tell_accepted))
                group.create_task(self._follow(FACTS, facts, self._teller.tell_facts))
                group.create_task(self._refresh_places())
        finally:
            self._listening.clear()
            await accepted.close()
            await facts.close()

    @property
    def position(self) -> Position:
        """Everything up to here has been handed out."""
        return self._teller.position

    @property
    def pace_s(self) -> float:
        """See `Live.pace_s`."""
        return min(self._count * _PACE_S, _SLOWEST_PACE_S)

    async def subscribe(self, tenant: TenantId, wanted: StreamFilter, after: Position | None) -> "Listener":
        """See `Live.subscribe`."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._listening.wait()
        except TimeoutError:
            raise Unavailable("live streams cannot be heard at the moment") from None
        listener = Listener(self, Channel(tenant, wanted), self._most_waiting)
        if after is None or after == self.position:
            self.join(listener)
        else:
            listener.replay = await open_replay(self._bus, self._directory, listener.channel, after)
        return listener

    async def position_at(self, instant: datetime) -> Position:
        """See `Live.position_at`."""
        epoch = await read_epoch(self._bus)
        accepted, facts = [await sequence_at(self._bus, stream, instant) for stream in (ACCEPTED, FACTS)]
        return Position(epoch, accepted - 1, 0, facts - 1)

    # --- listeners ---------------------------------------------------------------------------------------------------

    def join(self, listener: "Listener") -> None:
        """From the next pack on it is told everything."""
        key = (listener.channel.tenant, listener.channel.filter)
        channel = self._channel_of.get(key)
        if channel is None:
            channel = self._channel_of[key] = listener.channel
            self._channels.add(channel)
            self._audiences[channel] = {}
        self._audiences[channel][listener] = None
        self._set_count(self._count + 1)

    def leave(self, listener: "Listener") -> None:
        """It is told nothing any more."""
        key = (listener.channel.tenant, listener.channel.filter)
        channel = self._channel_of.get(key)
        if channel is None or listener not in self._audiences[channel]:
            return
        del self._audiences[channel][listener]
        self._set_count(self._count - 1)
        if not self._audiences[channel]:
            del self._channel_of[key], self._audiences[channel]
            self._channels.remove(channel)

    def _set_count(self, count: int) -> None:
        self._count = count
        self._metrics.listeners.set(count)

    # --- what comes --------------------------------------------------------------------------------------------------

    async def _follow(self, stream: str, reader: Follower, tell: Callable[[Pack], Awaitable[Told]]) -> None:
        async for pack in reader.packs():
            if pack.gap:
                epoch = await patiently("log", lambda: read_epoch(self._bus))
                self._tell_gap(stream, pack, epoch)
            told = await patiently("database", lambda pack=pack: tell(pack))  # type: ignore[misc]  # mypy cannot infer the default
            self._hand_out(told)
            self._metrics.lag.labels(stream).set(max(time.to_millis(time.now()) - pack.stored_at, 0) / 1000)
            # Packs that are here already come without a pause: let others run in between.
            await asyncio.sleep(0)

    def _hand_out(self, told: Told) -> None:
        slow = []
        for channel, events in told.items():
            parcel = Parcel(events)
            self._metrics.events.inc(len(events))
            slow += [listener for listener in self._audiences[channel] if not listener.offer(parcel)]
        for listener in slow:
            self._metrics.cut.inc()
            self.leave(listener)

    def _tell_gap(self, stream: str, pack: Pack, epoch: str) -> None:
        """We were away for longer than the log keeps: all we can tell is that something is missing."""
        before = msgspec.structs.replace(self.position, epoch=epoch)
        if stream == ACCEPTED:
            before = msgspec.structs.replace(before, accepted=pack.sequence - 1)
        else:
            before = msgspec.structs.replace(before, facts=pack.sequence - 1, fact_index=0)
        self._teller.position = before
        self._directory.forget_all()
        self._hand_out({channel: [Event(Gap(time.from_millis(pack.stored_at)), before)] for channel in self._audiences})

    async def _refresh_places(self) -> None:
        # No fact says that a site was moved beneath another, or what else filters look at besides the device itself.
        while True:
            await asyncio.sleep(_PLACES_STAY_S)
            if self._channels.mind_places:
                self._directory.forget_all()


class Listener:
    """`streams.Subscription`: first a replay of the log, if it wants one, then what the hub hands out."""

    def __init__(self, hub: LiveHub, channel: Channel, most_waiting: int) -> None:
        self._hub = hub
        self._most_waiting = most_waiting
        self._queue: deque[Parcel] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._is_slow = False
        self._boundary: Position | None = None
        """While the replay ends: what comes behind this waits in the queue already."""
        self._told = hub.position
        self.channel = channel
        self.replay: Replay | None = None

    @property
    def position(self) -> Position:
        """See `Subscription.position`."""
        if self.replay is not None:
            return self.replay.position
        return self._told if self._queue or self._is_slow else self._hub.position

    def offer(self, parcel: Parcel) -> bool:
        """Take a parcel into the queue. False when it is full: nothing more shall come."""
        self._waiting += len(parcel.events)
        self._arrived.set()
        if self._waiting > self._most_waiting:
            self._is_slow = True
            self._queue.clear()
            return False
        self._queue.append(parcel)
        return True

    async def next(self, timeout_s: float) -> list[Parcel]:
        """See `Subscription.next`."""
        if self.replay is not None:
            return await self._next_of_replay(self.replay, timeout_s)
        if not self._queue and not self._is_slow:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        if self._is_slow:
            detail = f"more than {self._most_waiting} events were waiting; go on after the last event that came"
            raise TooSlow(detail)
        parcels = list(self._queue)
        self._queue.clear()
        self._waiting = 0
        self._told = self._hub.position
        return parcels

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._hub.leave(self)
        if self.replay is not None:
            await self.replay.close()

    async def _next_of_replay(self, replay: Replay, timeout_s: float) -> list[Parcel]:
        """Whoever is far behind reads the log alone, as fast as it likes. Near its end it joins the others: what they
        are told from then on waits while the rest is read.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while (left_s := until - loop.time()) > 0:
            if self._is_slow:
                # The end took too long, so the hub has let go of it again: no harm done, it is all in the log.
                self._is_slow, self._waiting, self._boundary = False, 0, None
            if self._boundary is None and self._is_near(replay):
                self._hub.join(self)
                self._boundary = self._hub.position
            events = await replay.next(self._boundary or self._hub.position, left_s)
            if events:
                return [Parcel(events)]
            if events is None and self._boundary is not None and not self._is_slow:
                self.replay, self._told = None, self._boundary
                await replay.close()
                return []
            await asyncio.sleep(0)
        return []

    def _is_near(self, replay: Replay) -> bool:
        return replay.distance(self._hub.position) <= _NEAR
