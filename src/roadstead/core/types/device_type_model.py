"""What device types are whose values are told by JSON Schema, and the rules that need no database."""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.types.type_paths import REPORTED, parse_json_path
from roadstead.core.types.type_schema import TypeSchema, check_sections
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.ids import TypeId

LONGEST_INTERVAL_S = 172_800

_CATEGORY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_SLOT = re.compile(r"[a-zA-Z0-9_]{1,255}")
_MOST_TEXT = 255


class TypeOrigin(StrEnum):
    """Where a type comes from."""

    DEFINED = "DEFINED"
    PROFILE = "PROFILE"
    """It shows a version of a device profile; the id is that of the version."""
    OPEN = "OPEN"
    """It shows what devices without type and profile have in common: nothing. The id is that of the organization."""


class ReportTarget(StrEnum):
    """Where a reported value goes beside the state."""

    TIMESERIES = "timeseries"
    STATE = "deviceManagement"
    FLOW = "flow"
    """Nothing comes of it."""


class ReportingRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the value at a JSON path goes."""

    path: str
    report_to: list[ReportTarget]


class Slot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place for firmware."""

    name: str | None = None


class DeviceType(msgspec.Struct, frozen=True, kw_only=True):
    """What devices of one kind report and take."""

    id: TypeId
    origin: TypeOrigin
    name: str
    manufacturer: str | None
    model: str | None
    description: str | None
    categories: list[str]
    sections: dict[str, dict[str, Any]]
    """By name of the section (`type_paths.Section`) JSON Schemas by name, beside two reserved keys."""
    reporting_rules: list[ReportingRule]
    slots: dict[str, Slot]
    communication_interval: int | None
    """Seconds within which its devices are to be heard; None and 0: nobody looks."""
    created_at: datetime
    updated_at: datetime
    version: int

    def series_paths(self) -> frozenset[str]:
        """The paths whose values are kept as time series, by its reporting rules."""
        rules = [rule for rule in self.reporting_rules if ReportTarget.TIMESERIES in rule.report_to]
        return frozenset(path for rule in rules if (path := parse_json_path(rule.path)) is not None)

    def compiled(self) -> TypeSchema:
        """What values must be like; made anew each time."""
        return TypeSchema(self.sections)


class DeviceTypeDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A type to be made."""

    name: str
    manufacturer: str | None = None
    model: str | None = None
    description: str | None = None
    categories: list[str] = []
    sections: dict[str, Any] = {}
    reporting_rules: list[ReportingRule] = []
    slots: dict[str, Slot] = {}
    communication_interval: int | None = None

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = [] if self.name else [FieldProblem("/name", "invalid", "takes 1 to 255 characters")]
        for name in ("name", "manufacturer", "model", "description"):
            problems += _check_text(f"/{name}", getattr(self, name))
        problems += _check_categories(self.categories)
        problems += check_sections(self.sections, "/schema")
        for index, rule in enumerate(self.reporting_rules):
            problems += _check_rule(rule, f"/reportingRules/{index}")
        for name, slot in self.slots.items():
            if not _SLOT.fullmatch(name):
                detail = "takes 1 to 255 letters, digits and '_' as the name of a slot"
                problems.append(FieldProblem(f"/slots/{name}", "invalid", detail))
            problems += _check_text(f"/slots/{name}/name", slot.name)
        problems += check_interval(self.communication_interval, "/communicationInterval")
        if problems:
            raise Invalid(f"{problems[0].pointer.lstrip('/')}: {problems[0].detail}", fields=problems)


class DeviceTypeChange(Change, frozen=True, kw_only=True):
    """What shall be different about a type. Whatever is sent takes the place of what was there as a whole."""

    name: str | UnsetType = UNSET
    manufacturer: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    categories: list[str] | UnsetType = UNSET
    sections: dict[str, Any] | UnsetType = UNSET
    reporting_rules: list[ReportingRule] | UnsetType = UNSET
    slots: dict[str, Slot] | UnsetType = UNSET
    communication_interval: int | UnsetType | None = UNSET


# --- rules -----------------------------------------------------------------------------------------------------------


def check_interval(interval: int | None, pointer: str) -> list[FieldProblem]:
    """Two days at most."""
    if interval is None or 0 <= interval <= LONGEST_INTERVAL_S:
        return []
    return [FieldProblem(pointer, "invalid", f"must be between 0 and {LONGEST_INTERVAL_S} seconds")]


def _check_text(pointer: str, text: str | None) -> list[FieldProblem]:
    if text is not None and (len(text) > _MOST_TEXT or "\0" in text):
        return [FieldProblem(pointer, "invalid", f"takes at most {_MOST_TEXT} characters, no NUL")]
    return []


def _check_categories(categories: Sequence[str]) -> list[FieldProblem]:
    problems = [
        FieldProblem(f"/categories/{index}", "invalid", "is no URI: it begins with a scheme and a colon")
        for index, category in enumerate(categories)
        if not _CATEGORY.fullmatch(category) or "\0" in category
    ]
    if len(set(categories)) < len(categories):
        problems.append(FieldProblem("/categories", "invalid", "names one twice"))
    return problems


def _check_rule(rule: ReportingRule, pointer: str) -> list[FieldProblem]:
    """It may name what the schema does not: types were made before what they describe."""
    problems = []
    if parse_json_path(rule.path) is None or "\0" in rule.path:
        heads = " or ".join(f"$.{section}." for section in REPORTED)
        problems.append(FieldProblem(f"{pointer}/path", "invalid", f"is no JSON path of one value, from {heads} on"))
    if len(set(rule.report_to)) < len(rule.report_to):
        problems.append(FieldProblem(f"{pointer}/reportTo", "invalid", "names one twice"))
    return problems
