"""Keys that sign session tokens are changed by themselves."""

import asyncio

from roadstead.db import Database
from roadstead.workers.signing_keys import run_key_rotation
from tests.conftest import Tenant
from tests.people import add_person, authenticate, sign_in


async def test_an_old_key_gets_a_successor_and_open_sessions_go_on(acme: Tenant, system_database: Database) -> None:
    session = await sign_in(acme, await add_person(acme))
    async with system_database.tx() as tx:
        await tx.run(
            """
            UPDATE signing_key
            SET created_at = created_at - interval '91 days', signs_from = signs_from - interval '2 hours'
            """
        )

    task = asyncio.create_task(run_key_rotation(system_database, acme.edge.ports))
    try:
        async with asyncio.timeout(10):
            while True:
                async with system_database.tx() as tx:
                    if await tx.value("SELECT EXISTS (SELECT FROM signing_key WHERE signs_from > now())"):
                        break
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
    await authenticate(acme.edge, session.access_token)
