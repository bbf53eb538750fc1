"""/applications/{applicationId}/devices/{deviceId}/...: when a device came and went (contract section 8)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import get, post

from roadstead.core import telemetry
from roadstead.core.registry import Device
from roadstead.core.telemetry import Connection
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import SUCCESS, read_descending, read_number, spell_time
from roadstead.dialects.losant.schemas import check, read_body
from roadstead.dialects.losant.spans import read_span
from roadstead.dialects.losant.throttles import Throttle, throttle
from roadstead.dialects.losant.times import read_time
from roadstead.kernel import time
from roadstead.kernel.time import from_millis, to_millis
from roadstead.web.edge import AnyRequest

_DEVICE = "/applications/{applicationId:str}/devices/{deviceId:str}"
_MOST_SHOWN = 1_000


@post(f"{_DEVICE}/setConnectionStatus", operation_id="device.setConnectionStatus", status_code=200)
async def set_connection_status(request: AnyRequest, work: Work, device: Device) -> dict[str, Any]:
    """Says that a device that is connected elsewhere came or went."""
    body = await read_body(request)
    check(body, "deviceConnectionStatus")
    throttle(request, Throttle.CONNECTION_STATUS, device.id)
    await telemetry.note_connections(work, device.id, _read_connections(body))
    return SUCCESS


@get(f"{_DEVICE}/logs", operation_id="device.getLogEntries")
async def list_log_entries(request: AnyRequest, work: Work, device: Device) -> list[dict[str, Any]]:
    """The last time that it came or went, or as many as are asked for."""
    found = await telemetry.list_connections(
        work,
        device.id,
        read_span(request, to_now=False),
        limit=read_number(request, "limit", 1, least=1, most=_MOST_SHOWN),
        newest_first=read_descending(request),
    )
    return [_spell(connection) for connection in found]


def _read_connections(body: Mapping[str, Any]) -> list[Connection]:
    """One, or two of a device that has gone and of which it is told when it had come."""
    address = body.get("ipAddress", "")
    came = _read_time(body, "connectedAt")
    if body["status"] == "connected":
        return [Connection(at=came or time.now(), connected=True, address=address)]
    gone = Connection(
        at=_read_time(body, "disconnectedAt") or time.now(),
        connected=False,
        reason=body.get("disconnectReason", ""),
        address=address,
        received=body.get("messagesFromClient"),
        sent=body.get("messagesToClient"),
    )
    return [gone] if came is None else [Connection(at=came, connected=True, address=address), gone]


def _read_time(body: Mapping[str, Any], name: str) -> datetime | None:
    return from_millis(read_time(body[name], to_millis(time.now()))) if name in body else None


def _spell(connection: Connection) -> dict[str, Any]:
    fields = {
        "connected": int(connection.connected),
        "time": spell_time(connection.at),
        "disconnectReason": connection.reason or None,
        "messagesFromClient": connection.received,
        "messagesToClient": connection.sent,
        "ipAddress": connection.address or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


handlers = [set_connection_status, list_log_entries]
