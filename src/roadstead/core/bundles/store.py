"""The SQL of the record of imports."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.bundles.model import Import, ImportStatus, Problem
from roadstead.db import Tx
from roadstead.kernel.ids import SpaceId

_NAMES = Import.__struct_fields__
_COLUMNS = ", ".join(_NAMES)


async def insert_import(tx: Tx, entry: Import) -> None:
    """Add one."""
    marks = ", ".join(["%s"] * (len(_NAMES) + 1))
    values = [Jsonb(msgspec.to_builtins(value)) if name == "problems" else value for name, value in _items(entry)]
    await tx.run(f"INSERT INTO space_import (tenant_id, {_COLUMNS}) VALUES ({marks})", tx.tenant, *values)


async def lock_import(tx: Tx, import_id: UUID) -> Import | None:
    """One that nobody else changes until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM space_import WHERE tenant_id = %s AND id = %s FOR UPDATE"
    return await tx.one(Import, sql, tx.tenant, import_id)


async def update_import(
    tx: Tx, import_id: UUID, status: ImportStatus, at: datetime, *, error: str | None, problems: Sequence[Problem]
) -> None:
    """How far it is, or what came of it."""
    sql = """
        UPDATE space_import SET status = %s, error = %s, problems = %s,
            started_at = coalesce(started_at, %s), completed_at = CASE WHEN %s THEN %s::timestamptz END
        WHERE tenant_id = %s AND id = %s
    """
    over = status in (ImportStatus.DONE, ImportStatus.FAILED)
    await tx.run(sql, status, error, Jsonb(msgspec.to_builtins(problems)), at, over, at, tx.tenant, import_id)


async def select_imports(tx: Tx, space_id: SpaceId, *, since: datetime | None, most: int) -> list[Import]:
    """Those of a space, newest first."""
    sql = f"""
        SELECT {_COLUMNS} FROM space_import
        WHERE tenant_id = %s AND space_id = %s AND (%s::timestamptz IS NULL OR queued_at >= %s)
        ORDER BY queued_at DESC, id DESC LIMIT %s
    """
    return await tx.all(Import, sql, tx.tenant, space_id, since, since, most)


def _items(entry: Import) -> list[tuple[str, object]]:
    return list(msgspec.structs.asdict(entry).items())
