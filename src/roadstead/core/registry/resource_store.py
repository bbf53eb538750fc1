"""The SQL of documents beside devices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId

S = TypeVar("S", bound=msgspec.Struct)

_COLUMNS = "path, type, data, created_at, updated_at"
_BELOW = "tenant_id = %s AND device_id = %s AND path[1:%s] = %s::text[] AND cardinality(path) > %s"


async def select_resource(tx: Tx, kind: type[S], device_id: DeviceId, path: Sequence[str]) -> S | None:
    """One document."""
    sql = f"SELECT {_COLUMNS} FROM device_resource WHERE tenant_id = %s AND device_id = %s AND path = %s::text[]"
    return await tx.one(kind, sql, tx.tenant, device_id, list(path))


async def select_below(
    tx: Tx, kind: type[S], device_id: DeviceId, path: Sequence[str], *, offset: int, limit: int
) -> list[S]:
    """Documents below a path."""
    sql = f"SELECT {_COLUMNS} FROM device_resource WHERE {_BELOW} ORDER BY path LIMIT %s OFFSET %s"
    return await tx.all(kind, sql, *_below(tx, device_id, path), limit, offset)


async def count_below(tx: Tx, device_id: DeviceId, path: Sequence[str]) -> int:
    """How many there are below a path."""
    return int(await tx.value(f"SELECT count(*) FROM device_resource WHERE {_BELOW}", *_below(tx, device_id, path)))


async def upsert_resource(
    tx: Tx, device_id: DeviceId, path: Sequence[str], type_: str, data: dict[str, Any], at: datetime
) -> None:
    """Write a document."""
    sql = """
        INSERT INTO device_resource (tenant_id, device_id, path, type, data, created_at, updated_at)
        VALUES (%s, %s, %s::text[], %s, %s, %s, %s)
        ON CONFLICT (tenant_id, device_id, path) DO UPDATE
            SET type = excluded.type, data = excluded.data, updated_at = excluded.updated_at
    """
    await tx.run(sql, tx.tenant, device_id, list(path), type_, Jsonb(data), at, at)


async def delete_tree(tx: Tx, device_id: DeviceId, path: Sequence[str]) -> int:
    """How many documents have gone: what lies at a path and below."""
    sql = "DELETE FROM device_resource WHERE tenant_id = %s AND device_id = %s AND path[1:%s] = %s::text[]"
    return await tx.run(sql, tx.tenant, device_id, len(path), list(path))


def _below(tx: Tx, device_id: DeviceId, path: Sequence[str]) -> tuple[Any, ...]:
    return (tx.tenant, device_id, len(path), list(path), len(path))
