"""/v1/userRole: who has which role on what: the project, a system or a device (contract section 6)."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.params import PathParameter

from roadstead.core import access
from roadstead.core.access import AccessRole, Binding, BindingQuery, KnownPermission, ResourceType, RoleQuery
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check, check_at
from roadstead.dialects.leverege.authz import AuthzListed, is_number, is_own_project, numbers_of, part_of, values_of
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.permissions import known_permissions
from roadstead.dialects.leverege.project_of import ProjectPath, check_project
from roadstead.dialects.leverege.roles import RoleShape, read_role_id
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.kernel.time import spell_instant
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

UserPath = Annotated[str, PathParameter(name="userId")]

_ACCOUNT = "/v1/project/{projectId:str}/account/{userId:str}"
_BULK = "bulkDelete"


class RoleRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A role by its id, or by its name."""

    id: int | str | None = None
    name: str | None = None
    category: str | None = None
    project_id: str | None = None


class UserRoleShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`UserRole`."""

    project_id: str
    user_id: str
    role_id: int
    resource_id: str
    resource_type: str
    created_at: str
    role: RoleShape | None = None

    @classmethod
    def of(cls, work: Work, binding: Binding, role: RoleShape | None = None) -> "UserRoleShape":
        return cls(
            project_id=to_base62(work.actor.organization_id),
            user_id=to_base62(binding.person_id),
            role_id=binding.role_number,
            resource_id=to_base62(binding.resource_id),
            resource_type=binding.resource_type,
            created_at=spell_instant(binding.created_at),
            role=role,
        )


class UserRoleBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `user-role.create`."""

    project_id: str
    user_id: str
    role: int | float | str | RoleRef
    resource_id: str
    resource_type: ResourceType | None = None


class UserRolesBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of `user-role.delete`; the answer says it again."""

    project_id: str | None = None
    user_id: str | None = None
    role_id: int | str | None = None
    role: RoleRef | None = None
    resource_id: str | None = None
    resource_type: ResourceType | None = None
    confirm: str | None = None

    def check(self) -> None:
        """Raises `Invalid` when it is not one binding that is meant and the word for that is missing."""
        named = (self.user_id, self.resource_id, self.role_id if self.role is None else self.role)
        if None in named and self.confirm != _BULK:
            raise Invalid.field("confirm", f"is '{_BULK}' unless userId, roleId and resourceId are all given")


class UserRolesDeleted(UserRolesBody, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Status`, with the fields that were given and with how many there were."""

    status: int
    count: int


@post("/v1/userRole", operation_id="user-role.create", status_code=200)
async def create_user_role(request: AnyRequest, work: Work) -> UserRoleShape:
    """It is no mistake to do so twice."""
    body = read_as(await read_body(request), UserRoleBody)
    check_project(work, body.project_id)
    resource = await access.find_resource(work, read_id("resource", body.resource_id))
    if body.resource_type not in (None, resource.type):
        raise NotFound(str(body.resource_type), body.resource_id)
    await check_at(work, "user.assignRoles", resource)
    role = await _find_role(work, body.role)
    return UserRoleShape.of(
        work, await access.create_binding(work, read_id("user", body.user_id), role.number, resource)
    )


@get("/v1/userRole", operation_id="user-role.list")
async def list_user_roles(request: AnyRequest, work: Work) -> AuthzListed[Any]:
    """By any of the fields, oldest first; one's own, those on something where one may read users, or all."""
    query = _query(request)
    await _check_may_list(work, query)
    bindings = await access.list_bindings(work, query) if is_own_project(request, work) else []
    match request.query_params.get("format"):
        case None | "":
            return part_of(request, bindings, lambda one: UserRoleShape.of(work, one))
        case "userIds":
            people = list(dict.fromkeys(to_base62(one.person_id) for one in bindings))
            return part_of(request, people, lambda one: one)
        case "includeRoles":
            return part_of(request, await _with_roles(work, bindings), lambda one: one)
    raise Invalid.field("format", "is userIds or includeRoles", place="query")


@delete("/v1/userRole", operation_id="user-role.delete", status_code=200)
async def delete_user_roles(request: AnyRequest, work: Work) -> UserRolesDeleted:
    """Those that match all that the body names."""
    body = read_as(await read_body(request), UserRolesBody)
    if body.project_id is not None:
        check_project(work, body.project_id)
    body.check()
    resource_ids = None if body.resource_id is None else [read_id("resource", body.resource_id)]
    if resource_ids is None:
        await check(work, "user.assignRoles")
    else:
        await check_at(work, "user.assignRoles", await access.find_resource(work, resource_ids[0]))
    wanted = body.role if body.role is not None else body.role_id
    query = BindingQuery(
        person_ids=None if body.user_id is None else [read_id("user", body.user_id)],
        role_numbers=None if wanted is None else [(await _find_role(work, wanted)).number],
        resource_ids=resource_ids,
        resource_type=body.resource_type,
    )
    count = await access.delete_bindings(work, query)
    return UserRolesDeleted(status=200, count=count, **msgspec.structs.asdict(body))


@get([f"{_ACCOUNT}/role", f"{_ACCOUNT}/roles"], operation_id="account.roles")
async def list_account_roles(
    request: AnyRequest, work: Work, project_id: ProjectPath, user_id: UserPath
) -> Listed[UserRoleShape]:
    """What an account has, with the roles; one's own always."""
    check_project(work, project_id)
    person_id = read_id("user", user_id)
    if person_id != work.actor.id:
        await check(work, "user.read")
        await access.work_as(work, person_id)
    query = msgspec.structs.replace(_query(request), person_ids=[person_id])
    found = await _with_roles(work, await access.list_bindings(work, query))
    return pick(found, ListQuery.of(request), lambda one: one)


def read_id(noun: str, text: str) -> UUID:
    """Raises `NotFound`: what is no id names nothing."""
    id_ = parse_base62(text)
    if id_ is None:
        raise NotFound(noun, text)
    return id_


def _query(request: AnyRequest) -> BindingQuery:
    type_ = request.query_params.get("resourceType")
    if type_ and type_ not in list(ResourceType):
        raise Invalid.field("resourceType", f"is one of {', '.join(ResourceType)}", place="query")
    return BindingQuery(
        person_ids=_ids(request, "userId"),
        role_numbers=numbers_of(values_of(request, "roleId")),
        resource_ids=_ids(request, "resourceId"),
        resource_type=ResourceType(type_) if type_ else None,
    )


def _ids(request: AnyRequest, name: str) -> list[UUID] | None:
    values = values_of(request, name)
    if values is None:
        return None
    return [id_ for id_ in (parse_base62(value) for value in values) if id_ is not None]


async def _check_may_list(work: Work, query: BindingQuery) -> None:
    if query.person_ids == [work.actor.id]:
        return
    if not query.resource_ids:
        await check(work, "user.read")
    for resource_id in query.resource_ids or ():
        await check_at(work, "user.read", await access.find_resource(work, resource_id))


async def _find_role(work: Work, ref: int | float | str | RoleRef) -> AccessRole:
    """By number or by name. Raises `NotFound`, and `Conflict` when there are two of the name."""
    told = ref if isinstance(ref, RoleRef) else RoleRef(id=int(ref) if isinstance(ref, float) else ref)
    if told.project_id is not None:
        check_project(work, told.project_id)
    text = str(told.id) if told.id is not None else ""
    if text and is_number(text):
        return await access.get_access_role(work, read_role_id(text))
    name = told.name if told.name is not None else text
    categories = None if told.category is None else [told.category]
    found = await access.list_access_roles(work, RoleQuery(names=[name], categories=categories))
    if not found:
        raise NotFound("role", name)
    if len(found) > 1:
        raise Conflict(f"there are {len(found)} roles '{name}'; name one by its id", code="ambiguous")
    return found[0]


async def _with_roles(work: Work, bindings: Sequence[Binding]) -> list[UserRoleShape]:
    if not bindings:
        return []
    numbers = {binding.role_number for binding in bindings}
    known: Sequence[KnownPermission] = await known_permissions(work)
    roles = {role.number: role for role in await access.list_access_roles(work, RoleQuery(numbers=numbers))}
    shapes = {number: RoleShape.of(work, role, known) for number, role in roles.items()}
    return [UserRoleShape.of(work, binding, shapes.get(binding.role_number)) for binding in bindings]


handlers = [create_user_role, list_user_roles, delete_user_roles, list_account_roles]
