"""What the evaluation of rules has to look up anew: gathered from the facts, worked off in small pieces."""

from uuid import UUID

import structlog

from roadstead.bus import FACTS, Bus, Follower, Pack, Start
from roadstead.core import rules
from roadstead.core.messages import (
    AlertChanged,
    AlertRuleChanged,
    AnyFact,
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    DeviceStatusChanged,
    GroupChanged,
    SensorsChanged,
    SitesChanged,
)
from roadstead.core.rules import Engine, Resolution
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.ids import DeviceId, SensorId, TenantId
from roadstead.workers.fact_packs import facts_in

log = structlog.get_logger()

_AT_ONCE = 500
_BY_RULES = frozenset({Resolution.CONDITION_CLEARED, Resolution.OUT_OF_SCOPE})


class RuleNews:
    """What has changed and is not looked up yet. Nothing is lost with it: whoever starts anew looks up everything."""

    def __init__(self, bus: Bus) -> None:
        self._reader = Follower(bus, FACTS, start=Start(new=True))
        self.devices: dict[TenantId, dict[DeviceId, set[str]]] = {}
        """Devices to be planned, with the paths they have spoken of."""
        self.rules: dict[TenantId, dict[UUID, None]] = {}
        self.tenants: dict[TenantId, None] = {}
        """Organizations in which other devices than before belong to sites or groups."""
        self.statuses: dict[bytes, str] = {}
        self.resolved: dict[tuple[UUID, SensorId], bytes] = {}
        """Rules and sensors whose alerts people have resolved, with the device."""
        self.position = 0
        """The last message of FACTS that was heard."""
        self.gap = False
        """Facts were lost: everything may have changed."""

    @property
    def is_settled(self) -> bool:
        """Nothing waits to be looked up."""
        return not (self.devices or self.rules or self.tenants or self.statuses or self.resolved)

    async def open(self) -> None:
        """Hear everything from now on. `Unavailable` without NATS."""
        await self._reader.open()

    async def follow(self) -> None:
        """Gather, until cancelled."""
        try:
            async for pack in self._reader.packs():
                self._hear(pack)
        finally:
            await self._reader.close()

    def want(self, tenant: TenantId, device_id: DeviceId, paths: tuple[str, ...] = ()) -> None:
        """A device has to be planned."""
        self.devices.setdefault(tenant, {}).setdefault(device_id, set()).update(paths)

    def take_devices(self, tenant: TenantId) -> dict[DeviceId, set[str]]:
        """Some of the devices of an organization that are to be planned now."""
        waiting = self.devices[tenant]
        taken = {device: waiting[device] for device in list(waiting)[:_AT_ONCE]}
        for device in taken:
            del waiting[device]
        if not waiting:
            del self.devices[tenant]
        return taken

    def _hear(self, pack: Pack) -> None:
        self.gap = self.gap or pack.gap
        self.position = pack.sequence
        for message, fact in facts_in(pack):
            if fact is not None:
                self._note(message.tenant, fact)

    def _note(self, tenant: TenantId, fact: AnyFact) -> None:
        match fact:
            case DeviceCreated(device_id) | DeviceChanged(device_id) | SensorsChanged(device_id):
                self.want(tenant, device_id)
            case DeviceDeleted():
                self.want(tenant, fact.device_id)
            case DeviceStatusChanged():
                self.statuses[ids.to_bytes(fact.device_id)] = fact.status
            case GroupChanged() | SitesChanged():
                self.tenants[tenant] = None
            case AlertRuleChanged(rule_id):
                self.rules.setdefault(tenant, {})[rule_id] = None
            case AlertChanged() if fact.resolution is not None and fact.resolution not in _BY_RULES:
                self.resolved[fact.rule_id, fact.sensor_id] = ids.to_bytes(fact.device_id)


async def catch_up_rules(work: Work, engine: Engine, news: RuleNews, rule_ids: list[UUID]) -> None:
    """Bring rules of one organization in line with their rows, and have the devices planned that they look at."""
    for rule_id in rule_ids:
        for tenant, device_id in engine.stations_of(rule_id):
            news.want(tenant, device_id)
        if not await rules.redeploy_rule(work, engine, rule_id):
            continue
        rule = engine.find_rule(rule_id)
        for device_id in await rules.find_devices(work, rule) if rule else []:
            if rule is not None and (rule.is_eager or engine.is_planned(ids.to_bytes(device_id))):
                news.want(work.tenant_id, device_id)


async def catch_up_tenant(work: Work, engine: Engine, news: RuleNews) -> None:
    """Other devices than before belong to sites or groups of the organization: plan all of them anew."""
    stations = engine.stations_in(work.tenant_id)
    engine.forget_tenant(work.tenant_id, [ids.to_bytes(device_id) for _, device_id in stations])
    for tenant, device_id in stations:
        news.want(tenant, device_id)
    for rule in engine.eager_rules(work.tenant_id):
        for device_id in await rules.find_devices(work, rule):
            news.want(work.tenant_id, device_id)


async def catch_up_alerts(work: Work, engine: Engine, resolved: dict[tuple[UUID, SensorId], bytes]) -> None:
    """Alerts that people have resolved are closed, unless the rule has raised the next one meanwhile."""
    open_ = await rules.select_open_pairs(work.tx, sorted({rule_id for rule_id, _ in resolved}))
    for (rule_id, sensor_id), device in resolved.items():
        if sensor_id not in open_[rule_id]:
            engine.close((rule_id, sensor_id), device)
