"""/v1/interface/.../{objId}/{rel}[/{childId}]: the children of a device by a relation (contract section 2.2)."""

from typing import Any

import msgspec
from litestar import delete, get, patch, post

from roadstead.core import registry, types
from roadstead.core.registry import Device
from roadstead.core.types import RelationKind
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape, HeaderBody, read_device_id, shape_device
from roadstead.dialects.leverege.interface import DeleteBody, get_named, get_reached, list_reached, update_reached
from roadstead.dialects.leverege.lists import Listed
from roadstead.dialects.leverege.paths import Form, Place
from roadstead.dialects.leverege.reach import Reach, reach, reach_device
from roadstead.dialects.leverege.saving import change_header, save
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId, to_base62
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, BeginWork

# --- shapes ----------------------------------------------------------------------------------------------------------


class LinkBody(msgspec.Struct, frozen=True):
    """What of `DeviceInputOrLink` says that a device is there already."""

    id: str | None = None
    force: bool = False


class Unlinked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`Unlinked`, and `DeviceDeleted` where the device went as well."""

    id: str
    parent_id: str
    system_id: str
    status: int = 200
    device_removed: bool


# --- routes ----------------------------------------------------------------------------------------------------------


@get(Form.GROUP.value, operation_id="interface.group-list", opt={"token": "optional"})
async def list_group(request: AnyRequest, work: Work, place: Place) -> DeviceShape | Listed[DeviceShape]:
    """The children, newest first; by a one-to-one relation of one parent the child itself."""
    found = await reach(work, place)
    if not _is_one_to_one(found) or found.parent_id is None:
        return await list_reached(request, work, found)
    return await shape_device(work, await _only_child(work, found, "device.read"))


@post(Form.GROUP.value, operation_id="interface.group-create", status_code=200)
async def create_in_group(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    """Makes a child, or with `id` makes one of a device that is there."""
    body = await read_body(request)
    link = read_as(body, LinkBody)

    async def settle(work: Work) -> Device:
        found = await reach(work, place)
        if link.id is not None:
            return await change_header(work, await _link(work, found, read_device_id(link.id), force=link.force), body)
        return await _create_child(work, found, body)

    return await save(request, begin, body, settle)


@delete(Form.GROUP.value, operation_id="interface.one-unlink", status_code=200)
async def unlink_only_child(request: AnyRequest, work: Work, place: Place) -> Unlinked:
    """Ends a one-to-one relation."""
    found = await reach(work, place)
    if not _is_one_to_one(found):
        raise Invalid(f"'{place.way[-1][1]}' is a group: name the child")
    return await _unlink(request, work, found, await _only_child(work, found, "device.read"))


@get(Form.MEMBER.value, operation_id="interface.group-get", opt={"token": "optional"})
async def get_member(request: AnyRequest, work: Work, place: Place) -> DeviceShape | Listed[DeviceShape]:
    """One child; `*`: all."""
    return await get_reached(request, work, place)


@patch(Form.MEMBER.value, operation_id="interface.group-update", status_code=200)
async def update_member(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    """Merges header and data of a child."""
    return await update_reached(request, begin, place)


@delete(Form.MEMBER.value, operation_id="interface.group-remove", status_code=200)
async def remove_member(request: AnyRequest, work: Work, place: Place) -> Unlinked:
    """Ends the relation; with `deleteDevice` the child goes as well."""
    found = await reach(work, place)
    return await _unlink(request, work, found, await reach_device(work, found, place.object or ""))


@get(Form.GROUP_BY_NETWORK_ALIAS.value, operation_id="interface.group-by-network-alias", opt={"token": "optional"})
async def get_member_by_network_alias(request: AnyRequest, work: Work, place: Place) -> DeviceShape:
    """The child with this name in a network."""
    return await get_named(request, work, await reach(work, place))


def _is_one_to_one(found: Reach) -> bool:
    return found.relation is not None and found.relation.relationship is RelationKind.ONE_TO_ONE


async def _only_child(work: Work, found: Reach, permission: str) -> Device:
    relation, parent_id = found.owner()
    children = await registry.find_children(work, relation, [parent_id])
    if not children:
        raise NotFound("device", relation.path)
    return await reach_device(work, found, to_base62(children[0]), permission)


async def _create_child(work: Work, found: Reach, body: Any) -> Device:
    relation, parent_id = found.owner()
    await check(work, "device.create", system_id=found.space.id, blueprint_id=found.blueprint_id)
    await check(work, "device.createRelationship", device_id=parent_id)
    blueprint = await types.load_blueprint(work, to_base62(found.blueprint_id))
    draft = read_as(body, HeaderBody).draft(found.space.id, found.blueprint_id, name=blueprint.name)
    return await registry.create_child(work, relation, parent_id, draft)


async def _link(work: Work, found: Reach, child_id: DeviceId, *, force: bool) -> Device:
    relation, parent_id = found.owner()
    await check(work, "device.createRelationship", device_id=parent_id)
    await check(work, "device.createRelationship", device_id=child_id)
    await registry.link_child(work, relation, parent_id, child_id, force=force)
    return await registry.get_device(work, child_id)


async def _unlink(request: AnyRequest, work: Work, found: Reach, child: Device) -> Unlinked:
    body = read_as(await read_body(request), DeleteBody)
    body.check()
    relation, parent_id = found.owner()
    await check(work, "device.deleteRelationship", device_id=parent_id)
    await registry.unlink_child(work, relation, parent_id, child.id)
    if body.delete_device is not None:
        await check(work, "device.delete", system_id=child.space_id, device_id=child.id)
        await registry.delete_device(work, child.id, purge=True, expected=None)
    return Unlinked(
        id=to_base62(child.id),
        parent_id=to_base62(parent_id),
        system_id=to_base62(child.space_id),
        device_removed=body.delete_device is not None,
    )


handlers = [
    list_group,
    create_in_group,
    unlink_only_child,
    get_member,
    update_member,
    remove_member,
    get_member_by_network_alias,
]
