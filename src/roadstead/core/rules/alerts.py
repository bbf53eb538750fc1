"""What can be done with alerts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core import events, notify, registry
from roadstead.core.events import LifecycleStatus
from roadstead.core.notify import Delivery, Kind
from roadstead.core.operation import operation
from roadstead.core.rules import alert_store, rule_store
from roadstead.core.rules.alert_model import (
    BY_PEOPLE,
    Alert,
    AlertAction,
    AlertOutcome,
    AlertQuery,
    AlertStats,
    Resolution,
    Step,
    StepAction,
    fact_about,
)
from roadstead.core.rules.firing import announce, close
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import FieldProblem, Invalid, NotFound, RoadsteadError
from roadstead.kernel.filter import And, Compare, Filter, In, Operator, equals
from roadstead.kernel.ids import UserId
from roadstead.kernel.page import Page, PageQuery

MAX_BULK = 500
"""How many alerts one request may change."""
MAX_COMMENT = 2_000


@operation(Grant.ALERTS_READ)
async def list_alerts(work: Work, query: AlertQuery, *, sort: str | None = None, page: PageQuery) -> Page[Alert]:
    """Alerts, sorted by `triggeredAt` (newest first unless told otherwise) or `severity`."""
    return await alert_store.list_alerts(work.tx, await _filter(work, query), sort, page)


@operation(Grant.ALERTS_READ)
async def get_alert(work: Work, alert_id: UUID) -> Alert:
    """One alert."""
    return await _load(work, alert_id)


@operation(Grant.ALERTS_READ)
async def get_timeline(work: Work, alert_id: UUID) -> list[Step]:
    """What happened to an alert, oldest first."""
    return await alert_store.select_steps(work.tx, alert_id)


@operation(Grant.ALERTS_READ)
async def list_deliveries(work: Work, alert_id: UUID, page: PageQuery) -> Page[Delivery]:
    """Who was told of an alert, newest first."""
    await _load(work, alert_id)
    return await notify.list_deliveries(work, alert_id, page)


@operation(Grant.ALERTS_READ)
async def get_stats(work: Work, query: AlertQuery) -> AlertStats:
    """How many alerts there are of each kind."""
    return await alert_store.count_alerts(work.tx, await _filter(work, query))


@operation(Grant.ALERTS_WRITE)
async def acknowledge_alert(work: Work, alert_id: UUID, *, comment: str | None = None) -> Alert:
    """The caller is at it: ACTIVE to ACKNOWLEDGED. Again by the same is no change; by another it is `Conflict`."""
    _check_comment(comment)
    before = await _lock(work, alert_id)
    now = work.now()
    after = before.acknowledged(at=now, by=work.actor.id)
    if after is before:
        return before
    await _put(work, after, StepAction.ACKNOWLEDGED, comment)
    await events.follow_alert(work, after.event_id, after.status, at=now, by=work.actor.id, comment=comment)
    work.record("alert.acknowledge", alert_id)
    await announce(work, Kind.ACKNOWLEDGED, after, await rule_store.select_rule(work.tx, after.rule_id), comment)
    return after


@operation(Grant.ALERTS_WRITE)
async def resolve_alert(
    work: Work, alert_id: UUID, *, comment: str | None = None, resolution: Resolution | None = None
) -> Alert:
    """It is over: ACTIVE or ACKNOWLEDGED to RESOLVED. While the condition stays true, the next alert waits for the
    cooldown."""
    _check_comment(comment)
    if resolution is not None and resolution not in BY_PEOPLE:
        raise Invalid.field("/resolution", f"is one of {', '.join(sorted(BY_PEOPLE))}")
    before = await _lock(work, alert_id)
    after = await close(work, before, resolution or Resolution.OTHER, comment=comment, by=work.actor.id)
    work.record("alert.resolve", alert_id)
    return after


@operation(Grant.ALERTS_WRITE)
async def comment_alert(work: Work, alert_id: UUID, comment: str) -> Alert:
    """Add a comment to the time line, whatever the status."""
    _check_comment(comment, least=1)
    alert = await _lock(work, alert_id)
    await _step(work, alert, StepAction.COMMENTED, comment)
    await events.follow_alert(work, alert.event_id, None, at=work.now(), by=work.actor.id, comment=comment)
    work.record("alert.comment", alert_id)
    return alert


@operation(Grant.ALERTS_WRITE)
async def assign_alert(work: Work, alert_id: UUID, assignee_id: UserId | None) -> Alert:
    """Make it the business of a member of the organization, or of nobody."""
    if assignee_id is not None and not await alert_store.is_member(work.tx, assignee_id):
        raise Invalid.field("/userId", "is no member of the organization")
    before = await _lock(work, alert_id)
    if before.assignee_id == assignee_id:
        return before
    after = msgspec.structs.replace(before, assignee_id=assignee_id)
    await _put(work, after, StepAction.ASSIGNED, None if assignee_id is None else str(assignee_id))
    work.record("alert.assign", alert_id, before=before, after=after)
    return after


@operation(Grant.ALERTS_WRITE)
async def silence_alert(work: Work, alert_id: UUID, until: datetime | None, *, comment: str | None = None) -> Alert:
    """Tell nobody of it until then, nor of later alerts of the rule about the sensor; None: tell again."""
    _check_comment(comment)
    if until is not None and until <= work.now():
        raise Invalid.field("/until", "lies in the past", code="range")
    before = await _lock(work, alert_id)
    after = msgspec.structs.replace(before, silenced_until=until)
    await _put(work, after, StepAction.SILENCED, comment)
    work.record("alert.silence", alert_id, before=before, after=after)
    return after


@operation(Grant.ALERTS_WRITE)
async def change_alerts(
    work: Work, targets: Sequence[UUID] | AlertQuery, action: AlertAction, *, comment: str | None = None
) -> list[AlertOutcome]:
    """Do the same to these alerts, or to all of a query; what fails leaves that one as it was. `Invalid` for more
    than 500."""
    _check_comment(comment)
    if isinstance(targets, AlertQuery):
        targets = await alert_store.select_ids(work.tx, await _filter(work, targets), limit=MAX_BULK + 1)
    if len(targets) > MAX_BULK:
        detail = f"makes more than {MAX_BULK} alerts: narrow the filter or send several requests"
        raise Invalid.field("", detail, code="too-large")
    outcomes: dict[UUID, AlertOutcome] = {}
    for alert_id in sorted(set(targets)):
        try:
            async with work.tx.savepoint():
                if action is AlertAction.ACKNOWLEDGE:
                    alert = await acknowledge_alert(work, alert_id, comment=comment)
                else:
                    alert = await resolve_alert(work, alert_id, comment=comment)
        except RoadsteadError as error:
            outcomes[alert_id] = AlertOutcome(alert_id=alert_id, error=error)
        else:
            outcomes[alert_id] = AlertOutcome(alert_id=alert_id, alert=alert)
    return [outcomes[alert_id] for alert_id in targets]


async def _load(work: Work, alert_id: UUID) -> Alert:
    alert = await alert_store.select_alert(work.tx, alert_id)
    if alert is None:
        raise NotFound("alert", alert_id)
    return alert


async def _lock(work: Work, alert_id: UUID) -> Alert:
    alert = await alert_store.select_alert(work.tx, alert_id, lock=True)
    if alert is None:
        raise NotFound("alert", alert_id)
    return alert


async def _put(work: Work, alert: Alert, action: StepAction, comment: str | None) -> None:
    await alert_store.update_alerts(work.tx, [alert])
    await _step(work, alert, action, comment)


async def _step(work: Work, alert: Alert, action: StepAction, comment: str | None) -> None:
    step = Step(
        at=work.now(), action=action, actor_id=work.actor.id, actor_name=work.actor.name, comment=comment or None
    )
    await alert_store.insert_steps(work.tx, [(alert.id, step)])
    work.emit(fact_about(alert))


def _check_comment(comment: str | None, *, least: int = 0) -> None:
    if comment is not None and (not least <= len(comment) <= MAX_COMMENT or "\0" in comment):
        detail = f"takes {least} to {MAX_COMMENT} characters, and no NUL"
        raise Invalid(f"comment: {detail}", fields=[FieldProblem("/comment", "invalid", detail)])


async def _filter(work: Work, query: AlertQuery) -> Filter:
    parts: list[Filter] = [
        equals(name, value)
        for name, value in (
            ("ruleId", query.rule_id),
            ("deviceId", query.device_id),
            ("sensorId", query.sensor_id),
            ("assigneeId", query.assignee_id),
        )
        if value is not None
    ]
    if query.statuses:
        parts.append(In(("status",), tuple(LifecycleStatus(status).value for status in query.statuses)))
    if query.severities:
        parts.append(In(("severity",), tuple(severity.value for severity in query.severities)))
    if query.site_id is not None:
        parts.append(In(("siteId",), tuple(await registry.sites_below(work, [query.site_id]))))
    if query.triggered_from is not None:
        parts.append(Compare(("triggeredAt",), Operator.GE, query.triggered_from))
    if query.triggered_before is not None:
        parts.append(Compare(("triggeredAt",), Operator.LT, query.triggered_before))
    return And(tuple(parts))
