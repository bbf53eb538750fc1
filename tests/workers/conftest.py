"""The data path put together: a log of its own for each test, the shared database, one store process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.app.codecs import CODECS
from roadstead.bus import Bus, Publisher
from roadstead.core.messages import Uplink
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.db import Database
from roadstead.kernel.ids import new_id
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import StateMetrics, StoreMetrics
from roadstead.workers.state import StateProjection
from roadstead.workers.store import StoreWorker
from tests.adapters.conftest import StoreProcess
from tests.bus.conftest import NatsServer, connected

_encode = msgspec.msgpack.Encoder().encode


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """NATS with an empty store, for one test alone."""
    server = NatsServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture
async def own_bus(server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to it."""
    async with connected(server) as bus:
        yield bus


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def store_process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreProcess]:
    """The embedded store."""
    started = await StoreProcess.start(tmp_path_factory.mktemp("store"))
    yield started
    await started.kill()


@pytest_asyncio.fixture
async def telemetry(store_process: StoreProcess) -> AsyncIterator[ClickHouseStore]:
    """A connection to it."""
    store = ClickHouseStore(store_process.transport())
    await store.prepare()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def forgotten(system_database: Database) -> None:
    """No projection has been anywhere: the log is a new one."""
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM projection")


class Log:
    """Puts uplinks on the log as a gateway does."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def put(self, *uplinks: Uplink) -> None:
        """As one pack, acknowledged."""
        await self.put_raw(_encode(list(uplinks)))

    async def put_raw(self, payload: bytes) -> None:
        """Any pack."""
        publisher = Publisher(self.bus)
        await publisher.start()
        await publisher.put("uplink.0", payload, message_id=str(new_id()))
        await publisher.close()


@pytest_asyncio.fixture
async def log(own_bus: Bus) -> Log:
    """Where gateways put what devices say."""
    return Log(own_bus)


@asynccontextmanager
async def running(job: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """A worker beside the test; what it raises, the test raises."""
    task = asyncio.create_task(job)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def store_worker(
    bus: Bus, database: Database, telemetry: ClickHouseStore, catalog: DeviceCatalog | None = None
) -> StoreWorker:
    """A store worker with the native codec."""
    intake = Intake(catalog or DeviceCatalog(database), CODECS)
    return StoreWorker(bus, database, telemetry, intake, metrics=StoreMetrics(CollectorRegistry()))


def state_projection(bus: Bus, database: Database) -> StateProjection:
    """The projection of device states."""
    return StateProjection(bus, database, AcceptedPacks(), metrics=StateMetrics(CollectorRegistry()))
