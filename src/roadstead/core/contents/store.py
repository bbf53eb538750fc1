"""The SQL of what is in spaces as wholes. It reads tables of the rooms below."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from roadstead.core.contents.model import Amounts, DeviceDay, Found
from roadstead.core.registry import lock_states
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, SpaceId, TenantId


async def select_amounts(tx: Tx, tenants: Sequence[TenantId], space_ids: Sequence[SpaceId]) -> dict[SpaceId, Amounts]:
    """How much is in each of these spaces."""
    counted = ", ".join(
        f"""(SELECT count(*) FROM {table} t
             WHERE t.tenant_id = space.tenant_id AND t.space_id = space.id{condition}) AS {name}"""
        for name, table, condition in (
            ("devices", "device", ""),
            ("events", "event", " AND t.status IS NOT NULL"),
            ("keys", "access_key", ""),
            ("tokens", "space_token", ""),
        )
    )
    sql = f"SELECT space.id, {counted} FROM space WHERE tenant_id = ANY (%s) AND id = ANY (%s)"
    keys, amounts = await tx.keyed(Amounts, sql, list(tenants), list(space_ids))
    return dict(zip(keys, amounts, strict=True))


async def select_called(tx: Tx, space_id: SpaceId, pattern: str, *, most: int) -> list[Found]:
    """Tokens and events of a space whose name or subject is like this, in any case, the first so many of each."""
    sql = """
        (SELECT 'access' AS kind, id, name FROM space_token
         WHERE tenant_id = %s AND space_id = %s AND name ILIKE %s ORDER BY name, id LIMIT %s)
        UNION ALL
        (SELECT 'event', id, coalesce(subject, message) FROM event
         WHERE tenant_id = %s AND space_id = %s AND status IS NOT NULL AND coalesce(subject, message) ILIKE %s
         ORDER BY occurred_at DESC, id DESC LIMIT %s)
    """
    return await tx.all(Found, sql, *(tx.tenant, space_id, pattern, most) * 2)


async def select_days(
    tx: Tx, tenants: Sequence[TenantId], first: date, last: date, space_id: SpaceId | None
) -> list[DeviceDay]:
    """How many devices came and went on each day, and how many there were at its end: those there are now, without
    what has happened since."""
    sql = """
        WITH counted AS (
            SELECT day, sum(created)::integer AS created, sum(deleted)::integer AS deleted FROM device_count
            WHERE tenant_id = ANY (%s) AND (%s::uuid IS NULL OR space_id = %s) GROUP BY day
        ), there AS (
            SELECT count(*)::integer AS total FROM device
            WHERE tenant_id = ANY (%s) AND (%s::uuid IS NULL OR space_id = %s)
        ), days AS (
            SELECT generate_series(greatest(%s::date, (SELECT min(day) FROM counted)), %s::date, '1 day')::date AS day
        )
        SELECT day, coalesce(created, 0) AS created, coalesce(deleted, 0) AS deleted,
               (SELECT total FROM there) - coalesce((
                   SELECT sum(later.created - later.deleted) FROM counted later WHERE later.day > days.day
               ), 0)::integer AS total
        FROM days LEFT JOIN counted USING (day) ORDER BY day
    """
    of = (list(tenants), space_id, space_id)
    return await tx.all(DeviceDay, sql, *of, *of, first, last)


# --- deleting --------------------------------------------------------------------------------------------------------


async def mark_deleted(tx: Tx, space_id: SpaceId, at: datetime) -> None:
    """From now on it is not there for anybody, and its names are free."""
    sql = """
        UPDATE space SET deleted_at = %s, alias = NULL, endpoint_slug = NULL, archive = NULL
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, at, tx.tenant, space_id)


async def take_devices(tx: Tx, space_id: SpaceId, at: datetime, *, most: int) -> list[DeviceId]:
    """Forget so many devices of a space; which they were. What lay below them lies below nothing."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND space_id = %s ORDER BY id LIMIT %s"
    ids = [row[0] for row in await tx.rows(sql, tx.tenant, space_id, most)]
    if not ids:
        return []
    await lock_states(tx, ids)
    await tx.run("SELECT FROM device WHERE tenant_id = %s AND id = ANY (%s) ORDER BY id FOR UPDATE", tx.tenant, ids)
    await tx.run(
        """
        INSERT INTO revoked_certificate (tenant_id, serial_number, revoked_at, not_after)
        SELECT tenant_id, serial_number, coalesce(revoked_at, %s), not_after FROM certificate
        WHERE tenant_id = %s AND device_id = ANY (%s) AND issued_here
        ON CONFLICT DO NOTHING
        """,
        at,
        tx.tenant,
        ids,
    )
    for above in ("parent_id", "gateway_id"):
        orphan = f"""
            UPDATE device SET {above} = NULL, updated_at = %s, version = version + 1
            WHERE tenant_id = %s AND {above} = ANY (%s)
        """
        await tx.run(orphan, at, tx.tenant, ids)
    await tx.run("DELETE FROM device WHERE tenant_id = %s AND id = ANY (%s)", tx.tenant, ids)
    return ids


async def take_deleted_devices(tx: Tx, space_id: SpaceId) -> list[DeviceId]:
    """Forget those that might have come back; which they were."""
    sql = "DELETE FROM deleted_device WHERE tenant_id = %s AND space_id = %s RETURNING id"
    return [row[0] for row in await tx.rows(sql, tx.tenant, space_id)]


async def delete_events(tx: Tx, space_id: SpaceId, *, most: int) -> int:
    """Forget so many events of a space; how many there were."""
    sql = """
        DELETE FROM event WHERE tenant_id = %s AND id IN (
            SELECT id FROM event WHERE tenant_id = %s AND space_id = %s LIMIT %s
        )
    """
    return await tx.run(sql, tx.tenant, tx.tenant, space_id, most)


async def delete_space(tx: Tx, space_id: SpaceId) -> None:
    """The last of it."""
    await tx.run("DELETE FROM space WHERE tenant_id = %s AND id = %s", tx.tenant, space_id)


async def select_job_ids(tx: Tx, space_id: SpaceId) -> list[UUID]:
    """Its background jobs, which may have files."""
    sql = "SELECT id FROM background_job WHERE tenant_id = %s AND space_id = %s"
    return [row[0] for row in await tx.rows(sql, tx.tenant, space_id)]
