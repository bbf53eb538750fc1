"""/applications/{applicationId}/devices/.../command: telling devices what to do (contract sections 10 and 29)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.response import Stream

from roadstead.core import commands, jobs, registry, streams
from roadstead.core.commands import Action, CommandId, CommandQuery, CommandStatus
from roadstead.core.messages import CommandChanged
from roadstead.core.registry import Device, Space
from roadstead.core.streams import FactEvent, Parcel, StreamWish, Topic
from roadstead.core.work import Work
from roadstead.dialects.losant import command_jobs
from roadstead.dialects.losant.choices import read_choice
from roadstead.dialects.losant.downlinks import TIME, spell_command
from roadstead.dialects.losant.envelopes import SUCCESS, queued, read_descending, read_number, spell_time
from roadstead.dialects.losant.event_streams import read_keep_alive, speak, spell_event
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.spans import read_span
from roadstead.dialects.losant.throttles import Throttle, throttle
from roadstead.dialects.losant.times import read_time
from roadstead.dialects.losant.wire import DIALECT
from roadstead.kernel import time
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import And, equals
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import from_millis, to_millis
from roadstead.web.edge import AnyRequest, BeginWork, Edge
from roadstead.web.listening import in_time

_PLACE = "/applications/{applicationId:str}/devices"
_DEVICE = _PLACE + "/{deviceId:str}"
_LIFE_S = 3_600
"""How long a command waits for its device: what is older is not wanted any more."""
_AT_ONCE = 1_000
"""Devices that one request tells; more are work for a job."""
_MOST_SHOWN = 1_000


@post(f"{_DEVICE}/command", operation_id="device.sendCommand", status_code=200)
async def send_command(request: AnyRequest, work: Work, device: Device) -> dict[str, Any]:
    """Tells a device something, as soon as it is there, within an hour."""
    action = _read_action(await read_body(request, "deviceCommand"))
    throttle(request, Throttle.DEVICE_COMMAND, device.id)
    await commands.command_device(work, device.id, action)
    return SUCCESS


@post(f"{_PLACE}/command", operation_id="devices.sendCommand", status_code=200)
async def send_commands(request: AnyRequest, work: Work, application: Space) -> Response[dict[str, Any]]:
    """Tells it to all that are meant."""
    body = await read_body(request, "multiDeviceCommand")
    action, where = _read_action(body), And((equals("spaceId", application.id), read_choice(body)))
    throttle(request, Throttle.DEVICE_COMMAND, application.id)
    device_ids = await registry.load_device_ids(work, where, limit=_AT_ONCE + 1)
    if len(device_ids) <= _AT_ONCE:
        await commands.command_devices(work, device_ids, action)
        return Response(SUCCESS)
    await commands.command_devices(work, [], action)  # asks whether the caller may, as the job does not
    task = command_jobs.Telling(
        choice={name: body[name] for name in ("deviceIds", "deviceTags", "deviceQuery") if name in body}, action=action
    )
    job_id = await jobs.enqueue(
        work,
        command_jobs.TELLING,
        msgspec.to_builtins(task),
        space_id=application.id,
        name="Devices: Send Command",
        shown={"query": msgspec.json.encode(body["deviceQuery"]).decode()} if "deviceQuery" in body else {},
    )
    return queued(job_id)


@get(f"{_DEVICE}/command", operation_id="device.getCommand")
async def get_commands(request: AnyRequest, work: Work, device: Device) -> list[dict[str, Any]]:
    """What it was told last, whoever has told it; or as many as are asked for."""
    span, descending = read_span(request, to_now=False), read_descending(request)
    limit = read_number(request, "limit", 1, least=1, most=_MOST_SHOWN)
    found = await commands.list_device_commands(
        work,
        device.id,
        CommandQuery(device_ids=[device.id], created_from=span.start, created_before=span.end),
        PageQuery(limit=limit),
        sort="-createdAt" if descending else "createdAt",
    )
    return [spell_command(command) for command in found.items]


@get(
    f"{_DEVICE}/commandStream",
    operation_id="device.commandStream",
    media_type="text/event-stream",
    middleware=[in_time],
)
async def listen(request: AnyRequest, work: Work, begin: BeginWork, device: Device) -> Stream:
    """Events `deviceCommand` as soon as somebody tells it something, whether or not it is connected."""
    edge: Edge = request.app.state.edge
    read_keep_alive(request)
    wanted = await streams.open_filter(work, StreamWish(topics=frozenset({Topic.COMMAND}), device_ids=[device.id]))
    subscription = await edge.live.subscribe(work.tenant_id, wanted, None)

    async def spell(parcels: Sequence[Parcel]) -> bytes:
        return await _spell_new(begin, parcels)

    return speak(request, subscription, Grant.COMMANDS_READ, spell)


async def _spell_new(begin: BeginWork, parcels: Sequence[Parcel]) -> bytes:
    """Those of the commands that have just been given."""
    ids = [command_id for parcel in parcels for event in parcel.events for command_id in _given(event.body)]
    if not ids:
        return b""
    async with begin() as work:
        found = await commands.load_commands(work, ids)
    return b"".join(
        spell_event("deviceCommand", msgspec.json.encode(spell_command(found[id_]))) for id_ in ids if id_ in found
    )


def _given(body: object) -> list[CommandId]:
    if not isinstance(body, FactEvent) or not isinstance(body.fact, CommandChanged):
        return []
    fact = body.fact
    return [CommandId(fact.command_id)] if fact.status == CommandStatus.PENDING else []


def _read_action(body: Mapping[str, Any]) -> Action:
    """What shall be told. Devices that are of a kind to answer shall do so."""
    notes: dict[str, Any] = {}
    if "time" in body:
        notes[TIME] = spell_time(from_millis(read_time(body["time"], to_millis(time.now()))))
    return Action(
        name=body["name"],
        payload=body.get("payload"),
        dialect=DIALECT,
        notes=notes,
        awaits_answer=True,
        life_s=_LIFE_S,
    )


handlers = [send_command, send_commands, get_commands, listen]
