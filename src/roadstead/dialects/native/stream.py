"""GET /stream: what happens, as it happens, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from roadstead.core import streams
from roadstead.core.streams import Event, Position, read_position
from roadstead.core.work import Work
from roadstead.dialects.native.listening import Listening, data_of, name_of, read_wish
from roadstead.dialects.native.problems import problem_of
from roadstead.dialects.native.stream_ws import listen_by_websocket, upgrade_to_websocket
from roadstead.kernel.errors import RoadsteadError, Unauthenticated
from roadstead.web.edge import AnyRequest, Edge, credential_of
from roadstead.web.listening import in_time

_LAST_EVENT_ID = "Last-Event-ID"
_RETRY_MS = 2_000

Topics = Annotated[
    str, QueryParameter(description="comma list of reading, device, command, alert, event, binding, export")
]
Devices = Annotated[list[str] | None, QueryParameter(name="deviceId", description="repeatable")]
Sensors = Annotated[
    list[str] | None, QueryParameter(name="sensorId", description="repeatable; narrows reading and alert")
]
Site = Annotated[str | None, QueryParameter(name="siteId", description="with the sites below it")]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name=_LAST_EVENT_ID, required=False, description="go on after the event with this id"),
]


@get("/", operation_id="stream", media_type="text/event-stream", middleware=[in_time])
async def listen(
    request: AnyRequest,
    work: Work,
    topics: Topics,
    device_id: Devices = None,
    sensor_id: Sensors = None,
    site_id: Site = None,
    last_event_id: LastEventId = None,
) -> Stream:
    """Server-sent events: readings as they are, of everything else which thing has changed and how it stands.

    Goes on after `Last-Event-ID` without a gap or a repeat, as long as the log keeps it (two days, unless it is full
    before); else an event `gap` says from when on it goes on. A comment every 15 seconds keeps the connection alive and
    tells the position. A listener that is too slow, or whose credential is not good any more, gets an event `error`
    and the stream ends.
    """
    edge: Edge = request.app.state.edge
    credential = credential_of(request)
    if credential is None:
        raise Unauthenticated("send 'Authorization: Bearer' with an API key (sk_...) or a session token")
    after = read_position(last_event_id, name=_LAST_EVENT_ID, place="header") if last_event_id else None
    wanted = await streams.open_filter(work, read_wish(topics, device_id or (), sensor_id or (), site_id))
    subscription = await edge.live.subscribe(work.tenant_id, wanted, after)
    listening = Listening(edge, work.actor, credential, wanted, subscription)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_speak(request, listening), media_type="text/event-stream", headers=headers)


async def _speak(request: AnyRequest, listening: Listening) -> AsyncIterator[bytes]:
    """The bytes of the stream."""
    subscription = listening.subscription
    try:
        yield b": welcome\nretry: %d\n%s" % (_RETRY_MS, _at(subscription.position))
        async for parcels in listening.parcels():
            if parcels:
                yield b"".join([parcel.spell("sse", _spell) for parcel in parcels])
            else:
                yield b": keep-alive\n" + _at(subscription.position)
    except RoadsteadError as error:
        yield b"event: error\ndata: %s\n\n" % msgspec.json.encode(problem_of(request, error))
    finally:
        await subscription.close()


def _at(position: Position) -> bytes:
    """An id without an event: a browser that reconnects sends it, and nothing is dispatched."""
    return b"id: %s\n\n" % str(position).encode()


def _spell(event: Event) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        str(event.position).encode(),
        name_of(event).encode(),
        data_of(event),
    )


router = Router("/v1/stream", route_handlers=[listen, listen_by_websocket, upgrade_to_websocket], tags=["readings"])
