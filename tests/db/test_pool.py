"""Connections: one that broke while nobody used it is nobody's problem."""

import psycopg

from roadstead.db import Database, Duty


async def test_a_connection_that_the_server_has_closed_is_replaced_before_it_is_used(database_url: str) -> None:
    database = await Database(database_url, Duty.SYSTEM, size=3).open()
    try:
        async with database.tx() as one, database.tx() as two, database.tx() as three:
            pids = [await tx.value("SELECT pg_backend_pid()") for tx in (one, two, three)]
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::integer[]) AS p (pid)", [pids])
        for _ in range(3):
            async with database.tx() as tx:
                assert await tx.value("SELECT pg_backend_pid()") not in pids
    finally:
        await database.close()
