"""/v1/project/{projectId}/permission: what roles can be made of (contract section 6).

The program's own (category `imagine`) and those that follow from blueprints and relations (`project`) are always there
and cannot be changed; those of the project's own making (`custom`) mean something to its programs only.
"""

from collections.abc import Collection, Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import access, types
from roadstead.core.access import KnownPermission, PermissionChange, PermissionDraft, PermissionName
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.authz import AuthzListed, is_number, part_of, values_of
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.kernel.errors import Forbidden, Invalid, NotFound
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import spell_instant
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

PermissionPath = Annotated[str, PathParameter(name="permissionId")]

_CUSTOM = "custom"
_ALL = "/v1/project/{projectId:str}/permission"
_ONE = "/v1/project/{projectId:str}/permission/{permissionId:str}"


class PermissionShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Permission`."""

    id: int
    project_id: str
    module: str
    name: str
    category: str
    display_name: str | None = None
    description: str | None = None
    created_at: str | None = None
    updated_at: str | None = None

    @classmethod
    def of(cls, work: Work, permission: KnownPermission) -> "PermissionShape":
        return cls(
            id=permission.number,
            project_id=to_base62(work.actor.organization_id),
            module=permission.module,
            name=permission.name,
            category=permission.category,
            display_name=permission.display_name,
            description=permission.description,
            created_at=spell_instant(permission.created_at) if permission.created_at else None,
            updated_at=spell_instant(permission.updated_at) if permission.updated_at else None,
        )


class PermissionBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `project-permission.create`."""

    module: str
    name: str
    category: str = _CUSTOM
    display_name: str | None = None
    description: str | None = None


class PermissionPatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `project-permission.update`."""

    module: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    category: str = _CUSTOM
    display_name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class PermissionDeleted(msgspec.Struct, frozen=True, rename="camel"):
    """What `project-permission.delete` answers."""

    permission_id: str
    status: int = 200
    deleted: bool = True


class PermissionRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`PermissionRef`: a permission by its id, or by its module and name."""

    id: int | str | None = None
    module: str = ""
    name: str = ""


@get(_ALL, operation_id="project-permission.list")
async def list_permissions(request: AnyRequest, work: Work, project_id: ProjectPath) -> AuthzListed[PermissionShape]:
    """The program's first, then those of blueprints, then those of the project's own making."""
    check_project(work, project_id)
    await check(work, "role.read")
    asked = {field: values_of(request, field) for field in ("name", "category", "module")}
    found = [
        one
        for one in await known_permissions(work)
        if all(values is None or getattr(one, field) in values for field, values in asked.items())
    ]
    return part_of(request, found, lambda one: PermissionShape.of(work, one))


@post(_ALL, operation_id="project-permission.create", status_code=200)
async def create_permission(request: AnyRequest, work: Work, project_id: ProjectPath) -> PermissionShape:
    """One of the project's own making."""
    check_project(work, project_id)
    await check(work, "role.create")
    body = read_as(await read_body(request), PermissionBody)
    _check_category(body.category)
    draft = PermissionDraft(
        module=body.module, name=body.name, display_name=body.display_name, description=body.description
    )
    made = await access.create_custom_permission(work, draft)
    return PermissionShape.of(work, made.known)


@get(_ONE, operation_id="project-permission.get")
async def get_permission(work: Work, project_id: ProjectPath, permission_id: PermissionPath) -> PermissionShape:
    """One of any category."""
    check_project(work, project_id)
    await check(work, "role.read")
    return PermissionShape.of(work, await _load(work, permission_id))


async def _update_permission(
    request: AnyRequest, work: Work, project_id: ProjectPath, permission_id: PermissionPath
) -> PermissionShape:
    """One of the project's own making; roles that have it go on having it."""
    check_project(work, project_id)
    await check(work, "role.update")
    number = await _own(work, permission_id)
    body = read_as(await read_body(request), PermissionPatch)
    _check_category(body.category)
    change = PermissionChange(
        module=body.module, name=body.name, display_name=body.display_name, description=body.description
    )
    after = await access.change_custom_permission(work, number, change)
    return PermissionShape.of(work, after.known)


# The contract says POST; PATCH is accepted too.
update_permission = post(_ONE, operation_id="project-permission.update", status_code=200)(_update_permission)
patch_permission = patch(_ONE)(_update_permission)


@delete(_ONE, operation_id="project-permission.delete", status_code=200)
async def delete_permission(work: Work, project_id: ProjectPath, permission_id: PermissionPath) -> PermissionDeleted:
    """One of the project's own making; it is taken from all roles."""
    check_project(work, project_id)
    await check(work, "role.delete")
    await access.delete_custom_permission(work, await _own(work, permission_id))
    return PermissionDeleted(permission_id)


# --- for roles -------------------------------------------------------------------------------------------------------


async def known_permissions(work: Work) -> list[KnownPermission]:
    """All that roles can be given. Those of blueprints are made from what blueprints there are at this moment."""
    known = access.program_permissions()
    blueprints = await types.list_blueprints(work)
    names = {blueprint.id: blueprint.name for blueprint in blueprints}
    attributes = await types.attributes_of(work, list(names))
    for blueprint in blueprints:
        relations = {
            attribute.path: names.get(attribute.target_id, attribute.path)
            for attribute in attributes[blueprint.id]
            if attribute.is_relation and attribute.target_id is not None
        }
        known += access.blueprint_permissions(blueprint.id, blueprint.name, relations)
    return known + [one.known for one in await access.list_custom_permissions(work)]


def find_permissions(known: Sequence[KnownPermission], refs: Any) -> list[PermissionName]:
    """What a body names: by id, as `module.name`, or as an object. Raises `Invalid` for what there is not."""
    if not isinstance(refs, list):
        raise Invalid.field("permissions", "is a list")
    return [_find(known, ref, f"permissions/{index}") for index, ref in enumerate(refs)]


def _find(known: Collection[KnownPermission], ref: Any, pointer: str) -> PermissionName:
    if isinstance(ref, dict):
        told = read_as(ref, PermissionRef)
        wanted = str(told.id) if told.id is not None else f"{told.module}.{told.name}"
    elif isinstance(ref, int | str) and not isinstance(ref, bool):
        wanted = str(ref)
    else:
        raise Invalid.field(pointer, "is an id, or names a module and a name")
    for one in known:
        if wanted in (str(one.number), f"{one.module}.{one.name}"):
            return PermissionName(one.module, one.name)
    raise Invalid.field(pointer, f"there is no permission '{wanted}'")


async def _load(work: Work, text: str) -> KnownPermission:
    found = [one for one in await known_permissions(work) if str(one.number) == text]
    if not found:
        raise NotFound("permission", text)
    return found[0]


async def _own(work: Work, text: str) -> int:
    """The number of one of the project's own making. Raises `Forbidden` for another, `NotFound` when there is none."""
    if not is_number(text):
        raise NotFound("permission", text)
    permission = await _load(work, text)
    if permission.category != _CUSTOM:
        raise Forbidden(f"the permission {permission.module}.{permission.name} stays as it is")
    return permission.number


def _check_category(category: str) -> None:
    if category != _CUSTOM:
        raise Invalid.field("category", f"permissions that projects make are of the category '{_CUSTOM}'")


handlers = [list_permissions, create_permission, get_permission, update_permission, patch_permission, delete_permission]
