"""/components: the addressable parts of devices."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import registry
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.sensors import SensorShape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.kernel.ids import ComponentId, DeviceId, parse_uuid
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Key = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.-]+$")]


class ComponentShape(Shape, kw_only=True):
    """Contract schema `Component`."""

    id: str
    device_id: str
    key: str
    name: str
    sensor_profile: str
    metadata: dict[str, Any]
    tags: dict[str, str]
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, component: registry.Component) -> "ComponentShape":
        return cls(
            id=str(component.id),
            device_id=str(component.device_id),
            key=component.key,
            name=component.name,
            sensor_profile=component.sensor_profile,
            metadata=component.metadata,
            tags=component.tags,
            created_at=component.created_at,
            updated_at=component.updated_at,
            version=component.version,
        )


class ComponentBody(Body, kw_only=True):
    """Contract schema `ComponentInput`."""

    device_id: str
    key: Key
    name: Name
    sensor_profile: str
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    def draft(self) -> registry.ComponentDraft:
        """In words of the core."""
        return registry.ComponentDraft(
            device_id=DeviceId(read_reference(self.device_id, "/deviceId")),
            key=self.key,
            name=self.name,
            sensor_profile=self.sensor_profile,
            metadata=self.metadata,
            tags=self.tags,
        )


class ComponentPatch(Body, kw_only=True):
    """Contract schema `ComponentInput`, all optional; a merge patch. Device and key may be sent as they are."""

    device_id: str | UnsetType = UNSET
    key: Key | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    sensor_profile: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    tags: dict[str, str | None] | UnsetType | None = UNSET

    def change(self) -> registry.ComponentChange:
        """In words of the core."""
        device_id = self.device_id
        return registry.ComponentChange(
            device_id=UNSET if device_id is UNSET else DeviceId(read_reference(device_id, "/deviceId")),
            key=self.key,
            name=self.name,
            sensor_profile=self.sensor_profile,
            metadata=self.metadata,
            tags=self.tags,
        )


@get("/", operation_id="component.list")
async def list_components(
    work: Work,
    page: PageQuery,
    sort: Annotated[str | None, QueryParameter(description="name (default), createdAt; -field descends")] = None,
    device_id: Annotated[list[str] | None, QueryParameter(name="deviceId", description="repeat it to or")] = None,
    sensor_profile: Annotated[
        str | None, QueryParameter(name="sensorProfile", description="key, or key@major.minor")
    ] = None,
    q: Annotated[str | None, QueryParameter(description="beginning of name or key", max_length=200)] = None,
) -> PageShape[ComponentShape]:
    """Lists components of the organization."""
    found = await registry.list_components(
        work,
        device_ids=None if device_id is None else [DeviceId(id_) for text in device_id if (id_ := parse_uuid(text))],
        sensor_profile=sensor_profile,
        text=q,
        sort=sort,
        page=page,
    )
    return page_shape(found, page, ComponentShape.of)


@post("/", operation_id="component.create", status_code=201)
@idempotent
async def create_component(request: AnyRequest, work: Work, data: ComponentBody) -> Response[ComponentShape | None]:
    """Creates one with the sensors that its profile describes. key is unique in the device."""
    component = await registry.create_component(work, data.draft())
    location = f"/api/v1/components/{component.id}"
    return versioned(request, ComponentShape.of(component), component.version, location=location)


@get("/{id:str}", operation_id="component.get")
async def get_component(request: AnyRequest, work: Work, id: str) -> Response[ComponentShape | None]:
    """One of them, with ETag; If-None-Match gives 304."""
    component = await registry.get_component(work, _read(id))
    return versioned(request, ComponentShape.of(component), component.version)


@put("/{id:str}", operation_id="component.replace")
async def replace_component(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: ComponentBody
) -> Response[ComponentShape | None]:
    """Replaces all writable fields; a field left out goes back to its default. deviceId and key cannot change."""
    component = await registry.replace_component(work, _read(id), data.draft(), expected=expected)
    return versioned(request, ComponentShape.of(component), component.version)


@patch("/{id:str}", operation_id="component.patch")
async def change_component(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: ComponentPatch
) -> Response[ComponentShape | None]:
    """JSON merge patch of the writable fields. deviceId and key cannot change."""
    component = await registry.change_component(work, _read(id), data.change(), expected=expected)
    return versioned(request, ComponentShape.of(component), component.version)


@delete("/{id:str}", operation_id="component.delete")
async def delete_component(work: Work, id: str, expected: int | None) -> None:
    """Deletes it. Its sensors become inactive; readings stay. 409 while the device's profile requires it."""
    await registry.delete_component(work, _read(id), expected=expected)


@get("/{id:str}/sensors", operation_id="component.sensors")
async def list_component_sensors(work: Work, page: PageQuery, id: str) -> PageShape[SensorShape]:
    """Sensors of a component."""
    component = await registry.get_component(work, _read(id))
    return page_shape(await registry.list_sensors(work, component_id=component.id, page=page), page, SensorShape.of)


def _read(text: str) -> ComponentId:
    return ComponentId(read_id(text, "component"))


router = Router(
    "/v1/components",
    route_handlers=[
        list_components,
        create_component,
        get_component,
        replace_component,
        change_component,
        delete_component,
        list_component_sensors,
    ],
    tags=["devices"],
)
