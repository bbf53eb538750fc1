"""A platform by whose clock time passes when a test says so."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from roadstead.db import Duty
from roadstead.kernel import time
from roadstead.web.edge import Edge
from tests.clock import Clock, ClockedDatabase


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands still until it is told to go."""
    made = Clock()
    monkeypatch.setattr(time, "now", made)
    return made


@pytest_asyncio.fixture
async def clocked(edge: Edge, clock: Clock, database_url: str) -> AsyncIterator[Edge]:
    """The platform by this clock."""
    databases = [await ClockedDatabase(database_url, duty, clock).open() for duty in (Duty.TENANT, Duty.SYSTEM)]
    yield msgspec.structs.replace(edge, tenant_database=databases[0], system_database=databases[1])
    for database in databases:
        await database.close()
