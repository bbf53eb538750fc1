"""What groups of devices are, and whom a selector means."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.registry.checks import MAX_TAGS, check_text, refuse
from roadstead.core.types import ProfileReference
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import GroupId


class TagOperator(StrEnum):
    """What is asked of a tag."""

    IN = "IN"
    NOT_IN = "NOT_IN"
    EXISTS = "EXISTS"
    NOT_EXISTS = "NOT_EXISTS"


class TagExpression(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One condition on a tag. A device without the tag is NOT_IN any values."""

    key: str
    operator: TagOperator
    values: list[str] = []


class TagSelector(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """Which devices belong to a group: those that meet all conditions, and those named one by one."""

    match_tags: dict[str, str] = {}
    expressions: list[TagExpression] = []
    site_ids: list[UUID] = []
    """At one of these sites or below."""
    device_profiles: list[str] = []
    device_ids: list[UUID] = []

    def check(self, pointer: str) -> None:
        """Raises `Invalid` for one that says nothing, too much, or something odd."""
        problems = []
        if not (self.match_tags or self.expressions or self.site_ids or self.device_profiles or self.device_ids):
            problems.append(FieldProblem(pointer, "required", "needs at least one condition"))
        for member, size, most in (
            ("matchTags", len(self.match_tags), MAX_TAGS),
            ("expressions", len(self.expressions), MAX_TAGS),
            ("siteIds", len(self.site_ids), 500),
            ("deviceProfiles", len(self.device_profiles), 100),
            ("deviceIds", len(self.device_ids), 1_000),
        ):
            if size > most:
                problems.append(FieldProblem(f"{pointer}/{member}", "invalid", f"takes at most {most}"))
        for index, profile in enumerate(self.device_profiles):
            if ProfileReference.parse(profile) is None:
                detail = "is neither 'key' nor 'key@major.minor'"
                problems.append(FieldProblem(f"{pointer}/deviceProfiles/{index}", "invalid", detail))
        for index, expression in enumerate(self.expressions):
            needs_values = expression.operator in (TagOperator.IN, TagOperator.NOT_IN)
            if needs_values != bool(expression.values):
                detail = "needs values" if needs_values else "takes no values"
                problems.append(FieldProblem(f"{pointer}/expressions/{index}/values", "invalid", detail))
        refuse(problems)


class DeviceGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that meet a selector; nobody is a member by hand, except those the selector names."""

    id: GroupId
    name: str
    description: str | None
    selector: TagSelector
    created_at: datetime
    updated_at: datetime
    version: int


class DeviceGroupDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A group to be made."""

    name: str
    selector: TagSelector
    description: str | None = None

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        refuse(
            check_text("/name", self.name, most=120, least=1) + check_text("/description", self.description, most=1000)
        )
        self.selector.check("/selector")


class DeviceGroupChange(Change, frozen=True, kw_only=True):
    """What shall be different about a group."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    selector: Mapping[str, Any] | UnsetType = UNSET
    """A merge patch, in the spelling of the native contract."""
