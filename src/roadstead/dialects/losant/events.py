"""/applications/{applicationId}/events: events that somebody works on (contract section 13)."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import PathParameter

from roadstead.core import events, jobs, rules
from roadstead.core.events import Event
from roadstead.core.registry import Space
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import (
    SUCCESS,
    Listing,
    collection,
    queued,
    read_listing,
    read_structure,
    single,
)
from roadstead.dialects.losant.event_jobs import CHANGING, DELETING, EXPORTING, Asker, Changing, Deleting, Exporting
from roadstead.dialects.losant.event_shapes import Asked, EventBody, EventPatchBody, spell_events
from roadstead.dialects.losant.schemas import read_body
from roadstead.dialects.losant.throttles import Throttle, throttle
from roadstead.kernel.errors import NotFound
from roadstead.kernel.filter import And
from roadstead.kernel.ids import parse_hex24, to_hex24
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

_PLACE = "/applications/{applicationId:str}/events"
_SORTS = {
    "subject": "subject",
    "id": "id",
    "creationDate": "occurredAt",
    "lastUpdated": "updatedAt",
    "level": "level",
    "state": "status",
    "deviceId": "deviceId",
}
_DELETED_AT_ONCE = 1_000
"""By one request; more are work for a job."""
EventPath = Annotated[str, PathParameter(name="eventId")]


@get(_PLACE, operation_id="events.get")
async def list_events(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """A page of them, newest first unless told otherwise."""
    listing = _read_listing(request)
    asked = _read_asked(request, listing)
    sort = f"{'-' if listing.descending else ''}{_SORTS[listing.sort_field]}"
    found = await events.list_incidents(work, application.id, asked.where(), sort=sort, page=listing.query)
    # A page of none was asked for to know how many there are.
    shown = await _spell_all(request, work, application, found.items[: listing.per_page])
    more = {"state": asked.state, "query": asked.query}
    return collection(request, "events", shown, listing, found.total or 0, more=more, applicationId=application.id)


@post(_PLACE, operation_id="events.post", status_code=201)
async def create_event(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Makes one."""
    throttle(request, Throttle.EVENT, application.id)
    body = read_as(await read_body(request, "eventPost"), EventBody)
    event = await events.create_event(work, body.draft(application.id))
    return await _answer(request, work, application, event)


@patch(_PLACE, operation_id="events.patch", status_code=200)
async def change_events(request: AnyRequest, work: Work, application: Space) -> Response[dict[str, Any]]:
    """Does the same to all that are meant; those that cannot go this way stay as they are."""
    sent = await read_body(request, "eventPatch")
    asked = _read_asked(request, _read_listing(request))
    change, where = read_as(sent, EventPatchBody).change(), asked.where()
    found = await rules.pick_incidents(work, application.id, where, limit=rules.MAX_INCIDENTS + 1)
    if len(found) <= rules.MAX_INCIDENTS:
        await rules.change_incidents(work, application.id, found, change)
        return Response(SUCCESS)
    task = Changing(asked=asked, change=sent, asker=Asker.of(work))
    return await _queue(request, work, application, CHANGING, task, "Events: Update")


@post(f"{_PLACE}/delete", operation_id="events.delete", status_code=200)
async def delete_events(request: AnyRequest, work: Work, application: Space) -> Response[dict[str, Any]]:
    """Forgets all that the query of the body means."""
    asked = Asked(query=await read_body(request, "advancedEventQuery"))
    found = await rules.pick_incidents(work, application.id, asked.where(), limit=_DELETED_AT_ONCE + 1)
    if len(found) <= _DELETED_AT_ONCE:
        removed = await rules.delete_incidents(work, application.id, asked.where(), limit=_DELETED_AT_ONCE)
        return Response({"removed": removed})
    task = Deleting(asked=asked, asker=Asker.of(work))
    return await _queue(request, work, application, DELETING, task, "Events: Delete")


@post(f"{_PLACE}/export", operation_id="events.export", status_code=202)
async def export_events(request: AnyRequest, work: Work, application: Space) -> Response[dict[str, Any]]:
    """Has a file made of all that the query means."""
    sent = await read_body(request, "eventsExport")
    task = Exporting(
        asked=Asked(query=sent.get("query")),
        format=sent.get("format", "csv"),
        without_updates=sent.get("excludeUpdates", False),
    )
    # The job may read everything: whether whoever asks may is asked here.
    await events.count_incidents(work, application.id, task.asked.where())
    job_id = await jobs.enqueue(
        work,
        EXPORTING,
        msgspec.to_builtins(task),
        space_id=application.id,
        name="Events: Export",
        email=sent.get("email"),
        callback_url=sent.get("callbackUrl"),
        shown=task.asked.shown(),
        alone=True,
    )
    return queued(job_id)


@get(f"{_PLACE}/mostRecentBySeverity", operation_id="events.mostRecentBySeverity")
async def get_worst(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """Of those that are new the worst, the newest of several, and how many are new."""
    query = read_structure(request, "query", "advancedEventQuery")
    asked = Asked(query=query, filter=request.query_params.get("filter") or None)
    where = And((Asked(state="new").where(), asked.where()))
    worst = await events.find_worst(work, application.id, where)
    count = await events.count_incidents(work, application.id, where)
    shown = {} if worst is None else {"event": await _answer(request, work, application, worst)}
    return {**shown, "newCount": count, "applicationId": to_hex24(application.id), "_type": "eventPlusNewCount"}


@get(_PLACE + "/{eventId:str}", operation_id="event.get")
async def get_event(request: AnyRequest, work: Work, application: Space, event_id: EventPath) -> dict[str, Any]:
    """One of them, with its time line."""
    event = await events.get_incident(work, application.id, _read_id(event_id))
    return await _answer(request, work, application, event)


@patch(_PLACE + "/{eventId:str}", operation_id="event.patch")
async def change_event(request: AnyRequest, work: Work, application: Space, event_id: EventPath) -> dict[str, Any]:
    """Changes one, or says something about it."""
    body = read_as(await read_body(request, "eventPatch"), EventPatchBody)
    event = await rules.change_incident(work, application.id, _read_id(event_id), body.change())
    return await _answer(request, work, application, event)


@delete(_PLACE + "/{eventId:str}", operation_id="event.delete", status_code=200)
async def delete_event(work: Work, application: Space, event_id: EventPath) -> dict[str, Any]:
    """Forgets one."""
    await rules.delete_incident(work, application.id, _read_id(event_id))
    return SUCCESS


async def _answer(request: AnyRequest, work: Work, application: Space, event: Event) -> dict[str, Any]:
    [shown] = await _spell_all(request, work, application, [event])
    return shown


async def _spell_all(request: AnyRequest, work: Work, application: Space, found: list[Event]) -> list[dict[str, Any]]:
    spelled = await spell_events(work, found)
    return [
        single(request, "event", event.id, fields, applicationId=application.id)
        for event, fields in zip(found, spelled, strict=True)
    ]


async def _queue(
    request: AnyRequest, work: Work, application: Space, kind: str, task: Changing | Deleting, name: str
) -> Response[dict[str, Any]]:
    job_id = await jobs.enqueue(
        work,
        kind,
        msgspec.to_builtins(task),
        space_id=application.id,
        name=name,
        email=request.query_params.get("email") or None,
        callback_url=request.query_params.get("callbackUrl") or None,
        shown=task.asked.shown(),
    )
    return queued(job_id)


def _read_listing(request: AnyRequest) -> Listing:
    return read_listing(request, tuple(_SORTS), sort="creationDate", direction="desc", filter_fields=("subject",))


def _read_asked(request: AnyRequest, listing: Listing) -> Asked:
    query = read_structure(request, "query", "advancedEventQuery")
    return Asked(query=query, state=request.query_params.get("state") or None, filter=listing.filter)


def _read_id(text: str) -> UUID:
    id_ = parse_hex24(text)
    if id_ is None:
        raise NotFound("Event")
    return id_


handlers = [
    list_events,
    create_event,
    change_events,
    delete_events,
    export_events,
    get_worst,
    get_event,
    change_event,
    delete_event,
]
