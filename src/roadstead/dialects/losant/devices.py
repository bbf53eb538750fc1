"""/applications/{applicationId}/devices: devices of the application (contract sections 8 and 12)."""

import base64
import hashlib
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter

from roadstead.core import registry
from roadstead.core.registry import DeletedDevice, Device, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.choices import read_all_tags
from roadstead.dialects.losant.device_shapes import DeviceBody, Spelling, spell_device, spell_devices
from roadstead.dialects.losant.envelopes import (
    SUCCESS,
    Listing,
    collection,
    read_flag,
    read_listing,
    read_structure,
    spell_time,
)
from roadstead.dialects.losant.queries import read_device_query
from roadstead.dialects.losant.schemas import check, read_body
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import And, Exists, Filter, In, Not, equals, glob
from roadstead.kernel.ids import DeviceId, parse_hex24
from roadstead.kernel.page import Page
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

__all__ = ["handlers", "list_devices", "provide_device", "spell_devices"]

_PLACE = "/applications/{applicationId:str}/devices"
_SORTS = {
    "name": "called",
    "id": "id",
    "creationDate": "createdAt",
    "lastUpdated": "updatedAt",
    "connectionStatus": "connectionStatus",
    "deletedAt": "deletedAt",
}
DevicePath = Annotated[str, PathParameter(name="deviceId")]


async def provide_device(work: Work, application: Space, device_id: DevicePath) -> Device:
    """The device of the path. Raises `NotFound` for one that is not there, or in another application."""
    id_ = parse_hex24(device_id)
    if id_ is None:
        raise NotFound("device")
    return await registry.get_device(work, DeviceId(id_), within=application.id)


async def list_devices(work: Work, application: Space, where: Filter, listing: Listing) -> Page[Device]:
    """A page of the devices of an application that a filter is true for."""
    return await registry.list_devices(work, _within(application, where), sort=_sort(listing), page=listing.query)


async def list_deleted(work: Work, application: Space, where: Filter, listing: Listing) -> Page[DeletedDevice]:
    """The same of those that were deleted and may come back."""
    return await registry.list_deleted_devices(
        work, _within(application, where), sort=_sort(listing), page=listing.query
    )


@get(_PLACE, operation_id="devices.get")
async def get_devices(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """A page of them, or of those that were deleted."""
    listing = read_listing(request, tuple(_SORTS))
    query = read_structure(request, "query", "advancedDeviceQuery")
    where, more = (_read_filters(request, listing)) if query is None else (read_device_query(query), {"query": query})
    if read_flag(request, "queryDeleted"):
        deleted = await list_deleted(work, application, where, listing)
        spelling = Spelling.of(request, application)
        items = [_spell_deleted(spelling, each) for each in deleted.items]
        total = deleted.total
    else:
        devices = await list_devices(work, application, where, listing)
        items = await spell_devices(request, work, application, devices.items)
        total = devices.total
    # A page of none was asked for to know how many there are.
    shown = items[: listing.per_page]
    return collection(request, "devices", shown, listing, total or 0, more=more, applicationId=application.id)


@post(_PLACE, operation_id="devices.post", status_code=201)
async def create_device(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Makes one, with its attributes."""
    body = read_as(await read_body(request, "devicePost"), DeviceBody)
    device = await registry.create_device(work, body.draft(application))
    if body.attributes:
        drafts = [attribute.draft() for attribute in body.attributes]
        await registry.create_device_attributes(work, device.id, drafts, pointer="/attributes")
    return await _answer(request, work, application, device.id)


@get(_PLACE + "/{deviceId:str}", operation_id="device.get")
async def get_device(request: AnyRequest, work: Work, application: Space, device: Device) -> dict[str, Any]:
    """One of them."""
    [shown] = await spell_devices(request, work, application, [device])
    return _marked(shown)


@patch(_PLACE + "/{deviceId:str}", operation_id="device.patch")
async def change_device(request: AnyRequest, work: Work, application: Space, device: Device) -> dict[str, Any]:
    """Changes one; tags and attributes take the place of all there were."""
    body = read_as(await read_body(request, "devicePatch"), DeviceBody)
    change = body.change(device)
    if change.sent():
        await registry.change_device(work, device.id, change, expected=None)
    if body.attributes is not msgspec.UNSET:
        drafts = [attribute.draft() for attribute in body.attributes]
        await registry.replace_device_attributes(work, device.id, drafts, pointer="/attributes")
    return await _answer(request, work, application, device.id)


@delete(_PLACE + "/{deviceId:str}", operation_id="device.delete", status_code=200)
async def delete_device(work: Work, application: Space, device: Device) -> dict[str, Any]:
    """Deletes one; it may be restored for a while."""
    await registry.discard_device(work, device.id)
    return SUCCESS


async def _answer(request: AnyRequest, work: Work, application: Space, device_id: DeviceId) -> dict[str, Any]:
    [shown] = await spell_devices(request, work, application, [await registry.get_device(work, device_id)])
    return _marked(shown)


def _marked(shown: dict[str, Any]) -> dict[str, Any]:
    """With a text that is another when the device is: length and digest."""
    told = msgspec.json.encode({name: value for name, value in shown.items() if name != "_links"})
    digest = base64.b64encode(hashlib.sha1(told, usedforsecurity=False).digest()).decode().rstrip("=")
    return {**shown, "_etag": f'"{len(told):x}-{digest}"'}


def _spell_deleted(spelling: Spelling, deleted: DeletedDevice) -> dict[str, Any]:
    shown = spell_device(spelling, deleted.device, deleted.attributes, deleted.device_class, deleted.ancestor_ids)
    return {**shown, "deletedAt": spell_time(deleted.deleted_at)}


def _within(application: Space, where: Filter) -> Filter:
    return And((equals("spaceId", application.id), where))


def _sort(listing: Listing) -> str:
    return ("-" if listing.descending else "") + _SORTS[listing.sort_field]


def _read_filters(request: AnyRequest, listing: Listing) -> tuple[Filter, dict[str, Any]]:
    """What the parameters say that a query takes the place of, and what of them is said again in the answer."""
    parts: list[Filter] = []
    more: dict[str, Any] = {}
    if listing.filter is not None:
        parts.append(glob("called", listing.filter.lower()))
    classes = _read_classes(request)
    if classes:
        wanted = [classes] if isinstance(classes, str) else list(classes)
        parts.append(In(("deviceClass",), tuple(wanted)))
        if len(wanted) == 1:
            more["deviceClass"] = wanted[0]
    tags = read_structure(request, "tagFilter", "deviceTagFilter")
    if tags:
        parts.append(read_all_tags(tags))
        more["tagFilter"] = tags
    parent = request.query_params.get("parentId")
    if parent:
        parts.append(_below(parent))
        more["parentId"] = None if parent == "null" else parent
    return And(tuple(parts)), more


def _read_classes(request: AnyRequest) -> Any:
    text = request.query_params.get("deviceClass", "")
    if not text or text.startswith(("[", '"')):
        return read_structure(request, "deviceClass", "deviceClassFilter")
    check(text, "deviceClassFilter", where="deviceClass")
    return text


def _below(parent: str) -> Filter:
    if parent == "null":
        return Not(Exists(("parentDeviceId",)))
    id_ = parse_hex24(parent)
    if id_ is None:
        raise Invalid.field("parentId", "is no id", place="query")
    return equals("parentDeviceId", id_)


handlers = [get_devices, create_device, get_device, change_device, delete_device]
