"""/devices: the registry of what reports."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import Provide
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import registry, telemetry
from roadstead.core.registry import DeviceStatus, GroupBy, Location
from roadstead.core.work import Work
from roadstead.dialects.native.components import ComponentShape
from roadstead.dialects.native.device_filters import DeviceFilter, provide_filter
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.health import HealthShape
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.sensors import ExpandParameter as SensorExpandParameter
from roadstead.dialects.native.sensors import SensorShape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.dialects.native.sites import SiteShape, read_site_id
from roadstead.dialects.native.sparse import pick, read_fields
from roadstead.kernel.filter import equals
from roadstead.kernel.ids import DeviceId, SiteId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

Name = Annotated[str, Meta(min_length=1, max_length=120)]
ShortText = Annotated[str, Meta(max_length=128)]


class Expand(StrEnum):
    """What a device can be shown with."""

    SITE = "site"
    COMPONENTS = "components"
    HEALTH = "health"


ExpandParameter = Annotated[list[Expand] | None, QueryParameter(description="repeat it for several")]


# --- shapes ----------------------------------------------------------------------------------------------------------


class DeviceShape(Shape, kw_only=True):
    """Contract schema `Device`, with what was asked for by `expand`."""

    id: str
    name: str
    external_id: str | None = None
    serial_number: str | None = None
    status: str
    online: bool
    virtual: bool
    device_profile: str | None = None
    site_id: str | None = None
    parent_device_id: str | None = None
    location: Location | None = None
    tags: dict[str, str]
    metadata: dict[str, Any]
    firmware_version: str | None = None
    hardware_id: str | None = None
    last_seen_at: datetime | None = None
    activated_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    site: SiteShape | None = None
    components: list[ComponentShape] | None = None
    health: HealthShape | None = None

    @classmethod
    def of(cls, device: registry.Device) -> "DeviceShape":
        return cls(
            id=str(device.id),
            name=device.name,
            external_id=device.external_id,
            serial_number=device.serial_number,
            status=device.status,
            online=device.online,
            virtual=device.virtual,
            device_profile=device.profile,
            site_id=str(device.site_id) if device.site_id else None,
            parent_device_id=str(device.parent_id) if device.parent_id else None,
            location=device.location,
            tags=device.tags,
            metadata=device.metadata,
            firmware_version=device.firmware_version,
            hardware_id=device.hardware_id,
            last_seen_at=device.last_seen_at,
            activated_at=device.activated_at,
            created_at=device.created_at,
            updated_at=device.updated_at,
            version=device.version,
        )


class DeviceBody(Body, kw_only=True):
    """Contract schema `DeviceInput`."""

    name: Name
    external_id: ShortText | None = None
    serial_number: ShortText | None = None
    virtual: bool = False
    device_profile: str | None = None
    site_id: str | None = None
    parent_device_id: str | None = None
    location: Location | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def draft(self) -> registry.DeviceDraft:
        """In words of the core."""
        return registry.DeviceDraft(
            name=self.name,
            external_id=self.external_id,
            serial_number=self.serial_number,
            virtual=self.virtual,
            profile=self.device_profile,
            site_id=None if self.site_id is None else SiteId(read_reference(self.site_id, "/siteId")),
            parent_id=None
            if self.parent_device_id is None
            else DeviceId(read_reference(self.parent_device_id, "/parentDeviceId")),
            location=self.location,
            tags=self.tags,
            metadata=self.metadata,
        )


class DevicePatch(Body, kw_only=True):
    """Contract schema `DeviceInput`, all optional; a merge patch."""

    name: Name | UnsetType = UNSET
    external_id: ShortText | UnsetType | None = UNSET
    serial_number: ShortText | UnsetType | None = UNSET
    virtual: bool | UnsetType = UNSET
    device_profile: str | UnsetType | None = UNSET
    site_id: str | UnsetType | None = UNSET
    parent_device_id: str | UnsetType | None = UNSET
    location: dict[str, Any] | UnsetType | None = UNSET
    tags: dict[str, str | None] | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET

    def change(self) -> registry.DeviceChange:
        """In words of the core."""
        site, parent = self.site_id, self.parent_device_id
        return registry.DeviceChange(
            name=self.name,
            external_id=self.external_id,
            serial_number=self.serial_number,
            virtual=self.virtual,
            profile=self.device_profile,
            site_id=SiteId(read_reference(site, "/siteId")) if isinstance(site, str) else site,
            parent_id=DeviceId(read_reference(parent, "/parentDeviceId")) if isinstance(parent, str) else parent,
            location=self.location,
            tags=self.tags,
            metadata=self.metadata,
        )


class StatusBody(Body, kw_only=True):
    """Body of `device.set-status`."""

    status: Literal["ACTIVE", "INACTIVE", "MAINTENANCE"]
    reason: Annotated[str, Meta(max_length=500)] | None = None


class CountShape(Shape, kw_only=True):
    """How many devices have a key; those that have none come without one."""

    key: str | None = None
    count: int


class DeviceStatsShape(Shape, kw_only=True):
    """Answer of `device.stats`."""

    total: int
    groups: list[CountShape]


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/", operation_id="device.list", dependencies={"where": Provide(provide_filter, sync_to_thread=False)})
async def list_devices(
    work: Work,
    page: PageQuery,
    where: DeviceFilter,
    sort: Annotated[
        str | None, QueryParameter(description="name (default), createdAt, lastSeenAt, status; -field descends")
    ] = None,
    expand: ExpandParameter = None,
    fields: Annotated[str | None, QueryParameter(description="comma list of the fields to answer")] = None,
) -> Response[PageShape[DeviceShape]]:
    """Lists devices of the organization."""
    names = read_fields(fields, DeviceShape)
    found = await registry.list_devices(work, where.read(), sort=sort, page=page)
    shapes = iter(await spell_devices(work, found.items, expand or []))
    answer = page_shape(found, page, lambda _: next(shapes))
    if names is None:
        return Response(answer)
    sparse: Any = msgspec.structs.replace(answer, items=[pick(shape, names) for shape in answer.items])
    return Response(sparse)


@post("/", operation_id="device.create", status_code=201)
@idempotent
async def create_device(request: AnyRequest, work: Work, data: DeviceBody) -> Response[DeviceShape | None]:
    """Creates a device without a token, for virtual devices and for devices that are fed over HTTP.

    Its status is ACTIVE when it is virtual, else PENDING. Components and sensors come from its profile.
    """
    device = await registry.create_device(work, data.draft())
    return versioned(request, DeviceShape.of(device), device.version, location=f"/api/v1/devices/{device.id}")


@get("/stats", operation_id="device.stats", dependencies={"where": Provide(provide_filter, sync_to_thread=False)})
async def get_stats(
    work: Work, where: DeviceFilter, group_by: Annotated[GroupBy, QueryParameter(name="groupBy")] = GroupBy.STATUS
) -> DeviceStatsShape:
    """Counts by status, site, profile or firmware, most first; same filters as the list."""
    stats = await registry.get_device_stats(work, where.read(), group_by=group_by)
    return DeviceStatsShape(total=stats.total, groups=[CountShape(key=key, count=count) for key, count in stats.groups])


@get("/{id:str}", operation_id="device.get")
async def get_device(
    request: AnyRequest, work: Work, id: str, expand: ExpandParameter = None
) -> Response[DeviceShape | None]:
    """One device. With `expand` it is always answered in full: the ETag speaks of the device alone."""
    device = await registry.get_device(work, read_device_id(id))
    (shape,) = await spell_devices(work, [device], expand or [])
    if expand:
        return Response(shape, headers={"ETag": f'"{device.version}"'})
    return versioned(request, shape, device.version)


@put("/{id:str}", operation_id="device.replace")
async def replace_device(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: DeviceBody
) -> Response[DeviceShape | None]:
    """Replaces the writable fields."""
    device = await registry.replace_device(work, read_device_id(id), data.draft(), expected=expected)
    return versioned(request, DeviceShape.of(device), device.version)


@patch("/{id:str}", operation_id="device.patch")
async def change_device(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: DevicePatch
) -> Response[DeviceShape | None]:
    """Merge patch; tags and metadata merge per key, null removes a key."""
    device = await registry.change_device(work, read_device_id(id), data.change(), expected=expected)
    return versioned(request, DeviceShape.of(device), device.version)


@delete("/{id:str}", operation_id="device.delete")
async def delete_device(
    work: Work,
    id: str,
    expected: int | None,
    purge: Annotated[bool, QueryParameter(description="delete its readings too")] = False,
) -> None:
    """Deletes the device, revokes its certificates, cuts its sessions.

    Readings stay until retention unless purge=true.
    """
    await registry.delete_device(work, read_device_id(id), purge=purge, expected=expected)


@put("/{id:str}/status", operation_id="device.set-status")
async def set_status(request: AnyRequest, work: Work, id: str, data: StatusBody) -> Response[DeviceShape | None]:
    """Operator status change: ACTIVE, INACTIVE or MAINTENANCE; 409 from PENDING."""
    device_id, status = read_device_id(id), DeviceStatus(data.status)
    device = await registry.set_device_status(work, device_id, status, reason=data.reason)
    return versioned(request, DeviceShape.of(device), device.version)


@get("/{id:str}/components", operation_id="device.components")
async def list_device_components(work: Work, page: PageQuery, id: str) -> PageShape[ComponentShape]:
    """Components of the device."""
    device = await registry.get_device(work, read_device_id(id))
    found = await registry.list_components(work, device_ids=[device.id], page=page)
    return page_shape(found, page, ComponentShape.of)


@get("/{id:str}/sensors", operation_id="device.sensors")
async def list_device_sensors(
    work: Work, page: PageQuery, id: str, expand: SensorExpandParameter = None
) -> PageShape[SensorShape]:
    """Sensors of the device and of its components, with the latest value when expand=latest."""
    device = await registry.get_device(work, read_device_id(id))
    found = await registry.list_sensors(work, device_id=device.id, page=page)
    return page_shape(found, page, SensorShape.with_latest if expand else SensorShape.of)


@get("/{id:str}/devices", operation_id="site.devices")
async def list_site_devices(
    work: Work,
    page: PageQuery,
    id: str,
    include_subsites: Annotated[bool, QueryParameter(name="includeSubsites")] = True,
) -> PageShape[DeviceShape]:
    """Devices of a site."""
    site = await registry.get_site(work, read_site_id(id))
    where = equals("siteTree" if include_subsites else "siteId", site.id)
    return page_shape(await registry.list_devices(work, where, page=page), page, DeviceShape.of)


def read_device_id(text: str) -> DeviceId:
    """The id of a device in a path."""
    return DeviceId(read_id(text, "device"))


async def spell_devices(work: Work, devices: list[registry.Device], expand: list[Expand]) -> list[DeviceShape]:
    """Devices in our words, with what shall be shown with them."""
    shapes = [DeviceShape.of(device) for device in devices]
    ids = [device.id for device in devices]
    if Expand.SITE in expand:
        sites = await registry.load_sites(work, [device.site_id for device in devices if device.site_id])
        for shape, device in zip(shapes, devices, strict=True):
            shape.site = SiteShape.of(sites[device.site_id]) if device.site_id in sites else None
    if Expand.COMPONENTS in expand:
        components = await registry.load_components(work, ids)
        for shape, device_id in zip(shapes, ids, strict=True):
            shape.components = [ComponentShape.of(component) for component in components[device_id]]
    if Expand.HEALTH in expand:
        health = await telemetry.load_health(work, ids)
        for shape, device_id in zip(shapes, ids, strict=True):
            shape.health = HealthShape.of(health[device_id]) if device_id in health else None
    return shapes


router = Router(
    "/v1/devices",
    route_handlers=[
        list_devices,
        create_device,
        get_stats,
        get_device,
        replace_device,
        change_device,
        delete_device,
        set_status,
        list_device_components,
        list_device_sensors,
    ],
    tags=["devices"],
)

site_router = Router("/v1/sites", route_handlers=[list_site_devices], tags=["devices"])
