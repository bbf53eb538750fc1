"""What spaces are, and the people to call about them."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.registry.checks import MAX_NOTES_BYTES, check_metadata, check_text, refuse
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import SpaceId, TenantId

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_DIRECTORY = re.compile(r"(?:(?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)*)?", re.ASCII)
_ENDPOINT_SLUG = re.compile(r"[0-9a-z-]{3,63}")


class ArchiveMode(StrEnum):
    """Which devices go into the archive."""

    ALL = "all"
    WHITELIST = "whitelist"
    BLACKLIST = "blacklist"


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """What of a day goes into the archive of a space."""

    directory: str = ""
    """Under which the files are kept."""
    mode: ArchiveMode = ArchiveMode.ALL
    device_ids: list[UUID] = []
    device_tags: list[dict[str, str]] = []
    """`key` and `value`, either may be missing."""
    include_devices: bool = True
    include_events: bool = False
    delay_days: int = 1
    """How old a day is before it is archived by itself."""


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a tenant within which names of devices are unique; every tenant has a default one."""

    id: SpaceId
    name: str
    alias: str | None = None
    """A name for paths, its alone in the tenant."""
    is_default: bool
    endpoint_slug: str | None = None
    """A name for URLs, its alone on the platform."""
    archive: Archive | None = None
    """None: nothing is archived by itself."""
    notes: dict[str, Any] = {}
    """What only one dialect knows, under its name."""
    created_at: datetime
    updated_at: datetime


class OwnedSpace(Space, frozen=True, kw_only=True):
    """A space, and whose it is: for those who look at several organizations."""

    tenant_id: TenantId
    organization_id: UUID
    organization_name: str


class SpaceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A space to be made; names need not be unique."""

    name: str
    alias: str | None = None
    endpoint_slug: str | None = None
    archive: Archive | None = None
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it by itself."""
        problems = check_text("/name", self.name, most=255, least=1) + check_metadata(
            self.notes, "/notes", most_bytes=MAX_NOTES_BYTES
        )
        if self.alias is not None and not _ALIAS.fullmatch(self.alias):
            detail = "takes 1 to 100 letters, digits, '-' and '_', a letter or digit first"
            problems.append(FieldProblem("/alias", "invalid", detail))
        if self.endpoint_slug is not None and not _ENDPOINT_SLUG.fullmatch(self.endpoint_slug):
            problems.append(FieldProblem("/endpointSlug", "invalid", "takes 3 to 63 of a-z, 0-9 and '-'"))
        if self.archive is not None and not _DIRECTORY.fullmatch(self.archive.directory.strip("/")):
            detail = "takes names of letters, digits, '.', '_' and '-' with '/' between them"
            problems.append(FieldProblem("/archiveConfig/directory", "invalid", detail))
        refuse(problems)


class SpaceChange(Change, frozen=True, kw_only=True):
    """What shall be different about a space."""

    name: str | UnsetType = UNSET
    alias: str | UnsetType | None = UNSET
    endpoint_slug: str | UnsetType | None = UNSET
    archive: Archive | UnsetType | None = UNSET
    notes: dict[str, Any] | UnsetType = UNSET


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to call about a space; nothing is sent to them by itself."""

    id: UUID
    space_id: SpaceId
    name: str
    email: str | None
    phone: str | None
    notes: dict[str, Any]
    created_at: datetime


class ContactDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A contact to be added."""

    name: str
    email: str | None = None
    phone: str | None = None
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it."""
        problems = check_text("/name", self.name, most=255, least=1) + check_metadata(self.notes, "/notes")
        problems += check_text("/email", self.email, most=254) + check_text("/phone", self.phone, most=64)
        refuse(problems)
