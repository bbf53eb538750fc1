"""setValue and updater of devices: their data path by path, and who wrote it (contract section 2.4)."""

from typing import Annotated, Any

import msgspec
from litestar import get, put
from litestar.params import PathParameter
from msgspec import UNSET

from roadstead.core import registry
from roadstead.core.registry import Device
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape, read_device_id, shape_device
from roadstead.dialects.leverege.resolve import read_waiting, store_values
from roadstead.dialects.leverege.values import Tree, read_data, write_data
from roadstead.dialects.leverege.wire import split_path
from roadstead.kernel.errors import Invalid
from roadstead.web.edge import AnyRequest, BeginWork

DevicePath = Annotated[str, PathParameter(name="deviceId")]
SystemPath = Annotated[str, PathParameter(name="systemId")]


@put("/v1/device/{deviceId:str}/setValue", operation_id="device.set-value")
async def set_value(request: AnyRequest, begin: BeginWork, device_id: DevicePath) -> DeviceShape:
    """Writes values; null takes one away."""
    return await _set(request, begin, None, device_id)


@put("/v1/system/{systemId:str}/device/{deviceId:str}/setValue", operation_id="system.device-set-value")
async def set_value_in_system(
    request: AnyRequest, begin: BeginWork, system_id: SystemPath, device_id: DevicePath
) -> DeviceShape:
    """The same for a device of a system."""
    return await _set(request, begin, system_id, device_id)


@get("/v1/device/{deviceId:str}/updater", operation_id="device.updaters")
async def list_updaters(request: AnyRequest, work: Work, device_id: DevicePath) -> Tree:
    """Who wrote what; of everything, or of what lies at and below a path."""
    device = await registry.get_device(work, read_device_id(device_id))
    await check(work, "device.readData", device_id=device.id)
    _, metadata = (await read_data(work, [device.id]))[device.id]
    return _below(metadata, split_path(request.query_params.get("path", "")))


async def _set(request: AnyRequest, begin: BeginWork, system: str | None, device_id: str) -> DeviceShape:
    body = await read_body(request)
    waiting = read_waiting(request, body)
    async with begin() as work:
        device = await _find_device(work, system, device_id)
        written = await write_data(work, device, _values_of(body))
        shape = await shape_device(work, device, written=written)
    resolved = await store_values(request, written, waiting)
    return msgspec.structs.replace(shape, resolve_on_write=resolved) if resolved is not UNSET else shape


async def _find_device(work: Work, system: str | None, device_id: str) -> Device:
    id_ = read_device_id(device_id)
    if system is None:
        return await registry.get_device(work, id_)
    space = await registry.get_space(work, system)
    return await registry.get_device(work, id_, within=space.id)


def _values_of(body: Any) -> Any:
    """`{values: [...]}` or the list itself."""
    values = body.get("values") if isinstance(body, dict) else body
    if not isinstance(values, list):
        raise Invalid.field("values", "is a list of {path, value}")
    return values


def _below(tree: Tree, way: tuple[str, ...]) -> Tree:
    """The tree without what lies beside the way."""
    if not way:
        return tree
    below = tree.get(way[0])
    rest = _below(below, way[1:]) if isinstance(below, dict) else None
    return {way[0]: rest} if rest else {}


handlers = [set_value, set_value_in_system, list_updaters]
