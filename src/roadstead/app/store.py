"""The store role: owns the embedded telemetry store, and takes in what devices send."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import prometheus_client
import structlog

from roadstead.adapters.chdb import ChdbEngine, EngineTransport
from roadstead.adapters.chdb.server import serve
from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.adapters.clickhouse.store import open_clickhouse
from roadstead.app.codecs import codecs_of
from roadstead.app.parts import open_parts
from roadstead.app.running import run_until_stopped
from roadstead.bus import ensure_streams, plan_streams
from roadstead.core import telemetry
from roadstead.settings import Settings
from roadstead.workers.forgetting import Forgetting
from roadstead.workers.metrics import StoreMetrics
from roadstead.workers.store import StoreWorker

log = structlog.get_logger()

_USER = "roadstead"


@asynccontextmanager
async def own_store(settings: Settings, listen: tuple[int, str] | None) -> AsyncIterator[ClickHouseStore]:
    """The telemetry store as the store role sees it.

    `listen` (port, password): the embedded one, in this process, offered to the other roles on loopback. None: the
    ClickHouse of the settings.
    """
    if listen is None:
        store = await open_clickhouse(settings.clickhouse_url)
        try:
            yield store
        finally:
            await store.close()
        return
    port, password = listen
    scratch = settings.data_dir / "scratch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    engine = ChdbEngine(settings.data_dir / "store")
    try:
        store = ClickHouseStore(EngineTransport(engine))
        await store.prepare()
        async with serve(engine, host="127.0.0.1", port=port, user=_USER, password=password, scratch=scratch):
            yield store
    finally:
        await engine.close()


class NotDurable(Exception):
    """The store can lose what it has acknowledged, and the settings do not say that this is wanted."""


async def run_store(
    settings: Settings, listen: tuple[int, str] | None, told: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Until told to stop. `ready` is called when the store answers; devices' messages wait in the log until then.

    Raises `NotDurable`.
    """
    async with own_store(settings, listen) as store, open_parts(settings, name="store", telemetry=store) as parts:
        await _check_durability(store, settings)
        await ensure_streams(parts.bus, plan_streams(), replicas=settings.nats_replicas)
        catalog = telemetry.DeviceCatalog(parts.system_database)
        forgetting = Forgetting(parts.bus, catalog)
        await forgetting.open()
        worker = StoreWorker(
            parts.bus,
            parts.system_database,
            store,
            telemetry.Intake(
                catalog,
                codecs_of(settings),
                blobs=parts.ports.blobs,
                strict_gateways=settings.lightelligence.strict_gateways,
            ),
            metrics=StoreMetrics(prometheus_client.REGISTRY),
        )
        ready()
        await run_until_stopped(told, worker.run(), forgetting.run())


async def _check_durability(store: ClickHouseStore, settings: Settings) -> None:
    tables = await store.weak_tables()
    if not tables:
        return
    text = f"not synced at every insert: {', '.join(tables)}; see 'roadstead doctor', or start with --unsafe"
    if not settings.unsafe:
        raise NotDurable(text)
    log.warning("acknowledged data may be lost", what="store", found=text)
