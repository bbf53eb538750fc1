"""Processes that die between any two steps, and what must not have changed for anybody else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from roadstead.db import Database, Tx
from roadstead.kernel.ids import TenantId

T = TypeVar("T")


class Crash(BaseException):
    """The process dies."""


class Mortal(Database):
    """A database whose client dies after so many steps: before a statement, before a commit, or right after one."""

    def __init__(self, inner: Database, steps: int) -> None:
        self._inner = inner
        self._left = steps

    def step(self) -> None:
        """One more, whatever it is; the last of them is not taken."""
        self._left -= 1
        if self._left < 0:
            raise Crash

    @asynccontextmanager
    async def tx(self, tenant: TenantId | None = None) -> AsyncIterator[Tx]:
        """A transaction, which dies with its client."""
        async with self._inner.tx(tenant) as tx:
            for name in ("_execute", "run", "many", "commit"):
                setattr(tx, name, self._counting(getattr(tx, name)))
            yield tx
        self.step()

    def _counting(self, deed: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any) -> Any:
            self.step()
            return await deed(*args)

        return counted


ALL_DONE = -1
"""Dies when everything is done, and nobody knows that it is."""


async def despite(death: int | None, database: Database, deed: Callable[[Database], Awaitable[T]]) -> tuple[T, bool]:
    """Do it. Who dies at it is begun anew and does it once more; says whether that was so."""
    if death is None:
        return await deed(database), False
    try:
        done = await deed(database if death == ALL_DONE else Mortal(database, death))
    except Crash:
        return await deed(database), True
    return (await deed(database), True) if death == ALL_DONE else (done, False)


async def rows_of(database: Database, tenant: TenantId) -> dict[str, str]:
    """All rows of an organization, boiled down, by table."""
    async with database.tx() as tx:
        tables = await tx.rows(
            """
            SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE c.relnamespace = 'roadstead'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            ORDER BY 1
            """
        )
        each = (
            f"SELECT '{name}', md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {name} t "
            f"WHERE tenant_id = {tenant}"
            for (name,) in tables
        )
        return dict(await tx.rows(" UNION ALL ".join(each)))
