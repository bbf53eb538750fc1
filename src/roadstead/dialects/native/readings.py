"""/readings: what devices have reported, raw, newest, in buckets, in figures."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import telemetry
from roadstead.core.messages import Value
from roadstead.core.ports import Function, Span
from roadstead.core.telemetry import AggregateQuery, BatchMode, BatchQuery, Fill, ReadingQuery, Selection
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.pages import PageShape
from roadstead.dialects.native.problems import Problem, problem_of
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.dialects.native.spans import provide_span, read_span, read_window
from roadstead.kernel.errors import FieldProblem, Invalid, Malformed, NotFound
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId, parse_uuid
from roadstead.kernel.page import Page
from roadstead.kernel.time import spell_instant
from roadstead.web.edge import AnyRequest

_CSV = "text/csv"
_NDJSON = "application/x-ndjson"
_NEXT = "X-Next-Cursor"

SensorPath = Annotated[str, PathParameter(name="sensorId")]
DevicePath = Annotated[str, PathParameter(name="deviceId")]
ComponentPath = Annotated[str, PathParameter(name="componentId")]
Limit = Annotated[int, QueryParameter(ge=1, le=10_000, description="readings a page")]
Cursor = Annotated[str | None, QueryParameter(description="nextCursor of the page before")]


class Order(StrEnum):
    """Oldest or newest first."""

    ASC = "asc"
    DESC = "desc"


OrderParameter = Annotated[Order, QueryParameter(description="asc: oldest first")]


class RowFormat(StrEnum):
    """How rows are spelled."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


# --- shapes ----------------------------------------------------------------------------------------------------------


class ReadingShape(Shape, kw_only=True):
    """Contract schema `Reading`."""

    sensor_id: str
    timestamp: datetime
    value: Value
    value_type: str
    metadata: dict[str, Any] | None = None
    received_at: datetime

    @classmethod
    def of(cls, reading: telemetry.SensorReading) -> "ReadingShape":
        return cls(
            sensor_id=str(reading.sensor_id),
            timestamp=reading.at,
            value=reading.value,
            value_type=reading.value_type,
            metadata=reading.metadata,
            received_at=reading.received_at,
        )


class AggregatedSeriesShape(Shape):
    """Contract schema `AggregatedSeries`: in each point `bucket`, its start, and a column for each function."""

    sensor_id: str
    interval: str
    time_zone: str
    points: list[dict[str, Value | None]]

    @classmethod
    def of(cls, readings: telemetry.AggregatedReadings) -> "AggregatedSeriesShape":
        return cls(
            sensor_id=str(readings.sensor_id),
            interval=readings.interval,
            time_zone=readings.time_zone,
            points=_spell_buckets(readings.buckets),
        )


class DistinctShape(Shape):
    """How often a text was reported."""

    value: str
    count: int


class ReadingStatsShape(Shape, kw_only=True):
    """Contract schema `ReadingStats`."""

    sensor_id: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    count: int
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    sum: float | None = None
    stddev: float | None = None
    median: float | None = None
    p95: float | None = None
    first: ReadingShape | None = None
    last: ReadingShape | None = None
    true_ratio: float | None = None
    distinct: list[DistinctShape] | None = None

    @classmethod
    def of(cls, found: telemetry.ReadingStatistics) -> "ReadingStatsShape":
        return cls(
            sensor_id=str(found.sensor_id),
            start=found.span.start,
            end=found.span.end,
            count=found.count,
            min=found.min,
            max=found.max,
            avg=found.avg,
            sum=found.sum,
            stddev=found.stddev,
            median=found.median,
            p95=found.p95,
            first=ReadingShape.of(found.first) if found.first else None,
            last=ReadingShape.of(found.last) if found.last else None,
            true_ratio=found.true_ratio,
            distinct=None
            if found.distinct is None
            else [DistinctShape(value=value, count=count) for value, count in found.distinct],
        )


class LatestReadingsShape(Shape):
    """Answer of contract operation `reading.latest-many`."""

    items: list[ReadingShape]


class PurgedShape(Shape):
    """Answer of contract operation `reading.purge`."""

    deleted: int


class BatchBody(Body):
    """Body of contract operation `reading.batch`."""

    sensor_ids: Annotated[list[str], Meta(min_length=1, max_length=100)]
    mode: BatchMode = BatchMode.AGGREGATED
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    interval: str | None = None
    fn: list[Function] | None = None
    fill: Fill = Fill.NONE
    time_zone: str = "UTC"
    max_points: Annotated[int, Meta(ge=1, le=5_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000


class BatchSeriesShape(Shape):
    """One sensor of the answer of contract operation `reading.batch`."""

    sensor_id: str
    readings: list[ReadingShape] | None = None
    interval: str | None = None
    points: list[dict[str, Value | None]] | None = None
    stats: ReadingStatsShape | None = None
    latest: ReadingShape | None = None
    error: Problem | None = None


class BatchShape(Shape):
    """Answer of contract operation `reading.batch`."""

    series: list[BatchSeriesShape]


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/sensor/{sensorId:str}", operation_id="reading.raw")
async def list_readings(
    work: Work,
    span: Span,
    sensor: SensorPath,
    limit: Annotated[int | None, QueryParameter(ge=1, le=10_000, description="readings a page; default 1000")] = None,
    cursor: Cursor = None,
    order: OrderParameter = Order.ASC,
    thin: Annotated[
        int | None,
        QueryParameter(ge=3, le=10_000, description="at most so many readings that keep the look of the curve (LTTB)"),
    ] = None,
) -> PageShape[ReadingShape]:
    """Raw readings of a sensor; with `thin` only those that a plot needs."""
    sensor_id = _sensor(sensor)
    if thin is None:
        query = ReadingQuery(span=span, limit=limit or 1_000, descending=order is Order.DESC, cursor=cursor)
        return _page(await telemetry.list_readings(work, sensor_id, query))
    if limit is not None or cursor is not None:
        raise Malformed("thin cannot be combined with limit and cursor: it is the whole range")
    readings = await telemetry.thin_readings(work, sensor_id, span, most=thin, descending=order is Order.DESC)
    return PageShape(items=[ReadingShape.of(reading) for reading in readings])


@get("/sensor/{sensorId:str}/window", operation_id="reading.window")
async def list_window(
    work: Work,
    sensor: SensorPath,
    duration: Annotated[str, QueryParameter(description="ISO 8601 duration up to P366D, e.g. PT1H")],
    end: Annotated[str | None, QueryParameter(format="date-time", description="default: now")] = None,
    limit: Limit = 1_000,
    cursor: Cursor = None,
    order: OrderParameter = Order.ASC,
) -> PageShape[ReadingShape]:
    """Raw readings of a relative range ending now, or at `end`."""
    span = read_window(duration, end)
    query = ReadingQuery(span=span, limit=limit, descending=order is Order.DESC, cursor=cursor)
    return _page(await telemetry.list_readings(work, _sensor(sensor), query))


@get("/sensor/{sensorId:str}/aggregated", operation_id="reading.aggregated")
async def aggregate(
    work: Work,
    span: Span,
    sensor: SensorPath,
    interval: Annotated[str, QueryParameter(description="ISO 8601 duration from PT1M to P1Y, or auto")],
    max_points: Annotated[
        int | None, QueryParameter(name="maxPoints", ge=1, le=5_000, description="for interval=auto; default 500")
    ] = None,
    fn: Annotated[
        str | None,
        QueryParameter(
            description="comma list of avg, min, max, sum, count, first, last, stddev, median, p95, rate, delta, "
            "timeWeightedAvg, mode, durationTrue; default: avg,min,max,count for numbers, else count,last"
        ),
    ] = None,
    fill: Annotated[Fill, QueryParameter(description="what stands in a bucket without readings")] = Fill.NONE,
    time_zone: Annotated[
        str, QueryParameter(name="timeZone", description="IANA name, for buckets of a day and longer")
    ] = "UTC",
) -> AggregatedSeriesShape:
    """Time buckets with one column per function."""
    query = AggregateQuery(
        span=span,
        interval=interval,
        functions=_read_functions(fn),
        max_points=max_points,
        fill=fill,
        time_zone=time_zone,
    )
    return AggregatedSeriesShape.of(await telemetry.aggregate_readings(work, _sensor(sensor), query))


@get("/sensor/{sensorId:str}/stats", operation_id="reading.stats")
async def get_stats(work: Work, span: Span, sensor: SensorPath) -> ReadingStatsShape:
    """One row of statistics over the range."""
    return ReadingStatsShape.of(await telemetry.get_statistics(work, _sensor(sensor), span))


@get("/sensor/{sensorId:str}/latest", operation_id="reading.latest")
async def get_latest(work: Work, sensor: SensorPath) -> ReadingShape:
    """Newest reading."""
    return ReadingShape.of(await telemetry.get_latest(work, _sensor(sensor)))


@get("/latest", operation_id="reading.latest-many")
async def list_latest(
    work: Work,
    sensor_id: Annotated[list[str] | None, QueryParameter(name="sensorId", description="repeatable, max 500")] = None,
    device_id: Annotated[str | None, QueryParameter(name="deviceId")] = None,
    component_id: Annotated[str | None, QueryParameter(name="componentId")] = None,
    site_id: Annotated[str | None, QueryParameter(name="siteId", description="with the sites below it")] = None,
) -> LatestReadingsShape:
    """Newest reading per sensor for a set of sensors, a device, component or site; sensors without one are left out."""
    names = sensor_id or []
    if len(names) > 500:
        raise Invalid.field("sensorId", "may be given 500 times at most", code="range", place="query")
    selection = Selection(
        sensor_ids=[SensorId(id_) for name in names if (id_ := parse_uuid(name)) is not None],
        device_id=None if device_id is None else DeviceId(read_id(device_id, "device")),
        component_id=None if component_id is None else ComponentId(read_id(component_id, "component")),
        site_id=None if site_id is None else SiteId(read_id(site_id, "site")),
    )
    if names and not selection.sensor_ids:
        return LatestReadingsShape(items=[])
    return LatestReadingsShape(
        items=[ReadingShape.of(reading) for reading in await telemetry.list_latest(work, selection)]
    )


@post(
    "/batch",
    operation_id="reading.batch",
    status_code=200,
    responses={207: ResponseSpec(BatchShape, generate_examples=False)},
)
async def read_batch(request: AnyRequest, work: Work, data: BatchBody) -> Response[BatchShape]:
    """Several series in one call; mode raw, aggregated, stats or latest."""
    if data.mode is BatchMode.AGGREGATED and data.interval is None:
        raise Invalid.field("/interval", "is required in mode aggregated", code="required")
    span = read_span(data.start, data.end, place="body")
    aggregated = AggregateQuery(
        span=span,
        interval=data.interval or "auto",
        functions=data.fn,
        max_points=data.max_points,
        fill=data.fill,
        time_zone=data.time_zone,
    )
    known = [(text, parse_uuid(text)) for text in data.sensor_ids]
    query = BatchQuery(
        sensor_ids=[SensorId(id_) for _, id_ in known if id_ is not None],
        mode=data.mode,
        span=span,
        limit=data.limit,
        aggregate=aggregated,
    )
    try:
        found = {series.sensor_id: series for series in await telemetry.read_batch(work, query)}
    except Invalid as error:
        raise _in_body(error) from error
    series = [_spell_series(request, text, found.get(SensorId(id_)) if id_ else None) for text, id_ in known]
    failed = any(one.error is not None for one in series)
    return Response(BatchShape(series=series), status_code=207 if failed else 200)


@get("/device/{deviceId:str}", operation_id="reading.device")
async def list_device_readings(
    work: Work,
    span: Span,
    device: DevicePath,
    limit: Limit = 1_000,
    cursor: Cursor = None,
    order: OrderParameter = Order.ASC,
) -> PageShape[ReadingShape]:
    """Raw readings of all sensors of a device, time ordered."""
    query = ReadingQuery(span=span, limit=limit, descending=order is Order.DESC, cursor=cursor)
    return _page(await telemetry.list_device_readings(work, DeviceId(read_id(device, "device")), query))


@get("/component/{componentId:str}", operation_id="reading.component")
async def list_component_rows(
    work: Work,
    span: Span,
    component: ComponentPath,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000, description="rows a page")] = 1_000,
    cursor: Cursor = None,
    format_: Annotated[
        RowFormat, QueryParameter(name="format", description="csv and ndjson tell the next cursor in X-Next-Cursor")
    ] = RowFormat.JSON,
) -> Response[Any]:
    """Rows keyed by profile field, as the export has them."""
    query = ReadingQuery(span=span, limit=limit, cursor=cursor)
    found = await telemetry.list_component_rows(work, ComponentId(read_id(component, "component")), query)
    headers = {_NEXT: found.next_cursor} if found.next_cursor else {}
    match format_:
        case RowFormat.CSV:
            return Response(_spell_csv(found), media_type=_CSV, headers=headers)
        case RowFormat.NDJSON:
            lines = b"".join(msgspec.json.encode(row) + b"\n" for row in _spell_rows(found))
            return Response(lines, media_type=_NDJSON, headers=headers)
        case RowFormat.JSON:
            return Response(PageShape(items=list(_spell_rows(found)), next_cursor=found.next_cursor))


@delete("/sensor/{sensorId:str}", operation_id="reading.purge", status_code=200)
async def purge(
    work: Work,
    sensor: SensorPath,
    start: Annotated[str, QueryParameter(name="from", format="date-time", description="inclusive")],
    end: Annotated[str, QueryParameter(name="to", format="date-time", description="exclusive")],
) -> PurgedShape:
    """Deletes the readings of a range."""
    return PurgedShape(deleted=await telemetry.purge_readings(work, _sensor(sensor), read_span(start, end)))


# --- words -----------------------------------------------------------------------------------------------------------


def _sensor(text: str) -> SensorId:
    return SensorId(read_id(text, "sensor"))


def _page(page: Page[telemetry.SensorReading]) -> PageShape[ReadingShape]:
    return PageShape(items=[ReadingShape.of(reading) for reading in page.items], next_cursor=page.next_cursor)


def _read_functions(text: str | None) -> list[Function] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in Function.__members__.values():
            raise Invalid.field("fn", f"'{name}' is not one of {', '.join(Function)}", place="query")
    return [Function(name) for name in names]


def _spell_buckets(buckets: Sequence[telemetry.AggregatedBucket]) -> list[dict[str, Value | None]]:
    # Null is not left out here: it is what `fill=null` asks for, and each row has the same columns.
    return [
        {"bucket": _spell_start(bucket.start), **cast(Mapping[str, Value | None], bucket.values)} for bucket in buckets
    ]


_spell_start = lru_cache(maxsize=10_000)(spell_instant)
"""Curves that are shown together have the same buckets."""


def _spell_series(request: AnyRequest, text: str, found: telemetry.BatchSeries | None) -> BatchSeriesShape:
    if found is None:
        return BatchSeriesShape(sensor_id=text, error=problem_of(request, NotFound("sensor", text)))
    if found.error is not None:
        error = _in_body(found.error) if isinstance(found.error, Invalid) else found.error
        return BatchSeriesShape(sensor_id=text, error=problem_of(request, error))
    aggregated = AggregatedSeriesShape.of(found.aggregated) if found.aggregated else None
    return BatchSeriesShape(
        sensor_id=text,
        readings=None if found.readings is None else [ReadingShape.of(reading) for reading in found.readings],
        interval=aggregated.interval if aggregated else None,
        points=aggregated.points if aggregated else None,
        stats=ReadingStatsShape.of(found.statistics) if found.statistics else None,
        latest=ReadingShape.of(found.latest) if found.latest else None,
    )


def _in_body(error: Invalid) -> Invalid:
    """What is a parameter elsewhere is a field of the body here."""
    fields = [FieldProblem("/" + field.pointer.lstrip("/"), field.code, field.detail) for field in error.fields]
    return Invalid(str(error), code=error.code, fields=fields)


def _spell_rows(found: telemetry.ComponentRows) -> Iterable[dict[str, Value]]:
    return ({"timestamp": spell_instant(row.at), **row.values} for row in found.rows)


def _spell_csv(found: telemetry.ComponentRows) -> str:
    """With a header; what was not reported at a time is empty (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["timestamp", *found.keys])
    for row in found.rows:
        writer.writerow([spell_instant(row.at), *(_spell_cell(row.values.get(key)) for key in found.keys)])
    return text.getvalue()


def _spell_cell(value: Value | None) -> str:
    return "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


router = Router(
    "/v1/readings",
    route_handlers=[
        list_readings,
        list_window,
        aggregate,
        get_stats,
        get_latest,
        list_latest,
        read_batch,
        list_device_readings,
        list_component_rows,
        purge,
    ],
    dependencies={"span": Provide(provide_span, sync_to_thread=False)},
    tags=["readings"],
)
