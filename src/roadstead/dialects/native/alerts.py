"""/alerts: what rules have found, and what is done about it."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import rules
from roadstead.core.events import LifecycleStatus
from roadstead.core.messages import Severity
from roadstead.core.rules import Alert, AlertAction, AlertOutcome, AlertQuery, Resolution, Step
from roadstead.core.work import Work
from roadstead.dialects.native.channels import DeliveryShape
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.events import From, To, spell_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.problems import Problem, problem_of
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.dialects.native.spans import read_instant
from roadstead.kernel.errors import Invalid, NotFound, RoadsteadError
from roadstead.kernel.ids import DeviceId, SensorId, SiteId, UserId, parse_uuid
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest

AlertPath = Annotated[str, PathParameter(name="id")]
Comment = Annotated[str, Meta(max_length=2_000)]


# --- shapes ----------------------------------------------------------------------------------------------------------


class StepShape(Shape, kw_only=True):
    """One line of the time line; `by` is left out when it was the platform itself."""

    at: datetime
    by: str | None = None
    name: str
    action: str
    comment: str | None = None

    @classmethod
    def of(cls, step: Step) -> "StepShape":
        return cls(
            at=step.at, by=spell_id(step.actor_id), name=step.actor_name, action=step.action, comment=step.comment
        )


class AlertShape(Shape, kw_only=True):
    """Contract schema `Alert`; the time line only with one alert by itself."""

    id: str
    ordinal: int
    event_id: str
    rule_id: str
    rule_name: str
    severity: str
    status: str
    device_id: str
    component_id: str | None = None
    sensor_id: str
    site_id: str | None = None
    value: Any = None
    threshold: Any = None
    message: str
    triggered_at: datetime
    last_seen_at: datetime
    occurrences: int
    assignee_id: str | None = None
    silenced_until: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolution: str | None = None
    timeline: list[StepShape] | None = None

    @classmethod
    def of(cls, alert: Alert) -> "AlertShape":
        return cls(
            id=str(alert.id),
            ordinal=alert.ordinal,
            event_id=str(alert.event_id),
            rule_id=str(alert.rule_id),
            rule_name=alert.rule_name,
            severity=alert.severity,
            status=alert.status,
            device_id=str(alert.device_id),
            component_id=spell_id(alert.component_id),
            sensor_id=str(alert.sensor_id),
            site_id=spell_id(alert.site_id),
            value=alert.value,
            threshold=alert.threshold,
            message=alert.message,
            triggered_at=alert.triggered_at,
            last_seen_at=alert.last_seen_at,
            occurrences=alert.occurrences,
            assignee_id=spell_id(alert.assignee_id),
            silenced_until=alert.silenced_until,
            acknowledged_at=alert.acknowledged_at,
            acknowledged_by=spell_id(alert.acknowledged_by),
            resolved_at=alert.resolved_at,
            resolved_by=spell_id(alert.resolved_by),
            resolution=alert.resolution,
        )


class AcknowledgeBody(Body):
    """Body of `alert.acknowledge`."""

    comment: Comment | None = None


class ResolveBody(Body):
    """Body of `alert.resolve`."""

    comment: Comment | None = None
    resolution: Literal["FIXED", "FALSE_ALARM", "IGNORED", "OTHER"] | None = None


class CommentBody(Body):
    """Body of `alert.comment`."""

    comment: Annotated[str, Meta(min_length=1, max_length=2_000)]


class AssignBody(Body):
    """Body of `alert.assign`: a member of the organization; null takes it from whoever has it."""

    user_id: str | None


class SilenceBody(Body):
    """Body of `alert.silence`: until when nobody is told; null ends the silence."""

    until: Annotated[datetime, Meta(tz=True)] | None
    comment: Comment | None = None


class AlertFilterBody(Body, kw_only=True):
    """As the parameters of `alert.list`."""

    status: list[LifecycleStatus] | LifecycleStatus | None = None
    severity: list[Severity] | Severity | None = None
    rule_id: UUID | None = None
    device_id: UUID | None = None
    sensor_id: UUID | None = None
    site_id: UUID | None = None
    assignee_id: UUID | None = None
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")

    def read(self) -> AlertQuery:
        """In words of the core."""
        return _read_query(
            status=[self.status] if isinstance(self.status, str) else self.status,
            severity=[self.severity] if isinstance(self.severity, str) else self.severity,
            rule_id=self.rule_id,
            device_id=self.device_id,
            sensor_id=self.sensor_id,
            site_id=self.site_id,
            assignee_id=self.assignee_id,
            start=read_instant(self.start, "filter/from", place="body"),
            end=read_instant(self.end, "filter/to", place="body"),
        )


class BulkBody(Body, kw_only=True):
    """Body of `alert.bulk`: either ids or a filter."""

    action: AlertAction
    ids: Annotated[list[str], Meta(max_length=500)] | None = None
    filter: AlertFilterBody | None = None
    comment: Comment | None = None


class AlertLineShape(Shape, kw_only=True):
    """One line of contract schema `BulkResult`."""

    index: int
    id: str
    status: int
    resource: AlertShape | None = None
    problem: Problem | None = None


class AlertResultsShape(Shape, kw_only=True):
    """Contract schema `BulkResult`."""

    succeeded: int
    failed: int
    results: list[AlertLineShape]


class AlertStatsShape(Shape, kw_only=True):
    """Answer of `alert.stats`."""

    by_status: dict[str, int]
    by_severity: dict[str, int]


def _read_query(
    *,
    status: list[LifecycleStatus] | None = None,
    severity: list[Severity] | None = None,
    rule_id: UUID | None = None,
    device_id: UUID | None = None,
    sensor_id: UUID | None = None,
    site_id: UUID | None = None,
    assignee_id: UUID | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> AlertQuery:
    return AlertQuery(
        statuses=status or (),
        severities=severity or (),
        rule_id=rule_id,
        device_id=None if device_id is None else DeviceId(device_id),
        sensor_id=None if sensor_id is None else SensorId(sensor_id),
        site_id=None if site_id is None else SiteId(site_id),
        assignee_id=None if assignee_id is None else UserId(assignee_id),
        triggered_from=start,
        triggered_before=end,
    )


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/", operation_id="alert.list")
async def list_alerts(
    work: Work,
    page: PageQuery,
    sort: Annotated[
        str | None, QueryParameter(description="triggeredAt, severity; -field descends; default: -triggeredAt")
    ] = None,
    status: Annotated[list[LifecycleStatus] | None, QueryParameter(description="repeatable")] = None,
    severity: Annotated[list[Severity] | None, QueryParameter(description="repeatable")] = None,
    rule_id: Annotated[UUID | None, QueryParameter(name="ruleId")] = None,
    device_id: Annotated[UUID | None, QueryParameter(name="deviceId")] = None,
    sensor_id: Annotated[UUID | None, QueryParameter(name="sensorId")] = None,
    site_id: Annotated[UUID | None, QueryParameter(name="siteId", description="there or below")] = None,
    assignee_id: Annotated[UUID | None, QueryParameter(name="assigneeId")] = None,
    start: From = None,
    end: To = None,
) -> PageShape[AlertShape]:
    """Fired alerts."""
    query = _read_query(
        status=status,
        severity=severity,
        rule_id=rule_id,
        device_id=device_id,
        sensor_id=sensor_id,
        site_id=site_id,
        assignee_id=assignee_id,
        start=read_instant(start, "from"),
        end=read_instant(end, "to"),
    )
    return page_shape(await rules.list_alerts(work, query, sort=sort, page=page), page, AlertShape.of)


@get("/stats", operation_id="alert.stats")
async def get_stats(
    work: Work,
    start: From = None,
    end: To = None,
    site_id: Annotated[UUID | None, QueryParameter(name="siteId", description="there or below")] = None,
    device_id: Annotated[UUID | None, QueryParameter(name="deviceId")] = None,
) -> AlertStatsShape:
    """Counts by status and severity."""
    query = _read_query(
        site_id=site_id, device_id=device_id, start=read_instant(start, "from"), end=read_instant(end, "to")
    )
    stats = await rules.get_stats(work, query)
    return AlertStatsShape(
        by_status={status.value: count for status, count in stats.by_status.items()},
        by_severity={severity.value: count for severity, count in stats.by_severity.items()},
    )


@post(
    "/bulk",
    operation_id="alert.bulk",
    status_code=200,
    responses={207: ResponseSpec(AlertResultsShape, generate_examples=False)},
)
@idempotent
async def change_alerts(request: AnyRequest, work: Work, data: BulkBody) -> Response[AlertResultsShape]:
    """Acknowledges or resolves up to 500 alerts by ids or filter; 207 says that some failed."""
    if (data.ids is None) == (data.filter is None):
        raise Invalid.field("", "needs either ids or a filter")
    if data.filter is not None:
        outcomes = await rules.change_alerts(work, data.filter.read(), data.action, comment=data.comment)
        lines = [_spell_line(request, index, str(one.alert_id), one) for index, one in enumerate(outcomes)]
    else:
        known = {text: id_ for text in data.ids or () if (id_ := parse_uuid(text)) is not None}
        outcomes = await rules.change_alerts(work, list(known.values()), data.action, comment=data.comment)
        by_id = {one.alert_id: one for one in outcomes}
        lines = [
            _spell_line(request, index, text, by_id.get(known[text]) if text in known else None)
            for index, text in enumerate(data.ids or ())
        ]
    failed = sum(line.problem is not None for line in lines)
    shape = AlertResultsShape(succeeded=len(lines) - failed, failed=failed, results=lines)
    return Response(shape, status_code=HTTPStatus.MULTI_STATUS if failed else HTTPStatus.OK)


def _spell_line(request: AnyRequest, index: int, text: str, outcome: AlertOutcome | None) -> AlertLineShape:
    error = NotFound("alert", text) if outcome is None else outcome.error
    if isinstance(error, RoadsteadError):
        problem = problem_of(request, error)
        return AlertLineShape(index=index, id=text, status=problem.status, problem=problem)
    alert = outcome.alert if outcome else None
    return AlertLineShape(index=index, id=text, status=200, resource=AlertShape.of(alert) if alert else None)


@get("/{id:str}", operation_id="alert.get")
async def get_alert(work: Work, alert_id: AlertPath) -> AlertShape:
    """One alert with its life-cycle steps."""
    return await _with_timeline(work, await rules.get_alert(work, _read_alert_id(alert_id)))


@post("/{id:str}/acknowledge", operation_id="alert.acknowledge", status_code=200)
async def acknowledge_alert(work: Work, alert_id: AlertPath, data: AcknowledgeBody | None = None) -> AlertShape:
    """ACTIVE to ACKNOWLEDGED; again by the same person is 200 without change."""
    comment = data.comment if data else None
    return await _with_timeline(work, await rules.acknowledge_alert(work, _read_alert_id(alert_id), comment=comment))


@post("/{id:str}/resolve", operation_id="alert.resolve", status_code=200)
async def resolve_alert(work: Work, alert_id: AlertPath, data: ResolveBody | None = None) -> AlertShape:
    """ACTIVE or ACKNOWLEDGED to RESOLVED. While the condition stays true, the next alert waits for the cooldown."""
    body = data or ResolveBody()
    resolution = Resolution(body.resolution) if body.resolution else None
    alert = await rules.resolve_alert(work, _read_alert_id(alert_id), comment=body.comment, resolution=resolution)
    return await _with_timeline(work, alert)


@post("/{id:str}/comments", operation_id="alert.comment", status_code=201)
async def comment_alert(work: Work, alert_id: AlertPath, data: CommentBody) -> AlertShape:
    """Adds a comment to the time line."""
    return await _with_timeline(work, await rules.comment_alert(work, _read_alert_id(alert_id), data.comment))


@post("/{id:str}/assign", operation_id="alert.assign", status_code=200)
async def assign_alert(work: Work, alert_id: AlertPath, data: AssignBody) -> AlertShape:
    """Makes it the business of a member of the organization, or of nobody."""
    assignee = None if data.user_id is None else UserId(read_reference(data.user_id, "/userId"))
    return await _with_timeline(work, await rules.assign_alert(work, _read_alert_id(alert_id), assignee))


@post("/{id:str}/silence", operation_id="alert.silence", status_code=200)
async def silence_alert(work: Work, alert_id: AlertPath, data: SilenceBody) -> AlertShape:
    """Until then nobody is notified of it, nor of later alerts of the rule about the sensor; null ends the silence."""
    alert = await rules.silence_alert(work, _read_alert_id(alert_id), data.until, comment=data.comment)
    return await _with_timeline(work, alert)


@get("/{id:str}/notifications", operation_id="alert.notifications")
async def list_notifications(work: Work, page: PageQuery, alert_id: AlertPath) -> PageShape[DeliveryShape]:
    """Deliveries made for the alert."""
    found = await rules.list_deliveries(work, _read_alert_id(alert_id), page)
    return page_shape(found, page, DeliveryShape.of)


async def _with_timeline(work: Work, alert: Alert) -> AlertShape:
    shape = AlertShape.of(alert)
    shape.timeline = [StepShape.of(step) for step in await rules.get_timeline(work, alert.id)]
    return shape


def _read_alert_id(text: str) -> UUID:
    return read_id(text, "alert")


router = Router(
    "/v1/alerts",
    route_handlers=[
        list_alerts, get_stats, change_alerts, get_alert, acknowledge_alert, resolve_alert, comment_alert,
        assign_alert, silence_alert, list_notifications,
    ],
    tags=["alerting"],
)  # fmt: skip
