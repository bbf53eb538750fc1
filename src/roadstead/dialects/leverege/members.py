"""Who has roles on a project, a system or a device; who is expected; members of a project (contract section 6)."""

from collections.abc import Sequence
from typing import Annotated, Any, Self
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import access, identity, registry
from roadstead.core.access import ADMIN, AccessRole, Binding, BindingQuery, Resource, ResourceType, RoleQuery
from roadstead.core.identity import MemberAccount
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import read_device_id
from roadstead.dialects.leverege.lists import Listed, ListQuery, listed
from roadstead.dialects.leverege.patches import patched
from roadstead.dialects.leverege.paths import Form, Place
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.reach import reach, reach_device
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.dialects.leverege.users import ProjectPath, UserBody, UserPath, read_user_id
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

SystemPath = Annotated[str, PathParameter(name="systemId")]
DevicePath = Annotated[str, PathParameter(name="deviceId")]


# --- shapes ----------------------------------------------------------------------------------------------------------


class PermissionsShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`permissions` of `ResourceUser`."""

    admin: bool = False
    role: list[str] = []

    @property
    def names(self) -> list[str]:
        """The roles that somebody is to have."""
        return [*([ADMIN] if self.admin else []), *self.role]

    @classmethod
    def of(cls, roles: Sequence[AccessRole]) -> Self:
        return cls(
            admin=any(role.everything for role in roles),
            role=[role.name for role in roles if not role.everything],
        )


class ResourceUserShape(msgspec.Struct, frozen=True, kw_only=True):
    """`ResourceUser`."""

    id: str
    username: str
    name: str
    email: str | UnsetType
    permissions: PermissionsShape
    metadata: dict[str, Any]

    @classmethod
    def of(cls, account: MemberAccount, roles: Sequence[AccessRole], metadata: dict[str, Any]) -> Self:
        return cls(
            id=to_base62(account.person_id),
            username=account.username,
            name=account.name,
            email=account.email or UNSET,
            permissions=PermissionsShape.of(roles),
            metadata=metadata,
        )


class ResourceUserBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `project.user-create` and its like: a user to be made, or the id of one who is there."""

    id: str | None = None
    user: UserBody | None = None
    permissions: PermissionsShape = PermissionsShape()
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` for both or neither, and for options: what they were is not known."""
        if (self.id is None) == (self.user is None):
            raise Invalid.field("user", "or id is required, and only one of them")
        if self.options:
            raise Invalid.field("options", "are not offered")
        if not self.permissions.names:
            raise Invalid.field("permissions", "must name a role, or say admin")


class ResourceUserFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch is about."""

    permissions: PermissionsShape
    metadata: dict[str, Any] = {}


class MemberBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `member.add`."""

    id: str
    permissions: PermissionsShape = PermissionsShape()


# --- what all three have in common -----------------------------------------------------------------------------------


async def find_project(work: Work, project_id: str, permission: str) -> Resource:
    """The project, for a caller who has this permission in it."""
    check_project(work, project_id)
    await check(work, permission)
    return access.project_of(work)


async def find_system(work: Work, name: str, permission: str) -> Resource:
    """A system by id or alias, for a caller who has this permission there."""
    space = await registry.load_space_called(work, name)
    await check(work, permission, system_id=space.id)
    return Resource(ResourceType.SYSTEM, space.id)


async def find_device(work: Work, device_id: str, permission: str) -> Resource:
    """A device, for a caller who has this permission there."""
    device = await registry.load_device(work, read_device_id(device_id))
    await check(work, permission, system_id=device.space_id, device_id=device.id)
    return Resource(ResourceType.DEVICE, device.id)


async def list_users_of(request: AnyRequest, work: Work, resource: Resource) -> Listed[ResourceUserShape]:
    """Who has roles on it itself."""
    query = ListQuery.of(request)
    bindings = await access.list_bindings(work, BindingQuery(resource_ids=[resource.id]))
    found, total = await identity.list_accounts(
        work,
        among=list({binding.person_id for binding in bindings}),
        text=query.search,
        limit=query.per_page,
        offset=query.start_index,
    )
    return listed(await _spell(work, resource, found, bindings), total, query)


async def create_user_of(request: AnyRequest, work: Work, resource: Resource) -> ResourceUserShape:
    """Somebody gets roles on it; a new account, or one that is there."""
    body = read_as(await read_body(request), ResourceUserBody)
    body.check()
    roles = await access.find_roles(work, body.permissions.names)
    if body.user is not None:
        await check(work, "user.create")
        account = await identity.create_account(work, body.user.draft())
    else:
        account = await identity.get_account(work, read_user_id(body.id or ""))
    for role in roles:
        await access.create_binding(work, account.person_id, role.number, resource)
    if body.metadata:
        await identity.note(work, resource.id, account.person_id, body.metadata)
    return await get_user_of(work, resource, to_base62(account.person_id))


async def get_user_of(work: Work, resource: Resource, user_id: str) -> ResourceUserShape:
    """One of those who have roles on it. Raises `NotFound` for anybody else."""
    person_id = read_user_id(user_id)
    bindings = await _bindings_of(work, resource, person_id)
    account = await identity.get_account(work, person_id)
    [shape] = await _spell(work, resource, [account], bindings)
    return shape


async def update_user_of(request: AnyRequest, work: Work, resource: Resource, user_id: str) -> ResourceUserShape:
    """Other roles, or other metadata."""
    before = await get_user_of(work, resource, user_id)
    person_id = read_user_id(user_id)
    fields = ResourceUserFields(permissions=before.permissions, metadata=before.metadata)
    after = patched(fields, await read_body(request))
    if not after.permissions.names:
        raise Invalid.field("permissions", "must name a role, or say admin: delete takes all away")
    wanted = {role.number for role in await access.find_roles(work, after.permissions.names)}
    held = {binding.role_number for binding in await _bindings_of(work, resource, person_id)}
    for number in sorted(wanted - held):
        await access.create_binding(work, person_id, number, resource)
    if held - wanted:
        await access.delete_bindings(work, _query(resource, person_id, sorted(held - wanted)))
    if after.metadata != before.metadata:
        await identity.note(work, resource.id, person_id, after.metadata)
    return await get_user_of(work, resource, user_id)


async def remove_user_of(work: Work, resource: Resource, user_id: str) -> Deleted:
    """Their roles on it are taken away; the user stays."""
    person_id = read_user_id(user_id)
    await _bindings_of(work, resource, person_id)
    await access.delete_bindings(work, _query(resource, person_id, None))
    await identity.forget_notes(work, resource.id, person_id)
    return Deleted.of(person_id)


async def _bindings_of(work: Work, resource: Resource, person_id: UUID) -> list[Binding]:
    bindings = await access.list_bindings(work, _query(resource, person_id, None))
    if not bindings:
        raise NotFound("user", to_base62(person_id))
    return bindings


def _query(resource: Resource, person_id: UUID, numbers: Sequence[int] | None) -> BindingQuery:
    return BindingQuery(person_ids=[person_id], role_numbers=numbers, resource_ids=[resource.id])


async def _spell(
    work: Work, resource: Resource, accounts: Sequence[MemberAccount], bindings: Sequence[Binding]
) -> list[ResourceUserShape]:
    numbers = {binding.role_number for binding in bindings}
    roles = {role.number: role for role in await access.list_access_roles(work, RoleQuery(numbers=numbers))}
    notes = await identity.load_notes(work, resource.id, [account.person_id for account in accounts])
    return [
        ResourceUserShape.of(
            account,
            [roles[each.role_number] for each in bindings if each.person_id == account.person_id],
            notes.get(account.person_id, {}),
        )
        for account in accounts
    ]


# --- routes ----------------------------------------------------------------------------------------------------------
_PROJECT = ["/v1/project/{projectId:str}/user", "/v1/project/{projectId:str}/users"]
_SYSTEM = ["/v1/system/{systemId:str}/user", "/v1/system/{systemId:str}/users"]
_DEVICE = ["/v1/device/{deviceId:str}/user", "/v1/device/{deviceId:str}/users"]
_LIST, _GIVE = "user.list", "user.assignRoles"


@get(_PROJECT, operation_id="project.user-list")
async def list_project_users(request: AnyRequest, office: Work, project_id: ProjectPath) -> Listed[ResourceUserShape]:
    """Users who have a role on the project itself."""
    return await list_users_of(request, office, await find_project(office, project_id, _LIST))


@post(_PROJECT, operation_id="project.user-create", status_code=200)
async def create_project_user(request: AnyRequest, office: Work, project_id: ProjectPath) -> ResourceUserShape:
    """Gives roles on the project, to a new user or to one who is there."""
    return await create_user_of(request, office, await find_project(office, project_id, _GIVE))


@get("/v1/project/{projectId:str}/user/{userId:str}", operation_id="project.user-get")
async def get_project_user(office: Work, project_id: ProjectPath, user_id: UserPath) -> ResourceUserShape:
    """One of them."""
    return await get_user_of(office, await find_project(office, project_id, _LIST), user_id)


@patch("/v1/project/{projectId:str}/user/{userId:str}", operation_id="project.user-update")
async def update_project_user(
    request: AnyRequest, office: Work, project_id: ProjectPath, user_id: UserPath
) -> ResourceUserShape:
    """Other roles or metadata on the project."""
    return await update_user_of(request, office, await find_project(office, project_id, _GIVE), user_id)


@delete("/v1/project/{projectId:str}/user/{userId:str}", operation_id="project.user-remove", status_code=200)
async def remove_project_user(office: Work, project_id: ProjectPath, user_id: UserPath) -> Deleted:
    """Takes the roles on the project away."""
    return await remove_user_of(office, await find_project(office, project_id, _GIVE), user_id)


@get(_SYSTEM, operation_id="system.user-list")
async def list_system_users(request: AnyRequest, office: Work, system_id: SystemPath) -> Listed[ResourceUserShape]:
    """Users who have a role on the system itself."""
    return await list_users_of(request, office, await find_system(office, system_id, _LIST))


@post(_SYSTEM, operation_id="system.user-create", status_code=200)
async def create_system_user(request: AnyRequest, office: Work, system_id: SystemPath) -> ResourceUserShape:
    """Gives roles on the system, to a new user or to one who is there."""
    return await create_user_of(request, office, await find_system(office, system_id, _GIVE))


@get("/v1/system/{systemId:str}/user/{userId:str}", operation_id="system.user-get")
async def get_system_user(office: Work, system_id: SystemPath, user_id: UserPath) -> ResourceUserShape:
    """One of them."""
    return await get_user_of(office, await find_system(office, system_id, _LIST), user_id)


@patch("/v1/system/{systemId:str}/user/{userId:str}", operation_id="system.user-update")
async def update_system_user(
    request: AnyRequest, office: Work, system_id: SystemPath, user_id: UserPath
) -> ResourceUserShape:
    """Other roles or metadata on the system."""
    return await update_user_of(request, office, await find_system(office, system_id, _GIVE), user_id)


@delete("/v1/system/{systemId:str}/user/{userId:str}", operation_id="system.user-remove", status_code=200)
async def remove_system_user(office: Work, system_id: SystemPath, user_id: UserPath) -> Deleted:
    """Takes the roles on the system away."""
    return await remove_user_of(office, await find_system(office, system_id, _GIVE), user_id)


@get(_DEVICE, operation_id="device.user-list")
async def list_device_users(request: AnyRequest, office: Work, device_id: DevicePath) -> Listed[ResourceUserShape]:
    """Users who have a role on the device itself."""
    return await list_users_of(request, office, await find_device(office, device_id, _LIST))


@post(_DEVICE, operation_id="device.user-create", status_code=200)
async def create_device_user(request: AnyRequest, office: Work, device_id: DevicePath) -> ResourceUserShape:
    """Gives roles on the device, to a new user or to one who is there."""
    return await create_user_of(request, office, await find_device(office, device_id, _GIVE))


@get("/v1/device/{deviceId:str}/user/{userId:str}", operation_id="device.user-get")
async def get_device_user(office: Work, device_id: DevicePath, user_id: UserPath) -> ResourceUserShape:
    """One of them."""
    return await get_user_of(office, await find_device(office, device_id, _LIST), user_id)


@patch("/v1/device/{deviceId:str}/user/{userId:str}", operation_id="device.user-update")
async def update_device_user(
    request: AnyRequest, office: Work, device_id: DevicePath, user_id: UserPath
) -> ResourceUserShape:
    """Other roles or metadata on the device."""
    return await update_user_of(request, office, await find_device(office, device_id, _GIVE), user_id)


@delete("/v1/device/{deviceId:str}/user/{userId:str}", operation_id="device.user-remove", status_code=200)
async def remove_device_user(office: Work, device_id: DevicePath, user_id: UserPath) -> Deleted:
    """Takes the roles on the device away."""
    return await remove_user_of(office, await find_device(office, device_id, _GIVE), user_id)


@get(Form.USERS.value, operation_id="interface.obj-users")
async def list_object_users(request: AnyRequest, work: Work, place: Place) -> Listed[ResourceUserShape]:
    """Users who have a role on the device at the end of an interface path."""
    device = await reach_device(work, await reach(work, place), place.object or "", _LIST)
    return await list_users_of(request, work, Resource(ResourceType.DEVICE, device.id))


# --- members ---------------------------------------------------------------------------------------------------------


@get("/v1/project/{projectId:str}/member", operation_id="member.list")
async def list_members(request: AnyRequest, office: Work, project_id: ProjectPath) -> Listed[ResourceUserShape]:
    """People with an account of their own who work on the project; owners and administrators may do all in it."""
    resource = await find_project(office, project_id, _LIST)
    query = ListQuery.of(request)
    found, total = await identity.list_accounts(
        office, managed=False, text=query.search, limit=query.per_page, offset=query.start_index
    )
    people = [account.person_id for account in found]
    bindings = await access.list_bindings(office, BindingQuery(person_ids=people, resource_ids=[resource.id]))
    return listed(await _spell(office, resource, found, bindings), total, query)


@post("/v1/project/{projectId:str}/member", operation_id="member.add", status_code=200)
async def add_member(request: AnyRequest, office: Work, project_id: ProjectPath) -> ResourceUserShape:
    """Somebody whom the caller knows from another project."""
    resource = await find_project(office, project_id, _GIVE)
    body = read_as(await read_body(request), MemberBody)
    roles = await access.find_roles(office, body.permissions.names)
    account = await identity.add_known_person(office, read_user_id(body.id))
    bindings = [await access.create_binding(office, account.person_id, role.number, resource) for role in roles]
    [shape] = await _spell(office, resource, [account], bindings)
    return shape


@delete("/v1/project/{projectId:str}/member/{userId:str}", operation_id="member.remove", status_code=200)
async def remove_member(office: Work, project_id: ProjectPath, user_id: UserPath) -> Deleted:
    """Out of the project, at once."""
    await find_project(office, project_id, "user.delete")
    account = await identity.get_account(office, read_user_id(user_id))
    if account.managed:
        raise NotFound("member", user_id)
    await access.check_may_manage(office, account.person_id)
    await identity.delete_account(office, account.person_id)
    return Deleted.of(account.person_id)


handlers = [
    list_project_users,
    create_project_user,
    get_project_user,
    update_project_user,
    remove_project_user,
    list_system_users,
    create_system_user,
    get_system_user,
    update_system_user,
    remove_system_user,
    list_device_users,
    create_device_user,
    get_device_user,
    update_device_user,
    remove_device_user,
    list_object_users,
    list_members,
    add_member,
    remove_member,
]
