"""The WebSockets of live streams: one text frame for each update, one way (contract section 17)."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect

from roadstead.core import streams
from roadstead.core.identity import Permission
from roadstead.core.streams import Event, Gap, OccurrenceEvent, Position, ReportEvent, Subscription, TooSlow
from roadstead.core.types import Section
from roadstead.core.work import Entry, Work
from roadstead.dialects.lightelligence.edge import authenticate, check_permissions
from roadstead.dialects.lightelligence.errors import Failure, Service, spell_error
from roadstead.dialects.lightelligence.streaming_bodies import Kind, Update, read_connection
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Forbidden, PreconditionFailed, RoadsteadError, Unavailable
from roadstead.kernel.ids import new_id
from roadstead.kernel.time import from_millis, spell_instant
from roadstead.web.addresses import address_in
from roadstead.web.edge import AnyRequest, Edge
from roadstead.web.limits import caller_at
from roadstead.web.listening import STALL_S, follow, until_one_ends

log = structlog.get_logger()

_POLICY, _TRY_AGAIN = 1008, 1013
_GOODBYES = frozenset({1000, 1001, 1005})
"""Codes with which the other side closes because it wants to (RFC 6455 section 7.4)."""
_KEEP_EVERY_S = 5.0
_SAMPLE_S = 0.5
_GOODBYE_S = 1.0
"""What was sent so shortly before the other side has closed may have crossed its word on the way."""
_UNSURE_S = 45.0
"""So long it may take until a connection that is dead is found to be; what was sent meanwhile is sent again."""

AnySocket = WebSocket[Any, Any, Any]


class Progress:
    """How far a buffered stream has come, and how much of that the other side has got for sure."""

    def __init__(self, position: Position, now: float) -> None:
        self._samples = deque([(now - _UNSURE_S, position)])
        """What had been sent at some times."""

    def note(self, position: Position, now: float) -> None:
        """Everything up to here has been sent."""
        if now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, position))
        while len(self._samples) > 1 and self._samples[1][0] <= now - _UNSURE_S:
            self._samples.popleft()

    def sent_before(self, instant: float) -> Position:
        """What had been sent by then."""
        return next((position for at, position in reversed(self._samples) if at <= instant), self._samples[0][1])


class Stream(msgspec.Struct, frozen=True):
    """A stream that was granted."""

    edge: Edge
    actor: Actor
    credential: str
    subscription: Subscription
    buffer: str | None
    """Its name, of a buffered one."""

    async def check(self) -> None:
        """Raises `Unauthenticated` or `Forbidden` when whoever asked for it may not hear it any more."""
        key = f"lightelligence-stream {self.credential} {self.actor.address}"
        actor = await self.edge.vigil.check(key, self._identify)
        if actor.tenant_id != self.actor.tenant_id:
            raise Forbidden("the token is for another tenant by now")

    async def keep(self, position: Position) -> None:
        """The next time, go on from here."""
        if self.buffer is not None:
            with suppress(Unavailable):  # then some is sent once more
                async with self.edge.tenant_database.tx(self.actor.tenant_id) as tx:
                    await streams.keep_buffer(Work(self.actor, tx, self.edge.ports), self.buffer, position)

    async def _identify(self) -> Actor:
        return await identify(self.edge, self.credential, address=self.actor.address, request_id=self.actor.request_id)


async def identify(edge: Edge, credential: str, *, address: str, request_id: str) -> Actor:
    """Who listens, if they still may."""
    bearer = await authenticate(edge, credential, address=address, request_id=request_id)
    check_permissions(bearer, [Permission.DEVICES_STREAMING_READ])
    return bearer.within_tenant()


_PATHS = ["/{token:str}/ws/{kind:str}", "/{token:str}/ws"]
_OPT = {"service": Service.STREAMING, "token": "none"}


@get(_PATHS[0], operation_id="openStream", opt=_OPT, status_code=101)
async def refuse_stream(request: AnyRequest, token: str, kind: str) -> Response[None]:
    """Without an upgrade it is refused; the token stays good."""
    return await _refuse_plain(request, token, kind)


@get(_PATHS[1], operation_id="openStreamDeprecated", opt=_OPT, status_code=101)
async def refuse_stream_deprecated(request: AnyRequest, token: str) -> Response[None]:
    """As above."""
    return await _refuse_plain(request, token, None)


async def _refuse_plain(request: AnyRequest, token: str, kind: str | None) -> Response[None]:
    edge: Edge = request.app.state.edge
    async with edge.system_database.tx() as tx:
        await streams.check_ticket(Entry(tx, edge.ports, address="", request_id=""), token)
    if kind is not None and kind not in list(Kind):
        raise Forbidden(f"there is no stream of the type '{kind}'")
    raise PreconditionFailed("this is a WebSocket: ask for an upgrade")


@websocket(_PATHS)
async def open_stream(socket: AnySocket) -> None:
    """Tell updates until either side has had enough. Whoever may not hear them is answered like over HTTP: 403."""
    edge: Edge = socket.app.state.edge
    try:
        stream = await _open(socket, edge)
    except RoadsteadError as error:
        await _refuse(socket, error)
        return
    loop = asyncio.get_running_loop()
    progress = Progress(stream.subscription.position, loop.time())
    sure_s = _UNSURE_S
    try:
        await stream.keep(stream.subscription.position)
        await socket.accept()
        await until_one_ends(_speak(socket, stream, progress), _hear(socket))
    except RoadsteadError as error:
        await _close(socket, error)
    except WebSocketDisconnect as error:
        sure_s = _GOODBYE_S if error.code in _GOODBYES else _UNSURE_S
    except TimeoutError:
        log.info("listener stalled", tenant=stream.actor.tenant_id)
    finally:
        await stream.subscription.close()
        await stream.keep(progress.sent_before(loop.time() - sure_s))


async def _open(socket: AnySocket, edge: Edge) -> Stream:
    address, request_id = address_in(socket.scope, edge.trusted_proxies), str(new_id())
    token, kind = socket.path_params["token"], socket.path_params.get("kind")
    try:
        async with edge.system_database.tx() as tx:
            entry = Entry(tx, edge.ports, address=address, request_id=request_id)
            ticket = await streams.redeem_ticket(entry, token)
    except Forbidden:
        edge.limits.strangers.take(caller_at(address))
        raise
    body = read_connection(msgspec.json.decode(ticket.request))
    if kind is not None and kind != body.type:
        raise Forbidden(f"the token is for the type '{body.type}'")
    actor = await identify(edge, ticket.credential, address=address, request_id=request_id)
    after = None
    async with edge.tenant_database.tx(actor.tenant_id) as tx:
        work = Work(actor, tx, edge.ports)
        wanted = await streams.open_reports(work, body.wish())
        if ticket.buffer is not None and body.replay_from is None:
            after = await streams.find_buffer(work, ticket.buffer)
    if body.replay_from is not None:
        after = await edge.live.position_at(body.replay_from)
    subscription = await edge.live.subscribe(actor.tenant_id, wanted, after)
    return Stream(edge, actor, ticket.credential, subscription, ticket.buffer)


async def _speak(socket: AnySocket, stream: Stream, progress: Progress) -> None:
    now = asyncio.get_running_loop().time
    kept_at = now()
    async for parcels in follow(stream.edge, stream.subscription, stream.check):
        for parcel in parcels:
            for frame in parcel.spell("lightelligence", spell).splitlines():
                async with asyncio.timeout(STALL_S):
                    await socket.send_data(frame.decode(), mode="text")
        progress.note(stream.subscription.position, now())
        if now() - kept_at > _KEEP_EVERY_S:
            await stream.keep(progress.sent_before(now() - _UNSURE_S))
            kept_at = now()


async def _hear(socket: AnySocket) -> None:
    """Raises `WebSocketDisconnect` when the other side goes. What it says is ignored."""
    while True:
        await socket.receive_data("text")


async def _refuse(socket: AnySocket, error: RoadsteadError) -> None:
    status, code = spell_error(Service.STREAMING, error)
    if "websocket.http.response" not in (socket.scope.get("extensions") or {}):
        await socket.close(_POLICY)
        return
    headers = [(b"content-type", b"application/json")]
    start: Any = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    body: Any = {"type": "websocket.http.response.body", "body": msgspec.json.encode(Failure(str(error), code))}
    await socket.send(start)
    await socket.send(body)


async def _close(socket: AnySocket, error: RoadsteadError) -> None:
    code = _TRY_AGAIN if isinstance(error, TooSlow | Unavailable) else _POLICY
    with suppress(WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(STALL_S):
            # A reason may have 123 bytes (RFC 6455 section 5.5).
            await socket.close(code, str(error).encode()[:123].decode(errors="ignore"))


# --- what is told ----------------------------------------------------------------------------------------------------


class ReportPayload(msgspec.Struct, frozen=True, rename="camel"):
    """Of `attributeUpdate` and `configurationUpdate`."""

    device_id: UUID
    time: str
    value: dict[str, Any]


class EventPayload(msgspec.Struct, frozen=True, rename="camel"):
    """Of `eventUpdate`."""

    device_id: UUID
    type: str
    time: str
    value: dict[str, Any]


class UpdateShape(msgspec.Struct, frozen=True):
    """One frame (contract, `websocket.messages`)."""

    type: Update
    payload: ReportPayload | EventPayload


def spell(event: Event) -> bytes:
    """One line; nothing for what has no words in this dialect."""
    match event.body:
        case ReportEvent(section, device_id, at, value):
            payload = ReportPayload(device_id, spell_instant(from_millis(at)), value)
            update = Update.ATTRIBUTES if section is Section.ATTRIBUTES else Update.CONFIGURATION
            return msgspec.json.encode(UpdateShape(update, payload)) + b"\n"
        case OccurrenceEvent(device_id, type_, at, data):
            told = EventPayload(device_id, type_, spell_instant(at), data or {})
            return msgspec.json.encode(UpdateShape(Update.EVENT, told)) + b"\n"
        case Gap(since):
            log.warning("a buffered stream goes on after a gap: the log was full", since=since)
    return b""
