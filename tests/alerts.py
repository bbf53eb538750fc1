"""Alerts for tests: raised as the evaluation raises them, without a log."""

from typing import Any
from uuid import UUID

from roadstead.core import rules
from roadstead.core.rules import AlertQuery, Firing, Resolution
from roadstead.core.rules.evaluation import Transition, Turn
from roadstead.core.work import Work
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.ids import SensorId
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok


def rule_body(*sensor_ids: str, **fields: Any) -> dict[str, Any]:
    """A rule that fires above 30."""
    condition = {"type": "VALUE", "operator": "GT", "value": 30}
    scope = {"sensorIds": list(sensor_ids)}
    return {"name": "hot", "severity": "WARNING", "scope": scope, "condition": condition} | fields


async def add_sensor(tenant: Tenant, name: str = "pump-1", **fields: Any) -> dict[str, Any]:
    """A sensor `temperature` of a new device, as answered."""
    device = ok(await tenant.api.post("/api/v1/devices", json={"name": name, **fields}))
    body = {"deviceId": device["id"], "key": "temperature", "valueType": "DOUBLE", "unit": "°C"}
    sensor: dict[str, Any] = ok(await tenant.api.post("/api/v1/sensors", json=body))
    return sensor


async def add_rule(tenant: Tenant, *sensor_ids: str, **fields: Any) -> dict[str, Any]:
    """A rule, as answered."""
    rule: dict[str, Any] = ok(await tenant.api.post("/api/v1/alert-rules", json=rule_body(*sensor_ids, **fields)))
    return rule


async def turn(
    tenant: Tenant,
    rule_id: str,
    sensor_id: str,
    turn: Turn = Turn.RAISED,
    *,
    at: int | None = None,
    value: Any = 31.5,
    resolution: Resolution = Resolution.CONDITION_CLEARED,
) -> None:
    """What the evaluation writes down when a condition becomes true, or false again."""
    at = at or time.to_millis(time.now())
    seen = Transition(turn, at, at, value, 30)
    firing = Firing(UUID(rule_id), SensorId(UUID(sensor_id)), seen, resolution)
    async with tenant.edge.system_database.tx(tenant.tenant_id) as tx:
        actor = system_actor(tenant.tenant_id, tenant.organization_id, name="alert rules")
        await rules.apply_firings(Work(actor, tx, tenant.edge.ports), [firing])


async def raise_alert(tenant: Tenant, rule_id: str, sensor_id: str, **how: Any) -> dict[str, Any]:
    """An alert that is ACTIVE, as answered."""
    await turn(tenant, rule_id, sensor_id, **how)
    async with tenant.work() as work:
        query = AlertQuery(rule_id=UUID(rule_id), sensor_id=SensorId(UUID(sensor_id)))
        newest = (await rules.list_alerts(work, query, sort="-triggeredAt", page=PageQuery(limit=1))).items[0]
    alert: dict[str, Any] = ok(await tenant.api.get(f"/api/v1/alerts/{newest.id}"))
    return alert
