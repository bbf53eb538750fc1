"""A platform with a telemetry store, a worker, and a pump that has reported."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.web.edge import Edge
from roadstead.workers.exports import ExportWorker
from tests.conftest import Tenant
from tests.dialects.native.exports.exporting import AFTER, BEFORE, NOON, Fleet, add_fleet, report


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest.fixture
def worker(edge: Edge, tmp_path: Path) -> ExportWorker:
    """A worker with an empty scratch folder; it works when it is told to."""
    return ExportWorker(edge.system_database, edge.ports, tmp_path, look_every_s=0.01, renew_every_s=0.01)


@pytest_asyncio.fixture
async def fleet(acme: Tenant) -> AsyncIterator[Fleet]:
    """Its pump has reported a little, before, within and after the month that is exported."""
    fleet = await add_fleet(acme)
    minute = timedelta(minutes=1)
    await report(acme, fleet["pump"], "temperature", (BEFORE, 1.0), (NOON, 21.5), (NOON + minute, 22.0), (AFTER, 2.0))
    await report(acme, fleet["pump"], "motor/rpm", (NOON, 900.25), meta='{"quality":"good"}')
    await report(acme, fleet["pump"], "motor/starts", (NOON, 2**60 + 1), (NOON + 2 * minute, 4))
    yield fleet
