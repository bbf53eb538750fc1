"""Alerts beside their oracle: readings on a log, people who see to alerts, and an evaluation that dies."""

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from roadstead.bus import Bus, Follower, Pack
from roadstead.core import notify, registry, rules
from roadstead.core.messages import (
    Accepted,
    AlertChanged,
    AnyFact,
    Reading,
    Severity,
    ValueType,
    decode_fact,
    encode_accepted,
)
from roadstead.core.notify import ChannelDraft, ChannelType
from roadstead.core.registry import DeviceStatus
from roadstead.core.rules import AlertAction, RuleDraft, RuleScope
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import DeviceId
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import RuleMetrics
from roadstead.workers.rule_evaluation import RuleEvaluation, Superseded
from tests.clock import Clock
from tests.conftest import Tenant
from tests.core.rules.life_oracle import RULES, Oracle, path_is_legal
from tests.fleet import add_device, add_sensor
from tests.mortal import ALL_DONE, Crash, Mortal

TAKEN_OVER = -2


class LogReader:
    """Reads a log that is a list: `bus.Follower`."""

    def __init__(self, log: list[bytes], position: int) -> None:
        self.position = position
        self._log = log

    async def next(self, timeout_s: float) -> Pack | None:
        """The next pack, if there is one."""
        if self.position == len(self._log):
            return None
        self.position += 1
        return Pack(self.position, 0, "accepted.0", self._log[self.position - 1])


class Ground:
    """Two devices of an organization, two rules about them, and all that came of it."""

    def __init__(self, tenant: Tenant, clock: Clock) -> None:
        self.tenant = tenant
        self.clock = clock
        self.oracle = Oracle()
        self.log: list[bytes] = []
        self.database = tenant.edge.system_database
        self.people = [tenant.actor(), tenant.actor()]
        self.devices: list[UUID] = []
        self.rules: list[UUID] = []
        self.alerts: list[UUID] = []
        """In the oracle's order."""
        self._evaluation: RuleEvaluation | None = None
        self._reader = LogReader(self.log, 0)
        self._facts = 0
        self._paths: dict[UUID, list[str]] = {}

    async def begin(self) -> None:
        """Devices, rules, a channel; and an evaluation that has nothing behind it."""
        tenant_id = self.tenant.tenant_id
        async with self.database.tx() as tx:
            # What other tests have left is none of its business.
            await tx.run("DELETE FROM projection")
            await tx.run("UPDATE alert_rule SET enabled = false WHERE name <> 'theirs'")
            await tx.run("DELETE FROM rule_state")
        for _ in range(2):
            self.devices.append(await add_device(self.database, tenant_id, status="ACTIVE"))
            await add_sensor(self.database, tenant_id, self.devices[-1], "t", ValueType.DOUBLE)
        async with self.tenant.work() as work:
            draft = ChannelDraft(name="us", type=ChannelType.WEBHOOK, config={"url": "http://127.0.0.1/"})
            channel = (await notify.create_channel(work, draft)).channel.id
            for rule in RULES:
                made = RuleDraft(
                    name=str(rule.threshold),
                    severity=Severity.WARNING,
                    scope=RuleScope(device_ids=self.devices),
                    condition={"type": "VALUE", "operator": "GT", "value": rule.threshold},
                    cooldown_s=rule.cooldown_ms // 1_000,
                    auto_resolve=rule.auto_resolve,
                    channel_ids=[channel],
                )
                self.rules.append((await rules.create_rule(work, made)).id)
        await self.look()

    async def happen(self, event: tuple[Any, ...]) -> None:
        """One event, on both sides."""
        match event:
            case ("say", device, values, after_s):
                self.clock.pass_(after_s)
                for value in values:
                    self._say(device, value)
            case ("acknowledge" | "resolve" as how, index, person) if self.alerts:
                await self._steer(how, index % len(self.alerts), person)
            case ("silence", index, seconds) if self.alerts:
                await self._silence(index % len(self.alerts), seconds)
            case ("bulk", action, indexes) if self.alerts:
                await self._bulk(action, sorted({index % len(self.alerts) for index in indexes}))
            case ("mute", device, muted):
                async with self.tenant.work() as work:
                    status = DeviceStatus.MAINTENANCE if muted else DeviceStatus.ACTIVE
                    await registry.set_device_status(work, DeviceId(self.devices[device]), status, reason=None)
                self.oracle.muted[device] = muted
            case ("delete", rule):
                async with self.tenant.work() as work:
                    await rules.delete_rule(work, self.rules[rule], expected=None)
                self.oracle.delete(rule, self._now())
            case ("pass", seconds):
                self.clock.pass_(seconds)

    def _now(self) -> int:
        return time.to_millis(self.clock())

    def _say(self, device: int, value: float) -> None:
        self.clock.pass_(0.001)
        raw, now = ids.to_bytes(self.devices[device]), self._now()
        said = Accepted.of(self.tenant.tenant_id, raw, "native", "readings", now, [Reading("t", now, value)])
        self.log.append(encode_accepted([said]))
        self.oracle.say(device, value, now)

    async def _steer(self, how: str, index: int, person: int) -> None:
        deed = rules.acknowledge_alert if how == "acknowledge" else rules.resolve_alert
        try:
            async with self.tenant.edge.tenant_database.tx(self.tenant.tenant_id) as tx:
                await deed(Work(self.people[person], tx, self.tenant.edge.ports), self.alerts[index])
        except Conflict:
            done = False
        else:
            done = True
        if how == "acknowledge":
            assert done == self.oracle.acknowledge(index, person, self._now())
        else:
            assert done == self.oracle.resolve(index, self._now())

    async def _silence(self, index: int, seconds: int | None) -> None:
        until = None if seconds is None else self._now() + seconds * 1_000
        async with self.tenant.work() as work:
            await rules.silence_alert(work, self.alerts[index], None if until is None else time.from_millis(until))
        self.oracle.silence(index, until or 0)

    async def _bulk(self, action: str, indexes: list[int]) -> None:
        async with self.tenant.edge.tenant_database.tx(self.tenant.tenant_id) as tx:
            work = Work(self.people[0], tx, self.tenant.edge.ports)
            outcomes = await rules.change_alerts(work, [self.alerts[index] for index in indexes], AlertAction(action))
        for index, outcome in zip(indexes, outcomes, strict=True):
            if action == "acknowledge":
                done = self.oracle.acknowledge(index, 0, self._now())
            else:
                done = self.oracle.resolve(index, self._now())
            assert done == (outcome.error is None)

    # --- the evaluation ----------------------------------------------------------------------------------------------

    async def look(self, death: int | None = None, *, remember: bool = False) -> None:
        """The evaluation goes on to the end of the log; it may die, and is begun anew. Or another one takes over while
        it lives: then nothing comes of what it still does."""
        if death == TAKEN_OVER:
            left, self._evaluation = self._evaluation, None
            await self._go_on(self.database, remember)
            assert left is not None
            left._beaten_at = 0.0
            with pytest.raises(Superseded):
                await left._step(cast(Follower, LogReader(self.log, left._position)))
        elif death is not None:
            try:
                await self._go_on(self.database if death == ALL_DONE else Mortal(self.database, death), remember)
            except Crash:
                self._evaluation = None
            if death == ALL_DONE:
                self._evaluation = None
        await self._go_on(self.database, remember)

    async def _go_on(self, database: Database, remember: bool) -> None:
        if self._evaluation is None:
            metrics = RuleMetrics(CollectorRegistry())
            made = RuleEvaluation(cast(Bus, None), database, self.tenant.edge.ports, AcceptedPacks(), metrics=metrics)
            await made._begin()
            self._evaluation, self._reader = made, LogReader(self.log, made._position)
        evaluation = self._evaluation
        evaluation._database = database
        now = asyncio.get_running_loop().time()
        # Whether all that it has in mind is written down, or only what has fired.
        evaluation._checked_at = 0.0 if remember else now
        evaluation._beaten_at = 0.0
        for turn in range(20):
            evaluation._clock.sequence, evaluation._clock.known_until = len(self.log), self._now()
            facts = await self._hear()
            for fact in facts:
                evaluation._news._note(self.tenant.tenant_id, fact)
            is_settled = evaluation._news.is_settled and self._reader.position == len(self.log)
            if turn and is_settled and not facts:
                return
            await evaluation._step(cast(Follower, self._reader))
        raise AssertionError("the evaluation does not come to rest")

    async def _hear(self) -> list[AnyFact]:
        sql = "SELECT id, fact FROM outbox WHERE tenant_id = %s AND id > %s ORDER BY id"
        async with self.database.tx() as tx:
            rows = await tx.rows(sql, self.tenant.tenant_id, self._facts)
        facts = [decode_fact(bytes(fact)) for _, fact in rows]
        self._facts = rows[-1][0] if rows else self._facts
        for fact in facts:
            if isinstance(fact, AlertChanged):
                self._paths.setdefault(fact.alert_id, []).append(fact.status)
        return facts

    # --- what has come of it -----------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """Both sides have come to the same, and everything was told once."""
        tenant_id = self.tenant.tenant_id
        async with self.database.tx() as tx:
            found = await tx.rows(
                """
                SELECT a.id, rule_id, a.device_id, a.status, occurrences, resolution, triggered_at, last_seen_at,
                    ARRAY(SELECT action FROM alert_step s WHERE s.tenant_id = a.tenant_id AND s.alert_id = a.id
                          ORDER BY s.at, s.id),
                    e.status
                FROM alert a JOIN event e ON e.tenant_id = a.tenant_id AND e.id = a.event_id
                WHERE a.tenant_id = %s ORDER BY triggered_at, rule_id = %s
                """,
                tenant_id,
                self.rules[1],
            )
            ordinals = await tx.rows("SELECT ordinal FROM alert WHERE tenant_id = %s ORDER BY 1", tenant_id)
            sql = "SELECT type, count(*) FROM event WHERE tenant_id = %s GROUP BY 1"
            events: dict[str, int] = dict(await tx.rows(sql, tenant_id))
            sql = "SELECT alert_id, kind, count(*) FROM announcement WHERE tenant_id = %s GROUP BY 1, 2"
            told = {(id_, kind): count for id_, kind, count in await tx.rows(sql, tenant_id)}
        expected = self.oracle.alerts
        self.alerts = [row[0] for row in found]
        assert [self._spell(row) for row in found] == [
            (self.rules[one.rule], self.devices[one.device], one.status, one.occurrences, one.resolution, one.at)
            for one in expected
        ]
        assert [row[9] for row in found] == [one.status for one in expected], "events follow their alerts"
        assert [sorted(row[8]) for row in found] == [sorted(one.steps) for one in expected]
        cleared = [
            (row, one) for row, one in zip(found, expected, strict=True) if one.resolution == "CONDITION_CLEARED"
        ]
        assert [time.to_millis(row[7]) for row, _ in cleared] == [one.seen for _, one in cleared]
        assert [ordinal for (ordinal,) in ordinals] == list(range(1, len(expected) + 1))
        assert (events.get("alert.raised", 0), events.get("alert.repeated", 0)) == (
            len(expected),
            self.oracle.repeated,
        )
        assert told == {(self.alerts[index], kind): count for (index, kind), count in self.oracle.told.items()}
        for id_, one in zip(self.alerts, expected, strict=True):
            path = self._paths[id_]
            assert path_is_legal(path) and path[-1] == one.status
            if one.status == "RESOLVED":
                assert path.count("RESOLVED") == len(one.steps) - one.steps.index("RESOLVED")

    def _spell(self, row: Any) -> tuple[Any, ...]:
        return (*row[1:6], time.to_millis(row[6]))
