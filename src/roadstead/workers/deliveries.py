"""Sends notifications: what is due, fairly, and so that a dead receiver slows nobody else."""

import asyncio
import contextlib
import time as clock
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial

import psycopg
import structlog

from roadstead.core import notify
from roadstead.core.notify import Outcome, Parcel, Waiting
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import TenantId
from roadstead.kernel.waiting import happens
from roadstead.workers.metrics import DeliveryMetrics
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_LOOK_ANYWAY_S = 1.0
_LOOK_AT_MOST_EVERY_S = 0.05
_ATTEMPT_S = 60.0
"""However slowly somebody answers: half of a lease."""
_TURN_S = 2.0
"""How long one channel sends one message after the other before it waits for its turn again."""
_DATABASE_AT_A_TIME = 4
_GOODBYE_S = 5.0


class DeliverySender:
    """Leases what is due, sends it, writes down what came of it. Several may run side by side.

    A lease is committed before anything is sent, and the outcome after: who dies in between gives the lease back by
    time, and the message goes out once more, under the same id.

    Each type of channel has places of its own, `at_a_time` of them. One tenant gets half of them at most. Channels
    whose last message failed get one each, half of all and half of their tenant's; the others up to four each. Tenants
    are served in turn, and whoever waits gets one place before somebody gets a second one.
    """

    def __init__(
        self, database: Database, database_url: str, ports: Ports, *, at_a_time: int, metrics: DeliveryMetrics
    ) -> None:
        self._database = database
        self._url = database_url
        self._ports = ports
        self._metrics = metrics
        self._news = asyncio.Event()
        self._places = _Places(at_a_time)
        self._tasks: set[asyncio.Task[None]] = set()
        self._database_places = asyncio.Semaphore(_DATABASE_AT_A_TIME)

    async def run(self) -> None:
        """Until cancelled; what is on its way then gets a few seconds. A database that is away is waited for."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    await self._start()
                except Unavailable as error:
                    log.warning("notifications wait", reason=str(error))
                await asyncio.sleep(_LOOK_AT_MOST_EVERY_S)
                await happens(self._news, _LOOK_ANYWAY_S)
                self._news.clear()
        finally:
            listener.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_GOODBYE_S)
            for task in self._tasks:
                task.cancel()

    async def _start(self) -> None:
        async with self._database.tx() as tx:
            waiting = await notify.list_waiting(tx)
        for channel in self._places.choose(waiting):
            task = asyncio.create_task(self._take_turn(channel), name=f"notification channel {channel.channel_id}")
            self._tasks.add(task)
            task.add_done_callback(partial(self._end_turn, channel))

    def _end_turn(self, channel: Waiting, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.leave(channel)
        self._news.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("sending failed", channel=str(channel.channel_id), exc_info=task.exception())

    async def _take_turn(self, channel: Waiting) -> None:
        until = clock.monotonic() + _TURN_S
        while clock.monotonic() < until:
            try:
                async with self._database_places, self._database.tx() as tx:
                    parcel = await notify.claim_parcel(tx, channel, time.now())
            except Unavailable as error:
                log.warning("notifications wait", reason=str(error))
                return
            if parcel is None:
                return
            outcome = await self._send(parcel)
            await patiently("database", partial(self._settle, parcel, outcome))
            if not outcome.sent:
                return

    async def _send(self, parcel: Parcel) -> Outcome:
        began = clock.monotonic()
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                outcome = await notify.send(self._ports, parcel, time.now())
        except TimeoutError:
            outcome = Outcome(sent=False, error=f"no answer within {_ATTEMPT_S:g} s")
        except Exception as error:
            # A defect of ours, or a master key that is gone: it must not stop what others wait for.
            log.error("a notification could not be put together", parcel=str(parcel.id), exc_info=error)
            outcome = Outcome(sent=False, error="could not be put together; the log of the platform says why")
        self._metrics.duration.labels(parcel.channel.type).observe(clock.monotonic() - began)
        return outcome

    async def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        async with self._database_places, self._database.tx() as tx:
            status = await notify.settle_parcel(tx, parcel, outcome, time.now())
        self._metrics.attempts.labels(parcel.channel.type, status).inc()

    async def _listen(self) -> None:
        # A dropped connection costs a second at most: we look anyway.
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {notify.WAKE_UP}")
                    self._news.set()  # what came before nobody told us
                    async for _ in connection.notifies():
                        self._news.set()
            await asyncio.sleep(_LOOK_ANYWAY_S)


class _Places:
    """Who is sending."""

    def __init__(self, at_a_time: int) -> None:
        self._most = at_a_time
        self._taken: Counter[tuple[object, ...]] = Counter()

    def choose(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Who begins now; each has taken a place. Tenants in turn, those with fewest places first."""
        queues: dict[TenantId, deque[Waiting]] = {}
        for place in range(max((channel.ready for channel in waiting), default=0)):
            for channel in waiting:
                if place < channel.ready:
                    queues.setdefault(channel.tenant_id, deque()).append(channel)
        chosen = []
        order = deque(sorted(queues, key=lambda tenant: self._taken[tenant,]))
        while order:
            tenant = order.popleft()
            while queues[tenant]:
                channel = queues[tenant].popleft()
                if self._has_room(channel):
                    self._count(channel, 1)
                    chosen.append(channel)
                    order.append(tenant)
                    break
        return chosen

    def leave(self, channel: Waiting) -> None:
        """Its place is free again."""
        self._count(channel, -1)

    def _has_room(self, channel: Waiting) -> bool:
        return all(self._taken[key] < most for key, most in self._limits(channel))

    def _limits(self, channel: Waiting) -> list[tuple[tuple[object, ...], int]]:
        """Whose places count for a channel, and how many there are of each."""
        type_, tenant = channel.type, channel.tenant_id
        limits: list[tuple[tuple[object, ...], int]] = [
            ((type_,), self._most),
            ((type_, tenant), self._most // 2),
            ((channel.channel_id,), 1 if channel.failing else notify.MOST_AT_A_TIME),
        ]
        if channel.failing:
            limits += [((type_, "failing"), self._most // 2), ((type_, tenant, "failing"), self._most // 4)]
        return limits

    def _count(self, channel: Waiting, number: int) -> None:
        for key in [(channel.tenant_id,), *(key for key, _ in self._limits(channel))]:
            self._taken[key] += number
            if not self._taken[key]:
                del self._taken[key]
