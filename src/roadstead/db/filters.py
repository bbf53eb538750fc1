"""The one compiler from filters to SQL conditions. Knows how a field is stored; knows no table of its own."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.db.filter_patterns import check_scalar, match_text, wrong
from roadstead.db.listing import Condition
from roadstead.kernel.filter import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_PATTERN,
    MAX_TEXT,
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
    Path,
    Polygon,
    Scalar,
    Within,
    check_size,
    fold,
    starts_with,
)

EARTH_RADIUS_M = 6_371_008.8


class ColumnType(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    ID = "id"


class Column(msgspec.Struct, frozen=True):
    """A column, or an expression like one. NULL means that the field is absent."""

    sql: str
    type: ColumnType = ColumnType.TEXT
    absent: str | None = None
    """SQL of the value that stands for absent in a column that is never NULL."""


class Json(msgspec.Struct, frozen=True):
    """A jsonb column; further steps of the path are members of its objects."""

    sql: str


class Rows(msgspec.Struct, frozen=True):
    """Values in rows of another table, one for each value; further steps of the path are compared with its keys."""

    source: str
    """`<table> [<alias>] WHERE <joined with the outer row>`."""
    keys: tuple[str, ...]
    value: Column


class Words(msgspec.Struct, frozen=True):
    """Word starts in lower case in rows of another table: what text search looks at."""

    source: str
    """`<table> [<alias>] WHERE <joined with the outer row>`."""
    word: str


class Place(msgspec.Struct, frozen=True):
    """A point on the globe in two numeric columns, NULL together."""

    latitude: str
    longitude: str


class Values(msgspec.Struct, frozen=True):
    """Values of any kind in rows like those of `device_value`; after the keys, the path names a value, dots in it."""

    source: str
    """`<table> <row> WHERE <joined with the outer row>`."""
    row: str
    keys: tuple[str, ...] = ()


FieldKind: TypeAlias = Column | Json | Rows | Words | Place | Values
Fields = Mapping[str, FieldKind]

TRUE = Condition("true")
FALSE = Condition("false")


class Source(msgspec.Struct, frozen=True):
    """The rows that are asked: a table with `tenant_id` and `id`, to which all fields refer by its name."""

    table: str
    where: Condition
    """What limits them to a tenant."""


def compile_filter(
    tree: Filter, fields: Fields, *, depth: int = MAX_DEPTH, nodes: int = MAX_NODES, source: Source | None = None
) -> Condition:
    """A condition that is TRUE for exactly the rows the filter is true for; for the others it is FALSE or NULL.

    Leaves stay as bare as they can, so that indexes serve them. Raises `Invalid` for a field that is not in `fields`, a
    value that does not fit its type, a pattern that cannot be one, a tree too large.

    With a `source`, alternatives that look into other tables are found one by one, each by its own index; else
    PostgreSQL goes through all rows and tries them on each. Worth it where few are found among very many.
    """
    check_size(tree, depth=depth, nodes=nodes)
    return _compile(tree, fields, source)


def _compile(tree: Filter, fields: Fields, source: Source | None = None) -> Condition:
    match tree:
        case And(parts):
            return _all([_compile(part, fields, source) for part in parts])
        case Or(parts):
            found = [_compile(part, fields, source) for part in parts]
            return _either(found, source) if source and _looks_elsewhere(tree, fields) else _any(found)
        case Not(Exists((name,))) if isinstance(column := fields.get(name), Column) and column.absent is None:
            return Condition(f"{column.sql} IS NULL")  # as an index has it
        case Not(part):
            # NULL is as good as FALSE all the way up to here, where it must not stay NULL.
            inner = _compile(part, fields, source)
            return Condition(f"({inner.sql}) IS NOT TRUE", inner.params)
    return _leaf(tree, fields, source)


def _looks_elsewhere(tree: Filter, fields: Fields) -> bool:
    match tree:
        case And(parts) | Or(parts):
            return any(_looks_elsewhere(part, fields) for part in parts)
        case Not(part):
            return _looks_elsewhere(part, fields)
    return isinstance(fields.get(tree.field[0]), Rows | Words | Values)


def _either(conditions: Sequence[Condition], source: Source) -> Condition:
    if len(conditions) < 2:
        return _any(conditions)
    table, where = source.table, source.where
    rows = f"SELECT {table}.tenant_id, {table}.id FROM {table} WHERE {where.sql}"
    each = [f"{rows} AND ({one.sql})" for one in conditions]
    params = [param for one in conditions for param in (*where.params, *one.params)]
    return Condition(f"({table}.tenant_id, {table}.id) IN ({' UNION ALL '.join(each)})", tuple(params))


def _leaf(leaf: Leaf, fields: Fields, source: Source | None) -> Condition:
    name, *steps = leaf.field
    kind = fields.get(name)
    match kind:
        case None:
            raise wrong(leaf.field, f"is not one of {', '.join(fields)}")
        case Column() if not steps:
            return _column(leaf, kind)
        case Json():
            return _json(leaf, kind, steps)
        case Rows() if len(steps) == len(kind.keys):
            return _rows(leaf, kind, steps)
        case Words() if not steps:
            return _words(leaf, kind)
        case Place() if not steps:
            return _place(leaf, kind)
        case Values() if len(steps) == len(kind.keys) + 1:
            return _values(leaf, kind, steps, source)
    raise wrong(leaf.field, "has nothing of that name in it")


# --- columns ---------------------------------------------------------------------------------------------------------


def _column(leaf: Leaf, column: Column) -> Condition:
    condition = _present(leaf, column)
    return condition if column.absent is None else _all([condition, Condition(f"{column.sql} <> {column.absent}")])


def _present(leaf: Leaf, column: Column) -> Condition:
    match leaf:
        case Exists():
            return Condition(f"{column.sql} IS NOT NULL") if column.absent is None else TRUE
        case In(field, values):
            for value in values:
                _check_type(field, column.type, value)
            return Condition(f"{column.sql} = ANY(%s)", (_alike(values),)) if values else FALSE
        case Compare() | Between():
            return _all([_compare(leaf.field, column, operator, value) for operator, value in leaf.bounds()])
        case Match() if column.type is ColumnType.TEXT:
            return match_text(leaf, column.sql)
    raise wrong(leaf.field, f"is a {column.type} and cannot be asked that")


def _alike(values: Sequence[Scalar]) -> list[Scalar]:
    """As an array, which holds one type: whole numbers beside others become floats."""
    if any(isinstance(value, float) for value in values):
        return [float(value) if isinstance(value, int) else value for value in values]
    return list(values)


def _compare(field: Path, column: Column, operator: Operator, value: Scalar) -> Condition:
    _check_type(field, column.type, value)
    if isinstance(value, bool):
        if operator is not Operator.EQ:
            raise wrong(field, "is true or false, neither less nor more")
        return Condition(column.sql if value else f"NOT {column.sql}")  # bare, as partial indexes say it
    if column.type is ColumnType.TEXT and operator is not Operator.EQ:
        return Condition(f'{column.sql} COLLATE "C" {operator} %s', (value,))
    return Condition(f"{column.sql} {operator} %s", (value,))


_PYTHON_TYPES: dict[ColumnType, tuple[type, ...]] = {
    ColumnType.TEXT: (str,),
    ColumnType.NUMBER: (int, float),
    ColumnType.BOOLEAN: (bool,),
    ColumnType.INSTANT: (datetime,),
    ColumnType.ID: (UUID,),
}


def _check_type(field: Path, type_: ColumnType, value: Scalar) -> None:
    if not isinstance(value, _PYTHON_TYPES[type_]) or (isinstance(value, bool) and type_ is not ColumnType.BOOLEAN):
        raise wrong(field, f"is a {type_} and cannot be compared with {value!r}")
    check_scalar(field, value)


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(leaf: Leaf, json: Json, steps: Sequence[str]) -> Condition:
    """True when one value at the path makes it true; lists on the way and at the end are looked into, one level."""
    path = "$" + "".join(f".{msgspec.json.encode(step).decode()}" for step in steps) + "[*]"
    if any("\0" in step for step in steps):
        raise wrong(leaf.field, "cannot hold a zero byte")
    match leaf:
        case Exists():
            inner = Condition("item <> 'null'::jsonb")
        case In(field, values):
            inner = _any([_json_compare(field, Operator.EQ, value) for value in values])
        case Compare() | Between():
            inner = _all([_json_compare(leaf.field, operator, value) for operator, value in leaf.bounds()])
        case Match():
            found = match_text(leaf, "(item #>> '{}')")
            inner = Condition(f"jsonb_typeof(item) = 'string' AND {found.sql}", found.params)
        case _:
            raise wrong(leaf.field, "is not a place")
    sql = f"EXISTS (SELECT FROM jsonb_path_query({json.sql}, %s::jsonpath) AS item WHERE {inner.sql})"
    return Condition(sql, (path, *inner.params))


def _json_compare(field: Path, operator: Operator, value: Scalar) -> Condition:
    check_scalar(field, value)
    match value:
        case datetime():
            return Condition(f"json_instant(item) {operator} %s", (value,))
        case UUID():
            return _json_compare(field, operator, str(value))
        case _ if operator is Operator.EQ:
            return Condition("item = %s", (Jsonb(value),))
        case bool():
            raise wrong(field, "true and false are neither less nor more")
        case str():
            sql = f"jsonb_typeof(item) = 'string' AND (item #>> '{{}}') COLLATE \"C\" {operator} %s"
            return Condition(sql, (value,))
        case _:
            return Condition(f"jsonb_typeof(item) = 'number' AND item {operator} %s", (Jsonb(value),))


# --- rows of another table --------------------------------------------------------------------------------------------


def _rows(leaf: Leaf, rows: Rows, steps: Sequence[str]) -> Condition:
    for step in steps:
        check_scalar(leaf.field, step)
    value = TRUE if isinstance(leaf, Exists) else _column(leaf, rows.value)
    keys = "".join(f" AND {key} = %s" for key in rows.keys)
    return Condition(f"EXISTS (SELECT FROM {rows.source}{keys} AND {value.sql})", (*steps, *value.params))


def _words(leaf: Leaf, words: Words) -> Condition:
    if not isinstance(leaf, Match) or leaf.kind is not MatchKind.TEXT:
        raise wrong(leaf.field, "is only for text search")
    if len(leaf.pattern) > MAX_PATTERN:
        raise wrong(leaf.field, f"takes at most {MAX_PATTERN} characters")
    fields = {"word": Column(words.word)}
    found = [_compile(starts_with("word", word), fields) for word in leaf.pattern.lower().split()]
    return _all([Condition(f"EXISTS (SELECT FROM {words.source} AND {word.sql})", word.params) for word in found])


# --- values of any kind ----------------------------------------------------------------------------------------------


def _values(leaf: Leaf, values: Values, steps: Sequence[str], source: Source | None) -> Condition:
    for step in steps:
        check_scalar(leaf.field, step)
    *keys, path = steps
    row = values.row
    at = Condition(f"{row}.path = %s", (path,))
    match leaf:
        case Exists():
            both = [at, Condition(f"{row}.path > %s AND {row}.path < %s", (f"{path}.", f"{path}/"))]
            if source is not None:
                return _either([_exists(values, keys, one) for one in both], source)
            either = _any(both)
            found = Condition(f"({either.sql})", either.params)
        case In(field, wanted):
            found = _all([at, _any([_all(_typed(field, row, Operator.EQ, value)) for value in wanted])])
        case Compare() | Between():
            bounds = leaf.bounds()
            parts = [part for operator, value in bounds for part in _typed(leaf.field, row, operator, value)]
            found = _all([at, *parts])
        case Match():
            found = _all([at, *_text_match(leaf, row)])
        case _:
            found = _all([at, _place(leaf, Place(f"{row}.latitude", f"{row}.longitude"))])
    return _exists(values, keys, found)


def _exists(values: Values, keys: Sequence[str], found: Condition) -> Condition:
    joined = "".join(f" AND {key} = %s" for key in values.keys)
    return Condition(f"EXISTS (SELECT FROM {values.source}{joined} AND {found.sql})", (*keys, *found.params))


def _typed(field: Path, row: str, operator: Operator, value: Scalar) -> list[Condition]:
    """Conditions that must all be true."""
    check_scalar(field, value)
    match value:
        case bool():
            if operator is not Operator.EQ:
                raise wrong(field, "true and false are neither less nor more")
            return [Condition(f"{row}.flag = %s", (value,))]
        case int() | float():
            return [Condition(f"{row}.number {operator} %s", (float(value),))]
        case datetime():
            return [Condition(f"{row}.instant {operator} %s", (value,))]
        case _ if operator is Operator.EQ:
            text = str(value)[:MAX_TEXT]
            return [Condition(f"{row}.folded = %s", (fold(text),)), Condition(f"{row}.text = %s", (text,))]
        case _:
            return [Condition(f"{row}.text {operator} %s", (str(value)[:MAX_TEXT],))]


def _text_match(leaf: Match, row: str) -> list[Condition]:
    """What the text begins with is said as well, for the index."""
    match leaf.kind:
        case MatchKind.WILDCARD:
            head = _PLAIN_HEAD.match(leaf.pattern)
            found = match_text(leaf, f"{row}.text")
        case MatchKind.REGEX:
            head = None if "|" in leaf.pattern else _PLAIN_START.match(leaf.pattern)
            found = match_text(leaf, f"{row}.text")
        case _:
            head, found = None, match_text(leaf, f"{row}.text")
    if head is None or not head[0]:
        return [found]
    return [_compile(starts_with("folded", fold(head[0])), {"folded": Column(f"{row}.folded")}), found]


_PLAIN_HEAD = re.compile(r"[^*?\\]*")
_PLAIN_START = re.compile(r"[A-Za-z0-9 _-]*(?![*?{])")
"""Of a regular expression: without the last character, should that be one of several or none."""


# --- places ----------------------------------------------------------------------------------------------------------


def _place(leaf: Leaf, place: Place) -> Condition:
    match leaf:
        case Exists():
            return Condition(f"{place.latitude} IS NOT NULL")
        case Within(_, Box() as box):
            return _box(place, box)
        case Within(_, Circle() as circle):
            return _circle(place, circle)
        case Within(_, Polygon() as polygon):
            return _polygon(place, polygon)
    raise wrong(leaf.field, "is a place and can only be asked whether it is there or within an area")


def _box(place: Place, box: Box) -> Condition:
    latitude = Condition(f"{place.latitude} BETWEEN %s AND %s", (box.south, box.north))
    if box.west <= box.east:
        longitude = Condition(f"{place.longitude} BETWEEN %s AND %s", (box.west, box.east))
    else:
        longitude = Condition(f"({place.longitude} >= %s OR {place.longitude} <= %s)", (box.west, box.east))
    return _all([latitude, longitude])


def _polygon(place: Place, polygon: Polygon) -> Condition:
    ring = ",".join(f"({longitude!r},{latitude!r})" for longitude, latitude in polygon.points)
    inside = Condition(f"%s::polygon @> point({place.longitude}, {place.latitude})", (f"({ring})",))
    return _all([_box(place, polygon.box()), inside])


def _circle(place: Place, circle: Circle) -> Condition:
    """A box that an index can serve, and within it the exact distance (haversine)."""
    degrees = math.degrees(circle.radius_m / EARTH_RADIUS_M)
    # A little wider than the circle: the exact distance decides, not the rounding of the box.
    south, north = circle.latitude - degrees - 1e-9, circle.latitude + degrees + 1e-9
    parts = [Condition(f"{place.latitude} BETWEEN %s AND %s", (south, north))]
    if south > -90 and north < 90:
        ratio = math.sin(math.radians(degrees)) / math.cos(math.radians(circle.latitude))
        wide = math.degrees(math.asin(min(1.0, ratio))) + 1e-9
        west, east = circle.longitude - wide, circle.longitude + wide
        if wide < 180:
            west, east = (west + 360 if west < -180 else west), (east - 360 if east > 180 else east)
            parts = [_box(place, Box(south, west, north, east))]
    distance = (
        f"2 * {EARTH_RADIUS_M} * asin(sqrt(least(1, "
        f"sin(radians({place.latitude} - %s) / 2) ^ 2 + cos(radians(%s)) * cos(radians({place.latitude})) * "
        f"sin(radians({place.longitude} - %s) / 2) ^ 2))) <= %s"
    )
    where = (circle.latitude, circle.latitude, circle.longitude, circle.radius_m)
    return _all([*parts, Condition(distance, where)])


# --- pieces ----------------------------------------------------------------------------------------------------------


def _all(conditions: Sequence[Condition]) -> Condition:
    return _join(conditions, " AND ", TRUE)


def _any(conditions: Sequence[Condition]) -> Condition:
    return _join(conditions, " OR ", FALSE)


def _join(conditions: Sequence[Condition], word: str, empty: Condition) -> Condition:
    if len(conditions) < 2:
        return conditions[0] if conditions else empty
    params: list[Any] = [param for condition in conditions for param in condition.params]
    return Condition(word.join(f"({condition.sql})" for condition in conditions), tuple(params))
