"""A transaction: SQL in, structs out, and what must leave with the commit."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from roadstead.kernel.ids import TenantId

S = TypeVar("S", bound=msgspec.Struct)


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to what, when and from where."""

    tenant_id: TenantId
    id: UUID
    at: datetime
    actor_type: str
    actor_id: UUID
    actor_name: str
    action: str
    resource_type: str
    resource_id: str | None
    changes: list[dict[str, Any]]
    request_id: str
    address: str


class Tx:
    """One database transaction of one tenant (or of none: then the tenant duty sees no row).

    The tenant is named in the same round trip as the first statement. Facts and audit lines are written in the same
    round trip as the commit.
    """

    def __init__(self, connection: AsyncConnection[TupleRow], tenant: TenantId | None) -> None:
        self.connection = connection
        self.tenant = tenant
        self.audit: list[AuditLine] = []
        self._facts: list[tuple[TenantId, datetime, bytes]] = []
        self._begun = False

    async def run(self, sql: str, *params: Any) -> int:
        """Execute a statement; says how many rows it touched."""
        return (await self._execute(sql, params)).rowcount

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement once for each row, in one round trip."""
        await self._begin()
        async with self.connection.cursor() as cursor:
            await cursor.executemany(sql, rows)

    async def row(self, sql: str, *params: Any) -> TupleRow | None:
        """The first row, or None."""
        return await (await self._execute(sql, params)).fetchone()

    async def rows(self, sql: str, *params: Any) -> list[TupleRow]:
        """All rows."""
        return await (await self._execute(sql, params)).fetchall()

    async def value(self, sql: str, *params: Any) -> Any:
        """The first column of the first row, or None."""
        row = await self.row(sql, *params)
        return None if row is None else row[0]

    async def one(self, kind: type[S], sql: str, *params: Any) -> S | None:
        """The first row as a struct whose fields are named like the columns, or None."""
        found = await self.all(kind, sql, *params)
        return found[0] if found else None

    async def all(self, kind: type[S], sql: str, *params: Any) -> list[S]:
        """All rows as structs whose fields are named like the columns; enums and nested structs are converted."""
        cursor = await self._execute(sql, params)
        return _structs(kind, cursor, await cursor.fetchall())

    async def keyed(self, kind: type[S], sql: str, *params: Any) -> tuple[list[Any], list[S]]:
        """The first column of all rows, and the rest of each as a struct."""
        cursor = await self._execute(sql, params)
        rows = await cursor.fetchall()
        return [row[0] for row in rows], _structs(kind, cursor, rows)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that is undone by itself, with its facts and audit lines, when something is raised in it."""
        await self._begin()
        facts, lines = len(self._facts), len(self.audit)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self._facts[facts:], self.audit[lines:]
            raise

    def emit(self, tenant: TenantId, at: datetime, fact: bytes) -> None:
        """A fact that leaves with the commit, through the outbox."""
        self._facts.append((tenant, at, fact))

    async def commit(self) -> None:
        """Write facts and audit lines and commit, in one round trip. Nothing happens when nothing was asked."""
        if not self._begun and not self._facts and not self.audit:
            return
        await self._begin()
        async with self.connection.pipeline():
            if self._facts:
                await self.connection.cursor().executemany(_INSERT_FACT, self._facts)
                await self.connection.execute("SELECT pg_notify('roadstead_outbox', '')")
            if self.audit:
                await self.connection.cursor().executemany(_INSERT_AUDIT, [_audit_row(line) for line in self.audit])
            await self.connection.execute("COMMIT")
        self._facts, self.audit, self._begun = [], [], False

    async def _begin(self) -> None:
        if not self._begun:
            await self.connection.execute(_NAME_TENANT, [self._tenant_text()])
            self._begun = True

    async def _execute(self, sql: str, params: Sequence[Any]) -> AsyncCursor[TupleRow]:
        if self._begun:
            return await self.connection.execute(sql, params or None)
        self._begun = True
        async with self.connection.pipeline():
            await self.connection.execute(_NAME_TENANT, [self._tenant_text()])
            return await self.connection.execute(sql, params or None)

    def _tenant_text(self) -> str:
        return "" if self.tenant is None else str(self.tenant)


def _structs(kind: type[S], cursor: AsyncCursor[TupleRow], rows: Sequence[TupleRow]) -> list[S]:
    names = [column.name for column in cursor.description or ()]
    return [
        msgspec.convert(dict(zip(names, row, strict=True)), kind, builtin_types=_NATIVE, strict=False) for row in rows
    ]


def _audit_row(line: AuditLine) -> tuple[Any, ...]:
    return tuple((msgspec.structs.asdict(line) | {"changes": Jsonb(line.changes)}).values())


_NATIVE = (UUID, datetime, bytes, bytearray, memoryview)
_NAME_TENANT = "SELECT set_config('roadstead.tenant', %s, true)"
_INSERT_FACT = "INSERT INTO outbox (tenant_id, at, fact) VALUES (%s, %s, %s)"
_INSERT_AUDIT = """
    INSERT INTO audit_log (tenant_id, id, at, actor_type, actor_id, actor_name, action, resource_type, resource_id,
                           changes, request_id, address)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
