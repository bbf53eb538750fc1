"""/applications/{id}/data: attributes of many devices over time, and their last values (contract section 11)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, TypeAlias

import msgspec
from litestar import Response, post

from roadstead.core import telemetry
from roadstead.core.messages import Value
from roadstead.core.ports import Function, Span, TimeAt
from roadstead.core.registry import Space
from roadstead.core.telemetry import CurvesQuery, DevicePoints
from roadstead.core.work import Work
from roadstead.dialects.losant.choices import read_choice
from roadstead.dialects.losant.device_shapes import tags_of
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.spans import make_span
from roadstead.dialects.losant.values import spell_data, spell_value
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid, TooLarge
from roadstead.kernel.filter import And, Filter, equals
from roadstead.kernel.ids import to_hex24
from roadstead.kernel.time import from_millis, to_millis
from roadstead.web.edge import AnyRequest

_MOST_BYTES = 30_000_000
_DAY_MS = 86_400_000
_TICK = timedelta(milliseconds=1)
_BETWEEN = b"}},"
"""One point and the next."""
_FUNCTIONS = {
    "FIRST": Function.FIRST,
    "LAST": Function.LAST,
    "COUNT": Function.COUNT,
    "MAX": Function.MAX,
    "MIN": Function.MIN,
    "MEDIAN": Function.MEDIAN,
    "MEAN": Function.AVG,
    "SUM": Function.SUM,
    "STD_DEV": Function.STDDEV,
}
_NONE, _TIME_AT = "NONE", "TIMEATVALUE"

Aggregation: TypeAlias = str | dict[str, Any]


class PointShape(msgspec.Struct, frozen=True, gc=False):
    """Values of one instant, or of the bucket that begins then."""

    time: str
    data: dict[str, Value]


class DeviceShape(msgspec.Struct, frozen=True):
    """What there is of one device."""

    name: str
    tags: dict[str, list[str]]
    points: msgspec.Raw
    """A list of `PointShape`."""


class TimeSeriesShape(msgspec.Struct, frozen=True, kw_only=True):
    """`timeSeriesData`."""

    start: str
    end: str
    resolution: int | None
    aggregation: Aggregation
    limit: int | None
    order: str
    devices: dict[str, DeviceShape]
    type: str = msgspec.field(default="timeSeriesData", name="_type")

    @classmethod
    def of(cls, query: CurvesQuery, aggregation: Aggregation, found: Sequence[DevicePoints]) -> Self:
        """As it is answered. Most devices have points at the same instants, so each is spelled once."""
        speller = _Speller(found)
        return cls(
            start=spell_time(query.span.start),
            end=spell_time(query.span.end if query.function is not None else query.span.end - _TICK),
            resolution=query.step_ms,
            aggregation=aggregation,
            limit=query.limit,
            order="desc" if query.descending else "asc",
            devices={
                to_hex24(each.device.id): DeviceShape(
                    each.device.name,
                    tags_of(each.device),
                    speller.spell(each),
                )
                for each in found
            },
        )


@post("/applications/{applicationId:str}/data/time-series-query", operation_id="data.timeSeriesQuery", status_code=200)
async def query_time_series(request: AnyRequest, work: Work, application: Space) -> Response[bytes]:
    """Points of devices, as they are or boiled down."""
    body = await read_body(request, "timeSeriesQuery")
    query, aggregation = _read_query(body)
    found = [
        await _with_urls(work, application, each) if each.blobs else each
        for each in await telemetry.read_curves(work, choose(application, body), query)
    ]
    answer = msgspec.json.encode(TimeSeriesShape.of(query, aggregation, found))
    if len(answer) > _MOST_BYTES:
        raise TooLarge("the answer is larger than 30 MB: ask for a shorter time, longer buckets or fewer devices")
    return Response(answer, media_type="application/json")


@post("/applications/{applicationId:str}/data/last-value-query", operation_id="data.lastValueQuery", status_code=200)
async def query_last_values(request: AnyRequest, work: Work, application: Space) -> dict[str, PointShape]:
    """The newest point of one attribute, of each device that has one."""
    body = await read_body(request, "lastValueQuery")
    attribute = body.get("attribute")
    if attribute is None:
        raise Invalid.field("attribute", "is required")
    now = to_millis(time.now())
    end = read_instant(body.get("end"), now)
    before = None if end >= now else from_millis(end) + _TICK
    found = await telemetry.read_last_values(work, choose(application, body), attribute, before)
    answer = {}
    for device_id, last in found.items():
        data = await spell_data(work, application, device_id, [(last.attribute, last.value)])
        if data:
            answer[to_hex24(device_id)] = PointShape(spell_time(from_millis(last.at)), data)
    return answer


async def _with_urls(work: Work, application: Space, found: DevicePoints) -> DevicePoints:
    """With URLs in the place of files."""
    values = dict(found.values)
    for name in found.blobs.keys() & values.keys():
        values[name] = [
            None if value is None else await spell_value(work, application, found.device.id, found.blobs[name], value)
            for value in values[name]
        ]
    return msgspec.structs.replace(found, values=values)


class _Speller:
    """Lists of `PointShape` of many devices, most of which have points at the same instants."""

    def __init__(self, found: Sequence[DevicePoints]) -> None:
        instants = set[int]().union(*{tuple(device.at) for device in found})
        self._times = {at: spell_time(from_millis(at)) for at in instants}
        self._heads: dict[str, dict[int, bytes]] = {}

    def spell(self, found: DevicePoints) -> msgspec.Raw:
        """What there is of one device, without instants at which nothing is left."""
        if len(found.values) == 1:
            [(name, values)] = found.values.items()
            if {float, int, bool}.issuperset(map(type, values)):
                return self._spell_numbers(name, found.at, values)
        points = []
        for at, row in zip(found.at, zip(*found.values.values(), strict=True), strict=True):
            data = {name: value for name, value in zip(found.values, row, strict=True) if value is not None}
            if data:
                points.append(PointShape(self._times[at], data))
        return msgspec.Raw(msgspec.json.encode(points))

    def _spell_numbers(self, name: str, at: Sequence[int], values: Sequence[Value | None]) -> msgspec.Raw:
        """The same for what most answers are, ten thousands of numbers: no object is made for any of them."""
        if not values:
            return msgspec.Raw(b"[]")
        heads = self._heads.get(name) or self._make_heads(name)
        pieces = [b""] * (2 * len(values))
        pieces[::2] = map(heads.__getitem__, at)
        pieces[1::2] = msgspec.json.encode(values)[1:-1].split(b",")
        return msgspec.Raw(b"[" + b"".join(pieces)[len(_BETWEEN) :] + b"}}]")

    def _make_heads(self, name: str) -> dict[int, bytes]:
        middle = b'","data":{' + msgspec.json.encode(name) + b":"
        heads = {at: _BETWEEN + b'{"time":"' + time.encode() + middle for at, time in self._times.items()}
        return self._heads.setdefault(name, heads)


def choose(application: Space, body: Mapping[str, Any]) -> Filter:
    """The devices of the application that a body chooses."""
    return And((equals("spaceId", application.id), read_choice(body)))


def read_instant(value: float | None, now: int) -> int:
    """Milliseconds since 1970 of a time in a body: nothing and 0 are now, a negative number is so long ago."""
    return round(now + (value or 0)) if (value or 0) <= 0 else round(value or 0)


def _read_query(body: Mapping[str, Any]) -> tuple[CurvesQuery, Aggregation]:
    now = to_millis(time.now())
    end = read_instant(body.get("end"), now)
    duration = body.get("duration", _DAY_MS)
    if duration < 0:
        raise Invalid.field("duration", "takes milliseconds")
    start = read_instant(body["start"], now) if "start" in body else end - round(duration)
    resolution = body.get("resolution") or None
    function, aggregation = _read_aggregation(body.get("aggregation", "MEAN"))
    if resolution is None or function is None:
        if isinstance(function, TimeAt):
            raise Invalid.field("resolution", f"is needed for {_TIME_AT}")
        resolution, function, aggregation = None, None, _NONE
    span = make_span(start, end)
    limit = body.get("limit")
    query = CurvesQuery(
        span=span if function is None else Span(span.start, span.end - _TICK),
        step_ms=None if resolution is None else round(resolution),
        function=function,
        attributes=body.get("attributes"),
        limit=None if limit is None else round(limit),
        descending=body.get("order") == "desc",
    )
    return query, aggregation


def _read_aggregation(value: Aggregation) -> tuple[Function | TimeAt | None, Aggregation]:
    word = value if isinstance(value, str) else value["type"]
    if word == _TIME_AT:
        # The schema sees to it that the value is there.
        return _read_time_at(value["options"]["value"] if isinstance(value, dict) else None), value
    return _FUNCTIONS.get(word), value


def _read_time_at(value: str | float | bool | None) -> TimeAt:
    match value:
        case bool():
            return TimeAt(float(value), "true" if value else "false")
        case int() | float():
            return TimeAt(float(value), f"{value:g}")
        case str():
            return TimeAt(_number(value), value)
    raise Invalid.field("aggregation", f"{_TIME_AT} needs options with a value")


def _number(text: str) -> float | None:
    if text in ("true", "false"):
        return float(text == "true")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None  # no infinity, and nothing that is no number


handlers = [query_time_series, query_last_values]
