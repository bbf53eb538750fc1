"""/device-profiles: versioned device types."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import Provide
from msgspec import Meta

from roadstead.core import types
from roadstead.core.types import (
    CommandTemplate,
    ComponentTemplate,
    DeviceProfile,
    DeviceProfileDraft,
    ProfileField,
    ProfileQuery,
)
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.sensor_profiles import (
    Description,
    Name,
    ProfileKey,
    ProfileVersion,
    SortParameter,
    provide_query,
    read_version,
    revision_of,
)
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.ids import ProfileId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest


class DeviceProfileShape(Shape, kw_only=True):
    """Contract schema `DeviceProfile`."""

    id: str
    key: str
    profile_version: str
    name: str
    description: str | None = None
    components: list[ComponentTemplate]
    writable_fields: list[ProfileField] | None = None
    config_schema: dict[str, Any] | None = None
    commands: list[CommandTemplate] | None = None
    pack_id: str | None = None
    deprecated: bool
    created_at: datetime

    @classmethod
    def of(cls, profile: DeviceProfile) -> "DeviceProfileShape":
        return cls(
            id=str(profile.id),
            key=profile.key,
            profile_version=str(profile.version),
            name=profile.name,
            description=profile.description,
            components=profile.components,
            writable_fields=profile.writable_fields or None,
            config_schema=profile.config_schema,
            commands=profile.commands or None,
            pack_id=profile.pack_id,
            deprecated=profile.deprecated,
            created_at=profile.created_at,
        )


class DeviceProfileBody(Body, kw_only=True):
    """Contract schema `DeviceProfileInput`."""

    key: ProfileKey
    profile_version: ProfileVersion
    name: Name
    description: Description | None = None
    components: Annotated[list[ComponentTemplate], Meta(max_length=100)]
    writable_fields: Annotated[list[ProfileField], Meta(max_length=200)] = msgspec.field(default_factory=list)
    config_schema: dict[str, Any] | None = None
    commands: Annotated[list[CommandTemplate], Meta(max_length=100)] = msgspec.field(default_factory=list)


@get("/", operation_id="device-profile.list")
async def list_profiles(
    work: Work, page: PageQuery, wanted: ProfileQuery, sort: SortParameter = None
) -> PageShape[DeviceProfileShape]:
    """Lists profiles, or looks up one version with key and version. Newest version per key unless allVersions."""
    found = await types.list_device_profiles(work, wanted, sort=sort, page=page)
    return page_shape(found, page, DeviceProfileShape.of)


@post("/", operation_id="device-profile.create", status_code=201)
@idempotent
async def create_profile(
    request: AnyRequest, work: Work, data: DeviceProfileBody
) -> Response[DeviceProfileShape | None]:
    """Adds a version. Versions are immutable: an additive change must raise minor, a breaking one major.

    A component whose sensorProfile names no version is bound to the newest.
    """
    draft = DeviceProfileDraft(
        key=data.key,
        version=read_version(data.profile_version, "/profileVersion"),
        name=data.name,
        description=data.description,
        components=data.components,
        writable_fields=data.writable_fields,
        config_schema=data.config_schema,
        commands=data.commands,
    )
    profile = await types.create_device_profile(work, draft)
    location = f"/api/v1/device-profiles/{profile.id}"
    return versioned(request, DeviceProfileShape.of(profile), revision_of(profile), location=location)


@get("/{id:str}", operation_id="device-profile.get")
async def get_profile(request: AnyRequest, work: Work, id: str) -> Response[DeviceProfileShape | None]:
    """One version."""
    profile = await types.get_device_profile(work, _read(id))
    return versioned(request, DeviceProfileShape.of(profile), revision_of(profile))


@get("/{key:str}/versions", operation_id="device-profile.versions")
async def list_versions(work: Work, key: str) -> PageShape[DeviceProfileShape]:
    """All versions of a key, newest first."""
    versions = await types.list_device_profile_versions(work, key)
    return PageShape(items=[DeviceProfileShape.of(profile) for profile in versions])


@post("/{id:str}/deprecate", operation_id="device-profile.deprecate", status_code=200)
async def deprecate_profile(request: AnyRequest, work: Work, id: str) -> Response[DeviceProfileShape | None]:
    """Hides a version from pickers; it stays usable."""
    profile = await types.deprecate_device_profile(work, _read(id))
    return versioned(request, DeviceProfileShape.of(profile), revision_of(profile))


@delete("/{id:str}", operation_id="device-profile.delete")
async def delete_profile(work: Work, id: str) -> None:
    """Deletes an unused version that no pack owns."""
    await types.delete_device_profile(work, _read(id))


def _read(text: str) -> ProfileId:
    return ProfileId(read_id(text, "device profile"))


router = Router(
    "/v1/device-profiles",
    route_handlers=[list_profiles, create_profile, get_profile, list_versions, deprecate_profile, delete_profile],
    dependencies={"wanted": Provide(provide_query, sync_to_thread=False)},
    tags=["profiles"],
)
