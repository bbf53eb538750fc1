"""The SQL of timers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.timers.model import Claim, Outcome, Timer
from roadstead.db import Tx, storable
from roadstead.kernel.ids import TenantId

_LEASE = timedelta(seconds=60)
"""Longer than any run may take."""

_COLUMNS = """
    id, name, schedule, sealed, notes, running, due_at, last_run_at, last_status, last_answer, last_error,
    created_at, updated_at
"""


async def select_timers(tx: Tx) -> list[Timer]:
    """All, oldest first."""
    return await tx.all(Timer, f"SELECT {_COLUMNS} FROM timer WHERE tenant_id = %s ORDER BY created_at, id", tx.tenant)


async def select_timer(tx: Tx, timer_id: UUID) -> Timer | None:
    """One timer."""
    return await tx.one(Timer, f"SELECT {_COLUMNS} FROM timer WHERE tenant_id = %s AND id = %s", tx.tenant, timer_id)


async def lock_timer(tx: Tx, timer_id: UUID) -> Timer | None:
    """One timer, which nobody else changes until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM timer WHERE tenant_id = %s AND id = %s FOR NO KEY UPDATE"
    return await tx.one(Timer, sql, tx.tenant, timer_id)


async def count_timers(tx: Tx) -> tuple[int, int]:
    """How many there are, and how many of them run. Whoever asks waits for others who do, until they are done."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('roadstead.timers', %s))", tx.tenant)
    row = await tx.row("SELECT count(*), count(*) FILTER (WHERE running) FROM timer WHERE tenant_id = %s", tx.tenant)
    assert row is not None
    return int(row[0]), int(row[1])


async def insert_timer(tx: Tx, timer: Timer) -> None:
    """It does not run yet."""
    sql = """
        INSERT INTO timer (tenant_id, id, name, schedule, sealed, notes, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql,
        tx.tenant,
        timer.id,
        timer.name,
        Jsonb(timer.schedule),
        timer.sealed,
        Jsonb(timer.notes),
        timer.created_at,
        timer.updated_at,
    )


async def update_timer(tx: Tx, timer: Timer) -> None:
    """All that is said about it, and when it is due. Who fires it at this moment says nothing about that any more."""
    sql = """
        UPDATE timer SET name = %s, schedule = %s, sealed = %s, notes = %s, running = %s, due_at = %s, updated_at = %s,
                         lease = NULL, leased_until = NULL, tries = 0
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(
        sql,
        timer.name,
        Jsonb(timer.schedule),
        timer.sealed,
        Jsonb(timer.notes),
        timer.running,
        timer.due_at,
        timer.updated_at,
        tx.tenant,
        timer.id,
    )


async def delete_timer(tx: Tx, timer_id: UUID) -> None:
    """Who fires it at this moment finds it gone."""
    await tx.run("DELETE FROM timer WHERE tenant_id = %s AND id = %s", tx.tenant, timer_id)


# --- firing ----------------------------------------------------------------------------------------------------------


async def claim_due(
    tx: Tx, now: datetime, lease: UUID, *, most: int, most_of_tenant: int, busy: Mapping[TenantId, int]
) -> list[Claim]:
    """Lease timers that are due: at most so many, and of one tenant at most so many beside those it is `busy` with.

    Tenants that may not work are passed over: what they have missed is due when they may again.
    """
    # Another worker may choose the same rows at the same time: each row is looked at again when it is locked.
    sql = """
        WITH chosen AS (
            SELECT * FROM (
                SELECT due.tenant_id, due.id, tenant.public_id, due.due_at, coalesce(busy.number, 0) AS busy,
                       row_number() OVER (PARTITION BY due.tenant_id ORDER BY due.due_at, due.id) AS place
                FROM timer due
                    JOIN tenant ON tenant.tenant_id = due.tenant_id AND tenant.status = 'ACTIVE'
                    LEFT JOIN unnest(%s::integer[], %s::integer[]) busy (tenant_id, number)
                        ON busy.tenant_id = due.tenant_id
                WHERE due.due_at <= %s AND (due.leased_until IS NULL OR due.leased_until <= %s)
            ) waiting
            WHERE place + busy <= %s ORDER BY place + busy, due_at LIMIT %s
        ), locked AS (
            SELECT timer.tenant_id, timer.id, chosen.public_id
            FROM timer JOIN chosen ON chosen.tenant_id = timer.tenant_id AND chosen.id = timer.id
            WHERE timer.due_at <= %s AND (timer.leased_until IS NULL OR timer.leased_until <= %s)
            FOR NO KEY UPDATE OF timer SKIP LOCKED
        )
        UPDATE timer SET lease = %s, leased_until = %s, tries = timer.tries + 1
        FROM locked WHERE timer.tenant_id = locked.tenant_id AND timer.id = locked.id
        RETURNING timer.tenant_id, locked.public_id AS organization_id, timer.id, timer.schedule, timer.sealed,
                  timer.due_at, timer.lease, timer.tries
    """
    tenants = [int(tenant) for tenant in busy]
    numbers = list(busy.values())
    return await tx.all(Claim, sql, tenants, numbers, now, now, most_of_tenant, most, now, now, lease, now + _LEASE)


async def settle_claim(tx: Tx, claim: Claim, outcome: Outcome, at: datetime, due_at: datetime | None) -> bool:
    """Note what came of it, and when it is due again if nobody has said otherwise meanwhile. False: it is gone."""
    sql = """
        UPDATE timer SET last_run_at = %s, last_status = %s, last_answer = %s, last_error = %s,
                         due_at = CASE WHEN lease = %s THEN %s ELSE due_at END,
                         running = CASE WHEN lease = %s THEN %s ELSE running END,
                         tries = CASE WHEN lease = %s THEN 0 ELSE tries END,
                         leased_until = CASE WHEN lease = %s THEN NULL ELSE leased_until END,
                         lease = CASE WHEN lease = %s THEN NULL ELSE lease END
        WHERE tenant_id = %s AND id = %s
    """
    lease = claim.lease
    touched = await tx.run(
        sql,
        at,
        outcome.status,
        None if outcome.answer is None else storable(outcome.answer),
        None if outcome.error is None else storable(outcome.error),
        lease,
        due_at,
        lease,
        due_at is not None,
        lease,
        lease,
        lease,
        claim.tenant_id,
        claim.id,
    )
    return bool(touched)
