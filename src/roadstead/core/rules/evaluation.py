"""What a rule makes of the readings of one sensor, one after the other and as time goes by. Pure, and without a clock.

Two clocks tick here. `at` is when something was measured, by the device; `wall` is when a door took it, or the moment
of a tick. Of a sensor that was last heard of at `received` it is now `at + (wall - received)`: devices whose clocks
are wrong, or who report late, are judged by their own time.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import Severity
from roadstead.core.rules.comparisons import Operator, Predicate
from roadstead.core.rules.conditions import All, Any_, Condition, Leaf, LeafType, Not, leaves_of, types_in_scope
from roadstead.core.rules.windows import FOLDS, Fold, Window, WindowFunction
from roadstead.kernel.ids import SensorId, TenantId

MOST_LATE_MS = 300_000
"""A reading that is older than this when it comes is stored and raises nothing."""

_NEVER = -1
_AT_LEAST = frozenset({Operator.GT, Operator.GTE})

Truth = bool | None
"""None: nobody knows. What nobody knows neither raises an alert nor resolves one."""


class LeafPlan:
    """A leaf as it is evaluated: the same for all sensors of a rule."""

    __slots__ = ("enters", "fold", "for_ms", "leaf", "min_samples", "rises", "stays", "type", "where", "window_ms")

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.type = leaf.type
        self.for_ms = leaf.for_ms
        self.window_ms = leaf.window_ms
        self.min_samples = leaf.min_samples
        self.fold: Fold | None = FOLDS[leaf.function] if leaf.function else None
        self.where: Predicate | None = leaf.where.enters() if leaf.where else None
        self.enters: Predicate = leaf.comparison.enters() if leaf.comparison else bool
        self.stays: Predicate = leaf.comparison.stays() if leaf.comparison else bool
        self.rises = leaf.comparison is not None and leaf.comparison.operator in _AT_LEAST
        """A count that is large enough stays so before the window has been watched for its whole length."""


class RulePlan:
    """A rule as it is evaluated: compiled once, shared by all its sensors."""

    __slots__ = (
        "auto_resolve", "condition", "cooldown_ms", "decide", "id", "leaves", "needs_ticks", "revision", "severity",
        "tenant", "types",
    )  # fmt: skip

    def __init__(
        self,
        rule_id: UUID,
        tenant: TenantId,
        condition: Condition,
        *,
        severity: Severity = Severity.WARNING,
        cooldown_s: int = 0,
        auto_resolve: bool = True,
        revision: int = 1,
    ) -> None:
        self.id = rule_id
        self.tenant = tenant
        self.condition = condition
        self.severity = severity
        self.cooldown_ms = cooldown_s * 1_000
        self.auto_resolve = auto_resolve
        self.revision = revision
        self.leaves = [LeafPlan(leaf) for leaf in leaves_of(condition)]
        self.needs_ticks = any(plan.leaf.needs_ticks for plan in self.leaves)
        self.types = types_in_scope(condition)
        self.decide = _compile(condition)


class LeafState:
    """What a leaf remembers of its sensor."""

    __slots__ = ("at", "began", "hit", "plan", "received", "since", "value", "window")

    def __init__(self, plan: LeafPlan, wall: int) -> None:
        self.plan = plan
        self.at = _NEVER
        self.received = wall
        self.began = wall
        """When it was first looked at."""
        self.value: Any = None
        """The last reading; of a window, what it boiled down to when it was last looked at."""
        self.hit = False
        """The comparison holds, with hysteresis."""
        self.since = _NEVER
        """Since when it does, by the sensor's time."""
        self.window = Window(plan.window_ms, plan.fold) if plan.fold else None

    def read(self, at: int, received: int, value: Any) -> bool:
        """Take in a reading. False when it is not newer than the last."""
        if at <= self.at:
            return False
        plan = self.plan
        self.at = at
        self.received = received
        if self.window is not None:
            if plan.where is None or plan.where(value):
                self.window.add(at, value)
        elif plan.type is LeafType.VALUE:
            self._compare(value, at)
        return True

    def truth(self, wall: int) -> Truth:
        """Whether it is true at this moment."""
        plan = self.plan
        if plan.type is LeafType.ABSENCE:
            return wall - self.received >= plan.for_ms
        if self.window is not None:
            if not self._boil_down(wall):
                return None
        elif self.at < 0:
            return None
        if not self.hit or not plan.for_ms:
            return self.hit
        return self.now(wall) - self.since >= plan.for_ms

    def now(self, wall: int) -> int:
        """The time of the sensor."""
        if self.at < 0:
            return wall
        return self.at + wall - self.received if wall > self.received else self.at

    def _boil_down(self, wall: int) -> bool:
        """Look at the window. False when it says nothing."""
        window, plan, now = self.window, self.plan, self.now(wall)
        assert window is not None
        window.trim(now)
        value = window.result(plan.min_samples)
        if value is None:
            return False
        if plan.leaf.function is WindowFunction.COUNT:
            if wall - self.began < plan.window_ms and not (plan.rises and plan.enters(value)):
                return False
        elif plan.leaf.function is WindowFunction.RATE:
            value *= plan.leaf.per_ms
        self._compare(value, now)
        return True

    def _compare(self, value: Any, now: int) -> None:
        self.value = value
        if self.hit:
            self.hit = self.plan.stays(value)
        elif self.plan.enters(value):
            self.hit = True
            self.since = now

    def keep(self) -> list[Any]:
        """All that it knows, as plain values."""
        window = self.window.keep() if self.window else None
        return [self.at, self.received, self.began, self.value, self.hit, self.since, window]

    def recall(self, kept: Sequence[Any]) -> None:
        """Go on where `keep` left off."""
        self.at, self.received, self.began, self.value, self.hit, self.since, window = kept
        if self.plan.fold:
            self.window = Window(self.plan.window_ms, self.plan.fold, window)


class Turn(StrEnum):
    """What has become of an alert."""

    RAISED = "RAISED"
    REPEATED = "REPEATED"
    """The condition has become true again while the alert is open."""
    CLEARED = "CLEARED"


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One turn of a rule about one sensor."""

    turn: Turn
    at: int
    """When, by the sensor's time, in ms since 1970."""
    seen_at: int
    """When the condition was last seen true, by the same time."""
    value: Any = None
    threshold: Any = None


class Watch:
    """One rule looking at one sensor."""

    __slots__ = ("is_open", "leaves", "rule", "seen", "seen_at", "sensor_id", "truth", "was_open")

    def __init__(self, rule: RulePlan, sensor_id: SensorId, wall: int, *, is_open: bool = False) -> None:
        self.rule = rule
        self.sensor_id = sensor_id
        self.leaves = [LeafState(plan, wall) for plan in rule.leaves]
        self.truth: Truth = None
        """As it was last known."""
        self.is_open = is_open
        """There is an alert that nobody has resolved."""
        self.was_open = False
        """There was one when what it recalls was written down."""
        self.seen = _NEVER
        """When the condition was last true and said so, on the wall: from here the cooldown counts."""
        self.seen_at = _NEVER

    def read(self, places: Sequence[int], at: int, received: int, value: Any) -> bool:
        """Take in a reading for the leaves at these places. False when it was news to none of them."""
        news = False
        for place in places:
            if self.leaves[place].read(at, received, value):
                news = True
        return news

    def look(self, wall: int, *, muted: bool = False) -> Transition | None:
        """Evaluate the condition at this moment; what happens to the alert, if anything."""
        rule, truth = self.rule, self._judge(wall)
        if truth is None:
            return None
        was, self.truth = self.truth, truth
        if not truth:
            if self.is_open and rule.auto_resolve:
                self.is_open = False
                return Transition(Turn.CLEARED, self._now(wall), self.seen_at)
            return None
        if self.is_open:
            self.seen, self.seen_at = wall, self._now(wall)
            if was is False and not rule.auto_resolve:
                return self._speak(Turn.REPEATED)
            return None
        if muted or (self.seen >= 0 and wall - self.seen < rule.cooldown_ms):
            return None
        self.is_open, self.seen, self.seen_at = True, wall, self._now(wall)
        return self._speak(Turn.RAISED)

    def follow(self, wall: int) -> None:
        """Evaluate the condition at a moment of which is known that nothing happened to the alert."""
        truth = self._judge(wall)
        if truth is None:
            return
        self.truth = truth
        if truth and (self.is_open or self.was_open):
            self.seen, self.seen_at = wall, self._now(wall)

    def _judge(self, wall: int) -> Truth:
        decide, leaves = self.rule.decide, self.leaves
        return decide([leaf.truth(wall) for leaf in leaves]) if decide else leaves[0].truth(wall)

    def _now(self, wall: int) -> int:
        """The time of the sensor in scope, as far as a leaf looks at it."""
        newest = _NEVER
        for leaf in self.leaves:
            if leaf.plan.leaf.sensor is None:
                return leaf.now(wall)
            newest = max(newest, leaf.now(wall))
        return newest

    def _speak(self, turn: Turn) -> Transition:
        """With the value and the threshold of the first leaf that holds."""
        leaf = next((leaf for leaf in self.leaves if leaf.hit), self.leaves[0])
        comparison = leaf.plan.leaf.comparison
        if comparison is None:
            return Transition(turn, self.seen_at, self.seen_at, None, spell_duration(leaf.plan.for_ms))
        return Transition(turn, self.seen_at, self.seen_at, leaf.value, comparison.threshold)

    def keep(self) -> list[Any]:
        """All that it knows, as plain values."""
        own = [self.rule.id.bytes, self.rule.revision, self.sensor_id.bytes, self.truth, self.is_open]
        return [*own, self.seen, self.seen_at, [leaf.keep() for leaf in self.leaves]]

    def recall(self, kept: Sequence[Any]) -> None:
        """Go on where `keep` left off."""
        _, _, _, self.truth, self.is_open, self.seen, self.seen_at, leaves = kept
        self.was_open = self.is_open
        for leaf, state in zip(self.leaves, leaves, strict=True):
            leaf.recall(state)

    def excuse(self, since: int, until: int) -> None:
        """Nobody listened from `since` to `until`: for those not heard of since, that time has not passed."""
        for leaf in self.leaves:
            if leaf.received <= since:
                leaf.received += until - since
                leaf.began += until - since

    def restart_silence(self, wall: int) -> None:
        """From now on it may be asked why nothing comes."""
        for leaf in self.leaves:
            if leaf.plan.type is LeafType.ABSENCE and leaf.received < wall:
                leaf.received = wall


def spell_duration(millis: int) -> str:
    """ISO 8601, in the largest unit that fits."""
    seconds = millis // 1_000
    for unit, length in (("D", 86_400), ("H", 3_600), ("M", 60)):
        if seconds and seconds % length == 0:
            return f"P{seconds // length}D" if unit == "D" else f"PT{seconds // length}{unit}"
    return f"PT{seconds}S"


Decision = Callable[[Sequence[Truth]], Truth]


def _compile(condition: Condition) -> Decision | None:
    """How the truths of the leaves, from left to right, make that of the whole; None for a single leaf.

    Three-valued (Kleene): what would be the same however the unknown turned out is known.
    """
    if isinstance(condition, Leaf):
        return None
    places = iter(range(len(leaves_of(condition))))
    return _branch(condition, places.__next__)


def _branch(condition: Condition, next_place: Callable[[], int]) -> Decision:
    match condition:
        case Leaf():
            place = next_place()
            return lambda truths: truths[place]
        case Not(part):
            inner = _branch(part, next_place)
            return lambda truths: None if (truth := inner(truths)) is None else not truth
        case All(parts):
            return _join([_branch(part, next_place) for part in parts], decisive=False)
        case Any_(parts):
            return _join([_branch(part, next_place) for part in parts], decisive=True)


def _join(parts: Sequence[Decision], *, decisive: bool) -> Decision:
    """`decisive` wherever one part is; unknown where one is unknown; else its opposite."""

    def decide(truths: Sequence[Truth]) -> Truth:
        result: Truth = not decisive
        for part in parts:
            truth = part(truths)
            if truth is decisive:
                return decisive
            if truth is None:
                result = None
        return result

    return decide
