"""The SQL of archives: how far each space is archived."""

from datetime import date
from uuid import UUID

import msgspec

from roadstead.db import Tx
from roadstead.kernel.ids import SpaceId, TenantId


class DueSpace(msgspec.Struct, frozen=True, kw_only=True):
    """A space with days that are to be archived by themselves."""

    tenant_id: TenantId
    organization_id: UUID
    id: SpaceId
    name: str


async def begin_archives(tx: Tx, today: date) -> None:
    """Spaces that are archived from now on begin with the day that is old enough today."""
    sql = """
        UPDATE space SET archived_until = %s::date - (archive->>'delay_days')::integer
        WHERE archive IS NOT NULL AND archived_until IS NULL AND deleted_at IS NULL
    """
    await tx.run(sql, today)


async def select_due(tx: Tx, today: date, *, most: int) -> list[DueSpace]:
    """Those of active organizations with a day that is old enough, the one that waits longest first."""
    sql = """
        SELECT s.tenant_id, t.public_id AS organization_id, s.id, s.name
        FROM space s JOIN tenant t USING (tenant_id)
        WHERE s.archive IS NOT NULL AND s.deleted_at IS NULL AND t.status = 'ACTIVE'
          AND s.archived_until < %s::date - (s.archive->>'delay_days')::integer
          AND NOT EXISTS (
              SELECT FROM background_job j WHERE j.tenant_id = s.tenant_id AND j.space_id = s.id
                AND j.kind = 'archive-due' AND j.status IN ('PENDING', 'RUNNING')
          )
        ORDER BY s.archived_until LIMIT %s
    """
    return await tx.all(DueSpace, sql, today, most)


async def select_archived_until(tx: Tx, space_id: SpaceId) -> date | None:
    """Days before this one are in the archive."""
    found: date | None = await tx.value(
        "SELECT archived_until FROM space WHERE tenant_id = %s AND id = %s", tx.tenant, space_id
    )
    return found


async def update_archived_until(tx: Tx, space_id: SpaceId, day: date) -> None:
    """From now on days before this one are."""
    sql = "UPDATE space SET archived_until = %s WHERE tenant_id = %s AND id = %s AND archived_until < %s"
    await tx.run(sql, day, tx.tenant, space_id, day)


async def select_event_days(tx: Tx, space_id: SpaceId) -> list[date]:
    """The days (UTC) on which something has happened in a space, oldest first."""
    sql = """
        SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date FROM event
        WHERE tenant_id = %s AND space_id = %s AND status IS NOT NULL ORDER BY 1
    """
    return [row[0] for row in await tx.rows(sql, tx.tenant, space_id)]
