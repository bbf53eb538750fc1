"""What a rule would have found in the past: the same evaluation, fed from the telemetry store."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby

import msgspec

from roadstead.core import telemetry
from roadstead.core.messages import Value
from roadstead.core.operation import operation
from roadstead.core.ports import PointPosition, Series, Span
from roadstead.core.rules import scope_store
from roadstead.core.rules.deployment import compile_rule, find_devices, find_foreign
from roadstead.core.rules.engine import SLOTS, TICK_MS, Engine
from roadstead.core.rules.evaluation import RulePlan, Turn
from roadstead.core.rules.rule_model import RuleDraft
from roadstead.core.rules.rules import check_rule
from roadstead.core.rules.scopes import DeviceView
from roadstead.core.rules.stations import Deployed
from roadstead.core.work import Work
from roadstead.kernel import ids
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, GroupId, SensorId, new_id
from roadstead.kernel.time import EPOCH, to_millis

MOST_DEVICES = 100
MOST_POINTS = 100_000
MOST_TICKS = 100_000
MOST_FIRINGS = 1_000

_PAGE = 10_000
_BREATH = 500

_Said = tuple[int, bytes, str, Value]
"""When, which device, which path, what."""


class PastFiring(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that would have been raised."""

    sensor_id: SensorId
    at: int
    """Ms since 1970, as is the next."""
    resolved_at: int | None
    """None: it would be open at the end of the range."""
    value: Value | None


class Preview(msgspec.Struct, frozen=True):
    """What a rule would have found."""

    firings: list[PastFiring]
    truncated: bool
    """There was more to look at, or to tell, than a preview takes."""


@operation(Grant.ALERTS_READ)
async def preview_rule(work: Work, draft: RuleDraft, span: Span) -> Preview:
    """When the rule would have fired in a range, as if every reading had come the moment it was measured.

    Windows are filled with what was before. Nothing is stored.
    """
    if span.start >= span.end:
        raise Invalid.field("/from", "must be before 'to'", code="range")
    await check_rule(work, draft)
    plan = compile_rule(work.tenant_id, draft, new_id())
    rule = Deployed(plan, draft.scope, await find_foreign(work, plan))
    rehearsal = _Rehearsal(rule, to_millis(span.start))
    await rehearsal.prepare(work)
    lead = timedelta(milliseconds=_memory_ms(plan))
    await rehearsal.run(work, Span(max(span.start - lead, EPOCH), span.end))
    rehearsal.finish()
    return Preview(rehearsal.firings[:MOST_FIRINGS], rehearsal.truncated or len(rehearsal.firings) > MOST_FIRINGS)


def _memory_ms(plan: RulePlan) -> int:
    """For how long what was measured can make a difference."""
    return max(leaf.window_ms + leaf.for_ms for leaf in plan.leaves) + TICK_MS


class _Rehearsal:
    """A rule let loose on the past."""

    def __init__(self, rule: Deployed, since: int) -> None:
        self._rule = rule
        self._since = since
        self._engine = Engine()
        self._open: dict[SensorId, PastFiring] = {}
        self._views: list[DeviceView] = []
        self._ticks = 0
        self.firings: list[PastFiring] = []
        self.truncated = False

    async def prepare(self, work: Work) -> None:
        """Look up the devices in the rule's scope."""
        scope = self._rule.scope
        parts = [*scope.sensor_ids, *scope.component_ids]
        named = await scope_store.select_named(work.tx, parts) if parts else {}
        self._engine.put_rule(self._rule, named)
        devices = await find_devices(work, self._rule)
        self.truncated = len(devices) > MOST_DEVICES
        groups = [GroupId(scope.device_group_id)] if scope.device_group_id else []
        self._views = await scope_store.select_devices(work, devices[:MOST_DEVICES], groups)

    async def run(self, work: Work, span: Span) -> None:
        """Feed it."""
        wall = to_millis(span.start)
        for view in self._views:
            # How the device is today says nothing about then.
            self._engine.plan(work.tenant_id, msgspec.structs.replace(view, status="ACTIVE"), (), None, wall)
        said = await self._load(work, span)
        memory_ms = _memory_ms(self._rule.plan) + self._rule.plan.cooldown_ms
        end, last = to_millis(span.end), wall
        for number, (at, device, readings) in enumerate(_moments(said)):
            self._pass_time(last, min(at, last + memory_ms))
            self._engine.show(device, at, readings)
            if self._engine.has_fired:
                self._collect()
            last = at
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        self._pass_time(last, min(end, last + memory_ms))

    def _pass_time(self, since: int, until: int) -> None:
        """The ticks after `since` and up to `until`."""
        if not self._rule.plan.needs_ticks:
            return
        for tick in range(since // TICK_MS + 1, until // TICK_MS + 1):
            self._ticks += 1
            if self._ticks > MOST_TICKS:
                self.truncated = True
                return
            for slot in range(SLOTS):
                self._engine.tick(slot, tick * TICK_MS)
            if self._engine.has_fired:
                self._collect()

    def _collect(self) -> None:
        for firings in self._engine.drain(everything=False)[0].values():
            for firing in firings:
                seen = firing.transition
                if seen.turn is Turn.RAISED:
                    self._open[firing.sensor_id] = PastFiring(
                        sensor_id=firing.sensor_id, at=seen.at, resolved_at=None, value=seen.value
                    )
                elif seen.turn is Turn.CLEARED and firing.sensor_id in self._open:
                    over = msgspec.structs.replace(self._open.pop(firing.sensor_id), resolved_at=seen.at)
                    self._tell(over)

    def _tell(self, firing: PastFiring) -> None:
        if firing.at >= self._since:
            self.firings.append(firing)

    def finish(self) -> None:
        """What is open at the end stays open."""
        for firing in self._open.values():
            self._tell(firing)
        self.firings.sort(key=lambda firing: (firing.at, firing.sensor_id))

    async def _load(self, work: Work, span: Span) -> list[_Said]:
        """What the sensors said, in order of time."""
        types = {
            (ids.to_bytes(view.id), sensor.path): sensor.value_type for view in self._views for sensor in view.sensors
        }
        types |= {(one.device, one.sensor.path): one.sensor.value_type for one in self._rule.foreign.values()}
        said: list[_Said] = []
        for device, paths in self._engine.paths.items():
            series = [Series(DeviceId(ids.from_bytes(device)), path) for path in paths]
            after: PointPosition | None = None
            while True:
                limit = min(_PAGE, MOST_POINTS - len(said))
                if not limit:
                    self.truncated = True
                    break
                page = await work.ports.telemetry.points(work.tenant_id, series, span, limit=limit, after=after)
                said += [
                    (one.at, device, one.path, telemetry.value_of(types[device, one.path], one.number, one.text))
                    for one in page
                ]
                if len(page) < limit:
                    break
                after = PointPosition(page[-1].at, page[-1].path)
        said.sort(key=lambda one: one[:3])
        return said


def _moments(said: list[_Said]) -> Iterator[tuple[int, bytes, list[tuple[str, Value]]]]:
    """What each device said at each moment."""
    for (at, device), together in groupby(said, key=lambda one: one[:2]):
        yield at, device, [(path, value) for _, _, path, value in together]
