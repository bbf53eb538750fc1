"""What an advanced query on devices means, said a second time: over plain objects, as a document database has it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

MOMENTS = ("creationDate", "lastUpdated", "deletedAt", "connectedAt", "disconnectedAt")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a test: its fields by their names in queries, those that are not set left out."""

    fields: Mapping[str, Any]
    """Times in milliseconds; `ancestorId` and `attributeName` are lists."""
    tags: tuple[tuple[str, str], ...]


def is_true(query: Mapping[str, Any], device: Sample) -> bool:
    """Whether the query is true for the device."""
    return all(_member(name, value, device) for name, value in query.items())


def _member(name: str, value: Any, device: Sample) -> bool:
    match name:
        case "$and":
            return all(is_true(each, device) for each in value)
        case "$or":
            return not value or any(is_true(each, device) for each in value)
        case "$nor":
            return bool(value) and not any(is_true(each, device) for each in value)
        case "tags":
            return _tags(value, device.tags)
    found = device.fields.get(name, [])
    values = found if isinstance(found, list) else [found]
    if not isinstance(value, dict):
        value = {"$eq": value}
    fold = value.get("$ci", False)
    return all(_operator(name, word, each, values, fold) for word, each in value.items() if word != "$ci")


def _operator(name: str, operator: str, wanted: Any, values: list[Any], fold: bool) -> bool:
    def plain(value: Any) -> Any:
        if name in MOMENTS and isinstance(value, str):
            return int(datetime.fromisoformat(value).astimezone(UTC).timestamp() * 1000)
        return value.lower() if fold and isinstance(value, str) else value

    values = [plain(value) for value in values]
    match operator:
        case "$eq":
            return not values if wanted is None else plain(wanted) in values
        case "$ne":
            return not _operator(name, "$eq", wanted, values, fold)
        case "$in":
            return any(plain(each) in values for each in wanted)
        case "$nin":
            return not _operator(name, "$in", wanted, values, fold)
    wanted = plain(wanted)
    tests: dict[str, Callable[[Any], bool]] = {
        "$gt": lambda value: value > wanted,
        "$gte": lambda value: value >= wanted,
        "$lt": lambda value: value < wanted,
        "$lte": lambda value: value <= wanted,
        "$startsWith": lambda value: value.startswith(wanted),
        "$endsWith": lambda value: value.endswith(wanted),
        "$contains": lambda value: wanted in value,
    }
    return any(tests[operator](value) for value in values)


def _tags(value: Any, tags: tuple[tuple[str, str], ...]) -> bool:
    match value:
        case None:
            return not tags
        case {"$eq": inner}:
            return _tags(inner, tags)
        case {"$ne": inner}:
            return not _tags(inner, tags)
        case {"$tagKey": key, "$tagValue": wanted}:
            return _pair(key, wanted, tags)
        case {"$tagKey": key}:
            return _fits(key, [each for each, _ in tags])
        case {"$tagValue": wanted}:
            return _fits(wanted, [each for _, each in tags])
    return all(_fits(wanted, [each for name, each in tags if name == key]) for key, wanted in value.items())


def _fits(wanted: Any, values: list[str]) -> bool:
    match wanted:
        case None:
            return not values
        case {"$in": texts}:
            return any(value in texts for value in values)
        case {"$nin": texts}:
            return not any(value in texts for value in values)
    return wanted in values


def _pair(key: Any, wanted: Any, tags: tuple[tuple[str, str], ...]) -> bool:
    match key, wanted:
        case (None, _):
            return not tags and _fits(wanted, [])
        case ({"$nin": _}, None | {"$nin": _}):
            return _fits(key, [each for each, _ in tags]) and _fits(wanted, [each for _, each in tags])
        case ({"$nin": keys}, _):
            return not any(name in keys and _fits(wanted, [value]) for name, value in tags)
    keys = key["$in"] if isinstance(key, dict) else [key]
    return _fits(wanted, [value for name, value in tags if name in keys])
