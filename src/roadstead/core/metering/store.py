"""The SQL of what is counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from roadstead.core.metering.model import Counts
from roadstead.core.ports import Span
from roadstead.db import Condition, Tx
from roadstead.kernel.actor import NOBODY
from roadstead.kernel.ids import DeviceId, SpaceId, TenantId

_CHUNK = 5_000


async def add_counts(tx: Tx, counts: Counts) -> None:
    """Add to what was counted before. What is about a device that is gone counts for no space."""
    sql = """
        INSERT INTO payload_count (tenant_id, device_id, day, kind, source, space_id, messages, bytes)
        SELECT n.tenant_id, n.device_id, n.day, n.kind, n.source, coalesce(device.space_id, %s),
               n.messages::integer[], n.bytes::bigint[]
        FROM unnest(%s::integer[], %s::uuid[], %s::date[], %s::text[], %s::text[], %s::text[], %s::text[])
             AS n (tenant_id, device_id, day, kind, source, messages, bytes)
        JOIN tenant ON tenant.tenant_id = n.tenant_id
        LEFT JOIN device ON device.tenant_id = n.tenant_id AND device.id = n.device_id
        ON CONFLICT (tenant_id, device_id, day, kind, source) DO UPDATE SET
            messages = ARRAY(
                SELECT a + b FROM unnest(payload_count.messages, excluded.messages) WITH ORDINALITY AS t (a, b, place)
                ORDER BY place
            ),
            bytes = ARRAY(
                SELECT a + b FROM unnest(payload_count.bytes, excluded.bytes) WITH ORDINALITY AS t (a, b, place)
                ORDER BY place
            )
    """
    items = counts.items()
    for first in range(0, len(items), _CHUNK):
        keys, messages, sizes = zip(*items[first : first + _CHUNK], strict=True)
        columns = [list(column) for column in zip(*keys, strict=True)]
        columns[2] = [day.date() for day in columns[2]]
        columns[3] = [str(kind) for kind in columns[3]]
        await tx.run(sql, NOBODY, *columns, _arrays(messages), _arrays(sizes))


def _arrays(rows: Sequence[Sequence[int]]) -> list[str]:
    # An array of arrays of PostgreSQL is one with two dimensions, which cannot be taken apart by rows.
    return ["{" + ",".join(map(str, row)) + "}" for row in rows]


async def select_totals(
    tx: Tx,
    tenant: TenantId,
    span: Span,
    *,
    space_id: SpaceId | None,
    devices: Sequence[DeviceId] | None,
    in_bytes: bool,
) -> list[tuple[UUID, str, str, int]]:
    """Device, kind, source and how many in the hours that begin in a span; without `devices` the device is zeros."""
    condition = _where(tenant, span, space_id, devices)
    device = "p.device_id" if devices is not None else f"'{NOBODY}'::uuid"
    sql = f"""
        SELECT {device} AS device, p.kind, p.source, sum(h.number)::bigint
        FROM payload_count p, unnest({"p.bytes" if in_bytes else "p.messages"}) WITH ORDINALITY AS h (number, hour)
        WHERE {condition.sql} GROUP BY 1, 2, 3 HAVING sum(h.number) > 0 ORDER BY 1, 2, 3
    """
    return [(row[0], row[1], row[2], row[3]) for row in await tx.rows(sql, *condition.params)]


async def select_chart(
    tx: Tx,
    tenant: TenantId,
    span: Span,
    resolution: timedelta,
    *,
    space_id: SpaceId | None,
    devices: Sequence[DeviceId] | None,
    in_bytes: bool,
) -> list[tuple[datetime, int]]:
    """How many in each stretch of a span that has some."""
    condition = _where(tenant, span, space_id, devices)
    sql = f"""
        SELECT date_bin(%s, {_HOUR}, 'epoch') AS start, sum(h.number)::bigint
        FROM payload_count p, unnest({"p.bytes" if in_bytes else "p.messages"}) WITH ORDINALITY AS h (number, hour)
        WHERE {condition.sql} GROUP BY 1 HAVING sum(h.number) > 0 ORDER BY 1
    """
    return [(row[0], row[1]) for row in await tx.rows(sql, resolution, *condition.params)]


_HOUR = "(p.day + (h.hour - 1) * interval '1 hour')::timestamp AT TIME ZONE 'UTC'"


def _where(tenant: TenantId, span: Span, space_id: SpaceId | None, devices: Sequence[DeviceId] | None) -> Condition:
    parts = [f"p.tenant_id = %s AND p.day BETWEEN %s AND %s AND {_HOUR} >= date_trunc('hour', %s) AND {_HOUR} < %s"]
    params: list[object] = [tenant, span.start.date(), span.end.date(), span.start, span.end]
    if space_id is not None:
        parts.append("p.space_id = %s")
        params.append(space_id)
    if devices is not None:
        parts.append("p.device_id = ANY (%s)")
        params.append(list(devices))
    return Condition(" AND ".join(parts), tuple(params))


async def select_askers(tx: Tx, commands: Sequence[tuple[TenantId, UUID]]) -> dict[UUID, tuple[str, int]]:
    """By id of a command: what kind of caller has asked for it, and how long its payload is."""
    sql = """
        SELECT c.id, CASE
                 WHEN EXISTS (SELECT FROM device d WHERE d.tenant_id = c.tenant_id AND d.id = c.requested_by)
                     THEN 'device'
                 WHEN EXISTS (SELECT FROM api_key k WHERE k.tenant_id = c.tenant_id AND k.id = c.requested_by)
                     THEN 'apiToken'
                 WHEN c.requested_by = %s THEN 'system' ELSE 'user' END,
               length(c.payload::text)
        FROM command c JOIN unnest(%s::integer[], %s::uuid[]) AS asked (tenant_id, id)
             ON c.tenant_id = asked.tenant_id AND c.id = asked.id
    """
    rows = await tx.rows(sql, NOBODY, [tenant for tenant, _ in commands], [id_ for _, id_ in commands])
    return {row[0]: (row[1], row[2]) for row in rows}
