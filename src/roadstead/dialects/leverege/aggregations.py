"""`aggs` of searches: terms, range, histogram, stats, geoDistance, filters; each bucket with others in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadstead.core import registry
from roadstead.core.registry import Terms
from roadstead.core.work import Work
from roadstead.dialects.leverege.search_fields import Field, Kind, Names, Span, read_field, read_span, read_zone
from roadstead.dialects.leverege.search_language import read_filter
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import And, Between, Circle, Compare, Filter, In, Not, Operator, Within
from roadstead.kernel.ids import parse_uuid, to_base62
from roadstead.kernel.time import from_millis
from roadstead.web.bodies import read_as

_MOST_STATEMENTS = 500
_MOST_DEPTH = 5
_MOST_TERMS = 10_000
_GLOBE_M = 21e6

Answer = dict[str, Any]
Bucket = tuple[Answer, Filter | None]
"""What is told of a bucket, and which devices are in it; None: its count is known."""


class RangeBody(msgspec.Struct, frozen=True):
    """From, and up to but without."""

    from_: float | str | None = msgspec.field(default=None, name="from")
    to: float | str | None = None
    key: str | None = None


class OriginBody(msgspec.Struct, frozen=True):
    """Where distances are measured from."""

    lat: float
    lon: float


class AggregationBody(msgspec.Struct, frozen=True):
    """`Aggregation`."""

    type: str
    field: str | None = None
    size: int | None = None
    include: list[Any] | None = None
    exclude: list[Any] | None = None
    interval: float | None = None
    ranges: list[RangeBody] | None = None
    origin: OriginBody | None = None
    filters: dict[str, Any] | None = None
    aggs: dict[str, Any] | None = None
    timezone: str | None = None


async def aggregate(work: Work, where: Filter, aggs: Mapping[str, Any], names: Names) -> Answer:
    """All aggregations over the devices of a filter. Raises `Invalid` that says where something is wrong."""
    return await _Aggregator(work, names).all(where, aggs, "aggs", 1)


class _Aggregator:
    """Counts what it asks of the database."""

    def __init__(self, work: Work, names: Names) -> None:
        self._work = work
        self._names = names
        self._statements = 0

    async def all(self, where: Filter, aggs: Mapping[str, Any], place: str, depth: int) -> Answer:
        """By name."""
        if depth > _MOST_DEPTH:
            raise Invalid.field(place, f"is nested at most {_MOST_DEPTH} deep")
        return {name: await self._one(where, body, f"{place}.{name}", depth) for name, body in aggs.items()}

    async def _one(self, where: Filter, sent: Any, place: str, depth: int) -> Answer:
        body = _read(sent, place)
        match body.type:
            case "stats":
                self._spend(place)
                field = self._field(body, place).column
                return msgspec.to_builtins(await registry.measure_values(self._work, where, field))  # type: ignore[no-any-return]
            case "terms":
                buckets = await self._terms(where, body, place)
            case "histogram":
                buckets = await self._histogram(where, body, place)
            case "range":
                buckets = self._ranges(body, place)
            case "geoDistance":
                buckets = self._rings(body, place)
            case "filters":
                buckets = [
                    ({"key": name}, read_filter(tree, self._names, f"{place}.filters.{name}"))
                    for name, tree in (body.filters or {}).items()
                ]
            case _:
                known = "terms, range, histogram, stats, geoDistance, filters"
                raise Invalid.field(f"{place}.type", f"{body.type!r} is not one of {known}")
        return {"buckets": [await self._fill(where, bucket, body, place, depth) for bucket in buckets]}

    async def _fill(self, where: Filter, bucket: Bucket, body: AggregationBody, place: str, depth: int) -> Answer:
        told, inside = bucket
        within = where if inside is None else And((where, inside))
        if "count" not in told:
            self._spend(place)
            told = {**told, "count": await registry.count_matches(self._work, within)}
        if not body.aggs:
            return told
        return {**told, **await self.all(within, body.aggs, f"{place}.aggs", depth + 1)}

    async def _terms(self, where: Filter, body: AggregationBody, place: str) -> list[Bucket]:
        size = 10 if body.size is None else body.size
        if not 1 <= size <= _MOST_TERMS:
            raise Invalid.field(f"{place}.size", f"is a number from 1 to {_MOST_TERMS}")
        self._spend(place)
        field = self._field(body, place)
        include = None if body.include is None else [_stored(field, value) for value in body.include]
        terms = Terms(size=size, include=include, exclude=[_stored(field, value) for value in body.exclude or ()])
        found = await registry.count_values(self._work, where, field.column, terms)
        return [({"key": _spelled(field, key), "count": count}, _equal(field, key)) for key, count in found]

    async def _histogram(self, where: Filter, body: AggregationBody, place: str) -> list[Bucket]:
        interval = body.interval
        if interval is None or not 1e-9 <= interval <= 1e15:
            raise Invalid.field(f"{place}.interval", "is a number above 0")
        self._spend(place)
        field = self._field(body, place)
        found = await registry.count_intervals(self._work, where, field.column, interval)
        return [({"key": start, "count": count}, _numbers(field, start, start + interval)) for start, count in found]

    def _ranges(self, body: AggregationBody, place: str) -> list[Bucket]:
        field, zone = self._field(body, place), read_zone(body.timezone, f"{place}.timezone")
        buckets: list[Bucket] = []
        for index, each in enumerate(_some(body.ranges, f"{place}.ranges")):
            at = f"{place}.ranges[{index}]"
            ends = {}
            for name, value in (("from", each.from_), ("to", each.to)):
                if value is not None:
                    is_date = field.kind is Kind.ANY and isinstance(value, str)
                    ends[name] = read_span(value, field, f"{at}.{name}", is_date=is_date, zone=zone)
            if field.kind not in (Kind.ANY, Kind.INSTANT) or not ends:
                raise Invalid.field(at, "is {from, to} of numbers or dates")
            buckets.append((_told(each), _interval(field, ends.get("from"), ends.get("to"))))
        return buckets

    def _rings(self, body: AggregationBody, place: str) -> list[Bucket]:
        field, origin = self._field(body, place), body.origin
        if field.kind is not Kind.ANY or field.path[0] == "metadata":
            raise Invalid.field(f"{place}.field", "holds no places: name one of data/..")
        if origin is None or not (-90 <= origin.lat <= 90 and -180 <= origin.lon <= 180):
            raise Invalid.field(f"{place}.origin", "is {lat, lon}")
        buckets: list[Bucket] = []
        for index, each in enumerate(_some(body.ranges, f"{place}.ranges")):
            near, far = (_metres(value, f"{place}.ranges[{index}]") for value in (each.from_, each.to))
            inside: Filter = Within(field.path, Circle(origin.lat, origin.lon, _GLOBE_M if far is None else far))
            if near:
                inside = And((inside, Not(Within(field.path, Circle(origin.lat, origin.lon, near)))))
            buckets.append((_told(each), inside))
        return buckets

    def _field(self, body: AggregationBody, place: str) -> Field:
        return read_field(body.field, self._names, f"{place}.field")

    def _spend(self, place: str) -> None:
        self._statements += 1
        if self._statements > _MOST_STATEMENTS:
            raise Invalid.field(
                place, f"there are more than {_MOST_STATEMENTS} buckets with others in them: ask for less"
            )


def _read(sent: Any, place: str) -> AggregationBody:
    try:
        return read_as(sent, AggregationBody)
    except Invalid as error:
        raise Invalid.field(place, str(error)) from error


def _some(ranges: Sequence[RangeBody] | None, place: str) -> Sequence[RangeBody]:
    if not ranges:
        raise Invalid.field(place, "is a list of {from, to}")
    return ranges


def _metres(value: float | str | None, place: str) -> float | None:
    if isinstance(value, str) or (value is not None and not 0 <= value <= _GLOBE_M):
        raise Invalid.field(place, "is {from, to} in metres")
    return value


def _told(each: RangeBody) -> Answer:
    ends = {name: value for name, value in (("from", each.from_), ("to", each.to)) if value is not None}
    key = each.key or "-".join("*" if end is None else str(end) for end in (each.from_, each.to))
    return {"key": key, **ends}


def _interval(field: Field, low: Span | None, high: Span | None) -> Filter:
    if low is not None and high is not None:
        return Between(field.path, low.start, high.start, high_open=True)
    if low is not None:
        return Compare(field.path, Operator.GE, low.start)
    assert high is not None  # the caller has asked for one
    return Compare(field.path, Operator.LT, high.start)


def _numbers(field: Field, start: float, end: float) -> Filter:
    if field.kind is Kind.INSTANT:
        return Between(field.path, from_millis(round(start)), from_millis(round(end)), high_open=True)
    return Between(field.path, start, end, high_open=True)


def _equal(field: Field, key: Any) -> Filter:
    match field.kind, key:
        case Kind.INSTANT, int():
            return Between(field.path, from_millis(key), from_millis(key + 1), high_open=True)
        case Kind.ID, str():
            id_ = parse_uuid(key)
            return In(field.column, (id_,) if id_ else ())
    return In(field.path, (key,))


def _spelled(field: Field, key: Any) -> Any:
    """Ids as they are written here."""
    id_ = parse_uuid(key) if field.kind is Kind.ID else None
    if field.path == ("purpose",):
        return key.lower()
    return key if id_ is None else to_base62(id_)


def _stored(field: Field, value: Any) -> Any:
    """A value of a caller as the database counts it."""
    if field.kind is not Kind.ID and field.path != ("purpose",):
        return value
    span = read_span(value, field, "include", is_date=False, zone=read_zone(None, "timezone"))
    return None if span is None else str(span.start)
