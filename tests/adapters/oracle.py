"""Time buckets the slow and obvious way: what the store's SQL has to agree with."""

import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from roadstead.core.messages import Value
from roadstead.core.ports import Function
from roadstead.kernel.time import Duration, from_millis, to_millis

Cell = float | str | None


class Point(NamedTuple):
    """One point, `at` and `received` in ms."""

    at: int
    value: Value
    received: int


def bucket_start(at: int, interval: Duration, zone: ZoneInfo) -> int:
    """Where the bucket begins that an instant lies in."""
    if interval.millis:
        return at // interval.millis * interval.millis
    day = from_millis(at).astimezone(zone).date()
    if interval.months:
        months = ((day.year - 1970) * 12 + day.month - 1) // interval.months * interval.months
        day = date(1970 + months // 12, months % 12 + 1, 1)
    elif interval.days % 7 == 0:
        monday = date(1969, 12, 29)
        day = monday + timedelta((day - monday).days // interval.days * interval.days)
    else:
        day = date(1970, 1, 1) + timedelta((day - date(1970, 1, 1)).days // interval.days * interval.days)
    # The first instant, minute by minute, at which the local calendar shows this day.
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    while instant.astimezone(zone).date() < day:
        instant += timedelta(minutes=15)
    return to_millis(instant)


def buckets(
    points: Sequence[Point], start: int, end: int, now: int, interval: Duration, zone: ZoneInfo
) -> dict[int, dict[Function, Cell]]:
    """All functions for each bucket of one series that has a point or a number that holds."""
    newest: dict[int, Point] = {}
    for point in points:
        if point.at not in newest or newest[point.at].received < point.received:
            newest[point.at] = point
    ordered = [newest[at] for at in sorted(newest)]
    inside = [point for point in ordered if start <= point.at < end]
    groups: dict[int, list[Point]] = {}
    for point in inside:
        groups.setdefault(bucket_start(point.at, interval, zone), []).append(point)
    found = {begin: _plain(group) for begin, group in groups.items()}
    empty: dict[Function, Cell] = dict.fromkeys(Function)
    for begin, (weighted, true_ms, held_ms) in _held(ordered, start, min(end, now), interval, zone).items():
        values = found.setdefault(begin, empty | {Function.COUNT: 0})
        values[Function.TIME_WEIGHTED_AVG] = weighted / held_ms
        values[Function.DURATION_TRUE] = true_ms / 1000
    return found


def _plain(points: list[Point]) -> dict[Function, Cell]:
    values: dict[Function, Cell] = dict.fromkeys(Function)
    values[Function.COUNT] = len(points)
    values[Function.FIRST], values[Function.LAST] = _cell(points[0].value), _cell(points[-1].value)
    # False and 0 are different values, though both have the number 0.
    frequency = Counter(_kind(point.value) for point in points)
    most = max(frequency.values())
    values[Function.MODE] = next(
        _cell(point.value) for point in reversed(points) if frequency[_kind(point.value)] == most
    )
    numeric = [point for point in points if not isinstance(point.value, str)]
    if not numeric:
        return values
    numbers = [float(point.value) for point in numeric]
    values |= {
        Function.AVG: statistics.fmean(numbers),
        Function.MIN: min(numbers),
        Function.MAX: max(numbers),
        Function.SUM: sum(numbers),
        Function.MEDIAN: statistics.median(numbers),
        Function.P95: _quantile(sorted(numbers), 0.95),
        Function.DELTA: numbers[-1] - numbers[0],
    }
    if len(numbers) > 1:
        values[Function.STDDEV] = statistics.stdev(numbers)
        values[Function.RATE] = (numbers[-1] - numbers[0]) / (numeric[-1].at - numeric[0].at) * 1000
    return values


def _held(
    points: list[Point], start: int, end: int, interval: Duration, zone: ZoneInfo
) -> dict[int, tuple[float, float, float]]:
    """Per bucket: sum of number x ms, ms not zero, ms with a number."""
    numeric = [point for point in points if not isinstance(point.value, str)]
    found: dict[int, tuple[float, float, float]] = {}
    for place, point in enumerate(numeric):
        following = numeric[place + 1].at if place + 1 < len(numeric) else end
        moment, last = max(point.at, start), min(following, end)
        while moment < last:
            begin = bucket_start(moment, interval, zone)
            stop = min(last, _next_start(moment, interval, zone))
            weighted, true_ms, held_ms = found.get(begin, (0.0, 0.0, 0.0))
            number, length = float(point.value), stop - moment
            found[begin] = weighted + number * length, true_ms + (length if number else 0), held_ms + length
            moment = stop
    return found


def _next_start(at: int, interval: Duration, zone: ZoneInfo) -> int:
    begin = bucket_start(at, interval, zone)
    if interval.millis:
        return begin + interval.millis
    probe = at
    while bucket_start(probe, interval, zone) == begin:
        probe += 22 * 3_600_000  # shorter than any day, so that no bucket is stepped over
    return bucket_start(probe, interval, zone)


def _quantile(ordered: list[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _kind(value: Value) -> tuple[bool, Cell]:
    return isinstance(value, bool), _cell(value)


def _cell(value: Value) -> Cell:
    return value if isinstance(value, str) else float(value)
