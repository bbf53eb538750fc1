"""How far those who read the logs are behind: what waits, and for how long."""

import asyncio
from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry, Gauge

from roadstead.bus import ACCEPTED, CONTROL, FACTS, UPLINK, Bus, StreamState, stream_state, waiting_since
from roadstead.core import telemetry
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Unavailable
from roadstead.workers.rule_evaluation import PROJECTION as RULES
from roadstead.workers.state import PROJECTION

log = structlog.get_logger()

_EVERY_S = 5.0


class LagMetrics:
    """Gauges of what waits, registered with `registry`. Every worker process measures the same: take the maximum."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stream_messages = Gauge(
            "roadstead_stream_messages", "Messages (packs) that a stream holds", ["stream"], registry=registry
        )
        self.stream_bytes = Gauge("roadstead_stream_bytes", "Bytes that a stream holds", ["stream"], registry=registry)
        self.messages = Gauge(
            "roadstead_lag_messages", "Messages (packs, facts) that a reader has not worked off", ["reader"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Gauge(
            "roadstead_lag_seconds", "Age of the oldest message that a reader has not worked off", ["reader"],
            registry=registry,
        )  # fmt: skip

    def set(self, reader: str, messages: int, seconds: float) -> None:
        """What one reader has before it."""
        self.messages.labels(reader).set(messages)
        self.seconds.labels(reader).set(max(seconds, 0.0))


class LagWatch:
    """Looks every five seconds.

    Readers: `store` of UPLINK, `control` of CONTROL, `state` and `rules` of ACCEPTED, `outbox` of facts in PostgreSQL.
    """

    def __init__(self, bus: Bus, database: Database, *, metrics: LagMetrics) -> None:
        self._bus = bus
        self._database = database
        self._metrics = metrics

    async def run(self) -> None:
        """Until cancelled. While a server is away the gauges stay as they were."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                log.warning("lag is not measured", reason=str(error))
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Once."""
        states = {stream: await stream_state(self._bus, stream) for stream in (UPLINK, CONTROL, ACCEPTED, FACTS)}
        for stream, state in states.items():
            self._metrics.stream_messages.labels(stream).set(state.messages)
            self._metrics.stream_bytes.labels(stream).set(state.size_bytes)
        async with self._database.tx() as tx:
            position = await telemetry.select_position(tx, PROJECTION)
            evaluated = await telemetry.select_position(tx, RULES)
            facts = await tx.rows("SELECT count(*), extract(epoch FROM now() - min(at)) FROM outbox")
        for count, oldest_s in facts:
            self._metrics.set("outbox", count, float(oldest_s or 0.0))
        await self._measure("store", UPLINK, states, 0)
        await self._measure("control", CONTROL, states, 0)
        await self._measure("state", ACCEPTED, states, position)
        await self._measure("rules", ACCEPTED, states, evaluated)

    async def _measure(self, reader: str, stream: str, states: Mapping[str, StreamState], position: int) -> None:
        messages = states[stream].waiting_after(position)
        since = await waiting_since(self._bus, stream, position=position) if messages else None
        self._metrics.set(reader, messages, (time.now() - since).total_seconds() if since else 0.0)
