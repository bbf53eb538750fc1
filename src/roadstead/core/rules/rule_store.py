"""The SQL of alert rules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.rules.rule_model import AlertRule
from roadstead.core.rules.scopes import DeviceView
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, ColumnType, Fields, compile_filter
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SensorId, TenantId
from roadstead.kernel.page import Page, PageQuery

_RULES = Listing(
    columns="""
        id, name, description, enabled, severity, scope, condition, cooldown_s, auto_resolve,
        ARRAY(SELECT named.id FROM unnest(channel_ids) WITH ORDINALITY AS named (id, place)
            JOIN notification_channel channel ON channel.tenant_id = alert_rule.tenant_id AND channel.id = named.id
            ORDER BY place
        ) AS channel_ids,
        message_template, tags, nullif(last_fired_at, 'epoch') AS last_fired_at, revision, created_at, updated_at,
        version
    """,
    source="alert_rule",
)
_FIELDS: Fields = {
    "name": Column("name"),
    "enabled": Column("enabled", ColumnType.BOOLEAN),
    "severity": Column("severity"),
}
_SORT = {
    "name": SortKey("name"),
    "createdAt": SortKey("created_at", cast="timestamptz"),
    "lastFiredAt": SortKey("last_fired_at", cast="timestamptz"),
}
_BY_ID = "WHERE tenant_id = %s AND id = %s"


class OwnedRule(msgspec.Struct, frozen=True):
    """A rule that is to be evaluated, and whose it is."""

    tenant_id: TenantId
    rule: AlertRule


async def select_rule(tx: Tx, rule_id: UUID, *, lock: bool = False) -> AlertRule | None:
    """One rule; with `lock` nobody else changes it until this transaction ends."""
    sql = f"SELECT {_RULES.columns} FROM alert_rule {_BY_ID}{' FOR UPDATE' if lock else ''}"
    return await tx.one(AlertRule, sql, tx.tenant, rule_id)


async def select_rules(tx: Tx, rule_ids: Sequence[UUID]) -> dict[UUID, AlertRule]:
    """Those of the rules that are there; they are not deleted while this transaction lasts."""
    sql = f"""
        SELECT {_RULES.columns} FROM alert_rule WHERE tenant_id = %s AND id = ANY(%s) ORDER BY id FOR KEY SHARE
    """
    return {rule.id: rule for rule in await tx.all(AlertRule, sql, tx.tenant, list(rule_ids))}


async def select_enabled(tx: Tx, after: tuple[TenantId, UUID] | None, *, most: int) -> list[OwnedRule]:
    """Rules of all organizations that are to be evaluated, in order of organization and id: for the system duty."""
    tenant, rule_id = after or (TenantId(0), UUID(int=0))
    sql = f"""
        SELECT tenant_id, {_RULES.columns} FROM alert_rule
        WHERE enabled AND (tenant_id, id) > (%s, %s) ORDER BY tenant_id, id LIMIT %s
    """
    tenants, rules = await tx.keyed(AlertRule, sql, tenant, rule_id, most)
    return [OwnedRule(TenantId(owner), rule) for owner, rule in zip(tenants, rules, strict=True)]


async def list_rules(
    tx: Tx, where: Filter, about: Sequence[Condition], sort: str | None, page: PageQuery
) -> Page[AlertRule]:
    """Rules that the filter, and all conditions of `looks_at`, are true for."""
    conditions = [Condition("tenant_id = %s", (tx.tenant,)), compile_filter(where, _FIELDS), *about]
    return await _RULES.page(tx, AlertRule, conditions, parse_sort(sort, _SORT, "name"), page)


def looks_at(device: DeviceView, sensor_id: SensorId | None) -> Condition:
    """The rule has the device in its scope, or just this sensor of it. Rules are few enough to look at all of them."""
    sensors = [sensor for sensor in device.sensors if sensor_id in (None, sensor.id)]
    parts = {
        "sensorIds": [str(sensor.id) for sensor in sensors],
        "componentIds": [str(sensor.component_id) for sensor in sensors if sensor.component_id],
        "deviceIds": [str(device.id)],
    }
    scalars = {
        "deviceGroupId": [str(group) for group in device.groups],
        "siteId": [str(site) for site in device.sites],
        "sensorProfile": [profile for sensor in sensors for profile in sensor.profiles],
    }
    if sensor_id is not None:
        scalars["field"] = [sensor.field_name for sensor in sensors]
    sql = [f"(NOT scope ? '{name}' OR scope -> '{name}' ?| %s)" for name in parts]
    sql += [f"(NOT scope ? '{name}' OR scope ->> '{name}' = ANY(%s))" for name in scalars]
    return Condition(" AND ".join(sql), (*parts.values(), *scalars.values()))


async def select_group_ids(tx: Tx) -> list[UUID]:
    """The groups that rules of the organization speak of."""
    sql = """
        SELECT DISTINCT (scope ->> 'deviceGroupId')::uuid FROM alert_rule
        WHERE tenant_id = %s AND scope ? 'deviceGroupId'
    """
    return [row[0] for row in await tx.rows(sql, tx.tenant)]


async def count_rules(tx: Tx) -> int:
    """How many there are."""
    return int(await tx.value("SELECT count(*) FROM alert_rule WHERE tenant_id = %s", tx.tenant))


async def is_name_taken(tx: Tx, name: str, besides: UUID) -> bool:
    """Whether another rule has this name."""
    holder = await tx.value("SELECT id FROM alert_rule WHERE tenant_id = %s AND name = %s", tx.tenant, name)
    return holder is not None and holder != besides


async def insert_rule(tx: Tx, rule: AlertRule) -> bool:
    """False when the name is taken."""
    sql = """
        INSERT INTO alert_rule (tenant_id, id, created_at, name, description, enabled, severity, scope, condition,
                                cooldown_s, auto_resolve, channel_ids, message_template, tags, revision, updated_at,
                                version)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, name) DO NOTHING
    """
    return bool(await tx.run(sql, tx.tenant, rule.id, rule.created_at, *_values(rule)))


async def update_rule(tx: Tx, rule: AlertRule) -> bool:
    """False when the name has just been taken; the transaction is of no more use then."""
    sql = """
        UPDATE alert_rule SET name = %s, description = %s, enabled = %s, severity = %s, scope = %s, condition = %s,
                              cooldown_s = %s, auto_resolve = %s, channel_ids = %s, message_template = %s, tags = %s,
                              revision = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    try:
        await tx.run(sql, *_values(rule), tx.tenant, rule.id)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def _values(rule: AlertRule) -> tuple[Any, ...]:
    return (
        rule.name,
        rule.description,
        rule.enabled,
        rule.severity,
        Jsonb(rule.scope),
        Jsonb(rule.condition),
        rule.cooldown_s,
        rule.auto_resolve,
        rule.channel_ids,
        rule.message_template,
        Jsonb(rule.tags),
        rule.revision,
        rule.updated_at,
        rule.version,
    )


async def mark_fired(tx: Tx, rule_ids: Sequence[UUID], at: datetime) -> None:
    """When rules last fired."""
    sql = "UPDATE alert_rule SET last_fired_at = greatest(last_fired_at, %s) WHERE tenant_id = %s AND id = ANY(%s)"
    await tx.run(sql, at, tx.tenant, sorted(rule_ids))


async def delete_rule(tx: Tx, rule_id: UUID) -> None:
    """Forget a rule."""
    await tx.run(f"DELETE FROM alert_rule {_BY_ID}", tx.tenant, rule_id)
