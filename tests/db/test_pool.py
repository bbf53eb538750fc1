"""Connections: one that broke while nobody used it is nobody's problem."""

import asyncio

import psycopg

from roadstead.db import Database, Duty
from roadstead.kernel.errors import Unavailable


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


async def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(system_database: Database) -> None:
    async def lock(first: int, second: int, met: asyncio.Barrier) -> None:
        async with system_database.tx() as tx:
            await tx.run("SELECT pg_advisory_xact_lock(%s, 4711)", first)
            await met.wait()
            await tx.run("SELECT pg_advisory_xact_lock(%s, 4711)", second)

    met = asyncio.Barrier(2)
    outcomes = await asyncio.gather(lock(1, 2, met), lock(2, 1, met), return_exceptions=True)
    [refused] = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(refused, Unavailable), refused
    assert (str(refused), refused.retry_after_s) == ("something else was changing the same; try again", 1)
