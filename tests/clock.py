"""A clock that goes when it is told to, for the platform and for its database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Self

import psycopg

from roadstead.db import Database, Duty, Tx
from roadstead.db.migrate import SCHEMA
from roadstead.kernel import time
from roadstead.kernel.ids import TenantId


class Clock:
    """Stands for `kernel.time.now`."""

    def __init__(self) -> None:
        self.at = time.now()

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> None:
        """So much later."""
        self.at += timedelta(seconds=seconds)


class ClockedDatabase(Database):
    """Connections whose statements find in `now()` what a clock says."""

    def __init__(self, url: str, duty: Duty, clock: Clock) -> None:
        super().__init__(url, duty, size=2)
        options = str(self._pool.kwargs["options"])  # type: ignore[index]
        path = f"search_path={SCHEMA}"
        assert path in options
        self._pool.kwargs["options"] = options.replace(path, f"search_path=clock,{SCHEMA},pg_catalog")  # type: ignore[index]
        self._url = url
        self._clock = clock

    async def open(self) -> Self:
        """See to it that the function is there."""
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(_NOW)
        return await super().open()

    @asynccontextmanager
    async def tx(self, tenant: TenantId | None = None) -> AsyncIterator[Tx]:
        """A transaction of this moment, a millisecond after the one before."""
        self._clock.pass_(0.001)
        async with super().tx(tenant) as tx:
            await tx.connection.execute("SELECT set_config('clock.now', %s, false)", [self._clock().isoformat()])
            yield tx


_NOW = """
    CREATE SCHEMA IF NOT EXISTS clock;
    GRANT USAGE ON SCHEMA clock TO PUBLIC;
    CREATE OR REPLACE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS $$ SELECT current_setting('clock.now')::timestamptz $$;
    CREATE OR REPLACE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS $$ SELECT current_setting('clock.now')::timestamptz $$
"""
