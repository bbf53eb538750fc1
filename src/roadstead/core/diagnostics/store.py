"""The SQL of quarantine."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.diagnostics.model import Line, QuarantineEntry, QuarantineQuery, QuarantineStatistics
from roadstead.core.ports import Refusal
from roadstead.db import Tx, storable
from roadstead.db.listing import Condition, Listing, SortKey
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = (
    "id, device_id, component_id, sensor_ref, reason, detail, errors, dialect, channel, payload, source, received_at,"
    " attempts, expires_at"
)
_LISTING = Listing(columns=_COLUMNS, source="quarantine")
_NEWEST_FIRST = (SortKey("received_at", True, "timestamptz"),)
_MOST_DEVICES = 100


async def select_entry(tx: Tx, tenant: TenantId, entry_id: UUID) -> QuarantineEntry | None:
    """One entry."""
    sql = f"SELECT {_COLUMNS} FROM quarantine WHERE tenant_id = %s AND id = %s"
    return await tx.one(QuarantineEntry, sql, tenant, entry_id)


async def page_entries(tx: Tx, tenant: TenantId, query: QuarantineQuery, page: PageQuery) -> Page[QuarantineEntry]:
    """Newest first."""
    return await _LISTING.page(tx, QuarantineEntry, _where(tenant, query), _NEWEST_FIRST, page)


async def lock_entries(tx: Tx, tenant: TenantId, entry_ids: Sequence[UUID]) -> list[QuarantineEntry]:
    """Those of these entries that are there, for us alone until the transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM quarantine WHERE tenant_id = %s AND id = ANY (%s) ORDER BY id FOR UPDATE"
    return await tx.all(QuarantineEntry, sql, tenant, list(entry_ids))


async def lock_matching(tx: Tx, tenant: TenantId, query: QuarantineQuery, most: int) -> list[QuarantineEntry]:
    """The entries that were tried least, oldest first, for us alone until the transaction ends."""
    where, params = _spell(tenant, query)
    sql = f"""
        SELECT {_COLUMNS} FROM quarantine WHERE {where} ORDER BY attempts, received_at, id LIMIT %s FOR UPDATE
    """
    return await tx.all(QuarantineEntry, sql, *params, most)


async def count_entries(tx: Tx, tenant: TenantId, query: QuarantineQuery) -> int:
    """How many entries are meant."""
    return await _LISTING.count(tx, _where(tenant, query))


async def update_attempts(tx: Tx, tenant: TenantId, failed: Sequence[tuple[UUID, Refusal]]) -> None:
    """One more attempt has failed, for this reason."""
    sql = """
        UPDATE quarantine SET attempts = attempts + 1, reason = %s, detail = %s, errors = %s, component_id = %s
        WHERE tenant_id = %s AND id = %s
    """
    rows = [
        (refusal.reason.value, storable(refusal.detail), Jsonb(list(refusal.problems)), refusal.component, tenant, id_)
        for id_, refusal in failed
    ]
    await tx.many(sql, rows)


async def delete_entries(tx: Tx, tenant: TenantId, entry_ids: Sequence[UUID]) -> int:
    """Says how many there were."""
    return await tx.run("DELETE FROM quarantine WHERE tenant_id = %s AND id = ANY (%s)", tenant, list(entry_ids))


async def delete_matching(tx: Tx, tenant: TenantId, query: QuarantineQuery) -> int:
    """Says how many there were."""
    where, params = _spell(tenant, query)
    return await tx.run(f"DELETE FROM quarantine WHERE {where}", *params)


async def select_statistics(tx: Tx, tenant: TenantId, query: QuarantineQuery) -> QuarantineStatistics:
    """Counts of what came in a time."""
    where, params = _spell(tenant, query)
    by_reason = await tx.rows(
        f"SELECT reason, count(*) FROM quarantine WHERE {where} GROUP BY reason ORDER BY count(*) DESC, reason", *params
    )
    by_device = await tx.rows(
        f"""
        SELECT device_id, count(*) FROM quarantine WHERE {where} AND device_id IS NOT NULL
        GROUP BY device_id ORDER BY count(*) DESC, device_id LIMIT {_MOST_DEVICES}
        """,
        *params,
    )
    return QuarantineStatistics(
        total=sum(count for _, count in by_reason),
        by_reason=dict(by_reason),
        by_device=[(DeviceId(device_id), count) for device_id, count in by_device],
    )


async def select_refusals(tx: Tx, tenant: TenantId, device_id: DeviceId, *, since: datetime, most: int) -> list[Line]:
    """What was wrong with messages of a device, or about it; newest first."""
    sql = """
        SELECT q.received_at AS at, coalesce(e.problem ->> 'detail', q.detail) AS message
        FROM quarantine q LEFT JOIN LATERAL jsonb_array_elements(q.errors) WITH ORDINALITY AS e (problem, place) ON true
        WHERE q.tenant_id = %s AND q.device_id = %s AND q.received_at >= %s
        ORDER BY q.received_at DESC, q.id DESC, e.place LIMIT %s
    """
    return await tx.all(Line, sql, tenant, device_id, since, most)


async def select_connections(
    tx: Tx, tenant: TenantId, device_id: DeviceId, *, since: datetime, most: int
) -> list[Line]:
    """When a device came and went; newest first."""
    sql = """
        SELECT at, CASE WHEN connected THEN 'Device connected' ELSE 'Device disconnected' END
            || CASE WHEN reason <> '' THEN ': ' || reason ELSE '' END AS message
        FROM device_connection WHERE tenant_id = %s AND device_id = %s AND at >= %s
        ORDER BY at DESC, gateway DESC, session DESC, connected LIMIT %s
    """
    return await tx.all(Line, sql, tenant, device_id, since, most)


def _where(tenant: TenantId, query: QuarantineQuery) -> list[Condition]:
    where = [Condition("tenant_id = %s", (tenant,))]
    if query.reasons:
        where.append(Condition("reason = ANY (%s)", ([reason.value for reason in query.reasons],)))
    if query.device_id is not None:
        where.append(Condition("device_id = %s", (query.device_id,)))
    if query.component_id is not None:
        where.append(Condition("component_id = %s", (query.component_id,)))
    if query.received_from is not None:
        where.append(Condition("received_at >= %s", (query.received_from,)))
    if query.received_before is not None:
        where.append(Condition("received_at < %s", (query.received_before,)))
    return where


def _spell(tenant: TenantId, query: QuarantineQuery) -> tuple[str, list[Any]]:
    where = _where(tenant, query)
    return " AND ".join(condition.sql for condition in where), [
        param for condition in where for param in condition.params
    ]
