"""What alert rules are."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.messages import Severity
from roadstead.core.rules.conditions import read_condition
from roadstead.core.types import ProfileReference
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem, Invalid

MAX_RULES = 10_000
"""So many rules an organization may have."""
MAX_COOLDOWN_S = 604_800
MAX_NAMED = 1_000
"""Sensors, components or devices that a scope may name."""
MAX_CHANNELS = 20
MAX_TAGS = 50

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
PLACEHOLDERS = ("device", "sensor", "value", "unit", "threshold", "rule", "severity", "site", "time")
"""What a message template can speak of, as `{{value}}`."""


class RuleScope(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """Which sensors a rule looks at: those that meet all that is said here, whenever they come into being."""

    sensor_ids: list[UUID] = []
    component_ids: list[UUID] = []
    device_ids: list[UUID] = []
    device_group_id: UUID | None = None
    site_id: UUID | None = None
    """At this site or below."""
    sensor_profile: str | None = None
    """`key` for any version, or `key@major.minor`."""
    field: str | None = None
    """Of the sensor's profile; of a sensor without one, its key."""

    def check(self) -> list[FieldProblem]:
        """What is wrong with it by itself."""
        problems = []
        if not msgspec.to_builtins(self).keys() - {"field"}:
            detail = "names sensors, components, devices, a group, a site or a sensor profile"
            problems.append(FieldProblem("/scope", "required", detail))
        for name, named in (
            ("sensorIds", self.sensor_ids),
            ("componentIds", self.component_ids),
            ("deviceIds", self.device_ids),
        ):
            if len(named) > MAX_NAMED:
                problems.append(FieldProblem(f"/scope/{name}", "invalid", f"takes at most {MAX_NAMED}"))
        if self.sensor_profile is not None and ProfileReference.parse(self.sensor_profile) is None:
            problems.append(FieldProblem("/scope/sensorProfile", "invalid", "is neither 'key' nor 'key@major.minor'"))
        if self.field is not None and not 1 <= len(self.field) <= 64:
            problems.append(FieldProblem("/scope/field", "invalid", "takes 1 to 64 characters"))
        return problems


class AlertRule(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on sensors, and what to do when it holds."""

    id: UUID
    name: str
    description: str | None
    enabled: bool
    severity: Severity
    scope: RuleScope
    condition: dict[str, Any]
    """As it was sent; `read_condition` reads it."""
    cooldown_s: int
    auto_resolve: bool
    channel_ids: list[UUID]
    message_template: str | None
    tags: dict[str, str]
    last_fired_at: datetime | None
    revision: int
    """Of the condition: counts up when it changes."""
    created_at: datetime
    updated_at: datetime
    version: int


class RuleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A rule to be made."""

    name: str
    severity: Severity
    scope: RuleScope
    condition: dict[str, Any]
    description: str | None = None
    enabled: bool = True
    cooldown_s: int = 300
    auto_resolve: bool = True
    channel_ids: list[UUID] = []
    message_template: str | None = None
    tags: dict[str, str] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = []
        for pointer, text, least, most in (
            ("/name", self.name, 1, 120),
            ("/description", self.description or "", 0, 1_000),
            ("/messageTemplate", self.message_template or "", 0, 2_000),
        ):
            if not least <= len(text) <= most or "\0" in text:
                problems.append(FieldProblem(pointer, "invalid", f"takes {least} to {most} characters, and no NUL"))
        problems += self.scope.check()
        if not 0 <= self.cooldown_s <= MAX_COOLDOWN_S:
            problems.append(FieldProblem("/cooldownSeconds", "range", f"takes 0 to {MAX_COOLDOWN_S}"))
        if len(self.channel_ids) > MAX_CHANNELS:
            problems.append(FieldProblem("/channelIds", "invalid", f"takes at most {MAX_CHANNELS}"))
        problems += _check_tags(self.tags)
        for name in _PLACEHOLDER.findall(self.message_template or ""):
            if name not in PLACEHOLDERS:
                detail = f"'{{{{{name}}}}}' is not one of {', '.join(PLACEHOLDERS)}"
                problems.append(FieldProblem("/messageTemplate", "invalid", detail))
        try:
            read_condition(self.condition)
        except Invalid as error:
            problems += error.fields
        if problems:
            first = problems[0]
            raise Invalid(f"{first.pointer.lstrip('/').replace('/', '.')}: {first.detail}", fields=problems)


class RuleChange(Change, frozen=True, kw_only=True):
    """What shall be different about a rule."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    scope: Mapping[str, Any] | UnsetType = UNSET
    """A merge patch, in the spelling of the native contract."""
    condition: Mapping[str, Any] | UnsetType = UNSET
    """Another condition: it is a tree, so it is not merged."""
    cooldown_s: int | UnsetType = UNSET
    auto_resolve: bool | UnsetType = UNSET
    channel_ids: list[UUID] | UnsetType = UNSET
    message_template: str | UnsetType | None = UNSET
    tags: Mapping[str, str | None] | UnsetType | None = UNSET
    """A merge patch."""


def _check_tags(tags: Mapping[str, str]) -> list[FieldProblem]:
    problems = []
    if len(tags) > MAX_TAGS:
        problems.append(FieldProblem("/tags", "invalid", f"takes at most {MAX_TAGS}"))
    for key, value in tags.items():
        if not 1 <= len(key) <= 64 or len(value) > 256 or "\0" in key + value:
            detail = "a key takes 1 to 64 characters, a value at most 256"
            problems.append(FieldProblem("/tags", "invalid", detail))
    return problems


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """The text with what its placeholders stand for."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)
