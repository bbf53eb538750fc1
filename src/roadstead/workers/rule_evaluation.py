"""Alert rules at work on what was accepted: once for each message and rule, whatever happens to this process."""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import psycopg
import structlog

from roadstead.bus import ACCEPTED, Bus, Follower, Pack, Start, last_sequence
from roadstead.core import rules, telemetry
from roadstead.core.messages import Logged
from roadstead.core.ports import Ports
from roadstead.core.rules import SLOTS, TICK_MS, AlertRule, Engine, Firing, StateRow
from roadstead.core.work import Work
from roadstead.db import Database, Tx
from roadstead.kernel import ids, time
from roadstead.kernel.actor import NOBODY, system_actor
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metrics import RuleMetrics
from roadstead.workers.patience import patiently
from roadstead.workers.rule_clock import RuleClock
from roadstead.workers.rule_news import RuleNews, catch_up_alerts, catch_up_rules, catch_up_tenant

log = structlog.get_logger()
T = TypeVar("T")

PROJECTION = "rules"
"""Its name in the table of projections: up to here everything is evaluated and written down."""
CHECKPOINT = "rules-checkpoint"
"""What is remembered of each device is at least as new as this: here evaluation begins again after a crash."""
FACTS_HEARD = "rules-facts"
"""Rules are at work as everything on the FACTS stream up to here has left them."""

_POLL_S = 0.05
_MOST_PACKS = 32
_BEAT_S = 1.0
_CHECKPOINT_S, _MOST_DIRTY = 10.0, 20_000
_SWEEP_S, _MOST_SWEPT = 30.0, 1_000
_HICCUP_MS = 30_000
"""When time was not known for longer than this, devices may have found nobody to talk to."""
_MOST_RULES = 50
_PAGE = 1_000


class Superseded(Exception):
    """Another process evaluates rules now."""


class StartOver(Exception):
    """What is at work may not be what it should be any more."""


class RuleEvaluation:
    """Reads the ACCEPTED stream, asks the engine what comes of it, and writes that down.

    Alerts, and the states of the devices that they are about, are written in one transaction, under a turn that is good
    once. So a repeat finds its own work done: the state of a device says up to where it has seen the log, and what it
    has seen it does not look at again. Of devices about which nothing was written, everything since the last
    checkpoint is looked at again, and comes to nothing again.
    """

    def __init__(
        self, bus: Bus, database: Database, ports: Ports, packs: AcceptedPacks, *, metrics: RuleMetrics
    ) -> None:
        """`database` has the system duty."""
        self._bus = bus
        self._database = database
        self._ports = ports
        self._packs = packs
        self._metrics = metrics
        self._engine = Engine()
        self._news = RuleNews(bus)
        self._clock = RuleClock(bus)
        self._goal: tuple[int, int] | None = None
        """Up to this place on the log it is known what devices have said until then (ms since 1970)."""
        self._is_beginning = True
        self._turn = 0
        self._position = 0
        self._now = 0
        """Until when rules have been looked at, ms since 1970."""
        self._beaten_at = self._checked_at = self._swept_at = 0.0
        self._facts_heard = 0
        self._organizations: dict[TenantId, UUID] = {}

    async def run(self) -> None:
        """Until cancelled, or raises `Superseded` or `StartOver`. Servers that are away are waited for."""
        await patiently("log", self._news.open)
        reader: Follower | None = None
        helpers = [asyncio.create_task(self._news.follow()), asyncio.create_task(self._clock.run())]
        try:
            await self._begin()
            reader = Follower(self._bus, ACCEPTED, start=Start(sequence=self._position + 1))
            while True:
                await self._step(reader)
                for helper in helpers:
                    if helper.done():
                        helper.result()
        finally:
            await _stop(helpers)
            if reader is not None:
                await reader.close()

    # --- beginning ---------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Take over, and load every rule that is enabled and every device that may not wait until it is heard of."""
        end = await patiently("log", lambda: last_sequence(self._bus, ACCEPTED))
        await self._transact(lambda tx: self._take_over(tx, end))
        after: tuple[TenantId, UUID] | None = None
        while True:
            page = await self._transact(lambda tx, after=after: rules.select_enabled(tx, after, most=_PAGE))  # type: ignore[misc]
            by_tenant: dict[TenantId, list[AlertRule]] = {}
            for owned in page:
                by_tenant.setdefault(owned.tenant_id, []).append(owned.rule)
            for tenant, its_rules in by_tenant.items():
                await self._work(
                    tenant,
                    lambda work, its_rules=its_rules: rules.deploy_rules(work, self._engine, its_rules),  # type: ignore[misc]
                )
            if len(page) < _PAGE:
                break
            after = page[-1].tenant_id, page[-1].rule.id
        for tenant, device_id in await self._transact(rules.select_ticking):
            self._news.want(tenant, device_id)
        for rule in self._engine.eager_rules():
            for device_id in await self._work(
                rule.plan.tenant,
                lambda work, rule=rule: rules.find_devices(work, rule),  # type: ignore[misc]
            ):
                self._news.want(rule.plan.tenant, device_id)
        while self._news.devices:
            await self._plan_next()
        self._is_beginning = False

    async def _take_over(self, tx: Tx, end: int) -> None:
        self._turn = await rules.begin_epoch(tx)
        clock = await rules.select_clock(tx, PROJECTION)
        if clock is None:
            # Nobody has ever evaluated anything: rules look at what comes from now on.
            self._position, self._now = end, 0
            for name in (PROJECTION, CHECKPOINT):
                await rules.update_clock(tx, name, end, time.now())
        else:
            self._position = await telemetry.select_position(tx, CHECKPOINT)
            self._engine.evaluated = await telemetry.select_position(tx, PROJECTION)
            self._now = time.to_millis(clock)
        for rule_id, sensors in (await rules.select_open_pairs(tx)).items():
            self._engine.set_open(rule_id, sensors)

    # --- one step ----------------------------------------------------------------------------------------------------

    async def _step(self, reader: Follower) -> None:
        pack = await reader.next(_POLL_S)
        oldest = pack.stored_at if pack else 0
        for _ in range(_MOST_PACKS):
            if pack is None:
                break
            await self._take(pack)
            await asyncio.sleep(0)
            pack = await reader.next(0)
        if pack is not None:
            await self._take(pack)
        self._tick(max(self._position, reader.position or 0))
        await self._write()
        if oldest:
            self._metrics.lag.observe(max(time.to_millis(time.now()) - oldest, 0) / 1_000)
        await self._catch_up()

    async def _take(self, pack: Pack) -> None:
        if pack.gap:
            log.error("messages expired before rules had looked at them", sequence=pack.sequence)
            if pack.sequence <= self._position:
                await self._transact(rules.forget_positions)
                raise StartOver("the log is another one")
        messages = self._packs.messages_of(pack)
        await self._plan_strangers(messages)
        for message in messages:
            self._engine.take(message, pack.sequence)
        self._metrics.messages.inc(len(messages))
        self._position = max(self._position, pack.sequence)

    async def _plan_strangers(self, messages: Sequence[Logged]) -> None:
        wanted: dict[TenantId, dict[DeviceId, set[str]]] = {}
        for message in messages:
            if self._engine.lacks(message):
                device_id = DeviceId(ids.from_bytes(message.device))
                wanted.setdefault(message.tenant, {}).setdefault(device_id, set()).update(message.paths.names)
        for tenant, devices in wanted.items():
            await self._plan(tenant, devices)

    def _tick(self, position: int) -> None:
        """Let time go on to where everything is known that devices have said."""
        if self._goal is None:
            self._goal = self._clock.sequence, self._clock.known_until
        sequence, until = self._goal
        if position < sequence:
            return
        self._goal = None
        if until <= self._now:
            return
        since, self._now = self._now, until
        if not since:
            return
        if until - since > _HICCUP_MS:
            log.info("time was not known", seconds=(until - since) // 1_000)
            self._engine.excuse(since, until)
        beat_ms = TICK_MS // SLOTS
        last = until // beat_ms
        for beat in range(max(since // beat_ms, last - SLOTS) + 1, last + 1):
            self._engine.tick(beat % SLOTS, beat * beat_ms)

    # --- what has changed --------------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Some of what has changed. Only after a write: what the database says must have all that has fired in it."""
        news, engine = self._news, self._engine
        if news.gap:
            raise StartOver("facts were lost")
        while news.statuses:
            device, status = news.statuses.popitem()
            engine.set_status(device, status, time.to_millis(time.now()))
        if news.resolved and not engine.has_fired:
            resolved, news.resolved = news.resolved, {}
            await self._work(TenantId(0), lambda work: catch_up_alerts(work, engine, resolved))
        for tenant in list(news.rules)[:1]:
            waiting = news.rules[tenant]
            taken = list(waiting)[:_MOST_RULES]
            for rule_id in taken:
                del waiting[rule_id]
            if not waiting:
                del news.rules[tenant]
            await self._work(tenant, lambda work, taken=taken: catch_up_rules(work, engine, news, taken))  # type: ignore[misc]
        for tenant in list(news.tenants)[:1]:
            del news.tenants[tenant]
            await self._work(tenant, lambda work: catch_up_tenant(work, engine, news))
        if news.devices:
            await self._plan_next()
        if news.is_settled:
            self._facts_heard = news.position
        if asyncio.get_running_loop().time() - self._swept_at > _SWEEP_S:
            self._swept_at = asyncio.get_running_loop().time()
            await self._sweep()

    async def _plan_next(self) -> None:
        tenant = next(iter(self._news.devices))
        taken = self._news.take_devices(tenant)
        eager = bool(self._engine.eager_rules(tenant))
        wanted: dict[DeviceId, set[str]] = {}
        for device_id, paths in taken.items():
            raw = ids.to_bytes(device_id)
            # Whoever nobody waits for is planned when it says something.
            self._engine.forget(raw)
            if eager or self._engine.has_station(raw) or self._is_beginning:
                wanted[device_id] = paths
        if wanted:
            await self._plan(tenant, wanted)

    async def _plan(self, tenant: TenantId, devices: Mapping[DeviceId, set[str]]) -> None:
        said = {device_id: tuple(paths) for device_id, paths in devices.items()}
        wall = time.to_millis(time.now())
        await self._work(tenant, lambda work: rules.plan_devices(work, self._engine, said, wall=wall))

    async def _sweep(self) -> None:
        """Alerts that no rule can resolve any more are over."""
        stranded = await self._transact(lambda tx: rules.select_stranded(tx, most=_MOST_SWEPT))
        by_tenant: dict[TenantId, list[UUID]] = {}
        for tenant, alert_id in stranded:
            by_tenant.setdefault(tenant, []).append(alert_id)
        for tenant, alert_ids in by_tenant.items():
            await self._work(tenant, lambda work, alert_ids=alert_ids: rules.resolve_stranded(work, alert_ids))  # type: ignore[misc]

    # --- what comes of it --------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        now = asyncio.get_running_loop().time()
        full = now - self._checked_at > _CHECKPOINT_S or self._engine.dirty >= _MOST_DIRTY
        if not (full or self._engine.has_fired or now - self._beaten_at > _BEAT_S):
            return
        firings, rows = self._engine.drain(everything=full)
        turn, self._turn = self._turn, self._turn + 1
        await self._transact(lambda tx: self._commit(tx, turn, firings, rows, full=full))
        self._beaten_at = now
        if full:
            self._checked_at = now
            self._metrics.watches.set(self._engine.watches)
        for turns in firings.values():
            for name, count in Tally(firing.transition.turn for firing in turns).items():
                self._metrics.firings.labels(name).inc(count)

    async def _commit(
        self, tx: Tx, turn: int, firings: Mapping[TenantId, Sequence[Firing]], rows: Sequence[StateRow], *, full: bool
    ) -> None:
        if not await rules.take_turn(tx, turn):
            found = await rules.select_turn(tx)
            if found == turn + 1:
                return  # It has been committed, and the answer was lost.
            raise Superseded
        for tenant, its_firings in firings.items():
            work = await self._make_work(tx, tenant)
            try:
                async with tx.savepoint():
                    await rules.apply_firings(work, its_firings)
            except (psycopg.DataError, psycopg.IntegrityError):
                # Nothing that one organization does may stop the rules of the others.
                log.exception("firings cannot be written down", tenant=tenant, firings=len(its_firings))
        if rows:
            await rules.upsert_kept(tx, rows, self._position)
        clock = time.from_millis(self._now) if self._now else time.now()
        for name in (PROJECTION, CHECKPOINT) if full else (PROJECTION,):
            await rules.update_clock(tx, name, self._position, clock)
        if self._facts_heard:
            await rules.update_clock(tx, FACTS_HEARD, self._facts_heard, clock)

    async def _transact(self, deed: Callable[[Tx], Awaitable[T]]) -> T:
        async def once() -> T:
            async with self._database.tx() as tx:
                return await deed(tx)

        return await patiently("database", once)

    async def _work(self, tenant: TenantId, deed: Callable[[Work], Awaitable[T]]) -> T:
        async def once(tx: Tx) -> T:
            return await deed(await self._make_work(tx, tenant))

        return await self._transact(once)

    async def _make_work(self, tx: Tx, tenant: TenantId) -> Work:
        if tenant not in self._organizations:
            self._organizations |= await rules.select_organizations(tx, [tenant])
        tx.tenant = tenant
        actor = system_actor(tenant, self._organizations.get(tenant, NOBODY), name="alert rules")
        return Work(actor, tx, self._ports)


async def _stop(helpers: Sequence[asyncio.Task[None]]) -> None:
    for helper in helpers:
        helper.cancel()
    await asyncio.gather(*helpers, return_exceptions=True)
