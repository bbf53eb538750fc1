"""/devices/{id}/health: how devices are, in their own words."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Router, get, post
from litestar.di import Provide
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import telemetry
from roadstead.core.ports import Span
from roadstead.core.telemetry import HealthQuery
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.dialects.native.spans import provide_span
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest, Edge

DevicePath = Annotated[str, PathParameter(name="id")]
ConnectionType = Literal["WIFI", "ETHERNET", "CELLULAR", "LORAWAN", "BLE", "OTHER"]
Count = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class HealthBody(Body):
    """Contract schema `DeviceHealthInput`."""

    timestamp: Annotated[datetime, Meta(tz=True)]
    uptime_seconds: Count | None = None
    free_heap_bytes: Count | None = None
    signal_strength_dbm: Count | None = None
    connection_type: ConnectionType | None = None
    readings_sent: Count | None = None
    readings_dropped: Count | None = None
    battery_percent: float | None = None
    cpu_temperature: float | None = None
    firmware_version: Annotated[str, Meta(max_length=128)] | None = None
    metadata: dict[str, Any] | None = None


class HealthShape(Shape, kw_only=True):
    """Contract schema `DeviceHealth`."""

    device_id: str
    timestamp: datetime
    uptime_seconds: int | None = None
    free_heap_bytes: int | None = None
    signal_strength_dbm: int | None = None
    connection_type: str | None = None
    readings_sent: int | None = None
    readings_dropped: int | None = None
    battery_percent: float | None = None
    cpu_temperature: float | None = None
    firmware_version: str | None = None
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, snapshot: telemetry.HealthSnapshot) -> "HealthShape":
        values = snapshot.values | {"deviceId": str(snapshot.device_id), "timestamp": snapshot.at}
        return msgspec.convert(values, cls, builtin_types=(datetime,))


@get("/", operation_id="device.health")
async def get_health(work: Work, device: DevicePath) -> HealthShape:
    """Latest health snapshot: the newest of everything the device has said about itself."""
    return HealthShape.of(await telemetry.get_health(work, _device(device)))


@get("/history", operation_id="device.health-history")
async def list_health(
    work: Work,
    span: Span,
    page: PageQuery,
    device: DevicePath,
    interval: Annotated[
        str | None, QueryParameter(description="ISO 8601 duration from PT1M: the last snapshot of each such stretch")
    ] = None,
) -> PageShape[HealthShape]:
    """Health snapshots in a range, newest first, optionally thinned to interval."""
    query = HealthQuery(span=span, interval=interval)
    return page_shape(await telemetry.list_health(work, _device(device), query, page), page, HealthShape.of)


@post(
    "/",
    operation_id="device.health-report",
    status_code=202,
    media_type=MediaType.TEXT,
    opt={"devices": True},
)
async def report_health(request: AnyRequest, work: Work, device: DevicePath, data: HealthBody) -> None:
    """Health report over HTTP for devices without MQTT; accepted means that it is on the log."""
    edge: Edge = request.app.state.edge
    payload = msgspec.json.encode(data)
    uplink = await telemetry.report_health(work, edge.intake, _device(device), payload)
    await edge.uplinks.put(uplink)


def _device(text: str) -> DeviceId:
    return DeviceId(read_id(text, "device"))


router = Router(
    "/v1/devices/{id:str}/health",
    route_handlers=[get_health, list_health, report_health],
    dependencies={"span": Provide(provide_span, sync_to_thread=False)},
    tags=["devices"],
)
