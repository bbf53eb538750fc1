"""The data path beside the routes: what is written through the dialect is stored and projected as on a platform."""

from collections.abc import AsyncIterator

import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.bus import Bus
from roadstead.db import Database
from tests.workers.conftest import running, state_projection, store_worker


@pytest_asyncio.fixture
async def data_path(bus: Bus, system_database: Database, store: ClickHouseStore) -> AsyncIterator[ClickHouseStore]:
    """Store and projection at work; the store."""
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM projection")  # Another log may have been further.
    async with (
        running(store_worker(bus, system_database, store).run()),
        running(state_projection(bus, system_database).run()),
    ):
        yield store
