"""The SQL of kept answers."""

from datetime import datetime

import msgspec
from psycopg.types.json import Jsonb

from roadstead.db import Tx
from roadstead.kernel.ids import TenantId


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer as it lies in the database; the body is sealed."""

    request_hash: bytes
    status: int
    headers: dict[str, str]
    body: bytes


async def try_lock(tx: Tx, tenant: TenantId, operation: str, key: str) -> bool:
    """False when another transaction holds the same; ours holds it until it ends."""
    sql = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    return bool(await tx.value(sql, f"idempotency/{tenant}/{operation}/{key}"))


async def select_answer(
    tx: Tx, tenant: TenantId, operation: str, key: str, *, newer_than: datetime
) -> KeptAnswer | None:
    """The answer that was given under this key."""
    sql = """
        SELECT request_hash, status, headers, body FROM idempotency
        WHERE tenant_id = %s AND operation = %s AND key = %s AND created_at > %s
    """
    return await tx.one(KeptAnswer, sql, tenant, operation, key, newer_than)


async def insert_answer(
    tx: Tx, tenant: TenantId, operation: str, key: str, answer: KeptAnswer, created_at: datetime
) -> None:
    """Keep an answer in place of one that has run out."""
    sql = """
        INSERT INTO idempotency (tenant_id, operation, key, request_hash, status, headers, body, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, operation, key) DO UPDATE
        SET request_hash = excluded.request_hash, status = excluded.status, headers = excluded.headers,
            body = excluded.body, created_at = excluded.created_at
    """
    await tx.run(
        sql,
        tenant,
        operation,
        key,
        answer.request_hash,
        answer.status,
        Jsonb(answer.headers),
        answer.body,
        created_at,
    )
