"""/v1/devices/actions and /v1/devices/{deviceId}/actions: what devices are told to do (contract section 13)."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, post
from litestar.params import PathParameter

from roadstead.core import commands
from roadstead.core.commands import Action
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import DeviceFilterBody
from roadstead.dialects.lightelligence.envelopes import Data, read_json
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.topics import DIALECT
from roadstead.kernel.ids import DeviceId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

DevicePath = Annotated[UUID, PathParameter(name="deviceId")]
_WRITE = {"service": Service.DEVICES, "permissions": [Permission.DEVICES_BASE_DATA_WRITE]}


class ActionBody(msgspec.Struct):
    """Body of `triggerAction`. The payload is an object, or what else the type says it is."""

    action: str
    payload: Any


class BulkActionBody(msgspec.Struct, rename="camel"):
    """Body of `triggerBulkAction`."""

    action: str
    payload: Any
    device_filter: DeviceFilterBody


class TriggeredShape(msgspec.Struct, rename="camel"):
    """What was triggered: the id that the device is told, too."""

    action_id: UUID


@post("/{deviceId:str}/actions", operation_id="triggerAction", opt=_WRITE, status_code=202)
async def trigger_action(work: Work, request: AnyRequest, device_id: DevicePath) -> Data[TriggeredShape]:
    """Tells one device."""
    body = read_as(await read_json(request), ActionBody)
    action = Action(body.action, body.payload, DIALECT)
    return Data(TriggeredShape((await commands.trigger_action(work, DeviceId(device_id), action)).id))


@post("/actions", operation_id="triggerBulkAction", opt=_WRITE, status_code=204)
async def trigger_bulk_action(work: Work, request: AnyRequest) -> None:
    """Tells all devices that the filter means and whose types take it."""
    body = read_as(await read_json(request), BulkActionBody)
    await commands.trigger_actions(work, body.device_filter.read(), Action(body.action, body.payload, DIALECT))


router = Router("/v1/devices", route_handlers=[trigger_action, trigger_bulk_action])
