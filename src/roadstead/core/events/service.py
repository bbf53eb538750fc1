"""What can be done with events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import registry
from roadstead.core.events import incident_store, store
from roadstead.core.events.incident_model import Changed, EventUpdate, shifted
from roadstead.core.events.incidents import advanced, update_by
from roadstead.core.events.model import (
    Event,
    EventDraft,
    EventOutcome,
    EventQuery,
    EventSource,
    Lifecycle,
    LifecycleStatus,
    check_data,
    source_of,
)
from roadstead.core.messages import EventRaised
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, FieldProblem, Invalid, NotFound, RoadsteadError
from roadstead.kernel.filter import And, Compare, Exists, Filter, In, Operator, Or, equals, starts_with
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import Page, PageQuery

MAX_EVENTS = 500
"""How many a request may write down."""
MAX_DEVICES = 10_000
"""How many a query may be about, unless it is about all of the organization."""


@operation(Grant.EVENTS_READ)
async def list_events(work: Work, query: EventQuery, *, sort: str | None = None, page: PageQuery) -> Page[Event]:
    """Events, sorted by `occurredAt`, newest first unless told otherwise."""
    return await store.list_events(work.tx, await _filter(work, query), sort, page)


@operation(Grant.EVENTS_READ)
async def list_device_events(work: Work, device_id: DeviceId, query: EventQuery, page: PageQuery) -> Page[Event]:
    """Events of one device, newest first. `NotFound` when there is no such device."""
    await registry.load_device(work, device_id)
    where = And((equals("deviceId", device_id), await _filter(work, query)))
    return await store.list_events(work.tx, where, None, page)


@operation(Grant.EVENTS_READ)
async def search_events(
    work: Work, devices: Filter | None, where: Filter, *, sort: str | None = None, page: PageQuery
) -> Page[Event]:
    """Events of the devices that a filter is true for (None: of any device) that another one is true for.

    Fields of events are those of `EventQuery`, `data/...`, `acknowledgedAt`, `acknowledgedBy` and `acknowledgedData`.
    """
    if devices is None:
        return await store.list_events(work.tx, And((Exists(("deviceId",)), where)), sort, page)
    ids = await registry.load_device_ids(work, devices, limit=MAX_DEVICES + 1)
    if len(ids) > MAX_DEVICES:
        raise Invalid(f"a query may be about {MAX_DEVICES} devices: ask for fewer")
    return await store.list_events(work.tx, And((In(("deviceId",), tuple(ids)), where)), sort, page)


@operation(Grant.EVENTS_READ)
async def get_event(work: Work, event_id: UUID) -> Event:
    """One event."""
    event = await store.select_event(work.tx, event_id)
    if event is None:
        raise NotFound("event", event_id)
    return event


@operation(Grant.EVENTS_WRITE)
async def create_event(work: Work, draft: EventDraft) -> Event:
    """Write an event down. Its source follows from who says it."""
    return await _write(work, draft)


@operation(Grant.EVENTS_WRITE)
async def create_events(work: Work, drafts: Sequence[EventDraft]) -> list[EventOutcome]:
    """Write several down; one that is wrong does not keep the others from it. `Invalid` for more than 500."""
    if len(drafts) > MAX_EVENTS:
        raise Invalid.field("", f"a request may have {MAX_EVENTS} events", code="too-large")
    outcomes = []
    for draft in drafts:
        try:
            outcomes.append(EventOutcome(event=await _write(work, draft)))
        except RoadsteadError as error:
            outcomes.append(EventOutcome(error=error))
    return outcomes


@operation(Grant.EVENTS_WRITE)
async def acknowledge_event(work: Work, event_id: UUID) -> Event:
    """Somebody is at it: ACTIVE to ACKNOWLEDGED. Again is no change."""
    return await _advance(work, event_id, LifecycleStatus.ACKNOWLEDGED)


@operation(Grant.EVENTS_WRITE)
async def resolve_event(work: Work, event_id: UUID) -> Event:
    """It is done: ACTIVE or ACKNOWLEDGED to RESOLVED."""
    return await _advance(work, event_id, LifecycleStatus.RESOLVED)


@operation(Grant.EVENTS_WRITE)
async def note_acknowledgement(work: Work, event_id: UUID, data: Mapping[str, Any] | None) -> Event:
    """Somebody has seen it, and says this about it. What is ACTIVE becomes ACKNOWLEDGED; again is no change."""
    before = await store.select_event(work.tx, event_id, lock=True)
    if before is None:
        raise NotFound("event", event_id)
    if before.acknowledgement is not None:
        return before
    if before.lifecycle is not None:
        _check_advance(before)
    problems = [] if data is None else check_data(data)
    if problems:
        raise Invalid(f"data: {problems[0].detail}", fields=problems)
    await store.update_acknowledgement(work.tx, event_id, at=work.now(), by=work.actor.id, data=data)
    after = await get_event(work, event_id)
    if before.lifecycle is not None and after.lifecycle is not None:
        changed = Changed(status=shifted(before.lifecycle.status, after.lifecycle.status))
        update = update_by(work, data=None if data is None else dict(data), changed=changed)
        await incident_store.insert_updates(work.tx, [(event_id, update)])
    work.record("event.acknowledge", event_id)
    work.emit(EventRaised(event_id, after.device_id))
    return after


def _check_advance(event: Event) -> None:
    """Raises `Conflict` for what follows an alert, or is over."""
    if event.source is EventSource.ALERT_RULE:
        raise Conflict("this event belongs to an alert, and follows what is done there", code="invalid-state")
    if event.lifecycle is not None and event.lifecycle.status is LifecycleStatus.RESOLVED:
        raise Conflict("the event is RESOLVED", code="invalid-state")


async def _advance(work: Work, event_id: UUID, status: LifecycleStatus) -> Event:
    before = await store.select_event(work.tx, event_id, lock=True)
    if before is None:
        raise NotFound("event", event_id)
    if before.lifecycle is None:
        raise Conflict("the event needs no action", code="invalid-state")
    _check_advance(before)
    if before.lifecycle.status is status:
        return before
    await store.update_lifecycles(work.tx, [event_id], status, at=work.now(), by=work.actor.id)
    update = update_by(work, changed=Changed(status=shifted(before.lifecycle.status, status)))
    await incident_store.insert_updates(work.tx, [(event_id, update)])
    after = await get_event(work, event_id)
    work.record(f"event.{'acknowledge' if status is LifecycleStatus.ACKNOWLEDGED else 'resolve'}", event_id)
    work.emit(EventRaised(event_id, after.device_id))
    return after


async def _write(work: Work, draft: EventDraft) -> Event:
    now = work.now()
    problems = draft.check(now)
    place = None
    if draft.device_id is not None or draft.sensor_id is not None:
        place = await store.select_place(work.tx, draft.device_id, draft.sensor_id)
        if place is None:
            field = "deviceId" if draft.sensor_id is None else "sensorId"
            detail = "there is none of this id" if draft.sensor_id is None else "there is none of this id on the device"
            problems.append(FieldProblem(f"/{field}", "invalid", detail))
        elif draft.space_id is not None and place.space_id != draft.space_id:
            problems.append(FieldProblem("/deviceId", "invalid", "there is none of this id in the application"))
    if draft.site_id is not None and not await registry.load_sites(work, [draft.site_id]):
        problems.append(FieldProblem("/siteId", "invalid", "there is none of this id"))
    if problems:
        raise Invalid(f"{problems[0].pointer.lstrip('/')}: {problems[0].detail}", fields=problems)
    event = Event(
        id=new_id(),
        type=draft.type,
        source=source_of(work.actor.kind),
        severity=draft.severity,
        message=draft.message,
        device_id=place.device_id if place else None,
        component_id=place.component_id if place else None,
        sensor_id=draft.sensor_id,
        site_id=draft.site_id or (place.site_id if place else None),
        occurred_at=draft.occurred_at or now,
        data=draft.data,
        lifecycle=_begin(work, draft.status) if draft.requires_action else None,
        created_at=now,
        created_by=work.actor.id,
        space_id=draft.space_id or (place.space_id if place else None),
        subject=draft.subject,
        is_error=draft.is_error,
        created_by_name=work.actor.name,
        tracks_tags=draft.tracks_tags,
        tags=dict(draft.tags),
        notes=dict(draft.notes),
    )
    await store.insert_events(work.tx, [event])
    work.record("event.create", event.id, after=event)
    work.emit(EventRaised(event.id, event.device_id, event.type))
    return event


def _begin(work: Work, status: LifecycleStatus) -> Lifecycle:
    first = Lifecycle(status=LifecycleStatus.ACTIVE)
    return first if status is LifecycleStatus.ACTIVE else advanced(work, first, status)


async def _filter(work: Work, query: EventQuery) -> Filter:
    parts: list[Filter] = []
    if query.types:
        parts.append(Or(tuple(_type(type_) for type_ in query.types)))
    if query.source is not None:
        parts.append(equals("source", query.source.value))
    if query.severities:
        parts.append(In(("severity",), tuple(severity.value for severity in query.severities)))
    if query.device_id is not None:
        parts.append(equals("deviceId", query.device_id))
    if query.sensor_id is not None:
        parts.append(equals("sensorId", query.sensor_id))
    if query.site_id is not None:
        parts.append(In(("siteId",), tuple(await registry.sites_below(work, [query.site_id]))))
    if query.occurred_from is not None:
        parts.append(Compare(("occurredAt",), Operator.GE, query.occurred_from))
    if query.occurred_before is not None:
        parts.append(Compare(("occurredAt",), Operator.LT, query.occurred_before))
    if query.text:
        parts.append(store.has_words(query.text))
    return And(tuple(parts))


def _type(wanted: str) -> Filter:
    return starts_with("type", wanted[:-1]) if wanted.endswith("*") else equals("type", wanted)


# --- for the rooms above ---------------------------------------------------------------------------------------------


async def write_events(work: Work, events: Sequence[Event]) -> None:
    """Write down what a room above has seen, and tell listeners. Without asking for rights."""
    if events:
        await store.insert_events(work.tx, events)
    for event in events:
        work.emit(EventRaised(event.id, event.device_id, event.type))


async def load_events(work: Work, event_ids: Sequence[UUID]) -> list[Event]:
    """Those of these events that are there, in no order. Without asking for rights."""
    return await store.select_events(work.tx, event_ids)


async def follow_alert(
    work: Work, event_id: UUID, status: LifecycleStatus | None, *, at: datetime, by: UUID | None, comment: str | None
) -> None:
    """The event of an alert goes where its alert has gone (None: nowhere), and its time line tells what was said.

    Without asking for rights; `by` is None when a rule has seen that it is over.
    """
    event = await store.select_event(work.tx, event_id, lock=True)
    if event is None or event.lifecycle is None:
        return
    changed = Changed()
    if status is None:
        await incident_store.update_incident(work.tx, msgspec.structs.replace(event, updated_at=at))
    else:
        await store.update_lifecycles(work.tx, [event_id], status, at=at, by=by)
        changed = Changed(status=shifted(event.lifecycle.status, status))
    if by is None:
        update = EventUpdate(
            at=work.now(), source=EventSource.ALERT_RULE, actor_id=None, actor_name="", comment=comment, changed=changed
        )
    else:
        update = update_by(work, comment=comment, changed=changed)
    await incident_store.insert_updates(work.tx, [(event_id, update)])
