"""Setting rules to work: compiled once, with what they name looked up; and showing them the devices."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog

from roadstead.core.rules import alert_store, rule_store, scope_store, state_store
from roadstead.core.rules.conditions import leaves_of, read_condition
from roadstead.core.rules.engine import Engine
from roadstead.core.rules.evaluation import RulePlan
from roadstead.core.rules.rule_model import AlertRule, RuleDraft
from roadstead.core.rules.stations import Deployed, Foreign
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, SensorId, TenantId

log = structlog.get_logger()


def compile_rule(tenant: TenantId, rule: AlertRule | RuleDraft, rule_id: UUID) -> RulePlan:
    """The rule as it is evaluated. Raises `Invalid` for a condition that cannot be read."""
    return RulePlan(
        rule_id,
        tenant,
        read_condition(rule.condition),
        severity=rule.severity,
        cooldown_s=rule.cooldown_s,
        auto_resolve=rule.auto_resolve,
        revision=rule.revision if isinstance(rule, AlertRule) else 1,
    )


async def deploy_rules(work: Work, engine: Engine, rules: Sequence[AlertRule]) -> None:
    """Set enabled rules of one organization to work. Without asking for rights."""
    parts = [part for rule in rules for part in (*rule.scope.sensor_ids, *rule.scope.component_ids)]
    named = await scope_store.select_named(work.tx, parts) if parts else {}
    for rule in rules:
        try:
            plan = compile_rule(work.tenant_id, rule, rule.id)
        except Invalid as error:
            log.error("rule cannot be read", rule=str(rule.id), tenant=work.tenant_id, reason=str(error))
            continue
        engine.put_rule(Deployed(plan, rule.scope, await find_foreign(work, plan)), named)


async def find_foreign(work: Work, plan: RulePlan) -> dict[SensorId, Foreign]:
    """The sensors that the condition names by their ids."""
    named = [leaf.sensor.sensor_id for leaf in leaves_of(plan.condition) if leaf.sensor]
    wanted = [sensor_id for sensor_id in named if sensor_id is not None]
    if not wanted:
        return {}
    found = await scope_store.select_sensors(work.tx, wanted)
    return {id_: Foreign(ids.to_bytes(device_id), sensor) for id_, (device_id, sensor) in found.items()}


async def redeploy_rule(work: Work, engine: Engine, rule_id: UUID) -> bool:
    """Bring what is at work in line with the row of a rule; False when there is nothing (more) to evaluate.

    Only while nothing that has fired waits to be written down. Without asking for rights.
    """
    rule = await rule_store.select_rule(work.tx, rule_id)
    engine.drop_rule(rule_id)
    engine.set_open(rule_id, (await alert_store.select_open_pairs(work.tx, [rule_id]))[rule_id])
    if rule is None or not rule.enabled:
        return False
    await deploy_rules(work, engine, [rule])
    return True


async def find_devices(work: Work, rule: Deployed) -> list[DeviceId]:
    """All devices with a sensor that the rule looks at."""
    found: list[DeviceId] = []
    while True:
        after = found[-1] if found else None
        page = await scope_store.select_in_scope(work, rule.scope, rule.plan.types, after=after, most=10_000)
        found += page
        if len(page) < 10_000:
            return found


async def plan_devices(work: Work, engine: Engine, devices: Mapping[DeviceId, Sequence[str]], *, wall: int) -> None:
    """Show these devices to the rules of the organization; with each the paths it has spoken of. Those that are gone
    are dropped. Without asking for rights."""
    views = await scope_store.select_devices(work, list(devices), engine.groups_of(work.tenant_id))
    strange = [view.id for view in views if not engine.has_station(ids.to_bytes(view.id))]
    kept = await state_store.select_kept(work.tx, work.tenant_id, strange) if strange else {}
    for view in views:
        engine.plan(work.tenant_id, view, devices[view.id], kept.get(view.id), wall)
    for device_id in devices.keys() - {view.id for view in views}:
        engine.drop_device(ids.to_bytes(device_id))
