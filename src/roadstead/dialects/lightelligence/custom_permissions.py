"""/v1/application-developer/applications/{applicationId}/custom-permissions: what an application brings along."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import applications
from roadstead.core.applications import CustomPermission, CustomPermissionChange, CustomPermissionDraft
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    StrictPageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

ApplicationPath = Annotated[UUID, PathParameter(name="applicationId")]
PermissionPath = Annotated[UUID, PathParameter(name="permissionId")]

_READ = {"service": Service.IDENTITY, "permissions": [Permission.APPLICATIONS_DEVELOPMENT_READ]}
_WRITE = {"service": Service.IDENTITY, "permissions": [Permission.APPLICATIONS_DEVELOPMENT_WRITE]}


class CustomPermissionBody(msgspec.Struct):
    """Body of `createCustomPermission`."""

    alias: str
    category: str
    name: str
    description: str = ""


class CustomPermissionPatch(msgspec.Struct):
    """Body of `updateCustomPermission`."""

    category: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class CustomPermissionShape(msgspec.Struct, rename="camel", kw_only=True):
    """Shape `CustomPermissionResponse`."""

    id: UUID
    alias: str
    category: str
    name: str
    description: str
    application_id: UUID
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, permission: CustomPermission) -> "CustomPermissionShape":
        return cls(
            id=permission.id,
            alias=permission.alias,
            category=permission.category,
            name=permission.name,
            description=permission.description,
            application_id=permission.application_id,
            created_at=permission.created_at,
            updated_at=permission.updated_at,
        )


class ChangedPermissionShape(msgspec.Struct, rename="camel"):
    """Shape `CustomPermissionPatchResponse`: what was sent, as it is now."""

    id: UUID
    updated_at: datetime
    category: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


@post("/", operation_id="createCustomPermission", opt=_WRITE)
async def create_custom_permission(
    work: Work, request: AnyRequest, application_id: ApplicationPath
) -> Data[CustomPermissionShape]:
    """Adds one."""
    body = read_as(await read_json(request), CustomPermissionBody)
    draft = CustomPermissionDraft(
        alias=body.alias, category=body.category, name=body.name, description=body.description
    )
    return Data(CustomPermissionShape.of(await applications.create_custom_permission(work, application_id, draft)))


@get("/", operation_id="listCustomPermissions", opt=_READ)
async def list_custom_permissions(
    work: Work, application_id: ApplicationPath, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[CustomPermissionShape]:
    """Those of an application, newest first."""
    found = await applications.list_custom_permissions(work, application_id, page_query(page, page_size))
    return paged(found, page, page_size, CustomPermissionShape.of)


@get("/{permissionId:str}", operation_id="getCustomPermission", opt=_READ)
async def get_custom_permission(
    work: Work, application_id: ApplicationPath, permission_id: PermissionPath
) -> Data[CustomPermissionShape]:
    """One of them."""
    return Data(CustomPermissionShape.of(await applications.get_custom_permission(work, application_id, permission_id)))


@patch("/{permissionId:str}", operation_id="updateCustomPermission", opt=_WRITE)
async def update_custom_permission(
    work: Work, request: AnyRequest, application_id: ApplicationPath, permission_id: PermissionPath
) -> Data[ChangedPermissionShape]:
    """Changes category and description; alias and name are for life."""
    body = read_as(await read_json(request), CustomPermissionPatch)
    change = CustomPermissionChange(category=body.category, description=body.description)
    permission = await applications.change_custom_permission(work, application_id, permission_id, change)
    return Data(ChangedPermissionShape(permission.id, permission.updated_at, body.category, body.description))


@delete("/{permissionId:str}", operation_id="deleteCustomPermission", opt=_WRITE)
async def delete_custom_permission(work: Work, application_id: ApplicationPath, permission_id: PermissionPath) -> None:
    """It is gone from all roles."""
    await applications.delete_custom_permission(work, application_id, permission_id)


router = Router(
    "/v1/application-developer/applications/{applicationId:str}/custom-permissions",
    route_handlers=[
        create_custom_permission,
        list_custom_permissions,
        get_custom_permission,
        update_custom_permission,
        delete_custom_permission,
    ],
)
