"""The SQL of announcements and deliveries: written by operations, read by people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.notify.model import Announcement, Delivery, DeliveryStatus
from roadstead.db import Condition, Listing, SortKey, Tx, storable
from roadstead.kernel.page import Page, PageQuery

WAKE_UP = "roadstead_deliveries"
"""The channel on which PostgreSQL says that there is something to send."""

_DELIVERIES = Listing(
    columns="""
        delivery.id, delivery.channel_id, delivery.alert_id, announcement.kind, announcement.severity,
        announcement.title, delivery.status, delivery.attempts, delivery.due_at, delivery.last_status_code,
        delivery.error, delivery.created_at, delivery.sent_at
    """,
    source="""
        delivery JOIN announcement
            ON announcement.tenant_id = delivery.tenant_id AND announcement.id = delivery.announcement_id
    """,
    tie="delivery.id",
)
_NEWEST_FIRST = (SortKey("delivery.created_at", True, "timestamptz"),)


def _storable_json(value: dict[str, Any]) -> Jsonb:
    """Devices may have said a NUL, which PostgreSQL cannot keep in JSON either."""
    return Jsonb(msgspec.Raw(msgspec.json.encode(value).replace(b"\\u0000", b"\\ufffd")))


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to be written."""

    id: UUID
    channel_id: UUID
    created_at: datetime
    due_at: datetime
    in_digest: bool


async def insert_announcement(tx: Tx, id_: UUID, announcement: Announcement, created_at: datetime) -> None:
    """What is announced, once for all channels."""
    sql = """
        INSERT INTO announcement (tenant_id, id, kind, alert_id, event_id, severity, title, text, occurred_at, payload,
                                  created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql,
        tx.tenant,
        id_,
        announcement.kind,
        announcement.alert_id,
        announcement.event_id,
        announcement.severity,
        storable(announcement.title),
        storable(announcement.text),
        announcement.occurred_at,
        _storable_json(announcement.payload),
        created_at,
    )


async def insert_deliveries(tx: Tx, announcement_id: UUID, announcement: Announcement, rows: Sequence[Row]) -> None:
    """One for each channel."""
    sql = """
        INSERT INTO delivery (tenant_id, id, announcement_id, channel_id, alert_id, created_at, due_at, in_digest)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    lines = [
        (
            tx.tenant,
            row.id,
            announcement_id,
            row.channel_id,
            announcement.alert_id,
            row.created_at,
            row.due_at,
            row.in_digest,
        )
        for row in rows
    ]
    await tx.many(sql, lines)


async def select_digest_due(tx: Tx, channel_id: UUID) -> datetime | None:
    """When the digest that a channel collects is sent; None when it collects none."""
    sql = """
        SELECT min(due_at) FROM delivery
        WHERE tenant_id = %s AND channel_id = %s AND status = 'PENDING' AND in_digest AND digest_id IS NULL
          AND NOT held
    """
    due_at: datetime | None = await tx.value(sql, tx.tenant, channel_id)
    return due_at


async def wake_sender(tx: Tx) -> None:
    """With the commit, whoever sends looks at once."""
    await tx.run("SELECT pg_notify(%s, '')", WAKE_UP)


async def select_delivery(tx: Tx, channel_id: UUID, delivery_id: UUID) -> Delivery | None:
    """One delivery of a channel."""
    sql = f"""
        SELECT {_DELIVERIES.columns} FROM {_DELIVERIES.source}
        WHERE delivery.tenant_id = %s AND delivery.channel_id = %s AND delivery.id = %s
    """
    return await tx.one(Delivery, sql, tx.tenant, channel_id, delivery_id)


async def page_of_channel(
    tx: Tx, channel_id: UUID, statuses: Sequence[DeliveryStatus], page: PageQuery
) -> Page[Delivery]:
    """Newest first."""
    where = [Condition("delivery.tenant_id = %s", (tx.tenant,)), Condition("delivery.channel_id = %s", (channel_id,))]
    if statuses:
        where.append(Condition("delivery.status = ANY (%s)", ([status.value for status in statuses],)))
    return await _DELIVERIES.page(tx, Delivery, where, _NEWEST_FIRST, page)


async def page_of_alert(tx: Tx, alert_id: UUID, page: PageQuery) -> Page[Delivery]:
    """Newest first."""
    where = [Condition("delivery.tenant_id = %s", (tx.tenant,)), Condition("delivery.alert_id = %s", (alert_id,))]
    return await _DELIVERIES.page(tx, Delivery, where, _NEWEST_FIRST, page)


async def update_due(tx: Tx, delivery_id: UUID, at: datetime) -> None:
    """Send it, from the first attempt on, at once and by itself."""
    sql = """
        UPDATE delivery SET status = 'PENDING', attempts = 0, due_at = %s, lease = NULL, held = false,
                            in_digest = false, digest_id = NULL, sent_at = NULL
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, at, tx.tenant, delivery_id)


async def cancel_deliveries(tx: Tx, channel_id: UUID, reason: str) -> int:
    """What the channel has not sent is not sent any more; says how many those were."""
    sql = """
        UPDATE delivery SET status = 'CANCELLED', error = %s, lease = NULL
        WHERE tenant_id = %s AND channel_id = %s AND status = 'PENDING'
    """
    return await tx.run(sql, reason, tx.tenant, channel_id)


async def release_held(tx: Tx, channel_id: UUID, at: datetime) -> None:
    """What quiet hours hold back is looked at again."""
    sql = """
        UPDATE delivery SET held = false, due_at = %s
        WHERE tenant_id = %s AND channel_id = %s AND status = 'PENDING' AND held
    """
    await tx.run(sql, at, tx.tenant, channel_id)
