"""/applications/{applicationId}/devices/.../compositeState: what each attribute was last (contract section 11)."""

from collections.abc import Sequence
from typing import Any

from litestar import get

from roadstead.core import telemetry
from roadstead.core.registry import Device, Space
from roadstead.core.telemetry import AttributeValue
from roadstead.core.work import Work
from roadstead.dialects.losant.devices import list_devices
from roadstead.dialects.losant.envelopes import collection, read_listing, read_structure, spell_time
from roadstead.dialects.losant.queries import read_device_query
from roadstead.dialects.losant.spans import read_span
from roadstead.dialects.losant.values import spell_value
from roadstead.kernel.filter import EVERYTHING
from roadstead.kernel.ids import DeviceId, to_hex24
from roadstead.web.edge import AnyRequest

_PLACE = "/applications/{applicationId:str}/devices"
_SORTS = ("name", "id", "creationDate", "lastUpdated", "connectionStatus")


@get(_PLACE + "/{deviceId:str}/compositeState", operation_id="device.getCompositeState")
async def get_composite(request: AnyRequest, work: Work, application: Space, device: Device) -> dict[str, Any]:
    """The last value of each attribute of a device, with its time."""
    span, names = read_span(request, to_now=True), _read_names(request)
    found = await telemetry.list_composites(work, [device.id], span, names)
    return await _spell(work, application, device.id, found[device.id])


@get(_PLACE + "/compositeState", operation_id="devices.getCompositeState")
async def list_composites(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """The same of a page of devices."""
    listing = read_listing(request, _SORTS)
    query = read_structure(request, "query", "advancedDeviceQuery")
    where = EVERYTHING if query is None else read_device_query(query)
    span, names = read_span(request, to_now=True), _read_names(request)
    page = await list_devices(work, application, where, listing)
    devices = page.items[: listing.per_page]
    found = await telemetry.list_composites(work, [device.id for device in devices], span, names)
    items = [
        {
            "id": to_hex24(device.id),
            "name": device.title or device.name,
            "compositeState": await _spell(work, application, device.id, found[device.id]),
        }
        for device in devices
    ]
    more = {} if query is None else {"query": query}
    return collection(request, "devices", items, listing, page.total or 0, more=more, applicationId=application.id)


async def _spell(
    work: Work, application: Space, device_id: DeviceId, values: Sequence[AttributeValue]
) -> dict[str, Any]:
    spelled = [(each, await spell_value(work, application, device_id, each.attribute, each.value)) for each in values]
    return {
        each.attribute.name: {"value": value, "time": spell_time(each.at)}
        for each, value in spelled
        if value is not None
    }


def _read_names(request: AnyRequest) -> frozenset[str] | None:
    text = request.query_params.get("attributes", "")
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    return names or None


handlers = [get_composite, list_composites]
