"""/v1/inbound: what networks bring from devices, by the names that these have there (contract section 7)."""

from typing import Any, Literal

import msgspec
from litestar import post

from roadstead.core import commands, registry, telemetry
from roadstead.core.downlinks import CommandAnswer
from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.core.registry import Device
from roadstead.core.telemetry import Spelled, ValuesDraft
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check, check_data
from roadstead.dialects.leverege.bodies import read_body
from roadstead.dialects.leverege.values import paths_of, read_values, spell_message
from roadstead.dialects.leverege.wire import DATA, DIALECT, EVENT, DataMessage, EventMessage, read_event
from roadstead.kernel.errors import Forbidden, Invalid, NotFound
from roadstead.kernel.ids import DeviceId, parse_base62, to_bytes
from roadstead.kernel.time import parse_instant, to_millis
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, BeginWork, Edge

MOST_MESSAGES = 1_000
"""Of one request."""
_CHANNEL = "inbound"
_DONE, _FAILED = ("acked", "ack", "success", "ok"), ("failed", "fail", "error", "nack")


class InboundBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`InboundMsg`."""

    type: Literal["inboundDataEventMsg", "inboundAckMsg"]
    network_id: str | None = None
    alias_key: str | None = None
    device_id: str | int
    time: int | float | str | None = None
    data: list[Any] | dict[str, Any] | None = None
    event: dict[str, Any] | None = None
    msg_id: str | None = None
    status: str | None = None
    response: dict[str, Any] | None = None


class RejectedShape(msgspec.Struct, frozen=True):
    """A message that was not taken, by its place in what was sent."""

    index: int
    reason: str


class InboundShape(msgspec.Struct, frozen=True):
    """What became of messages."""

    accepted: int
    rejected: list[RejectedShape]


@post("/v1/inbound", operation_id="device.inbound", status_code=202)
async def take_inbound(request: AnyRequest, begin: BeginWork) -> InboundShape:
    """Takes one message or several; accepted means that it is in the log. What is not taken is in quarantine."""
    body = await read_body(request)
    items = body if isinstance(body, list) else [body]
    if len(items) > MOST_MESSAGES:
        raise Invalid(f"a request takes at most {MOST_MESSAGES} messages")
    messages = [read_as(item, InboundBody) for item in items]
    uplinks: list[Uplink] = []
    rejected: list[RejectedShape] = []
    async with begin() as work:
        for index, (message, item) in enumerate(zip(messages, items, strict=True)):
            taken, reason = await _take(work, message, msgspec.json.encode(item))
            uplinks += taken
            if reason is not None:
                rejected.append(RejectedShape(index, reason))
    edge: Edge = request.app.state.edge
    await edge.uplinks.put(*uplinks)
    return InboundShape(len(messages) - len(rejected), rejected)


async def _take(work: Work, message: InboundBody, raw: bytes) -> tuple[list[Uplink], str | None]:
    """What of a message goes on the log, and why some of it does not."""
    device = await find_reporter(work, message)
    owner = b"" if device is None else to_bytes(device.id)
    uplink = Uplink(work.tenant_id, owner, DIALECT, _CHANNEL, to_millis(work.now()), raw, "HTTP")
    try:
        if device is None:
            named = "/".join(filter(None, (message.network_id, message.alias_key, str(message.device_id))))
            raise NotFound("device", named)
        if message.type == "inboundAckMsg":
            return await _take_answer(work, device, message, uplink)
        return await _take_report(work, device, message, uplink.received)
    except Forbidden as error:
        return [], str(error)  # It is not for somebody without the right to fill the quarantine.
    except (Invalid, NotFound) as error:
        reason = RefusalReason.UNKNOWN_SENSOR if device is None else RefusalReason.MALFORMED
        await telemetry.refuse_message(work, uplink, Refusal(reason, str(error), raw, whole=True))
        return [], str(error)


async def find_reporter(work: Work, message: InboundBody) -> Device | None:
    """By the name it has in its network; without a network by its id."""
    if message.network_id is not None and message.alias_key is not None:
        return await registry.find_device_in_network(
            work, message.network_id, message.alias_key, str(message.device_id)
        )
    device_id = parse_base62(str(message.device_id))
    if message.network_id is not None or message.alias_key is not None or device_id is None:
        return None
    return await registry.find_device(work, DeviceId(device_id))


async def _take_report(
    work: Work, device: Device, message: InboundBody, received: int
) -> tuple[list[Uplink], str | None]:
    at = time_of(message, received)
    uplinks, reasons = [], []
    for draft in await _read_report(work, device, message):
        uplink, refused = await telemetry.report_document(work, draft, at=at)
        if refused:
            reasons.append(refused[0].refusal.detail)
        else:
            uplinks.append(uplink)
    return uplinks, "; ".join(reasons) or None


async def _read_report(work: Work, device: Device, message: InboundBody) -> list[ValuesDraft]:
    drafts = []
    if message.data:
        values = read_values(message.data)
        await check_data(work, device, paths_of(values))

        def spell_data(at: int) -> Spelled:
            return spell_message(DataMessage(values, at))

        drafts.append(ValuesDraft(device_id=device.id, dialect=DIALECT, channel=DATA, spell=spell_data))
    if message.event is not None:
        await check(work, "device.updateData", device_id=device.id)
        said, type_ = message.event, message.event.get("type")

        def spell_event(at: int) -> Spelled:
            event = EventMessage(type_ if isinstance(type_, str) and type_ else "event", said, at)
            return Spelled(msgspec.json.encode(event), read_event(event))

        drafts.append(ValuesDraft(device_id=device.id, dialect=DIALECT, channel=EVENT, spell=spell_event))
    return drafts


async def _take_answer(
    work: Work, device: Device, message: InboundBody, uplink: Uplink
) -> tuple[list[Uplink], str | None]:
    """A message that was sent has arrived, or has not."""
    await check(work, "device.sendMessage", device_id=device.id)
    command_id = parse_base62(message.msg_id or "")
    status = (message.status or "acked").lower()
    if command_id is None:
        raise Invalid.field("msgId", "names the message that is answered")
    if status not in (*_DONE, *_FAILED):
        raise Invalid.field("status", f"is one of {', '.join((*_DONE, *_FAILED))}")
    answer = CommandAnswer(command_id, "SUCCESS" if status in _DONE else "FAILED", message.response)
    refusal = await commands.answer_message(work, uplink, answer)
    if refusal is None:
        return [], None
    await telemetry.refuse_message(work, uplink, refusal)
    return [], refusal.detail


def time_of(message: InboundBody, received: int) -> int:
    """Milliseconds since 1970, as a number or an ISO instant; when it came, if nothing is said."""
    if message.time is None:
        return received
    if not isinstance(message.time, str):
        return int(message.time)
    instant = parse_instant(message.time)
    if instant is None:
        raise Invalid.field("time", "is no instant")
    return to_millis(instant)


handlers = [take_inbound]
