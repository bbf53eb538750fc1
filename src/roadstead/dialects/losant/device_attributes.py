"""/applications/{applicationId}/devices/{deviceId}/attributes: what a device reports (contract section 8)."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter
from msgspec import UNSET, UnsetType

from roadstead.core import registry
from roadstead.core.registry import Attribute, AttributeChange, AttributeDraft, DataType, Device, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import SUCCESS, links, read_listing
from roadstead.dialects.losant.schemas import read_body
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import to_hex24
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_PLACE = "/applications/{applicationId:str}/devices/{deviceId:str}/attributes"
_FIELDS = ("name", "dataType")
AttributeName = Annotated[str, PathParameter(name="name")]


class AttributeBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`deviceAttributePost`."""

    name: str
    data_type: DataType
    description: str | None = None
    content_type: str | None = None
    attribute_tags: dict[str, str] = {}
    system: dict[str, Any] | None = None

    def draft(self) -> AttributeDraft:
        """As the core makes it."""
        return AttributeDraft(**msgspec.structs.asdict(self))


class AttributePatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`deviceAttributePatch`."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    attribute_tags: dict[str, str] | UnsetType = UNSET
    system: dict[str, Any] | UnsetType = UNSET


def spell_attribute(attribute: Attribute | AttributeDraft) -> dict[str, Any]:
    """As it stands among the attributes of a device."""
    fields = {
        "name": attribute.name,
        "dataType": attribute.data_type,
        "description": attribute.description,
        "contentType": attribute.content_type,
        "attributeTags": attribute.attribute_tags,
        "system": attribute.system,
    }
    return {name: value for name, value in fields.items() if value is not None}


@get(_PLACE, operation_id="deviceAttributes.get")
async def list_attributes(request: AnyRequest, work: Work, application: Space, device: Device) -> dict[str, Any]:
    """All of them, on one page."""
    listing = read_listing(request, _FIELDS, filter_fields=_FIELDS)
    attributes = await registry.list_device_attributes(work, device.id)
    items = [_spell(request, application, device, attribute) for attribute in attributes]
    if listing.filter is not None:
        # Without a field it is about the name, as in other lists.
        pattern = re.compile(".*".join(map(re.escape, listing.filter.split("*"))), re.IGNORECASE)
        items = [item for item in items if pattern.fullmatch(item[listing.filter_field or "name"])]
    items.sort(key=lambda item: (item[listing.sort_field], item["name"]), reverse=listing.descending)
    asked = {"filter": listing.filter, "filterField": listing.filter_field}
    ids = {"applicationId": to_hex24(application.id), "deviceId": to_hex24(device.id)}
    return {
        "items": items,
        "count": len(items),
        "totalCount": len(items),
        "sortField": listing.sort_field,
        "sortDirection": "desc" if listing.descending else "asc",
        **{name: value for name, value in asked.items() if value is not None},
        **ids,
        "_type": "deviceAttributes",
        **links(request, "deviceAttributes", ids),
    }


@post(_PLACE, operation_id="deviceAttributes.post", status_code=201)
async def create_attribute(request: AnyRequest, work: Work, application: Space, device: Device) -> dict[str, Any]:
    """Adds one."""
    body = read_as(await read_body(request, "deviceAttributePost"), AttributeBody)
    made = await registry.create_device_attributes(work, device.id, [body.draft()])
    return _spell(request, application, device, made[0])


@get(_PLACE + "/{name:str}", operation_id="deviceAttribute.get")
async def get_attribute(
    request: AnyRequest, work: Work, application: Space, device: Device, name: AttributeName
) -> dict[str, Any]:
    """One of them."""
    attributes = await registry.list_device_attributes(work, device.id)
    return _spell(request, application, device, _named(attributes, name))


@patch(_PLACE + "/{name:str}", operation_id="deviceAttribute.patch")
async def change_attribute(
    request: AnyRequest, work: Work, application: Space, device: Device, name: AttributeName
) -> dict[str, Any]:
    """Changes one; what is sent takes the place of what was there."""
    body = read_as(await read_body(request, "deviceAttributePatch"), AttributePatch)
    change = AttributeChange(**msgspec.structs.asdict(body))
    changed = await registry.change_device_attribute(work, device.id, name, change)
    return _spell(request, application, device, changed)


@delete(_PLACE + "/{name:str}", operation_id="deviceAttribute.delete", status_code=200)
async def delete_attribute(work: Work, application: Space, device: Device, name: AttributeName) -> dict[str, Any]:
    """Deletes one, with its history."""
    await registry.delete_device_attribute(work, device.id, name)
    return SUCCESS


def _named(attributes: Sequence[Attribute], name: str) -> Attribute:
    found = next((attribute for attribute in attributes if attribute.name == name), None)
    if found is None:
        raise NotFound("attribute", name)
    return found


def _spell(request: AnyRequest, application: Space, device: Device, attribute: Attribute) -> dict[str, Any]:
    ids = {"applicationId": to_hex24(application.id), "deviceId": to_hex24(device.id)}
    shown = {**ids, **spell_attribute(attribute), "_type": "deviceAttribute"}
    return {**shown, **links(request, "deviceAttribute", ids)}


handlers = [list_attributes, create_attribute, get_attribute, change_attribute, delete_attribute]
