"""/applications/{applicationId}/devices: changes, deletions and restorations of many (contract section 8)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response, patch, post
from msgspec import UNSET

from roadstead.core import fleet
from roadstead.core.fleet import (
    AttributeAddition,
    AttributeEdit,
    AttributeRemoval,
    AttributesEdit,
    AttributeTagEdit,
    Edit,
    FieldsEdit,
    Outcome,
    SystemAttribute,
    TagEdit,
    TagsEdit,
)
from roadstead.core.registry import AttributeChange, DeviceChange, DeviceClass, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.device_attributes import AttributeBody
from roadstead.dialects.losant.device_shapes import DeviceBody, group_tags
from roadstead.dialects.losant.envelopes import queued
from roadstead.dialects.losant.queries import read_device_query
from roadstead.dialects.losant.schemas import read_body
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Filter, In
from roadstead.kernel.ids import DeviceId, parse_hex24
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_DEVICES = "/applications/{applicationId:str}/devices"
_Answer = Response[dict[str, Any]]


@patch(_DEVICES, operation_id="devices.patch")
async def change_devices(request: AnyRequest, work: Work, application: Space) -> _Answer:
    """Changes the devices of a list or a query."""
    body = await read_body(request, "devicesPatch")
    edits = _read_fields(body.get("updateFields") or {})
    edits += [_read_operation(each) for each in body.get("updateOperations") or []]
    if not edits:
        raise Invalid.field("updateOperations", "is required")
    done = await fleet.edit_devices(work, _read_devices(body), edits, _request_of(body, application))
    if not isinstance(done, Outcome):
        return queued(done)
    return Response({"updated": done.done, "failed": len(done.failures), "skipped": done.skipped})


@post(f"{_DEVICES}/delete", operation_id="devices.delete", status_code=200)
async def delete_devices(request: AnyRequest, work: Work, application: Space) -> _Answer:
    """Deletes the devices of a query; they may be restored for a while."""
    body = await read_body(request, "devicesDeleteOrRestorePost")
    done = await fleet.delete_devices(work, read_device_query(body["query"]), _request_of(body, application))
    if not isinstance(done, Outcome):
        return queued(done)
    return Response({"removed": done.done, "failed": len(done.failures)})


@post(f"{_DEVICES}/restore", operation_id="devices.restore", status_code=200)
async def restore_devices(request: AnyRequest, work: Work, application: Space) -> _Answer:
    """Brings back the deleted devices of a query."""
    body = await read_body(request, "devicesDeleteOrRestorePost")
    done = await fleet.restore_devices(work, read_device_query(body["query"]), _request_of(body, application))
    if not isinstance(done, Outcome):
        return queued(done)
    return Response({"restored": done.done, "failed": len(done.failures)})


def _request_of(body: Mapping[str, Any], application: Space) -> fleet.Request:
    query = body.get("query")
    return fleet.Request(
        space_id=application.id,
        email=body.get("email"),
        callback_url=body.get("callbackUrl"),
        shown={} if query is None else {"query": msgspec.json.encode(query).decode()},
        always_job=bool(body.get("forceJob")),
    )


def _read_devices(body: Mapping[str, Any]) -> Filter:
    ids, query = body.get("deviceIds"), body.get("query")
    if ids and query is not None:
        raise Invalid.field("query", "does not go with deviceIds")
    if query is not None:
        return read_device_query(query)
    if ids is None:
        raise Invalid.field("deviceIds", "is required, or query")
    known = [parse_hex24(each) for each in ids]
    return In(("id",), tuple(each for each in known if each is not None))


# --- edits -----------------------------------------------------------------------------------------------------------


def _read_fields(fields: Mapping[str, Any]) -> list[Edit]:
    """`updateFields`: what PATCH of one device takes."""
    body = read_as(fields, DeviceBody)
    edits: list[Edit] = []
    change = body.fields()
    if change.sent():
        edits.append(FieldsEdit(change))
    if body.tags is not UNSET:
        edits.append(TagsEdit(group_tags(body.tags)))
    if body.attributes is not UNSET:
        edits.append(AttributesEdit([attribute.draft() for attribute in body.attributes]))
    return edits


def _read_operation(operation: Mapping[str, Any]) -> Edit:
    """One of `updateOperations`, as the schema has them; what is removed has no value."""
    value: Any = operation.get("value")
    name = operation.get("attributeName")
    if name is not None:
        return _read_attribute_operation(operation, name, value)
    match operation["target"]:
        case "tag":
            return TagEdit(operation["tagKey"], None) if value is None else TagEdit(value["key"], value["value"])
        case "attribute":
            return AttributeAddition(read_as(value, AttributeBody).draft())
        case "attributeSystem":
            return SystemAttribute(read_as(value, AttributeBody).draft())
        case "name":
            change = DeviceChange(title=value)
        case "deviceClass":
            change = DeviceChange(device_class=DeviceClass(value))
        case "gatewayId":
            change = DeviceChange(gateway_id=_id("gatewayId", value))
        case "parentId":
            change = DeviceChange(parent_id=None if value is None else _id("parentId", value))
        case "systemInterval":
            change = DeviceChange(system_interval=value)
        case target:  # description and keepDuplicates
            change = DeviceChange(notes={"losant": {target: value}})
    return FieldsEdit(change)


def _read_attribute_operation(operation: Mapping[str, Any], name: str, value: Any) -> Edit:
    match operation["target"]:
        case "attribute":
            return AttributeRemoval(name)
        case "attributeTag" if value is None:
            return AttributeTagEdit(name, operation["tagKey"], None)
        case "attributeTag":
            return AttributeTagEdit(name, value["key"], value["value"])
        case "attributeName":
            return AttributeEdit(name, AttributeChange(name=value))
        case "attributeContentType":
            return AttributeEdit(name, AttributeChange(content_type=value))
    return AttributeEdit(name, AttributeChange(description=value))


def _id(name: str, text: str) -> DeviceId:
    id_ = parse_hex24(text)
    if id_ is None:
        raise Invalid.field(name, "is no id")
    return DeviceId(id_)


handlers = [change_devices, delete_devices, restore_devices]
