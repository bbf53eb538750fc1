"""What a filter of the search language means, said a second time in plain Python, about devices as answered."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from typing import Any
from zoneinfo import ZoneInfo

from roadstead.kernel.ids import parse_base62

Thing = dict[str, Any]


def is_true(node: Any, thing: Thing) -> bool:
    """Whether the filter finds the device."""
    if node is None:
        return True
    if node["type"] == "logical":
        parts = [is_true(part, thing) for part in node["conditions"]]
        found = not parts or (all(parts) if node["operator"] == "and" else any(parts))
    else:
        found = _leaf(node, thing)
    return found is not bool(node.get("not"))


def _leaf(node: Any, thing: Thing) -> bool:
    match node["type"]:
        case "idList":
            return thing["id"] in [one for one in node["ids"] if parse_base62(one)]
        case "groupedText":
            return all(_has_word(word, thing) for word in node["value"].lower().split() if word.strip("*"))
        case "exists":
            return _is_there(thing, node["field"])
        case "geoDistance" | "geoBoundingBox" | "geoShape":
            return any(_is_within(node, place) for place in _places(thing, node["field"]))
    values = list(_values(thing, node["field"]))
    if node.get("comparator") == "!=":
        equal = {**node, "comparator": "="}
        found = _is_there(thing, node["field"]) and not any(_passes(equal, value) for value in values)
    else:
        found = any(_passes(node, value) for value in values)
    if node["type"] == "equals" and _wanted(node).count(None):
        found = found or not _is_there(thing, node["field"])
    return found or (bool(node.get("empty")) and not _is_there(thing, node["field"]))


def _wanted(node: Any) -> list[Any]:
    return node["value"] if isinstance(node["value"], list) else [node["value"]]


def _passes(node: Any, value: Any) -> bool:
    match node["type"]:
        case "equals":
            return any(_same_kind(value, one) and value == one for one in _wanted(node))
        case "comparison":
            return _compares(node, value)
        case "expression" if not isinstance(value, str):
            return False
        case "expression" if node["kind"] == "regexp":
            flags = re.DOTALL | (re.IGNORECASE if node.get("ignoreCase") else 0)
            return re.fullmatch(node["value"], value, flags) is not None
        case "expression":
            return re.match(translate(node["value"].lower()), value.lower(), re.DOTALL) is not None
    raise AssertionError(node)


def _compares(node: Any, value: Any) -> bool:
    zone = ZoneInfo(node.get("timezone", "UTC"))
    ends = [node["value"]] if "value" in node else [node["value1"], node["value2"]]
    if node.get("isDate"):
        instant = _instant(value)
        if instant is None:
            return False
        starts = [_moment(end, zone) for end in ends]
        lasts = [
            start + timedelta(days=1, microseconds=-1) if isinstance(end, str) and len(end) == 10 else start
            for end, start in zip(ends, starts, strict=True)
        ]
        value, wide = instant, list(zip(starts, lasts, strict=True))
    else:
        if not all(_same_kind(value, end) for end in ends):
            return False
        wide = [(end, end) for end in ends]
    start, last = wide[0]
    match node["comparator"]:
        case "=":
            return bool(start <= value <= last)
        case ">":
            return bool(value > last)
        case ">=":
            return bool(value >= start)
        case "<":
            return bool(value < start)
        case "<=":
            return bool(value <= last)
    comparator = node["comparator"].removeprefix("!")
    _, end = wide[1]
    above = value >= start if comparator[0] == "[" else value > last
    below = value <= end if comparator[1] == "]" else value < wide[1][0]
    return bool(not (above and below) if node["comparator"][0] == "!" else above and below)


def _instant(value: Any) -> datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _moment(value, ZoneInfo("UTC")) if value >= 1e11 else None
    return _moment(value, ZoneInfo("UTC")) if re.match(r"\d{4}-\d\d-\d\d", value) else None


def _moment(value: Any, zone: ZoneInfo) -> datetime:
    if isinstance(value, (int, float)):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    instant = datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=zone).astimezone(UTC)


def _same_kind(one: Any, other: Any) -> bool:
    kinds = [
        float if isinstance(each, (int, float)) and not isinstance(each, bool) else type(each) for each in (one, other)
    ]
    return kinds[0] is kinds[1]


def _at(thing: Any, steps: list[str]) -> Iterator[Any]:
    if isinstance(thing, list):
        for item in thing:
            yield from _at(item, steps)
    elif not steps:
        yield thing
    elif isinstance(thing, dict) and steps[0] in thing:
        yield from _at(thing[steps[0]], steps[1:])


def _values(thing: Thing, field: str) -> Iterator[Any]:
    for value in _at(thing, field.split("/")):
        if value is not None and not isinstance(value, dict):
            yield value


def _scalars(value: Any) -> Iterator[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if parts is not None:
        for part in parts:
            yield from _scalars(part)
    elif value is not None:
        yield value


def _is_there(thing: Thing, field: str) -> bool:
    return any(True for value in _at(thing, field.split("/")) for _ in _scalars(value))


def _has_word(word: str, thing: Thing) -> bool:
    texts = [thing["name"], *(v for keys in thing["networkAliases"].values() for v in keys.values())]
    texts += [value for value in _scalars(thing["data"]) if isinstance(value, str)]
    if word.startswith("*"):
        return any(word.strip("*") in text.lower() for text in texts)
    starts = [text.lower()[at:] for text in texts for at in range(len(text)) if at == 0 or not text[at - 1].isalnum()]
    return any(start.startswith(word.rstrip("*")) for start in starts)


def _places(thing: Thing, field: str) -> Iterator[tuple[float, float]]:
    for value in _at(thing, field.split("/")):
        if isinstance(value, dict) and {"lat", "lon"} <= set(value):
            yield value["lat"], value["lon"]


def _is_within(node: Any, place: tuple[float, float]) -> bool:
    latitude, longitude = place
    if node["type"] == "geoDistance":
        phi, theta = math.radians(latitude), math.radians(node["lat"])
        angle = math.radians(longitude - node["lon"])
        cosine = math.sin(phi) * math.sin(theta) + math.cos(phi) * math.cos(theta) * math.cos(angle)
        return math.acos(max(-1, min(1, cosine))) * 6371.0088 <= float(node["distance"])
    if node["type"] == "geoBoundingBox":
        west, east = node["topLeft"]["lon"], node["bottomRight"]["lon"]
        inside = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
        return bool(inside and node["bottomRight"]["lat"] <= latitude <= node["topLeft"]["lat"])
    (west, north), (east, south) = node["shape"]["coordinates"]
    inside = west <= longitude <= east and south <= latitude <= north
    return bool(inside) is not (node["relation"] == "disjoint")
