"""Keys that sign tokens are changed by themselves."""

import asyncio

import pytest

from roadstead.core import identity
from roadstead.db import Database
from roadstead.workers.signing_keys import run_key_rotation
from tests.conftest import Tenant
from tests.people import add_person, authenticate, entry, sign_in


@pytest.mark.parametrize("table", ["signing_key", "realm_key"])
async def test_an_old_key_gets_a_successor_and_open_sessions_go_on(
    acme: Tenant, system_database: Database, table: str
) -> None:
    session = await sign_in(acme, await add_person(acme))
    async with entry(acme.edge) as door:
        await identity.list_realm_keys(door)
    async with system_database.tx() as tx:
        await tx.run(
            f"""
            UPDATE {table}
            SET created_at = created_at - interval '91 days', signs_from = signs_from - interval '2 hours'
            """
        )

    task = asyncio.create_task(run_key_rotation(system_database, acme.edge.ports))
    try:
        async with asyncio.timeout(10):
            while True:
                async with system_database.tx() as tx:
                    if await tx.value(f"SELECT EXISTS (SELECT FROM {table} WHERE signs_from > now())"):
                        break
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
    await authenticate(acme.edge, session.access_token)
