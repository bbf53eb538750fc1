"""The SQL of mailings and of what they have been told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.mailings.model import Hit, Mailing
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import TenantId
from roadstead.kernel.page import Page, PageQuery

_MAILINGS = Listing(
    columns="""
        mailing.id, mailing.channel_id, coalesce(channel.config -> 'recipients', '[]') AS recipients,
        channel.enabled AS active, mailing.subject, mailing.body, mailing.debounce_minutes, mailing.event_types,
        mailing.rule_id, mailing.devices, mailing.notes, mailing.last_sent_at, mailing.created_at, mailing.updated_at
    """,
    source="""
        mailing JOIN notification_channel channel
            ON channel.tenant_id = mailing.tenant_id AND channel.id = mailing.channel_id
    """,
    tie="mailing.id",
)
_HITS = Listing(
    columns="id, mailing_id, event_id, event_type, device_id, occurred_at, data, debounced, at", source="mailing_hit"
)


async def page_mailings(tx: Tx, page: PageQuery) -> Page[Mailing]:
    """All, newest first."""
    where = [Condition("mailing.tenant_id = %s", (tx.tenant,))]
    newest_first = [SortKey("mailing.created_at", descending=True, cast="timestamptz")]
    return await _MAILINGS.page(tx, Mailing, where, newest_first, page)


async def select_mailing(tx: Tx, mailing_id: UUID) -> Mailing | None:
    """One mailing."""
    sql = f"SELECT {_MAILINGS.columns} FROM {_MAILINGS.source} WHERE mailing.tenant_id = %s AND mailing.id = %s"
    return await tx.one(Mailing, sql, tx.tenant, mailing_id)


async def lock_mailing(tx: Tx, mailing_id: UUID) -> Mailing | None:
    """One mailing, which nobody else changes until this transaction ends."""
    # Whoever has the channel has the mailing: it is locked first by those who only know of channels, too.
    sql = f"""
        SELECT {_MAILINGS.columns} FROM {_MAILINGS.source} WHERE mailing.tenant_id = %s AND mailing.id = %s
        FOR NO KEY UPDATE OF channel
    """
    return await tx.one(Mailing, sql, tx.tenant, mailing_id)


async def lock_listening(tx: Tx, types: Sequence[str]) -> list[Mailing]:
    """Those that are active and about events of one of these types; nobody else changes them meanwhile."""
    sql = f"""
        SELECT {_MAILINGS.columns} FROM {_MAILINGS.source}
        WHERE mailing.tenant_id = %s AND mailing.event_types && %s AND channel.enabled
        ORDER BY channel.id FOR NO KEY UPDATE OF channel
    """
    return await tx.all(Mailing, sql, tx.tenant, list(types))


async def select_interested(tx: Tx, tenants: Sequence[TenantId]) -> dict[TenantId, UUID]:
    """Those of these tenants that may work and have mailings, with their public ids."""
    sql = """
        SELECT tenant_id, public_id FROM tenant
        WHERE tenant_id = ANY (%s) AND status = 'ACTIVE'
          AND EXISTS (SELECT FROM mailing WHERE mailing.tenant_id = tenant.tenant_id)
    """
    return {TenantId(tenant): public_id for tenant, public_id in await tx.rows(sql, list(tenants))}


async def insert_mailing(tx: Tx, mailing: Mailing) -> None:
    """Its channel is there already."""
    sql = """
        INSERT INTO mailing (tenant_id, id, channel_id, subject, body, debounce_minutes, event_types, rule_id, devices,
                             notes, created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(
        sql, tx.tenant, mailing.id, mailing.channel_id, *_values(mailing), mailing.created_at, mailing.updated_at
    )


async def update_mailing(tx: Tx, mailing: Mailing) -> None:
    """All but what lies in its channel."""
    sql = """
        UPDATE mailing SET subject = %s, body = %s, debounce_minutes = %s, event_types = %s, rule_id = %s, devices = %s,
                           notes = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(sql, *_values(mailing), mailing.updated_at, tx.tenant, mailing.id)


def _values(mailing: Mailing) -> tuple[Any, ...]:
    return (
        mailing.subject,
        mailing.body,
        mailing.debounce_minutes,
        mailing.event_types,
        mailing.rule_id,
        None if mailing.devices is None else Jsonb(mailing.devices),
        Jsonb(mailing.notes),
    )


async def update_last_sent(tx: Tx, mailing_id: UUID, at: datetime) -> None:
    """An event that was written down then has led to mail."""
    sql = "UPDATE mailing SET last_sent_at = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, at, tx.tenant, mailing_id)


async def insert_hit(tx: Tx, hit: Hit) -> bool:
    """False when the mailing was told of this event already."""
    sql = """
        INSERT INTO mailing_hit (id, mailing_id, event_id, event_type, device_id, occurred_at, data, debounced, at,
                                 tenant_id)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, mailing_id, event_id) DO NOTHING
    """
    fields = msgspec.structs.asdict(hit) | {"data": None if hit.data is None else Jsonb(hit.data)}
    return bool(await tx.run(sql, *fields.values(), tx.tenant))


async def page_hits(tx: Tx, mailing_ids: Sequence[UUID], page: PageQuery) -> Page[Hit]:
    """Of these mailings, or of all when none is named, newest first."""
    where = [Condition("tenant_id = %s", (tx.tenant,))]
    if mailing_ids:
        where.append(Condition("mailing_id = ANY (%s)", (list(mailing_ids),)))
    return await _HITS.page(tx, Hit, where, [SortKey("at", descending=True, cast="timestamptz")], page)
