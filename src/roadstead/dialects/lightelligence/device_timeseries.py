"""/v1/devices/{deviceId}: what was kept of a path of a device, as it is or boiled down (contract section 15)."""

from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, delete, get
from litestar.params import PathParameter, QueryParameter

from roadstead.core import timeseries
from roadstead.core.identity import Permission
from roadstead.core.timeseries import Aggregation, Frames, FrameSize
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import Data
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.points import (
    EndTime,
    JsonPath,
    PointShape,
    StartTime,
    read_path,
    read_query_span,
)
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId

DevicePath = Annotated[UUID, PathParameter(name="deviceId")]
Size = Annotated[Literal["1m", "5m", "30m", "1h", "1d"] | None, QueryParameter(name="frameSize")]

_READ = [Permission.DEVICES_HISTORICAL_DATA_READ]
_WRITE = [Permission.DEVICES_HISTORICAL_DATA_WRITE]


@get(
    "/aggregated-timeseries",
    operation_id="getAggregatedTimeseries",
    opt={"service": Service.AGGREGATES, "permissions": _READ},
)
async def get_aggregated(
    work: Work,
    device_id: DevicePath,
    path: JsonPath,
    aggregation: Aggregation,
    start: StartTime = None,
    end: EndTime = None,
    frame_size: Size = None,
) -> Data[list[PointShape]]:
    """Frames with points, newest first; without `frameSize` exactly one."""
    if start is None or end is None:
        raise Invalid.field("startTime" if start is None else "endTime", "is required", place="query")
    span = read_query_span(start, end)
    assert span is not None
    frames = Frames(aggregation, FrameSize(frame_size) if frame_size else None)
    points = await timeseries.frame_readings(work, DeviceId(device_id), read_path(path), span, frames)
    return Data([PointShape.of_frame(point) for point in points])


@get(
    "/last-timeseries",
    operation_id="getLastTimeseries",
    opt={"service": Service.DEVICE_TIMESERIES, "permissions": _READ},
)
async def get_last(work: Work, device_id: DevicePath, path: JsonPath) -> Data[list[PointShape]]:
    """Points of the last hour, newest first, at most 4,000."""
    points = await timeseries.list_recent_readings(work, DeviceId(device_id), read_path(path))
    return Data([PointShape.of(point) for point in points])


@delete(
    "/timeseries",
    operation_id="deleteTimeseriesData",
    opt={"service": Service.DEVICE_TIMESERIES, "permissions": _WRITE},
)
async def delete_data(
    work: Work, device_id: DevicePath, path: JsonPath, start: StartTime = None, end: EndTime = None
) -> None:
    """What was kept of a path, in a span or altogether."""
    await timeseries.delete_readings(work, DeviceId(device_id), read_path(path), read_query_span(start, end))


router = Router("/v1/devices/{deviceId:str}", route_handlers=[get_aggregated, get_last, delete_data])
