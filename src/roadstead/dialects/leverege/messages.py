"""Messages to devices (contract section 7): commands of the core, told with the states of this dialect."""

from typing import Any

import msgspec
from litestar import post
from msgspec import UNSET, UnsetType

from roadstead.core import commands, registry
from roadstead.core.commands import Command, CommandStatus
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.devices import read_device_id
from roadstead.dialects.leverege.set_value import DevicePath
from roadstead.dialects.leverege.wire import DIALECT
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import to_base62
from roadstead.kernel.time import to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_STATES = {
    CommandStatus.PENDING: "init",
    CommandStatus.SENT: "sent",
    CommandStatus.ACKNOWLEDGED: "acked",
    CommandStatus.SUCCESS: "acked",
}


class MessageBody(msgspec.Struct, frozen=True, rename="camel"):
    """What a device shall be told."""

    message: dict[str, Any]
    network_id: str | None = None


class MessageShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`OutboundMessage`."""

    msg_id: str
    device_id: str
    network_id: str | UnsetType
    status: str
    time: int
    send_info: dict[str, Any]
    response: dict[str, Any] | UnsetType

    @classmethod
    def of(cls, command: Command) -> "MessageShape":
        """In words of this dialect."""
        network_id = command.notes.get("networkId")
        return cls(
            msg_id=to_base62(command.id),
            device_id=to_base62(command.device_id),
            network_id=network_id if network_id is not None else UNSET,
            status=_STATES.get(command.status, "failed"),
            time=to_millis(command.created_at),
            send_info={"message": command.payload},
            response=command.result if isinstance(command.result, dict) else UNSET,
        )


@post("/v1/device/{deviceId:str}/message", operation_id="device.send-message", status_code=200)
async def send_message(request: AnyRequest, work: Work, device_id: DevicePath) -> MessageShape:
    """Tells a device something as soon as it is there. `networkId` is one that the device is known in, or its own."""
    body = read_as(await read_body(request), MessageBody)
    device = await registry.get_device(work, read_device_id(device_id))
    await check(work, "device.sendMessage", device_id=device.id)
    networks = {device.network_id, *device.network_aliases}
    if body.network_id is not None and body.network_id not in networks:
        raise Invalid.field("networkId", "is no network that the device is known in")
    network_id = body.network_id or device.network_id
    notes = {"networkId": network_id} if network_id is not None else {}
    return MessageShape.of(await commands.send_message(work, device.id, body.message, dialect=DIALECT, notes=notes))


handlers = [send_message]
