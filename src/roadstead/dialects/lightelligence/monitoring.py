""".../onlinemonitoring: within how many seconds a device is to be heard (contract section 8)."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, patch
from litestar.params import PathParameter

from roadstead.core import registry, types
from roadstead.core.identity import Permission
from roadstead.core.registry import DeviceChange
from roadstead.core.types import DeviceTypeChange
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.ids import DeviceId, TypeId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

TypePath = Annotated[UUID, PathParameter(name="deviceTypeId")]
DevicePath = Annotated[UUID, PathParameter(name="deviceId")]

_READ_TYPES = {"service": Service.MONITORING, "permissions": [Permission.DEVICETYPES_READ]}
_WRITE_TYPES = {"service": Service.MONITORING, "permissions": [Permission.DEVICETYPES_WRITE]}
_READ = {"service": Service.MONITORING, "permissions": [Permission.DEVICES_BASE_DATA_READ]}
_WRITE = {"service": Service.MONITORING, "permissions": [Permission.DEVICES_BASE_DATA_WRITE]}


class MonitoringShape(msgspec.Struct, frozen=True, rename="camel"):
    """`OnlineMonitoring`, as it is sent and as it is answered: what is set on the object itself."""

    communication_interval: int | None


@get("/", operation_id="getDeviceTypeMonitoring", opt=_READ_TYPES)
async def get_type_monitoring(work: Work, type_id: TypePath) -> Data[MonitoringShape]:
    """For devices that have no interval of their own."""
    type_ = await types.get_device_type(work, TypeId(type_id))
    return Data(MonitoringShape(type_.communication_interval))


@patch("/", operation_id="updateDeviceTypeMonitoring", opt=_WRITE_TYPES)
async def update_type_monitoring(request: AnyRequest, work: Work, type_id: TypePath) -> Data[MonitoringShape]:
    """0 or null: they are not monitored."""
    body = read_as(await read_json(request), MonitoringShape)
    change = DeviceTypeChange(communication_interval=body.communication_interval)
    type_ = await registry.change_device_type(work, TypeId(type_id), change)
    return Data(MonitoringShape(type_.communication_interval))


@get("/", operation_id="getDeviceMonitoring", opt=_READ)
async def get_monitoring(work: Work, device_id: DevicePath) -> Data[MonitoringShape]:
    """Null: as its type says."""
    device = await registry.get_device(work, DeviceId(device_id))
    return Data(MonitoringShape(device.communication_interval))


@patch("/", operation_id="updateDeviceMonitoring", opt=_WRITE)
async def update_monitoring(request: AnyRequest, work: Work, device_id: DevicePath) -> Data[MonitoringShape]:
    """0: it is not monitored, whatever its type says; null: as its type says."""
    body = read_as(await read_json(request), MonitoringShape)
    change = DeviceChange(communication_interval=body.communication_interval)
    device = await registry.change_device(work, DeviceId(device_id), change, expected=None)
    return Data(MonitoringShape(device.communication_interval))


type_router = Router(
    "/v1/device-types/{deviceTypeId:uuid}/onlinemonitoring",
    route_handlers=[get_type_monitoring, update_type_monitoring],
)
device_router = Router(
    "/v1/devices/{deviceId:uuid}/onlinemonitoring", route_handlers=[get_monitoring, update_monitoring]
)
