"""/alert-rules: conditions on sensors, and what happens when they hold."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import rules
from roadstead.core.messages import Severity
from roadstead.core.ports import Span
from roadstead.core.rules import AlertRule, PastFiring, RuleChange, RuleDraft, RuleScope
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.dialects.native.spans import read_instant
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import DeviceId, SensorId
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import from_millis
from roadstead.web.edge import AnyRequest

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Template = Annotated[str, Meta(max_length=2_000)]
Cooldown = Annotated[int, Meta(ge=0, le=604_800)]
Channels = Annotated[list[str], Meta(max_length=20)]
RulePath = Annotated[str, PathParameter(name="id")]


class AlertRuleShape(Shape, kw_only=True):
    """Contract schema `AlertRule`; `warnings` only in the answer to whoever made or changed it."""

    id: str
    name: str
    description: str | None = None
    enabled: bool
    severity: str
    scope: RuleScope
    condition: dict[str, Any]
    cooldown_seconds: int
    auto_resolve: bool
    channel_ids: list[str]
    message_template: str | None = None
    tags: dict[str, str]
    last_fired_at: datetime | None = None
    warnings: list[str] | None = None
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, rule: AlertRule, warnings: list[str] | None = None) -> "AlertRuleShape":
        return cls(
            id=str(rule.id),
            name=rule.name,
            description=rule.description,
            enabled=rule.enabled,
            severity=rule.severity,
            scope=rule.scope,
            condition=rule.condition,
            cooldown_seconds=rule.cooldown_s,
            auto_resolve=rule.auto_resolve,
            channel_ids=[str(channel) for channel in rule.channel_ids],
            message_template=rule.message_template,
            tags=rule.tags,
            last_fired_at=rule.last_fired_at,
            warnings=warnings or None,
            created_at=rule.created_at,
            updated_at=rule.updated_at,
            version=rule.version,
        )


class AlertRuleBody(Body, kw_only=True):
    """Contract schema `AlertRuleInput`; the condition language is described in the guide."""

    name: Name
    description: Annotated[str, Meta(max_length=1_000)] | None = None
    enabled: bool = True
    severity: Severity
    scope: RuleScope
    condition: dict[str, Any]
    cooldown_seconds: Cooldown = 300
    auto_resolve: bool = True
    channel_ids: Channels = msgspec.field(default_factory=list)
    message_template: Template | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    def draft(self) -> RuleDraft:
        """In words of the core."""
        return RuleDraft(
            name=self.name,
            description=self.description,
            enabled=self.enabled,
            severity=self.severity,
            scope=self.scope,
            condition=self.condition,
            cooldown_s=self.cooldown_seconds,
            auto_resolve=self.auto_resolve,
            channel_ids=_read_channels(self.channel_ids),
            message_template=self.message_template,
            tags=self.tags,
        )


class AlertRulePatch(Body, kw_only=True):
    """A merge patch of `AlertRuleInput`; a condition is replaced as a whole."""

    name: Name | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=1_000)] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    scope: dict[str, Any] | UnsetType = UNSET
    condition: dict[str, Any] | UnsetType = UNSET
    cooldown_seconds: Cooldown | UnsetType = UNSET
    auto_resolve: bool | UnsetType = UNSET
    channel_ids: Channels | UnsetType = UNSET
    message_template: Template | UnsetType | None = UNSET
    tags: dict[str, str | None] | UnsetType | None = UNSET

    def change(self) -> RuleChange:
        """In words of the core."""
        return RuleChange(
            name=self.name,
            description=self.description,
            enabled=self.enabled,
            severity=self.severity,
            scope=self.scope,
            condition=self.condition,
            cooldown_s=self.cooldown_seconds,
            auto_resolve=self.auto_resolve,
            channel_ids=UNSET if isinstance(self.channel_ids, UnsetType) else _read_channels(self.channel_ids),
            message_template=self.message_template,
            tags=self.tags,
        )


class RuleTestBody(Body, kw_only=True):
    """Body of `alert-rule.test`."""

    rule: AlertRuleBody
    start: Annotated[str, Meta(description="RFC 3339, inclusive")] = msgspec.field(name="from")
    end: Annotated[str, Meta(description="RFC 3339, exclusive")] = msgspec.field(name="to")

    def span(self) -> Span:
        """In words of the core."""
        since, until = read_instant(self.start, "from", place="body"), read_instant(self.end, "to", place="body")
        assert since is not None
        assert until is not None
        return Span(since, until)


class FiringShape(Shape, kw_only=True):
    """When a rule would have fired, and until when."""

    sensor_id: str
    at: datetime
    value: Any = None
    resolved_at: datetime | None = None

    @classmethod
    def of(cls, firing: PastFiring) -> "FiringShape":
        return cls(
            sensor_id=str(firing.sensor_id),
            at=from_millis(firing.at),
            value=firing.value,
            resolved_at=None if firing.resolved_at is None else from_millis(firing.resolved_at),
        )


class RuleTestShape(Shape, kw_only=True):
    """Answer of `alert-rule.test`."""

    firings: list[FiringShape]
    truncated: bool


def _read_channels(texts: list[str]) -> list[UUID]:
    return [read_reference(text, f"/channelIds/{index}") for index, text in enumerate(texts)]


@get("/", operation_id="alert-rule.list")
async def list_rules(
    work: Work,
    page: PageQuery,
    sort: Annotated[
        str | None, QueryParameter(description="name (default), createdAt, lastFiredAt; -field descends")
    ] = None,
    enabled: bool | None = None,
    severity: Severity | None = None,
    device_id: Annotated[UUID | None, QueryParameter(name="deviceId", description="rules that look at it")] = None,
    sensor_id: Annotated[UUID | None, QueryParameter(name="sensorId", description="rules that look at it")] = None,
    q: Annotated[str | None, QueryParameter(description="part of the name", max_length=200)] = None,
) -> PageShape[AlertRuleShape]:
    """Lists alert rules of the organization."""
    found = await rules.list_rules(
        work,
        enabled=enabled,
        severity=severity,
        device_id=None if device_id is None else DeviceId(device_id),
        sensor_id=None if sensor_id is None else SensorId(sensor_id),
        text=q,
        sort=sort,
        page=page,
    )
    return page_shape(found, page, AlertRuleShape.of)


@post("/", operation_id="alert-rule.create", status_code=201)
@idempotent
async def create_rule(request: AnyRequest, work: Work, data: AlertRuleBody) -> Response[AlertRuleShape | None]:
    """Creates one. The condition is compiled on save; errors point into it.

    A scope that holds no sensor of a fitting type at present is taken with a warning: sensors may come.
    """
    rule = await rules.create_rule(work, data.draft())
    shape = AlertRuleShape.of(rule, await rules.warn_of(work, rule))
    return versioned(request, shape, rule.version, location=f"/api/v1/alert-rules/{rule.id}")


@post("/test", operation_id="alert-rule.test", status_code=200)
async def test_rule(work: Work, data: RuleTestBody) -> RuleTestShape:
    """Evaluates a rule against stored data of a range and lists when it would have fired; nothing is stored.

    Up to 100 devices, 100,000 readings and 1,000 firings; `truncated` says that there was more.
    """
    try:
        found = await rules.preview_rule(work, data.rule.draft(), data.span())
    except Invalid as error:
        places = [
            field
            if field.pointer in ("/from", "/to")
            else FieldProblem(f"/rule{field.pointer}", field.code, field.detail)
            for field in error.fields
        ]
        raise Invalid(str(error), code=error.code, fields=places) from error
    return RuleTestShape(firings=[FiringShape.of(firing) for firing in found.firings], truncated=found.truncated)


@get("/{id:str}", operation_id="alert-rule.get")
async def get_rule(request: AnyRequest, work: Work, rule_id: RulePath) -> Response[AlertRuleShape | None]:
    """One of them, with ETag; If-None-Match gives 304."""
    rule = await rules.get_rule(work, _read_rule_id(rule_id))
    return versioned(request, AlertRuleShape.of(rule), rule.version)


@put("/{id:str}", operation_id="alert-rule.replace")
async def replace_rule(
    request: AnyRequest, work: Work, rule_id: RulePath, expected: int | None, data: AlertRuleBody
) -> Response[AlertRuleShape | None]:
    """Replaces all writable fields; a field left out goes back to its default."""
    rule = await rules.replace_rule(work, _read_rule_id(rule_id), data.draft(), expected=expected)
    return versioned(request, AlertRuleShape.of(rule, await rules.warn_of(work, rule)), rule.version)


@patch("/{id:str}", operation_id="alert-rule.patch")
async def change_rule(
    request: AnyRequest, work: Work, rule_id: RulePath, expected: int | None, data: AlertRulePatch
) -> Response[AlertRuleShape | None]:
    """JSON merge patch of the writable fields; a condition is replaced as a whole."""
    rule = await rules.change_rule(work, _read_rule_id(rule_id), data.change(), expected=expected)
    return versioned(request, AlertRuleShape.of(rule, await rules.warn_of(work, rule)), rule.version)


@delete("/{id:str}", operation_id="alert-rule.delete")
async def delete_rule(work: Work, rule_id: RulePath, expected: int | None) -> None:
    """Deletes it. Open alerts of the rule are resolved with reason RULE_DELETED."""
    await rules.delete_rule(work, _read_rule_id(rule_id), expected=expected)


@post("/{id:str}/enable", operation_id="alert-rule.enable", status_code=200)
async def enable_rule(request: AnyRequest, work: Work, rule_id: RulePath) -> Response[AlertRuleShape | None]:
    """Turns evaluation on."""
    rule = await rules.switch_rule(work, _read_rule_id(rule_id), enabled=True)
    return versioned(request, AlertRuleShape.of(rule), rule.version)


@post("/{id:str}/disable", operation_id="alert-rule.disable", status_code=200)
async def disable_rule(request: AnyRequest, work: Work, rule_id: RulePath) -> Response[AlertRuleShape | None]:
    """Turns evaluation off; open alerts stay."""
    rule = await rules.switch_rule(work, _read_rule_id(rule_id), enabled=False)
    return versioned(request, AlertRuleShape.of(rule), rule.version)


def _read_rule_id(text: str) -> UUID:
    return read_id(text, "alert rule")


router = Router(
    "/v1/alert-rules",
    route_handlers=[
        list_rules, create_rule, test_rule, get_rule, replace_rule, change_rule, delete_rule, enable_rule, disable_rule,
    ],
    tags=["alerting"],
)  # fmt: skip
