"""Events that need work: where they belong, who may change them, and what their time lines say."""

from typing import Any

import msgspec
import pytest

from roadstead.core import events, registry, rules
from roadstead.core.events import (
    Changed,
    Event,
    EventDraft,
    EventSource,
    IncidentChange,
    Level,
    LifecycleStatus,
    Shift,
)
from roadstead.core.messages import Severity
from roadstead.core.registry import DeviceDraft, SpaceDraft
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, equals
from roadstead.kernel.ids import SpaceId
from roadstead.kernel.page import PageQuery
from tests.alerts import add_rule, add_sensor, raise_alert
from tests.conftest import Tenant

ACKNOWLEDGED, RESOLVED = LifecycleStatus.ACKNOWLEDGED, LifecycleStatus.RESOLVED


async def add_incident(work: Work, space_id: SpaceId, **fields: Any) -> Event:
    """An event that somebody has to work on."""
    draft = EventDraft(type="incident", message="hot", requires_action=True, space_id=space_id)
    return await events.create_event(work, msgspec.structs.replace(draft, **fields))


async def add_space(work: Work) -> SpaceId:
    """One beside the default one."""
    return (await registry.create_space(work, SpaceDraft(name="Harbour"))).id


def without(work: Work, *missing: Grant) -> Work:
    """The same of somebody who may do less."""
    return Work(msgspec.structs.replace(work.actor, grants=work.actor.grants - {*missing}), work.tx, work.ports)


async def test_an_event_belongs_to_its_space_that_of_its_device_or_the_default_one(acme: Tenant) -> None:
    async with acme.work() as work:
        space_id, home = await add_space(work), await registry.load_default_space(work)
        device = await registry.create_device(work, DeviceDraft(name="pump", space_id=space_id))
        given = await add_incident(work, space_id)
        of_device = await events.create_event(work, EventDraft(type="t", message="m", device_id=device.id))
        bare = await events.create_event(work, EventDraft(type="t", message="m"))
        found = {
            event.id: event.space_id for event in await events.load_events(work, [given.id, of_device.id, bare.id])
        }
        assert found == {given.id: space_id, of_device.id: space_id, bare.id: home.id}
        with pytest.raises(Invalid, match="deviceId: there is none of this id in the application"):
            await add_incident(work, home.id, device_id=device.id)


async def test_what_needs_no_work_is_in_no_list_of_work(acme: Tenant) -> None:
    async with acme.work() as work:
        home = (await registry.load_default_space(work)).id
        plain = await events.create_event(work, EventDraft(type="t", message="m"))
        kept = await add_incident(work, home)
        page = await events.list_incidents(work, home, EVERYTHING, page=PageQuery())
        assert [event.id for event in page.items] == [kept.id]
        with pytest.raises(NotFound):
            await events.get_incident(work, home, plain.id)
        with pytest.raises(NotFound):
            await rules.change_incident(work, home, plain.id, IncidentChange(status=RESOLVED))


async def test_an_error_is_critical_for_those_who_know_three_kinds(acme: Tenant) -> None:
    assert [level.severity for level in Level] == [
        Severity.INFO,
        Severity.WARNING,
        Severity.CRITICAL,
        Severity.CRITICAL,
    ]
    async with acme.work() as work:
        home = (await registry.load_default_space(work)).id
        event = await add_incident(work, home, severity=Severity.CRITICAL, is_error=True)
        assert (event.level, event.severity) == (Level.ERROR, Severity.CRITICAL)
        worse = await rules.change_incident(work, home, event.id, IncidentChange(level=Level.CRITICAL))
        assert (worse.level, worse.severity) == (Level.CRITICAL, Severity.CRITICAL)
        await add_incident(work, home, severity=Severity.WARNING)
        worst = await events.find_worst(work, home, EVERYTHING)
        assert worst is not None
        assert worst.id == event.id


async def test_work_goes_forward_only_and_its_time_line_says_who_has_done_what(acme: Tenant) -> None:
    async with acme.work() as work:
        home = (await registry.load_default_space(work)).id
        event = await add_incident(work, home)
        await events.acknowledge_event(work, event.id)
        await rules.change_incident(work, home, event.id, IncidentChange(status=RESOLVED, comment="done"))
        for back in (LifecycleStatus.ACTIVE, ACKNOWLEDGED):
            with pytest.raises(Conflict, match="does not become"):
                await rules.change_incident(work, home, event.id, IncidentChange(status=back))
        lines = await events.list_updates(work, [event.id])
        assert [(line.changed, line.comment) for line in lines[event.id]] == [
            (Changed(status=Shift("ACTIVE", "ACKNOWLEDGED")), None),
            (Changed(status=Shift("ACKNOWLEDGED", "RESOLVED")), "done"),
        ]
        assert {(line.source, line.actor_id) for line in lines[event.id]} == {(EventSource.USER, work.actor.id)}
        after = await events.get_incident(work, home, event.id)
        assert after.lifecycle is not None
        assert (after.lifecycle.status, after.lifecycle.resolved_by) == (RESOLVED, work.actor.id)


async def test_of_many_those_that_cannot_go_this_way_stay_as_they_are(acme: Tenant) -> None:
    async with acme.work() as work:
        home = (await registry.load_default_space(work)).id
        new, done = await add_incident(work, home), await add_incident(work, home, status=RESOLVED)
        change = IncidentChange(status=ACKNOWLEDGED, tags={"seen": "yes"})
        assert await rules.change_incidents(work, home, [new.id, done.id], change) == [new.id]
        kept = await events.get_incident(work, home, done.id)
        assert (kept.tags, kept.updated_at) == ({}, None)
        where = equals("status", RESOLVED.value)
        assert await rules.delete_incidents(work, home, where, limit=10) == 1
        assert await events.count_incidents(work, home, EVERYTHING) == 1


async def test_who_may_not_write_changes_nothing_and_alerts_need_their_own_right(acme: Tenant) -> None:
    sensor = await add_sensor(acme)
    rule = await add_rule(acme, sensor["id"])
    await raise_alert(acme, rule["id"], sensor["id"])
    async with acme.work() as work:
        home = (await registry.load_default_space(work)).id
        [alert] = (await events.list_incidents(work, home, EVERYTHING, page=PageQuery())).items
        change = IncidentChange(status=RESOLVED)
        for missing in (Grant.EVENTS_WRITE, Grant.ALERTS_WRITE):
            less = without(work, missing)
            with pytest.raises(Forbidden):
                await rules.change_incident(less, home, alert.id, change)
            with pytest.raises(Forbidden):
                await rules.delete_incident(less, home, alert.id)
            with pytest.raises(Forbidden):
                await rules.delete_incidents(less, home, EVERYTHING, limit=10)
        with pytest.raises(Forbidden):
            await rules.pick_incidents(without(work, Grant.EVENTS_WRITE), home, EVERYTHING, limit=1)
        kept = await events.get_incident(work, home, alert.id)
        assert kept.lifecycle is not None
        assert kept.lifecycle.status is LifecycleStatus.ACTIVE


async def test_another_organization_sees_and_changes_nothing_of_it(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        home = (await registry.load_default_space(work)).id
        event = await add_incident(work, home, tags={"line": "7"})
    async with globex.work() as work:
        assert (await events.list_incidents(work, home, EVERYTHING, page=PageQuery())).items == []
        assert await events.list_updates(work, [event.id]) == {}
        assert await rules.delete_incidents(work, home, EVERYTHING, limit=10) == 0
        with pytest.raises(NotFound):
            await rules.change_incident(work, home, event.id, IncidentChange(status=RESOLVED))
