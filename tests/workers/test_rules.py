"""Rules at work on the log: everything that shall fire fires, once, whatever happens to the worker."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from roadstead.bus import ACCEPTED, FACTS, Bus, Publisher, last_sequence
from roadstead.core import registry, rules
from roadstead.core.messages import (
    Accepted,
    FactMessage,
    Reading,
    Severity,
    ValueType,
    encode_accepted,
    encode_facts,
)
from roadstead.core.rules import AlertQuery, RuleDraft, RuleScope
from roadstead.db import Database, Tx
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import PageQuery
from roadstead.workers import rule_clock, rule_evaluation
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import RuleMetrics
from roadstead.workers.rule_evaluation import RuleEvaluation
from roadstead.workers.rules import RuleWorker
from tests.bus.conftest import eventually
from tests.conftest import Tenant
from tests.fleet import add_device, add_sensor
from tests.workers.conftest import running

HOT = {"type": "VALUE", "operator": "GT", "value": 30}


class Floor:
    """A log, a database, and rules at work between them."""

    def __init__(self, bus: Bus, database: Database, tenant: Tenant) -> None:
        self.bus = bus
        self.database = database
        self.tenant = tenant
        self._facts = 0
        self._said = 0

    def worker(self) -> RuleWorker:
        """A fresh process, as it were."""
        metrics = RuleMetrics(CollectorRegistry())
        return RuleWorker(self.bus, self.database, self.tenant.edge.ports, AcceptedPacks(), metrics=metrics)

    async def device(self, *paths: str, status: str = "ACTIVE", type_: ValueType = ValueType.DOUBLE) -> UUID:
        device = await add_device(self.database, self.tenant.tenant_id, status=status)
        for path in paths:
            await add_sensor(self.database, self.tenant.tenant_id, device, path, type_)
        return device

    async def rule(self, condition: dict[str, Any], *devices: UUID, **more: Any) -> UUID:
        draft: dict[str, Any] = {"name": str(new_id()), "severity": Severity.WARNING, "cooldown_s": 0} | more
        draft.setdefault("scope", RuleScope(device_ids=list(devices)))
        async with self.tenant.work() as work:
            rule = await rules.create_rule(work, RuleDraft(condition=condition, **draft))
        await self.carry_facts()
        return rule.id

    async def say(self, device: UUID, value: Any, *, ago_s: float = 0, path: str = "t", late_s: float = 0) -> None:
        received = time.to_millis(time.now()) - int(ago_s * 1_000)
        if not ago_s:
            # What has the time of the reading before would not be news.
            received = self._said = max(received, self._said + 1)
        reading = Reading(path, received - int(late_s * 1_000), value)
        await self.put(self.message(device, [reading], received=received))

    def message(self, device: UUID, readings: Sequence[Reading], *, received: int, replayed: bool = False) -> Accepted:
        raw = ids.to_bytes(device)
        return Accepted.of(self.tenant.tenant_id, raw, "native", "readings", received, readings, replayed=replayed)

    async def put(self, *messages: Accepted) -> None:
        publisher = Publisher(self.bus)
        await publisher.start()
        await publisher.put("accepted.0", encode_accepted(messages), message_id=str(new_id()))
        await publisher.close()

    async def leave_behind(self) -> None:
        """What other tests have left in the outbox stays there."""
        async with self.database.tx() as tx:
            self._facts = int(await tx.value("SELECT coalesce(max(id), 0) FROM outbox"))

    async def carry_facts(self) -> None:
        """What the outbox relay does."""
        async with self.database.tx() as tx:
            rows = await tx.rows("SELECT id, tenant_id, at, fact FROM outbox WHERE id > %s ORDER BY id", self._facts)
        publisher = Publisher(self.bus)
        await publisher.start()
        for id_, tenant, at, fact in rows:
            body = encode_facts([FactMessage(id_, tenant, time.to_millis(at), bytes(fact))])
            await publisher.put(f"facts.{tenant}", body, message_id=str(new_id()))
            self._facts = id_
        await publisher.close()
        await self._reached("rules-facts", await last_sequence(self.bus, FACTS))

    async def alerts(self) -> list[rules.Alert]:
        async with self.tenant.work() as work:
            found = await rules.list_alerts(work, AlertQuery(), sort="triggeredAt", page=PageQuery(limit=200))
        return found.items

    async def events(self) -> list[str]:
        async with self.database.tx() as tx:
            sql = "SELECT type FROM event WHERE tenant_id = %s ORDER BY created_at, id"
            return [row[0] for row in await tx.rows(sql, self.tenant.tenant_id)]

    async def expect(self, *statuses: str) -> list[rules.Alert]:
        """Wait until there are these alerts, oldest first."""

        async def there() -> bool:
            return [alert.status for alert in await self.alerts()] == list(statuses)

        await eventually(there)
        return await self.alerts()

    async def evaluated(self) -> None:
        """Everything that is on the log now has been looked at and written down."""
        await self._reached("rules", await last_sequence(self.bus, ACCEPTED))

    async def _reached(self, projection: str, sequence: int) -> None:
        async def there() -> bool:
            async with self.database.tx() as tx:
                if not await tx.value("SELECT 1 FROM projection WHERE name = 'rules'"):
                    return True  # nobody is at work
                return (
                    int(await tx.value("SELECT position FROM projection WHERE name = %s", projection) or -1) >= sequence
                )

        await eventually(there)


@pytest_asyncio.fixture
async def floor(own_bus: Bus, system_database: Database, acme: Tenant, forgotten: None, monkeypatch: Any) -> Floor:
    monkeypatch.setattr(rule_evaluation, "_BEAT_S", 0.05)
    monkeypatch.setattr(rule_clock, "_EVERY_S", 0.02)
    floor = Floor(own_bus, system_database, acme)
    await floor.leave_behind()
    return floor


async def ready(floor: Floor) -> None:
    """The worker has begun."""

    async def begun() -> bool:
        async with floor.database.tx() as tx:
            return bool(await tx.value("SELECT 1 FROM projection WHERE name = 'rules'"))

    await eventually(begun)


async def test_a_reading_over_a_threshold_raises_one_alert_and_one_below_resolves_it(
    floor: Floor, globex: Tenant
) -> None:
    device, other = await floor.device("t"), await floor.device("t")
    async with running(floor.worker().run()):
        await ready(floor)
        rule = await floor.rule(HOT, device)
        for value in (20.0, 31.5, 35.0):
            await floor.say(device, value)
            await floor.say(other, value)
        (alert,) = await floor.expect("ACTIVE")
        assert (alert.rule_id, alert.device_id, alert.value, alert.threshold) == (rule, device, 31.5, 30)
        assert (alert.ordinal, alert.occurrences, alert.severity) == (1, 1, Severity.WARNING)
        assert alert.message.endswith("is 31.5 (GT 30)")
        await floor.say(device, 25.0)
        (alert,) = await floor.expect("RESOLVED")
        assert (alert.resolution, alert.resolved_by) == (rules.Resolution.CONDITION_CLEARED, None)
        await floor.say(device, 40.0)
        alerts = await floor.expect("RESOLVED", "ACTIVE")
        assert alerts[1].ordinal == 2
    assert await floor.events() == ["alert.raised", "alert.raised"]
    async with globex.work() as work:
        assert (await rules.list_alerts(work, AlertQuery(), page=PageQuery())).items == []


async def test_rules_that_come_change_and_go_are_heard_of_without_a_restart(floor: Floor) -> None:
    device = await floor.device("t")
    async with running(floor.worker().run()):
        await ready(floor)
        rule = await floor.rule(HOT, device, scope=RuleScope(device_ids=[device], field="t"))
        await floor.say(device, 31.0)
        await floor.expect("ACTIVE")
        async with floor.tenant.work() as work:
            change = rules.RuleChange(condition=HOT | {"value": 50})
            await rules.change_rule(work, rule, change, expected=None)
        await floor.carry_facts()
        await floor.say(device, 45.0)
        await floor.expect("RESOLVED")
        async with floor.tenant.work() as work:
            await rules.switch_rule(work, rule, enabled=False)
        await floor.carry_facts()
        await floor.say(device, 60.0)
        await floor.evaluated()
        await floor.expect("RESOLVED")
        async with floor.tenant.work() as work:
            await rules.switch_rule(work, rule, enabled=True)
        await floor.carry_facts()
        await floor.say(device, 61.0)
        await floor.expect("RESOLVED", "ACTIVE")
        async with floor.tenant.work() as work:
            await rules.delete_rule(work, rule, expected=None)
        alerts = await floor.expect("RESOLVED", "RESOLVED")
        assert alerts[1].resolution == rules.Resolution.RULE_DELETED


async def test_late_and_replayed_readings_raise_nothing_and_muted_devices_neither(floor: Floor) -> None:
    device, asleep = await floor.device("t"), await floor.device("t", status="MAINTENANCE")
    async with running(floor.worker().run()):
        await ready(floor)
        await floor.rule(HOT, device, asleep)
        await floor.say(device, 99.0, late_s=301)
        now = time.to_millis(time.now())
        await floor.put(floor.message(device, [Reading("t", now, 99.0)], received=now, replayed=True))
        await floor.say(asleep, 99.0)
        await floor.evaluated()
        assert await floor.alerts() == []
        async with floor.tenant.work() as work:
            await registry.set_device_status(work, DeviceId(asleep), registry.DeviceStatus.ACTIVE, reason=None)
        await floor.carry_facts()
        await floor.say(asleep, 98.0)
        (alert,) = await floor.expect("ACTIVE")
        assert (alert.device_id, alert.value) == (asleep, 98.0)


async def test_a_sensor_that_comes_into_being_is_in_scope_with_its_first_reading(floor: Floor) -> None:
    async with running(floor.worker().run()):
        await ready(floor)
        device = await floor.device("h")
        await floor.rule(HOT, device)
        await floor.say(device, 99.0, path="h")
        await floor.expect("ACTIVE")
        await add_sensor(floor.database, floor.tenant.tenant_id, device, "t", ValueType.DOUBLE)
        await floor.say(device, 98.0)
        alerts = await floor.expect("ACTIVE", "ACTIVE")
        assert {alert.value for alert in alerts} == {99.0, 98.0}


async def test_a_condition_can_speak_of_sensors_of_other_devices(floor: Floor) -> None:
    pump, tank = await floor.device("t"), await floor.device("level")
    async with floor.database.tx() as tx:
        level = await tx.value("SELECT id FROM sensor WHERE device_id = %s", tank)
    low = {"type": "VALUE", "operator": "LT", "value": 5, "sensor": {"sensorId": str(level)}}
    async with running(floor.worker().run()):
        await ready(floor)
        await floor.rule({"all": [HOT, low]}, pump)
        await floor.say(pump, 40.0)
        await floor.say(tank, 9.0, path="level")
        await floor.evaluated()
        assert await floor.alerts() == []
        await floor.say(tank, 4.0, path="level")
        (alert,) = await floor.expect("ACTIVE")
        assert alert.device_id == pump
        await floor.say(tank, 6.0, path="level")
        await floor.expect("RESOLVED")


async def test_what_leaves_the_scope_is_resolved_and_what_people_resolve_may_fire_again(floor: Floor) -> None:
    device = await floor.device("t")
    async with running(floor.worker().run()):
        await ready(floor)
        rule = await floor.rule(HOT, device, auto_resolve=False)
        await floor.say(device, 40.0)
        (alert,) = await floor.expect("ACTIVE")
        await floor.say(device, 10.0)
        await floor.say(device, 41.0)

        async def repeated() -> bool:
            return (await floor.alerts())[0].occurrences == 2

        await eventually(repeated)
        async with floor.tenant.work() as work:
            await rules.resolve_alert(work, alert.id)
        await floor.carry_facts()
        await floor.say(device, 42.0)
        await floor.expect("RESOLVED", "ACTIVE")
        async with floor.tenant.work() as work:
            change = rules.RuleChange(scope={"field": "other"}, auto_resolve=True)
            await rules.change_rule(work, rule, change, expected=None)
        await floor.carry_facts()
        alerts = await floor.expect("RESOLVED", "RESOLVED")
        assert alerts[1].resolution == rules.Resolution.OUT_OF_SCOPE
    assert await floor.events() == ["alert.raised", "alert.repeated", "alert.raised"]


# --- crashes ---------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process dies."""


class Fragile(Database):
    """A database whose client dies around the commits it is told to; before it, or right after."""

    def __init__(self, inner: Database, dies: Callable[[str], bool]) -> None:
        self._inner = inner
        self._dies = dies

    def tx(self, tenant: Any = None) -> Any:
        inner, dies = self._inner.tx(tenant), self._dies

        class Guarded:
            async def __aenter__(self) -> Tx:
                if dies("begin"):
                    raise Crash
                return await inner.__aenter__()

            async def __aexit__(self, *error: Any) -> Any:
                if error[0] is None and dies("commit"):
                    failure = Crash()
                    await inner.__aexit__(Crash, failure, None)
                    raise failure
                answer = await inner.__aexit__(*error)
                if error[0] is None and dies("after"):
                    raise Crash
                return answer

        return Guarded()


async def test_a_worker_that_dies_again_and_again_loses_no_alert_and_raises_none_twice(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_CHECKPOINT_S", 0.05), ("_MOST_PACKS", 2), ("_BEAT_S", 0.005), ("_POLL_S", 0.005)):
        monkeypatch.setattr(rule_evaluation, name, value)
    device, steady = await floor.device("t"), await floor.device("t")
    average = {"type": "AGGREGATE", "function": "AVG", "window": "PT1M", "minSamples": 3, "operator": "GT", "value": 30}
    async with running(floor.worker().run()):
        await ready(floor)
        rule = await floor.rule(HOT, device, scope=RuleScope(device_ids=[device, steady], field="t"))
        await floor.rule(average, steady)
    start = time.to_millis(time.now()) - 100_000
    expected = 0
    for number in range(60):
        hot = number % 3 == 1
        expected += hot
        at = start + number * 1_000
        await floor.put(
            floor.message(device, [Reading("t", at, 40.0 if hot else 20.0)], received=at),
            floor.message(steady, [Reading("t", at, 25.0 + number / 5)], received=at),
        )
    steps = 0

    def dies_at(limit: int) -> Callable[[str], bool]:
        left = limit

        def dies(_: str) -> bool:
            nonlocal left, steps
            left -= 1
            steps += 1
            return left == 0

        return dies

    deaths = 0
    for limit in (*range(8, 40), 0):
        fragile = cast(Database, Fragile(floor.database, dies_at(limit)))
        metrics = RuleMetrics(CollectorRegistry())
        evaluation = RuleEvaluation(floor.bus, fragile, floor.tenant.edge.ports, AcceptedPacks(), metrics=metrics)
        task = asyncio.create_task(evaluation.run())
        if limit:
            with pytest.raises(Crash):
                await asyncio.wait_for(task, 30)
            deaths += 1
        else:
            await floor.evaluated()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    alerts = await floor.alerts()
    of_device = [alert for alert in alerts if alert.rule_id == rule and alert.device_id == device]
    assert len(of_device) == expected
    assert sorted(alert.triggered_at for alert in of_device) == [
        time.from_millis(start + number * 1_000) for number in range(60) if number % 3 == 1
    ]
    others = [alert for alert in alerts if alert.device_id == steady]
    assert [(alert.rule_id == rule, alert.occurrences) for alert in others] == [(True, 1), (False, 1)]
    assert sorted(alert.ordinal for alert in alerts) == list(range(1, expected + 3))
    assert await floor.events() == ["alert.raised"] * (expected + 2)
    assert deaths > 15
    print(f"{deaths} deaths, {steps} steps")


async def test_a_restart_takes_no_time_of_its_own_for_silence(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    device = await floor.device("t")
    async with running(floor.worker().run()):
        await ready(floor)
        await floor.rule({"type": "ABSENCE", "for": "PT10S"}, device)
        await floor.say(device, 1.0)
        await floor.evaluated()
    hour = timedelta(hours=1)
    async with floor.database.tx() as tx:
        # An hour goes by while nobody is there: the worker was last alive, and the device last heard of, an hour ago.
        await tx.run("UPDATE projection SET at = at - %s WHERE name LIKE 'rules%%'", hour)
    watch_now = time.now

    def later() -> Any:
        return watch_now() + shift

    shift = timedelta()
    monkeypatch.setattr(time, "now", later)
    async with running(floor.worker().run()):
        await ready(floor)
        await floor.evaluated()
        await asyncio.sleep(0.3)  # many ticks
        assert await floor.alerts() == []
        for _ in range(30):  # it goes on being silent, second by second
            shift += timedelta(seconds=1)
            await asyncio.sleep(0.06)
            if await floor.alerts():
                break
        (alert,) = await floor.expect("ACTIVE")
    assert alert.threshold == "PT10S"


async def test_only_one_of_two_workers_evaluates(floor: Floor) -> None:
    device = await floor.device("t")
    async with running(floor.worker().run()), running(floor.worker().run()):
        await ready(floor)
        await floor.rule(HOT, device)
        for number in range(10):
            await floor.say(device, 40.0 if number % 2 else 20.0)
        await floor.evaluated()
        assert [alert.ordinal for alert in await floor.alerts()] == [1, 2, 3, 4, 5]
    assert await floor.events() == ["alert.raised"] * 5
