"""/v1/role and /v1/project/{projectId}/role: roles of a project (contract section 6)."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter

from roadstead.core import access
from roadstead.core.access import AccessRole, AccessRoleChange, AccessRoleDraft, KnownPermission, RoleQuery
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.authz import (
    AuthzListed,
    is_asked,
    is_number,
    is_own_project,
    numbers_of,
    part_of,
    values_of,
)
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.permissions import (
    PermissionPath,
    PermissionShape,
    find_permissions,
    known_permissions,
)
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import spell_instant
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

RolePath = Annotated[str, PathParameter(name="roleId")]

_PERMISSIONS = "/v1/role/{roleId:str}/permissions"
_IN_PROJECT = "/v1/project/{projectId:str}/role"
_ONE_IN_PROJECT = "/v1/project/{projectId:str}/role/{roleId:str}"


class RoleShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Role`."""

    id: int
    project_id: str
    name: str
    display_name: str | None = None
    category: str
    description: str | None = None
    metadata: dict[str, Any]
    permissions: list[PermissionShape] | None = None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, work: Work, role: AccessRole, known: Sequence[KnownPermission] | None = None) -> "RoleShape":
        """With its permissions when it is told which ones there are; the role with everything has all of them."""
        held = {str(one) for one in role.permissions}
        return cls(
            id=role.number,
            project_id=to_base62(work.actor.organization_id),
            name=role.name,
            display_name=role.display_name,
            category=role.category,
            description=role.description,
            metadata=role.metadata,
            permissions=None
            if known is None
            else [
                PermissionShape.of(work, one) for one in known if role.everything or f"{one.module}.{one.name}" in held
            ],
            created_at=spell_instant(role.created_at),
            updated_at=spell_instant(role.updated_at),
        )


class RoleBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of `role.create`, and what can be changed about a role."""

    name: str
    display_name: str | None = None
    category: str = "custom"
    description: str | None = None
    metadata: dict[str, Any] = {}

    @classmethod
    def of(cls, role: AccessRole) -> "RoleBody":
        """What would make it."""
        return cls(**{name: getattr(role, name) for name in cls.__struct_fields__})

    def draft(self) -> AccessRoleDraft:
        """In words of the core."""
        return AccessRoleDraft(**msgspec.structs.asdict(self))

    def change(self) -> AccessRoleChange:
        """In words of the core."""
        return AccessRoleChange(**msgspec.structs.asdict(self))


class RolesBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `role.delete-many`."""

    project_id: str
    id: int | str | list[int | str] | None = None
    name: str | list[str] | None = None
    category: str | None = None

    def query(self) -> RoleQuery:
        """Raises `Invalid` when it would be all roles of the project."""
        if self.id is None and self.name is None and self.category is None:
            raise Invalid("name the roles: id, name or category")
        return RoleQuery(
            numbers=None if self.id is None else numbers_of([str(one) for one in _list(self.id)]),
            names=None if self.name is None else _list(self.name),
            categories=None if self.category is None else [self.category],
        )


class PermissionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `role.add-permissions` and `role.remove-permissions`."""

    permissions: list[Any]
    set: bool = False


class RoleDeleted(msgspec.Struct, frozen=True, rename="camel"):
    """What deletion of a role answers."""

    role_id: str
    status: int = 200
    deleted: bool = True


class RolesDeleted(msgspec.Struct, frozen=True):
    """`Status`, with how many there were."""

    count: int
    status: int = 200


# --- /v1/role --------------------------------------------------------------------------------------------------------


@get("/v1/role", operation_id="role.list")
async def list_roles(request: AnyRequest, work: Work) -> AuthzListed[RoleShape]:
    """Those that have one of the values of each field that is asked for."""
    await check(work, "role.list")
    return await _list_roles(request, work, is_here=is_own_project(request, work))


@post("/v1/role", operation_id="role.create", status_code=200)
async def create_role(request: AnyRequest, work: Work) -> RoleShape:
    """Without permissions: these are added."""
    await check(work, "role.create")
    body = await read_body(request)
    check_project(work, read_as(body, _InProject).project_id)
    return RoleShape.of(work, await access.create_access_role(work, read_as(body, RoleBody).draft()), [])


@get("/v1/role/{roleId:str}", operation_id="role.get")
async def get_role(work: Work, role_id: RolePath) -> RoleShape:
    """With its permissions."""
    await check(work, "role.read")
    return await _shape(work, await access.get_access_role(work, read_role_id(role_id)))


@patch("/v1/role/{roleId:str}", operation_id="role.update")
async def update_role(request: AnyRequest, work: Work, role_id: RolePath) -> RoleShape:
    """What it is called, not what it permits."""
    await check(work, "role.update")
    return await _update(request, work, role_id)


@delete("/v1/role/{roleId:str}", operation_id="role.delete", status_code=200)
async def delete_role(work: Work, role_id: RolePath) -> RoleDeleted:
    """With its bindings."""
    await check(work, "role.delete")
    await access.delete_access_role(work, read_role_id(role_id))
    return RoleDeleted(role_id)


@delete("/v1/role", operation_id="role.delete-many", status_code=200)
async def delete_roles(request: AnyRequest, work: Work) -> RolesDeleted:
    """Those that match all that the body names."""
    await check(work, "role.delete")
    body = read_as(await read_body(request), RolesBody)
    check_project(work, body.project_id)
    found = await access.list_access_roles(work, body.query())
    for role in found:
        await access.delete_access_role(work, role.number)
    return RolesDeleted(len(found))


@post(_PERMISSIONS, operation_id="role.add-permissions", status_code=200)
async def add_permissions(request: AnyRequest, work: Work, role_id: RolePath) -> RoleShape:
    """In addition to those it has, or with `set` in their place."""
    await check(work, "role.update")
    body = read_as(await read_body(request), PermissionsBody)
    role = await access.get_access_role(work, read_role_id(role_id))
    known = await known_permissions(work)
    before = [] if body.set else role.permissions
    after = await access.set_role_permissions(work, role.number, [*before, *find_permissions(known, body.permissions)])
    return RoleShape.of(work, after, known)


@delete(_PERMISSIONS, operation_id="role.remove-permissions", status_code=200)
async def remove_permissions(request: AnyRequest, work: Work, role_id: RolePath) -> RoleShape:
    """Those that the body names; it is no mistake when it has not got one of them."""
    await check(work, "role.update")
    body = read_as(await read_body(request), PermissionsBody)
    return await _remove(work, role_id, body.permissions)


@delete("/v1/role/{roleId:str}/permissions/{permissionId:str}", operation_id="role.remove-permission", status_code=200)
async def remove_permission(work: Work, role_id: RolePath, permission_id: PermissionPath) -> RoleShape:
    """One of them."""
    await check(work, "role.update")
    role = await access.get_access_role(work, read_role_id(role_id))
    held = {str(one) for one in role.permissions}
    known = await known_permissions(work)
    if not any(str(one.number) == permission_id and f"{one.module}.{one.name}" in held for one in known):
        raise NotFound("permission", permission_id)
    return await _remove(work, role_id, [permission_id])


# --- /v1/project/{projectId}/role ------------------------------------------------------------------------------------


@get(_IN_PROJECT, operation_id="project-role.list")
async def list_project_roles(request: AnyRequest, work: Work, project_id: ProjectPath) -> AuthzListed[RoleShape]:
    """The older form of `role.list`."""
    check_project(work, project_id)
    await check(work, "role.list")
    return await _list_roles(request, work, is_here=True)


@post(_IN_PROJECT, operation_id="project-role.create", status_code=200)
async def create_project_role(request: AnyRequest, work: Work, project_id: ProjectPath) -> RoleShape:
    """The older form of `role.create`."""
    check_project(work, project_id)
    await check(work, "role.create")
    body = read_as(await read_body(request), RoleBody)
    return RoleShape.of(work, await access.create_access_role(work, body.draft()), [])


@get(_ONE_IN_PROJECT, operation_id="project-role.get")
async def get_project_role(work: Work, project_id: ProjectPath, role_id: RolePath) -> RoleShape:
    """The older form of `role.get`."""
    check_project(work, project_id)
    await check(work, "role.read")
    return await _shape(work, await access.get_access_role(work, read_role_id(role_id)))


async def _update_project_role(
    request: AnyRequest, work: Work, project_id: ProjectPath, role_id: RolePath
) -> RoleShape:
    """The older form of `role.update`."""
    check_project(work, project_id)
    await check(work, "role.update")
    return await _update(request, work, role_id)


# The contract says POST; PATCH is accepted too.
update_project_role = post(_ONE_IN_PROJECT, operation_id="project-role.update", status_code=200)(_update_project_role)
patch_project_role = patch(_ONE_IN_PROJECT)(_update_project_role)


@delete(_ONE_IN_PROJECT, operation_id="project-role.delete", status_code=200)
async def delete_project_role(work: Work, project_id: ProjectPath, role_id: RolePath) -> RoleDeleted:
    """The older form of `role.delete`."""
    check_project(work, project_id)
    await check(work, "role.delete")
    await access.delete_access_role(work, read_role_id(role_id))
    return RoleDeleted(role_id)


def read_role_id(text: str) -> int:
    """The number of a role. Raises `NotFound`: what is no number names no role."""
    if not is_number(text) or int(text) > _MOST_NUMBER:
        raise NotFound("role", text)
    return int(text)


_MOST_NUMBER = 2_147_483_647


class _InProject(msgspec.Struct, frozen=True, rename="camel"):
    """Which project a body is about."""

    project_id: str


async def _list_roles(request: AnyRequest, work: Work, *, is_here: bool) -> AuthzListed[RoleShape]:
    query = RoleQuery(
        numbers=numbers_of(values_of(request, "id")),
        names=values_of(request, "name"),
        categories=values_of(request, "category"),
        display_names=values_of(request, "displayName"),
        modules=values_of(request, "module"),
    )
    found = await access.list_access_roles(work, query) if is_here else []
    known = await known_permissions(work) if is_asked(request, "includePermissions") else None
    return part_of(request, found, lambda role: RoleShape.of(work, role, known))


async def _update(request: AnyRequest, work: Work, role_id: str) -> RoleShape:
    role = await access.get_access_role(work, read_role_id(role_id))
    body = patched(RoleBody.of(role), await read_body(request))
    return await _shape(work, await access.change_access_role(work, role.number, body.change()))


async def _remove(work: Work, role_id: str, refs: list[Any]) -> RoleShape:
    role = await access.get_access_role(work, read_role_id(role_id))
    known = await known_permissions(work)
    gone = set(find_permissions(known, refs))
    left = [one for one in role.permissions if one not in gone]
    return RoleShape.of(work, await access.set_role_permissions(work, role.number, left), known)


async def _shape(work: Work, role: AccessRole) -> RoleShape:
    return RoleShape.of(work, role, await known_permissions(work))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


handlers = [
    list_roles,
    create_role,
    get_role,
    update_role,
    delete_role,
    delete_roles,
    add_permissions,
    remove_permissions,
    remove_permission,
    list_project_roles,
    create_project_role,
    get_project_role,
    update_project_role,
    patch_project_role,
    delete_project_role,
]
