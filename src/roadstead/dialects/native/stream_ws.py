"""GET /stream/ws: the live stream over a WebSocket, for programs to which server-sent events do not come easy.

Each message is a JSON array of `{"type", "id", "data"}`, with the types and data of the server-sent events, and of
`{"type": "position", "id"}` every 15 seconds in which nothing else was said. `cursor` goes on after an id.
A browser, which cannot send a header, offers the subprotocols `roadstead.v1` and `bearer.<token>`.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import QueryParameter

from roadstead.core import streams
from roadstead.core.streams import Event, Position, read_position
from roadstead.core.work import Work
from roadstead.dialects.native.listening import Listening, data_of, identify, name_of, read_wish
from roadstead.dialects.native.problems import FieldErrorShape, spell_field, status_of
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.errors import Invalid, PreconditionFailed, RoadsteadError, Unauthenticated
from roadstead.kernel.ids import new_id
from roadstead.web.addresses import address_in
from roadstead.web.edge import Edge
from roadstead.web.listening import STALL_S, until_one_ends

PROTOCOL = "roadstead.v1"
_BEARER = "bearer."
_REPEATABLE = frozenset({"deviceId", "sensorId"})
_PARAMETERS = frozenset({"topics", "siteId", "cursor"}) | _REPEATABLE
_NOTHING_EXPECTED = 1003
_CODES = 4000
"""A socket is closed with this much more than the status that the same failure has in HTTP."""

AnySocket = WebSocket[Any, Any, Any]


class ErrorShape(Shape, kw_only=True):
    """Data of a message `error`, the last before the socket is closed."""

    status: int
    code: str
    detail: str
    errors: list[FieldErrorShape] | None = None


@get("/ws", operation_id="stream.ws", status_code=101)
async def upgrade_to_websocket(
    work: Work,
    topics: Annotated[str, QueryParameter(description="comma list of reading, device")],
    device_id: Annotated[list[str] | None, QueryParameter(name="deviceId", description="repeatable")] = None,
    sensor_id: Annotated[list[str] | None, QueryParameter(name="sensorId", description="repeatable")] = None,
    site_id: Annotated[str | None, QueryParameter(name="siteId", description="with the sites below it")] = None,
    cursor: Annotated[str | None, QueryParameter(description="go on after the event with this id")] = None,
) -> None:
    """The same as `stream` over a WebSocket: arrays of `{type, id, data}`. Without an upgrade it is refused."""
    await streams.open_filter(work, read_wish(topics, device_id or (), sensor_id or (), site_id))
    if cursor:
        read_position(cursor, name="cursor", place="query")
    raise PreconditionFailed("this is a WebSocket: ask for an upgrade", code="upgrade-required")


@websocket("/ws")
async def listen_by_websocket(socket: AnySocket) -> None:
    """Tell events until either side has had enough. What is refused is told in the socket, then it is closed."""
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocols=PROTOCOL if PROTOCOL in offered else None)
    try:
        listening = await _open(socket, offered)
        try:
            await until_one_ends(_speak(socket, listening), _hear(socket))
        finally:
            await listening.subscription.close()
    except RoadsteadError as error:
        await _refuse(socket, error)
    except (WebSocketDisconnect, TimeoutError):
        return


async def _open(socket: AnySocket, offered: Sequence[str]) -> Listening:
    edge: Edge = socket.app.state.edge
    given = _read_parameters(socket)
    credential = _read_credential(socket, offered)
    address = address_in(socket.scope, edge.trusted_proxies)
    actor = await identify(edge, credential, address, str(new_id()))
    edge.limits.callers.take(str(actor.id))
    cursor = next(iter(given.get("cursor", [])), None)
    after = read_position(cursor, name="cursor", place="query") if cursor else None
    site = next(iter(given.get("siteId", [])), None)
    topics = next(iter(given.get("topics", [])), "")
    async with edge.tenant_database.tx(actor.tenant_id) as tx:
        wish = read_wish(topics, given.get("deviceId", []), given.get("sensorId", []), site)
        wanted = await streams.open_filter(Work(actor, tx, edge.ports), wish)
    subscription = await edge.live.subscribe(actor.tenant_id, wanted, after)
    return Listening(edge, actor, credential, wanted, subscription)


def _read_parameters(socket: AnySocket) -> dict[str, list[str]]:
    given: dict[str, list[str]] = socket.query_params.dict()
    for name, values in given.items():
        if name not in _PARAMETERS:
            raise Invalid.field(name, "is not a parameter of this operation", code="unknown-parameter", place="query")
        if len(values) > 1 and name not in _REPEATABLE:
            raise Invalid.field(name, "may be given once", place="query")
    return given


def _read_credential(socket: AnySocket, offered: Sequence[str]) -> str:
    scheme, _, credential = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip():
        return credential.strip()
    for protocol in offered:
        if protocol.startswith(_BEARER):
            return protocol.removeprefix(_BEARER)
    raise Unauthenticated("send 'Authorization: Bearer', or offer the subprotocols roadstead.v1 and bearer.<token>")


async def _speak(socket: AnySocket, listening: Listening) -> None:
    await _send(socket, _spell_position(listening.subscription.position))
    async for parcels in listening.parcels():
        if parcels:
            text = b"".join([parcel.spell("ws", _spell) for parcel in parcels])
            await _send(socket, b"[%s]" % text[:-1])
        else:
            await _send(socket, _spell_position(listening.subscription.position))


async def _hear(socket: AnySocket) -> None:
    """Raises `WebSocketDisconnect` when the other side goes. Whoever speaks to us has mistaken us for another."""
    await socket.receive_data("text")
    await socket.close(_NOTHING_EXPECTED, "this socket only speaks")


async def _refuse(socket: AnySocket, error: RoadsteadError) -> None:
    status = status_of(error)
    shape = ErrorShape(
        status=status,
        code=error.code,
        detail=str(error),
        errors=[spell_field(field) for field in error.fields] or None,
    )
    try:
        await _send(socket, b'[{"type":"error","data":%s}]' % msgspec.json.encode(shape))
        # A reason may have 123 bytes (RFC 6455 section 5.5).
        await socket.close(_CODES + status, str(error).encode()[:123].decode(errors="ignore"))
    except (WebSocketDisconnect, TimeoutError):
        return


async def _send(socket: AnySocket, text: bytes) -> None:
    async with asyncio.timeout(STALL_S):
        await socket.send_data(text.decode(), mode="text")


def _spell_position(position: Position) -> bytes:
    return b'[{"type":"position","id":"%s"}]' % str(position).encode()


def _spell(event: Event) -> bytes:
    return b'{"type":"%s","id":"%s","data":%s},' % (
        name_of(event).encode(),
        str(event.position).encode(),
        data_of(event),
    )
