"""The SQL of sending: what waits, leases, and what came of them. For the platform itself, over all tenants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import Severity
from roadstead.core.notify import channel_store
from roadstead.core.notify.model import Announcement, Channel, DeliveryStatus, Item, Kind, Outcome, Parcel, Waiting
from roadstead.db import Tx, storable
from roadstead.kernel.ids import TenantId

MOST_IN_DIGEST = 500
"""More than that make another message."""

MOST_AT_A_TIME = 4
"""So many messages of one channel are on their way at the same time, as long as they arrive."""


async def select_waiting(tx: Tx) -> list[Waiting]:
    """Channels with something to send now, those that wait longest first.

    Hops from channel to channel along the index, so that a long queue of one costs no more than a short one.
    """
    sql = """
        WITH RECURSIVE queue (tenant_id, channel_id) AS (
            (SELECT tenant_id, channel_id FROM delivery WHERE status = 'PENDING' ORDER BY tenant_id, channel_id LIMIT 1)
            UNION ALL
            SELECT next.tenant_id, next.channel_id FROM queue, LATERAL (
                SELECT tenant_id, channel_id FROM delivery
                WHERE status = 'PENDING' AND (tenant_id, channel_id) > (queue.tenant_id, queue.channel_id)
                ORDER BY tenant_id, channel_id LIMIT 1
            ) next
        )
        SELECT queue.tenant_id, queue.channel_id, channel.type, channel.last_error IS NOT NULL AS failing,
               due.ready
        FROM queue
        CROSS JOIN LATERAL (
            SELECT count(*) AS ready, min(due_at) AS since FROM (
                SELECT due_at FROM delivery
                WHERE tenant_id = queue.tenant_id AND channel_id = queue.channel_id AND status = 'PENDING'
                  AND due_at <= now()
                ORDER BY due_at LIMIT %s
            ) first
        ) due
        JOIN notification_channel channel ON channel.tenant_id = queue.tenant_id AND channel.id = queue.channel_id
        WHERE due.ready > 0
        ORDER BY due.since
    """
    return await tx.all(Waiting, sql, MOST_AT_A_TIME)


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose turn it is; its row is locked."""

    id: UUID
    in_digest: bool
    digest_id: UUID | None
    attempts: int
    kind: Kind
    severity: Severity


_PICKED = """
    SELECT delivery.id, delivery.in_digest, delivery.digest_id, delivery.attempts, announcement.kind,
           announcement.severity
    FROM delivery JOIN announcement
        ON announcement.tenant_id = delivery.tenant_id AND announcement.id = delivery.announcement_id
    WHERE delivery.tenant_id = %s AND delivery.channel_id = %s AND delivery.status = 'PENDING'
"""


async def lock_due(tx: Tx, tenant: TenantId, channel_id: UUID) -> Picked | None:
    """The delivery of a channel that is due longest and that nobody else is about to take."""
    sql = f"{_PICKED} AND delivery.due_at <= now() ORDER BY delivery.due_at LIMIT 1 FOR UPDATE OF delivery SKIP LOCKED"
    return await tx.one(Picked, sql, tenant, channel_id)


async def lock_collected(tx: Tx, tenant: TenantId, channel_id: UUID, *, with_held: bool) -> list[Picked]:
    """What a channel has collected for its next digest, oldest first."""
    sql = f"""
        {_PICKED} AND delivery.in_digest AND delivery.digest_id IS NULL AND (NOT delivery.held OR %s)
        ORDER BY delivery.created_at, delivery.id LIMIT %s FOR UPDATE OF delivery SKIP LOCKED
    """
    return await tx.all(Picked, sql, tenant, channel_id, with_held, MOST_IN_DIGEST)


async def lock_digest(tx: Tx, tenant: TenantId, channel_id: UUID, digest_id: UUID) -> list[Picked]:
    """What was put into a digest."""
    sql = f"{_PICKED} AND delivery.in_digest AND delivery.digest_id = %s FOR UPDATE OF delivery SKIP LOCKED"
    return await tx.all(Picked, sql, tenant, channel_id, digest_id)


async def lease_deliveries(
    tx: Tx, tenant: TenantId, delivery_ids: Sequence[UUID], *, lease: UUID, digest_id: UUID | None, until: datetime
) -> None:
    """They are being sent, and counted as tried: whoever sends them may not live to say so. Due again at the end."""
    sql = """
        UPDATE delivery SET lease = %s, digest_id = %s, due_at = %s, attempts = attempts + 1, held = false
        WHERE tenant_id = %s AND id = ANY (%s)
    """
    await tx.run(sql, lease, digest_id, until, tenant, list(delivery_ids))


async def hold_due(tx: Tx, tenant: TenantId, channel_id: UUID, until: datetime, *, spare_critical: bool) -> None:
    """It is quiet until then. Digests that were put together already are looked at as a whole, not here."""
    sql = """
        UPDATE delivery SET held = true, due_at = %s FROM announcement
        WHERE delivery.tenant_id = %s AND delivery.channel_id = %s AND delivery.status = 'PENDING'
          AND delivery.due_at <= now() AND delivery.digest_id IS NULL
          AND announcement.tenant_id = delivery.tenant_id AND announcement.id = delivery.announcement_id
          AND announcement.kind <> 'TEST' AND NOT (announcement.severity = 'CRITICAL' AND %s)
    """
    await tx.run(sql, until, tenant, channel_id, spare_critical)


async def hold_deliveries(tx: Tx, tenant: TenantId, delivery_ids: Sequence[UUID], until: datetime) -> None:
    """It is quiet until then."""
    sql = "UPDATE delivery SET held = true, due_at = %s WHERE tenant_id = %s AND id = ANY (%s)"
    await tx.run(sql, until, tenant, list(delivery_ids))


async def fail_deliveries(tx: Tx, tenant: TenantId, delivery_ids: Sequence[UUID], reason: str) -> None:
    """Not tried again."""
    sql = "UPDATE delivery SET status = 'FAILED', lease = NULL, error = %s WHERE tenant_id = %s AND id = ANY (%s)"
    await tx.run(sql, reason, tenant, list(delivery_ids))


async def select_parcel(
    tx: Tx, tenant: TenantId, channel: Channel, sealed: bytes | None, lease: UUID, parcel_id: UUID, *, is_digest: bool
) -> Parcel | None:
    """All that a lease covers, with what is to be known for sending it."""
    head = await tx.row("SELECT public_id, name FROM tenant WHERE tenant_id = %s", tenant)
    sql = """
        SELECT delivery.id AS delivery_id, delivery.attempts, announcement.alert_id, announcement.event_id,
               announcement.kind, announcement.severity, announcement.title, announcement.text,
               announcement.occurred_at, announcement.payload
        FROM delivery JOIN announcement
            ON announcement.tenant_id = delivery.tenant_id AND announcement.id = delivery.announcement_id
        WHERE delivery.tenant_id = %s AND delivery.channel_id = %s AND delivery.status = 'PENDING'
          AND delivery.lease = %s
        ORDER BY delivery.created_at, delivery.id
    """
    rows = await tx.all(_ItemRow, sql, tenant, channel.id, lease)
    if head is None or not rows:
        return None
    return Parcel(
        id=parcel_id,
        lease=lease,
        tenant_id=tenant,
        organization_id=head[0],
        organization=head[1],
        channel=channel,
        sealed=sealed,
        attempts=max(row.attempts for row in rows),
        items=[Item(delivery_id=row.delivery_id, announcement=row.announcement) for row in rows],
        is_digest=is_digest,
    )


class _ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    delivery_id: UUID
    attempts: int
    alert_id: UUID | None
    event_id: UUID | None
    kind: Kind
    severity: Severity
    title: str
    text: str
    occurred_at: datetime
    payload: dict[str, Any]

    @property
    def announcement(self) -> Announcement:
        return Announcement(
            alert_id=self.alert_id,
            event_id=self.event_id,
            kind=self.kind,
            severity=self.severity,
            title=self.title,
            text=self.text,
            occurred_at=self.occurred_at,
            payload=self.payload,
        )


async def lock_channel(tx: Tx, tenant: TenantId, channel_id: UUID) -> tuple[Channel, bytes | None] | None:
    """A channel with what is sealed of it. Nobody else claims anything of it until this transaction ends: two who take
    parts of what it has collected would make two digests of one."""
    sql = f"""
        SELECT sealed, {channel_store.COLUMNS} FROM notification_channel WHERE tenant_id = %s AND id = %s
        FOR NO KEY UPDATE
    """
    sealed, found = await tx.keyed(Channel, sql, tenant, channel_id)
    return (found[0], sealed[0]) if found else None


async def update_outcome(
    tx: Tx, parcel: Parcel, outcome: Outcome, status: DeliveryStatus, *, at: datetime, due_at: datetime
) -> None:
    """What came of an attempt. Changes nothing when the lease was over: then whoever took it on says so."""
    # The channel first, as everyone does who changes both.
    sql = "SELECT FROM notification_channel WHERE tenant_id = %s AND id = %s FOR NO KEY UPDATE"
    await tx.run(sql, parcel.tenant_id, parcel.channel.id)
    sql = """
        UPDATE delivery SET status = %s, lease = NULL, last_status_code = %s, error = %s, sent_at = %s, due_at = %s
        WHERE tenant_id = %s AND id = ANY (%s) AND status = 'PENDING' AND lease = %s
    """
    error = None if outcome.error is None else storable(outcome.error)
    sent_at = at if outcome.sent else None
    ids = [item.delivery_id for item in parcel.items]
    if await tx.run(sql, status, outcome.status_code, error, sent_at, due_at, parcel.tenant_id, ids, parcel.lease):
        sql = """
            UPDATE notification_channel SET last_error = %s, last_delivery_at = coalesce(%s, last_delivery_at)
            WHERE tenant_id = %s AND id = %s
        """
        await tx.run(sql, error, sent_at, parcel.tenant_id, parcel.channel.id)
