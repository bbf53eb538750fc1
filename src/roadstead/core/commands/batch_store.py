"""The SQL of bulks."""

from datetime import datetime

from psycopg.types.json import Jsonb

from roadstead.core.commands.model import Batch, BatchId, BatchStatus
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId

_COLUMNS = "id, type, payload, total, per_minute, max_failure_percent, status, requested_by, created_at, completed_at"


async def insert_batch(tx: Tx, batch: Batch) -> None:
    """Add one."""
    sql = f"""
        INSERT INTO command_batch (tenant_id, {_COLUMNS}, looked_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql,
        tx.tenant,
        batch.id,
        batch.type,
        Jsonb(batch.payload),
        batch.total,
        batch.per_minute,
        batch.max_failure_percent,
        batch.status.value,
        batch.requested_by,
        batch.created_at,
        batch.completed_at,
        batch.created_at,
    )


async def select_batch(tx: Tx, batch_id: BatchId) -> Batch | None:
    """One of them."""
    sql = f"SELECT {_COLUMNS} FROM command_batch WHERE tenant_id = %s AND id = %s"
    return await tx.one(Batch, sql, tx.tenant, batch_id)


async def lock_batch(tx: Tx, batch_id: BatchId) -> Batch | None:
    """One of them, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM command_batch WHERE tenant_id = %s AND id = %s FOR NO KEY UPDATE"
    return await tx.one(Batch, sql, tx.tenant, batch_id)


async def lock_running(tx: Tx, most: int) -> list[tuple[TenantId, Batch]]:
    """Those of all tenants that run and were not looked at for the longest time; for us alone, until the end."""
    tenants, batches = await tx.keyed(
        Batch,
        f"""
        UPDATE command_batch b SET looked_at = now()
        FROM (
            SELECT tenant_id, id FROM command_batch WHERE status = 'RUNNING' ORDER BY looked_at LIMIT %s
            FOR NO KEY UPDATE SKIP LOCKED
        ) n
        WHERE b.tenant_id = n.tenant_id AND b.id = n.id
        RETURNING b.tenant_id, {", ".join(f"b.{name.strip()}" for name in _COLUMNS.split(","))}
        """,
        most,
    )
    return list(zip(map(TenantId, tenants), batches, strict=True))


async def end_batch(tx: Tx, batch_id: BatchId, status: BatchStatus, at: datetime) -> None:
    """It runs no more."""
    sql = "UPDATE command_batch SET status = %s, completed_at = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, status.value, at, tx.tenant, batch_id)
