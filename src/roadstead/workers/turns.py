"""Work that only one of several processes may do at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog

log = structlog.get_logger()

_PAUSE_S = 1.0
_ALIVE_S = 2.0


class Turn:
    """Belongs to whoever holds an advisory lock of PostgreSQL; goes to another when the holder or its connection dies.

    For a moment after a lost connection two may think that it is theirs: what is done in turn must bear that.
    """

    def __init__(self, database_url: str, name: str) -> None:
        self._url = database_url
        self._name = name

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[asyncio.Event]:
        """Wait for the turn and keep it; the event is set when it is lost. A database that is away is waited for."""
        connection = await self._take()
        lost = asyncio.Event()
        watching = asyncio.create_task(self._watch(connection, lost), name=f"turn {self._name}")
        try:
            yield lost
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await connection.close()

    async def _take(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
                try:
                    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [self._key()])
                    row = await cursor.fetchone()
                    if row is not None and row[0]:
                        return connection
                except BaseException:
                    await connection.close()
                    raise
                await connection.close()
            await asyncio.sleep(_PAUSE_S)

    async def _watch(self, connection: psycopg.AsyncConnection[tuple[object, ...]], lost: asyncio.Event) -> None:
        try:
            while True:
                await asyncio.sleep(_ALIVE_S)
                await connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            log.warning("turn lost", work=self._name, reason=str(error))
            lost.set()

    def _key(self) -> str:
        return f"roadstead {self._name}"
