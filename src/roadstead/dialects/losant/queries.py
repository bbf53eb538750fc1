"""Advanced queries: JSON with conditions on fields, read into filters (contract section 12).

A query has been held against its schema before it comes here. Each resource says with a table what its fields are.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from roadstead.dialects.losant.times import MOST_MS, parse_date
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import (
    EVERYTHING,
    MAX_DEPTH,
    NOTHING,
    And,
    Between,
    Compare,
    Exists,
    Filter,
    In,
    Match,
    MatchKind,
    Not,
    Operator,
    Or,
    check_size,
    equals,
    escape_wildcard,
    starts_with,
)
from roadstead.kernel.ids import parse_hex24

_DEEPEST = MAX_DEPTH - 4
"""Room for what callers add around a query."""
_TICK = timedelta(milliseconds=1)
_LEAST_MS = -62_000_000_000_000
"""The year 5."""
_ORDER = {"$gt": Operator.GT, "$gte": Operator.GE, "$lt": Operator.LT, "$lte": Operator.LE}
_PATTERNS = frozenset({"$startsWith", "$endsWith", "$contains"})


# --- what a field can be ---------------------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True):
    """A text, or several of which one must fit."""

    field: str
    """Its name in filters of the core."""
    lowered: str | None = None
    """The name of the same in lower case, where that is searched by index."""


class Instant(msgspec.Struct, frozen=True):
    """A point in time, ISO text or milliseconds in queries."""

    field: str


class Id(msgspec.Struct, frozen=True):
    """An id, or several of which one must fit."""

    field: str


class Choice(msgspec.Struct, frozen=True):
    """One of a few words; what each means."""

    meanings: Mapping[str, Filter]


class Tags(msgspec.Struct, frozen=True):
    """Texts by key; the keys and the values are also fields of their own."""

    field: str
    keys: str
    values: str


class Never(msgspec.Struct, frozen=True):
    """Not set on anything here."""


Kind: TypeAlias = Text | Instant | Id | Choice | Tags | Never
Fields = Mapping[str, Kind]


# --- devices ---------------------------------------------------------------------------------------------------------

DEVICE_CLASSES = ("standalone", "gateway", "peripheral", "floating", "edgeCompute", "system", "embedded")

DEVICE_FIELDS: Fields = {
    "id": Id("id"),
    "creationDate": Instant("createdAt"),
    "lastUpdated": Instant("updatedAt"),
    "deletedAt": Instant("deletedAt"),
    "name": Text("shownName", lowered="called"),
    "deviceClass": Choice({word: equals("deviceClass", word) for word in DEVICE_CLASSES}),
    "gatewayId": Id("gatewayId"),
    "parentId": Id("parentDeviceId"),
    "ancestorId": Id("ancestorId"),
    "attributeName": Text("attributeName"),
    "experienceUserId": Never(),
    "experienceGroupId": Never(),
    "tags": Tags("tags", keys="tagKey", values="tagValue"),
    "disconnectedAt": Instant("disconnectedAt"),
    "connectedAt": Instant("connectedAt"),
    "connectionStatus": Choice(
        {word: equals("connectionStatus", word) for word in ("connected", "disconnected", "unknown", "invalid")}
    ),
}


def read_device_query(value: Mapping[str, Any], where: str = "query") -> Filter:
    """A query of the schema `advancedDeviceQuery`; `where` is its name in the request. See `read_query`."""
    return read_query(value, DEVICE_FIELDS, where)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_query(value: Mapping[str, Any], fields: Fields, where: str = "query") -> Filter:
    """The filter that a query means; an empty one is true for everything.

    Raises `Invalid` with the name of the condition for an unknown field, a value that cannot be the field's, an
    operator that cannot be asked of it, and for a query that is too large or too deep.
    """
    found = _object(value, fields, where, depth=0)
    check_size(found, depth=_DEEPEST)
    return found


def _object(value: Mapping[str, Any], fields: Fields, where: str, *, depth: int) -> Filter:
    if depth > _DEEPEST:
        raise Invalid.field(where, f"is nested at most {_DEEPEST} deep")
    parts: list[Filter] = []
    for name, condition in value.items():
        place = f"{where}.{name}"
        match name:
            case "$and" | "$or" | "$nor":
                if not isinstance(condition, list) or not all(isinstance(each, dict) for each in condition):
                    raise Invalid.field(place, "is a list of queries")
                inner = [_object(each, fields, f"{place}.{at}", depth=depth + 1) for at, each in enumerate(condition)]
                parts.append(_joined(name, inner))
            case _ if name in fields:
                parts.append(_condition(fields[name], condition, place))
            case _:
                raise Invalid.field(place, f"is not one of {', '.join(['$and', '$or', '$nor', *fields])}")
    return _all(parts)


def _joined(word: str, inner: list[Filter]) -> Filter:
    if word == "$and":
        return _all(inner)
    either = _any(inner) if inner else EVERYTHING  # none to choose from is no choice
    return Not(either) if word == "$nor" else either


def _condition(kind: Kind, value: Any, where: str) -> Filter:
    if isinstance(kind, Tags):
        return _tags(kind, value, where)
    if not isinstance(value, dict):
        return _is(kind, value, where, ignore_case=False)
    operators = {name: each for name, each in value.items() if name != "$ci"}
    ignore_case = bool(value.get("$ci"))
    if not operators:
        raise Invalid.field(where, "needs an operator")
    if ignore_case and not isinstance(kind, (Text, Choice)):
        raise Invalid.field(where, "is no text: $ci is not for it")
    return _all([_operation(kind, name, each, where, ignore_case) for name, each in operators.items()])


def _operation(kind: Kind, operator: str, value: Any, where: str, ignore_case: bool) -> Filter:
    match operator:
        case "$eq":
            return _is(kind, value, where, ignore_case=ignore_case)
        case "$ne":
            return Not(_is(kind, value, where, ignore_case=ignore_case))
        case "$in":
            return _among(kind, value, where, ignore_case=ignore_case)
        case "$nin":
            return Not(_among(kind, value, where, ignore_case=ignore_case))
        case _ if operator in _ORDER and not ignore_case:
            return _ordered(kind, _ORDER[operator], value, where)
        case _ if operator in _ORDER:
            raise Invalid.field(where, f"{operator} does not go with $ci")
        case _ if operator in _PATTERNS:
            return _pattern(kind, operator, value, where, ignore_case=ignore_case)
    raise Invalid.field(where, f"{operator} is no operator")


def _is(kind: Kind, value: Any, where: str, *, ignore_case: bool) -> Filter:
    if value is None:
        return Not(_is_set(kind))
    return _among(kind, [value], where, ignore_case=ignore_case)


def _is_set(kind: Kind) -> Filter:
    match kind:
        case Text(field=field) | Instant(field=field) | Id(field=field):
            return Exists((field,))
        case Choice(meanings):
            return Or(tuple(meanings.values()))
    return NOTHING


def _among(kind: Kind, values: list[Any], where: str, *, ignore_case: bool) -> Filter:
    match kind:
        case Text():
            texts = [_text(value, where) for value in values]
            return _texts_alike(kind, texts) if ignore_case else _texts(kind, texts)
        case Instant(field):
            return _any([_at(field, _instant(value, where)) for value in values])
        case Id(field):
            return In((field,), tuple(_id(value, where) for value in values))
        case Choice():
            texts = [_text(value, where) for value in values]
            wanted = {text.lower() for text in texts} if ignore_case else set(texts)
            return _chosen(kind, lambda word: (word.lower() if ignore_case else word) in wanted)
        case Never():
            for value in values:
                _id(value, where)
    return NOTHING


def _ordered(kind: Kind, operator: Operator, value: Any, where: str) -> Filter:
    if value is None:
        raise Invalid.field(where, "null is neither less nor more")
    match kind:
        case Text(field):
            return Compare((field,), operator, _text(value, where))
        case Instant(field):
            return _instant_ordered(field, operator, _instant(value, where))
        case Id(field):
            return Compare((field,), operator, _id(value, where))
        case Choice():
            wanted = _text(value, where)
            return _chosen(kind, lambda word: _PYTHON_ORDER[operator](word, wanted))
    _id(value, where)
    return NOTHING


_PYTHON_ORDER = {Operator.GT: str.__gt__, Operator.GE: str.__ge__, Operator.LT: str.__lt__, Operator.LE: str.__le__}


def _pattern(kind: Kind, operator: str, value: Any, where: str, *, ignore_case: bool) -> Filter:
    text = _text(value, where)
    match kind:
        case Text():
            return _text_pattern(kind, operator, text, ignore_case=ignore_case)
        case Choice():
            text = text.lower() if ignore_case else text
            fits = {"$startsWith": str.startswith, "$endsWith": str.endswith, "$contains": str.__contains__}[operator]
            return _chosen(kind, lambda word: fits(word.lower() if ignore_case else word, text))
    raise Invalid.field(where, f"is no text: {operator} is not for it")


def _chosen(kind: Choice, fits: Any) -> Filter:
    return _any([meaning for word, meaning in kind.meanings.items() if fits(word)])


# --- texts -----------------------------------------------------------------------------------------------------------

# What an index of the lowered text finds is looked at once more as it was written. Only for plain ASCII: other letters
# have more than one opinion about their lower case.


def _texts(kind: Text, texts: list[str]) -> Filter:
    found = In((kind.field,), tuple(texts))
    if kind.lowered is None or not "".join(texts).isascii():
        return found
    return And((In((kind.lowered,), tuple(text.lower() for text in texts)), found))


def _texts_alike(kind: Text, texts: list[str]) -> Filter:
    if kind.lowered is not None and "".join(texts).isascii():
        return In((kind.lowered,), tuple(text.lower() for text in texts))
    return _any([_like(kind.field, escape_wildcard(text), ignore_case=True) for text in texts])


def _text_pattern(kind: Text, operator: str, text: str, *, ignore_case: bool) -> Filter:
    indexed = kind.lowered if text.isascii() else None
    if ignore_case and indexed is not None:
        return _pattern_of(indexed, operator, text.lower(), ignore_case=False)
    found = _pattern_of(kind.field, operator, text, ignore_case=ignore_case)
    if operator != "$startsWith" or indexed is None:
        return found
    return And((starts_with(indexed, text.lower()), found))


def _pattern_of(field: str, operator: str, text: str, *, ignore_case: bool) -> Filter:
    plain = escape_wildcard(text)
    match operator:
        case "$startsWith" if ignore_case:
            return _like(field, f"{plain}*", ignore_case=True)
        case "$startsWith":
            return starts_with(field, text)
        case "$endsWith":
            return _like(field, f"*{plain}", ignore_case=ignore_case)
    return _like(field, f"*{plain}*", ignore_case=ignore_case)


def _like(field: str, wildcard: str, *, ignore_case: bool) -> Filter:
    return Match((field,), MatchKind.WILDCARD, wildcard, ignore_case=ignore_case)


# --- instants --------------------------------------------------------------------------------------------------------


def _at(field: str, instant: datetime) -> Filter:
    """Within the millisecond: finer is not shown."""
    return Between((field,), instant, instant + _TICK, high_open=True)


def _instant_ordered(field: str, operator: Operator, instant: datetime) -> Filter:
    match operator:
        case Operator.GT:
            return Compare((field,), Operator.GE, instant + _TICK)
        case Operator.LE:
            return Compare((field,), Operator.LT, instant + _TICK)
    return Compare((field,), operator, instant)


# --- tags ------------------------------------------------------------------------------------------------------------


class _Wanted(msgspec.Struct, frozen=True):
    """Texts that one of the tags must have, or that none may have; with no texts, any will do."""

    texts: tuple[str, ...] | None
    none_may: bool = False


def _tags(kind: Tags, value: Any, where: str) -> Filter:
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("$eq", "$ne"):
        ((operator, inner),) = value.items()
        found = _tags(kind, inner, where)
        return Not(found) if operator == "$ne" else found
    if value is None:
        return Not(Exists((kind.keys,)))
    if not isinstance(value, dict):
        raise Invalid.field(where, "is null or an object")
    if "$tagKey" in value or "$tagValue" in value:
        key = _wanted(value["$tagKey"], where) if "$tagKey" in value else None
        return _pair(kind, key, _wanted(value["$tagValue"], where) if "$tagValue" in value else None)
    return _all([_pair(kind, _Wanted((key,)), _wanted(each, where)) for key, each in value.items()])


def _wanted(value: Any, where: str) -> _Wanted:
    match value:
        case None:
            return _Wanted(None, none_may=True)
        case str():
            return _Wanted((value,))
        case {"$in": list(texts)}:
            return _Wanted(tuple(texts))
        case {"$nin": list(texts)}:
            return _Wanted(tuple(texts), none_may=True)
    raise Invalid.field(where, "takes texts, null, $in and $nin")


def _pair(kind: Tags, key: _Wanted | None, value: _Wanted | None) -> Filter:
    """A tag of such a key has such a value, or none has where one of the two says so."""
    if key is None or key.texts is None:
        anywhere = _any_of(kind.values, value)
        return anywhere if key is None else And((Not(Exists((kind.keys,))), anywhere))
    if value is None or (key.none_may and value.none_may):
        return _all([_any_of(kind.keys, key), *([] if value is None else [_any_of(kind.values, value)])])
    found = _any([_under(kind, each, value) for each in key.texts])
    return Not(found) if key.none_may or value.none_may else found


def _any_of(field: str, wanted: _Wanted | None) -> Filter:
    if wanted is None:
        return EVERYTHING
    found = Exists((field,)) if wanted.texts is None else In((field,), wanted.texts)
    return Not(found) if wanted.none_may else found


def _under(kind: Tags, key: str, value: _Wanted) -> Filter:
    path = (kind.field, key)
    return Exists(path) if value.texts is None else In(path, value.texts)


# --- values ----------------------------------------------------------------------------------------------------------


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    raise Invalid.field(where, f"is a text and cannot be compared with {value!r}")


def _id(value: Any, where: str) -> UUID:
    found = parse_hex24(value) if isinstance(value, str) else None
    if found is None:
        raise Invalid.field(where, "is an id of 24 hex digits")
    return found


def _instant(value: Any, where: str) -> datetime:
    at = parse_date(value) if isinstance(value, str) else value
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not _LEAST_MS < at < MOST_MS:
        raise Invalid.field(where, "is a time: ISO 8601, or milliseconds since 1970")
    return time.from_millis(int(at))


# --- pieces ----------------------------------------------------------------------------------------------------------


def _all(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _any(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))
