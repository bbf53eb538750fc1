"""Files with what was kept of devices: of one path of one, or of many (contract section 15)."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.params import PathParameter
from litestar.response import Stream
from msgspec import Meta

from roadstead.core import timeseries
from roadstead.core.identity import Permission
from roadstead.core.timeseries import Aggregation, Frames, FrameSize, read_span
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import DeviceFilterBody
from roadstead.dialects.lightelligence.device_timeseries import DevicePath
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Coded, Service
from roadstead.dialects.lightelligence.places import base_url_of
from roadstead.dialects.lightelligence.points import (
    BULK_AGGREGATION,
    BULK_DUMP,
    DUMP,
    Instant,
    read_path,
    send_points,
)
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

DumpPath = Annotated[UUID, PathParameter(name="dumpId")]

_READ = [Permission.DEVICES_HISTORICAL_DATA_READ]
_ONE = {"service": Service.DEVICE_TIMESERIES, "permissions": _READ}
_MANY = {"service": Service.BULK_TIMESERIES, "permissions": _READ}


class DumpBody(msgspec.Struct, rename="camel"):
    """`TimeseriesDump`."""

    path: str
    start_time: Instant | None = None
    end_time: Instant | None = None


class DataFilterBody(msgspec.Struct, rename="camel"):
    """Which paths, and of which time."""

    paths: Annotated[list[str], Meta(min_length=1)]
    start_time: Instant | None = None
    end_time: Instant | None = None


class BulkDumpBody(msgspec.Struct, rename="camel"):
    """`BulkTimeseriesDump`."""

    data_filter: DataFilterBody
    device_filter: DeviceFilterBody


class FramesBody(msgspec.Struct, rename="camel"):
    """How points are boiled down."""

    aggregation: Aggregation
    frame_size: FrameSize | None = None

    def read(self) -> Frames:
        """In terms of the core."""
        return Frames(self.aggregation, self.frame_size)


class BulkAggregationBody(BulkDumpBody, rename="camel"):
    """`BulkAggregatedRequest`."""

    params: FramesBody


class UrlShape(msgspec.Struct):
    """`TimeseriesDataResponse`, `BulkTimeseriesDataResponse`."""

    url: str


@post("/{deviceId:str}/timeseries-dump", operation_id="requestTimeseriesDump", status_code=200, opt=_ONE)
async def request_dump(work: Work, request: AnyRequest, device_id: DevicePath) -> Data[UrlShape]:
    """Begins a dump of one path; it will be at the URL."""
    body = read_as(await read_json(request), DumpBody)
    base_url = base_url_of(request)
    dump = await timeseries.request_readings(
        work,
        DeviceId(device_id),
        read_path(body.path),
        read_span(body.start_time, body.end_time),
        form=DUMP,
        base_url=base_url,
    )
    return Data(UrlShape(f"{base_url}/v1/devices/{device_id}/timeseries-dump/{dump.id}"))


@get("/{deviceId:str}/timeseries-dump/{dumpId:str}", operation_id="downloadTimeseriesDump", opt=_ONE)
async def get_dump(work: Work, device_id: DevicePath, dump_id: DumpPath) -> Stream:
    """The dump, once it is there and for an hour."""
    try:
        return await send_points(
            work, await timeseries.find_points(work, dump_id, form=DUMP, device_id=DeviceId(device_id))
        )
    except NotFound as error:
        raise Coded(404, "TIMESERIES_DUMP_NOT_FOUND", str(error)) from error


@post("/timeseries-dump", operation_id="requestBulkTimeseriesDump", status_code=202, opt=_MANY)
async def request_bulk_dump(work: Work, request: AnyRequest) -> Data[UrlShape]:
    """Begins a dump of some paths of all devices that match."""
    body = read_as(await read_json(request), BulkDumpBody)
    return Data(UrlShape(await _request(work, request, body, None, "timeseries-dump", BULK_DUMP)))


@get("/timeseries-dump/{dumpId:str}", operation_id="downloadBulkTimeseriesDump", opt=_MANY)
async def get_bulk_dump(work: Work, dump_id: DumpPath) -> Stream:
    """The dump, once it is there and for an hour."""
    return await send_points(work, await timeseries.find_points(work, dump_id, form=BULK_DUMP))


@post("/aggregated-timeseries", operation_id="requestBulkAggregation", status_code=202, opt=_MANY)
async def request_bulk_aggregation(work: Work, request: AnyRequest) -> Response[Data[UrlShape]]:
    """The same, boiled down to frames."""
    body = read_as(await read_json(request), BulkAggregationBody)
    url = await _request(work, request, body, body.params.read(), "aggregated-timeseries", BULK_AGGREGATION)
    return Response(Data(UrlShape(url)), status_code=202, headers={"Location": url})


@get("/aggregated-timeseries/{dumpId:str}", operation_id="downloadBulkAggregation", opt=_MANY)
async def get_bulk_aggregation(work: Work, dump_id: DumpPath) -> Stream:
    """The frames, once they are there and for an hour."""
    return await send_points(work, await timeseries.find_points(work, dump_id, form=BULK_AGGREGATION))


async def _request(
    work: Work, request: AnyRequest, body: BulkDumpBody, frames: Frames | None, segment: str, form: str
) -> str:
    """The URL at which the file will be."""
    if body.device_filter == DeviceFilterBody():
        raise Invalid.field("deviceFilter", "has at least one member")
    body.device_filter.check_plain()
    wanted, base_url = body.data_filter, base_url_of(request)
    dump = await timeseries.request_readings_of_devices(
        work,
        body.device_filter.read(),
        [read_path(path) for path in wanted.paths],
        read_span(wanted.start_time, wanted.end_time),
        frames,
        form=form,
        base_url=base_url,
    )
    return f"{base_url}/v1/devices/{segment}/{dump.id}"


router = Router(
    "/v1/devices",
    route_handlers=[
        request_dump,
        get_dump,
        request_bulk_dump,
        get_bulk_dump,
        request_bulk_aggregation,
        get_bulk_aggregation,
    ],
)
