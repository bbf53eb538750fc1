"""What can be done with timers."""

from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core.operation import check_grant, operation
from roadstead.core.ports import Ports
from roadstead.core.timers import store
from roadstead.core.timers.model import (
    MOST_RUNNING,
    MOST_TIMERS,
    Action,
    Query,
    Timer,
    TimerChange,
    TimerDraft,
)
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import new_id

_HIDDEN = frozenset({"sealed", "notes"})


@operation(Grant.ALERTS_READ)
async def list_timers(work: Work) -> list[Timer]:
    """All, oldest first: there are never more than an organization may have."""
    return await store.select_timers(work.tx)


@operation(Grant.ALERTS_READ)
async def get_timer(work: Work, timer_id: UUID) -> Timer:
    """One timer."""
    return _found(await store.select_timer(work.tx, timer_id), timer_id)


@operation(Grant.ALERTS_WRITE)
async def create_timer(work: Work, draft: TimerDraft) -> Timer:
    """Add a timer. It does not run before it is started."""
    draft.check(work.now())
    _check_action(work, draft.action)
    there, _ = await store.count_timers(work.tx)
    if there >= MOST_TIMERS:
        raise Conflict(f"an organization has at most {MOST_TIMERS} timers", code="quota-exceeded")

    timer = Timer(
        id=new_id(),
        name=draft.name,
        schedule=draft.schedule,
        sealed=_seal(work.ports, draft.action),
        notes=draft.notes,
        created_at=work.now(),
        updated_at=work.now(),
    )
    await store.insert_timer(work.tx, timer)
    work.record("timer.create", timer.id, after=timer, hide=_HIDDEN)
    return timer


@operation(Grant.ALERTS_WRITE)
async def change_timer(work: Work, timer_id: UUID, change: TimerChange) -> Timer:
    """Change it. One that runs goes on as if it was started now when its schedule is another one."""
    before = _found(await store.lock_timer(work.tx, timer_id), timer_id)
    action = open_action(work.ports, before) if change.action is UNSET else change.action
    draft = TimerDraft(
        name=before.name if change.name is UNSET else change.name,
        schedule=before.schedule if change.schedule is UNSET else change.schedule,
        action=action,
        notes=before.notes if change.notes is UNSET else {**before.notes, **change.notes},
    )
    draft.check(work.now())
    _check_action(work, action)

    after = msgspec.structs.replace(
        before,
        name=draft.name,
        schedule=draft.schedule,
        sealed=before.sealed if change.action is UNSET else _seal(work.ports, action),
        notes=draft.notes,
        updated_at=work.now(),
    )
    if before.running and after.schedule != before.schedule:
        after = msgspec.structs.replace(after, due_at=after.schedule.first(work.now()))
    await store.update_timer(work.tx, after)
    work.record("timer.update", timer_id, before=before, after=after, hide=_HIDDEN)
    return after


@operation(Grant.ALERTS_WRITE)
async def start_timer(work: Work, timer_id: UUID) -> Timer:
    """Let it run from now on; one that runs begins anew."""
    _, running = await store.count_timers(work.tx)
    before = _found(await store.lock_timer(work.tx, timer_id), timer_id)
    if not before.running and running >= MOST_RUNNING:
        raise Conflict(f"an organization has at most {MOST_RUNNING} timers that run", code="quota-exceeded")
    due_at = before.schedule.first(work.now())
    if due_at is None:
        raise Invalid.field("/timer", "there is no such time any more")
    return await _set_running(work, before, msgspec.structs.replace(before, running=True, due_at=due_at), "timer.start")


@operation(Grant.ALERTS_WRITE)
async def stop_timer(work: Work, timer_id: UUID) -> Timer:
    """It fires no more until it is started again. A run that is on its way is not called back."""
    before = _found(await store.lock_timer(work.tx, timer_id), timer_id)
    return await _set_running(work, before, msgspec.structs.replace(before, running=False, due_at=None), "timer.stop")


@operation(Grant.ALERTS_WRITE)
async def delete_timer(work: Work, timer_id: UUID) -> None:
    """Delete it, and stop it with that."""
    before = _found(await store.lock_timer(work.tx, timer_id), timer_id)
    await store.delete_timer(work.tx, timer_id)
    work.record("timer.delete", timer_id, before=before, hide=_HIDDEN)


def open_action(ports: Ports, timer: Timer) -> Action:
    """What a timer does, with its secrets."""
    return unseal(ports, timer.sealed)


def unseal(ports: Ports, sealed: bytes) -> Action:
    """From a row."""
    action: Action = msgspec.json.decode(ports.vault.open(sealed, "timer"), type=Action)
    return action


async def _set_running(work: Work, before: Timer, after: Timer, action: str) -> Timer:
    after = msgspec.structs.replace(after, updated_at=work.now())
    await store.update_timer(work.tx, after)
    work.record(action, after.id, before=before, after=after, hide=_HIDDEN)
    return after


def _check_action(work: Work, action: Action) -> None:
    if not isinstance(action, Query):
        check_grant(work.actor, Grant.READINGS_WRITE)
        return
    wrong = work.ports.outgoing.check_url(action.url)
    if wrong is not None:
        raise Invalid.field("/action/url", wrong)


def _seal(ports: Ports, action: Action) -> bytes:
    return ports.vault.seal(msgspec.json.encode(action), "timer")


def _found(timer: Timer | None, timer_id: UUID) -> Timer:
    if timer is None:
        raise NotFound("timer", timer_id)
    return timer
