"""What can be done with alert rules."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core import notify, registry
from roadstead.core.messages import AlertRuleChanged, Severity
from roadstead.core.operation import operation
from roadstead.core.rules import alert_store, rule_store, scope_store
from roadstead.core.rules.alert_model import Resolution
from roadstead.core.rules.conditions import leaves_of, read_condition, types_in_scope
from roadstead.core.rules.firing import close
from roadstead.core.rules.rule_model import MAX_RULES, AlertRule, RuleChange, RuleDraft, RuleScope
from roadstead.core.work import Work, check_version
from roadstead.db import Condition
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, FieldProblem, Invalid, NotFound
from roadstead.kernel.filter import And, Filter, contains, equals
from roadstead.kernel.ids import DeviceId, GroupId, SensorId, SiteId, new_id
from roadstead.kernel.page import Page, PageQuery

NOTHING_FITS = "no sensor that is there now is in the scope and of a type that the condition can look at"


@operation(Grant.ALERTS_READ)
async def list_rules(
    work: Work,
    *,
    enabled: bool | None = None,
    severity: Severity | None = None,
    device_id: DeviceId | None = None,
    sensor_id: SensorId | None = None,
    text: str | None = None,
    sort: str | None = None,
    page: PageQuery,
) -> Page[AlertRule]:
    """Rules, sorted by `name`, `createdAt` or `lastFiredAt`: those that look at the device, or just at the sensor.

    `text` is part of the name, in any case.
    """
    parts: list[Filter] = []
    if enabled is not None:
        parts.append(equals("enabled", enabled))
    if severity is not None:
        parts.append(equals("severity", severity.value))
    if text:
        parts.append(contains("name", text))
    about: list[Condition] = []
    if sensor_id is not None:
        about.append(
            await _about(work, (await scope_store.select_named(work.tx, [sensor_id])).get(sensor_id), sensor_id)
        )
    if device_id is not None:
        about.append(await _about(work, device_id, None))
    return await rule_store.list_rules(work.tx, And(tuple(parts)), about, sort, page)


async def _about(work: Work, device_id: DeviceId | None, sensor_id: SensorId | None) -> Condition:
    groups = [GroupId(group) for group in await rule_store.select_group_ids(work.tx)]
    found = await scope_store.select_devices(work, [device_id], groups) if device_id else []
    return rule_store.looks_at(found[0], sensor_id) if found else Condition("false")


@operation(Grant.ALERTS_READ)
async def get_rule(work: Work, rule_id: UUID) -> AlertRule:
    """One rule."""
    rule = await rule_store.select_rule(work.tx, rule_id)
    if rule is None:
        raise NotFound("alert rule", rule_id)
    return rule


@operation(Grant.ALERTS_WRITE)
async def create_rule(work: Work, draft: RuleDraft) -> AlertRule:
    """Add a rule; its name is free. It looks at readings that come from now on."""
    await check_rule(work, draft)
    if await rule_store.count_rules(work.tx) >= MAX_RULES:
        raise Conflict(f"an organization has at most {MAX_RULES} alert rules", code="quota-exceeded")
    now = work.now()
    rule = AlertRule(
        id=new_id(),
        last_fired_at=None,
        revision=1,
        created_at=now,
        updated_at=now,
        version=1,
        **_fields(draft),
    )
    if not await rule_store.insert_rule(work.tx, rule):
        raise Conflict.taken("alert rule", "name", rule.name)
    work.record("alert-rule.create", rule.id, after=rule)
    work.emit(AlertRuleChanged(rule.id))
    return rule


@operation(Grant.ALERTS_WRITE)
async def change_rule(work: Work, rule_id: UUID, change: RuleChange, *, expected: int | None) -> AlertRule:
    """Change some fields; scope and tags are merged, a condition is replaced."""
    before = await _lock(work, rule_id, expected)
    fields = _fields(before) | change.sent()
    if change.scope is not UNSET:
        fields["scope"] = _merge_scope(before.scope, change.scope)
    if change.tags is not UNSET:
        fields["tags"] = registry.merge(before.tags, change.tags)
    return await _write(work, before, RuleDraft(**fields))


@operation(Grant.ALERTS_WRITE)
async def replace_rule(work: Work, rule_id: UUID, draft: RuleDraft, *, expected: int | None) -> AlertRule:
    """Change all fields; what the draft leaves out goes back to its default."""
    return await _write(work, await _lock(work, rule_id, expected), draft)


@operation(Grant.ALERTS_WRITE)
async def switch_rule(work: Work, rule_id: UUID, *, enabled: bool) -> AlertRule:
    """Turn evaluation on, or off; open alerts stay."""
    before = await _lock(work, rule_id, None)
    if before.enabled is enabled:
        return before
    return await _write(work, before, RuleDraft(**(_fields(before) | {"enabled": enabled})))


@operation(Grant.ALERTS_WRITE)
async def delete_rule(work: Work, rule_id: UUID, *, expected: int | None) -> None:
    """Delete a rule. Its open alerts are resolved; all of them are kept."""
    rule = await _lock(work, rule_id, expected)
    for alert in await alert_store.lock_open_of_rule(work.tx, rule_id):
        await close(work, alert, Resolution.RULE_DELETED, comment=None, by=work.actor.id)
    await rule_store.delete_rule(work.tx, rule_id)
    work.record("alert-rule.delete", rule_id, before=rule)
    work.emit(AlertRuleChanged(rule_id))


@operation(Grant.ALERTS_READ)
async def warn_of(work: Work, rule: AlertRule) -> list[str]:
    """What is odd about a rule without being wrong."""
    return [] if await _has_sensor(work, rule) else [NOTHING_FITS]


async def _has_sensor(work: Work, rule: AlertRule) -> bool:
    types = types_in_scope(read_condition(rule.condition))
    return bool(await scope_store.select_in_scope(work, rule.scope, types, most=1))


def _fields(source: RuleDraft | AlertRule) -> dict[str, Any]:
    return {name: getattr(source, name) for name in RuleDraft.__struct_fields__}


def _merge_scope(old: RuleScope, patch: Mapping[str, Any]) -> RuleScope:
    try:
        return msgspec.convert(registry.merge(msgspec.to_builtins(old), patch), RuleScope)
    except msgspec.ValidationError as error:
        raise Invalid.field("/scope", str(error)) from error


async def _lock(work: Work, rule_id: UUID, expected: int | None) -> AlertRule:
    rule = await rule_store.select_rule(work.tx, rule_id, lock=True)
    if rule is None:
        raise NotFound("alert rule", rule_id)
    check_version(rule.version, expected)
    return rule


async def _write(work: Work, before: AlertRule, draft: RuleDraft) -> AlertRule:
    await check_rule(work, draft)
    if await rule_store.is_name_taken(work.tx, draft.name, before.id):
        raise Conflict.taken("alert rule", "name", draft.name)
    changed = draft.condition != before.condition
    after = msgspec.structs.replace(
        before,
        revision=before.revision + changed,
        updated_at=work.now(),
        version=before.version + 1,
        **_fields(draft),
    )
    if not await rule_store.update_rule(work.tx, after):
        raise Conflict.taken("alert rule", "name", draft.name)
    work.record("alert-rule.update", after.id, before=before, after=after)
    work.emit(AlertRuleChanged(after.id))
    return after


async def check_rule(work: Work, draft: RuleDraft) -> None:
    """Raises `Invalid` with everything that is wrong with it; ids in scope and condition must be there."""
    draft.check()
    scope, problems = draft.scope, []
    for name, parts in (("sensorIds", scope.sensor_ids), ("componentIds", scope.component_ids)):
        known = await scope_store.select_named(work.tx, parts) if parts else {}
        problems += _missing(f"/scope/{name}", parts, set(known))
    if scope.device_ids:
        problems += _missing(
            "/scope/deviceIds", scope.device_ids, await scope_store.select_known(work.tx, scope.device_ids)
        )
    if scope.site_id is not None and not await registry.load_sites(work, [SiteId(scope.site_id)]):
        problems.append(FieldProblem("/scope/siteId", "invalid", "there is none of this id"))
    if scope.device_group_id is not None:
        try:
            await registry.load_group(work, GroupId(scope.device_group_id))
        except NotFound:
            problems.append(FieldProblem("/scope/deviceGroupId", "invalid", "there is none of this id"))
    named = [leaf.sensor.sensor_id for leaf in leaves_of(read_condition(draft.condition)) if leaf.sensor]
    wanted = [sensor_id for sensor_id in named if sensor_id is not None]
    if wanted and len(await scope_store.select_named(work.tx, wanted)) < len(set(wanted)):
        problems.append(FieldProblem("/condition", "invalid", "speaks of a sensor that does not exist"))
    if problems:
        first = problems[0]
        raise Invalid(f"{first.pointer.lstrip('/').replace('/', '.')}: {first.detail}", fields=problems)
    await notify.check_channels(work, draft.channel_ids)


def _missing(pointer: str, wanted: list[UUID], known: set[UUID]) -> list[FieldProblem]:
    return [
        FieldProblem(f"{pointer}/{index}", "invalid", "there is none of this id")
        for index, id_ in enumerate(wanted)
        if id_ not in known
    ]
