"""What can be done with events that need work, in the space they belong to."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core.events import incident_store, store
from roadstead.core.events.incident_model import (
    Changed,
    DeviceShift,
    EventUpdate,
    IncidentChange,
    check_way,
    shifted,
    shifted_tags,
)
from roadstead.core.events.model import Event, Lifecycle, LifecycleStatus, source_of
from roadstead.core.messages import EventRaised
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import NOBODY, Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import And, Exists, Filter, equals
from roadstead.kernel.ids import DeviceId, SpaceId
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.EVENTS_READ)
async def list_incidents(
    work: Work, space_id: SpaceId, where: Filter, *, sort: str | None = None, page: PageQuery
) -> Page[Event]:
    """Those of a space that a filter is true for, newest first unless told otherwise. Fields as in `search_events`,
    and `status`, `isError`, `subject`, `updatedAt`, `sourceId`, `tags/...`, `tagKey`, `tagValue`."""
    return await store.list_events(work.tx, _within(space_id, where), sort, page)


@operation(Grant.EVENTS_READ)
async def get_incident(work: Work, space_id: SpaceId, event_id: UUID) -> Event:
    """One of a space."""
    return await load_incident(work, space_id, event_id)


@operation(Grant.EVENTS_READ)
async def count_incidents(work: Work, space_id: SpaceId, where: Filter) -> int:
    """How many of a space a filter is true for."""
    return await incident_store.count_events(work.tx, _within(space_id, where))


@operation(Grant.EVENTS_READ)
async def find_worst(work: Work, space_id: SpaceId, where: Filter) -> Event | None:
    """Of those that a filter is true for the worst, the newest of several."""
    return await incident_store.select_worst(work.tx, _within(space_id, where))


@operation(Grant.EVENTS_READ)
async def list_updates(work: Work, event_ids: Sequence[UUID]) -> dict[UUID, list[EventUpdate]]:
    """The time lines of these events, oldest entry first; those without one are left out."""
    return await incident_store.select_updates(work.tx, event_ids)


# --- for the rooms above, which ask for rights -----------------------------------------------------------------------


async def load_incident(work: Work, space_id: SpaceId, event_id: UUID, *, lock: bool = False) -> Event:
    """One of a space; with `lock` nobody else changes it until this transaction ends."""
    event = await store.select_event(work.tx, event_id, lock=lock)
    if event is None or event.space_id != space_id or event.lifecycle is None:
        raise NotFound("Event", event_id)
    return event


async def load_incident_ids(
    work: Work, space_id: SpaceId, where: Filter, *, after: UUID | None = None, limit: int
) -> list[UUID]:
    """The first so many of a space that a filter is true for, after one of them, by id."""
    return await incident_store.select_ids(work.tx, _within(space_id, where), after=after, limit=limit)


async def load_device_names(work: Work, device_ids: Sequence[DeviceId]) -> dict[DeviceId, str]:
    """What the devices that events are about are called, as far as they are there."""
    return await incident_store.select_device_names(work.tx, device_ids)


async def put_change(work: Work, before: Event, change: IncidentChange) -> Event:
    """Change a locked event, and say so in its time line. A comment or data that change nothing are an entry as well.

    Raises `Conflict` for a way back, `Invalid` for what cannot be.
    """
    problems = change.check()
    if problems:
        raise Invalid(f"{problems[0].pointer.lstrip('/')}: {problems[0].detail}", fields=problems)
    after = _changed(work, before, change)
    if change.device_id is not UNSET and change.device_id != before.device_id:
        after = await _about(work, after, change.device_id)
    changed = await _compare(work, before, after)
    update = update_by(work, comment=change.comment, data=change.data, changed=changed)
    says = update.comment is not None or update.data is not None or changed != Changed()
    if not says and after.tags == before.tags:
        return before
    if after.tags != before.tags:
        await incident_store.replace_tags(work.tx, after.id, after.tags)
    await incident_store.update_incident(work.tx, after)
    if says:
        await incident_store.insert_updates(work.tx, [(after.id, update)])
    work.record("event.change", after.id, before=before, after=after)
    work.emit(EventRaised(after.id, after.device_id))
    return after


async def remove_incidents(work: Work, event_ids: Sequence[UUID]) -> int:
    """Forget these; says how many there were."""
    removed = await incident_store.delete_events(work.tx, event_ids)
    for event_id in event_ids:
        work.record("event.delete", event_id)
    return removed


def update_by(work: Work, *, comment: str | None = None, data: Any = None, changed: Changed) -> EventUpdate:
    """An entry by whoever asks."""
    actor = work.actor
    return EventUpdate(
        at=work.now(),
        source=source_of(actor.kind),
        actor_id=None if actor.id == NOBODY else actor.id,
        actor_name=actor.name,
        comment=comment or None,
        data=data,
        changed=changed,
    )


def _within(space_id: SpaceId, where: Filter) -> Filter:
    return And((equals("spaceId", space_id), Exists(("status",)), where))


def _changed(work: Work, before: Event, change: IncidentChange) -> Event:
    """As it will be, but for its device."""
    assert before.lifecycle is not None
    sent: dict[str, Any] = {"updated_at": work.now()}
    if change.status is not UNSET and change.status is not before.lifecycle.status:
        check_way(before.lifecycle.status, change.status)
        sent["lifecycle"] = advanced(work, before.lifecycle, change.status)
    if change.level is not UNSET:
        sent |= {"severity": change.level.severity, "is_error": change.level.is_error}
    if change.subject is not UNSET:
        sent["subject"] = change.subject
    if change.tags is not UNSET:
        sent["tags"] = dict(change.tags)
    return msgspec.structs.replace(before, **sent)


def advanced(work: Work, before: Lifecycle, status: LifecycleStatus) -> Lifecycle:
    """A later status, reached now by whoever asks."""
    now, by = work.now(), work.actor.id
    if status is LifecycleStatus.ACKNOWLEDGED:
        return msgspec.structs.replace(before, status=status, acknowledged_at=now, acknowledged_by=by)
    if status is LifecycleStatus.RESOLVED:
        return msgspec.structs.replace(before, status=status, resolved_at=now, resolved_by=by)
    return before


async def _about(work: Work, event: Event, device_id: DeviceId | None) -> Event:
    """About another device of its space, or about none."""
    if device_id is None:
        return msgspec.structs.replace(event, device_id=None, component_id=None, sensor_id=None)
    place = await store.select_place(work.tx, device_id, None)
    if place is None or place.space_id != event.space_id:
        raise Invalid.field("deviceId", "there is none of this id in the application")
    return msgspec.structs.replace(event, device_id=device_id, component_id=None, sensor_id=None, site_id=place.site_id)


async def _compare(work: Work, before: Event, after: Event) -> Changed:
    assert before.lifecycle is not None and after.lifecycle is not None
    return Changed(
        status=shifted(before.lifecycle.status, after.lifecycle.status),
        level=shifted(before.level, after.level),
        subject=shifted(before.subject, after.subject),
        device=await _compare_devices(work, before.device_id, after.device_id),
        tags=shifted_tags(before, after.tags),
    )


async def _compare_devices(work: Work, old: DeviceId | None, new: DeviceId | None) -> DeviceShift | None:
    if old == new:
        return None
    names = await load_device_names(work, [id_ for id_ in (old, new) if id_ is not None])
    return DeviceShift(
        old=old,
        old_name=None if old is None else names.get(old),
        new=new,
        new_name=None if new is None else names.get(new),
    )
