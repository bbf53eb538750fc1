"""/v1/device, /v1/system/{systemId}/device, /v1/project/{projectId}/device: devices by their ids."""

from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.params import PathParameter

from roadstead.core import registry, types
from roadstead.core.registry import Device
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check, visible_devices
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import DeviceShape, HeaderBody, read_device_id, shape_device
from roadstead.dialects.leverege.interface import get_named, list_devices
from roadstead.dialects.leverege.lists import Listed
from roadstead.dialects.leverege.project_of import check_project
from roadstead.dialects.leverege.saving import change_header, save
from roadstead.dialects.leverege.statuses import Deleted
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import And, Filter, equals
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, BeginWork

DevicePath = Annotated[str, PathParameter(name="deviceId")]
SystemPath = Annotated[str, PathParameter(name="systemId")]
ProjectPath = Annotated[str, PathParameter(name="projectId")]


class BlueprintName(msgspec.Struct, frozen=True, rename="camel"):
    """What of `DeviceInput` an interface path says otherwise."""

    blueprint_id: str | None = None


# --- by its id alone -------------------------------------------------------------------------------------------------


@get("/v1/device/{deviceId:str}", operation_id="device.get")
async def get_device(work: Work, device_id: DevicePath) -> DeviceShape:
    """Header, data and dataMetadata."""
    return await shape_device(work, await load_device(work, device_id, "device.read"))


@get("/v1/project/{projectId:str}/device/{deviceId:str}", operation_id="device.get-in-project")
async def get_device_in_project(work: Work, project_id: ProjectPath, device_id: DevicePath) -> DeviceShape:
    """The same, when it is of this project."""
    check_project(work, project_id)
    return await shape_device(work, await load_device(work, device_id, "device.read"))


@patch("/v1/device/{deviceId:str}", operation_id="device.update", status_code=200)
async def update_device(request: AnyRequest, begin: BeginWork, device_id: DevicePath) -> DeviceShape:
    """Merges header and data."""
    return await _update(request, begin, device_id, None)


@delete("/v1/device/{deviceId:str}", operation_id="device.delete", status_code=200)
async def delete_device(work: Work, device_id: DevicePath) -> Deleted:
    """With its data and every relation it is in."""
    device = await load_device(work, device_id, "device.delete")
    await registry.delete_device(work, device.id, purge=True, expected=None)
    return Deleted.of(device.id)


@get("/v1/device/getDeviceByNetworkAlias", operation_id="device.by-network-alias")
async def get_by_network_alias(request: AnyRequest, work: Work) -> DeviceShape:
    """The device with this name in a network."""
    return await get_named(request, work, None)


# --- in a system -----------------------------------------------------------------------------------------------------


@get("/v1/system/{systemId:str}/device", operation_id="system.device-list")
async def list_system_devices(request: AnyRequest, work: Work, system_id: SystemPath) -> Listed[DeviceShape]:
    """Of every blueprint, newest first."""
    space = await registry.load_space_called(work, system_id)
    visible = await visible_devices(work, "device.list")
    where: Filter = equals("spaceId", space.id)
    return await list_devices(request, work, where if visible is None else And((where, visible)))


@post("/v1/system/{systemId:str}/device", operation_id="system.device-create", status_code=200)
async def create_system_device(request: AnyRequest, begin: BeginWork, system_id: SystemPath) -> DeviceShape:
    """Makes a device of the blueprint that the body names."""
    body = await read_body(request)
    name = read_as(body, BlueprintName).blueprint_id
    if name is None:
        raise Invalid.field("blueprintId", "is needed: the id or the alias of a blueprint")

    async def settle(work: Work) -> Device:
        space = await registry.load_space_called(work, system_id)
        blueprint = await types.find_blueprint(work, name)
        if blueprint is None:
            raise Invalid.field("blueprintId", "there is no such blueprint")
        await check(work, "device.create", system_id=space.id, blueprint_id=blueprint.id)
        draft = read_as(body, HeaderBody).draft(space.id, blueprint.id, name=blueprint.name)
        return await registry.create_device(work, draft)

    return await save(request, begin, body, settle)


@get("/v1/system/{systemId:str}/device/{deviceId:str}", operation_id="system.device-get")
async def get_system_device(work: Work, system_id: SystemPath, device_id: DevicePath) -> DeviceShape:
    """One of the system's."""
    return await shape_device(work, await load_device(work, device_id, "device.read", system=system_id))


@patch("/v1/system/{systemId:str}/device/{deviceId:str}", operation_id="system.device-update", status_code=200)
async def update_system_device(
    request: AnyRequest, begin: BeginWork, system_id: SystemPath, device_id: DevicePath
) -> DeviceShape:
    """Merges header and data."""
    return await _update(request, begin, device_id, system_id)


@delete("/v1/system/{systemId:str}/device/{deviceId:str}", operation_id="system.device-delete", status_code=200)
async def delete_system_device(work: Work, system_id: SystemPath, device_id: DevicePath) -> Deleted:
    """With its data and every relation it is in."""
    device = await load_device(work, device_id, "device.delete", system=system_id)
    await registry.delete_device(work, device.id, purge=True, expected=None)
    return Deleted.of(device.id)


async def load_device(work: Work, device_id: str, permission: str, *, system: str | None = None) -> Device:
    """A device for a caller who has this permission on it; `system`: of which it must be."""
    device = await registry.load_device(work, read_device_id(device_id))
    if system is not None and (await registry.load_space_called(work, system)).id != device.space_id:
        raise NotFound("device", device_id)
    blueprint_id = device.shown_type(work.actor.organization_id)
    await check(work, permission, system_id=device.space_id, device_id=device.id, blueprint_id=blueprint_id)
    return device


async def _update(request: AnyRequest, begin: BeginWork, device_id: str, system: str | None) -> DeviceShape:
    body = await read_body(request)

    async def settle(work: Work) -> Device:
        device = await load_device(work, device_id, "device.read", system=system)
        return await change_header(work, device, body)

    return await save(request, begin, body, settle)


handlers = [
    get_device,
    get_device_in_project,
    update_device,
    delete_device,
    get_by_network_alias,
    list_system_devices,
    create_system_device,
    get_system_device,
    update_system_device,
    delete_system_device,
]
