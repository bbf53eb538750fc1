"""What the condition language means, said in the plainest way: everything anew from all readings, each time."""

import re
import statistics
from collections.abc import Callable, Sequence
from math import fsum
from typing import Any

import msgspec

from roadstead.core.rules.conditions import All, Any_, Condition, Leaf, LeafType, Not, leaves_of
from roadstead.core.rules.windows import PANES


class Heard(msgspec.Struct, frozen=True):
    """A reading."""

    at: int
    received: int
    value: Any


class Moment(msgspec.Struct, frozen=True):
    """Something happens: a reading comes, or (without one) time goes on."""

    wall: int
    place: int | None = None
    """For which leaf the reading is."""
    heard: Heard | None = None


def holds(comparison: Any, value: Any, *, slack: float = 0.0) -> bool:
    """Whether a value makes a comparison true; with slack, whether it keeps it so."""
    low, high = comparison.value, comparison.value2
    texts = isinstance(value, str) and isinstance(low, str)
    answers: dict[str, Callable[[], Any]] = {
        "GT": lambda: value > low or (slack > 0 and value >= low - slack),
        "GTE": lambda: value >= low - slack,
        "LT": lambda: value < low or (slack > 0 and value <= low + slack),
        "LTE": lambda: value <= low + slack,
        "EQ": lambda: value == low,
        "NEQ": lambda: value != low,
        "BETWEEN": lambda: low - slack <= value <= high + slack,
        "OUTSIDE": lambda: value < low or value > high or (slack > 0 and not low + slack < value < high - slack),
        "IS_TRUE": lambda: value is True,
        "IS_FALSE": lambda: value is False,
        "CONTAINS": lambda: texts and low in value,
        "NOT_CONTAINS": lambda: texts and low not in value,
        "STARTS_WITH": lambda: value[: len(low)] == low,
        "IN": lambda: value in low,
        "NOT_IN": lambda: value not in low,
        "MATCHES": lambda: re.fullmatch(low, value) is not None,
    }
    return bool(answers[str(comparison.operator)]())


def still_in(leaf: Leaf, heard: Sequence[Heard], now: int) -> list[Heard]:
    """What has not left the window: readings of one part leave with the last of them, and do not come back."""
    pane = max(leaf.window_ms // PANES, 1)
    newest = {one.at // pane: one.at for one in heard}
    return [one for one in heard if newest[one.at // pane] > now - leaf.window_ms]


def boil_down(leaf: Leaf, inside: Sequence[Heard]) -> Any:
    """The value of a window; None when it has none."""
    values = [one.value for one in inside]
    function = str(leaf.function)
    if function == "COUNT":
        return len(values)
    if len(values) < max(leaf.min_samples, 2 if function in ("DELTA", "STDDEV", "RATE") else 1):
        return None
    answers: dict[str, Callable[[], Any]] = {
        "AVG": lambda: fsum(values) / len(values),
        "MIN": lambda: min(values),
        "MAX": lambda: max(values),
        "SUM": lambda: fsum(values),
        "LAST": lambda: values[-1],
        "STDDEV": lambda: statistics.stdev(values),
        "DELTA": lambda: values[-1] - values[0],
        "RATE": lambda: (values[-1] - values[0]) / (inside[-1].at - inside[0].at) * leaf.per_ms,
    }
    return answers[function]()


class Oracle:
    """Follows one rule about one sensor."""

    def __init__(self, condition: Condition, began: int, *, cooldown_ms: int, auto_resolve: bool) -> None:
        self.condition = condition
        self.leaves = leaves_of(condition)
        self.began = began
        self.cooldown_ms = cooldown_ms
        self.auto_resolve = auto_resolve
        self.heard: list[list[Heard]] = [[] for _ in self.leaves]
        self.windows: list[list[Heard]] = [[] for _ in self.leaves]
        self.verdicts: list[list[tuple[int, Any]]] = [[] for _ in self.leaves]
        """For each leaf, every value it was judged by, and when."""
        self.truth: bool | None = None
        self.open = False
        self.seen: int | None = None

    def hear(self, place: int, heard: Heard) -> None:
        """A reading for one leaf, that is newer than all before."""
        leaf = self.leaves[place]
        self.heard[place].append(heard)
        if leaf.where is None or holds(leaf.where, heard.value):
            self.windows[place].append(heard)
        if leaf.type is LeafType.VALUE:
            self.verdicts[place].append((heard.at, heard.value))

    def follow(self, moment: Moment, *, muted: bool = False) -> str | None:
        """What happens to the alert."""
        if moment.heard is not None and moment.place is not None:
            before = self.heard[moment.place]
            if before and moment.heard.at <= before[-1].at:
                return None
            self.hear(moment.place, moment.heard)
        truth = self._judge(self.condition, iter(range(len(self.leaves))), moment.wall)
        if truth is None:
            return None
        was, self.truth = self.truth, truth
        if not truth:
            if self.open and self.auto_resolve:
                self.open = False
                return "CLEARED"
            return None
        if self.open:
            self.seen = moment.wall
            return "REPEATED" if was is False and not self.auto_resolve else None
        if muted or (self.seen is not None and moment.wall - self.seen < self.cooldown_ms):
            return None
        self.open, self.seen = True, moment.wall
        return "RAISED"

    def _judge(self, condition: Condition, places: Any, wall: int) -> bool | None:
        match condition:
            case Leaf():
                return self._leaf(condition, next(places), wall)
            case Not(part):
                truth = self._judge(part, places, wall)
                return None if truth is None else not truth
            case All(parts):
                truths = [self._judge(part, places, wall) for part in parts]
                return False if False in truths else None if None in truths else True
            case Any_(parts):
                truths = [self._judge(part, places, wall) for part in parts]
                return True if True in truths else None if None in truths else False

    def _leaf(self, leaf: Leaf, place: int, wall: int) -> bool | None:
        heard = self.heard[place]
        if leaf.type is LeafType.ABSENCE:
            return wall - (heard[-1].received if heard else self.began) >= leaf.for_ms
        now = heard[-1].at + max(wall - heard[-1].received, 0) if heard else wall
        comparison = leaf.comparison
        assert comparison is not None
        if leaf.window_ms:
            self.windows[place] = still_in(leaf, self.windows[place], now)
            value = boil_down(leaf, self.windows[place])
            if value is None:
                return None
            enough = str(comparison.operator) in ("GT", "GTE") and holds(comparison, value)
            if str(leaf.function) == "COUNT" and wall - self.began < leaf.window_ms and not enough:
                return None
            self.verdicts[place].append((now, value))
        elif not heard:
            return None
        since = None
        for at, value in self.verdicts[place]:
            if since is None:
                since = at if holds(comparison, value) else None
            elif not holds(comparison, value, slack=comparison.hysteresis):
                since = None
        return since is not None and (not leaf.for_ms or now - since >= leaf.for_ms)
