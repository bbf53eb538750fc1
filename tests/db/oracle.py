"""What a filter means, said a second time in plain Python."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.db.filters import EARTH_RADIUS_M
from roadstead.kernel import time
from roadstead.kernel.filter import (
    And,
    Between,
    Box,
    Circle,
    Compare,
    Exists,
    Filter,
    In,
    Leaf,
    Match,
    MatchKind,
    Not,
    Operator,
    Or,
    Polygon,
    Within,
)


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """Something that filters are asked about."""

    name: str | None
    size: float | None
    on: bool | None
    seen: datetime | None
    ref: UUID | None
    data: Any
    tags: dict[str, str]
    place: tuple[float, float] | None


def is_true(tree: Filter, thing: Thing) -> bool:
    """Whether the filter is true for the thing."""
    match tree:
        case And(parts):
            return all(is_true(part, thing) for part in parts)
        case Or(parts):
            return any(is_true(part, thing) for part in parts)
        case Not(part):
            return not is_true(part, thing)
    return _leaf(tree, thing)


def _leaf(leaf: Leaf, thing: Thing) -> bool:
    if isinstance(leaf, Within):
        assert not isinstance(leaf.area, Polygon)
        return thing.place is not None and _is_within(leaf.area, *thing.place)
    if leaf.field == ("place",):
        return thing.place is not None
    if leaf.field == ("text",):
        assert isinstance(leaf, Match)
        return all(_starts_a_word(word, thing.name or "") for word in leaf.pattern.lower().split())
    return any(_passes(leaf, value) for value in _values(leaf.field, thing))


def _values(field: tuple[str, ...], thing: Thing) -> Iterator[Any]:
    name, *steps = field
    found: list[Any]
    if name == "tags":
        found = [thing.tags[steps[0]]] if steps[0] in thing.tags else []
    elif name == "data":
        found = [thing.data]
        for step in steps:
            objects = [item for value in found for item in (value if isinstance(value, list) else [value])]
            found = [item[step] for item in objects if isinstance(item, dict) and step in item]
        found = [item for value in found for item in (value if isinstance(value, list) else [value])]
    else:
        found = [getattr(thing, name)]
    yield from (value for value in found if value is not None)


def _passes(leaf: Leaf, value: Any) -> bool:
    match leaf:
        case Exists():
            return True
        case In(_, wanted):
            return any(_compare(value, Operator.EQ, item) for item in wanted)
        case Compare() | Between():
            return all(_compare(value, operator, bound) for operator, bound in leaf.bounds())
        case Match():
            return isinstance(value, str) and _fits(leaf, value)
    raise AssertionError(leaf)


def _compare(value: Any, operator: Operator, wanted: Any) -> bool:
    if isinstance(wanted, datetime):
        value = value if isinstance(value, datetime) else _instant(value)
    elif isinstance(wanted, UUID) and isinstance(value, str):
        wanted = str(wanted)
    kinds = [float if isinstance(item, int) and not isinstance(item, bool) else type(item) for item in (value, wanted)]
    if value is None or kinds[0] is not kinds[1]:
        return False
    match operator:
        case Operator.EQ:
            return bool(value == wanted)
        case Operator.LT:
            return bool(value < wanted)
        case Operator.LE:
            return bool(value <= wanted)
        case Operator.GT:
            return bool(value > wanted)
        case Operator.GE:
            return bool(value >= wanted)


def _instant(value: Any) -> datetime | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return time.from_millis(int(value))
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value += "T00:00:00Z"
    return time.parse_instant(value)


def _fits(leaf: Match, text: str) -> bool:
    flags = re.DOTALL | (re.IGNORECASE if leaf.ignore_case else 0)
    pattern = leaf.pattern
    if leaf.kind is MatchKind.WILDCARD:
        letters = re.findall(r"\\.|.|\\$", pattern, re.DOTALL)
        pattern = "".join(
            {"*": ".*", "?": "."}.get(letter, re.escape(letter[-1] if letter else "")) for letter in letters
        )
    return re.fullmatch(pattern, text, flags) is not None


def _starts_a_word(prefix: str, text: str) -> bool:
    text = text.lower()
    return any(
        text.startswith(prefix, at)
        for at in range(len(text))
        if at == 0 or (text[at].isalnum() and not text[at - 1].isalnum())
    )


def _is_within(area: Circle | Box, latitude: float, longitude: float) -> bool:
    if isinstance(area, Circle):
        return distance_m(area.latitude, area.longitude, latitude, longitude) <= area.radius_m
    if area.west <= area.east:
        inside = area.west <= longitude <= area.east
    else:
        inside = longitude >= area.west or longitude <= area.east
    return inside and area.south <= latitude <= area.north


def distance_m(south: float, west: float, north: float, east: float) -> float:
    """Metres between two points, by the angle between their vectors (not by haversine, as the product has it)."""

    def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
        phi, theta = math.radians(latitude), math.radians(longitude)
        return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)

    a, b = vector(south, west), vector(north, east)
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return EARTH_RADIUS_M * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(a, b, strict=True)))


def at(hour: int) -> datetime:
    """An instant to play with."""
    return datetime(2026, 1, 1, hour, tzinfo=UTC)
