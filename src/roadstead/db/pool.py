"""Connections to PostgreSQL, pooled by duty."""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Self

import msgspec
import psycopg
import structlog
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from roadstead.db.connection import Connection
from roadstead.db.migrate import SCHEMA
from roadstead.db.tx import Tx
from roadstead.kernel.errors import Conflict, Invalid, Unavailable
from roadstead.kernel.ids import TenantId

log = structlog.get_logger()

set_json_dumps(msgspec.json.encode)
set_json_loads(msgspec.json.decode)


_NUL = "NUL (0x00)"
"""In what the driver says of text that PostgreSQL does not have."""
_PATIENCE_S = 5.0
"""For a connection. Also how long the pool tries to get one by itself, at ever longer intervals: who comes later asks
anew, so that a database that is back is noticed at once."""


class Duty(StrEnum):
    """Which rows a connection may see."""

    TENANT = "roadstead_tenant"
    """Those of the tenant its transaction names, and none without one."""
    SYSTEM = "roadstead_system"
    """All: doors that have yet to learn whose credential they hold, and workers."""


_PLANS = {
    # Filters and pages of all kinds: what is sent decides which way is the best.
    Duty.TENANT: "auto",
    # Rows by their keys, few or many: PostgreSQL would plan anew each time, hoping for a better way to few.
    Duty.SYSTEM: "force_generic_plan",
}


class Database:
    """One pool of connections that all have one duty."""

    def __init__(self, url: str, duty: Duty, *, size: int = 8, statement_timeout_s: float = 15) -> None:
        self._pool = AsyncConnectionPool(
            url,
            connection_class=Connection,
            min_size=1,
            max_size=size,
            open=False,
            timeout=_PATIENCE_S,
            reconnect_timeout=_PATIENCE_S,
            # Its own check pauses for seconds after each connection that fails it, as they all do after a restart.
            check=None,
            kwargs={
                "autocommit": True,
                "connect_timeout": int(_PATIENCE_S),
                "options": f"-c role={duty} -c search_path={SCHEMA} "
                f"-c statement_timeout={int(statement_timeout_s * 1000)} -c plan_cache_mode={_PLANS[duty]} "
                "-c idle_in_transaction_session_timeout=60000 -c timezone=UTC -c jit=off",
                "application_name": duty.value,
            },
        )

    async def open(self) -> Self:
        """Start connecting; does not wait for the server to be there."""
        await self._pool.open(wait=False)
        return self

    async def close(self) -> None:
        """Let go of all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def tx(self, tenant: TenantId | None = None) -> AsyncIterator[Tx]:
        """A transaction that commits at the end and rolls back when something is raised.

        Raises `Unavailable` when the database cannot be reached; whether a commit that was cut off took effect is then
        unknown. The same when it and another transaction wait for each other, which nothing but the order in which rows
        are locked can prevent. Raises `Conflict` when something that rows refer to was deleted after it was looked at.
        Raises `Invalid` for a regular expression that is none, which only PostgreSQL can tell, and for text with a zero
        byte that nobody has found before.
        """
        try:
            async with self._connection() as connection:
                tx = Tx(connection, tenant)
                yield tx
                await tx.commit()
        except psycopg.errors.InvalidRegularExpression as error:
            raise Invalid(f"not a regular expression: {error.diag.message_primary}") from error
        except psycopg.errors.ForeignKeyViolation as error:
            log.info("what a row refers to is gone", constraint=error.diag.constraint_name)
            raise Conflict("something that this refers to has been deleted meanwhile") from error
        except psycopg.DataError as error:
            if isinstance(error, psycopg.errors.UntranslatableCharacter) or _NUL in str(error):
                raise Invalid("text must not contain a zero byte") from error
            raise
        except (psycopg.OperationalError, PoolTimeout) as error:
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise Unavailable("the database took too long over this; ask for less") from error
            if isinstance(error, psycopg.errors.DiskFull):
                raise Unavailable("the database has no room on its disk") from error
            if isinstance(error, psycopg.errors.DeadlockDetected):
                log.warning("transactions waited for each other", detail=error.diag.message_detail)
                raise Unavailable("something else was changing the same; try again", retry_after_s=1) from error
            raise Unavailable("the database cannot be reached") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """One that works, or did a microsecond ago: those that a restart of the server has broken are thrown away.

        What was begun and not committed is rolled back when something is raised.
        """
        while True:
            connection = await self._pool.getconn()
            try:
                if not await _is_closed(connection):
                    try:
                        yield connection
                    except BaseException as error:
                        await connection.__aexit__(type(error), error, None)
                        raise
                    return
                await connection.close()
            finally:
                await self._pool.putconn(connection)

    async def ready(self) -> None:
        """Raises `Unavailable` when the database does not answer."""
        async with self.tx() as tx:
            await tx.value("SELECT 1")


async def _is_closed(connection: Connection) -> bool:
    """Whether the server has closed a connection while nobody used it.

    An idle connection has nothing to read but the server's farewell, or its end. Looking costs a microsecond; only when
    there is something is a question asked.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return False
    try:
        await AsyncConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        return True
    return False
