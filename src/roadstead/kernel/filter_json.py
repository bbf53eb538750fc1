"""Filters as JSON, for those that are kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.kernel.filter import (
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
    Scalar,
    Within,
)


def spell_filter(tree: Filter) -> dict[str, Any]:
    """An object with one member, named by what the filter does; `read_filter` reads it again."""
    match tree:
        case And(parts):
            return {"and": [spell_filter(part) for part in parts]}
        case Or(parts):
            return {"or": [spell_filter(part) for part in parts]}
        case Not(part):
            return {"not": spell_filter(part)}
        case Compare(field, operator, value):
            return {"compare": [field, operator.value, _spell(value)]}
        case Between(field, low, high, low_open, high_open):
            return {"between": [field, _spell(low), _spell(high), low_open, high_open]}
        case In(field, values):
            return {"in": [field, [_spell(value) for value in values]]}
        case Exists(field):
            return {"exists": field}
        case Match(field, kind, pattern, ignore_case):
            return {"match": [field, kind.value, pattern, ignore_case]}
        case Within(field, area):
            return {type(area).__name__.lower(): [field, msgspec.structs.asdict(area)]}


def read_filter(spelled: Mapping[str, Any]) -> Filter:
    """The filter that `spell_filter` has spelled. Raises `ValueError` for anything else."""
    ((does, what),) = spelled.items()
    match does:
        case "and":
            return And(tuple(read_filter(part) for part in what))
        case "or":
            return Or(tuple(read_filter(part) for part in what))
        case "not":
            return Not(read_filter(what))
        case "exists":
            return Exists(tuple(what))
    field, *rest = what
    match does:
        case "compare":
            return Compare(tuple(field), Operator(rest[0]), _read(rest[1]))
        case "between":
            return Between(tuple(field), _read(rest[0]), _read(rest[1]), *rest[2:])
        case "in":
            return In(tuple(field), tuple(_read(value) for value in rest[0]))
        case "match":
            return Match(tuple(field), MatchKind(rest[0]), *rest[1:])
        case "circle":
            return Within(tuple(field), Circle(**rest[0]))
        case "box":
            return Within(tuple(field), Box(**rest[0]))
        case "polygon":
            return Within(tuple(field), Polygon(tuple((point[0], point[1]) for point in rest[0]["points"])))
    raise ValueError(f"no filter does '{does}'")


def _spell(value: Scalar) -> Any:
    match value:
        case UUID():
            return {"id": str(value)}
        case datetime():
            return {"at": value.isoformat()}
    return value


def _read(spelled: Any) -> Scalar:
    match spelled:
        case {"id": text}:
            return UUID(text)
        case {"at": text}:
            return datetime.fromisoformat(text)
    value: Scalar = spelled
    return value
