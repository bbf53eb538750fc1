"""What becomes of alerts when rules fire and conditions clear. In the transaction that remembers that they did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core import events, notify
from roadstead.core.events import Event, EventSource, Lifecycle, LifecycleStatus
from roadstead.core.messages import Severity
from roadstead.core.notify import Announcement, Kind
from roadstead.core.rules import alert_store, firing_store, rule_store
from roadstead.core.rules.alert_model import Alert, Resolution, Step, StepAction, fact_about
from roadstead.core.rules.alert_store import Pair
from roadstead.core.rules.conditions import Leaf, read_condition
from roadstead.core.rules.evaluation import Transition, Turn
from roadstead.core.rules.firing_store import Subject
from roadstead.core.rules.rule_model import AlertRule, fill_template
from roadstead.core.work import Work
from roadstead.kernel.ids import SensorId, new_id
from roadstead.kernel.time import from_millis, spell_instant

RAISED, REPEATED = "alert.raised", "alert.repeated"
"""Types of the events that rules write."""

_MOST_MESSAGE = 2_000


class Firing(msgspec.Struct, frozen=True, gc=False):
    """One turn of a rule about a sensor, as the evaluation has seen it."""

    rule_id: UUID
    sensor_id: SensorId
    transition: Transition
    resolution: Resolution = Resolution.CONDITION_CLEARED
    """Of a turn that clears."""


class _Booking:
    """What the firings of one organization come to, before it is written."""

    def __init__(self, work: Work, rules: dict[UUID, AlertRule], subjects: dict[SensorId, Subject]) -> None:
        self.work = work
        self.rules = rules
        self.subjects = subjects
        self.open: dict[Pair, Alert] = {}
        self.silences: dict[Pair, datetime] = {}
        self.new: dict[UUID, Alert] = {}
        self.changed: dict[UUID, Alert] = {}
        self.events: list[Event] = []
        self.steps: list[tuple[UUID, Step]] = []
        self.told: list[tuple[Kind, UUID]] = []
        self.fired: set[UUID] = set()

    def book(self, firing: Firing) -> None:
        rule, subject = self.rules.get(firing.rule_id), self.subjects.get(firing.sensor_id)
        pair = (firing.rule_id, firing.sensor_id)
        alert = self.open.get(pair)
        seen = _cleaned(firing.transition)
        turn = seen.turn
        if turn is Turn.CLEARED:
            if alert is not None:
                self._clear(pair, alert, firing)
        elif rule is None or not rule.enabled or subject is None:
            return  # Switched off or deleted meanwhile: nobody wants to know any more.
        elif alert is not None:
            self._repeat(pair, alert, rule, subject, seen)
        elif turn is Turn.RAISED:
            self._raise(pair, rule, subject, seen)

    def _raise(self, pair: Pair, rule: AlertRule, subject: Subject, seen: Transition) -> None:
        at = from_millis(seen.at)
        event = self._event(RAISED, rule, subject, seen, needs_work=True)
        alert = Alert(
            id=new_id(),
            ordinal=0,
            event_id=event.id,
            rule_id=rule.id,
            rule_name=rule.name,
            severity=rule.severity,
            status=LifecycleStatus.ACTIVE,
            device_id=subject.device_id,
            component_id=subject.component_id,
            sensor_id=subject.sensor_id,
            site_id=subject.site_id,
            value=seen.value,
            threshold=seen.threshold,
            message=event.message,
            triggered_at=at,
            last_seen_at=at,
            occurrences=1,
            assignee_id=None,
            silenced_until=self.silences.get(pair),
            acknowledged_at=None,
            acknowledged_by=None,
            resolved_at=None,
            resolved_by=None,
            resolution=None,
        )
        self.open[pair] = self.new[alert.id] = alert
        self.events.append(event)
        self.steps.append((alert.id, _step(self.work, StepAction.RAISED, at)))
        self.told.append((Kind.FIRED, alert.id))
        self.fired.add(rule.id)

    def _repeat(self, pair: Pair, alert: Alert, rule: AlertRule, subject: Subject, seen: Transition) -> None:
        self.events.append(self._event(REPEATED, rule, subject, seen, needs_work=False, alert_id=alert.id))
        at = max(alert.last_seen_at, from_millis(seen.at))
        self._put(pair, msgspec.structs.replace(alert, occurrences=alert.occurrences + 1, last_seen_at=at))
        self.fired.add(rule.id)

    def _clear(self, pair: Pair, alert: Alert, firing: Firing) -> None:
        at = from_millis(firing.transition.at)
        seen_at = max(alert.last_seen_at, from_millis(max(firing.transition.seen_at, 0)))
        alert = msgspec.structs.replace(alert, last_seen_at=seen_at)
        self._put(pair, alert.resolved(firing.resolution, at=max(at, alert.triggered_at), by=None))
        del self.open[pair]
        self.steps.append((alert.id, _step(self.work, StepAction.RESOLVED, self.work.now())))
        self.told.append((Kind.RESOLVED, alert.id))

    def _put(self, pair: Pair, alert: Alert) -> None:
        (self.new if alert.id in self.new else self.changed)[alert.id] = alert
        self.open[pair] = alert

    def find(self, alert_id: UUID) -> Alert:
        return self.new.get(alert_id) or self.changed[alert_id]

    def _event(
        self,
        type_: str,
        rule: AlertRule,
        subject: Subject,
        seen: Transition,
        *,
        needs_work: bool,
        alert_id: UUID | None = None,
    ) -> Event:
        data: dict[str, Any] = {"ruleId": str(rule.id), "ruleName": rule.name, "threshold": seen.threshold}
        if seen.value is not None:
            data["value"] = seen.value
        if alert_id is not None:
            data["alertId"] = str(alert_id)
        return Event(
            id=new_id(),
            type=type_,
            source=EventSource.ALERT_RULE,
            severity=rule.severity,
            message=spell_message(rule, subject, seen),
            device_id=subject.device_id,
            component_id=subject.component_id,
            sensor_id=subject.sensor_id,
            site_id=subject.site_id,
            occurred_at=from_millis(seen.at),
            data=data,
            lifecycle=Lifecycle(status=LifecycleStatus.ACTIVE) if needs_work else None,
            created_at=self.work.now(),
        )


def _cleaned(seen: Transition) -> Transition:
    """Without what PostgreSQL cannot keep in a text."""
    if isinstance(seen.value, str) and "\0" in seen.value:
        return msgspec.structs.replace(seen, value=seen.value.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    return seen


async def apply_firings(work: Work, firings: Sequence[Firing]) -> None:
    """Raise, repeat and resolve alerts, in this order; write events; tell people. Without asking for rights.

    Not made to be repeated: the caller commits it together with the state that the firings came from.
    """
    pairs = list({(firing.rule_id, firing.sensor_id): None for firing in firings})
    rules = await rule_store.select_rules(work.tx, sorted({rule_id for rule_id, _ in pairs}))
    subjects = await firing_store.select_subjects(work.tx, [sensor_id for _, sensor_id in pairs])
    booking = _Booking(work, rules, subjects)
    booking.open = await alert_store.lock_open(work.tx, pairs)
    booking.silences = await alert_store.select_silences(work.tx, pairs, work.now())
    for firing in firings:
        booking.book(firing)
    await _write(work, booking)


async def _write(work: Work, booking: _Booking) -> None:
    if booking.changed:
        # First, for what is over makes room for what is new.
        await alert_store.update_alerts(work.tx, list(booking.changed.values()))
    if booking.new:
        numbers = await alert_store.take_ordinals(work.tx, len(booking.new))
        for number, alert in zip(numbers, booking.new.values(), strict=True):
            booking.new[alert.id] = msgspec.structs.replace(alert, ordinal=number)
        for event, alert_id in zip(
            [event for event in booking.events if event.type == RAISED], booking.new, strict=True
        ):
            assert event.data is not None
            event.data["alertId"] = str(alert_id)
        await alert_store.insert_alerts(work.tx, list(booking.new.values()))
    if booking.steps:
        await alert_store.insert_steps(work.tx, booking.steps)
    await events.write_events(work, booking.events)
    for alert in [*booking.new.values(), *booking.changed.values()]:
        if alert.status is LifecycleStatus.RESOLVED and alert.resolved_at is not None:
            await events.follow_alert(work, alert.event_id, alert.status, at=alert.resolved_at, by=None, comment=None)
        work.emit(fact_about(alert))
    if booking.fired:
        await rule_store.mark_fired(work.tx, list(booking.fired), work.now())
    for kind, alert_id in booking.told:
        alert = booking.find(alert_id)
        await announce(work, kind, alert, booking.rules.get(alert.rule_id))


async def resolve_stranded(work: Work, alert_ids: Sequence[UUID]) -> None:
    """Alerts whose rule or sensor is gone are over. Without asking for rights."""
    for alert_id in sorted(alert_ids):
        alert = await alert_store.select_alert(work.tx, alert_id, lock=True)
        if alert is not None and alert.status is not LifecycleStatus.RESOLVED:
            await close(work, alert, Resolution.OUT_OF_SCOPE, comment=None, by=None)


async def close(work: Work, alert: Alert, resolution: Resolution, *, comment: str | None, by: UUID | None) -> Alert:
    """Resolve an alert, write its step, tell people and rooms. `Conflict` when it is over already."""
    now = work.now()
    over = alert.resolved(resolution, at=now, by=by)
    await alert_store.update_alerts(work.tx, [over])
    await alert_store.insert_steps(work.tx, [(alert.id, _step(work, StepAction.RESOLVED, now, comment))])
    await events.follow_alert(work, alert.event_id, over.status, at=now, by=by, comment=comment)
    work.emit(fact_about(over))
    await announce(work, Kind.RESOLVED, over, await rule_store.select_rule(work.tx, alert.rule_id), comment)
    return over


def _step(work: Work, action: StepAction, at: datetime, comment: str | None = None) -> Step:
    own = work.actor.id.int == 0
    return Step(
        at=at,
        action=action,
        actor_id=None if own else work.actor.id,
        actor_name=work.actor.name,
        comment=comment,
    )


async def announce(work: Work, kind: Kind, alert: Alert, rule: AlertRule | None, comment: str | None = None) -> None:
    """Tell the channels of the rule, unless the alert is silenced."""
    if rule is None or not rule.channel_ids or alert.is_silent(work.now()):
        return
    word = {Kind.FIRED: alert.severity, Kind.RESOLVED: "RESOLVED", Kind.ACKNOWLEDGED: "ACKNOWLEDGED"}[kind]
    at = {Kind.RESOLVED: alert.resolved_at, Kind.ACKNOWLEDGED: alert.acknowledged_at}.get(kind) or alert.triggered_at
    payload: dict[str, Any] = {
        "alertId": str(alert.id),
        "eventId": str(alert.event_id),
        "ordinal": alert.ordinal,
        "ruleId": str(alert.rule_id),
        "ruleName": alert.rule_name,
        "status": alert.status,
        "deviceId": str(alert.device_id),
        "sensorId": str(alert.sensor_id),
        "value": alert.value,
        "threshold": alert.threshold,
        "triggeredAt": spell_instant(alert.triggered_at),
        "occurrences": alert.occurrences,
    }
    if alert.component_id is not None:
        payload["componentId"] = str(alert.component_id)
    if alert.site_id is not None:
        payload["siteId"] = str(alert.site_id)
    if alert.resolution is not None:
        payload["resolution"] = alert.resolution
    announcement = Announcement(
        alert_id=alert.id,
        event_id=alert.event_id,
        kind=kind,
        severity=alert.severity,
        title=f"{word}: {alert.rule_name}",
        text=alert.message if not comment else f"{alert.message}\n\n{comment}",
        occurred_at=at,
        payload=payload,
    )
    await notify.announce(work, announcement, rule.channel_ids)


# --- in words --------------------------------------------------------------------------------------------------------


def spell_message(rule: AlertRule, subject: Subject, seen: Transition) -> str:
    """What an alert says: the rule's template filled in, or a sentence of our own."""
    unit = f" {subject.unit}" if subject.unit else ""
    value, threshold = spell_value(seen.value), spell_value(seen.threshold)
    if rule.message_template:
        values = {
            "device": subject.device_name,
            "sensor": subject.sensor_name,
            "value": value,
            "unit": subject.unit or "",
            "threshold": threshold,
            "rule": rule.name,
            "severity": Severity(rule.severity),
            "site": subject.site_name or "",
            "time": spell_instant(from_millis(seen.at)),
        }
        text = fill_template(rule.message_template, values)
    elif seen.value is None:
        text = f"{rule.name}: nothing from {subject.sensor_name} of {subject.device_name} for {threshold}"
    else:
        text = f"{rule.name}: {subject.sensor_name} of {subject.device_name} is {value}{unit}{_spell_limit(rule)}"
    return text[:_MOST_MESSAGE] or rule.name


def _spell_limit(rule: AlertRule) -> str:
    condition = read_condition(rule.condition)
    if not isinstance(condition, Leaf) or condition.comparison is None or condition.comparison.threshold is None:
        return ""
    name = f"{condition.function} " if condition.function else ""
    return f" ({name}{condition.comparison.operator} {spell_value(condition.comparison.threshold)})"


def spell_value(value: object) -> str:
    """A value for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(spell_value(item) for item in value)
    return str(value)
