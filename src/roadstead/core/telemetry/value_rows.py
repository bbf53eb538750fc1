"""The values of a state as rows that are searched: one for each value, those of a list under one path. Pure."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from roadstead.core import types
from roadstead.core.telemetry.sections import current_paths
from roadstead.core.telemetry.store import State
from roadstead.core.types import Section
from roadstead.kernel.filter import MAX_TEXT, fold
from roadstead.kernel.time import from_millis

_LONGEST_WORD = 64
_MOST_WORDS = 50
"""Of one text."""
_MOST_ITEMS = 1_000
"""Rows of one path."""
_LONGEST_PATH = 500
_EARLIEST_MS, _LATEST_MS = 100_000_000_000, 253_402_300_799_999
"""Numbers that may be instants, in ms since 1970: from 1973 on, for smaller ones are hardly meant as such."""
_LATITUDES, _LONGITUDES = ("lat", "latitude"), ("lon", "lng", "longitude")


class ValueRow(msgspec.Struct, frozen=True, order=True):
    """A row of `device_value` without its keys; all None: an object or a list is there."""

    number: float | None = None
    flag: bool | None = None
    text: str | None = None
    instant: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None


def rows_of(body: Mapping[str, State]) -> dict[tuple[str, int], ValueRow]:
    """The attributes of a state that count, by path (names with dots between them) and number."""
    found: dict[str, list[ValueRow]] = {}
    places: dict[str, dict[str, float]] = {}
    for path in sorted(current_paths(body)):
        section, steps = types.split_path(path)
        if section is not Section.ATTRIBUTES:
            continue
        names = tuple(step for step in steps if isinstance(step, str))
        for way, value in _leaves(names, body[path][0]):
            below = types.join_path(Section.ATTRIBUTES, way)
            if len(below) > _LONGEST_PATH:
                continue
            row = row_of(value)
            if row is not None:
                found.setdefault(below, []).append(row)
            if row is not None and row.number is not None and len(way) > 1:
                above = types.join_path(Section.ATTRIBUTES, way[:-1])
                places.setdefault(above, {}).setdefault(way[-1], row.number)
    for path, members in places.items():
        place = _place(members)
        if place is not None:
            found.setdefault(path, []).append(place)
    return {(path, item): row for path, rows in found.items() for item, row in enumerate(rows[:_MOST_ITEMS])}


def words_of(rows: Mapping[tuple[str, int], ValueRow]) -> set[str]:
    """What the texts hold from the start of a word on, in lower case."""
    found: set[str] = set()
    for row in rows.values():
        if row.text is not None:
            text = row.text.lower()
            starts = [at for at in range(len(text)) if text[at].isalnum() and (not at or not text[at - 1].isalnum())]
            found.update(text[at : at + _LONGEST_WORD] for at in starts[:_MOST_WORDS])
    return found


def row_of(value: Any) -> ValueRow | None:
    """One value as a row; None for what cannot be asked for."""
    match value:
        case bool():
            return ValueRow(flag=value)
        case int() | float():
            number = float(value) if abs(value) < 1e300 else math.inf
            instant = from_millis(int(number)) if _EARLIEST_MS <= number <= _LATEST_MS else None
            return ValueRow(number=number, instant=instant) if math.isfinite(number) else None
        case str():
            text = value.replace("\0", "")[:MAX_TEXT]
            return ValueRow(text=text, instant=_instant(text))
    return None


def folded(row: ValueRow) -> str | None:
    """The text without case."""
    return None if row.text is None else fold(row.text)


def _leaves(names: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values within one; text that is a JSON list or object is what attributes of these kinds are kept as."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            value = msgspec.json.decode(value)
    match value:
        case list():
            for item in value:
                yield from _leaves(names, item)
        case dict():
            for name, item in value.items():
                yield from _leaves((*names, name), item)
        case _:
            yield names, value


def _place(members: Mapping[str, float]) -> ValueRow | None:
    latitude = next((members[name] for name in _LATITUDES if name in members), None)
    longitude = next((members[name] for name in _LONGITUDES if name in members), None)
    if latitude is None or longitude is None or not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        return None
    return ValueRow(latitude=latitude, longitude=longitude)


def _instant(text: str) -> datetime | None:
    """Without an offset it is UTC."""
    if len(text) < len("2026-01-01") or not text[:4].isdigit() or text[4] != "-":
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
