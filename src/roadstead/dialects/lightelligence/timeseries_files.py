"""/v1/timeseries: files with points of the tenant's own series, from the request to the file (contract section 16)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.params import PathParameter
from litestar.response import Stream

from roadstead.core import timeseries
from roadstead.core.identity import Permission
from roadstead.core.timeseries import Frames, PointsFile, read_span
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.places import base_url_of
from roadstead.dialects.lightelligence.points import FILE, Instant, send_points
from roadstead.dialects.lightelligence.timeseries import TimeseriesFilterBody
from roadstead.dialects.lightelligence.timeseries_dumps import FramesBody
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import MOUNTED_AT, AnyRequest

RequestPath = Annotated[UUID, PathParameter(name="requestId")]
FilePath = Annotated[UUID, PathParameter(name="fileId")]

_READ = {"service": Service.TENANT_TIMESERIES, "permissions": [Permission.TIMESERIES_DATA_READ]}


class SpanBody(msgspec.Struct, rename="camel"):
    """`DataFilter`."""

    start_time: Instant | None = None
    end_time: Instant | None = None


class RawBody(msgspec.Struct, rename="camel"):
    """`TimeseriesRawRequest`."""

    data_filter: SpanBody
    timeseries_filter: TimeseriesFilterBody


class AggregatedBody(RawBody, rename="camel"):
    """`TimeseriesAggregatedRequest`."""

    params: FramesBody


class StatusShape(msgspec.Struct, rename="camel"):
    """`RequestStatus`; the contract knows `new` alone."""

    status: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, file: PointsFile) -> "StatusShape":
        return cls("failed" if file.status == "FAILED" else "new", file.created_at, file.changed_at)


@post("/raw-data", operation_id="requestRawFile", status_code=202, opt=_READ)
async def request_raw(work: Work, request: AnyRequest) -> Response[bytes]:
    """Begins a file with the points of all series that match."""
    return await _request(work, request, read_as(await read_json(request), RawBody), None)


@post("/aggregated-data", operation_id="requestAggregatedFile", status_code=202, opt=_READ)
async def request_aggregated(work: Work, request: AnyRequest) -> Response[bytes]:
    """The same, boiled down to frames."""
    body = read_as(await read_json(request), AggregatedBody)
    return await _request(work, request, body, body.params.read())


@get("/requests/{requestId:str}", operation_id="getFileRequest", opt=_READ)
async def get_request(work: Work, request: AnyRequest, request_id: RequestPath) -> Response[Data[StatusShape] | bytes]:
    """How it stands; once the file is there, the way to it."""
    file = await timeseries.get_points_file(work, request_id, form=FILE)
    if file.is_ready:
        return Response(b"", status_code=303, headers=_lead_to(request, f"files/{file.id}"))
    return Response(Data(StatusShape.of(file)))


@get("/files/{fileId:str}", operation_id="downloadFile", opt=_READ)
async def get_file(work: Work, file_id: FilePath) -> Stream:
    """The file; gone after an hour."""
    return await send_points(work, await timeseries.find_points(work, file_id, form=FILE))


async def _request(work: Work, request: AnyRequest, body: RawBody, frames: Frames | None) -> Response[bytes]:
    if body.timeseries_filter == TimeseriesFilterBody():
        raise Invalid.field("timeseriesFilter", "has at least one member")
    span = read_span(body.data_filter.start_time, body.data_filter.end_time)
    file = await timeseries.request_timeseries(
        work, body.timeseries_filter.read(), span, frames, form=FILE, base_url=base_url_of(request)
    )
    return Response(b"", status_code=202, headers=_lead_to(request, f"requests/{file.id}"))


def _lead_to(request: AnyRequest, place: str) -> dict[str, str]:
    """As the original has it where the dialect has a host of its own; else behind its prefix."""
    return {"Location": f"{request.scope.get(MOUNTED_AT, '')}/v1/timeseries/{place}"}


router = Router("/v1/timeseries", route_handlers=[request_raw, request_aggregated, get_request, get_file])
