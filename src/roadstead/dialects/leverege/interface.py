"""/v1/interface/{systemId}/{blueprint}[/{objId}]: the devices of a blueprint in a system (contract section 2.2)."""

import msgspec
from litestar import delete, get, patch, post

from roadstead.core import registry, types
from roadstead.core.registry import Device
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape, HeaderBody, shape_device, shape_devices
from roadstead.dialects.leverege.lists import Listed, ListQuery, SortBody, listed
from roadstead.dialects.leverege.paths import ANY, Form, Place
from roadstead.dialects.leverege.reach import Reach, reach, reach_device
from roadstead.dialects.leverege.saving import change_header, save
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import And, Compare, Filter, Operator, Or, contains, equals
from roadstead.kernel.ids import parse_base62, to_base62
from roadstead.kernel.page import PageQuery
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, BeginWork

_SORT = {"created": "createdAt", "lastModified": "updatedAt", "name": "called"}


# --- shapes ----------------------------------------------------------------------------------------------------------


class DeviceDeleted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DeviceDeleted`."""

    id: str
    system_id: str
    status: int = 200
    device_removed: bool = True

    @classmethod
    def of(cls, device: Device) -> "DeviceDeleted":
        return cls(id=to_base62(device.id), system_id=to_base62(device.space_id))


class DeleteBody(msgspec.Struct, frozen=True, rename="camel"):
    """`DeleteBody`."""

    delete_device: str | None = None

    def check(self) -> None:
        """Raises `Invalid` for another word than the one there is."""
        if self.delete_device not in (None, "force"):
            raise Invalid.field("deleteDevice", "is force, or left out")


# --- routes ----------------------------------------------------------------------------------------------------------


@get(Form.LIST.value, operation_id="interface.list", opt={"token": "optional"})
async def list_objects(request: AnyRequest, work: Work, place: Place) -> Listed[DeviceShape]:
    """Newest first."""
    return await list_reached(request, work, await reach(work, place))


@post(Form.LIST.value, operation_id="interface.create", status_code=200)
async def create_object(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    """Makes a device of the blueprint."""
    return await _create(request, begin, place)


@post(Form.CREATE.value, operation_id="interface.create-suffix", status_code=200)
async def create_object_at_suffix(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    """The same."""
    return await _create(request, begin, place)


@get(Form.OBJECT.value, operation_id="interface.get", opt={"token": "optional"})
async def get_object(request: AnyRequest, work: Work, place: Place) -> DeviceShape | Listed[DeviceShape]:
    """One device with what it has by one-to-one relations; `*`: all."""
    return await get_reached(request, work, place)


@patch(Form.OBJECT.value, operation_id="interface.update", status_code=200)
async def update_object(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    """Merges header and data."""
    return await update_reached(request, begin, place)


@delete(Form.OBJECT.value, operation_id="interface.delete", status_code=200)
async def delete_object(request: AnyRequest, work: Work, place: Place) -> DeviceDeleted:
    """With its data and every relation it is in."""
    read_as(await read_body(request), DeleteBody).check()
    device = await reach_device(work, await reach(work, place), place.object or "", "device.delete")
    await registry.delete_device(work, device.id, purge=True, expected=None)
    return DeviceDeleted.of(device)


@get(Form.BY_NETWORK_ALIAS.value, operation_id="interface.by-network-alias", opt={"token": "optional"})
async def get_by_network_alias(request: AnyRequest, work: Work, place: Place) -> DeviceShape:
    """The device of the blueprint with this name in a network."""
    return await get_named(request, work, await reach(work, place))


# --- what groups do as well ------------------------------------------------------------------------------------------


async def list_reached(request: AnyRequest, work: Work, found: Reach) -> Listed[DeviceShape]:
    """A part of the devices at the end of a path."""
    return await list_devices(request, work, await found.within(work, "device.list"))


async def list_devices(request: AnyRequest, work: Work, where: Filter) -> Listed[DeviceShape]:
    """A part of these devices, newest first when no order is said."""
    query = ListQuery.of(request)
    if query.search is not None:
        where = And((where, _named_like(query.search)))
    page = PageQuery(limit=query.per_page, offset=query.start_index, include_total=True)
    devices = await registry.list_devices(work, where, sort=_sort(query.sort), page=page)
    shapes = await shape_devices(work, devices.items, children=_with_children(request))
    return listed(shapes, devices.total or 0, query)


async def get_reached(request: AnyRequest, work: Work, place: Place) -> DeviceShape | Listed[DeviceShape]:
    """The object at the end of a path, or a part of all when it is `*`."""
    found = await reach(work, place)
    if place.object == ANY:
        return await list_reached(request, work, found)
    device = await reach_device(work, found, place.object or "")
    return await shape_device(work, device, children=_with_children(request))


async def update_reached(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    """Change the object at the end of a path."""
    body = await read_body(request)

    async def settle(work: Work) -> Device:
        device = await reach_device(work, await reach(work, place), place.object or "")
        return await change_header(work, device, body)

    return await save(request, begin, body, settle)


async def get_named(request: AnyRequest, work: Work, found: Reach | None) -> DeviceShape:
    """The device with the name in a network that the query says; `found`: among which."""
    asked = [request.query_params.get(name) for name in ("networkId", "aliasKey", "value")]
    network_id, key, value = (part or "" for part in asked)
    if not (network_id and key and value):
        raise Invalid("networkId, aliasKey and value are needed in the query")
    where: Filter = Compare(("networkAlias", network_id, key), Operator.EQ, value)
    if found is not None:
        where = And((where, found.where))
    devices = await registry.list_devices(work, where, page=PageQuery(limit=1))
    if not devices.items:
        raise NotFound("device", f"{network_id}/{key}/{value}")
    device = devices.items[0]
    await check(work, "device.readByNetworkAlias", system_id=device.space_id, device_id=device.id)
    return await shape_device(work, device)


async def _create(request: AnyRequest, begin: BeginWork, place: Place) -> DeviceShape:
    body = await read_body(request)

    async def settle(work: Work) -> Device:
        found = await reach(work, place)
        await check(work, "device.create", system_id=found.space.id, blueprint_id=found.blueprint_id)
        blueprint = await types.load_blueprint(work, to_base62(found.blueprint_id))
        draft = read_as(body, HeaderBody).draft(found.space.id, found.blueprint_id, name=blueprint.name)
        return await registry.create_device(work, draft)

    return await save(request, begin, body, settle)


def _with_children(request: AnyRequest) -> bool:
    return request.query_params.get("children", "true").lower() != "false"


def _named_like(text: str) -> Filter:
    id_ = parse_base62(text)
    named = contains("called", text.strip("*").lower())
    return named if id_ is None else Or((named, equals("id", id_)))


def _sort(wanted: list[SortBody]) -> str:
    words = []
    for key in wanted:
        if key.field not in _SORT:
            raise Invalid.field("sort", f"is by {', '.join(_SORT)}; .search takes others", place="query")
        words.append(("-" if key.descending else "") + _SORT[key.field])
    return ",".join(words) or "-createdAt"


handlers = [
    list_objects,
    create_object,
    create_object_at_suffix,
    get_object,
    update_object,
    delete_object,
    get_by_network_alias,
]
