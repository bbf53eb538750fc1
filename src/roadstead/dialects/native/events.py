"""/events: the log of what has happened."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import events
from roadstead.core.events import Event, EventDraft, EventOutcome, EventQuery, EventSource, Lifecycle
from roadstead.core.messages import Severity
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.problems import Problem, problem_of
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.dialects.native.spans import read_instant
from roadstead.kernel.errors import Invalid, RoadsteadError
from roadstead.kernel.ids import DeviceId, SensorId, SiteId
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

EventPath = Annotated[str, PathParameter(name="id")]
From = Annotated[str | None, QueryParameter(name="from", format="date-time", description="inclusive")]
To = Annotated[str | None, QueryParameter(name="to", format="date-time", description="exclusive")]
Types = Annotated[
    list[str] | None, QueryParameter(name="type", description="repeatable; with * at the end: what a type begins with")
]


class LifecycleShape(Shape):
    """What was done about an event that needs work."""

    status: str
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None

    @classmethod
    def of(cls, lifecycle: Lifecycle) -> "LifecycleShape":
        return cls(
            status=lifecycle.status,
            acknowledged_at=lifecycle.acknowledged_at,
            acknowledged_by=spell_id(lifecycle.acknowledged_by),
            resolved_at=lifecycle.resolved_at,
            resolved_by=spell_id(lifecycle.resolved_by),
        )


class EventShape(Shape, kw_only=True):
    """Contract schema `Event`; there are no captures yet."""

    id: str
    type: str
    source: str
    severity: str
    message: str
    device_id: str | None = None
    component_id: str | None = None
    sensor_id: str | None = None
    site_id: str | None = None
    occurred_at: datetime
    data: dict[str, Any] | None = None
    lifecycle: LifecycleShape | None = None
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> "EventShape":
        return cls(
            id=str(event.id),
            type=event.type,
            source=event.source,
            severity=event.severity,
            message=event.message,
            device_id=spell_id(event.device_id),
            component_id=spell_id(event.component_id),
            sensor_id=spell_id(event.sensor_id),
            site_id=spell_id(event.site_id),
            occurred_at=event.occurred_at,
            data=event.data,
            lifecycle=LifecycleShape.of(event.lifecycle) if event.lifecycle else None,
            created_at=event.created_at,
        )


class EventBody(Body, kw_only=True):
    """Contract schema `EventInput`."""

    type: Annotated[str, Meta(min_length=1, max_length=80)]
    severity: Severity = Severity.INFO
    message: Annotated[str, Meta(min_length=1, max_length=2_000)]
    device_id: str | None = None
    sensor_id: str | None = None
    site_id: str | None = None
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None
    data: dict[str, Any] | None = None
    requires_action: bool = False

    def draft(self) -> EventDraft:
        """In words of the core."""
        return EventDraft(
            type=self.type,
            severity=self.severity,
            message=self.message,
            device_id=None if self.device_id is None else DeviceId(read_reference(self.device_id, "/deviceId")),
            sensor_id=None if self.sensor_id is None else SensorId(read_reference(self.sensor_id, "/sensorId")),
            site_id=None if self.site_id is None else SiteId(read_reference(self.site_id, "/siteId")),
            occurred_at=self.occurred_at,
            data=self.data,
            requires_action=self.requires_action,
        )


class EventLineShape(Shape, kw_only=True):
    """One line of contract schema `BulkResult`."""

    index: int
    id: str | None = None
    status: int
    resource: EventShape | None = None
    problem: Problem | None = None


class EventResultsShape(Shape, kw_only=True):
    """Contract schema `BulkResult`."""

    succeeded: int
    failed: int
    results: list[EventLineShape]


@get("/", operation_id="event.list")
async def list_events(
    work: Work,
    page: PageQuery,
    sort: Annotated[str | None, QueryParameter(description="occurredAt; -occurredAt (default) descends")] = None,
    types: Types = None,
    source: EventSource | None = None,
    severity: Annotated[list[Severity] | None, QueryParameter(description="repeatable")] = None,
    device_id: Annotated[UUID | None, QueryParameter(name="deviceId")] = None,
    sensor_id: Annotated[UUID | None, QueryParameter(name="sensorId")] = None,
    site_id: Annotated[UUID | None, QueryParameter(name="siteId", description="there or below")] = None,
    start: From = None,
    end: To = None,
    q: Annotated[
        str | None, QueryParameter(description="words that begin words of the message", max_length=200)
    ] = None,
) -> PageShape[EventShape]:
    """The generic event log of the organization."""
    query = EventQuery(
        types=types or (),
        source=source,
        severities=severity or (),
        device_id=None if device_id is None else DeviceId(device_id),
        sensor_id=None if sensor_id is None else SensorId(sensor_id),
        site_id=None if site_id is None else SiteId(site_id),
        occurred_from=read_instant(start, "from"),
        occurred_before=read_instant(end, "to"),
        text=q,
    )
    return page_shape(await events.list_events(work, query, sort=sort, page=page), page, EventShape.of)


@post(
    "/",
    operation_id="event.create",
    status_code=201,
    responses={207: ResponseSpec(EventResultsShape, generate_examples=False)},
)
@idempotent
async def create_event(
    request: AnyRequest, work: Work, data: EventBody | Annotated[list[EventBody], Meta(min_length=1, max_length=500)]
) -> Response[EventShape | EventResultsShape]:
    """Records an event from outside; an array of up to 500 is accepted, and answered item by item."""
    if isinstance(data, EventBody):
        event = await events.create_event(work, data.draft())
        return Response(EventShape.of(event), status_code=201, headers={"Location": f"/api/v1/events/{event.id}"})
    lines = await _create_many(request, work, data)
    failed = sum(line.problem is not None for line in lines)
    shape = EventResultsShape(succeeded=len(lines) - failed, failed=failed, results=lines)
    return Response(shape, status_code=HTTPStatus.MULTI_STATUS if failed else HTTPStatus.CREATED)


async def _create_many(request: AnyRequest, work: Work, bodies: Sequence[EventBody]) -> list[EventLineShape]:
    drafts: list[EventDraft] = []
    errors: dict[int, RoadsteadError] = {}
    for index, body in enumerate(bodies):
        try:
            drafts.append(body.draft())
        except Invalid as error:
            errors[index] = error
    made = iter(await events.create_events(work, drafts))
    return [
        _spell_line(request, index, errors[index] if index in errors else next(made)) for index in range(len(bodies))
    ]


def _spell_line(request: AnyRequest, index: int, outcome: EventOutcome | RoadsteadError) -> EventLineShape:
    error = outcome if isinstance(outcome, RoadsteadError) else outcome.error
    if isinstance(error, RoadsteadError):
        problem = problem_of(request, error)
        return EventLineShape(index=index, status=problem.status, problem=problem)
    event = outcome.event if isinstance(outcome, EventOutcome) else None
    assert event is not None
    return EventLineShape(index=index, id=str(event.id), status=201, resource=EventShape.of(event))


@get("/{id:str}", operation_id="event.get")
async def get_event(work: Work, event_id: EventPath) -> EventShape:
    """One event with its life cycle."""
    return EventShape.of(await events.get_event(work, read_id(event_id, "event")))


@post("/{id:str}/acknowledge", operation_id="event.acknowledge", status_code=200)
async def acknowledge_event(work: Work, event_id: EventPath) -> EventShape:
    """ACTIVE to ACKNOWLEDGED, for an event that was recorded with requiresAction; again is no change."""
    return EventShape.of(await events.acknowledge_event(work, read_id(event_id, "event")))


@post("/{id:str}/resolve", operation_id="event.resolve", status_code=200)
async def resolve_event(work: Work, event_id: EventPath) -> EventShape:
    """ACTIVE or ACKNOWLEDGED to RESOLVED, for an event that was recorded with requiresAction."""
    return EventShape.of(await events.resolve_event(work, read_id(event_id, "event")))


@get("/", operation_id="device.events")
async def list_device_events(
    work: Work,
    page: PageQuery,
    device: EventPath,
    start: From = None,
    end: To = None,
    types: Types = None,
) -> PageShape[EventShape]:
    """Events of the device, newest first."""
    query = EventQuery(
        types=types or (), occurred_from=read_instant(start, "from"), occurred_before=read_instant(end, "to")
    )
    found = await events.list_device_events(work, DeviceId(read_id(device, "device")), query, page)
    return page_shape(found, page, EventShape.of)


def spell_id(id_: UUID | None) -> str | None:
    """An id, if there is one."""
    return None if id_ is None else str(id_)


router = Router(
    "/v1/events",
    route_handlers=[list_events, create_event, get_event, acknowledge_event, resolve_event],
    tags=["alerting"],
)
device_router = Router("/v1/devices/{id:str}/events", route_handlers=[list_device_events], tags=["devices"])
