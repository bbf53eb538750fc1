"""/device-groups: devices that meet a selector."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import registry
from roadstead.core.registry import TagSelector
from roadstead.core.work import Work
from roadstead.dialects.native.devices import DeviceShape
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.ids import GroupId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Description = Annotated[str, Meta(max_length=1000)]


class DeviceGroupShape(Shape, kw_only=True):
    """Contract schema `DeviceGroup`."""

    id: str
    name: str
    description: str | None = None
    selector: TagSelector
    device_count: int
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, group: registry.DeviceGroup, device_count: int) -> "DeviceGroupShape":
        return cls(
            id=str(group.id),
            name=group.name,
            description=group.description,
            selector=group.selector,
            device_count=device_count,
            created_at=group.created_at,
            updated_at=group.updated_at,
            version=group.version,
        )


class DeviceGroupBody(Body, kw_only=True):
    """Contract schema `DeviceGroupInput`."""

    name: Name
    description: Description | None = None
    selector: TagSelector

    def draft(self) -> registry.DeviceGroupDraft:
        """In words of the core."""
        return registry.DeviceGroupDraft(name=self.name, description=self.description, selector=self.selector)


class DeviceGroupPatch(Body, kw_only=True):
    """Contract schema `DeviceGroupInput`, all optional; a merge patch."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    selector: dict[str, Any] | UnsetType = UNSET


class PreviewBody(Body, kw_only=True):
    """Body of `device-group.preview`."""

    selector: TagSelector
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class PreviewShape(Shape, kw_only=True):
    """Answer of `device-group.preview`."""

    count: int
    items: list[DeviceShape]


@get("/", operation_id="device-group.list")
async def list_groups(
    work: Work,
    page: PageQuery,
    sort: Annotated[str | None, QueryParameter(description="name (default), createdAt; -field descends")] = None,
    q: Annotated[str | None, QueryParameter(description="part of the name", max_length=200)] = None,
) -> PageShape[DeviceGroupShape]:
    """Lists tag-based groups of the organization."""
    found = await registry.list_groups(work, text=q, sort=sort, page=page)
    counts = iter(await registry.count_members(work, found.items))
    return page_shape(found, page, lambda group: DeviceGroupShape.of(group, next(counts)))


@post("/", operation_id="device-group.create", status_code=201)
@idempotent
async def create_group(request: AnyRequest, work: Work, data: DeviceGroupBody) -> Response[DeviceGroupShape | None]:
    """Creates one."""
    group = await registry.create_group(work, data.draft())
    location = f"/api/v1/device-groups/{group.id}"
    return versioned(request, await _spell(work, group), group.version, location=location)


@post("/preview", operation_id="device-group.preview", status_code=200)
async def preview_group(work: Work, data: PreviewBody) -> PreviewShape:
    """Which devices a selector would take, without storing it."""
    found = await registry.preview_members(work, data.selector, limit=data.limit)
    return PreviewShape(count=found.total or 0, items=[DeviceShape.of(device) for device in found.items])


@get("/{id:str}", operation_id="device-group.get")
async def get_group(request: AnyRequest, work: Work, id: str) -> Response[DeviceGroupShape | None]:
    """One of them, with ETag; If-None-Match gives 304."""
    group = await registry.get_group(work, _read(id))
    return versioned(request, await _spell(work, group), group.version)


@put("/{id:str}", operation_id="device-group.replace")
async def replace_group(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: DeviceGroupBody
) -> Response[DeviceGroupShape | None]:
    """Replaces all writable fields; a field left out goes back to its default."""
    group = await registry.replace_group(work, _read(id), data.draft(), expected=expected)
    return versioned(request, await _spell(work, group), group.version)


@patch("/{id:str}", operation_id="device-group.patch")
async def change_group(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: DeviceGroupPatch
) -> Response[DeviceGroupShape | None]:
    """JSON merge patch of the writable fields."""
    change = registry.DeviceGroupChange(name=data.name, description=data.description, selector=data.selector)
    group = await registry.change_group(work, _read(id), change, expected=expected)
    return versioned(request, await _spell(work, group), group.version)


@delete("/{id:str}", operation_id="device-group.delete")
async def delete_group(work: Work, id: str, expected: int | None) -> None:
    """Deletes it; its devices stay."""
    await registry.delete_group(work, _read(id), expected=expected)


@get("/{id:str}/devices", operation_id="device-group.devices")
async def list_group_devices(work: Work, page: PageQuery, id: str) -> PageShape[DeviceShape]:
    """Present members."""
    return page_shape(await registry.list_members(work, _read(id), page), page, DeviceShape.of)


async def _spell(work: Work, group: registry.DeviceGroup) -> DeviceGroupShape:
    (count,) = await registry.count_members(work, [group])
    return DeviceGroupShape.of(group, count)


def _read(text: str) -> GroupId:
    return GroupId(read_id(text, "device group"))


router = Router(
    "/v1/device-groups",
    route_handlers=[
        list_groups,
        create_group,
        preview_group,
        get_group,
        replace_group,
        change_group,
        delete_group,
        list_group_devices,
    ],
    tags=["devices"],
)
