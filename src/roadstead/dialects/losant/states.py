"""/applications/{applicationId}/devices/{deviceId}/state: what devices report, sent and read (contract section 9)."""

from typing import Any

from litestar import get, post

from roadstead.core import telemetry
from roadstead.core.registry import Device, Space
from roadstead.core.telemetry import MOST_STATES
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import SUCCESS, read_number
from roadstead.dialects.losant.schemas import check, read_body
from roadstead.dialects.losant.spans import read_span
from roadstead.dialects.losant.throttles import Throttle, throttle
from roadstead.dialects.losant.values import spell_state
from roadstead.dialects.losant.wire import DIALECT, STATE, split_states
from roadstead.kernel.errors import Invalid
from roadstead.web.edge import AnyRequest, Edge

_PLACE = "/applications/{applicationId:str}/devices/{deviceId:str}/state"
_MESSAGE_BYTES = 262_144
"""About how much goes into one message on the log."""


@post(_PLACE, operation_id="device.sendState", status_code=200)
async def send_state(request: AnyRequest, work: Work, device: Device) -> dict[str, Any]:
    """Takes a state or a list of states; success means that they are in the log.

    Values that do not fit are dropped there, each with a line in quarantine.
    """
    edge: Edge = request.app.state.edge
    payloads = split_states(await _read_states(request), _MESSAGE_BYTES)
    throttle(request, Throttle.DEVICE_STATE, device.id)
    uplinks = await telemetry.speak_for(work, device.id, dialect=DIALECT, channel=STATE, payloads=payloads)
    await edge.uplinks.put(*uplinks)
    return SUCCESS


@get(_PLACE, operation_id="device.getState")
async def get_states(request: AnyRequest, work: Work, application: Space, device: Device) -> list[dict[str, Any]]:
    """The newest state, or as many as are asked for, each with all that was said of one instant."""
    direction = (request.query_params.get("sortDirection") or "desc").lower()
    if direction not in ("asc", "desc"):
        raise Invalid.field("sortDirection", "is 'asc' or 'desc'", place="query")
    limit = read_number(request, "limit", 1, least=1, most=MOST_STATES)
    span = read_span(request, to_now=False)
    states = await telemetry.list_attribute_states(work, device.id, span, limit=limit, descending=direction == "desc")
    return [await spell_state(work, application, device.id, state) for state in states]


async def _read_states(request: AnyRequest) -> list[Any]:
    """The body as a list. Raises `Invalid` with the names of what is wrong, which no schema of a choice tells."""
    body = await read_body(request)
    check(body, "deviceStates" if isinstance(body, list) else "deviceState")
    return body if isinstance(body, list) else [body]


handlers = [send_state, get_states]
