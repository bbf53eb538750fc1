"""/v1/timeseries: series of the tenant's own, and their points (contract section 16)."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import timeseries
from roadstead.core.identity import Permission
from roadstead.core.timeseries import (
    MOST_RECENT,
    Aggregation,
    Frames,
    FrameSize,
    PointDraft,
    SeriesId,
    Timeseries,
    TimeseriesChange,
    TimeseriesDraft,
    TimeseriesQuery,
)
from roadstead.core.work import Work
from roadstead.dialects.lightelligence import envelopes
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    PageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.points import EndTime, Instant, PointShape, StartTime, read_query_span
from roadstead.kernel.errors import Invalid
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

SeriesPath = Annotated[UUID, PathParameter(name="timeseriesId")]
Size = Annotated[FrameSize | None, QueryParameter(name="frameSize")]

_SERVICE = Service.TENANT_TIMESERIES
_READ = {"service": _SERVICE, "permissions": [Permission.TIMESERIES_READ]}
_WRITE = {"service": _SERVICE, "permissions": [Permission.TIMESERIES_WRITE]}
_READ_DATA = {"service": _SERVICE, "permissions": [Permission.TIMESERIES_DATA_READ]}
_WRITE_DATA = {"service": _SERVICE, "permissions": [Permission.TIMESERIES_DATA_WRITE]}


class DataTypeBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`TimeseriesDataType`: that much of JSON Schema and no more."""

    type: Literal["object", "boolean", "string", "number", "integer"]
    properties: dict[str, Any] | UnsetType = UNSET
    additional_properties: bool | UnsetType = UNSET
    required: list[str] | UnsetType = UNSET

    def read(self) -> dict[str, Any]:
        """As a JSON Schema."""
        schema: dict[str, Any] = msgspec.to_builtins(self)
        return schema


class TimeseriesBody(msgspec.Struct, rename="camel"):
    """`TimeseriesCreate`."""

    name: str
    data_type: DataTypeBody
    metadata: dict[str, Any] | None = None


class ChangeBody(msgspec.Struct, rename="camel"):
    """`TimeseriesUpdate`."""

    name: str | UnsetType = UNSET
    data_type: DataTypeBody | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class TimeseriesFilterBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`TimeseriesFilter`."""

    timeseries_ids: Annotated[list[UUID], Meta(min_length=1)] | None = None
    metadata: Annotated[dict[str, Any], Meta(min_length=1)] | None = None

    def read(self) -> TimeseriesQuery:
        """In terms of the core."""
        return TimeseriesQuery(ids=self.timeseries_ids, metadata=self.metadata)


class PointBody(msgspec.Struct):
    """`TimeseriesDataPoint`."""

    value: Any
    time: Instant | None = None


class PointsBody(msgspec.Struct):
    """`TimeseriesDataPoints`."""

    data: list[PointBody]


class TimeseriesShape(msgspec.Struct, rename="camel", omit_defaults=True):
    """`Timeseries`."""

    id: UUID
    name: str
    data_type: dict[str, Any]
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, series: Timeseries) -> "TimeseriesShape":
        return cls(series.id, series.name, series.data_type, series.metadata)


@post("/", operation_id="createTimeseries", opt=_WRITE)
async def create_timeseries(work: Work, request: AnyRequest) -> Data[TimeseriesShape]:
    """A new series."""
    body = read_as(await read_json(request), TimeseriesBody)
    draft = TimeseriesDraft(name=body.name, data_type=body.data_type.read(), metadata=body.metadata)
    return Data(TimeseriesShape.of(await timeseries.create_timeseries(work, draft)))


@get("/", operation_id="listTimeseries", opt=_READ)
async def list_timeseries(
    work: Work, request: AnyRequest, page: PageNumber = 0, page_size: PageSize = DEFAULT_PAGE_SIZE
) -> Paged[TimeseriesShape]:
    """Newest first; the body of this GET may have a filter."""
    query = read_as(await read_json(request), TimeseriesFilterBody).read()
    found = await timeseries.list_timeseries(work, query, page=page_query(page, page_size))
    return paged(found, page, page_size, TimeseriesShape.of)


@get("/{timeseriesId:str}", operation_id="getTimeseries", opt=_READ)
async def get_timeseries(work: Work, series_id: SeriesPath) -> Data[TimeseriesShape]:
    """One of them."""
    return Data(TimeseriesShape.of(await timeseries.get_timeseries(work, SeriesId(series_id))))


@patch("/{timeseriesId:str}", operation_id="updateTimeseries", opt=_WRITE)
async def change_timeseries(work: Work, request: AnyRequest, series_id: SeriesPath) -> Data[TimeseriesShape]:
    """Changes some of it, each member as a whole."""
    body = read_as(await read_json(request), ChangeBody)
    data_type = UNSET if body.data_type is UNSET else body.data_type.read()
    change = TimeseriesChange(name=body.name, data_type=data_type, metadata=body.metadata)
    return Data(TimeseriesShape.of(await timeseries.change_timeseries(work, SeriesId(series_id), change)))


@delete("/{timeseriesId:str}", operation_id="deleteTimeseries", opt=_WRITE)
async def delete_timeseries(work: Work, series_id: SeriesPath) -> None:
    """With all its points."""
    await timeseries.delete_timeseries(work, SeriesId(series_id))


@post("/{timeseriesId:str}/points", operation_id="addPoints", opt=_WRITE_DATA)
async def add_points(work: Work, request: AnyRequest, series_id: SeriesPath) -> Data[list[PointShape]]:
    """All or none; what has no time is of now."""
    body = read_as(await read_json(request), PointsBody)
    drafts = [PointDraft(point.value, point.time) for point in body.data]
    points = await timeseries.add_points(work, SeriesId(series_id), drafts)
    return Data([PointShape.of(point) for point in points])


@delete("/{timeseriesId:str}/points", operation_id="deletePoints", opt=_WRITE_DATA)
async def delete_points(work: Work, series_id: SeriesPath, start: StartTime = None, end: EndTime = None) -> None:
    """In a span, or all."""
    await timeseries.delete_points(work, SeriesId(series_id), read_query_span(start, end))


@get("/{timeseriesId:str}/points/last", operation_id="getLastPoints", opt=_READ_DATA)
async def get_last_points(work: Work, series_id: SeriesPath) -> Data[list[PointShape]]:
    """Points of the last hour, newest first, at most 4,000."""
    points = await timeseries.list_recent(work, SeriesId(series_id))
    return Data([PointShape.of(point) for point in points])


@get("/{timeseriesId:str}/points/aggregated", operation_id="getAggregatedPoints", opt=_READ_DATA)
async def get_aggregated_points(
    work: Work,
    series_id: SeriesPath,
    aggregation: Aggregation,
    start: StartTime = None,
    end: EndTime = None,
    frame_size: Size = None,
    page: PageNumber = 0,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
) -> Paged[PointShape]:
    """Frames with points, newest first; a page has 4,000 at most."""
    if start is None or end is None:
        raise Invalid.field("startTime" if start is None else "endTime", "is required", place="query")
    span = read_query_span(start, end)
    assert span is not None
    size = min(page_size, MOST_RECENT)
    found = await timeseries.page_frames(
        work, SeriesId(series_id), span, Frames(aggregation, frame_size), page=PageQuery(limit=size, page=page)
    )
    total = found.total or 0
    meta = envelopes.Meta(page, size, total, -(-total // size) if size else 0)
    return Paged(meta, [PointShape.of_frame(point) for point in found.items])


router = Router(
    "/v1/timeseries",
    route_handlers=[
        create_timeseries,
        list_timeseries,
        get_timeseries,
        change_timeseries,
        delete_timeseries,
        add_points,
        delete_points,
        get_last_points,
        get_aggregated_points,
    ],
)
