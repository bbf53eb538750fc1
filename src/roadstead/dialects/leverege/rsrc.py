"""/v1/interface/.../{objId}.rsrc/p/<key>/p/<key>: documents in a tree beside a device (contract section 2.3)."""

from typing import Any

import msgspec
from litestar import delete, get, post

from roadstead.core import registry
from roadstead.core.registry import Device, Resource
from roadstead.core.work import Work
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.paths import Form, Place
from roadstead.dialects.leverege.reach import reach, reach_device
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import to_millis
from roadstead.web.edge import AnyRequest

_MOST = 10_000


class ResourceShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`Rsrc`."""

    id: str
    path: str
    type: str
    data: dict[str, Any]
    created: int
    last_modified: int

    @classmethod
    def of(cls, resource: Resource) -> "ResourceShape":
        return cls(
            id=resource.path[-1],
            path="/".join(f"p/{key}" for key in resource.path),
            type=resource.type,
            data=resource.data,
            created=to_millis(resource.created_at),
            last_modified=to_millis(resource.updated_at),
        )


class ResourceList(msgspec.Struct, frozen=True, kw_only=True):
    """`RsrcList`."""

    items: list[ResourceShape]
    count: int
    total: int
    offset: int
    limit: int


class Done(msgspec.Struct, frozen=True):
    """`Status`."""

    status: int = 200


@get(Form.RESOURCES_BELOW.value, operation_id="interface.rsrc-list")
async def list_resources(request: AnyRequest, work: Work, place: Place) -> ResourceList:
    """All that lies below a node, by path."""
    device = await _device(work, place, "device.read")
    offset, limit = _number(request, "offset", 0, 2_147_483_647), _number(request, "limit", 100, _MOST)
    found, total = await registry.list_resources(work, device.id, _keys(place), offset=offset, limit=limit)
    items = [ResourceShape.of(each) for each in found]
    return ResourceList(items=items, count=len(items), total=total, offset=offset, limit=limit)


@get(Form.RESOURCE.value, operation_id="interface.rsrc-get")
async def get_resource(work: Work, place: Place) -> ResourceShape:
    """One node."""
    device = await _device(work, place, "device.read")
    return ResourceShape.of(await registry.get_resource(work, device.id, _keys(place)))


@post(Form.RESOURCE.value, operation_id="interface.rsrc-put", status_code=200)
async def put_resource(request: AnyRequest, work: Work, place: Place) -> ResourceShape:
    """Makes or replaces a node: `type`, and whatever else is sent as its data."""
    device = await _device(work, place, "device.update")
    body = await read_body(request)
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise Invalid.field("type", "is needed, a text")
    data = {name: value for name, value in body.items() if name != "type"}
    made = await registry.put_resource(work, device.id, _keys(place), type=body["type"], data=data)
    return ResourceShape.of(made)


@delete(Form.RESOURCE.value, operation_id="interface.rsrc-delete", status_code=200)
async def delete_resource(work: Work, place: Place) -> Done:
    """A node with all below it."""
    device = await _device(work, place, "device.update")
    await registry.delete_resource(work, device.id, _keys(place))
    return Done()


async def _device(work: Work, place: Place, permission: str) -> Device:
    return await reach_device(work, await reach(work, place), place.object or "", permission)


def _keys(place: Place) -> list[str]:
    marks, keys = place.rest[::2], place.rest[1::2]
    if len(marks) != len(keys) or any(mark != "p" for mark in marks):
        raise Invalid.field("rsrcPath", "is p/<key>/p/<key>...", place="path")
    return list(keys)


def _number(request: AnyRequest, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, "")
    if text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise Invalid.field(name, f"is a number from 0 to {most}", place="query")
    return int(text)


handlers = [list_resources, get_resource, put_resource, delete_resource]
