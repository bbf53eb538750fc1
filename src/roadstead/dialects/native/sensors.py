"""/sensors: typed channels of devices and components."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import registry
from roadstead.core.messages import ValueType
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.kernel import time
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, parse_uuid
from roadstead.kernel.page import Page, PageQuery
from roadstead.web.edge import AnyRequest

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Key = Annotated[str, Meta(min_length=1, max_length=64)]


class Expand(StrEnum):
    """What a sensor can be shown with."""

    LATEST = "latest"


ExpandParameter = Annotated[list[Expand] | None, QueryParameter(description="latest: with the latest value")]


class LatestShape(Shape, kw_only=True):
    """Contract schema `Reading`, of the latest value."""

    sensor_id: str
    timestamp: datetime
    value: float | int | bool | str
    value_type: str
    received_at: datetime

    @classmethod
    def of(cls, sensor: registry.Sensor, latest: registry.Latest) -> "LatestShape":
        return cls(
            sensor_id=str(sensor.id),
            timestamp=time.from_millis(latest.at_ms),
            value=latest.value,
            value_type=sensor.value_type,
            received_at=time.from_millis(latest.received_ms),
        )


class SensorShape(Shape, kw_only=True):
    """Contract schema `Sensor`, and its metadata where there is any."""

    id: str
    device_id: str
    component_id: str | None = None
    key: str
    name: str
    value_type: str
    unit: str | None = None
    field: str | None = None
    min: float | None = None
    max: float | None = None
    metadata: dict[str, Any] | None = None
    active: bool
    last_reading_at: datetime | None = None
    latest: LatestShape | None = None
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, sensor: registry.Sensor) -> "SensorShape":
        latest = sensor.latest
        return cls(
            id=str(sensor.id),
            device_id=str(sensor.device_id),
            component_id=str(sensor.component_id) if sensor.component_id else None,
            key=sensor.key,
            name=sensor.name,
            value_type=sensor.value_type,
            unit=sensor.unit,
            field=sensor.field,
            min=sensor.min,
            max=sensor.max,
            metadata=sensor.metadata or None,
            active=sensor.active,
            last_reading_at=time.from_millis(latest.at_ms) if latest else None,
            created_at=sensor.created_at,
            updated_at=sensor.updated_at,
            version=sensor.version,
        )

    @classmethod
    def with_latest(cls, sensor: registry.Sensor) -> "SensorShape":
        """The same with the latest value, if there is one."""
        shape = cls.of(sensor)
        if sensor.latest is not None:
            shape.latest = LatestShape.of(sensor, sensor.latest)
        return shape


class SensorBody(Body, kw_only=True):
    """Contract schema `SensorInput`."""

    device_id: str | None = None
    component_id: str | None = None
    key: Key
    name: Name | None = None
    value_type: ValueType
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def draft(self) -> registry.SensorDraft:
        """In words of the core."""
        device, component = self.device_id, self.component_id
        return registry.SensorDraft(
            device_id=None if device is None else DeviceId(read_reference(device, "/deviceId")),
            component_id=None if component is None else ComponentId(read_reference(component, "/componentId")),
            key=self.key,
            name=self.name,
            value_type=self.value_type,
            unit=self.unit,
            min=self.min,
            max=self.max,
            metadata=self.metadata,
        )


class SensorPatch(Body, kw_only=True):
    """Contract schema `SensorInput`, all optional; a merge patch. Device, component and key may be sent as they are."""

    device_id: str | UnsetType = UNSET
    component_id: str | UnsetType = UNSET
    key: Key | UnsetType = UNSET
    name: Name | UnsetType | None = UNSET
    value_type: ValueType | UnsetType = UNSET
    unit: str | UnsetType | None = UNSET
    min: float | UnsetType | None = UNSET
    max: float | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET

    def change(self) -> registry.SensorChange:
        """In words of the core."""
        device, component = self.device_id, self.component_id
        return registry.SensorChange(
            device_id=UNSET if device is UNSET else DeviceId(read_reference(device, "/deviceId")),
            component_id=UNSET if component is UNSET else ComponentId(read_reference(component, "/componentId")),
            key=self.key,
            name=self.name,
            value_type=self.value_type,
            unit=self.unit,
            min=self.min,
            max=self.max,
            metadata=self.metadata,
        )


@get("/", operation_id="sensor.list")
async def list_sensors(
    work: Work,
    page: PageQuery,
    sort: Annotated[
        str | None, QueryParameter(description="name (default), createdAt, lastReadingAt; -field descends")
    ] = None,
    device_id: Annotated[str | None, QueryParameter(name="deviceId")] = None,
    component_id: Annotated[str | None, QueryParameter(name="componentId")] = None,
    value_type: Annotated[ValueType | None, QueryParameter(name="valueType")] = None,
    active: bool | None = None,
    q: Annotated[str | None, QueryParameter(description="beginning of name or key", max_length=200)] = None,
    expand: ExpandParameter = None,
) -> PageShape[SensorShape]:
    """Lists sensors of the organization."""
    device, component = parse_uuid(device_id or ""), parse_uuid(component_id or "")
    if (device_id is not None and device is None) or (component_id is not None and component is None):
        return page_shape(Page(items=[], total=0 if page.include_total else None), page, SensorShape.of)
    found = await registry.list_sensors(
        work,
        device_id=None if device is None else DeviceId(device),
        component_id=None if component is None else ComponentId(component),
        value_type=value_type,
        active=active,
        text=q,
        sort=sort,
        page=page,
    )
    return page_shape(found, page, SensorShape.with_latest if expand else SensorShape.of)


@post("/", operation_id="sensor.create", status_code=201)
@idempotent
async def create_sensor(request: AnyRequest, work: Work, data: SensorBody) -> Response[SensorShape | None]:
    """Creates one. Usually sensors appear by themselves when a device reports them."""
    sensor = await registry.create_sensor(work, data.draft())
    return versioned(request, SensorShape.of(sensor), sensor.version, location=f"/api/v1/sensors/{sensor.id}")


@get("/{id:str}", operation_id="sensor.get")
async def get_sensor(request: AnyRequest, work: Work, id: str) -> Response[SensorShape | None]:
    """One of them, with ETag; If-None-Match gives 304."""
    sensor = await registry.get_sensor(work, _read(id))
    return versioned(request, SensorShape.of(sensor), sensor.version)


@put("/{id:str}", operation_id="sensor.replace")
async def replace_sensor(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: SensorBody
) -> Response[SensorShape | None]:
    """Replaces all writable fields; a field left out goes back to its default. Home and key cannot change.

    valueType is fixed after the first reading.
    """
    sensor = await registry.replace_sensor(work, _read(id), data.draft(), expected=expected)
    return versioned(request, SensorShape.of(sensor), sensor.version)


@patch("/{id:str}", operation_id="sensor.patch")
async def change_sensor(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: SensorPatch
) -> Response[SensorShape | None]:
    """JSON merge patch of the writable fields. Home and key cannot change, valueType not after the first reading."""
    sensor = await registry.change_sensor(work, _read(id), data.change(), expected=expected)
    return versioned(request, SensorShape.of(sensor), sensor.version)


@delete("/{id:str}", operation_id="sensor.delete")
async def delete_sensor(
    work: Work,
    id: str,
    expected: int | None,
    purge: Annotated[bool, QueryParameter(description="delete its readings with it")] = False,
) -> None:
    """Deletes it. 409 while readings exist, unless purge=true."""
    await registry.delete_sensor(work, _read(id), purge=purge, expected=expected)


def _read(text: str) -> SensorId:
    return SensorId(read_id(text, "sensor"))


router = Router(
    "/v1/sensors",
    route_handlers=[list_sensors, create_sensor, get_sensor, replace_sensor, change_sensor, delete_sensor],
    tags=["devices"],
)
