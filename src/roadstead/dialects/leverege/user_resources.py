"""What users have a role on: systems, devices; and which users have one on the devices of a system."""

from uuid import UUID

import msgspec
from litestar import get

from roadstead.core import access, registry
from roadstead.core.access import Binding, BindingQuery, ResourceType, RoleQuery
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import allowed_systems, check, visible_devices
from roadstead.dialects.leverege.devices import DeviceShape
from roadstead.dialects.leverege.interface import list_devices
from roadstead.dialects.leverege.lists import Listed, ListQuery, pick
from roadstead.dialects.leverege.systems import SystemPath, SystemShape, find_system
from roadstead.dialects.leverege.user_roles import UserPath, read_id
from roadstead.kernel.filter import And, In, equals
from roadstead.kernel.ids import DeviceId, to_base62
from roadstead.web.edge import AnyRequest


class UserDeviceShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`UserDevice`; permissions as `{role: [names]}`."""

    user_id: str
    device_id: str
    permissions: dict[str, list[str]]


@get("/v1/user/{userId:str}/system", operation_id="user.systems")
async def list_user_systems(request: AnyRequest, work: Work, user_id: UserPath) -> Listed[SystemShape]:
    """Those that the caller may read as well, the default one first."""
    bound = {one.resource_id for one in await _bindings_of(work, user_id, ResourceType.SYSTEM)}
    allowed = allowed_systems(work)
    spaces = await registry.list_spaces(work) if bound else []
    found = [space for space in spaces if space.id in bound and (allowed is None or space.id in allowed)]
    public = await access.list_public_roles(work)
    return pick(found, ListQuery.of(request), lambda each: SystemShape.of(work, each, public.get(each.id)))


@get("/v1/user/{userId:str}/device", operation_id="user.devices")
async def list_user_devices(request: AnyRequest, work: Work, user_id: UserPath) -> Listed[DeviceShape]:
    """Those that the caller may read as well, newest first."""
    bound = {one.resource_id for one in await _bindings_of(work, user_id, ResourceType.DEVICE)}
    visible = await visible_devices(work)
    where = In(("id",), tuple(bound))
    return await list_devices(request, work, where if visible is None else And((where, visible)))


@get("/v1/system/{systemId:str}/userDevice", operation_id="system.user-devices")
async def list_system_user_devices(request: AnyRequest, work: Work, name: SystemPath) -> Listed[UserDeviceShape]:
    """Who has which roles on which of its devices."""
    space = await find_system(work, name, "user.read")
    bindings = await access.list_bindings(work, BindingQuery(resource_type=ResourceType.DEVICE))
    device_ids = [DeviceId(one.resource_id) for one in bindings]
    here = await registry.pick_devices(work, equals("spaceId", space.id), device_ids)
    names = {role.number: role.name for role in await access.list_access_roles(work, RoleQuery())}
    roles: dict[tuple[UUID, UUID], list[str]] = {}
    for one in bindings:
        if one.resource_id in here:
            roles.setdefault((one.person_id, one.resource_id), []).append(names[one.role_number])
    shapes = [
        UserDeviceShape(user_id=to_base62(person_id), device_id=to_base62(device_id), permissions={"role": held})
        for (person_id, device_id), held in roles.items()
    ]
    return pick(shapes, ListQuery.of(request), lambda shape: shape)


async def _bindings_of(work: Work, user_id: str, type_: ResourceType) -> list[Binding]:
    """What somebody has, for a caller who may read users or is it."""
    person_id = read_id("user", user_id)
    if person_id != work.actor.id:
        await check(work, "user.read")
        await access.work_as(work, person_id)
    return await access.list_bindings(work, BindingQuery(person_ids=[person_id], resource_type=type_))


handlers = [list_user_systems, list_user_devices, list_system_user_devices]
