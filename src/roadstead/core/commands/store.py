"""The SQL of commands, as programs see them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.commands.kinds import CommandType
from roadstead.core.commands.model import Command, CommandId, CommandQuery, CommandStatus, Target
from roadstead.db import Tx
from roadstead.db.listing import Condition, Listing, SortKey, parse_sort
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import Page, PageQuery

NAMES = [
    "id", "device_id", "batch_id", "dialect", "type", "payload", "notes", "status", "result", "error", "requested_by",
    "timeout_s", "created_at", "release_at", "expires_at", "sent_at", "delivered_at", "acknowledged_at", "completed_at",
    "awaits_answer",
]  # fmt: skip
_COLUMNS = ", ".join(NAMES)
_LISTING = Listing(columns=_COLUMNS, source="command")
_SORT = {"createdAt": SortKey("created_at", cast="timestamptz")}
_BY_ID = "WHERE tenant_id = %s AND id = %s"


_TARGETS = """
    SELECT d.id, d.status, p.key || '@' || p.major || '.' || p.minor AS profile,
        coalesce(p.commands, '[]') || coalesce((
            SELECT jsonb_agg(jsonb_build_object('type', a.key, 'paramsSchema', a.value))
            FROM jsonb_each(t.sections -> 'actions') a WHERE jsonb_typeof(a.value) = 'object'
        ), '[]') AS commands,
        coalesce(p.writable_fields, '[]') AS writable_fields,
        d.status <> 'PENDING' OR d.gateway_id IS NOT NULL OR EXISTS (
            SELECT FROM certificate c WHERE c.tenant_id = d.tenant_id AND c.device_id = d.id
        ) OR EXISTS (
            SELECT FROM access_key k WHERE k.tenant_id = d.tenant_id AND k.space_id = d.space_id
                AND k.status = 'active'
        ) AS is_known
    FROM device d LEFT JOIN device_profile p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
    LEFT JOIN device_type t ON t.tenant_id = d.tenant_id AND t.id = d.type_id
    WHERE d.tenant_id = %s AND d.id
"""
"""A device that another one connects need not come by itself."""


async def select_target(tx: Tx, device_id: DeviceId) -> Target | None:
    """The device, if it is there."""
    return await tx.one(Target, f"{_TARGETS} = %s", tx.tenant, device_id)


async def select_targets(tx: Tx, device_ids: Sequence[DeviceId]) -> list[Target]:
    """Those of the devices that are there."""
    return await tx.all(Target, f"{_TARGETS} = ANY (%s)", tx.tenant, list(device_ids))


async def select_kinds(tx: Tx, device_ids: Sequence[DeviceId]) -> dict[DeviceId, UUID]:
    """What kind these devices are (`device.kind_id`), as far as they are there and not INACTIVE."""
    sql = "SELECT id, kind_id FROM device WHERE tenant_id = %s AND id = ANY (%s) AND status <> 'INACTIVE' ORDER BY id"
    return {DeviceId(id_): kind for id_, kind in await tx.rows(sql, tx.tenant, list(device_ids))}


async def select_types(tx: Tx) -> list[CommandType]:
    """The commands of the newest version of every device profile, by type."""
    sql = """
        SELECT c.value ->> 'type' AS type, c.value -> 'paramsSchema' AS schema,
            p.key || '@' || p.major || '.' || p.minor AS profile
        FROM (
            SELECT DISTINCT ON (key) key, major, minor, commands FROM device_profile WHERE tenant_id = %s
            ORDER BY key, deprecated, major DESC, minor DESC
        ) p, jsonb_array_elements(p.commands) c
        ORDER BY 1, 3
    """
    return await tx.all(CommandType, sql, tx.tenant)


_ONE_ROW = "(VALUES (%s::uuid, %s::uuid, %s::timestamptz, %s::timestamptz))"
_ROWS = "unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[])"


def insert_commands(tx: Tx, commands: Sequence[Command]) -> None:
    """With the commit, add those that are new; each is due when it leaves, or when it expires if it leaves at once."""
    insert = """
        INSERT INTO command (tenant_id, id, device_id, batch_id, dialect, type, payload, notes, status, requested_by,
                             timeout_s, awaits_answer, created_at, release_at, expires_at, due_at)
        SELECT %s, n.id, n.device_id, %s, %s, %s, %s, %s, 'PENDING', %s, %s, %s, %s, n.release_at, n.expires_at,
            CASE WHEN n.release_at > %s THEN n.release_at ELSE n.expires_at END
        FROM {rows} AS n (id, device_id, release_at, expires_at)
        ON CONFLICT DO NOTHING
    """
    one = commands[0]
    own = [(command.id, command.device_id, command.release_at, command.expires_at) for command in commands]
    few = len(own) == 1  # as nearly always: arrays cost the driver more than what is in them
    tx.later(
        insert.format(rows=_ONE_ROW if few else _ROWS),
        tx.tenant,
        one.batch_id,
        one.dialect,
        one.type,
        Jsonb(one.payload),
        Jsonb(one.notes),
        one.requested_by,
        one.timeout_s,
        one.awaits_answer,
        one.created_at,
        one.created_at,
        *(own[0] if few else map(list, zip(*own, strict=True))),
    )


async def select_command(tx: Tx, command_id: CommandId) -> Command | None:
    """One command."""
    return await tx.one(Command, f"SELECT {_COLUMNS} FROM command {_BY_ID}", tx.tenant, command_id)


async def select_commands(tx: Tx, command_ids: Sequence[CommandId]) -> list[Command]:
    """Those of the commands that are there."""
    sql = f"SELECT {_COLUMNS} FROM command WHERE tenant_id = %s AND id = ANY (%s)"
    return await tx.all(Command, sql, tx.tenant, list(command_ids))


async def lock_command(tx: Tx, command_id: CommandId) -> Command | None:
    """One command, which nobody else changes until this transaction ends."""
    return await tx.one(Command, f"SELECT {_COLUMNS} FROM command {_BY_ID} FOR NO KEY UPDATE", tx.tenant, command_id)


async def page_commands(tx: Tx, query: CommandQuery, page: PageQuery, *, sort: str = "-createdAt") -> Page[Command]:
    """Newest first unless told otherwise."""
    where = [Condition("tenant_id = %s", (tx.tenant,))]
    for column, value in (
        ("device_id", query.device_ids),
        ("status", [status.value for status in query.statuses] or None),
        ("type", list(query.types) or None),
    ):
        if value is not None:
            where.append(Condition(f"{column} = ANY (%s)", (list(value),)))
    if query.batch_id is not None:
        where.append(Condition("batch_id = %s", (query.batch_id,)))
    if query.created_from is not None:
        where.append(Condition("created_at >= %s", (query.created_from,)))
    if query.created_before is not None:
        where.append(Condition("created_at < %s", (query.created_before,)))
    return await _LISTING.page(tx, Command, where, parse_sort(sort, _SORT, sort), page)


async def cancel_command(tx: Tx, command_id: CommandId, at: datetime) -> None:
    """It will not be sent."""
    sql = f"UPDATE command SET status = 'CANCELLED', completed_at = %s, due_at = NULL {_BY_ID}"
    await tx.run(sql, at, tx.tenant, command_id)


async def cancel_pending(tx: Tx, batch_id: UUID, reason: str, at: datetime) -> list[tuple[CommandId, DeviceId]]:
    """Those of a bulk that have not left will not; says which."""
    rows = await tx.rows(
        """
        UPDATE command c SET status = 'CANCELLED', error = %s, completed_at = %s, due_at = NULL
        FROM (
            SELECT tenant_id, id FROM command WHERE tenant_id = %s AND batch_id = %s AND status = 'PENDING'
            ORDER BY tenant_id, id FOR NO KEY UPDATE
        ) n
        WHERE c.tenant_id = n.tenant_id AND c.id = n.id
        RETURNING c.id, c.device_id
        """,
        reason,
        at,
        tx.tenant,
        batch_id,
    )
    return [(CommandId(id_), DeviceId(device)) for id_, device in rows]


async def count_statuses(tx: Tx, batch_id: UUID) -> dict[CommandStatus, int]:
    """How many commands of a bulk have each status."""
    sql = "SELECT status, count(*) FROM command WHERE tenant_id = %s AND batch_id = %s GROUP BY status"
    return {CommandStatus(status): count for status, count in await tx.rows(sql, tx.tenant, batch_id)}


async def delete_ended(tx: Tx, device_ids: Sequence[DeviceId], start: datetime, end: datetime) -> None:
    """Forget the commands of a span that are over."""
    sql = """
        DELETE FROM command
        WHERE tenant_id = %s AND device_id = ANY (%s) AND created_at >= %s AND created_at < %s
            AND completed_at IS NOT NULL
    """
    await tx.run(sql, tx.tenant, list(device_ids), start, end)
