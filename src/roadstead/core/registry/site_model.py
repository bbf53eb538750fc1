"""What sites are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.registry.checks import (
    MAX_METADATA_BYTES,
    Location,
    check_metadata,
    check_tags,
    check_text,
    is_time_zone,
    refuse,
)
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import SiteId

MAX_SITE_DEPTH = 8


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A place that holds devices and other sites."""

    id: SiteId
    parent_id: SiteId | None
    lineage: list[SiteId]
    """From the root down to this site itself."""
    path: list[str]
    """The names of the lineage."""
    name: str
    location: Location | None
    time_zone: str | None
    address: dict[str, Any] | None
    tags: dict[str, str]
    metadata: dict[str, Any]
    device_count: int
    """Devices here and in all sites below."""
    created_at: datetime
    updated_at: datetime
    version: int


class SiteDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A site to be made."""

    name: str
    parent_id: SiteId | None = None
    location: Location | None = None
    time_zone: str | None = None
    address: dict[str, Any] | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=120, least=1)
        problems += check_tags(self.tags) + check_metadata(self.metadata)
        problems += self.location.check("/location") if self.location else []
        if self.time_zone is not None and not is_time_zone(self.time_zone):
            problems.append(FieldProblem("/timeZone", "invalid", "is not a time zone of the IANA database"))
        if self.address is not None and len(msgspec.json.encode(self.address)) > MAX_METADATA_BYTES:
            problems.append(FieldProblem("/address", "too-large", f"is larger than {MAX_METADATA_BYTES} bytes"))
        refuse(problems)


class SiteChange(Change, frozen=True, kw_only=True):
    """What shall be different about a site."""

    name: str | UnsetType = UNSET
    parent_id: SiteId | UnsetType | None = UNSET
    location: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
    time_zone: str | UnsetType | None = UNSET
    address: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""
    tags: Mapping[str, str | None] | UnsetType | None = UNSET
    """A merge patch."""
    metadata: Mapping[str, Any] | UnsetType | None = UNSET
    """A merge patch."""


class SiteNode(msgspec.Struct, frozen=True, kw_only=True):
    """A site in the tree."""

    id: SiteId
    name: str
    device_count: int
    """Devices here and in all sites below."""
    children: "list[SiteNode]"
