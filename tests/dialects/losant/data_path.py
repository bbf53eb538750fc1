"""The data path beside the routes: what is sent through the dialect is stored and projected as on a platform."""

from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio
from prometheus_client import CollectorRegistry

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.app.codecs import CODECS
from roadstead.bus import Bus
from roadstead.core.ports import Ports
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.db import Database
from roadstead.web.edge import Edge
from roadstead.workers.metrics import StoreMetrics
from roadstead.workers.store import StoreWorker
from tests.workers.conftest import running, state_projection


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest_asyncio.fixture
async def data_path(
    bus: Bus, system_database: Database, store: ClickHouseStore, ports: Ports
) -> AsyncIterator[ClickHouseStore]:
    """Store and projection at work; the store."""
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM projection")  # Another log may have been further.
    intake = Intake(DeviceCatalog(system_database), CODECS, blobs=ports.blobs)
    worker = StoreWorker(bus, system_database, store, intake, metrics=StoreMetrics(CollectorRegistry()))
    async with running(worker.run()), running(state_projection(bus, system_database).run()):
        yield store
