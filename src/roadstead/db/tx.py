"""A transaction: SQL in, structs out, and what must leave with the commit."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
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
    client_id: str | None


class Tx:
    """One database transaction of one tenant (or of none: then the tenant duty sees no row).

    It begins with the first statement that changes or locks something: what only reads sees what is committed at its
    moment all the same (READ COMMITTED), and needs no commit. Beginning, naming the tenant and the statement are one
    round trip; so are facts, audit lines and the commit.
    """

    def __init__(self, connection: AsyncConnection[TupleRow], tenant: TenantId | None) -> None:
        """The connection is one that commits each statement by itself."""
        self.connection = connection
        self.tenant = tenant
        self.audit: list[AuditLine] = []
        self._facts: list[tuple[TenantId, datetime, bytes]] = []
        self._later: list[tuple[str, Sequence[Any]]] = []
        self._begun = False

    async def run(self, sql: str, *params: Any) -> int:
        """Execute a statement; says how many rows it touched."""
        return (await self._change(sql, params)).rowcount

    def later(self, sql: str, *params: Any) -> None:
        """Execute a statement with the next one, or with the commit: for what changes rows and tells nothing of it."""
        self._later.append((sql, params))

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement once for each row, in one round trip."""
        await self._begin()
        await self._settle()
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
        return _structs(kind, _names(sql, cursor), await cursor.fetchall())

    async def keyed(self, kind: type[S], sql: str, *params: Any) -> tuple[list[Any], list[S]]:
        """The first column of all rows, and the rest of each as a struct."""
        cursor = await self._execute(sql, params)
        rows = await cursor.fetchall()
        return [row[0] for row in rows], _structs(kind, _names(sql, cursor), rows)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that is undone by itself, with its facts and audit lines, when something is raised in it."""
        await self._begin()
        await self._settle()
        facts, lines = len(self._facts), len(self.audit)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self._facts[facts:], self.audit[lines:], self._later[:]
            raise

    def emit(self, tenant: TenantId, at: datetime, fact: bytes) -> None:
        """A fact that leaves with the commit, through the outbox."""
        self._facts.append((tenant, at, fact))

    async def commit(self) -> None:
        """Write what is left, facts and audit lines and commit, in one round trip. Nothing happens when nothing was
        asked."""
        if not self._facts and not self.audit and not self._later:
            if self._begun:
                await self.connection.execute("COMMIT")
                self._begun = False
            return
        async with self.connection.pipeline():
            await self._queue_begin()
            await self._queue_later()
            await self._queue_told()
            await self.connection.execute("COMMIT")
            if self._facts:
                # Not within: whoever notifies holds up others who do until its own commit is on the disk.
                await self.connection.execute(_NOTIFY)
        self._facts, self.audit, self._begun = [], [], False

    async def _begin(self) -> None:
        if not self._begun:
            async with self.connection.pipeline():
                await self._queue_begin()

    async def _queue_begin(self) -> None:
        """Within a pipeline: it leaves with what follows."""
        if not self._begun:
            self._begun = True
            await self.connection.execute("BEGIN")
            await self._name_tenant()

    async def _queue_later(self) -> None:
        """Within a pipeline, as above."""
        waiting, self._later = self._later, []
        for sql, params in waiting:
            await self.connection.execute(sql, params or None)

    async def _queue_told(self) -> None:
        """Facts and audit lines. Together where there is one line, which is nearly always: each statement costs the
        driver about as much as what it does."""
        facts = self._facts
        lines = [_audit_row(line) for line in self.audit]
        insert, values = _facts_as_sql(facts)
        if facts and len(lines) == 1:
            await self.connection.execute(f"WITH told AS ({insert}) {_INSERT_AUDIT}", [*values, *lines[0]])
            return
        if facts:
            await self.connection.execute(insert, values)
        if lines:
            await self.connection.cursor().executemany(_INSERT_AUDIT, lines)

    async def _settle(self) -> None:
        """Execute what waits: whatever comes next may look at it."""
        if self._later:
            async with self.connection.pipeline():
                await self._queue_begin()
                await self._queue_later()

    async def _execute(self, sql: str, params: Sequence[Any]) -> AsyncCursor[TupleRow]:
        await self._settle()
        if self._begun or (self.tenant is None and _only_reads(sql)):
            return await self.connection.execute(sql, params or None)
        if not _only_reads(sql):
            return await self._change(sql, params)
        # What lies between two syncs of a pipeline is a transaction of its own.
        async with self.connection.pipeline():
            await self._name_tenant()
            return await self.connection.execute(sql, params or None)

    async def _change(self, sql: str, params: Sequence[Any]) -> AsyncCursor[TupleRow]:
        await self._settle()
        if self._begun:
            return await self.connection.execute(sql, params or None)
        async with self.connection.pipeline():
            await self._queue_begin()
            return await self.connection.execute(sql, params or None)

    async def _name_tenant(self) -> None:
        """Until the end of the transaction: whoever gets the connection next begins without a tenant."""
        if self.tenant is not None:
            await self.connection.execute(_NAME_TENANT, [str(self.tenant)])


_CHANGING = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|SHARE|nextval|setval|set_config|pg_\w*advisory\w*|pg_notify)\b")


@lru_cache(maxsize=4096)
def _only_reads(sql: str) -> bool:
    """Whether a statement can do without a transaction. When in doubt, not."""
    return sql.lstrip().startswith(("SELECT", "WITH")) and not _CHANGING.search(sql)


_known_names: dict[str, list[str]] = {}
_MOST_NAMES = 4096


def _names(sql: str, cursor: AsyncCursor[TupleRow]) -> list[str]:
    """Of the columns of a statement's result: asked for once, since the driver takes longer over it than over a row."""
    names = _known_names.get(sql)
    if names is None:
        if len(_known_names) >= _MOST_NAMES:
            _known_names.clear()
        names = _known_names[sql] = [column.name for column in cursor.description or ()]
    return names


def _structs(kind: type[S], names: Sequence[str], rows: Sequence[TupleRow]) -> list[S]:
    return [
        msgspec.convert(dict(zip(names, row, strict=True)), kind, builtin_types=_NATIVE, strict=False) for row in rows
    ]


def _audit_row(line: AuditLine) -> tuple[Any, ...]:
    return tuple((msgspec.structs.asdict(line) | {"changes": Jsonb(line.changes)}).values())


def _facts_as_sql(facts: Sequence[tuple[TenantId, datetime, bytes]]) -> tuple[str, list[Any]]:
    """Few as rows of values, many as arrays, which cost the driver and the server more than what is in them."""
    insert = "INSERT INTO outbox (tenant_id, at, fact)"
    if len(facts) > _FEW:
        columns = [list(column) for column in zip(*facts, strict=True)]
        return f"{insert} SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::bytea[])", columns
    return f"{insert} VALUES {', '.join(['(%s, %s, %s)'] * len(facts))}", [value for fact in facts for value in fact]


_FEW = 4
_NATIVE = (UUID, datetime, bytes, bytearray, memoryview)
_NAME_TENANT = "SELECT set_config('roadstead.tenant', %s, true)"
_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify('roadstead_outbox', '')"
_INSERT_AUDIT = """
    INSERT INTO audit_log (tenant_id, id, at, actor_type, actor_id, actor_name, action, resource_type, resource_id,
                           changes, request_id, address, client_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
