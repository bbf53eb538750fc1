"""The filter language of searches (contract section 4.1) as filters of the core. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2

from roadstead.dialects.leverege.query_string import parse_query
from roadstead.dialects.leverege.search_fields import Field, Kind, Names, Span, read_field, read_span, read_zone
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import (
    EVERYTHING,
    MAX_DEPTH,
    MAX_NODES,
    MAX_PATTERN,
    NOTHING,
    And,
    Between,
    Box,
    Circle,
    Compare,
    Exists,
    Filter,
    In,
    Match,
    MatchKind,
    Not,
    Operator,
    Or,
    Polygon,
    Within,
    starts_with,
)
from roadstead.kernel.ids import parse_base62

Node = Mapping[str, Any]

_MOST_VALUES = 10_000
_MOST_POINTS = 1_000
_LONGEST_WORD = 64
_METRES = {
    "": 1.0,
    "m": 1.0,
    "meter": 1.0,
    "km": 1_000.0,
    "kilometer": 1_000.0,
    "cm": 0.01,
    "mi": 1_609.344,
    "mile": 1_609.344,
    "yd": 0.9144,
    "yard": 0.9144,
    "ft": 0.3048,
    "feet": 0.3048,
    "nmi": 1_852.0,
    "nauticalmile": 1_852.0,
}
_INTERVALS = {"[]": (False, False), "()": (True, True), "[)": (False, True), "(]": (True, False)}
"""Which ends are left out."""


def read_filter(body: object, names: Names, where: str = "filter") -> Filter:
    """The filter of a search; null is everything. Raises `Invalid` that says at which node something is wrong."""
    return EVERYTHING if body is None else _Reader(names).node(body, where, 1)


def read_words(text: str) -> Filter:
    """Free text: each word begins a word of the device's texts, or is anywhere in them when it stands within `*`."""
    words = text.lower().split()
    return And(tuple(_word(word) for word in words if word.strip("*")))


def _word(word: str) -> Filter:
    plain = word.rstrip("*")
    if "*" not in plain:
        return Match(("anyText",), MatchKind.TEXT, plain[:_LONGEST_WORD])
    pattern = plain[:_LONGEST_WORD].replace("\\", "\\\\").replace("?", "\\?") + "*"
    return Match(("anyWord",), MatchKind.WILDCARD, pattern, ignore_case=True)


class _Reader:
    """Counts the nodes it has read."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._nodes = 0

    def node(self, node: object, where: str, depth: int) -> Filter:
        """One node with all below it."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise Invalid.field(where, f"a filter has at most {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise Invalid.field(where, f"a filter is nested at most {MAX_DEPTH} deep")
        if not isinstance(node, Mapping):
            raise Invalid.field(where, "is an object with a type")
        match node.get("type"):
            case "logical":
                found = self._logical(node, where, depth)
            case str() as type_ if type_ in _LEAVES:
                found = _LEAVES[type_](node, where, self._names)
            case type_:
                raise Invalid.field(f"{where}.type", f"{type_!r} is not one of logical, {', '.join(_LEAVES)}")
        return Not(found) if _flag(node, "not", where) else found

    def _logical(self, node: Node, where: str, depth: int) -> Filter:
        conditions = node.get("conditions") or []
        if not isinstance(conditions, list):
            raise Invalid.field(f"{where}.conditions", "is a list of filters")
        parts = tuple(
            self.node(part, f"{where}.conditions[{index}]", depth + 1) for index, part in enumerate(conditions)
        )
        match node.get("operator", "and"):
            case "and" | "AND":
                return And(parts)
            case "or" | "OR":
                return Or(parts) if parts else EVERYTHING
            case operator:
                raise Invalid.field(f"{where}.operator", f"{operator!r} is neither and nor or")


# --- values ----------------------------------------------------------------------------------------------------------


def _equals(node: Node, where: str, names: Names) -> Filter:
    field = _field(node, where, names)
    value = _cast(node.get("value"), node.get("fieldType"), f"{where}.value")
    values = value if isinstance(value, list) else [value]
    if len(values) > _MOST_VALUES:
        raise Invalid.field(f"{where}.value", f"has at most {_MOST_VALUES} values")
    zone = read_zone(node.get("timezone"), f"{where}.timezone")
    is_date = _flag(node, "isDate", where)
    spans = [
        read_span(each, field, f"{where}.value", is_date=is_date, zone=zone) for each in values if each is not None
    ]
    days = [_same(field, span) for span in spans if span is not None and span.end is not None]
    plain = tuple(span.start for span in spans if span is not None and span.end is None)
    parts = [*days, *([_among(field, plain)] if plain else [])]
    if None in values:
        parts.append(_absent(field))
    found: Filter = parts[0] if len(parts) == 1 else Or(tuple(parts))
    return _or_absent(node, where, field, found)


def _among(field: Field, values: tuple[Any, ...]) -> Filter:
    if field.path == ("shownName",):
        # What is called like it without case is found by an index.
        return And((In(("called",), tuple(value.lower() for value in values)), In(field.path, values)))
    return In(field.path, values)


def _comparison(node: Node, where: str, names: Names) -> Filter:
    field = _field(node, where, names)
    comparator = node.get("comparator")
    is_date = _flag(node, "isDate", where)
    zone = read_zone(node.get("timezone"), f"{where}.timezone")
    if field.kind in (Kind.ID, Kind.BOOLEAN) and comparator not in ("=", "!="):
        raise Invalid.field(f"{where}.field", "has no order: compare it with = or !=")

    def span(name: str) -> Span:
        if node.get(name) is None:
            raise Invalid.field(f"{where}.{name}", "is missing")
        found = read_span(node[name], field, f"{where}.{name}", is_date=is_date, zone=zone)
        if found is None:
            raise Invalid.field(f"{where}.{name}", "is no id")
        if isinstance(found.start, bool) and comparator not in ("=", "!="):
            raise Invalid.field(f"{where}.{name}", "true and false are neither less nor more")
        return found

    match comparator:
        case "=":
            found: Filter = _same(field, span("value"))
        case "!=":
            found = And((_there(field), Not(_same(field, span("value")))))
        case ">" | ">=":
            found = _after(field, span("value"), closed=comparator == ">=")
        case "<" | "<=":
            found = _before(field, span("value"), closed=comparator == "<=")
        case str() if comparator.removeprefix("!") in _INTERVALS:
            low_open, high_open = _INTERVALS[comparator.removeprefix("!")]
            low, high = span("value1"), span("value2")
            if comparator.startswith("!"):
                below, above = _before(field, low, closed=low_open), _after(field, high, closed=high_open)
                found = Or((below, above))
            else:
                found = _between(field, low, high, low_open=low_open, high_open=high_open)
        case _:
            allowed = ", ".join(["=", "!=", ">", ">=", "<", "<=", *_INTERVALS, *(f"!{one}" for one in _INTERVALS)])
            raise Invalid.field(f"{where}.comparator", f"{comparator!r} is not one of {allowed}")
    return _or_absent(node, where, field, found)


def _same(field: Field, span: Span) -> Filter:
    if span.end is not None:
        return Between(field.path, span.start, span.end, high_open=True)
    return _among(field, (span.start,))


def _after(field: Field, span: Span, *, closed: bool) -> Compare:
    """A whole day is over before anything comes after it."""
    if span.end is not None and not closed:
        return Compare(field.path, Operator.GE, span.end)
    return Compare(field.path, Operator.GE if closed else Operator.GT, span.start)


def _before(field: Field, span: Span, *, closed: bool) -> Compare:
    if span.end is not None and closed:
        return Compare(field.path, Operator.LT, span.end)
    return Compare(field.path, Operator.LE if closed else Operator.LT, span.start)


def _between(field: Field, low: Span, high: Span, *, low_open: bool, high_open: bool) -> Filter:
    if type(low.start) is not type(high.start) and str in (type(low.start), type(high.start)):
        return NOTHING  # no value lies between a number and a text
    start, end = _after(field, low, closed=not low_open), _before(field, high, closed=not high_open)
    return Between(
        field.path,
        start.value,
        end.value,
        low_open=start.operator is Operator.GT,
        high_open=end.operator is Operator.LT,
    )


def _exists(node: Node, where: str, names: Names) -> Filter:
    return _there(_field(node, where, names))


# --- text ------------------------------------------------------------------------------------------------------------


def _expression(node: Node, where: str, names: Names) -> Filter:
    field = _field(node, where, names)
    if field.kind not in (Kind.ANY, Kind.TEXT):
        raise Invalid.field(f"{where}.field", "holds no text")
    text = _text(node, where)
    match node.get("kind"):
        case "regexp":
            _check_expression(text, f"{where}.value")
            ignore_case = _flag(node, "ignoreCase", where)
            found: Filter = Match(field.path, MatchKind.REGEX, text, ignore_case=ignore_case)
        case "queryString":
            _flag(node, "analyzeWildcard", where)
            found = parse_query(text, field.path, f"{where}.value")
            head = _head(text)
            if field.path == ("shownName",) and head:
                found = And((starts_with("called", head), found))
        case kind:
            raise Invalid.field(f"{where}.kind", f"{kind!r} is neither regexp nor queryString")
    return _or_absent(node, where, field, found)


def _head(query: str) -> str:
    """What a value must begin with that fits a query of one word with wildcards."""
    head, star, _ = query.partition("*")
    plain = head.replace("-", "").replace("_", "").isalnum()
    return head.lower() if star and plain and head.upper() != "NOT" and " " not in query.strip() else ""


def _check_expression(text: str, where: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options)
    except re2.error as error:
        raise Invalid.field(where, f"is not a regular expression: {error}") from error
    if "(?" in text.replace("(?:", ""):
        raise Invalid.field(where, "takes no options, names or look-around")


def _grouped_text(node: Node, where: str, names: Names) -> Filter:
    return read_words(_text(node, where))


def _text(node: Node, where: str) -> str:
    text = node.get("value")
    if not isinstance(text, str) or len(text) > MAX_PATTERN or "\0" in text:
        raise Invalid.field(f"{where}.value", f"is text of at most {MAX_PATTERN} characters")
    return text


# --- places and ids --------------------------------------------------------------------------------------------------


def _geo_distance(node: Node, where: str, names: Names) -> Filter:
    units = str(node.get("units") or "").lower().replace(" ", "")
    metres = _METRES.get(units, _METRES.get(units.removesuffix("s").replace("metre", "meter")))
    if metres is None:
        raise Invalid.field(f"{where}.units", f"is one of {', '.join(unit for unit in _METRES if unit)}")
    radius_m = _number(node.get("distance"), f"{where}.distance", 0, 1e9) * metres
    area = Circle(_latitude(node, where), _longitude(node, where), min(radius_m, 1e9))
    return Within(_place_field(node, where, names), area)


def _geo_box(node: Node, where: str, names: Names) -> Filter:
    corners = []
    for name in ("topLeft", "bottomRight"):
        corner = node.get(name)
        if not isinstance(corner, Mapping):
            raise Invalid.field(f"{where}.{name}", "is {lat, lon}")
        corners.append((_latitude(corner, f"{where}.{name}"), _longitude(corner, f"{where}.{name}")))
    (north, west), (south, east) = corners
    return Within(_place_field(node, where, names), Box(south, west, north, east))


def _geo_shape(node: Node, where: str, names: Names) -> Filter:
    field = _place_field(node, where, names)
    shape = node.get("shape")
    if not isinstance(shape, Mapping):
        raise Invalid.field(f"{where}.shape", "is GeoJSON")
    coordinates, place = shape.get("coordinates"), f"{where}.shape.coordinates"
    match str(shape.get("type")).lower():
        case "polygon":
            inside = _polygon(field, coordinates, place)
        case "multipolygon" if isinstance(coordinates, list):
            inside = Or(tuple(_polygon(field, each, f"{place}[{index}]") for index, each in enumerate(coordinates)))
        case "envelope":
            (west, north), (east, south), *_ = _ring(coordinates, place, least=2)
            inside = Within(field, Box(south, west, north, east))
        case _:
            raise Invalid.field(f"{where}.shape.type", "is Polygon, MultiPolygon or envelope")
    match node.get("relation", "intersects"):
        case "intersects" | "within":
            return inside
        case "disjoint":
            return And((Exists(field), Not(inside)))
    raise Invalid.field(f"{where}.relation", "is intersects, within or disjoint")


def _polygon(field: tuple[str, ...], rings: object, where: str) -> Filter:
    if not isinstance(rings, list) or not rings:
        raise Invalid.field(where, "is a list of rings")
    outer, *holes = [
        Within(field, Polygon(_ring(ring, f"{where}[{index}]", least=3))) for index, ring in enumerate(rings)
    ]
    return And((outer, *(Not(hole) for hole in holes))) if holes else outer


def _ring(points: object, where: str, *, least: int) -> tuple[tuple[float, float], ...]:
    if not isinstance(points, list) or not least <= len(points) <= _MOST_POINTS:
        raise Invalid.field(where, f"is a list of {least} to {_MOST_POINTS} points")
    found = []
    for index, point in enumerate(points):
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) < 2:
            raise Invalid.field(f"{where}[{index}]", "is [longitude, latitude]")
        longitude = _number(point[0], f"{where}[{index}][0]", -180, 180)
        found.append((longitude, _number(point[1], f"{where}[{index}][1]", -90, 90)))
    return tuple(found)


def _id_list(node: Node, where: str, names: Names) -> Filter:
    given = node.get("ids")
    if not isinstance(given, list) or len(given) > _MOST_VALUES or not all(isinstance(one, str) for one in given):
        raise Invalid.field(f"{where}.ids", f"is a list of at most {_MOST_VALUES} ids")
    parsed = (parse_base62(one) for one in given)
    return In(("id",), tuple(one for one in parsed if one is not None))


def _place_field(node: Node, where: str, names: Names) -> tuple[str, ...]:
    field = _field(node, where, names)
    if field.path[0] not in ("data", "childData"):
        raise Invalid.field(f"{where}.field", "holds no places: name one of data/..")
    return field.path


def _latitude(node: Node, where: str) -> float:
    return _number(node.get("lat", node.get("latitude")), f"{where}.lat", -90, 90)


def _longitude(node: Node, where: str) -> float:
    return _number(node.get("lon", node.get("lng", node.get("longitude"))), f"{where}.lon", -180, 180)


# --- pieces ----------------------------------------------------------------------------------------------------------


def _field(node: Node, where: str, names: Names) -> Field:
    return read_field(node.get("field"), names, f"{where}.field")


def _there(field: Field) -> Filter:
    return EVERYTHING if field.is_always_there else Exists(field.path)


def _absent(field: Field) -> Filter:
    return NOTHING if field.is_always_there else Not(Exists(field.path))


def _or_absent(node: Node, where: str, field: Field, found: Filter) -> Filter:
    return Or((found, _absent(field))) if _flag(node, "empty", where) else found


def _flag(node: Node, name: str, where: str) -> bool:
    value = node.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Invalid.field(f"{where}.{name}", "is true or false")


def _cast(value: Any, field_type: object, where: str) -> Any:
    """The value as the type that the filter names for the field."""
    if isinstance(value, list):
        return [_cast(each, field_type, where) for each in value]
    match field_type, value:
        case None | "date", _:
            return value
        case _, None:
            return None
        case "string", bool():
            return "true" if value else "false"
        case "string", int() | float():
            return str(value)
        case "string", str():
            return value
        case "boolean", bool():
            return value
        case "boolean", "true" | "false":
            return value == "true"
        case "number" | "integer" | "float", int() | float() if not isinstance(value, bool):
            return value
        case "number" | "integer" | "float", str():
            try:
                number = float(value)
            except ValueError as error:
                raise Invalid.field(where, "is not a number") from error
            return int(number) if number.is_integer() else number
    raise Invalid.field(where, f"{value!r} is no {field_type}")


def _number(value: object, where: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Invalid.field(where, "is a number")
    if not least <= value <= most:
        raise Invalid.field(where, f"is a number from {least:g} to {most:g}")
    return float(value)


_LEAVES: dict[str, Callable[[Node, str, Names], Filter]] = {
    "equals": _equals,
    "comparison": _comparison,
    "exists": _exists,
    "expression": _expression,
    "groupedText": _grouped_text,
    "geoDistance": _geo_distance,
    "geoBoundingBox": _geo_box,
    "geoShape": _geo_shape,
    "idList": _id_list,
}
