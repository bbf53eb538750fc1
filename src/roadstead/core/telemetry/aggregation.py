"""Buckets: how long, how many, which functions fit which type, and what stands where nothing was reported. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from roadstead.core.messages import Value, ValueType
from roadstead.core.ports import Bucket, Function, Span
from roadstead.core.telemetry.model import AggregatedBucket, AggregateQuery, Fill
from roadstead.core.types import is_number
from roadstead.kernel.buckets import bucket_starts
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import Duration, is_time_zone, parse_duration

AUTO = "auto"
MOST_BUCKETS = 5_000
_USUAL_POINTS = 500
_SHORTEST = timedelta(minutes=1)
_LONGEST = timedelta(days=366)

_LADDER = (
    *("PT1M", "PT2M", "PT5M", "PT10M", "PT15M", "PT20M", "PT30M"),
    *("PT1H", "PT2H", "PT3H", "PT4H", "PT6H", "PT12H"),
    *("P1D", "P2D", "P7D", "P1M", "P3M", "P6M", "P1Y"),
)
"""What `auto` chooses from: lengths that people read off an axis."""

_FIT_NUMBERS = frozenset(Function) - {Function.DURATION_TRUE}
_FIT_ANY = frozenset({Function.COUNT, Function.FIRST, Function.LAST, Function.MODE})
_FIT: dict[ValueType, frozenset[Function]] = {
    ValueType.DOUBLE: _FIT_NUMBERS,
    ValueType.BIGINT: _FIT_NUMBERS,
    ValueType.BOOLEAN: _FIT_ANY | {Function.DURATION_TRUE},
    ValueType.TEXT: _FIT_ANY,
}
_OWN_TYPE = frozenset({Function.FIRST, Function.LAST, Function.MODE, Function.MIN, Function.MAX})
"""Functions whose result is one of the values that were reported."""

USUAL_NUMBERS = (Function.AVG, Function.MIN, Function.MAX, Function.COUNT)
USUAL_OTHERS = (Function.COUNT, Function.LAST)


def choose_functions(value_type: ValueType, wanted: Sequence[Function] | None) -> list[Function]:
    """What was asked for, or what is usual. Raises `Invalid` for a function that means nothing for this type."""
    if wanted is None:
        return list(USUAL_NUMBERS if is_number(value_type) else USUAL_OTHERS)
    for function in wanted:
        if function not in _FIT[value_type]:
            detail = f"'{function}' does not fit {value_type} values"
            raise Invalid.field("fn", detail, code="function-does-not-fit", place="query")
    return list(dict.fromkeys(wanted))


def check_fill(value_type: ValueType, fill: Fill) -> None:
    """Raises `Invalid` when nothing of this type lies between two values, or is zero."""
    if fill in (Fill.LINEAR, Fill.ZERO) and not is_number(value_type):
        raise Invalid.field("fill", f"'{fill}' does not fit {value_type} values", place="query")


def choose_interval(query: AggregateQuery) -> tuple[str, list[datetime]]:
    """The length of a bucket and the start of each bucket of the span.

    Raises `Invalid` that names the parameter for a length that is none, and for too many buckets.
    """
    zone = read_zone(query.time_zone)
    if query.interval != AUTO:
        if query.max_points is not None:
            raise Invalid.field("maxPoints", "goes with interval=auto only", place="query")
        starts = _starts(query.span, read_interval(query.interval), zone, MOST_BUCKETS)
        if starts is None:
            detail = f"gives more than {MOST_BUCKETS} buckets in this range"
            raise Invalid.field("interval", detail, code="range", place="query")
        return query.interval, starts
    most = query.max_points or _USUAL_POINTS
    for text in _LADDER:
        starts = _starts(query.span, read_interval(text), zone, most)
        if starts is not None:
            return text, starts
    raise Invalid.field("maxPoints", "even years give more buckets in this range", code="range", place="query")


def read_interval(text: str) -> Duration:
    """An ISO 8601 duration from PT1M to P1Y of one kind of unit. Raises `Invalid`."""
    interval = parse_duration(text)
    if interval is None:
        raise Invalid.field("interval", "is neither an ISO 8601 duration nor 'auto'", place="query")
    if [bool(interval.months), bool(interval.days), bool(interval.millis)].count(True) != 1:
        detail = "is made of months and years, or of days and weeks, or of hours, minutes and seconds"
        raise Invalid.field("interval", detail, place="query")
    if not _SHORTEST <= interval.approximate() <= _LONGEST:
        raise Invalid.field("interval", "must be between PT1M and P1Y", code="range", place="query")
    return interval


def read_zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database. Raises `Invalid`."""
    if not is_time_zone(name):
        raise Invalid.field("timeZone", "is not a time zone of the IANA database", place="query")
    return ZoneInfo(name)


def complete(
    value_type: ValueType,
    found: Sequence[Bucket],
    starts: Sequence[datetime],
    functions: Sequence[Function],
    fill: Fill,
) -> list[AggregatedBucket]:
    """The buckets of one series in the type of its sensor, with empty ones filled in."""
    if value_type is ValueType.DOUBLE:
        # What the store answers has this type.
        known: dict[datetime, Mapping[Function, Value | None]] = {bucket.start: bucket.values for bucket in found}
    else:
        known = {
            bucket.start: {name: _typed(value_type, name, bucket.values.get(name)) for name in functions}
            for bucket in found
        }
    if fill is Fill.NONE:
        return [AggregatedBucket(start, values) for start, values in known.items()]
    empty: dict[Function, Value | None] = {name: 0 if name is Function.COUNT else None for name in functions}
    rows = [dict(known.get(start, empty)) for start in starts]
    for name in functions:
        if name is not Function.COUNT:
            column = _fill([row[name] for row in rows], fill)
            for row, value in zip(rows, column, strict=True):
                row[name] = value
    return [AggregatedBucket(start, row) for start, row in zip(starts, rows, strict=True)]


def _fill(column: list[Value | None], fill: Fill) -> list[Value | None]:
    if fill is Fill.ZERO:
        return [0 if value is None else value for value in column]
    if fill is Fill.PREVIOUS:
        held: Value | None = None
        filled: list[Value | None] = []
        for value in column:
            held = held if value is None else value
            filled.append(held)
        return filled
    if fill is Fill.LINEAR:
        return _interpolate(column)
    return column


def _interpolate(column: list[Value | None]) -> list[Value | None]:
    """Straight lines between neighbours; nothing before the first and after the last."""
    filled = list(column)
    known = [(index, float(value)) for index, value in enumerate(column) if value is not None]
    for (left, low), (right, high) in itertools.pairwise(known):
        for index in range(left + 1, right):
            filled[index] = low + (high - low) * (index - left) / (right - left)
    return filled


def _typed(value_type: ValueType, function: Function, value: float | str | None) -> Value | None:
    if isinstance(value, str) or value is None:
        return value
    if function is Function.COUNT:
        return int(value)
    if function not in _OWN_TYPE:
        return value
    if value_type is ValueType.BOOLEAN:
        return value != 0
    return int(value) if value_type is ValueType.BIGINT and value.is_integer() else value


def _starts(span: Span, interval: Duration, zone: ZoneInfo, most: int) -> list[datetime] | None:
    """The start of every bucket that the span touches, or None when there are more than `most`."""
    starts: list[datetime] = []
    for start in bucket_starts(span.start, interval, zone):
        if start >= span.end:
            break
        starts.append(start)
        if len(starts) > most:
            return None
    return starts
