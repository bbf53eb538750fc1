"""The SQL of alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from roadstead.core.events import LifecycleStatus
from roadstead.core.messages import Severity
from roadstead.core.rules.alert_model import Alert, AlertStats, Step
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SensorId, TenantId, UserId, new_id
from roadstead.kernel.page import Page, PageQuery

_COLUMNS = (
    "id, ordinal, event_id, rule_id, rule_name, severity, status, device_id, component_id, sensor_id, site_id, value, "
    "threshold, message, triggered_at, last_seen_at, occurrences, assignee_id, silenced_until, acknowledged_at, "
    "acknowledged_by, resolved_at, resolved_by, resolution"
)
_ALERTS = Listing(columns=_COLUMNS, source="alert")
_FIELDS: Fields = {
    "id": Column("id", ColumnType.ID),
    "status": Column("status"),
    "severity": Column("severity"),
    "ruleId": Column("rule_id", ColumnType.ID),
    "deviceId": Column("device_id", ColumnType.ID),
    "sensorId": Column("sensor_id", ColumnType.ID),
    "siteId": Column("site_id", ColumnType.ID),
    "assigneeId": Column("assignee_id", ColumnType.ID),
    "triggeredAt": Column("triggered_at", ColumnType.INSTANT),
}
_SORT = {
    "triggeredAt": SortKey("triggered_at", cast="timestamptz"),
    "severity": SortKey("severity_rank", cast="smallint"),
}
_MOST_STEPS = 500

Pair = tuple[UUID, UUID]
"""A rule and a sensor."""


async def select_alert(tx: Tx, alert_id: UUID, *, lock: bool = False) -> Alert | None:
    """One alert; with `lock` nobody else changes it until this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM alert WHERE tenant_id = %s AND id = %s{' FOR NO KEY UPDATE' if lock else ''}"
    return await tx.one(Alert, sql, tx.tenant, alert_id)


async def select_alerts_of(tx: Tx, event_ids: Sequence[UUID]) -> list[Alert]:
    """The alerts that began with these events; nobody else changes them until this transaction ends."""
    sql = f"""
        SELECT {_COLUMNS} FROM alert WHERE tenant_id = %s AND event_id = ANY (%s) ORDER BY id FOR NO KEY UPDATE
    """
    return await tx.all(Alert, sql, tx.tenant, list(event_ids))


async def list_alerts(tx: Tx, where: Filter, sort: str | None, page: PageQuery) -> Page[Alert]:
    """Alerts that the filter is true for."""
    return await _ALERTS.page(tx, Alert, _conditions(tx, where), parse_sort(sort, _SORT, "-triggeredAt"), page)


async def select_ids(tx: Tx, where: Filter, *, limit: int) -> list[UUID]:
    """The oldest so many alerts that the filter is true for."""
    conditions = _conditions(tx, where)
    text = " AND ".join(f"({condition.sql})" for condition in conditions)
    params = [param for condition in conditions for param in condition.params]
    rows = await tx.rows(f"SELECT id FROM alert WHERE {text} ORDER BY triggered_at, id LIMIT %s", *params, limit)
    return [row[0] for row in rows]


async def count_alerts(tx: Tx, where: Filter) -> AlertStats:
    """How many there are of each kind."""
    conditions = _conditions(tx, where)
    text = " AND ".join(f"({condition.sql})" for condition in conditions)
    params = [param for condition in conditions for param in condition.params]
    sql = f"SELECT status, severity, count(*) FROM alert WHERE {text} GROUP BY status, severity"
    stats = AlertStats(dict.fromkeys(LifecycleStatus, 0), dict.fromkeys(Severity, 0))
    for status, severity, count in await tx.rows(sql, *params):
        stats.by_status[LifecycleStatus(status)] += count
        stats.by_severity[Severity(severity)] += count
    return stats


def _conditions(tx: Tx, where: Filter) -> list[Condition]:
    return [Condition("tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS)]


async def lock_open(tx: Tx, pairs: Sequence[Pair]) -> dict[Pair, Alert]:
    """The open alerts of rules about sensors; nobody else changes them until this transaction ends."""
    sql = f"""
        SELECT {_COLUMNS} FROM alert
        WHERE tenant_id = %s AND status <> 'RESOLVED'
          AND (rule_id, sensor_id) IN (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))
        ORDER BY id FOR NO KEY UPDATE
    """
    alerts = await tx.all(Alert, sql, tx.tenant, *_columns(pairs))
    return {(alert.rule_id, alert.sensor_id): alert for alert in alerts}


async def lock_open_of_rule(tx: Tx, rule_id: UUID) -> list[Alert]:
    """The open alerts of a rule; nobody else changes them until this transaction ends."""
    sql = f"""
        SELECT {_COLUMNS} FROM alert WHERE tenant_id = %s AND rule_id = %s AND status <> 'RESOLVED'
        ORDER BY id FOR NO KEY UPDATE
    """
    return await tx.all(Alert, sql, tx.tenant, rule_id)


async def select_silences(tx: Tx, pairs: Sequence[Pair], now: datetime) -> dict[Pair, datetime]:
    """Until when rules shall be silent about sensors, for those that shall."""
    sql = """
        SELECT rule_id, sensor_id, max(silenced_until) FROM alert
        WHERE tenant_id = %s AND silenced_until > %s
          AND (rule_id, sensor_id) IN (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))
        GROUP BY 1, 2
    """
    rows = await tx.rows(sql, tx.tenant, now, *_columns(pairs))
    return {(rule_id, sensor_id): until for rule_id, sensor_id, until in rows}


def _columns(pairs: Sequence[Pair]) -> tuple[list[UUID], list[UUID]]:
    return [rule_id for rule_id, _ in pairs], [sensor_id for _, sensor_id in pairs]


async def take_ordinals(tx: Tx, count: int) -> range:
    """So many numbers that no other alert of the organization has."""
    last = await tx.value(
        """
        INSERT INTO ordinal (tenant_id, noun, last) VALUES (%s, 'alert', %s)
        ON CONFLICT (tenant_id, noun) DO UPDATE SET last = ordinal.last + excluded.last RETURNING last
        """,
        tx.tenant,
        count,
    )
    return range(last - count + 1, last + 1)


async def insert_alerts(tx: Tx, alerts: Sequence[Alert]) -> None:
    """Write new alerts down."""
    sql = f"INSERT INTO alert (tenant_id, {_COLUMNS}) VALUES (%s{', %s' * (_COLUMNS.count(',') + 1)})"
    await tx.many(sql, [(tx.tenant, *_row(alert)) for alert in alerts])


async def update_alerts(tx: Tx, alerts: Sequence[Alert]) -> None:
    """Everything about alerts that can change."""
    sql = """
        UPDATE alert SET status = %s, last_seen_at = %s, occurrences = %s, assignee_id = %s, silenced_until = %s,
                         acknowledged_at = %s, acknowledged_by = %s, resolved_at = %s, resolved_by = %s, resolution = %s
        WHERE tenant_id = %s AND id = %s
    """
    rows = [
        (
            alert.status,
            alert.last_seen_at,
            alert.occurrences,
            alert.assignee_id,
            alert.silenced_until,
            alert.acknowledged_at,
            alert.acknowledged_by,
            alert.resolved_at,
            alert.resolved_by,
            alert.resolution,
            tx.tenant,
            alert.id,
        )
        for alert in alerts
    ]
    await tx.many(sql, rows)


def _row(alert: Alert) -> tuple[Any, ...]:
    fields = {name: getattr(alert, name) for name in alert.__struct_fields__}
    for name in ("value", "threshold"):
        fields[name] = None if fields[name] is None else Jsonb(fields[name])
    return tuple(fields.values())


async def insert_steps(tx: Tx, steps: Sequence[tuple[UUID, Step]]) -> None:
    """Add lines to the time lines of alerts."""
    sql = """
        INSERT INTO alert_step (tenant_id, alert_id, at, id, action, actor_id, actor_name, comment)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    rows = [
        (tx.tenant, alert_id, step.at, new_id(), step.action, step.actor_id, step.actor_name, step.comment)
        for alert_id, step in steps
    ]
    await tx.many(sql, rows)


async def select_steps(tx: Tx, alert_id: UUID) -> list[Step]:
    """The time line of an alert, oldest first; of a very long one its newest lines."""
    sql = """
        SELECT * FROM (
            SELECT at, id, action, actor_id, actor_name, comment FROM alert_step
            WHERE tenant_id = %s AND alert_id = %s ORDER BY at DESC, id DESC LIMIT %s
        ) newest ORDER BY at, id
    """
    return await tx.all(Step, sql, tx.tenant, alert_id, _MOST_STEPS)


async def is_member(tx: Tx, person_id: UserId) -> bool:
    """Whether somebody belongs to the organization."""
    sql = "SELECT EXISTS (SELECT FROM membership WHERE tenant_id = %s AND person_id = %s)"
    return bool(await tx.value(sql, tx.tenant, person_id))


# --- for the evaluation: rows of all organizations, for the system duty ----------------------------------------------


async def select_open_pairs(tx: Tx, rule_ids: Sequence[UUID] | None = None) -> dict[UUID, set[SensorId]]:
    """The sensors that rules (these, or all) have open alerts about."""
    sql = "SELECT rule_id, sensor_id FROM alert WHERE status <> 'RESOLVED'"
    if rule_ids is None:
        rows = await tx.rows(sql)
    else:
        rows = await tx.rows(f"{sql} AND rule_id = ANY(%s)", list(rule_ids))
    found: dict[UUID, set[SensorId]] = {rule_id: set() for rule_id in rule_ids or ()}
    for rule_id, sensor_id in rows:
        found.setdefault(rule_id, set()).add(SensorId(sensor_id))
    return found


async def select_stranded(tx: Tx, *, most: int) -> list[tuple[TenantId, UUID]]:
    """Open alerts whose rule or sensor is gone: nothing but us would ever resolve them."""
    sql = """
        SELECT a.tenant_id, a.id FROM alert a
        WHERE a.status <> 'RESOLVED' AND (
            NOT EXISTS (SELECT FROM sensor s WHERE s.tenant_id = a.tenant_id AND s.id = a.sensor_id)
            OR NOT EXISTS (SELECT FROM alert_rule r WHERE r.tenant_id = a.tenant_id AND r.id = a.rule_id)
        )
        LIMIT %s
    """
    return [(TenantId(tenant), alert_id) for tenant, alert_id in await tx.rows(sql, most)]
