"""What messages that look alike must be: worked out once, so that checking one more of them is quick."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from roadstead.core.messages import Paths, paths_of
from roadstead.core.telemetry.rules import Component, Described, Form, Refused, Rule

_MOST_FORMS = 64
"""That are remembered of one device."""
_LONGEST_FORM = 100
"""Values: longer messages are histories, of which hardly one is like the other."""
_MOST_SHARED = 10_000
_EXACT = 2**53
_INFINITE = float("inf")

_Pick = Callable[[dict[str, Any]], tuple[Any, ...]]


class Shape:
    """The values of a message in their order: where they go, and what they must be.

    It takes values that need no conversion but that of a whole number to a DOUBLE.
    """

    __slots__ = ("_bounds", "_kinds", "_others", "_picks", "_rules", "paths")

    def __init__(self, rules: Sequence[Rule], picks: Sequence[_Pick | None]) -> None:
        """A rule for each value; what picks the values out of an object, for each item that is one."""
        self.paths: Paths = paths_of(tuple([rule.path for rule in rules]))
        self._rules = rules
        self._picks = picks if any(picks) else None
        self._kinds: list[type] = [rule.python for rule in rules]
        self._bounds: list[tuple[int, float, float]] = []
        self._others: list[tuple[int, Rule]] = []
        for index, rule in enumerate(rules):
            if not rule.open:
                self._others.append((index, rule))
            elif rule.low != -_INFINITE or rule.high != _INFINITE:
                self._bounds.append((index, rule.low, rule.high))

    @property
    def identity(self) -> tuple[int, ...]:
        """What tells it from other shapes of its form, as long as it lives."""
        return tuple([id(rule) for rule in self._rules])

    def flatten(self, values: tuple[Any, ...], at: int | list[int]) -> tuple[tuple[Any, ...], int | list[int]]:
        """The values of items of which some are objects, one by one, in the order of `paths`."""
        if self._picks is None:
            return values, at
        parts = [(value,) if pick is None else pick(value) for pick, value in zip(self._picks, values, strict=True)]
        if isinstance(at, list):
            at = [time for time, part in zip(at, parts, strict=True) for _ in part]
        return tuple([value for part in parts for value in part]), at

    def fit(self, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The values as they are stored, or None: then they need a closer look."""
        if [*map(type, values)] != self._kinds:
            widened = self._widen(values)
            if widened is None:
                return None
            values = widened
        for index, low, high in self._bounds:
            if not low <= values[index] <= high:
                return None
        for index, rule in self._others:
            try:
                rule.take(values[index])
            except Refused:
                return None
        return values

    def _widen(self, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Whole numbers as a DOUBLE, where a float holds them without loss; None when that does not help."""
        widened = []
        for kind, value in zip(self._kinds, values, strict=True):
            if type(value) is kind:
                widened.append(value)
            elif kind is float and type(value) is int and -_EXACT <= value <= _EXACT:
                widened.append(float(value))
            else:
                return None
        return tuple(widened)


class Shapes:
    """Finds the shape of a message. Devices that are alike share theirs."""

    def __init__(self) -> None:
        self._shared: dict[tuple[object, ...], tuple[Form, Shape]] = {}

    def find(self, described: Described, form: Form, *, named: bool = False) -> Shape | None:
        """What a message of this form must be; None when all such messages need a closer look.

        `named`: what it calls its values are names of attributes, and nothing else.
        """
        known: dict[Form, Shape | None] = described.named_shapes if named else described.shapes
        try:
            return known[form]
        except KeyError:
            shape = _make_named(described, form) if named else _make(described, form)
        if len(form) <= _LONGEST_FORM:
            if len(known) >= _MOST_FORMS:
                known.clear()
            if shape is not None:
                form, shape = self._share(form, shape)
            known[form] = shape
        return shape

    def _share(self, form: Form, shape: Shape) -> tuple[Form, Shape]:
        """Form and shape that were there before, if there were such."""
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault((form, *shape.identity), (form, shape))


def _make(described: Described, form: Form) -> Shape | None:
    rules: list[Rule] = []
    picks: list[_Pick | None] = []
    for part in form:
        try:
            found = described.find(part if isinstance(part, str) else part[0])
        except Refused:
            return None
        if isinstance(part, str):
            if not isinstance(found, Rule) or not found.active:
                return None
            rules.append(found)
            picks.append(None)
        else:
            fields = _fields(described, found, part[1:]) if isinstance(found, Component) else None
            if not fields:
                return None
            rules += [rule for rule, _ in fields]
            picks.append(_picker([name for _, name in fields]))
    return Shape(rules, picks)


def _make_named(described: Described, form: Form) -> Shape | None:
    rules = []
    for name in form:
        try:
            rule = described.find_attribute(str(name))
        except Refused:
            return None
        if rule.form is not None:
            return None
        rules.append(rule)
    return Shape(rules, [None] * len(rules))


def _fields(described: Described, component: Component, names: Sequence[str]) -> list[tuple[Rule, str]] | None:
    """The rules of an object's values in the order of the profile, and what each is called in it.

    None when the object cannot be right, or its values need more than a look at type and range.
    """
    sent = {component.slots.get(name, name): name for name in names}
    rules = {rule.path: rule for rule in described.rules}
    fields = []
    for field in component.profile.fields:
        name = sent.get(field.name)
        if name is None:
            if field.required:
                return None
            continue
        rule, own = rules.get(f"{component.key}/{field.name}"), Rule.of("", field)
        if rule is None or field.array_size is not None or not rule.open or not own.open:
            return None
        if rule.python is not own.python:
            return None
        # What the profile forbids is forbidden, whatever the sensor says for itself.
        low, high = max(rule.low, own.low), min(rule.high, own.high)
        if (low, high) != (rule.low, rule.high):
            rule = msgspec.structs.replace(rule, low=low, high=high)
        fields.append((rule, name))
    return fields if len(fields) == len(names) else None


def _picker(names: Sequence[str]) -> _Pick:
    if len(names) == 1:
        return lambda payload: (payload[names[0]],)
    return itemgetter(*names)
