"""The SQL of channels."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.notify.model import Channel
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.page import Page, PageQuery

COLUMNS = (
    "id, name, type, enabled, config, min_severity, digest_minutes, quiet_hours, last_delivery_at, last_error,"
    " created_at, updated_at, version"
)
_CHANNELS = Listing(columns=COLUMNS, source="notification_channel")
_FIELDS: Fields = {"type": Column("type"), "enabled": Column("enabled", ColumnType.BOOLEAN)}
_SORT = {"name": SortKey("name"), "createdAt": SortKey("created_at", cast="timestamptz")}


async def select_channel(tx: Tx, channel_id: UUID) -> Channel | None:
    """One channel."""
    sql = f"SELECT {COLUMNS} FROM notification_channel WHERE tenant_id = %s AND id = %s"
    return await tx.one(Channel, sql, tx.tenant, channel_id)


async def lock_channel(tx: Tx, channel_id: UUID) -> Channel | None:
    """One channel, which nobody else changes until this transaction ends."""
    sql = f"SELECT {COLUMNS} FROM notification_channel WHERE tenant_id = %s AND id = %s FOR UPDATE"
    return await tx.one(Channel, sql, tx.tenant, channel_id)


async def select_channels(tx: Tx, channel_ids: Sequence[UUID]) -> list[Channel]:
    """Those of the channels that are there."""
    sql = f"SELECT {COLUMNS} FROM notification_channel WHERE tenant_id = %s AND id = ANY (%s)"
    return await tx.all(Channel, sql, tx.tenant, list(channel_ids))


async def hold_channels(tx: Tx, channel_ids: Sequence[UUID]) -> list[Channel]:
    """Those of the channels that are there; none of them is changed or deleted before this transaction ends."""
    sql = f"SELECT {COLUMNS} FROM notification_channel WHERE tenant_id = %s AND id = ANY (%s) FOR KEY SHARE"
    return await tx.all(Channel, sql, tx.tenant, list(channel_ids))


async def select_sealed(tx: Tx, channel_id: UUID) -> bytes | None:
    """What of it is sealed."""
    sealed: bytes | None = await tx.value(
        "SELECT sealed FROM notification_channel WHERE tenant_id = %s AND id = %s", tx.tenant, channel_id
    )
    return sealed


async def list_channels(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Channel]:
    """Channels that the filter is true for."""
    conditions = [Condition("tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]
    return await _CHANNELS.page(tx, Channel, conditions, parse_sort(sort, _SORT, "name"), page)


async def is_name_taken(tx: Tx, name: str, besides: UUID) -> bool:
    """Whether another channel has this name."""
    sql = "SELECT id FROM notification_channel WHERE tenant_id = %s AND name = %s"
    holder = await tx.value(sql, tx.tenant, name)
    return holder is not None and holder != besides


async def insert_channel(tx: Tx, channel: Channel, sealed: bytes | None) -> bool:
    """False when the name is taken."""
    sql = """
        INSERT INTO notification_channel (tenant_id, id, created_at, name, type, enabled, config, min_severity,
                                          digest_minutes, quiet_hours, updated_at, version, sealed)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, name) DO NOTHING
    """
    return bool(await tx.run(sql, tx.tenant, channel.id, channel.created_at, *_values(channel), sealed))


async def update_channel(tx: Tx, channel: Channel, sealed: bytes | None) -> bool:
    """False when the name has just been taken; the transaction is of no more use then."""
    sql = """
        UPDATE notification_channel SET name = %s, type = %s, enabled = %s, config = %s, min_severity = %s,
               digest_minutes = %s, quiet_hours = %s, updated_at = %s, version = %s, sealed = %s
        WHERE tenant_id = %s AND id = %s
    """
    try:
        await tx.run(sql, *_values(channel), sealed, tx.tenant, channel.id)
    except psycopg.errors.UniqueViolation:
        return False
    return True


async def delete_channel(tx: Tx, channel_id: UUID) -> None:
    """Forget it."""
    await tx.run("DELETE FROM notification_channel WHERE tenant_id = %s AND id = %s", tx.tenant, channel_id)


def _values(channel: Channel) -> tuple[Any, ...]:
    return (
        channel.name,
        channel.type,
        channel.enabled,
        Jsonb(channel.config),
        channel.min_severity,
        channel.digest_minutes,
        None if channel.quiet_hours is None else Jsonb(channel.quiet_hours),
        channel.updated_at,
        channel.version,
    )
