"""Changing events that need work: those that are alerts are changed as alerts, so that everybody sees the same."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core import events
from roadstead.core.events import Event, IncidentChange, LifecycleStatus
from roadstead.core.operation import check_grant, operation
from roadstead.core.rules import alert_store
from roadstead.core.rules.alert_model import Alert, Resolution
from roadstead.core.rules.alerts import acknowledge_alert, comment_alert, resolve_alert
from roadstead.core.rules.firing import close
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import SpaceId

MAX_INCIDENTS = 100
"""How many a request changes; more are work for a job."""


@operation(Grant.EVENTS_WRITE, changes=False)
async def pick_incidents(work: Work, space_id: SpaceId, where: Filter, *, limit: int) -> list[UUID]:
    """The first so many events of a space that a filter is true for, for whoever wants to change them."""
    return await events.load_incident_ids(work, space_id, where, limit=limit)


@operation(Grant.EVENTS_WRITE)
async def change_incident(work: Work, space_id: SpaceId, event_id: UUID, change: IncidentChange) -> Event:
    """Change an event of a space. Of an alert the severity and the device stay what its rule says.

    Raises `Conflict` for that, and for a way back in its life cycle.
    """
    found = await alert_store.select_alerts_of(work.tx, [event_id])  # first the alert, as everybody who changes both
    before = await events.load_incident(work, space_id, event_id, lock=True)
    if not found:
        return await events.put_change(work, before, change)
    return await _change_alert(work, space_id, before, found[0], change)


@operation(Grant.EVENTS_WRITE)
async def change_incidents(
    work: Work, space_id: SpaceId, event_ids: Sequence[UUID], change: IncidentChange
) -> list[UUID]:
    """Change these events of a space; those that cannot go this way stay as they are. Says which were changed."""
    changed = []
    for event_id in event_ids:
        try:
            async with work.tx.savepoint():
                await change_incident(work, space_id, event_id, change)
        except (Conflict, NotFound):
            continue
        changed.append(event_id)
    return changed


@operation(Grant.EVENTS_WRITE)
async def delete_incident(work: Work, space_id: SpaceId, event_id: UUID) -> None:
    """Forget an event of a space. An alert that is open is resolved with it, as IGNORED."""
    await events.load_incident(work, space_id, event_id)
    await _delete(work, [event_id])


@operation(Grant.EVENTS_WRITE)
async def delete_incidents(work: Work, space_id: SpaceId, where: Filter, *, limit: int) -> int:
    """Forget so many of the events of a space that a filter is true for; says how many. See `delete_incident`."""
    event_ids = await events.load_incident_ids(work, space_id, where, limit=limit)
    return await _delete(work, event_ids) if event_ids else 0


async def _delete(work: Work, event_ids: Sequence[UUID]) -> int:
    for alert in await alert_store.select_alerts_of(work.tx, event_ids):
        if alert.status is not LifecycleStatus.RESOLVED:
            check_grant(work.actor, Grant.ALERTS_WRITE)
            await close(work, alert, Resolution.IGNORED, comment=None, by=work.actor.id)
    return await events.remove_incidents(work, event_ids)


async def _change_alert(work: Work, space_id: SpaceId, before: Event, alert: Alert, change: IncidentChange) -> Event:
    assert before.lifecycle is not None
    if change.level is not UNSET and change.level is not before.level:
        raise Conflict("level: is that of the rule which has raised the alert", code="invalid-state")
    if change.device_id is not UNSET and change.device_id != before.device_id:
        raise Conflict("deviceId: is that of the sensor which the alert is about", code="invalid-state")
    own = msgspec.structs.replace(change, status=UNSET, comment=None)
    await events.put_change(work, before, own)
    status = before.lifecycle.status if change.status is UNSET else change.status
    comment = change.comment or None
    if status is before.lifecycle.status:
        if comment is not None:
            await comment_alert(work, alert.id, comment)
    elif status is LifecycleStatus.RESOLVED:
        await resolve_alert(work, alert.id, comment=comment)
    elif status is LifecycleStatus.ACKNOWLEDGED:
        # A way back ends here: an alert that is over is not acknowledged any more.
        await acknowledge_alert(work, alert.id, comment=comment)
    else:
        raise Conflict(f"state: the alert is {before.lifecycle.status} and is not new again", code="invalid-state")
    return await events.load_incident(work, space_id, before.id)
