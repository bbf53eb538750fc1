"""The worker role: everything that runs by itself beside the data path."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import prometheus_client

from roadstead.app.parts import Parts
from roadstead.app.running import run_until_stopped
from roadstead.bus import Publisher, ensure_streams, plan_streams
from roadstead.workers.connections import GatewayWatch
from roadstead.workers.housekeeping import Housekeeping
from roadstead.workers.lag import LagMetrics, LagWatch
from roadstead.workers.metrics import StateMetrics
from roadstead.workers.outbox import OutboxRelay
from roadstead.workers.purge import run_purge
from roadstead.workers.signing_keys import run_key_rotation
from roadstead.workers.state import StateProjection


async def run_worker(parts: Parts, told: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until told to stop. Whatever is cut off is taken up again at the next start."""
    async with AsyncExitStack() as exits:
        await ensure_streams(parts.bus, plan_streams())
        publisher = Publisher(parts.bus)
        await publisher.start()
        exits.push_async_callback(publisher.close)
        ready()
        await run_until_stopped(
            told,
            OutboxRelay(parts.system_database, parts.settings.database_url, publisher).run(),
            Housekeeping(parts.system_database, parts.ports.telemetry).run(),
            StateProjection(parts.bus, parts.system_database, metrics=StateMetrics(prometheus_client.REGISTRY)).run(),
            GatewayWatch(parts.system_database).run(),
            LagWatch(parts.bus, parts.system_database, metrics=LagMetrics(prometheus_client.REGISTRY)).run(),
            run_purge(parts.system_database, parts.bus, parts.ports.telemetry),
            run_key_rotation(parts.system_database, parts.ports),
        )
