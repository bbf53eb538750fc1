"""The condition language (contract section 4): read, checked, and what it says about sensors."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from roadstead.core.messages import ValueType
from roadstead.core.rules.comparisons import ANY_TYPE, NUMBERS, Comparison, Operator
from roadstead.core.rules.windows import WindowFunction
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import SensorId, parse_uuid
from roadstead.kernel.time import parse_duration

MAX_DEPTH = 5
MAX_LEAVES = 20

_SECOND, _DAY = 1_000, 86_400_000
_WINDOW = (10 * _SECOND, 7 * _DAY)
_FOR = (_SECOND, 30 * _DAY)
_MOST_SAMPLES = 1_000_000


class LeafType(StrEnum):
    """What a leaf looks at."""

    VALUE = "VALUE"
    AGGREGATE = "AGGREGATE"
    RATE = "RATE"
    ABSENCE = "ABSENCE"


class SensorRef(msgspec.Struct, frozen=True):
    """Another sensor than the one in scope: by its id, or by its place on the same device."""

    sensor_id: SensorId | None = None
    component_key: str | None = None
    field: str = ""


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is asked of one sensor. Times are in ms; 0 means none."""

    type: LeafType
    comparison: Comparison | None = None
    """None for ABSENCE."""
    for_ms: int = 0
    function: WindowFunction | None = None
    window_ms: int = 0
    min_samples: int = 0
    where: Comparison | None = None
    per_ms: int = 0
    sensor: SensorRef | None = None
    """None: the sensor in scope."""

    @property
    def types(self) -> frozenset[ValueType]:
        """The types of sensors it can look at."""
        if self.comparison is None:
            return ANY_TYPE
        match self.function:
            case None | WindowFunction.LAST:
                return self.comparison.types
            case WindowFunction.COUNT:
                return self.where.types if self.where else ANY_TYPE
        return NUMBERS

    @property
    def needs_ticks(self) -> bool:
        """Whether time alone can make it true or false."""
        return self.type is not LeafType.VALUE or self.for_ms > 0


class All(msgspec.Struct, frozen=True):
    """All parts are true."""

    parts: "tuple[Condition, ...]"


class Any_(msgspec.Struct, frozen=True):
    """At least one part is true."""

    parts: "tuple[Condition, ...]"


class Not(msgspec.Struct, frozen=True):
    """The part is false."""

    part: "Condition"


Condition: TypeAlias = Leaf | All | Any_ | Not


def leaves_of(condition: Condition) -> list[Leaf]:
    """All leaves, from left to right."""
    return list(_walk(condition))


def _walk(condition: Condition) -> Iterator[Leaf]:
    match condition:
        case Leaf():
            yield condition
        case Not(part):
            yield from _walk(part)
        case All(parts) | Any_(parts):
            for part in parts:
                yield from _walk(part)


def types_in_scope(condition: Condition) -> frozenset[ValueType]:
    """The types that a sensor in scope may have, so that every leaf about it can look at it."""
    types = ANY_TYPE
    for leaf in _walk(condition):
        if leaf.sensor is None:
            types &= leaf.types
    return types


# --- reading ---------------------------------------------------------------------------------------------------------


def read_condition(document: object, pointer: str = "/condition") -> Condition:
    """The condition that a JSON document says. Raises `Invalid` with pointers to everything that is wrong in it."""
    reading = _Reading()
    condition = reading.read(document, pointer, MAX_DEPTH)
    if not reading.problems and condition is not None:
        if len(leaves_of(condition)) > MAX_LEAVES:
            reading.refuse(pointer, f"has at most {MAX_LEAVES} leaves")
        elif not types_in_scope(condition):
            reading.refuse(pointer, "asks for several types of values in one sensor: no sensor can fit")
    if reading.problems or condition is None:
        first = reading.problems[0]
        raise Invalid(f"{first.pointer.lstrip('/').replace('/', '.')}: {first.detail}", fields=reading.problems)
    return condition


_BRANCHES = ("all", "any", "not")
_COMPARED = ("operator", "value", "value2", "hysteresis", "for", "sensor")
_MEMBERS = {
    LeafType.VALUE: frozenset({"type", *_COMPARED}),
    LeafType.AGGREGATE: frozenset({"type", "function", "window", "minSamples", "where", *_COMPARED}),
    LeafType.RATE: frozenset({"type", "per", "window", "minSamples", *_COMPARED}),
    LeafType.ABSENCE: frozenset({"type", "for", "sensor"}),
}
_WHERE = frozenset({"type", "operator", "value", "value2"})


class _Reading:
    """One document being read, with what was found wrong so far."""

    def __init__(self) -> None:
        self.problems: list[FieldProblem] = []

    def refuse(self, pointer: str, detail: str, code: str = "invalid") -> None:
        self.problems.append(FieldProblem(pointer, code, detail))

    def read(self, document: object, pointer: str, depth: int) -> Condition | None:
        if not isinstance(document, Mapping):
            self.refuse(pointer, "is an object")
            return None
        branches = [name for name in _BRANCHES if name in document]
        if not branches:
            return self._leaf(document, pointer)
        if len(document) > 1:
            self.refuse(pointer, "has one of all, any and not, and nothing beside it")
            return None
        if depth <= 1:
            self.refuse(pointer, f"is nested more than {MAX_DEPTH} deep")
            return None
        (name,) = branches
        if name == "not":
            part = self.read(document["not"], f"{pointer}/not", depth - 1)
            return None if part is None else Not(part)
        items = document[name]
        if not isinstance(items, Sequence) or isinstance(items, str) or not 1 <= len(items) <= MAX_LEAVES:
            self.refuse(f"{pointer}/{name}", f"is a list of 1 to {MAX_LEAVES} conditions")
            return None
        parts = [self.read(item, f"{pointer}/{name}/{index}", depth - 1) for index, item in enumerate(items)]
        known = tuple(part for part in parts if part is not None)
        return All(known) if name == "all" else Any_(known)

    def _leaf(self, document: Mapping[str, Any], pointer: str) -> Leaf | None:
        try:
            type_ = LeafType(document.get("type", ""))
        except ValueError:
            self.refuse(f"{pointer}/type", f"is one of {', '.join(LeafType)}")
            return None
        for name in document.keys() - _MEMBERS[type_]:
            self.refuse(f"{pointer}/{name}", f"is not known in {type_}", "unknown-field")
        sensor = self._ref(document.get("sensor"), f"{pointer}/sensor")
        least = type_ is LeafType.ABSENCE
        for_ms = self._duration(document, "for", pointer, (_WINDOW[0], _FOR[1]) if least else _FOR, required=least)
        if type_ is LeafType.ABSENCE:
            return Leaf(type=type_, for_ms=for_ms, sensor=sensor)
        function, where, per_ms, window_ms = None, None, 0, 0
        if type_ is LeafType.AGGREGATE:
            function = self._function(document.get("function"), f"{pointer}/function")
            where = self._where(document.get("where"), f"{pointer}/where", function)
        elif type_ is LeafType.RATE:
            function = WindowFunction.RATE
            per_ms = self._duration(document, "per", pointer, (_SECOND, 30 * _DAY), required=True)
        if type_ is not LeafType.VALUE:
            window_ms = self._duration(document, "window", pointer, _WINDOW, required=True)
        comparison = self._comparison(document, pointer)
        if comparison is None:
            return None
        if function not in (None, WindowFunction.LAST) and comparison.types != NUMBERS:
            self.refuse(f"{pointer}/operator", f"{function} is a number: it cannot be asked {comparison.operator}")
        return Leaf(
            type=type_,
            comparison=comparison,
            for_ms=for_ms,
            function=function,
            window_ms=window_ms,
            min_samples=self._samples(document, pointer, function),
            where=where,
            per_ms=per_ms,
            sensor=sensor,
        )

    def _comparison(self, document: Mapping[str, Any], pointer: str) -> Comparison | None:
        wanted = {name: document[name] for name in ("operator", "value", "value2", "hysteresis") if name in document}
        if wanted.get("operator") not in Operator.__members__:
            code = "invalid" if "operator" in wanted else "required"
            self.refuse(f"{pointer}/operator", f"is one of {', '.join(Operator)}", code)
            return None
        try:
            comparison = msgspec.convert(wanted, Comparison)
        except msgspec.ValidationError as error:
            place = str(error).partition("`$.")[2].partition("`")[0] or "value"
            self.refuse(f"{pointer}/{place.partition('[')[0]}", str(error).partition(" - at")[0])
            return None
        problems = comparison.check(pointer)
        self.problems += problems
        return None if problems else comparison

    def _where(self, document: Any, pointer: str, function: WindowFunction | None) -> Comparison | None:
        if document is None:
            return None
        if function is not WindowFunction.COUNT:
            self.refuse(pointer, "belongs to COUNT")
            return None
        if not isinstance(document, Mapping) or document.get("type", "VALUE") != "VALUE":
            self.refuse(pointer, "is a VALUE leaf")
            return None
        for name in document.keys() - _WHERE:
            self.refuse(f"{pointer}/{name}", "is not known here", "unknown-field")
        return self._comparison(document, pointer)

    def _function(self, name: object, pointer: str) -> WindowFunction | None:
        known = [function for function in WindowFunction if function is not WindowFunction.RATE]
        if name not in known:
            self.refuse(pointer, f"is one of {', '.join(known)}", "invalid" if name is not None else "required")
            return None
        return WindowFunction(str(name))

    def _samples(self, document: Mapping[str, Any], pointer: str, function: WindowFunction | None) -> int:
        if "minSamples" not in document:
            return 0 if function in (None, WindowFunction.COUNT) else 1
        count = document["minSamples"]
        if function is WindowFunction.COUNT:
            self.refuse(f"{pointer}/minSamples", "means nothing for COUNT, which may be 0")
        elif not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_SAMPLES:
            self.refuse(f"{pointer}/minSamples", f"is a whole number from 1 to {_MOST_SAMPLES}")
        else:
            return count
        return 1

    def _duration(
        self, document: Mapping[str, Any], name: str, pointer: str, span: tuple[int, int], *, required: bool
    ) -> int:
        text = document.get(name)
        if text is None:
            if required:
                self.refuse(f"{pointer}/{name}", "is required", "required")
            return 0
        length = parse_duration(text) if isinstance(text, str) else None
        if length is None or length.months:
            self.refuse(f"{pointer}/{name}", "is no ISO 8601 duration such as PT15M, without months or years")
            return 0
        length_ms = length.days * _DAY + length.millis
        if not span[0] <= length_ms <= span[1]:
            self.refuse(f"{pointer}/{name}", f"takes PT{span[0] // _SECOND}S to P{span[1] // _DAY}D", "range")
        return length_ms

    def _ref(self, document: Any, pointer: str) -> SensorRef | None:
        if document is None:
            return None
        if isinstance(document, Mapping) and document.keys() == {"sensorId"}:
            sensor_id = parse_uuid(str(document["sensorId"]))
            if sensor_id is None:
                self.refuse(f"{pointer}/sensorId", "there is none of this id")
                return None
            return SensorRef(sensor_id=SensorId(sensor_id))
        if isinstance(document, Mapping) and document.keys() - {"componentKey"} == {"field"}:
            names = [document["field"], document.get("componentKey", "-")]
            if all(isinstance(name, str) and 1 <= len(name) <= 64 for name in names):
                return SensorRef(component_key=document.get("componentKey"), field=names[0])
        self.refuse(pointer, "is {sensorId}, or {componentKey, field} of the same device")
        return None
