"""What alerts are, and how one leads to the next status."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.events import LifecycleStatus
from roadstead.core.messages import AlertChanged, Severity
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId, UserId


class Resolution(StrEnum):
    """Why an alert is over."""

    CONDITION_CLEARED = "CONDITION_CLEARED"
    FIXED = "FIXED"
    FALSE_ALARM = "FALSE_ALARM"
    IGNORED = "IGNORED"
    OTHER = "OTHER"
    RULE_DELETED = "RULE_DELETED"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    """The rule does not look at the sensor any more, or the sensor is gone."""


BY_PEOPLE = frozenset({Resolution.FIXED, Resolution.FALSE_ALARM, Resolution.IGNORED, Resolution.OTHER})


class StepAction(StrEnum):
    """What happened to an alert."""

    RAISED = "RAISED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"
    COMMENTED = "COMMENTED"
    ASSIGNED = "ASSIGNED"
    SILENCED = "SILENCED"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alert's time line."""

    at: datetime
    action: StepAction
    actor_id: UUID | None
    """None: the platform itself."""
    actor_name: str
    comment: str | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rule has found and somebody should look at: one for each rule and sensor while it is open."""

    id: UUID
    ordinal: int
    """Counts up in the organization."""
    event_id: UUID
    """The event it began with."""
    rule_id: UUID
    rule_name: str
    severity: Severity
    status: LifecycleStatus
    device_id: DeviceId
    component_id: ComponentId | None
    sensor_id: SensorId
    site_id: SiteId | None
    value: Any
    threshold: Any
    message: str
    triggered_at: datetime
    last_seen_at: datetime
    """When the condition was last known to be true; while it stays true, when it became so."""
    occurrences: int
    """How often it has become true."""
    assignee_id: UserId | None
    silenced_until: datetime | None
    """Until then nobody is told of it, nor of later alerts of the rule about the sensor."""
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None
    resolved_at: datetime | None
    resolved_by: UUID | None
    """None of an alert that is resolved: the platform itself."""
    resolution: Resolution | None

    def acknowledged(self, *, at: datetime, by: UUID) -> "Alert":
        """As somebody's business: itself when it is theirs already. `Conflict` when it is another's, or over."""
        if self.status is LifecycleStatus.ACKNOWLEDGED and self.acknowledged_by == by:
            return self
        if self.status is not LifecycleStatus.ACTIVE:
            raise Conflict(f"the alert is {self.status}", code="invalid-state")
        return msgspec.structs.replace(
            self, status=LifecycleStatus.ACKNOWLEDGED, acknowledged_at=at, acknowledged_by=by
        )

    def resolved(self, resolution: Resolution, *, at: datetime, by: UUID | None) -> "Alert":
        """As over. `Conflict` when it is over already."""
        if self.status is LifecycleStatus.RESOLVED:
            raise Conflict("the alert is RESOLVED", code="invalid-state")
        return msgspec.structs.replace(
            self, status=LifecycleStatus.RESOLVED, resolved_at=at, resolved_by=by, resolution=resolution
        )

    def is_silent(self, now: datetime) -> bool:
        """Nobody is told of it."""
        return self.silenced_until is not None and self.silenced_until > now


def fact_about(alert: Alert) -> AlertChanged:
    """What rooms above are told of an alert."""
    return AlertChanged(
        alert.id, alert.device_id, alert.status, alert.rule_id, alert.sensor_id, resolution=alert.resolution
    )


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are wanted; empty lists and None mean any."""

    statuses: Sequence[LifecycleStatus] = ()
    severities: Sequence[Severity] = ()
    rule_id: UUID | None = None
    device_id: DeviceId | None = None
    sensor_id: SensorId | None = None
    site_id: SiteId | None = None
    """There or in a site below."""
    assignee_id: UserId | None = None
    triggered_from: datetime | None = None
    triggered_before: datetime | None = None


class AlertAction(StrEnum):
    """What can be done to many alerts at once."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class AlertOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one alert of many: what it is now, or why nothing was done."""

    alert_id: UUID
    alert: Alert | None = None
    error: Exception | None = None


class AlertStats(msgspec.Struct, frozen=True):
    """How many alerts there are of each kind; kinds without any have 0."""

    by_status: dict[LifecycleStatus, int]
    by_severity: dict[Severity, int]
