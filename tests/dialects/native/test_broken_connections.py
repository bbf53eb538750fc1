"""What callers are told when a connection to the database breaks under their request."""

import asyncio
from typing import Any

import psycopg
import pytest

from roadstead.core.registry import device_store
from roadstead.db import Tx
from tests.conftest import Tenant

CUT = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'roadstead_tenant'"
LEFT = "SELECT 1 FROM pg_stat_activity WHERE pid = ANY (%s)"


async def test_connections_that_were_cut_between_requests_cost_none_of_them(acme: Tenant, database_url: str) -> None:
    assert (await acme.api.get("/api/v1/devices")).status_code == 200
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        cut = [pid for pid, _ in await (await connection.execute(CUT)).fetchall()]
        async with asyncio.timeout(10):  # Who is told to end does so in a moment.
            while await (await connection.execute(LEFT, [cut])).fetchone():
                await asyncio.sleep(0.01)

    assert (await acme.api.get("/api/v1/devices")).status_code == 200


async def test_a_connection_that_breaks_in_a_route_is_503_and_the_next_request_works(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_devices = device_store.list_devices

    async def cut_and_list(tx: Tx, *arguments: Any) -> Any:
        await tx.run("SELECT 1")
        tx.connection.pgconn.finish()
        return await list_devices(tx, *arguments)

    monkeypatch.setattr(device_store, "list_devices", cut_and_list)
    answer = await acme.api.get("/api/v1/devices")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1

    monkeypatch.undo()
    assert (await acme.api.get("/api/v1/devices")).status_code == 200
