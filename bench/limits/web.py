"""The least a web framework can do: one route, one SELECT by primary key, no tenant, no rights.

`python -m bench.limits.web` with the database's URL in `BENCH_DATABASE_URL`, the tenant's number in
`BENCH_TENANT`.
"""

import asyncio
import os
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import uvloop
from litestar import Litestar, get
from litestar.datastructures import State
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from roadstead.gateways.http import HttpServer


class DeviceRow(msgspec.Struct):
    """What is shown of a device."""

    id: UUID
    name: str
    status: str
    online: bool
    tags: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int


@get("/devices/{device_id:str}")
async def get_device(state: State, device_id: str) -> DeviceRow:
    """One row."""
    async with state.pool.connection() as connection:
        cursor = connection.cursor(row_factory=class_row(DeviceRow))
        await cursor.execute(
            "SELECT id, name, status, online, tags, metadata, created_at, updated_at, version "
            "FROM roadstead.device WHERE tenant_id = %s AND id = %s",
            [state.tenant, device_id],
        )
        row = await cursor.fetchone()
    assert isinstance(row, DeviceRow)
    return row


async def run() -> None:
    """Print the port and serve until killed."""
    pool = AsyncConnectionPool(
        os.environ["BENCH_DATABASE_URL"], min_size=8, max_size=16, open=False, kwargs={"autocommit": True}
    )
    await pool.open(wait=True)
    app = Litestar(
        [get_device],
        openapi_config=None,
        logging_config=None,
        state=State({"pool": pool, "tenant": int(os.environ["BENCH_TENANT"])}),
    )
    print(await HttpServer(app).start("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run())
