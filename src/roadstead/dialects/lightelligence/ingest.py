"""/v1/data-ingest and /v1/event-ingest: what a device would send by MQTT, sent in its name (contract section 9)."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, Router, post

from roadstead.core import telemetry
from roadstead.core.identity import Permission
from roadstead.core.telemetry import DocumentMessage, Intake, RefusedItem, TakenMessage
from roadstead.core.work import Work
from roadstead.dialects.lightelligence import topics
from roadstead.dialects.lightelligence.envelopes import read_json
from roadstead.dialects.lightelligence.errors import Service, answer_failure, service_of
from roadstead.dialects.lightelligence.wire import Alias
from roadstead.kernel.ids import DeviceId
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, Edge

_Take = Callable[[Work, Intake, DocumentMessage], Awaitable[TakenMessage]]


class AddressBody(msgspec.Struct, frozen=True, rename="camel"):
    """What of a body says whom it is about; the rest is read as it is when it comes by MQTT."""

    sender_id: UUID | None = None
    device_id: UUID | None = None
    alias: Alias | None = None


@post(
    "/data-ingest",
    operation_id="ingestData",
    status_code=202,
    opt={"service": Service.INGEST, "permissions": [Permission.INGEST_WRITE], "envelope": "ingest"},
)
async def ingest_data(request: AnyRequest, work: Work) -> Response[Any]:
    """Takes a report of attributes or of configuration; accepted means that it is in the log."""
    return await _ingest(request, work, topics.DATA, telemetry.take_document)


@post(
    "/event-ingest",
    operation_id="ingestEvent",
    status_code=202,
    opt={"service": Service.DEVICES, "permissions": [Permission.INGEST_WRITE]},
)
async def ingest_event(request: AnyRequest, work: Work) -> Response[Any]:
    """Takes an event that the type of the device declares."""
    return await _ingest(request, work, topics.EVENTS, telemetry.take_event)


async def _ingest(request: AnyRequest, work: Work, channel: str, take: _Take) -> Response[Any]:
    edge: Edge = request.app.state.edge
    address = read_as(await read_json(request), AddressBody)
    message = DocumentMessage(
        dialect=topics.DIALECT,
        channel=channel,
        payload=await request.body(),
        device_id=DeviceId(address.device_id) if address.device_id else None,
        alias=address.alias,
        sender_id=DeviceId(address.sender_id) if address.sender_id else None,
    )
    taken = await take(work, edge.intake, message)
    if taken.refused:
        # Not raised but answered: the line in diagnostics shall stay.
        return answer_failure(request, 400, service_of(request).codes.invalid, _tell(taken.refused))
    await edge.uplinks.put(taken.uplink)
    return Response(b"", status_code=202)


def _tell(refused: list[RefusedItem]) -> str:
    first = refused[0].refusal
    return "; ".join(problem.detail for problem in first.problems) or first.detail


router = Router("/v1", route_handlers=[ingest_data, ingest_event])
