"""/v1/roles and /v1/permissions: what members may do; and which roles each of them has (contract section 4)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from roadstead.core import applications, identity
from roadstead.core.applications import CustomPermission
from roadstead.core.identity import ID_OF_PERMISSION, PERMISSION_OF_ID, Permission, RoleChange, RoleDraft
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
from roadstead.kernel.errors import Forbidden, Invalid, NotFound
from roadstead.kernel.page import Page
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

RolePath = Annotated[UUID, PathParameter(name="roleId")]
TenantPath = Annotated[UUID, PathParameter(name="tenantId")]
UserPath = Annotated[UUID, PathParameter(name="userId")]
HeldBy = Annotated[UUID | None, QueryParameter(name="userId")]

_READ = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_USER_MANAGEMENT_READ]}
_WRITE = {"service": Service.IDENTITY, "permissions": [Permission.TENANT_USER_MANAGEMENT_WRITE]}
_ANYBODY = {"service": Service.IDENTITY}


class Reference(msgspec.Struct):
    """Something that is named by its id."""

    id: UUID


class PermissionReference(msgspec.Struct):
    """A permission, by its id or (of old) by its alias."""

    id: UUID | UnsetType = UNSET
    alias: str | UnsetType = UNSET


class RoleBody(msgspec.Struct, rename="camel"):
    """Body of `createRole`."""

    name: str
    description: str = ""
    permissions: list[PermissionReference] = []
    custom_permissions: list[Reference] = []


class RolePatch(msgspec.Struct, rename="camel"):
    """Body of `updateRole`."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    permissions: list[PermissionReference] | UnsetType = UNSET
    custom_permissions: list[Reference] | UnsetType = UNSET


class BasicPermissionShape(msgspec.Struct):
    """`BasicPermissionResponse`: a permission that somebody has, the platform's or an application's."""

    id: UUID
    alias: str

    @classmethod
    def of(cls, permission: Permission) -> "BasicPermissionShape":
        return cls(ID_OF_PERMISSION[permission], permission)


class PermissionShape(msgspec.Struct):
    """`PermissionResponse`: one of the platform's, as it is offered to roles."""

    id: UUID
    alias: str
    name: str
    category: str
    description: str

    @classmethod
    def of(cls, permission: Permission) -> "PermissionShape":
        area, verb = permission.replace("_", " ").split(":")
        return cls(
            id=ID_OF_PERMISSION[permission],
            alias=permission,
            name=f"{verb.capitalize()} {area}",
            category=area.capitalize(),
            description=f"May {verb} {area}.",
        )


class PermissionsShape(msgspec.Struct, rename="camel"):
    """What somebody, or a role, may do."""

    permissions: list[BasicPermissionShape]
    custom_permissions: list[BasicPermissionShape]

    @classmethod
    def of(cls, permissions: frozenset[Permission], custom: Sequence[CustomPermission]) -> "PermissionsShape":
        return cls(
            permissions=[BasicPermissionShape.of(one) for one in Permission if one in permissions],
            custom_permissions=[BasicPermissionShape(one.id, one.alias) for one in custom],
        )


class CatalogueShape(msgspec.Struct):
    """The list sits one level deeper than elsewhere (contract, quirk 8)."""

    permissions: list[PermissionShape]


class CustomPermissionShape(msgspec.Struct, rename="camel"):
    """`BasicCustomPermission`: a permission of an application in a role."""

    id: UUID
    alias: str
    application_id: UUID


class RoleNameShape(msgspec.Struct, rename="camel"):
    """`TenantRoleWithoutTimestamps`: a role beside somebody who has it."""

    id: UUID
    name: str
    description: str
    locked: bool
    display_name: str

    @classmethod
    def of(cls, role: identity.RoleName) -> "RoleNameShape":
        return cls(role.id, role.name, role.description, role.standard is not None, display_name(role.name))


class RoleShape(msgspec.Struct, rename="camel"):
    """`RoleDetailsResponse`."""

    id: UUID
    name: str
    description: str
    locked: bool
    users_count: int
    permission_ids: list[UUID]
    custom_permissions: list[CustomPermissionShape]
    created_at: datetime
    updated_at: datetime
    display_name: str

    @classmethod
    def of(cls, role: identity.TenantRole, custom: Mapping[UUID, CustomPermission]) -> "RoleShape":
        return cls(
            id=role.id,
            name=role.name,
            description=role.description,
            locked=role.standard is not None,
            users_count=role.members,
            permission_ids=[ID_OF_PERMISSION[one] for one in Permission if one in role.all_permissions],
            custom_permissions=[
                CustomPermissionShape(one, custom[one].alias, custom[one].application_id)
                for one in role.custom_permissions
                if one in custom
            ],
            created_at=role.created_at,
            updated_at=role.updated_at,
            display_name=display_name(role.name),
        )


class RolePatchShape(msgspec.Struct, rename="camel"):
    """`RolePatchResponse`: what was sent, as it is now."""

    id: UUID
    updated_at: datetime
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    permission_ids: list[UUID] | UnsetType = UNSET
    custom_permissions: list[CustomPermissionShape] | UnsetType = UNSET


class HolderShape(msgspec.Struct, rename="camel"):
    """`UserInRoleResponse`."""

    id: UUID
    email: str
    first_name: str
    last_name: str
    role_ids: list[UUID]

    @classmethod
    def of(cls, member: identity.RoledMember) -> "HolderShape":
        return cls(
            id=member.person_id,
            email=member.email,
            first_name=member.first_name,
            last_name=member.last_name,
            role_ids=[role.id for role in member.roles],
        )


def display_name(name: str) -> str:
    """`owner` as `Owner`."""
    return name[:1].upper() + name[1:]


def check_tenant(work: Work, tenant_id: UUID) -> None:
    """Raises `NotFound` for another tenant than that of the token: foreign and unknown ones look alike."""
    if tenant_id != work.actor.organization_id:
        raise NotFound("tenant", tenant_id)


@get("/v1/permissions", operation_id="listPermissions", opt=_ANYBODY)
async def list_permissions() -> Data[CatalogueShape]:
    """What roles can hold."""
    return Data(CatalogueShape([PermissionShape.of(one) for one in Permission]))


@get("/v1/roles", operation_id="listRoles", opt=_READ)
async def list_roles(
    work: Work, held_by: HeldBy = None, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[RoleShape]:
    """Roles, newest first; with `userId` those of one member."""
    found = await identity.list_roles(work, held_by=held_by, query=page_query(page, page_size))
    return await spell_roles(work, found, page, page_size)


@post("/v1/roles", operation_id="createRole", opt=_WRITE)
async def create_role(work: Work, request: AnyRequest) -> Data[RoleShape]:
    """Adds a role of the tenant's own."""
    body = read_as(await read_json(request), RoleBody)
    draft = RoleDraft(
        name=body.name,
        description=body.description,
        permissions=_read_permissions(body.permissions),
        custom_permissions=await _read_custom(work, body.custom_permissions),
    )
    return await _spell(work, await identity.create_role(work, draft))


@get("/v1/roles/{roleId:str}", operation_id="getRole", opt=_READ)
async def get_role(work: Work, role_id: RolePath) -> Data[RoleShape]:
    """One role."""
    return await _spell(work, await identity.get_role(work, role_id))


@patch("/v1/roles/{roleId:str}", operation_id="updateRole", opt=_WRITE)
async def change_role(work: Work, request: AnyRequest, role_id: RolePath) -> Data[RolePatchShape]:
    """Changes what is sent; lists are replaced as a whole. Answers what was sent."""
    body = read_as(await read_json(request), RolePatch)
    change = RoleChange(
        name=body.name,
        description=body.description,
        permissions=UNSET if body.permissions is UNSET else _read_permissions(body.permissions),
        custom_permissions=(
            UNSET if body.custom_permissions is UNSET else await _read_custom(work, body.custom_permissions)
        ),
    )
    role = (await _spell(work, await identity.change_role(work, role_id, change))).data
    return Data(
        RolePatchShape(
            id=role.id,
            updated_at=role.updated_at,
            name=UNSET if body.name is UNSET else role.name,
            description=UNSET if body.description is UNSET else role.description,
            permission_ids=UNSET if body.permissions is UNSET else role.permission_ids,
            custom_permissions=UNSET if body.custom_permissions is UNSET else role.custom_permissions,
        )
    )


@delete("/v1/roles/{roleId:str}", operation_id="deleteRole", opt=_WRITE)
async def delete_role(work: Work, role_id: RolePath) -> None:
    """Deletes a role of the tenant's own; 403 for one that is not there."""
    try:
        await identity.delete_role(work, role_id)
    except NotFound as error:
        raise Forbidden("there is no such role to be deleted") from error


@get("/v1/roles/{roleId:str}/permissions", operation_id="legacyRolePermissions", opt=_READ)
async def get_role_permissions(work: Work, role_id: RolePath) -> Data[PermissionsShape]:
    """What a role may do."""
    role = await identity.get_role(work, role_id)
    custom = await applications.load_custom_permissions(work, role.custom_permissions)
    return Data(PermissionsShape.of(role.all_permissions, custom))


@get("/v1/roles/{roleId:str}/users", operation_id="listRoleUsers", opt=_READ)
async def list_holders(
    work: Work, role_id: RolePath, page: PageNumber = 0, page_size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[HolderShape]:
    """Members who have the role, the latest first."""
    found = await identity.list_role_holders(work, role_id, page_query(page, page_size))
    return paged(found, page, page_size, HolderShape.of)


async def _spell(work: Work, role: identity.TenantRole) -> Data[RoleShape]:
    custom = await applications.load_custom_permissions(work, role.custom_permissions)
    return Data(RoleShape.of(role, {one.id: one for one in custom}))


async def spell_roles(work: Work, found: Page[identity.TenantRole], page: int, page_size: int) -> Paged[RoleShape]:
    """A page of roles with the permissions of applications in them."""
    held = {one for role in found.items for one in role.custom_permissions}
    custom = {one.id: one for one in await applications.load_custom_permissions(work, list(held))}
    return paged(found, page, page_size, lambda role: RoleShape.of(role, custom))


def _read_permissions(references: Sequence[PermissionReference]) -> list[Permission]:
    read = []
    for reference in references:
        by_id = None if reference.id is UNSET else PERMISSION_OF_ID.get(reference.id)
        by_alias = None if reference.alias is UNSET else _ALIASES.get(reference.alias)
        if (reference.id is not UNSET and by_id is None) or (reference.alias is not UNSET and by_alias is None):
            raise Invalid("permissions: there is no such permission")
        if by_id is not None and by_alias is not None and by_id is not by_alias:
            raise Invalid("permissions: id and alias name different permissions")
        one = by_id or by_alias
        if one is None:
            raise Invalid("permissions: each needs an id or an alias")
        read.append(one)
    return read


async def _read_custom(work: Work, references: Sequence[Reference]) -> list[UUID]:
    wanted = [reference.id for reference in references]
    known = {one.id for one in await applications.load_custom_permissions(work, wanted)}
    for one in wanted:
        if one not in known:
            raise Invalid(f"customPermissions: {one} comes with no application that is installed here")
    return wanted


def read_roles(body: Any) -> list[UUID]:
    """The ids of roles: a list, the same within `roles`, or a single one; programs send all three."""
    if isinstance(body, dict):
        body = body.get("roles", [body])
    return [reference.id for reference in read_as(body, list[Reference])]


_ALIASES = {str(one): one for one in Permission}

router = Router(
    "/",
    route_handlers=[
        list_permissions,
        list_roles,
        create_role,
        get_role,
        change_role,
        delete_role,
        get_role_permissions,
        list_holders,
    ],
)
